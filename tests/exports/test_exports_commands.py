"""The command: names of files, one line for every fault, the note, and nothing half-written."""

import os

import numpy as np
import pandas as pd
import pytest

from oco2_outliers.cli import main
from oco2_outliers.exports.exporting import KINDS
from oco2_outliers.exports.features import Features, features_of
from oco2_outliers.exports.geojson import geojson_text
from oco2_outliers.main_job import isolate
from oco2_outliers.page.sources import PageNote, source_of
from oco2_outliers.peaks import find_peaks
from oco2_outliers.soundings import simulate_granule


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder with a table of results, in which the commands run."""
    monkeypatch.chdir(tmp_path)
    pd.DataFrame({"sounding_id": [2018082505140535, 7], "latitude": [48.5, None], "longitude": [2.5, None],
                  "score": [9.5, 2], "outlier": [True, False], "reason": ["xco2 80%", ""]}).to_parquet("found.parquet")
    return tmp_path


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "parquet"])
def test_the_file_bears_the_name_of_the_result(work, capsys, kind):
    assert main(["export", "found.parquet", "--to", kind]) == 0
    assert (work / f"found.{kind}").is_file() and f"wrote 1 of 2 rows to found.{kind}" in capsys.readouterr().out


def test_all_rows_and_the_note(work, capsys):
    assert main(["export", "found.parquet", "--out", "a.kml", "--rows", "all"]) == 0
    said = capsys.readouterr().out
    assert said.count("note: ") == 1 and "1 row without a place" in said


def test_notes_of_a_page_alone_are_left_out_and_no_others(work):
    tiles = pd.DataFrame({"id": ["a", "a"], "outlier": True, "nearest": ["a", "a"], "nearest_distance": 0.1,
                          "neighbours": [["a"], ["a"]], "nearest raw": [b"1", b"2"]})
    source = source_of(tiles)
    assert [type(note) for note in source.notes] == [PageNote] and "nearest tiles are not shown" in source.notes[0]
    notes = features_of(tiles).notes
    assert notes == ["1 column of bytes left out: nearest raw"], "what a note says does not matter"


@pytest.mark.parametrize("argv, told", [
    (["found.parquet"], "say what to write"), (["found.parquet", "--to", "parquet"], "is the input itself"),
    (["found.parquet", "--to", "shp"], "to must be"), (["found.parquet", "--out", "a.shp"], "the ending says"),
    (["found.parquet", "--to", "csv", "--rows", "1"], "odd or all"), (["absent", "--to", "csv"], "no such file"),
    (["found.parquet", "--out", "absent/a.csv"], "no such folder"), (["bare.csv", "--to", "csv", "--out", "b.csv"],
                                                                     "--rows all"),
    (["ids.csv", "--to", "nc"], "sounding_id"), (["found.parquet", "--to", "csv", "--out", "."], "a folder"),
    (["found.parquet", "--to", "esc\x1b[31m"], "to must be"), (["wkb.parquet", "--to", "kml"], "no WKB")])
def test_faults_in_one_line(work, capsys, argv, told):
    (work / "bare.csv").write_text("id,score\na,1\nb,2\n")
    (work / "ids.csv").write_text("sounding_id,score,outlier\n2.01808e+15,1,True\n")
    pd.DataFrame({"geometry": [b"no"], "outlier": [True]}).to_parquet("wkb.parquet")
    before = sorted(os.listdir(work))
    assert main(["export", *argv]) == 2
    said = capsys.readouterr()
    assert told in said.err and said.err.count("\n") == 1 and "\x1b" not in said.err
    assert sorted(os.listdir(work)) == before


@pytest.mark.parametrize("name", ["two words", "-dash", "a&b<c>'\"", "\u03a9", "esc\x1b[31m"])
def test_odd_names_of_files(work, capsys, name):
    (work / "found.parquet").rename(work / f"{name}.parquet")
    for kind in ("geojson", "kml", "csv", "nc"):
        assert main(["export", "--to", kind, "--", f"{name}.parquet"]) == 0
        assert (work / f"{name}.{kind}").stat().st_size > 0
    assert "\x1b" not in capsys.readouterr().out


def test_blocks_of_rows_are_one_text(monkeypatch):
    rows = pd.DataFrame({"id": np.arange(25), "latitude": 1.0, "longitude": 2.0, "outlier": True})
    whole = "".join(geojson_text(features_of(rows)))
    monkeypatch.setattr("oco2_outliers.exports.geojson._ROWS_AT_ONCE", 7)
    assert "".join(geojson_text(features_of(rows))) == whole and isinstance(features_of(rows), Features)


def test_the_last_of_two_commands_in_one_folder_is_shown(tmp_path):
    soundings = simulate_granule(0, n_seconds=60, delta=5)[0]
    found = find_peaks(soundings, tmp_path, n_surrogates=39, figures=False)
    isolate(soundings, tmp_path, figures=False)
    assert len(source_of(tmp_path).table) == len(soundings)
    find_peaks(soundings, tmp_path, n_surrogates=39, figures=False)
    assert len(source_of(tmp_path).table) == len(found.peaks) < len(soundings)
