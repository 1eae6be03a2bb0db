"""What a score, an eps or a distance is counted in is said wherever it is shown, and is right for each scale."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray
from matplotlib.figure import Figure

from oco2_outliers.explorer import explore
from oco2_outliers.exports.exporting import export
from oco2_outliers.ground.figures import axis_label
from oco2_outliers.isolation.features import unit_of_scale
from oco2_outliers.isolation.figures import eps_curve, silhouette_curve, sweep_table
from oco2_outliers.isolation.reporting import sweep_figure
from oco2_outliers.main_job import isolate
from oco2_outliers.page.content import Options, content_of
from oco2_outliers.scale import combine, map_files

UNITS = {"robust": "robust spreads", "standard": "standard deviations"}
ROWS = pd.DataFrame(np.random.default_rng(0).standard_t(3, size=(200, 2)), columns=["xco2", "albedo"])


@pytest.fixture(scope="module", params=UNITS)
def judged(request):
    return request.param, isolate(ROWS, scale=request.param)


def words_of(result):
    return content_of(result, Options())[1].meta["words"]


def test_the_report_and_the_page_say_it(judged, tmp_path):
    scale, result = judged
    assert f"with each other, in {UNITS[scale]} of the table" in str(result)
    result.save(tmp_path)
    for shown in (result, tmp_path):
        words = words_of(shown)
        assert words["score"] == f"isolation radius ({UNITS[scale]})" and words["unit"] == f" {UNITS[scale]}"


def test_a_preset_says_it():
    assert words_of(isolate(ROWS, preset="original"))["score"] == "isolation radius (standard deviations)"


def test_a_run_says_it(tmp_path):
    ROWS.to_parquet(tmp_path / "a.parquet")
    for scale, unit in UNITS.items():
        out = tmp_path / scale
        map_files(f"{tmp_path}/a.parquet", "isolate", out=out, parameters={"scale": scale, "eps": 2.0}, progress=False)
        assert words_of(combine(out, progress=False).path)["score"] == f"isolation radius ({unit})"


def test_where_the_scale_is_not_known_no_unit_is_made_up(judged, tmp_path):
    _, result = judged
    words = words_of(result.table)
    assert words["score"] == "isolation radius" and words["unit"] == ""
    text = explore(result.table, tmp_path / "page.html").path.read_text("utf-8")
    assert " sd`" not in text  # nearest rows of the card


def test_the_figures_say_it(judged):
    scale, result = judged
    figure = sweep_figure(result.table["score"].to_numpy(), result.sweep, result.eps, result.rule, scale)
    assert figure.axes[1].get_xlabel() == f"eps ({UNITS[scale]})"
    for draw in (lambda **more: eps_curve(result.table["score"], **more),
                 lambda **more: silhouette_curve(result.sweep, **more),
                 lambda **more: sweep_table(result.sweep, **more)):
        ax = Figure().add_subplot()
        assert draw(ax=ax, unit=unit_of_scale(scale)).get_xlabel() == f"eps ({UNITS[scale]})"
        assert "deviation" not in draw(ax=Figure().add_subplot()).get_xlabel()


@pytest.mark.parametrize("column, unit", [("psurf_apriori", "hPa"), ("windspeed", "m s-1"), ("co2_grad_del", "ppm"),
                                          ("altitude_stddev", "m"), ("sensor_zenith_angle", "degrees")])
def test_every_column_whose_unit_is_known_where_it_is_read_has_it_in_words_axes_and_exports(column, unit, tmp_path):
    values = np.r_[np.random.default_rng(0).normal(900, 1, 99), 960]
    table = pd.DataFrame({column: values, "latitude": 1.0, "longitude": 2.0})
    result = isolate(table, eps=1.0, min_samples=5, features=[column])
    assert f" {unit} lower" in result.table["change"].iloc[-1]
    assert axis_label(column) == f"{column} ({unit})"
    export(result, tmp_path / "a.nc")
    with xarray.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as read:
        assert read[column].attrs["units"] == unit
