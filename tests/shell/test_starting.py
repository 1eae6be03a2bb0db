"""What the program loads and reads before it works: no more than it needs, and the same as without that care."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest
import typer
import typer.main
from hypothesis import given
from hypothesis import strategies as st

from oco2_outliers.cli import app, main
from oco2_outliers.shell.front import COMMANDS, told_itself
from oco2_outliers.shell.plain_values import UNSURE, plain, reading_plainly


def test_the_lines_of_the_front_are_those_of_the_commands_in_their_order():
    whole = typer.main.get_command(app).commands
    assert list(COMMANDS.items()) == [(name, each.help) for name, each in whole.items()]


@pytest.mark.parametrize("arguments", [["--help"], [], ["-q", "--help"], ["--version"], ["--loud"], ["-q"],
                                       ["-qv", "--help"]])
@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_the_front_answers_as_the_whole_program(arguments, columns, monkeypatch, capfd):
    from oco2_outliers.shell.boundary import within_boundary

    monkeypatch.setenv("COLUMNS", columns)
    told = told_itself(arguments), capfd.readouterr()
    whole = typer.main.get_command(app)
    assert within_boundary(lambda: whole(args=arguments, prog_name="oco2-outliers", standalone_mode=False)) == told[0]
    assert capfd.readouterr() == told[1]


def test_every_command_says_the_same_help_alone_and_in_the_whole_program(capsys):
    whole = typer.main.get_command(app)
    for name in COMMANDS:
        assert main([name, "--help"]) == 0
        alone = capsys.readouterr().out
        with pytest.raises(SystemExit):
            whole(args=[name, "--help"], prog_name="oco2-outliers")
        assert capsys.readouterr().out == alone and "Usage" in alone


LOADED = ("import sys\nfrom oco2_outliers.__main__ import run\nsys.argv[1:] = {!r}\nrun()\n"
          "print(*sys.modules, file=sys.stderr)")


@pytest.mark.parametrize("arguments, heavy", [
    (["--help"], ["oco2_outliers.cli", "pydantic", "rich", "numpy", "oco2_outliers.runs.tasks"]),
    (["--version"], ["oco2_outliers.cli", "pydantic"]),
    (["isolate", "--help"], ["oco2_outliers.shell.series_commands", "oco2_outliers.shell.doctor", "pydantic", "numpy"]),
])
def test_nothing_heavy_is_loaded_before_there_is_work(arguments, heavy):
    done = subprocess.run([sys.executable, "-c", LOADED.format(arguments)], capture_output=True, text=True, check=True)
    assert sorted({*done.stderr.split()} & {*heavy}) == [] and done.stdout


def test_a_plain_job_needs_no_library_for_its_options(tmp_path):
    Path(tmp_path, "t.csv").write_text("a,b\n" + "".join(f"{i % 7},{i % 5}\n" for i in range(60)))
    asked = ["isolate", str(tmp_path / "t.csv"), "--out", str(tmp_path / "out"), "--no-figures", "--jobs", "1"]
    done = subprocess.run([sys.executable, "-c", LOADED.format(asked)], capture_output=True, text=True, check=True)
    heavy = {"pydantic", "matplotlib", "numba", "scipy", "sklearn", "requests", "fsspec", "tqdm",
             "oco2_outliers.datasets"}
    assert sorted({*done.stderr.split()} & heavy) == []


texts = st.one_of(st.text(max_size=8), st.from_regex(r"-?0?[0-9]{1,17}(\.[0-9]*)?(e[0-9])?", fullmatch=True),
                  st.sampled_from(["", ".", "/", "nan", "inf", "+1", " 1", "1_0", "-0", "-0.0", "\udc80", "a\0b"]))
values = st.one_of(st.none(), texts, st.integers(), st.floats(), st.booleans(), texts.map(Path), st.binary(max_size=3),
                   st.lists(texts, max_size=3), st.lists(texts, max_size=3).map(tuple))


def _every_kind(
    a: Annotated[str, typer.Argument()], b: Annotated[list[str], typer.Argument()],
    c: Annotated[int, typer.Option(min=-3, max=30)] = 1, d: Annotated[float, typer.Option(min=0.5)] = 1.0,
    e: int | None = None, f: float | None = None, g: Path = Path("x"), h: bool = False, i: list[int] | None = None,
    j: Annotated[list[Path] | None, typer.Option()] = None, k: Annotated[Path | None, typer.Option(exists=True)] = None,
    m: Annotated[int, typer.Option(min=0, max=5, clamp=True)] = 0,
) -> None:
    """All kinds of values."""


def _built():
    """A command, and its parameters."""
    program = typer.Typer(add_completion=False)
    program.command()(_every_kind)
    command = typer.main.get_command(program)
    return typer.Context(command), [each for each in command.params if each.name != "help"]


CONTEXT, USUAL = _built()
_, PLAIN = _built()
for _each in PLAIN:
    reading_plainly(_each)


def read(param, value):
    """What a parameter makes of a value, or how it refuses it."""
    try:
        found = param.process_value(CONTEXT, value)
    except Exception as error:  # noqa: BLE001 - the same kind and words are asked of both
        return type(error), str(error), getattr(error, "message", "")
    return type(found), repr(found)


@given(which=st.integers(0, len(USUAL) - 1), value=values)
def test_plain_values_are_read_as_typer_reads_them(which, value):
    assert read(PLAIN[which], value) == read(USUAL[which], value)


@given(kind=st.sampled_from([str, int, float, Path, list[str], list[int], bool]), value=values)
def test_what_is_read_here_has_the_kind_that_was_asked_for(kind, value):
    found = plain(kind, value, typer.Option())
    assert found is UNSURE or isinstance(found, getattr(kind, "__origin__", kind))


def test_a_path_that_cannot_be_read_is_left_to_typer(tmp_path, monkeypatch):
    Path(tmp_path, "t.csv").touch()
    monkeypatch.setattr("os.access", lambda *_: False)
    assert plain(Path, str(tmp_path / "t.csv"), typer.Option()) is UNSURE
    assert plain(Path, str(tmp_path / "new.csv"), typer.Option()) == tmp_path / "new.csv"
