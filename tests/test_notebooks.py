"""Every notebook runs from top to bottom, as nbdev runs it, and pytest counts each."""

from pathlib import Path

import pytest
from nbdev.config import get_config

# Under another name: pytest would take `test_nb` itself for a test.
from nbdev.test import test_nb as run_notebook

NBS = sorted((Path(__file__).resolve().parent.parent / "nbs").glob("*.ipynb"))


@pytest.mark.parametrize("notebook", NBS, ids=lambda path: path.stem)
def test_notebook_runs(notebook, root, monkeypatch):
    monkeypatch.chdir(root)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    skip = get_config(path=root).tst_flags.split()
    passed, _ = run_notebook(notebook, skip_flags=skip, basepath=root)
    assert passed, f"{notebook.name} failed; the traceback is in the captured standard error"


def test_the_rooms_are_there():
    modules = {path.stem for path in NBS}
    assert {"index", "00_datasets", "01_dbscan", "02_image_forest", "03_plots", "04_soundings", "90_cli"} <= modules
