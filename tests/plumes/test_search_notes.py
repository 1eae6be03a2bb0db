"""What a search says of its inputs: names matched, rows left out, files that nothing was asked of."""

from __future__ import annotations

import pandas as pd
import pytest

from oco2_outliers.ground.errors import InputError
from oco2_outliers.peaks import find_peaks
from oco2_outliers.soundings import convert_soundings, simulate_granule

GRANULE = simulate_granule(0, 60).soundings


@pytest.fixture
def two_days(tmp_path):
    """Two files: of July as a table with other names, of August as it comes."""
    GRANULE.rename(columns={"latitude": "Lat", "longitude": "LON"}).to_csv(tmp_path / "july.csv", index=False)
    later = GRANULE.assign(time=GRANULE["time"] + pd.Timedelta(days=31), sounding_id=GRANULE["sounding_id"] + 10**10)
    later.to_csv(tmp_path / "august.csv", index=False)
    return tmp_path


def test_a_search_says_how_it_read_and_what_it_left_out(two_days):
    search = find_peaks(two_days, n_surrogates=39, dates=("2019-07-01", "2019-07-31"))
    notes = "\n".join(search.notes)
    assert "'Lat' is latitude" in notes and "'LON' is longitude" in notes
    n = len(GRANULE)
    assert f"left out {n:,} of {2 * n:,} soundings, not among those asked for" in notes
    assert "august.csv: no" not in notes and "no sounding left" not in notes  # of a file nothing was asked of
    read = {each["name"].rsplit("/")[-1]: each for each in search.summary["inputs"]}
    assert read["august.csv"]["not_asked_for"] == n and read["july.csv"]["matched"]["LON"] == "longitude"


def test_a_search_that_nothing_fits_is_refused_and_leaves_nothing(two_days, tmp_path):
    with pytest.raises(InputError, match="fits what was asked"):
        find_peaks(two_days, tmp_path / "found", dates=("2001-01-01", "2001-12-31"))
    with pytest.raises(InputError, match="box must be"):
        find_peaks(two_days, tmp_path / "found", box=(1, 2, 3))
    assert not (tmp_path / "found").exists()


def test_a_dialect_may_be_given_to_every_reader(tmp_path):
    GRANULE.to_csv(tmp_path / "a.csv", sep="|", index=False, encoding="utf-16")
    dialect = {"encoding": "utf-16", "separator": "|"}
    search = find_peaks(tmp_path / "a.csv", n_surrogates=39, **dialect)
    assert search.summary["parameters"]["separator"] == "|"
    assert len(convert_soundings(tmp_path / "a.csv", tmp_path / "b.parquet", **dialect)) == len(GRANULE)
