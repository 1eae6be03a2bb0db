"""The page of text about a table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from lite_files import IDS, SUBSET, V9, V11, lite_file

from oco2_outliers.ground.errors import InputError
from oco2_outliers.soundings import describe_soundings, read_lite, read_soundings, soundings_per_day, write_lite


def test_description_of_a_file(granule, tmp_path):
    soundings = granule.soundings.copy()
    soundings.loc[:4, "tcwv"] = np.nan
    soundings["operation_mode"] = np.where(soundings.index < 10, 1, 4).astype(np.int8)
    write_lite(soundings, tmp_path / "a.nc4")
    text = describe_soundings(read_lite(tmp_path / "a.nc4", quality=0))
    good = int((soundings["xco2_quality_flag"] == 0).sum())
    assert f"soundings  {good:,} in 1 day of {len(soundings):,} in the input" in text
    assert "V11, by xco2_x2019, of OCO-3, by its area maps" in text
    assert "modes      glint 10, area map" in text and f"quality    {good:,} good, 0 bad" in text
    assert "missing    tcwv 5" in text and "fills      tcwv 5" in text
    assert text.splitlines()[-1].split() == ["2019-07-15", str(good), str(good)]


def test_times_of_another_clock_are_told(tmp_path):
    path = tmp_path / "a.csv"
    times = "1,2,400,2019-07-15T12:00:00+02:00\n1,2,401,2019-07-15T12:00:01+02:00\n"
    path.write_text(f"latitude,longitude,xco2,time\n{times}")
    said = describe_soundings(read_soundings(path))
    assert "2019-07-15 10:00:00 to 2019-07-15 10:00:01 UTC; times with an offset from UTC (+02:00)" in said
    path.write_text(path.read_text().replace("+02:00", "Z"))
    assert "offset" not in describe_soundings(read_soundings(path))


@pytest.mark.parametrize("table", [
    pd.DataFrame(), pd.DataFrame({"xco2": [400.0]}), pd.DataFrame({"latitude": [np.nan], "longitude": [0.0]}),
    pd.DataFrame({"sounding_id": np.array([], np.int64), "time": np.array([], "M8[ms]"), "xco2": []}),
    pd.DataFrame({"sounding_id": [0], "xco2_quality_flag": [None], "operation_mode": [None], "xco2": ["x"]})])
def test_description_of_little_says_what_is_not_known(table):
    text = describe_soundings(table)
    assert text.startswith(f"soundings  {len(table)}") and "layout     not told" in text


def test_description_tells_text_from_missing_values(tmp_path):
    def line(values):
        text = describe_soundings(pd.DataFrame({"xco2": values}))
        return next(line for line in text.splitlines() if line.startswith("xco2"))

    (tmp_path / "a.csv").write_text("id;xco2\n0;400,259\n1;400,307\n")
    with pytest.raises(InputError, match="400.259 or 400259"):
        read_soundings(tmp_path / "a.csv")
    text = describe_soundings(pd.DataFrame({"id": [0, 1], "xco2": ["400,259", "400,307"]}))
    assert "xco2       2 of 2 values are text, first '400,259': write decimals with a point, not a comma\n" in text
    assert line(["400.0", "bad\x1b", None]).endswith("ppm; 1 of 3 values is text, first 'bad?': make numbers of them, "
                                                     "or leave them empty")
    assert line([None, np.nan]).endswith("no values") and "text" not in line([400.0, np.nan])


def test_description_of_a_huge_value_is_short():
    text = describe_soundings(pd.DataFrame({"xco2": [400.0, 401.0, 1e308, -1e300]}))
    assert "min -1e+300" in text and "max 1e+308 ppm" in text and max(map(len, text.splitlines())) < 100


def test_description_is_safe_and_right_at_the_dateline():
    table = pd.DataFrame({"latitude": [1.0, 2, 3], "longitude": [179.0, -179, 180], "\x1b[2Jx\n": [1, 2, None]})
    text = describe_soundings(table)
    assert "west 179.000, south 1.000, east -179.000, north 3.000 (crosses the dateline)" in text
    assert "\x1b" not in text and "?[2Jx? 1" in text
    with pytest.raises(InputError, match="counts per day need"):
        soundings_per_day(table)


@pytest.mark.parametrize(("layout", "says"), [("V9", "V9 or earlier, by warn_level"), ("V10", "V10, by psurf"),
                                              ("V11", "V11, by xco2_x2019"), ("SUBSET", "not told")])
def test_description_tells_the_layout(layout, says):
    variables = {"V9": V9, "V11": V11, "SUBSET": SUBSET,
                 "V10": {"sounding_id": IDS, "Meteorology/psurf_apriori_o2a": [1.0, 2, 3]}}[layout]
    table = read_lite(lite_file({path: (values, {}) for path, values in variables.items()}))
    assert f"layout     {says}" in describe_soundings(table)


def test_a_flag_in_words_stays_among_the_columns(granule):
    table = granule.soundings.assign(xco2_quality_flag="good")
    text = describe_soundings(table)
    assert "xco2_quality_flag holds text, such as 'good'" in text
    assert "xco2_quality_flag" in text.split("columns")[1].split("\n")[0]
