"""Footprints in the explorer and in a report: where they were, areas where they are large enough, small in bytes."""

import zlib

import numpy as np
import pandas as pd
import pytest

from oco2_outliers.cli import main
from oco2_outliers.explorer import explore
from oco2_outliers.main_job import isolate
from oco2_outliers.page.content import Options, content_of
from oco2_outliers.page.packing import unpacked
from oco2_outliers.page.report_maps import area_figures, months_and_map
from oco2_outliers.page.report_page import report
from oco2_outliers.soundings import footprints, simulate_area, simulate_granule
from oco2_outliers.soundings.corners import CORNERS


@pytest.fixture(scope="module")
def soundings():
    """A map on the dateline, with a row without a corner and one whose place is missing."""
    made, _ = simulate_area(0, 3, center=(-17.5, 180.0), target_name="Fiji")
    made.loc[5, "vertex_latitude_2"] = np.nan
    made.loc[9, "latitude"] = np.nan
    return made


@pytest.fixture(scope="module")
def result(soundings):
    return isolate(soundings)


def arrays(table, **options):
    """What is in a page, with the arrays of it."""
    content = content_of(table, Options(**options))[1]
    data = zlib.decompress(content.data)
    return content.meta, lambda info: unpacked(data, info)


def test_corners_are_where_they_were(result):
    meta, array = arrays(result)
    told = meta["footprints"]
    found, table = footprints(result.table), result.table
    dx, dy = (array(told[name]).reshape(-1, 4) for name in ("dx", "dy"))
    none = (dx == -32768).all(axis=1)
    assert none.tolist() == (~found.known | table["latitude"].isna()).tolist() and none.sum() == 2
    here = np.stack([dx * told["steps"][0] + table["longitude"].to_numpy(float)[:, None],
                     dy * told["steps"][1] + table["latitude"].to_numpy(float)[:, None]], axis=2)
    away = here[~none] - found.polygons[~none]
    away[..., 0] -= 360 * np.round(away[..., 0] / 360)
    assert np.abs(away).max() < 1e-6  # a tenth of a metre
    assert 0.01 < told["width"] < 0.05 and meta["outlines"] is None
    assert f"the map draws {len(table) - 2:,} footprints as areas where they are some pixels wide" in meta["notes"]
    assert any("1 with a corner missing" in note for note in meta["notes"])


def test_corners_are_no_columns_unless_asked_for(result):
    names = {each["name"] for each in arrays(result)[0]["columns"]}
    assert set(CORNERS).isdisjoint(names)
    meta, _ = arrays(result, columns=["xco2", "vertex_latitude_1"])
    assert {each["name"] for each in meta["columns"]} & set(CORNERS) == {"vertex_latitude_1"}
    assert not set(CORNERS) & set(meta["left_out"])


def test_a_page_without_corners_has_none():
    for table in (simulate_granule(0, 20).soundings, simulate_area(0, 1).soundings.drop(columns="vertex_latitude_1")):
        meta, _ = arrays(table.assign(score=1.0, outlier=False))
        assert meta["footprints"] is None and not any("footprint" in note for note in meta["notes"])


def test_footprints_are_small_or_left_out(soundings, tmp_path):
    many = pd.concat([soundings] * 20, ignore_index=True).assign(score=1.0, outlier=False)
    sizes = [explore(many.drop(columns=gone), tmp_path / "page.html").n_bytes for gone in ([], list(CORNERS))]
    assert 0 < sizes[0] - sizes[1] < 16 * len(many) * 4 / 3
    meta, _ = arrays(many, max_mb=0.02)
    assert meta["footprints"] is None and any("soundings are points" in note for note in meta["notes"])


