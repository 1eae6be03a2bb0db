"""What a search says of its inputs: names matched, rows left out, files that nothing was asked of."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from oco2_outliers.ground.errors import InputError
from oco2_outliers.peaks import find_peaks
from oco2_outliers.soundings import convert_soundings, simulate_area, simulate_granule, track_distance, write_lite

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


# ---------------------------------------------------------------- soundings that are there twice

PLUME = simulate_granule(4, 90, delta=4.0).soundings


@pytest.fixture(scope="module")
def once():
    """What a search finds in a pass, in which a plume is."""
    found = find_peaks(PLUME, n_surrogates=39)
    assert len(found.peaks) == 1
    return found


def numbers(search):
    """The peaks of a search, without what says where they stood."""
    return search.peaks.drop(columns=["source", "orbit"], errors="ignore")


def test_a_copy_of_a_file_adds_no_plume(once, tmp_path):
    write_lite(PLUME, tmp_path / "a.nc4")
    PLUME.to_csv(tmp_path / "b.csv", index=False)
    search = find_peaks([tmp_path / "a.nc4", tmp_path / "b.csv"], tmp_path / "out", n_surrogates=39, figures=False)
    assert len(search.peaks) == 1 and search.peaks["p_value"].tolist() == once.peaks["p_value"].tolist()
    n = once.orbits["n_soundings"].sum()
    assert f"b.csv: {n:,} rows repeat a sounding_id with the same numbers: each sounding is searched once" in "\n".join(
        search.notes)
    left_out = pd.read_csv(tmp_path / "out" / "left_out.csv")
    assert (left_out["why"] == "a copy of another").sum() == n


@pytest.mark.parametrize("order", ["one after the other", "side by side"])
@pytest.mark.parametrize("preset", [None, "chevallier2020"])
def test_a_table_with_every_row_twice_is_the_table(order, preset):
    twice = pd.concat([PLUME, PLUME], ignore_index=order == "one after the other")
    twice = twice if order == "one after the other" else twice.sort_index(kind="stable").reset_index(drop=True)
    found = find_peaks(twice, n_surrogates=39, preset=preset)
    pd.testing.assert_frame_equal(numbers(found), numbers(find_peaks(PLUME, n_surrogates=39, preset=preset)))
    assert any("rows repeat a sounding_id" in note for note in found.notes)


def test_one_id_with_other_numbers_is_searched_and_told():
    other = PLUME[PLUME["xco2_quality_flag"] == 0].head(3)
    found = find_peaks([PLUME, other.assign(xco2=other["xco2"] + 0.5)], n_surrogates=39)
    assert any("3 rows repeat a sounding_id with other numbers: all of them are searched" in note
               for note in found.notes)
    assert found.orbits["n_soundings"].sum() == find_peaks(PLUME, n_surrogates=39).orbits["n_soundings"].sum() + 3


def test_nothing_is_said_where_nothing_is_twice(once, two_days):
    assert not any("repeat" in note for note in [*once.notes, *find_peaks(two_days, n_surrogates=39).notes])
    bare = PLUME[["latitude", "longitude", "xco2"]]
    few = pd.concat([bare, bare.head(20)])
    assert not any("repeat" in note for note in find_peaks(few, n_surrogates=39).notes), "rounded numbers may agree"


def test_without_ids_a_whole_copy_is_seen(tmp_path):
    bare = PLUME[["latitude", "longitude", "xco2"]]
    for given in ([bare, bare.copy()], pd.concat([bare, bare])):
        found = find_peaks(given, n_surrogates=39)
        pd.testing.assert_frame_equal(numbers(found), numbers(find_peaks(bare, n_surrogates=39)))
        assert any(f"{len(bare):,} rows repeat a place with the same numbers" in note for note in found.notes)


def test_copies_of_a_real_pass_change_nothing(shared_data, tmp_path):
    file = shared_data / "soundings" / "orbit11522_20160831_secunda.csv"
    copied = Path(shutil.copy(file, tmp_path / "copy.csv"))
    one, two = find_peaks(file), find_peaks([file, copied])
    assert len(one.peaks) > 0
    pd.testing.assert_frame_equal(one.peaks, two.peaks)
    doubled = find_peaks(pd.concat([pd.read_csv(file)] * 2))
    assert doubled.peaks["amplitude"].tolist() == pytest.approx(one.peaks["amplitude"].tolist(), rel=1e-9)


def test_notes_of_orbits_name_the_input_where_there_are_several(tmp_path):
    rows = simulate_granule(3, n_seconds=130, delta=0)[0].drop(columns="orbit")
    along = track_distance(rows).to_numpy()
    lake = rows.assign(xco2=rows["xco2"] + np.where(np.abs(along - np.median(along)) < 20, 4.0, 0.0))
    later = rows[:50].assign(time=rows["time"] + pd.Timedelta(days=31), sounding_id=rows["sounding_id"] + 10**10)
    for name, table in (("lake", lake), ("short", later)):
        table.to_parquet(tmp_path / f"{name}.parquet")
    both = find_peaks([tmp_path / "lake.parquet", tmp_path / "short.parquet"], n_surrogates=39).notes
    assert any("lake.parquet: orbit 0: at " in note and "a box fits better" in note for note in both)
    assert any("short.parquet: orbit 0: fewer than 100" in note for note in both)
    alone = find_peaks(tmp_path / "short.parquet", n_surrogates=39).notes
    assert any(note.startswith("orbit 0: fewer than 100") for note in alone)


def test_peaks_in_area_maps_bear_a_doubt():
    area = simulate_area(4).soundings
    found = find_peaks(area, n_surrogates=39)
    assert any("soundings of targets or snapshot area maps searched as a track" in note for note in found.notes)
    assert len(found.peaks) and found.peaks["suspect"].str.contains("in a target or snapshot area map").all()
    along = find_peaks(simulate_granule(0, n_seconds=120, delta=5)[0], n_surrogates=39)
    assert not any("area maps" in note for note in along.notes)
    assert len(along.peaks) and not along.peaks["suspect"].str.contains("area map").any()
