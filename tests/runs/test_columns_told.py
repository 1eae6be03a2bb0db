"""What a run says of itself: how many processes work, and what became of every column of every file."""


import json

import numpy as np
import pandas as pd
import pytest

from oco2_outliers.cli import main
from oco2_outliers.ground import work
from oco2_outliers.main_job import isolate
from oco2_outliers.runs.workers import executor
from oco2_outliers.scale import map_files

# ---------------------------------------------------------------- processes

@pytest.mark.parametrize("cores", [1, 2, 3])
def test_no_more_processes_than_cores(monkeypatch, cores):
    monkeypatch.setattr(work, "n_cores", lambda: cores)
    for jobs in (2, 3, 100_000):
        with executor(None, jobs) as execute:
            assert execute.n == min(jobs, cores)


def test_a_run_says_that_fewer_processes_work(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("sounding_id,xco2\n1,400.5\n")
    run = ["run", "convert", str(tmp_path / "a.csv"), "--out", str(tmp_path / "out"), "--jobs"]
    assert main([*run, "1"]) == 0 and "processes" not in capsys.readouterr().out
    assert main([*run, "100000"]) == 0
    assert f"100,000 processes asked for: {work.n_cores()} process" in capsys.readouterr().out


# ---------------------------------------------------------------- columns

def table(k, n=40, **more):
    rng = np.random.default_rng(k)
    rows = pd.DataFrame({"SoundingID": 2019071518322000 + np.arange(n) + 100 * k, "Lat": rng.normal(size=n),
                         "XCO2_ppm": 400 + rng.normal(size=n), "albedo": rng.normal(size=n), "c": 1, "site": "paris",
                         "psurf": rng.normal(size=n)} | more)
    return rows.assign(twice=2 * rows["albedo"])


@pytest.fixture
def three(tmp_path):
    """Three files: psurf is text in one of them, and one column stands in a single file."""
    (tmp_path / "in").mkdir()
    for k, (name, more) in enumerate({"a": {}, "b": {}, "c": {"psurf": "bad", "extra": 3.5}}.items()):
        table(k, **more).to_csv(tmp_path / "in" / f"{name}.csv", index=False)
    (tmp_path / "in" / "d.csv").write_text("SoundingID,Lat\n")  # no rows, so no say
    return tmp_path


SETTINGS = [{}, {"scope": "orbit"}, {"scale_over": "run"}, {"scope": "all"}, {"scope": "all", "scale_over": "file"},
            {"scope": "file", "scale_over": "orbit"}, {"parameters": {"features": ["xco2", "albedo"]}}]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_a_run_tells_of_every_column_once(three, settings):
    result = map_files(three / "in", "isolate", out=three / "out", **settings)
    became = {name: fate.became for name, fate in result.columns.items()}
    known = set(table(0)) - {"SoundingID", "Lat", "XCO2_ppm"} | {"sounding_id", "latitude", "xco2", "extra"}
    assert set(became) == known and became["xco2"] == became["albedo"] == "feature"
    said, asked = str(result), "parameters" in settings
    for name in known:
        assert name in said
    assert said.count("names matched: 'SoundingID' is sounding_id, 'Lat' is latitude, 'XCO2_ppm' is xco2") == 1
    assert became["c"] == ("not asked for" if asked else "constant") and became["twice"] != "feature"
    if not asked:
        assert became["site"] == "text" and became["sounding_id"] == "identifier" and "text in 1" in said
        assert said.count("features (") == 1 and said.count("constant, so not used") == 1
    again = map_files(three / "in", "isolate", out=three / "out", **settings)
    assert again.columns == result.columns and again.n_done == 0


def test_a_line_of_the_manifest_tells_what_isolate_tells(three):
    map_files(three / "in" / "a.csv", "isolate", out=three / "out")
    (line,) = map(json.loads, (three / "out" / "manifest.jsonl").read_text().splitlines())
    alone = isolate(three / "in" / "a.csv").summary
    assert line["columns"] == alone["columns"]
    assert line["inputs"][0]["matched"] == alone["inputs"][0]["matched"] == {
        "SoundingID": "sounding_id", "Lat": "latitude", "XCO2_ppm": "xco2"}


def test_results_of_an_earlier_run_and_what_the_reader_leaves_out_are_told(tmp_path):
    first = isolate(table(0).rename(columns={"XCO2_ppm": "xco2"}), eps=3.0).table
    first.assign(geometry="POINT (1 2)").to_csv(tmp_path / "again.csv", index=False)
    result = map_files(tmp_path / "again.csv", "isolate", out=tmp_path / "out")
    assert {result.columns[name].became for name in ("score", "reason", "outlier")} == {"earlier result"}
    assert result.columns["geometry"].became == "left out by the reader"
    assert "variables that are no columns, so not read: geometry (manifest.jsonl says why of each)" in str(result)


def test_other_tasks_tell_what_the_reader_matched(three, capsys):
    assert main(["run", "convert", str(three / "in" / "a.csv"), "--out", str(three / "out")]) == 0
    assert "names matched: 'SoundingID' is sounding_id" in capsys.readouterr().out
    lines = (three / "out" / "manifest.jsonl").read_text()
    (three / "out" / "manifest.jsonl").write_text(lines.replace('"counts": {', '"columns": {"x": 5}, "counts": {'))
    assert map_files(three / "in" / "a.csv", "convert", out=three / "out").n_kept == 1