def test_in_the_browser(tab, result, tmp_path):
    window = tab(explore(result, tmp_path / "page.html").path, 1400, 1000)
    n = len(result.table)
    assert window.run("explorer.views.map((v) => v.name)") == ["map", "scatter", "track"]
    assert window.run("explorer.table.outlines.has(5)") is False and window.run("explorer.table.outlines.has(6)")
    wait = "new Promise((done) => setTimeout(done, 50))"
    window.run(f"explorer.views[0].reset(); {wait}")
    assert window.run("explorer.views[0].drawn") > 0.98 * n  # in one piece across the dateline
    window.run(f"explorer.views[0].zoom(40); {wait}")
    assert window.run("explorer.views[0].drawn") == 0  # points, where a footprint is below some pixels
    window.run(f"explorer.views[0].reset(); explorer.views[0].zoom(0.2); {wait}")
    assert 0 < window.run("explorer.views[0].drawn") < n

    # A click into a footprint, away from its middle, opens its row.
    row, x, y = window.run("""(() => { const v = explorer.views[0]; v.panel.scrollIntoView({ block: 'center' });
      const b = v.uplot.over.getBoundingClientRect(); const { x0, kx, y1, ky, ratio, w, h } = v.scale;
      for (let i = 0; i < v.xs.length; i++) {
        if (!explorer.table.outlines.has(i)) continue;
        let corner; explorer.table.outlines.rings(i, (dx, dy) => { corner = [0.7 * dx[0], 0.7 * dy[0]]; });
        const [x, y] = [(v.xs[i] + corner[0] - x0) * kx, (y1 - v.ys[i] - corner[1]) * ky];
        if (x > 20 && x < w - 20 && y > 20 && y < h - 20) return [i, b.left + x / ratio, b.top + y / ratio]; } })()""")
    window.click(x, y)
    assert window.run("explorer.current") == row

    # Filled by a column, as a mosaic is read.
    window.run("explorer.setColour('xco2')")
    told = window.run("document.querySelector('.ox-legend').innerText")
    assert "≤" in told and "isolated" in told and window.run("explorer.colourChoice.value") == "xco2"
    window.run("explorer.setColour('')")


def test_a_report_has_mosaics_and_a_table_of_areas(result, tmp_path):
    result.save(tmp_path / "out")
    for each in (result, tmp_path / "out"):
        text = report(each, tmp_path / "report.html").path.read_text("utf-8")
        assert "The snapshot area map Fiji:" in text and "<h2>Areas</h2>" in text and "simulated01" in text
        assert "1 with a corner missing" in text
    plain = simulate_granule(0, 20).soundings.assign(score=1.0, outlier=False)
    text = report(plain, tmp_path / "plain.html").path.read_text("utf-8")
    assert "<h2>Areas</h2>" not in text and "area map" not in text


def test_isolate_tells_of_each_area(result):
    n = int(result.table["isolated"].sum())
    last = str(result).splitlines()[-1]
    assert last.startswith("snapshot area map simulated01 Fiji around -17.5") and last.endswith(f", {n} isolated")
    assert "snapshot area map" not in str(isolate(simulate_granule(0, 30).soundings))


# ---------------------------------------------------------------- months and their map


def dated(months, n=40, seed=0):
    rng = np.random.default_rng(seed)
    days = pd.date_range("2019-01-01", periods=30 * months, freq="D")
    return pd.DataFrame({"time": rng.choice(days, n), "latitude": rng.uniform(-60, 60, n),
                         "longitude": rng.uniform(-180, 180, n), "score": rng.random(n),
                         "outlier": np.arange(n) % 3 == 0, "reason": ""})


@pytest.mark.parametrize("months, n_figures", [(1, 0), (2, 1), (14, 1), (40, 1)])
def test_months_and_map_of_one_table(months, n_figures):
    figures = months_and_map(dated(months), "sounding")
    assert len(figures) == n_figures
    for each in figures:
        assert each.png.startswith(b"\x89PNG") and "Map: 14 odd soundings in the colours" in each.alt


def test_months_and_map_counts_what_it_cannot_show():
    table = dated(5)
    table.loc[0, "latitude"], table.loc[3, "time"] = 95, pd.NaT
    [figure] = months_and_map(table, "sounding")
    assert "1 odd sounding without a time in white" in figure.caption
    assert "1 without a place, in the bars only" in figure.caption
    assert months_and_map(table.drop(columns="time")) == []
    ids = table.drop(columns="time").assign(sounding_id=[2019010112000001 + k % 9 * 10**10 for k in range(len(table))])
    assert len(months_and_map(ids)) == 1  # an id tells its month


def test_a_report_of_one_combined_table_has_months_with_their_map(tmp_path):
    table = dated(9, 300)
    table.to_parquet(tmp_path / "scores.parquet")
    assert main(["report", str(tmp_path / "scores.parquet"), "--out", str(tmp_path / "r.html")]) == 0
    text = (tmp_path / "r.html").read_text("utf-8")
    assert "on the map each in the colour of its month" in text and text.count("Odd rows by month") == 1


def test_areas_with_the_most_odd_soundings_come_first():
    maps = [simulate_area(k, 1, center=(10.0 * k, 20.0), date=f"2021-06-{10 + k}", target_name=f"place_{k}").soundings
            for k in range(5)]
    for k, each in enumerate(maps):
        each["isolated"] = np.arange(len(each)) < 10 * k
    figures = area_figures(pd.concat(maps, ignore_index=True))
    assert [each.caption.split(":")[0] for each in figures] == [f"The snapshot area map place_{k}" for k in (4, 3, 2)]
