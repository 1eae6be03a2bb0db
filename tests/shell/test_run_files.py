"""`run.yaml` says how a command was asked, and `--config` asks so again."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from oco2_outliers.cli import main
from oco2_outliers.ground.errors import InputError
from oco2_outliers.shell.run_files import text_of, values_of


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder with a table."""
    monkeypatch.chdir(tmp_path)
    rows = pd.DataFrame({"a": [i % 11 for i in range(80)], "xco2": [400 + i % 7 for i in range(79)] + [430.0]})
    rows.to_csv("t.csv", index=False)
    return tmp_path


@pytest.fixture
def ran(work):
    """The same with a result of the table."""
    assert main(["isolate", "t.csv", "--eps", "1.5", "--min-samples", "5", "--out", "one"]) == 0
    return work


def refused(capsys, *argv):
    """The one line with which a command is refused."""
    capsys.readouterr()
    assert main(list(argv)) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1, line
    return line


def test_the_same_again(ran):
    told = yaml.safe_load(Path("one/run.yaml").read_text())
    assert told["command"] == "isolate" and told["inputs"] == ["t.csv"] and told["eps"] == "1.5"
    assert "scale" in told and "config" not in told and "box" not in told
    assert main(["isolate", "--config", "one/run.yaml", "--out", "two"]) == 0
    for name in ("isolated.csv", "scores.parquet", "sweep.csv"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()
    ones, twos = (yaml.safe_load(Path(each, "run.yaml").read_text()) for each in ("one", "two"))
    assert ones | {"out": "two"} == twos


def test_what_is_typed_counts_more(ran):
    assert main(["isolate", "t.csv", "--config", "one/run.yaml", "--out", "two", "--eps", "3", "--drop-missing"]) == 0
    told = yaml.safe_load(Path("two/run.yaml").read_text())
    assert told["eps"] == "3" and told["drop-missing"] is True and told["min-samples"] == "5"


def test_a_file_by_hand(work):
    Path("mine.yaml").write_text("# mine\neps: [1.5, 2]\nfeatures: [a, xco2]\ndrop_missing: yes\ninputs: t.csv\nbox:\n")
    assert main(["isolate", "--config", "mine.yaml"]) == 0
    told = yaml.safe_load(Path("isolated/run.yaml").read_text())
    assert (told["eps"], told["features"], told["drop-missing"]) == ("1.5,2", "a,xco2", True)


def test_what_is_read_is_not_written_over(ran, capsys):
    before = Path("one/run.yaml").read_bytes()
    stamp = os.stat("one/run.yaml").st_mtime_ns
    assert main(["isolate", "--config", "one/run.yaml"]) == 0, "asked as the file says"
    assert Path("one/run.yaml").read_bytes() == before and os.stat("one/run.yaml").st_mtime_ns == stamp
    results = {path.name: path.read_bytes() for path in Path("one").iterdir()}
    assert "give another --out" in refused(capsys, "isolate", "--config", "one/run.yaml", "--eps", "3")
    os.symlink("one/run.yaml", "linked.yaml")
    assert "give another --out" in refused(capsys, "isolate", "--config", "linked.yaml", "--eps", "3")
    os.remove("one/run.yaml")
    os.link("t.csv", "one/run.yaml")
    assert "is the input itself" in refused(capsys, "isolate", "t.csv", "--out", "one")
    os.remove("one/run.yaml")
    assert {path.name: path.read_bytes() for path in Path("one").iterdir()} == {
        name: data for name, data in results.items() if name != "run.yaml"}


def test_a_failed_run_leaves_no_file(work, capsys):
    refused(capsys, "isolate", "absent.csv", "--out", "three")
    assert not Path("three").exists()


@pytest.mark.parametrize(("text", "words"), [
    ("command: peaks\n", "is of the command 'peaks', not of isolate"),
    ("esp: 1\n", "unknown key 'esp' (nearest: eps)"),
    ("config: other.yaml\n", "unknown key 'config'"),
    ("eps: {a: 1}\n", "must be one value"),
    ("eps: 1\neps: 2\n", "stands twice"),
    ("eps: 'x\n", "is not YAML"),
    ("- eps\n", "must hold the options"),
    ("", "must hold the options"),
    ("eps: &a [*a]\n", "must be one value"),
    ("inputs: t.csv\nalong: far\n", "along"),
    ("eps: 2\n", "INPUT"),
    ("\x00", "is not YAML"),
])
def test_files_that_cannot_be_used_are_refused(work, capsys, text, words):
    Path("bad.yaml").write_text(text)
    assert words in refused(capsys, "isolate", "--config", "bad.yaml")
    assert not Path("isolated").exists()


def test_files_that_are_none_are_refused(work, capsys):
    assert "absent.yaml" in refused(capsys, "isolate", "--config", "absent.yaml")
    Path("big.yaml").write_bytes(b"#" * (2**20 + 1))
    assert "too large" in refused(capsys, "isolate", "--config", "big.yaml")
    Path("latin.yaml").write_bytes(b"eps: \xe9\n")
    assert "not UTF-8" in refused(capsys, "isolate", "--config", "latin.yaml")


def without_a_reader(*argv, to=None):
    """A command whose report goes to a file, or to a pipe that nobody reads; its exit code and its complaint."""
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as pipe, open(to or os.devnull, "wb") as file:
        done = subprocess.run([sys.executable, "-m", "oco2_outliers", *argv], stdout=file if to else pipe,
                              stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    return done.returncode, done.stderr


def eps_kept(folder):
    """The eps of the run file, and of the summary beside it."""
    return (float(yaml.safe_load(Path(folder, "run.yaml").read_text())["eps"]),
            json.loads(Path(folder, "summary.json").read_text())["parameters"]["eps"])


def test_a_reader_that_leaves_early_loses_nothing(ran):
    assert without_a_reader("isolate", "t.csv", "--eps", "2.5", "--out", "one", "--no-figures") == (0, "")
    assert eps_kept("one") == (2.5, 2.5), "never an old run.yaml beside new results"
    assert without_a_reader("isolate", "t.csv", "--eps", "2.5", "--out", "two", "--no-figures") == (0, "")
    assert main(["isolate", "--config", "two/run.yaml", "--out", "three"]) == 0
    assert Path("three/scores.parquet").read_bytes() == Path("two/scores.parquet").read_bytes()


@pytest.mark.skipif(not os.path.exists("/dev/full"),
                    reason="no full device here; other test: test_a_reader_that_leaves_early_loses_nothing")
def test_a_report_that_cannot_be_printed_is_told_and_loses_nothing(ran):
    code, line = without_a_reader("isolate", "t.csv", "--eps", "2.5", "--out", "one", "--no-figures", to="/dev/full")
    assert code == 2 and line.count("\n") == 1 and "No space left on device" in line
    assert eps_kept("one") == (2.5, 2.5)


def test_a_table_is_kept_though_nobody_reads_the_report(work):
    """Some commands print first and write then: they go on."""
    rows = pd.DataFrame({"time": pd.date_range("2020-01-01", periods=300, freq="5min"),
                         "flow": [i % 12 + 0.01 * i for i in range(300)]})
    rows.to_csv("s.csv", index=False)
    code = without_a_reader("series", "judge", "s.csv", "--detector", "energy", "--window", "3h", "--calibrate", "none",
                            "--out", "judged.csv", "--keep-run")
    assert code == (0, "") and Path("judged.csv").exists() and Path("judged.csv.run.yaml").exists()


def test_what_the_run_before_left_goes_when_the_results_do(ran, monkeypatch, capsys):
    """A run that fails when it has written some of its results leaves no file that tells of others."""
    from oco2_outliers import main_job

    before = Path("one/run.yaml").read_bytes()
    refused(capsys, "isolate", "absent.csv", "--out", "one")
    assert Path("one/run.yaml").read_bytes() == before, "nothing was changed"

    def stopped(*args, **settings):
        Path("one/scores.parquet").write_bytes(b"of another eps")
        raise KeyboardInterrupt

    monkeypatch.setattr(main_job, "isolate", stopped)
    assert main(["isolate", "--config", "one/run.yaml"]) == 130 and Path("one/run.yaml").read_bytes() == before
    assert main(["isolate", "t.csv", "--eps", "2.5", "--out", "one"]) == 130
    assert not Path("one/run.yaml").exists()


def test_peaks_too(work, capsys):
    assert main(["soundings", "simulate", "g.nc4", "--store", "store"]) == 0
    assert main(["peaks", "g.nc4", "--store", "store", "--surrogates", "39", "--no-figures", "--out", "p"]) == 0
    assert main(["peaks", "--config", "p/run.yaml", "--out", "q"]) == 0
    assert Path("p/peaks.csv").read_bytes() == Path("q/peaks.csv").read_bytes()


def test_no_secret_is_kept():
    told = text_of("isolate", {"inputs": ["https://bob:word@host/a.csv"], "eps": "1", "store": "s3://k?token=abc"})
    assert "word" not in told and "abc" not in told and "# left out, for it holds a secret: inputs, store" in told
    assert values_of(told) == {"command": "isolate", "eps": "1"}


@example(["\x85", "\u2028", "\ufeff", "\udcff"], 0.1, True)
@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=4), st.floats(allow_nan=False), st.booleans())
def test_what_is_written_is_read(inputs, along, flag):
    """Any names but those that hold a secret, any numbers, to the last digit."""
    back = values_of(text_of("isolate", {"inputs": inputs, "along": along, "flag": flag}))
    assert back["flag"] == str(flag).lower() and float(back["along"].replace(".inf", "inf")) == along
    assert back.get("inputs", inputs) == inputs


def test_any_text_is_a_table_of_options_or_refused():
    @settings(suppress_health_check=[HealthCheck.too_slow])
    @given(st.text(max_size=40))
    def tried(text):
        try:
            told = values_of(text)
        except InputError:
            return
        assert all(isinstance(value, (str, list)) for value in told.values())

    tried()
