"""The commands for sensor series: what they read, print, write and refuse."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from layout import ROOT, SHARED_DATA

from oco2_outliers.cli import main
from oco2_outliers.explorer import explore
from oco2_outliers.series.checks import check_series, check_stretches
from oco2_outliers.series.forest import SeriesForest
from oco2_outliers.series.judging import judge
from oco2_outliers.series.learning import learn_limits
from oco2_outliers.series.reading_files import read_series
from oco2_outliers.series.results import load_series_result
from oco2_outliers.series.simulated import simulate_series

SEWER = SHARED_DATA / "series" / "sewer_velocity_5min.csv"
QUICK = ["--detector", "energy", "--window", "3h"]


@pytest.fixture(scope="session")
def sewer():
    """Ten days of a sewer's velocity with a flat line, a spike and a gap; `wrong` is 1 where a fault is."""
    table = simulate_series(days=10, faults=["flat line", "spike", "gap"], random_state=3)
    table = table[table["channel"] == "velocity"].reset_index(drop=True)
    return table.assign(wrong=table["fault"].ne("").astype(int)).drop(columns="fault")


@pytest.fixture
def work(tmp_path, monkeypatch, sewer):
    monkeypatch.chdir(tmp_path)
    sewer.to_csv("sewer.csv", index=False)
    return tmp_path


