"""One entry in the list of tasks is enough: the command line offers it, checks it and runs it."""

import subprocess
import sys

import pandas as pd
import pytest
from layout import ROOT
from scale_tasks import spread_rows

from oco2_outliers.cli import main
from oco2_outliers.ground.errors import InputError
from oco2_outliers.runs.tasks import TASKS, Parameter, Task, add_task, command_line_parameters, load_function
from oco2_outliers.scale import map_files


@pytest.fixture
def spread():
    """A task that is in the list during a test."""
    added = add_task(Task("spread", "scale_tasks:spread_rows", "tell how far a column is spread",
                          (Parameter("column", "xco2", "column to look at."),
                           Parameter("times", 1.0, "the spread is multiplied by this.", "number", option="factor"),
                           Parameter("only", None, "only these columns count, a,b,c.", "names"),
                           Parameter("robust", False, "use the quartiles.", "flag"),
                           Parameter("hidden", "for Python only"))))
    yield added
    del TASKS["spread"]


@pytest.fixture
def day(tmp_path):
    table = pd.DataFrame({"sounding_id": range(4), "xco2": [1.0, 2, 3, 4], "psurf": 5.0})
    table.to_csv(tmp_path / "day.csv", index=False)
    return tmp_path / "day.csv"


def test_the_command_line_offers_a_new_task(spread, capsys):
    assert main(["run", "--help"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "spread tell how far a column is spread." in said and "spread: the spread is multiplied" in said
    assert "--factor" in said and "--robust" in said and "--times" not in said and "--hidden" not in said
    assert said.count("--column ") == 1 and "peaks: column to search, ppm; spread: column to look at." in said


def test_the_command_line_runs_a_new_task(spread, day, tmp_path, capsys):
    arguments = ["--column", "psurf", "--factor", "2", "--only", "xco2, psurf", "--robust"]
    assert main(["run", "spread", str(day), "--out", str(tmp_path / "out"), *arguments]) == 0
    assert "spread: 1 file, 1 done now" in capsys.readouterr().out
    (part,) = (tmp_path / "out" / "parts").iterdir()
    assert pd.read_parquet(part).to_dict("records") == [
        {"column": "psurf", "times": 2.0, "only": "xco2 psurf", "robust": True, "hidden": "for Python only", "rows": 4}]
    assert main(["run", "spread", str(day), "--out", str(tmp_path / "out"), *arguments]) == 0
    assert "0 done now, 1 there already" in capsys.readouterr().out


def test_a_new_task_is_checked(spread, day, tmp_path, capsys):
    for arguments, why in ((["--eps", "2"], "spread has no option --eps"), (["--factor", "wide"], "factor"),
                           (["--scope", "all"], "no --scope, --scale-over, --memory-limit or --reference-rows: these "
                                                "are for isolate")):
        assert main(["run", "spread", str(day), "--out", str(tmp_path / "out"), *arguments]) == 2
        assert why in capsys.readouterr().err
    assert main(["run", "isolate", str(day), "--out", str(tmp_path / "out"), "--factor", "2"]) == 2
    assert "isolate has no option --factor" in capsys.readouterr().err and not (tmp_path / "out").exists()
    with pytest.raises(InputError, match="spread has no parameter 'colour'; it has: column, times, only"):
        map_files(day, "spread", out=tmp_path / "out", parameters={"colour": 1})
    known = "isolate, peaks, convert, images, series, spread"
    with pytest.raises(InputError, match=f"no task 'wash'; there are {known}"):
        map_files(day, "wash", out=tmp_path / "out")


def test_a_task_that_would_confuse_the_command_line_is_refused():
    for parameter, why in ((Parameter("column", 1, "number of it.", "whole"), "write --column in two ways"),
                           (Parameter("n_surrogates", 1, "how many.", "whole"), "write --n-surrogates in two ways"),
                           (Parameter("names", None, "columns.", "names", option="columns"), "write --columns"),
                           (Parameter("out", None, "where to."), "--out is an option of run itself")):
        with pytest.raises(InputError, match=why):
            add_task(Task("odd", spread_rows, parameters=(parameter,)))
    with pytest.raises(InputError, match="there is a task 'peaks' already"):
        add_task(Task("peaks", spread_rows))
    assert "odd" not in TASKS


def test_the_help_of_map_files_names_every_task_and_parameter():
    for task in TASKS.values():
        assert f'"{task.name}"' in map_files.__doc__ and load_function(task.function)
        assert all(f"`{each.name}`" in map_files.__doc__ for each in task.parameters)
    assert max(map(len, map_files.__doc__.splitlines())) <= 120


def test_every_option_tells_its_task():
    for each in command_line_parameters():
        assert any(each.help.startswith(name) for name in TASKS), each


def test_the_help_does_not_wait_for_what_commands_need():
    """Every command and group of them: what it needs is imported when it runs, not where its options are told."""
    code = ("import sys; from oco2_outliers.cli import main\n"
            "main(['--help'])\n"
            "for command in ('run', 'isolate', 'soundings', 'peaks', 'images', 'embeddings', 'catalog', 'series',\n"
            "                'explore'):\n"
            "    main([command, '--help'])\n"
            "print([m for m in ('numpy', 'pandas', 'sklearn', 'cv2', 'fsspec', 'matplotlib') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.stdout.strip().endswith("[]"), done.stdout + done.stderr


@pytest.mark.heavy
def test_a_process_imports_what_its_own_task_needs():
    """A worker that converts or isolates small files waits neither for scikit-learn, nor numba, nor what draws.

    Nor does who reads a result to hand it on. Figures need no OpenCV, and PyTorch is loaded where something is trained.
    All in one process: starting one for each question costs more than the answers.
    """
    code = ("import sys; from oco2_outliers.runs.tasks import TASKS, load_function\n"
            "import oco2_outliers.runs.working\n"
            "for task in 'convert', 'isolate':\n"
            "    load_function(TASKS[task].function)\n"
            "    print([m for m in ('cv2', 'sklearn', 'matplotlib.pyplot', 'numba') if m in sys.modules])\n"
            "import oco2_outliers.exports, oco2_outliers.links, oco2_outliers.page.report_page\n"
            "import oco2_outliers.embeddings\n"
            "print([m for m in ('sklearn', 'scipy', 'matplotlib.pyplot', 'numba', 'cv2') if m in sys.modules])\n"
            "import oco2_outliers.plots\n"
            "print('cv2' in sys.modules)\n"
            "import oco2_outliers.autoencoders, oco2_outliers.shell.training_commands\n"
            "print('torch' in sys.modules)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, cwd=ROOT)
    assert done.stdout.splitlines() == ["[]", "[]", "[]", "False", "False"], done.stdout + done.stderr
