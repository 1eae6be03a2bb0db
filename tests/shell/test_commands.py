"""Promises that every command keeps: it writes over nothing that it reads, tells no secret, and fails in one line."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import pandas as pd
import pytest

from oco2_outliers.cli import main
from oco2_outliers.image_forest import simulate_pictures, train_model
from oco2_outliers.main_job import isolate
from oco2_outliers.shell.boundary import told, within_boundary
from oco2_outliers.soundings import simulate_granule


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with soundings, a result, pictures, a model and a store."""
    folder = tmp_path_factory.mktemp("made")
    rows = simulate_granule(0, 20).soundings.head(240)
    rows[["sounding_id", "time", "latitude", "longitude", "xco2", "xco2_quality_flag", "psurf"]].to_csv(
        folder / "good.csv", index=False)
    isolate(folder / "good.csv", out=folder / "isolated", eps=2.0)
    simulate_pictures(folder / "pictures", n_pictures=8, odd_kinds=[], random_state=0)
    train_model(folder / "pictures", folder / "model.npz", n_jobs=1)
    (folder / "store").mkdir()
    shutil.copy(folder / "good.csv", folder / "store" / "good.csv")
    (folder / "old.pickle").write_bytes(b"\x80\x04N.")
    return folder


@pytest.fixture
def work(made, tmp_path, monkeypatch):
    """A copy of it to work in."""
    shutil.copytree(made, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def _hashes(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*") if path.is_file()}


def _refused(work: Path, capsys, argv: list[str], words: str) -> None:
    """A command is refused in one line with these words, and changes nothing."""
    before = _hashes(work)
    capsys.readouterr()
    code = main(argv)
    line = capsys.readouterr().err
    assert code == 2 and line.count("\n") == 1 and words in line, (argv, code, line)
    assert _hashes(work) == before, argv


# ---------------------------------------------------------------- nothing is written over what is read

def _link(kind: str, target: str, name: str) -> str:
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    if kind == "hard":
        os.link(target, name)
    else:
        os.symlink(os.path.abspath(target), name)
    return name


@pytest.mark.parametrize("argv", [
    ["isolate", "isolated/isolated.csv"],
    ["isolate", "good.csv", "./isolated/../isolated/scores.parquet"],
    ["isolate", "isolated.csv", "--store", "isolated"],
    ["peaks", "isolated/summary.csv", "--out", "plumes"],
    ["peaks", "good.csv", "--inventory", "plumes/sources.csv", "--out", "plumes"],
    ["soundings", "convert", "good.csv", "good.csv"],
    ["soundings", "convert", "*.csv", "./good.csv"],
    ["soundings", "convert", "good.csv", "store/good.csv", "--store", "store"],
    ["run", "convert", "out/failures.csv", "--out", "out"],
    ["run", "isolate", "hard.csv", "--out", "out"],
    ["images", "test", "-m", "model.npz", "-i", "pictures/one.png", "--output", "pictures/one.png"],
    ["images", "test", "-m", "model.npz", "-i", "pictures/one.png", "--output", "model.npz"],
    ["images", "train", "-d", "pictures", "-m", "linked.npz"],
    ["images", "scan", "pictures", "--out", "linked"],
    ["images", "convert", "old.pickle", "old.pickle", "--trusted"],
    ["explore", "isolated", "--out", "isolated/scores.parquet"],
    ["explore", "isolated/isolated.csv", "--out", "isolated/../isolated/isolated.csv"],
    ["export", "isolated/scores.parquet", "--out", "isolated/scores.parquet"],
    ["export", "isolated", "--to", "csv", "--out", "isolated/../isolated/scores.parquet"],
    ["store", "put", "store/good.csv", "--store", "store", "--prefix", "", "--force"],
    ["store", "get", "good.csv", "store", "--store", "store", "--force"],
], ids=lambda argv: " ".join(argv))
def test_no_command_writes_over_what_it_reads(work, capsys, argv):
    one = sorted(Path("pictures").glob("*"))[0]
    one.rename("pictures/one.png")
    _link("symbolic", "good.csv", "plumes/peaks.csv")
    _link("hard", "good.csv", "plumes/sources.csv")
    _link("symbolic", "plumes/peaks.csv", "isolated/summary.csv")
    _link("hard", "good.csv", "hard.csv")
    _link("hard", "good.csv", "out/failures.csv")
    _link("symbolic", "pictures/one.png", "linked.npz")
    _link("hard", "pictures/one.png", "linked/contact_sheet.png")
    words = "lies in the output folder" if "out/failures.csv" in argv else "is the input itself"
    _refused(work, capsys, argv, words)


def test_the_default_folder_may_hold_other_inputs(work):
    shutil.copy("good.csv", "isolated/mine.csv")
    assert main(["isolate", "isolated/mine.csv", "--eps", "2"]) == 0
    assert len(pd.read_parquet("isolated/scores.parquet")) == len(pd.read_csv("good.csv"))
    assert main(["isolate", ".", "--eps", "2"]) == 0, "what lies in the output folder is no input of a folder"
    summary = json.loads(Path("isolated/summary.json").read_text())
    assert sorted(os.path.basename(each["name"]) for each in summary["inputs"]) == ["good.csv", "good.csv"]


def test_a_device_is_no_output(work, capsys):
    pipe = work / "pipe.csv"
    os.mkfifo(pipe)
    assert main(["soundings", "convert", "good.csv", "pipe.csv"]) == 2
    assert "is a device or a pipe" in capsys.readouterr().err and pipe.is_fifo()


# ---------------------------------------------------------------- one way to name inputs and rows

@pytest.mark.parametrize("named", [["days"], ["days/*.csv"], ["days/a.csv", "days"], ["*.csv", "--store", "days"],
                                   ["/", "--store", "days"]], ids=str)
def test_folders_globs_and_stores_name_the_same_files(work, named):
    Path("days").mkdir()
    rows = pd.read_csv("good.csv")
    rows.head(120).to_csv("days/a.csv", index=False)
    rows.tail(90).to_csv("days/b.csv", index=False)
    Path("days/_scratch.txt").write_text("no soundings")
    assert main(["isolate", *named, "--eps", "2", "--out", "found"]) == 0
    assert json.loads(Path("found/summary.json").read_text())["counts"]["rows"] == 210


GONE = "a link to a file that is not there"


@pytest.fixture
def annexed(work):
    """A folder as git-annex and datalad leave it: a file, and a link to one that was not fetched."""
    Path("days").mkdir()
    shutil.copy("good.csv", "days/a.csv")
    os.symlink(".git/annex/objects/z.csv", "days/z.csv")
    pd.DataFrame({"time": pd.date_range("2020-01-01", periods=300, freq="5min"),
                  "flow": [i % 12 + 0.01 * i for i in range(300)]}).to_csv("sewer.csv", index=False)
    Path("sewers").mkdir()
    shutil.move("sewer.csv", "sewers/a.csv")
    os.symlink("nowhere.csv", "sewers/z.csv")
    return work


@pytest.mark.parametrize("argv", [
    ["isolate", "days", "--eps", "2", "--no-figures"], ["isolate", "days/*.csv", "--eps", "2", "--no-figures"],
    ["peaks", "days", "--surrogates", "39", "--no-figures"], ["soundings", "info", "days"],
    ["soundings", "convert", "days", "all.parquet"], ["series", "check", "sewers"],
    ["series", "judge", "sewers", "--detector", "energy", "--window", "3h", "--calibrate", "none"]], ids=" ".join)
def test_a_link_that_leads_nowhere_is_left_out_and_named(annexed, capsys, argv):
    assert main(argv) == 0
    printed, said = capsys.readouterr()
    assert "z.csv" not in printed and said.count("\n") == 1, said
    assert "1 link to files that are not there left out, such as " in said and "z.csv" in said


@pytest.mark.parametrize("argv", [
    ["isolate", "days/z.csv"], ["peaks", "days/z.csv"], ["soundings", "info", "days/z.csv"],
    ["series", "check", "sewers/z.csv"], ["series", "judge", "sewers/z.csv"]], ids=" ".join)
def test_a_link_that_leads_nowhere_is_refused_by_its_name(annexed, capsys, argv):
    _refused(annexed, capsys, argv, f"z.csv is {GONE}")


@pytest.mark.parametrize("named", [["days"], ["days/*.csv"], ["days/a.csv", "days/z.csv"]], ids=str)
def test_a_run_counts_a_link_that_leads_nowhere_as_a_file_that_failed(annexed, capsys, named):
    assert main(["run", "isolate", *named, "--out", "found"]) == 1
    failed = pd.read_csv("found/failures.csv")
    assert len(failed) == 1 and GONE in failed["error"][0] and failed["name"][0].endswith("z.csv")
    assert f"is {GONE}" in capsys.readouterr().out
    os.remove("days/z.csv")
    shutil.copy("good.csv", "days/z.csv")
    assert main(["run", "isolate", *named, "--out", "found"]) == 0, "fetched, it is done by the same command"


def test_rows_are_chosen_alike_by_isolate_run_and_convert(work, capsys):
    rows = pd.read_csv("good.csv")
    good = int((rows["xco2_quality_flag"] == 0).sum())
    assert 0 < good < len(rows)
    choice = ["--quality", "0", "--dates", rows["time"].iloc[0][:10], "--box", "-180,-90,180,90"]
    assert main(["isolate", "good.csv", "--eps", "2", "--out", "a", *choice]) == 0
    assert f"left out {len(rows) - good:,} of {len(rows):,} soundings" in capsys.readouterr().out
    assert main(["run", "isolate", "good.csv", "--eps", "2", "--out", "b", "--combine", *choice]) == 0
    assert main(["soundings", "convert", "good.csv", "c.csv", *choice]) == 0
    counts = json.loads(Path("a/summary.json").read_text())["counts"]
    assert (counts["rows"], counts["not_asked_for"]) == (good, len(rows) - good)
    assert len(pd.read_parquet("b/combined.parquet")) == len(pd.read_csv("c.csv", sep=";")) == good
    _refused(work, capsys, ["isolate", "good.csv", "--out", "d", "--dates", "1999-01-01"], "fits what was asked")


def test_isolated_rows_that_the_product_flags_are_told(work, capsys):
    rows = pd.read_csv("good.csv").head(60).assign(xco2_quality_flag=0)
    rows.loc[[3, 4], "xco2"] = [900.0, 100.0]
    rows.loc[3, "xco2_quality_flag"] = 1
    rows.to_csv("two.csv", index=False)
    assert main(["isolate", "two.csv", "--features", "xco2", "--eps", "2", "--out", "two"]) == 0
    assert "1 of the 2 isolated are flagged bad" in capsys.readouterr().out
    assert json.loads(Path("two/summary.json").read_text())["counts"]["isolated_flagged"] == 1
    assert main(["isolate", "two.csv", "--features", "xco2", "--eps", "2", "--out", "two", "--quality", "0"]) == 0
    assert "flagged bad" not in capsys.readouterr().out


@pytest.mark.parametrize("argv", [["soundings", "convert", "good.csv", "x.csv", "--dates", ""],
                                  ["run", "convert", "good.csv", "--out", "x", "--dates", ","],
                                  ["isolate", "good.csv", "--out", "x", "--features", ","],
                                  ["isolate", "good.csv", "--out", "x", "--dates", "2019-07-15,2019-07-16,2019-07-17"],
                                  ["isolate", "", "--out", "x"]], ids=str)
def test_empty_texts_are_refused(work, capsys, argv):
    _refused(work, capsys, argv, "oco2-outliers: ")


# ---------------------------------------------------------------- secrets and terminals

ADDRESS = "http://bob:PASSWORD@127.0.0.1:9/x.csv"


@pytest.mark.parametrize("argv", [["isolate", ADDRESS], ["peaks", ADDRESS], ["soundings", "info", ADDRESS],
                                  ["soundings", "convert", ADDRESS, "x.csv"],
                                  ["run", "convert", ADDRESS, "--out", "x"],
                                  ["run", "convert", "good.csv", "--out", ADDRESS],
                                  ["explore", ADDRESS], ["export", ADDRESS, "--to", "csv"],
                                  ["combine", ADDRESS], ["images", "scan", ADDRESS],
                                  ["store", "ls", "--store", ADDRESS],
                                  ["isolate", "good.csv", "--store", ADDRESS], [ADDRESS],
                                  ["images", "test", "-m", ADDRESS, "-i", ADDRESS]], ids=lambda argv: " ".join(argv))
def test_no_message_tells_a_password(work, capsys, argv):
    assert main(argv) == 2
    said = capsys.readouterr()
    assert "PASSWORD" not in said.out + said.err and said.err.count("\n") == 1, said
    # A store may be refused without its name; where a client of the web is installed, it names the host alone.
    assert "***@" in said.err or "--store" in argv or "127.0.0.1:9" in said.err, said


def test_no_result_tells_a_password(work, capsys, tmp_path):
    """An address with a password that can be opened: what is written about it is masked everywhere."""
    import fsspec
    from fsspec.implementations.memory import MemoryFileSystem

    class Locked(MemoryFileSystem):
        protocol, store, pseudo_dirs = "locked", {}, [""]

        @classmethod
        def _strip_protocol(cls, path):
            return super()._strip_protocol(path.replace("locked://", "memory://"))

        def unstrip_protocol(self, name):
            return f"locked://{name.lstrip('/')}"

    fsspec.register_implementation("locked", Locked, clobber=True)
    address = "locked://bob:PASSWORD@host/x.csv"
    with fsspec.open(address, "wb") as file:
        file.write(Path("good.csv").read_bytes())
    assert main(["isolate", address, "--eps", "2", "--out", "out"]) == 0
    assert main(["run", "isolate", address, "--eps", "2", "--out", "many", "--combine"]) == 0
    assert main(["run", "isolate", address, "--eps", "2", "--out", "many"]) == 0
    said = capsys.readouterr()
    assert "1 there already" in said.out and main(["explore", "out", "--out", "page.html"]) == 0
    assert "PASSWORD" not in said.out + said.err and "locked://***@host/x.csv" in said.out
    for path in [*Path("out").rglob("*"), *Path("many").rglob("*"), Path("page.html")]:
        if path.is_file():
            assert b"PASSWORD" not in path.read_bytes(), path
    sources = [pd.read_parquet(name)["source"].unique().tolist() for name in ("out/scores.parquet",
                                                                               "many/combined.parquet")]
    assert sources == [["locked://***@host/x.csv"]] * 2


@pytest.mark.skipif(os.name != "posix", reason="names of POSIX; ground.errors shows how each is written out")
@pytest.mark.parametrize("name", ["esc\x1b[2J\n\u202e.csv", os.fsdecode(b"byte\xff.csv")], ids=ascii)
def test_odd_names_are_read_and_written_out(work, capsys, name):
    shutil.copy("good.csv", name)
    assert main(["isolate", name, "--eps", "2", "--out", "odd"]) == 0, capsys.readouterr().err
    said = capsys.readouterr()
    assert not any(sign in said.out + said.err for sign in "\x1b\u202e\udcff") and "\\" in said.out
    (source,) = pd.read_parquet("odd/scores.parquet")["source"].unique()
    assert source.isprintable()
    assert main(["run", "convert", name, "--out", "many", "--combine"]) == 0
    assert main(["soundings", "convert", name, "converted.csv"]) == 0
    Path(name).write_text("")
    assert main(["isolate", name, "--out", "odd2"]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and line[:-1].isprintable(), line


@pytest.mark.figures
def test_columns_of_odd_names_give_no_orders(work, capsys):
    pd.read_csv("good.csv").rename(columns={"psurf": "p\x1b[31m"}).to_csv("odd.csv", index=False)
    assert main(["isolate", "odd.csv", "--eps", "2", "--out", "odd"]) == 0
    assert "\x1b" not in capsys.readouterr().out


# ---------------------------------------------------------------- one line

def test_the_traceback_is_shown_when_it_is_asked_for(work, capsys, monkeypatch):
    monkeypatch.setenv("OCO2_DEBUG", "1")
    assert main(["isolate", "absent.csv"]) == 2
    assert "Traceback" in capsys.readouterr().err
    monkeypatch.setenv("OCO2_DEBUG", "0")
    assert main(["isolate", "absent.csv"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize("error", [MemoryError("9 GB"), RecursionError("deep"), AssertionError("ours"), KeyError("x"),
                                   BrokenPipeError(32, "Broken pipe"),
                                   UnicodeEncodeError("ascii", "\u03a9", 0, 1, "no")],
                         ids=lambda error: type(error).__name__)
def test_whatever_a_job_raises_is_one_line(work, capsys, monkeypatch, error):
    def broken(*args, **settings):
        raise error

    monkeypatch.setattr("oco2_outliers.main_job.isolate", broken)
    assert main(["isolate", "good.csv"]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and line.startswith("oco2-outliers: ")
    print("the streams still work")
    assert "still" in capsys.readouterr().out


def test_commands_that_need_a_word_more_say_so(work, capsys):
    for argv in ([], ["store"], ["soundings"], ["isolate"], ["isolate", "--eps"], ["nosuch"],
                 ["isolate", "x", "--eps="]):
        assert main(argv) == 2, argv
        assert capsys.readouterr().err.count("\n") == 1, argv


def test_letters_that_a_terminal_lacks_are_written_out(work):
    shutil.copy("good.csv", "\u03a9 \u6d4b.csv")
    environment = os.environ | {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "oco2_outliers", "soundings", "convert", "\u03a9 \u6d4b.csv", "\u03a9.csv"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0 and done.stdout.endswith("to \\u03a9.csv\n") and not done.stderr, done


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere names are letters, whatever the locale says; shell/"
                                                    "00_boundary asks for the words alone")
@pytest.mark.parametrize(("name", "ascii_only", "words"), [
    ("\u03a9", True, "set PYTHONUTF8=1 or LC_ALL=C.UTF-8, or give another name"),
    (os.fsdecode(b"byte\xff"), False, "is no UTF-8")], ids=["beyond ASCII", "no UTF-8"])
def test_a_name_that_a_library_cannot_write_is_one_line(work, name, ascii_only, words):
    before = sorted(os.listdir())
    environment = os.environ | {"PYTHONUTF8": "0" if ascii_only else "1"}
    environment |= {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"} if ascii_only else {}
    command = [sys.executable, "-m", "oco2_outliers", "isolate", "good.csv", "--no-figures", "--out", name]
    done = subprocess.run(command, capture_output=True, env=environment)
    line = done.stderr.decode()
    assert done.returncode == 2 and line.count("\n") == 1 and words in line and "surrogate" not in line, line
    assert sorted(os.listdir()) == before


def test_of_a_traceback_in_the_words_of_a_library_the_last_line_is_told(capsys):
    def work():
        warnings.warn("it could not be parsed: Traceback (most recent call last):\n  File 'x', line 1\nValueError: bad",
                      stacklevel=2)

    assert within_boundary(work) == 0
    assert capsys.readouterr().err == "oco2-outliers: it could not be parsed: ValueError: bad\n"


# ---------------------------------------------------------------- hostile command lines

@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="forks, devices of Linux; the tests above run here without")
def test_hostile_command_lines_end_in_order(tmp_path):
    """640 invocations: no traceback, nothing left behind, exit codes as promised, one line on standard error."""
    runner = str(Path(__file__).with_name("hostile.py"))
    done = subprocess.run([sys.executable, "-W", "ignore", runner, "0", "640"], capture_output=True, text=True,
                          env=os.environ | {"TMPDIR": str(tmp_path)})
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="no forks, no devices; without them the cases above do not run")
def test_hostile_command_lines_differ():
    sys.path.insert(0, str(Path(__file__).parent))
    try:
        from hostile import COMMANDS, EMBEDDINGS, FIRST_COMMANDS, FIRST_EMBEDDINGS, N_CASES, SHARED, case
    finally:
        sys.path.pop(0)
    cases = [case(seed) for seed in range(FIRST_COMMANDS)]
    assert len({str(one.argv) for one in cases}) > 400 and str(case(7)) == str(case(7))
    assert {one.surroundings for one in random.Random(0).sample(cases, 200)} >= {"full disk", "SIGTERM", "broken pipe"}
    assert all(any(one.argv[:len(words.split())] == words.split() for one in cases) for words in COMMANDS)
    newer = [case(seed) for seed in range(FIRST_COMMANDS, FIRST_EMBEDDINGS)]
    assert all(any(one.argv[:len(words.split())] == words.split() for one in newer) for words in SHARED)
    latest = [case(seed) for seed in range(FIRST_EMBEDDINGS, N_CASES)]
    assert all(any(one.argv[:2] == words.split() and one.surroundings == "" for one in latest) for words in EMBEDDINGS)
    tried = {word for one in newer for word in one.argv}
    assert {name for _, options in SHARED.values() for name, _ in options} <= tried


def test_a_folder_that_is_gone_is_told(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    error = FileNotFoundError(2, "No such file or directory")
    with contextlib.chdir(gone):
        gone.rmdir()
        assert told(error) == "the folder in which this was started is gone: go to another one (cd)"
    assert told(error) == "[Errno 2] No such file or directory"


def test_a_file_of_which_nothing_was_asked_is_counted_not_named(work, capsys):
    rows = pd.read_csv("good.csv")
    rows.assign(time=rows["time"].str.replace("2019", "2018", regex=False)).drop(columns="sounding_id").to_csv(
        "a_year_before.csv", index=False)
    rows.drop(columns="sounding_id").to_csv("good.csv", index=False)
    choice = ["--dates", "2019-01-01,2019-12-31"]
    assert main(["isolate", "a_year_before.csv", "good.csv", "--out", "a", "--no-figures", *choice]) == 0
    told = capsys.readouterr().out
    assert "read a_year_before.csv" not in told and f"read good.csv: {len(rows)} rows" in told
    assert "1 of 2 inputs without a row that was asked for" in told
    assert "compared: the rows of the file with each other" in told and "all 2 inputs" not in told


def test_what_is_deleted_is_counted(work, capsys):
    assert main(["store", "rm", "good", "--store", "store"]) == 0
    assert "add --yes" in capsys.readouterr().out and Path("store/good.csv").exists()
    assert main(["store", "rm", "good", "--yes", "--store", "store"]) == 0
    assert capsys.readouterr().out == "deleted 1 object\n" and not Path("store/good.csv").exists()
    assert main(["store", "rm", "good", "--yes", "--store", "store"]) == 0
    assert "none was deleted" in capsys.readouterr().out


@pytest.mark.parametrize("places, folders", [(["isolated", "plants.csv"], "isolated"), (["isolated", "isolated"],
                                              "isolated isolated"), (["plants.csv", "plants.csv"], None)])
def test_the_next_step_of_a_match_can_be_taken(work, capsys, places, folders):
    rows = pd.read_csv("good.csv")
    rows[["latitude", "longitude"]].head(3).assign(name=["x", "y", "z"]).to_csv("plants.csv", index=False)
    near = ["--within-km", "500", "--within-hours", "any", "--shifts", "0"]
    assert main(["match", *places, "--rows", "all", *near]) == 0
    last = capsys.readouterr().out.rstrip().splitlines()[-1]
    if folders is None:
        assert "next:" not in last
    else:
        assert last == f"next: oco2-outliers explore {folders}"
        assert main(last.removeprefix("next: oco2-outliers ").split()) == 0


def test_one_row_that_is_company_for_itself_is_said_to_be_so(work, capsys):
    assert main(["isolate", "good.csv", "--min-samples", "1", "--out", "one", "--no-figures"]) == 0
    told = capsys.readouterr().out
    assert "with min_samples 1 no row needs company" in told and "copies" not in told