def hashes(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*") if path.is_file()}


# ---------------------------------------------------------------- what they do

def test_check_writes_what_python_finds(work, capsys):
    assert main(["series", "check", "sewer.csv", "--out", "faults.csv", "--flags", "f.parquet"]) == 0
    said, s = capsys.readouterr().out, read_series("sewer.csv")
    stretches, flags, wanted = pd.read_csv("faults.csv"), pd.read_parquet("f.parquet"), check_stretches(s)
    assert stretches["reason"].tolist() == wanted["reason"].tolist() and "2,8" in said
    assert {"flat line", "gap"} <= set(stretches["kind"])
    assert flags["flag"].tolist() == check_series(s)["flag"].tolist() and len(flags) == len(s)
    assert f"{len(wanted)} odd stretches: " in said and wanted["reason"].iloc[0][:30] in said


def test_a_channel_that_stands_still_is_not_passed_in_silence(work, capsys):
    day = pd.date_range("2020-01-01", periods=900, freq="5min")
    pd.DataFrame({"time": day, "level": 5.0}).to_csv("still.csv", index=False)
    said = ("note: flat line: not looked for in 1 channel, such as level of still: all readings, or all but a few, are "
            "equal")
    for words in (["check", "still.csv"], ["learn", "still.csv", "--out", "still.yaml"]):
        assert main(["series", *words]) == 0
        assert said in capsys.readouterr().out.splitlines()
    assert main(["series", "check", "still.csv", "--config", "still.yaml"]) == 0  # whoever gives limits knows them
    assert "note:" not in capsys.readouterr().out


def test_learnt_limits_are_edited_and_used(work, capsys):
    assert main(["series", "learn", "sewer.csv"]) == 0
    printed = capsys.readouterr().out
    assert main(["series", "learn", "sewer.csv", "--out", "limits.yaml"]) == 0
    assert Path("limits.yaml").read_text() == printed == learn_limits(read_series("sewer.csv")).text()
    limits = yaml.safe_load(printed)
    (site,) = limits["sites"]
    limits["sites"][site] = {"velocity": {"out_of_range": {"fail": [-100, 0.5]}}}
    Path("limits.yaml").write_text(yaml.safe_dump(limits))
    assert main(["series", "check", "sewer.csv", "--config", "limits.yaml", "--out", "faults.csv"]) == 0
    assert "out of range" in set(pd.read_csv("faults.csv")["kind"])
    kept = Path("limits.yaml").read_bytes()
    assert main(["series", "learn", "sewer.csv", "--out", "limits.yaml"]) == 2
    assert "--overwrite" in capsys.readouterr().err and Path("limits.yaml").read_bytes() == kept
    assert main(["series", "learn", "sewer.csv", "--out", "limits.yaml", "--overwrite"]) == 0
    assert Path("limits.yaml").read_text() == printed


def test_judge_writes_what_python_finds_and_a_page(work, capsys):
    assert main(["series", "judge", "sewer.csv", "--value", "value", *QUICK, "--page", "sewer.html"]) == 0
    said = capsys.readouterr().out
    wanted = judge(read_series("sewer.csv", value="value"), "energy", "3 h")
    found = load_series_result("judged")
    pd.testing.assert_frame_equal(found.points, wanted.points)
    pd.testing.assert_frame_equal(found.windows, wanted.windows)
    assert "oco2-outliers explore judged" in said and "sewer.html: 2," in said
    assert "0.01 false alarms" in said and wanted.windows["reason"].iloc[0][:30] in said
    assert main(["explore", "judged", "--out", "again.html"]) == 0
    assert Path("again.html").read_text() == Path("sewer.html").read_text()
    assert main(["export", "judged", "--to", "csv"]) == 0
    assert len(pd.read_csv("judged.csv")) == wanted.windows["outlier"].sum() > 0
    only = ["--out", "odd.csv", "--only-channel", "velocity", "--calibrate", "none"]
    assert main(["series", "judge", "sewer.csv", *QUICK, *only]) == 0
    odd = pd.read_csv("odd.csv")
    assert set(odd["channel"]) == {"velocity"} and set(odd["kind"]) <= set(wanted.windows["kind"])


def test_the_oddest_stretches_are_printed_where_not_all_fit(work, capsys, monkeypatch):
    monkeypatch.setattr("oco2_outliers.shell.series_commands.MOST_LINES", 2)
    lines = {}
    for sort in ([], ["--sort", "time"]):
        words = ["--value", "value", "--only-channel", "velocity", "--alpha", "20", *QUICK, *sort]
        assert main(["series", "judge", "sewer.csv", *words]) == 0
        said = capsys.readouterr().out
        lines[bool(sort)] = [line[2:21] for line in said.splitlines() if line.startswith("  20")]
        assert ("the 2 oddest of" in said) is not bool(sort) and "more stretch" in said
    windows = load_series_result("judged").windows
    assert lines[True] == windows["start"].astype(str).str[:19].tolist()[:2]
    oddest = windows.sort_values(["outlier", "p_value", "score"], ascending=[False, True, False], kind="stable")
    assert lines[False] == oddest["start"].astype(str).str[:19].tolist()[:2]


def test_a_wide_table_with_other_names(work, capsys):
    n = 400
    times = pd.date_range("2021-01-01", periods=n, freq="10min").strftime("%d.%m.%Y %H:%M")
    wide = pd.DataFrame({"Zeit": times, "Pegel": np.sin(np.arange(n) / 9).round(3), "Abfluss": np.arange(n) % 7 + 0.5})
    wide.to_csv("wide.csv", index=False, sep=";", decimal=",", encoding="cp1252")
    reading = ["--time", "Zeit", "--time-format", "%d.%m.%Y %H:%M", "--separator", ";", "--decimal", ",", "--timezone",
               "Europe/Berlin"]
    assert main(["series", "check", "wide.csv", *reading, "--only-channel", "Pegel", "--flags", "f.csv"]) == 0
    flags = pd.read_csv("f.csv")
    assert set(flags["channel"]) == {"Pegel"} and set(flags["site"]) == {"wide"} and len(flags) == n
    assert flags["time"].iloc[0] == "2021-01-01 00:00:00+01:00"
    assert "400 readings of other sites or channels left out" in capsys.readouterr().out


def test_a_model_judges_other_readings(work, sewer, capsys):
    sewer.assign(site="B", value=sewer["value"] * 1.01).to_csv("other.csv", index=False)
    assert main(["series", "train", "sewer.csv", "--labels", "wrong", "--window", "36", "--out", "model.npz"]) == 0
    assert f"without {int(sewer['wrong'].sum())} labelled readings" in capsys.readouterr().out
    forest = SeriesForest.load("model.npz")
    assert forest.window_ == 36
    by_model = ["--model", "model.npz", "--calibrate", "none", "--out", "by_model"]
    assert main(["series", "judge", "other.csv", "--value", "value", *by_model]) == 0
    wanted = judge(read_series("other.csv", value="value"), model=forest, calibrate=None)
    pd.testing.assert_frame_equal(load_series_result("by_model").points, wanted.points)
    assert main(["series", "train", "sewer.csv", "other.csv", "--value", "value", "--window", "3h",
                 "--out", "both.npz"]) == 0, "two sites are pooled"
    assert main(["series", "train", "sewer.csv", "--value", "value", "--out", "model.npz"]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_score_stands_beside_random(work, sewer, capsys):
    assert main(["series", "score", "sewer.csv", "--labels", "wrong", *QUICK, "--out", "figures.csv"]) == 0
    figures = pd.read_csv("figures.csv").set_index("metric")
    assert figures.loc["base_rate", "value"] == pytest.approx(sewer["wrong"].mean(), rel=0.01)
    assert figures.loc["roc_auc", "random"] == pytest.approx(0.5, abs=0.15)
    assert set(figures["channel"]) == {"velocity"} and "vus_pr" in capsys.readouterr().out


def test_several_files_and_sites(work, sewer):
    Path("all").mkdir()
    for name in "AB":
        sewer.assign(site=name).to_csv(f"all/{name}.csv", index=False)
    assert main(["series", "check", "all", "--value", "value", "--only-site", "B", "--out", "b.json"]) == 0
    assert set(pd.read_json("b.json")["site"]) == {"B"}
    assert main(["series", "score", "all/*.csv", "--labels", "wrong", *QUICK, "--out", "s.csv"]) == 0
    assert set(pd.read_csv("s.csv")["site"]) == {"A", "B"}


def test_a_run_gives_the_rows_of_judge(work, sewer, capsys):
    Path("all").mkdir()
    for name in "AB":
        sewer.assign(site=name).drop(columns="wrong").to_csv(f"all/{name}.csv", index=False)
    assert main(["series", "judge", "all/A.csv", *QUICK, "--alpha", "0.1", "--out", "judged"]) == 0
    assert main(["series", "learn", "all", "--out", "limits.yaml"]) == 0
    run = ["run", "series", "all", "--out", "run", *QUICK, "--alpha", "0.1"]
    assert main(run) == 0 and "2 done now" in capsys.readouterr().out
    (part,) = (path for path in Path("run/parts").iterdir() if set(pd.read_parquet(path)["site"]) == {"A"})
    rows, wanted = pd.read_parquet(part), load_series_result("judged").points
    for name in ("value", "score", "outlier", "p_value", "kind", "reason", "site", "channel"):
        pd.testing.assert_series_equal(rows[name], wanted[name], check_dtype=False, check_index=False)
    assert (rows["time"].dt.tz_localize(None).to_numpy() == wanted["time"].to_numpy()).all()
    assert {Path(name).relative_to(work) for name in rows["source"]} == {Path("all/A.csv")}
    assert main(run) == 0 and "0 done now, 2 there already" in capsys.readouterr().out
    assert main(["run", "series", "all", "--out", "other", *QUICK, "--config", "absent.yaml"]) == 2
    assert not Path("other").exists()
    assert main(["combine", "run"]) == 0 and main(["explore", "run", "--out", "run.html"]) == 0
    text = Path("run.html").read_text()
    assert '"channel":"velocity"' in text and "gaps have no reading" in text


# ---------------------------------------------------------------- what they refuse

REFUSED = {
    "no such file": (["check", "absent.csv"], "absent.csv"),
    "an empty input": (["judge", ""], "an input is an empty text"),
    "an empty file": (["judge", "empty.csv"], "empty.csv"),
    "a folder without tables": (["check", "folder"], "folder"),
    "no times": (["judge", "timeless.csv"], "--time"),
    "no such column": (["check", "sewer.csv", "--time", "when"], "when"),
    "two columns that could be the value": (["judge", "both.csv"], "--value"),
    "words for a value": (["check", "sewer.csv", "--value", "site"], "column 'site'"),
    "a column for two things": (["check", "sewer.csv", "--value", "value", "--site", "value"], "two things"),
    "no such channel": (["judge", "sewer.csv", "--only-channel", "rain"], "there is no channel 'rain'"),
    "no such site": (["learn", "sewer.csv", "--only-site", "Z"], "there is no site 'Z'"),
    "a step of nothing": (["check", "sewer.csv", "--step", "0"], "step"),
    "no such zone": (["check", "sewer.csv", "--timezone", "Europe/Nowhere"], "Nowhere"),
    "an unknown key": (["check", "sewer.csv", "--config", "typo.yaml"], "nearest: spike"),
    "no configuration": (["judge", "sewer.csv", "--config", "absent.yaml"], "absent.yaml"),
    "alpha below 0": (["judge", "sewer.csv", "--alpha", "-1"], "alpha"),
    "alpha of nothing": (["judge", "sewer.csv", "--alpha", "nan"], "alpha"),
    "a window that is no time": (["judge", "sewer.csv", "--window", "soon"], "--window"),
    "a window longer than the series": (["train", "sewer.csv", "--window", "90000", "--out", "m.npz"], "window"),
    "clean without a history": (["judge", "sewer.csv", "--calibrate", "clean"], "history"),
    "an unknown detector": (["judge", "sewer.csv", "--detector", "magic"], "magic"),
    "k of nothing": (["judge", "sewer.csv", "-k", "0"], "-k"),
    "calibration by magic": (["judge", "sewer.csv", "--calibrate", "magic"], "magic"),
    "a model that is none": (["judge", "sewer.csv", "--model", "sewer.csv"], "sewer.csv"),
    "a model of another kind": (["judge", "sewer.csv", "--model", "other.npz"], "other.npz"),
    "an output over the input": (["check", "sewer.csv", "--out", "sewer.csv"], "is the input itself"),
    "flags over the input": (["check", "sewer.csv", "--flags", "./sewer.csv"], "is the input itself"),
    "a page over the input": (["judge", "page.html", "--page", "page.html"], "page.html"),
    "a table of unknown kind": (["check", "sewer.csv", "--out", "x.xlsx"], ".parquet"),
    "a page that is none": (["judge", "sewer.csv", "--page", "page.pdf"], ".html"),
    "a place that is no disk": (["judge", "sewer.csv", "--out", "http://host/x"], "a path of this disk"),
    "limits that are no YAML": (["learn", "sewer.csv", "--out", "limits.txt"], ".yaml"),
    "several channels for a model": (["train", "two.csv", "--out", "m.npz"], "--only-channel"),
    "no such labels": (["score", "sewer.csv", "--labels", "colour"], "--labels"),
    "labels that are numbers": (["score", "sewer.csv", "--labels", "value"], "must hold 0 or 1"),
    "nothing is labelled": (["score", "fine.csv", "--labels", "wrong"], "no reading is labelled"),
    "everything is labelled": (["train", "bad.csv", "--labels", "wrong", "--out", "m.npz"], "window"),
    "a model file of another ending": (["train", "sewer.csv", "--out", "model.pkl"], ".npz"),
}


@pytest.fixture(scope="session")
def bad_inputs(tmp_path_factory, sewer):
    """A folder of inputs, each wrong in its own way."""
    folder = tmp_path_factory.mktemp("bad")
    sewer.to_csv(folder / "sewer.csv", index=False)
    (folder / "empty.csv").write_text("")
    (folder / "folder").mkdir()
    (folder / "folder" / "notes.docx").write_bytes(b"PK")
    pd.DataFrame({"value": [1.0, 2.0]}).to_csv(folder / "timeless.csv", index=False)
    sewer.rename(columns={"value": "velocity"}).assign(level=1.0).to_csv(folder / "both.csv", index=False)
    pd.DataFrame({"time": sewer["time"], "flow": sewer["value"], "level": 2.0}).to_csv(folder / "two.csv", index=False)
    sewer.assign(wrong=0).to_csv(folder / "fine.csv", index=False)
    sewer.assign(wrong=1).to_csv(folder / "bad.csv", index=False)
    (folder / "typo.yaml").write_text("sites: {site_1: {velocity: {spkie: {suspect: 1}}}}")
    sewer.to_csv(folder / "page.html", index=False)
    np.savez(folder / "other.npz", trees=np.arange(3))
    return folder


@pytest.mark.parametrize("name", REFUSED)
def test_bad_input_is_refused_in_one_line(name, bad_inputs, monkeypatch, capsys):
    monkeypatch.chdir(bad_inputs)
    words, why = REFUSED[name]
    before = hashes(bad_inputs)
    code, line = main(["series", *words]), capsys.readouterr().err
    assert code == 2 and line.count("\n") == 1 and why in line and "Error:" not in line, (code, line)
    assert hashes(bad_inputs) == before


def test_an_error_names_options_that_are_there(capsys):
    """A line that says --zone to somebody whose option is called --timezone is of no help."""
    known = set()
    for each in ("check", "judge", "learn", "train", "score"):
        assert main(["series", each, "--help"]) == 0
        known |= set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    for path in (ROOT / "oco2_outliers" / "series").glob("*.py"):
        assert set(re.findall(r"--[a-z][a-z-]+", path.read_text(encoding="utf-8"))) <= known, path.name


@pytest.mark.parametrize("size", [1e300, 1e307])
def test_readings_that_cannot_be_squared_are_counted_as_missing(size, work, sewer, capsys):
    sewer.assign(value=sewer["value"].where(sewer.index % 500 > 0, size)).to_csv("huge.csv", index=False)
    assert main(["series", "judge", "huge.csv", "--value", "value", *QUICK]) == 0
    told = capsys.readouterr()
    assert "became missing (beyond 1e+150: " in told.out and "encountered" not in told.err


def test_a_page_of_too_much_is_refused(work, capsys):
    assert main(["series", "judge", "sewer.csv", "--value", "value", *QUICK, "--calibrate", "none"]) == 0
    assert main(["explore", "judged", "--max-mb", "0.01"]) == 2
    assert "--max-mb" in capsys.readouterr().err and not Path("explorer.html").exists()
    assert main(["explore", "judged", "--columns", "value"]) == 2
    summary = json.loads(Path("judged/summary.json").read_text())
    Path("judged/summary.json").write_text(json.dumps(summary | {"format": 9}))
    assert main(["explore", "judged"]) == 2 and "judge the series again" in capsys.readouterr().err


@pytest.mark.skipif(not SEWER.is_file(), reason="no real series beside the project; the tests above use generated ones")
def test_the_real_sewer(work, capsys):
    found = judge(read_series(SEWER), "energy", "3 h", calibrate=None)
    page = explore(found, "sewer.html", title="Sewer")
    assert page.n_rows == len(found.points) and page.n_bytes < 2e6
