"""Every notebook runs from top to bottom, as nbdev runs it, and pytest counts each."""

import pytest
from layout import NOTEBOOKS, notebook_name
from nbdev.config import get_config

# Under another name: pytest would take `test_nb` itself for a test.
from nbdev.test import test_nb as run_notebook


# `index` makes README.md: test_readme runs it.
@pytest.mark.parametrize("notebook", [path for path in NOTEBOOKS if path.stem != "index"], ids=notebook_name)
def test_notebook_runs(notebook, root, monkeypatch):
    monkeypatch.chdir(root)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setenv("IN_TEST", "1")  # nbdev sets it, and nbdev_export would do nothing in the tests that follow
    skip = get_config(path=root).tst_flags.split()
    passed, _ = run_notebook(notebook, skip_flags=skip, basepath=root)
    assert passed, f"{notebook_name(notebook)} failed; the traceback is in the captured standard error"


def test_the_rooms_are_there():
    headlines = {"index", "00_datasets", "01_dbscan", "02_image_forest", "03_plots", "04_soundings", "90_cli"}
    assert headlines <= set(map(notebook_name, NOTEBOOKS))
