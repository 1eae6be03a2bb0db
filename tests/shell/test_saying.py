"""How much is said beside a report, which stays the same; and completion of words by a real shell."""

import logging
import os
import shutil
import subprocess
import sys

import pytest

from oco2_outliers.cli import main
from oco2_outliers.ground.telling import LOG


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table with a column that some will be warned of."""
    monkeypatch.chdir(tmp_path)
    lines = [f"{i},{400 + i % 7},{i % 5}" for i in range(60)] + ["60,420,3"]
    (tmp_path / "t.csv").write_text("\n".join(["a,xco2,b", *lines]))
    return tmp_path / "t.csv"


def said_by(capsys, *argv):
    """Exit code, standard output and standard error of a command."""
    code = main(list(argv))
    said = capsys.readouterr()
    return code, said.out, said.err


def test_verbose_tells_what_is_read_and_the_report_stays(table, capsys, monkeypatch):
    usual = said_by(capsys, "isolate", "t.csv", "--eps", "2")
    quiet = said_by(capsys, "--quiet", "isolate", "t.csv", "--eps", "2")
    told = said_by(capsys, "--verbose", "isolate", "t.csv", "--eps", "2")
    assert usual[0] == 0 and usual[:2] == quiet[:2] == told[:2] and quiet[2] == ""
    lines = told[2].splitlines()
    assert lines[0].startswith("oco2-outliers: info: read t.csv: 61 rows, ")
    assert any("writing the result took" in line for line in lines) and "all of isolate took" in lines[-1]
    monkeypatch.setenv("OCO2_LOG", "verbose")
    assert "info: read t.csv" in said_by(capsys, "isolate", "t.csv", "--eps", "2")[2]
    assert said_by(capsys, "-q", "isolate", "t.csv", "--eps", "2")[2] == "", "an option counts more"
    monkeypatch.setenv("OCO2_LOG", "debug")
    assert "debug: wrote " in said_by(capsys, "soundings", "convert", "t.csv", "u.csv")[2]


def test_quiet_leaves_warnings_out_and_errors_in(table, capsys, monkeypatch):
    from oco2_outliers.soundings import tables_in

    read = tables_in.read_soundings

    def warning(*args, **more):
        import warnings

        warnings.warn("a word of a library", stacklevel=2)
        logging.getLogger("another.library").warning("and another")
        return read(*args, **more)

    monkeypatch.setattr("oco2_outliers.soundings.inputs.read_soundings", warning)
    command = "isolate", "t.csv", "--eps", "2"
    assert said_by(capsys, *command)[2] == "oco2-outliers: a word of a library\noco2-outliers: and another\n"
    assert said_by(capsys, "--quiet", *command)[2] == ""
    code, _, err = said_by(capsys, "--quiet", "isolate", "absent.csv")
    assert code == 2 and err.count("\n") == 1 and "absent.csv" in err
    code, _, err = said_by(capsys, "-v", "isolate", "absent.csv")
    assert code == 2 and "all of isolate failed after" in err and "no such file: absent.csv" in err.splitlines()[-1]


def test_levels_that_cannot_be_are_refused(table, capsys, monkeypatch):
    code, out, err = said_by(capsys, "-q", "-v", "soundings", "info", "t.csv")
    assert (code, out, err) == (2, "", "oco2-outliers: give --quiet or --verbose, not both\n")
    monkeypatch.setenv("OCO2_LOG", "lou\x1bd")
    code, _, err = said_by(capsys, "soundings", "info", "t.csv")
    assert code == 2 and "OCO2_LOG is quiet" in err and "\x1b" not in err


def test_a_program_that_calls_a_command_gets_its_log_back(table, capsys):
    LOG.setLevel(logging.CRITICAL)
    try:
        said_by(capsys, "--verbose", "soundings", "info", "t.csv")
        assert LOG.level == logging.CRITICAL and LOG.handlers == []
    finally:
        LOG.setLevel(logging.NOTSET)


def test_libraries_are_not_turned_up(table, capsys, monkeypatch):
    monkeypatch.setenv("OCO2_LOG", "debug")
    levels = []
    monkeypatch.setattr("oco2_outliers.soundings.describe_soundings", lambda table: levels.append(
        [logging.getLogger(name).getEffectiveLevel() for name in ("swiftclient", "keystoneauth", "")]))
    assert main(["soundings", "info", "t.csv"]) == 0 and levels == [[logging.WARNING] * 3]


# ---------------------------------------------------------------- completion

bash = pytest.mark.skipif(shutil.which("bash") is None, reason="no bash here; other test: "
                          "test_the_words_that_a_shell_asks_for")

COMPLETE = """
eval "$(oco2-outliers --show-completion)"
asked() {
  COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
  "$(complete -p oco2-outliers | sed 's/.*-F \\([^ ]*\\) .*/\\1/')" oco2-outliers "${COMP_WORDS[COMP_CWORD]}"
  echo "${COMPREPLY[*]}"
}
asked oco2-outliers expl
asked oco2-outliers isolate --min
asked oco2-outliers series jud
asked oco2-outliers --verb
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    """A folder with the program under its name, as an installation puts it on the path."""
    folder = tmp_path_factory.mktemp("bin")
    script = folder / "oco2-outliers"
    script.write_text(f"#!/bin/sh\nexec {sys.executable} -m oco2_outliers \"$@\"\n")
    script.chmod(0o755)
    return folder


def in_bash(program, script, **more):
    env = {**os.environ, "PATH": f"{program}{os.pathsep}{os.environ['PATH']}", **more}
    return subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, timeout=120, env=env)


@bash
def test_bash_completes_commands_and_options(program):
    done = in_bash(program, COMPLETE)
    assert done.stdout.splitlines() == ["explore", "--min-samples", "judge", "--verbose"], done.stderr


@bash
def test_completion_is_installed_for_bash(program, tmp_path):
    done = in_bash(program, "oco2-outliers --install-completion; exit $?", HOME=str(tmp_path))
    assert done.returncode == 0 and "bash completion installed" in done.stdout, done.stderr
    written = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != ".bashrc"]
    assert [path.name for path in written] == ["oco2-outliers.sh"] and str(written[0]) in (
        tmp_path / ".bashrc").read_text()
    done = in_bash(program, f". '{written[0]}'; complete -p oco2-outliers")
    assert done.returncode == 0 and "-F" in done.stdout


def test_the_words_that_a_shell_asks_for(capsys, monkeypatch):
    for name, value in {"_OCO2_OUTLIERS_COMPLETE": "complete_zsh",
                        "_TYPER_COMPLETE_ARGS": "oco2-outliers doct"}.items():
        monkeypatch.setenv(name, value)
    assert said_by(capsys)[1].count("doctor") >= 1
