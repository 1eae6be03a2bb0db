"""Every command that reads tables takes what the error of a CSV with two readings asks for."""

import re
from pathlib import Path

import numpy as np
import pytest

from oco2_outliers.cli import main
from oco2_outliers.datasets import Datasets
from oco2_outliers.ground import dialects
from oco2_outliers.ground.errors import InputError
from oco2_outliers.plumes.candidates import read_inventory
from oco2_outliers.plumes.reading import read_peaks


def text_of(kind, of_result, n=30):
    """A table whose first lines do not settle encoding, separator or decimal mark; one of a result has a verdict."""
    rng = np.random.default_rng(0)
    names = ["sounding_id", "latitude", "longitude", "xco2", "albedo", *(["score", "outlier"] if of_result else [])]
    last = {"encoding": ("site", "Orl\u00e9ans"), "separator": ("site,town", "Paris,Lyon"),
            "decimal": ("site", "Paris")}
    lines = [[*names, last[kind][0]]]
    for k in range(n):
        numbers = 50 + k / 100, 8 + k / 100, 400 + rng.normal(), 1 + rng.random(), 1 + rng.random()
        cells = [f"{value:.3f}" for value in numbers[:4 + of_result]]
        if kind == "decimal":  # each may be a thousand times as large
            cells = [cell.replace(".", ",") for cell in cells]
        lines.append([f"2019071518{k:04d}73", *cells, *(["True"] if of_result else []), last[kind][1]])
    return "\n".join(map(";".join, lines)).encode("cp1252")


GIVEN = {"encoding": ["--encoding", "cp1252"], "decimal": ["--decimal", ","], "separator": ["--separator", ";"]}
COMMANDS = {
    "isolate": ["isolate", "IN", "--out", "out"],
    "peaks": ["peaks", "IN", "--out", "out", "--surrogates", "39", "--no-figures"],
    "info": ["soundings", "info", "IN"],
    "convert": ["soundings", "convert", "IN", "new.parquet"],
    "run isolate": ["run", "isolate", "IN", "--out", "out"],
    "run isolate orbit": ["run", "isolate", "IN", "--out", "out", "--scope", "orbit"],
    "run isolate all": ["run", "isolate", "IN", "--out", "out", "--scope", "all"],
    "run peaks": ["run", "peaks", "IN", "--out", "out", "--surrogates", "39"],
    "run convert": ["run", "convert", "IN", "--out", "out"],
    "explore": ["explore", "IN", "--out", "out.html"],
}


@pytest.fixture
def at_home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for kind in GIVEN:
        (tmp_path / f"{kind}.csv").write_bytes(text_of(kind, of_result=False))
        (tmp_path / f"{kind}_result.csv").write_bytes(text_of(kind, of_result=True))
    return tmp_path


QUICK = [("encoding", command) for command in ("isolate", "info", "run isolate all", "run convert", "explore")]
QUICK += [("decimal", "run isolate"), ("decimal", "explore"), ("separator", "run isolate orbit"), ("separator", "info")]
EVERY = [pytest.param(kind, command, marks=() if (kind, command) in QUICK else pytest.mark.slow)
         for kind in GIVEN for command in COMMANDS]


@pytest.mark.parametrize(("kind", "command"), EVERY)
def test_what_the_message_asks_for_is_taken(at_home, capsys, command, kind):
    file = f"{kind}{'_result' * (command == 'explore')}.csv"
    argv = [file if word == "IN" else word for word in COMMANDS[command]]
    before = main(argv)
    said = capsys.readouterr()
    assert before in (1, 2) and GIVEN[kind][0] in said.out + said.err
    assert main([*argv, *GIVEN[kind], *(["--no-resume"] if argv[0] == "run" else [])]) == 0, capsys.readouterr()


def test_every_option_that_a_message_names_is_an_option_of_every_command_that_reads_tables(at_home, capsys):
    named = set(re.findall(r"--[a-z]+", Path(dialects.__file__).read_text("utf-8")))
    assert named == {"--encoding", "--separator", "--decimal"}
    for words in ("isolate", "peaks", "soundings info", "soundings convert", "run", "explore"):
        assert main([*words.split(), "--help"]) == 0
        said = capsys.readouterr().out
        assert all(option in said for option in named), words


def test_readers_of_python_take_it_too(at_home):
    with pytest.raises(InputError, match="--encoding"):
        Datasets(at_home).get_dataframe("encoding.csv")
    for name in ("encoding.csv", (at_home / "encoding.csv").as_uri(), str(at_home / "encoding.csv")):
        assert Datasets(at_home).get_dataframe(name, encoding="cp1252")["site"][0] == "Orléans"
    text = (at_home / "encoding_result.csv").read_text("cp1252")
    of_peaks = text.replace("score;outlier", "amplitude;sigma").replace("True", "2.5")
    (at_home / "peaks.csv").write_text(of_peaks, "cp1252")
    assert len(read_peaks(at_home / "peaks.csv", encoding="cp1252")) == 30
    (at_home / "works.csv").write_text(text.replace("xco2", "emission"), "cp1252")
    with pytest.raises(InputError, match="--encoding"):
        read_inventory("works.csv", None)
    assert len(read_inventory("works.csv", None, encoding="cp1252").table) == 30
    (at_home / "plain.csv").write_text("latitude,longitude,emission\n50,8,1.5\n")
    assert len(read_inventory("plain.csv", None, separator=";").table) == 1  # plain to see, whatever the tracks are
