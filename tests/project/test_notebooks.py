"""Every notebook runs from top to bottom, as nbdev runs it, and pytest counts each."""

import ast
import atexit
import contextlib
import sys
from typing import ClassVar

import nbdev.test
import pandas as pd
import pytest
from execnb.shell import CaptureShell
from IPython.core import pylabtools
from layout import NBS, NOTEBOOKS, notebook_name
from nbdev.config import get_config
from nbdev.process import NBProcessor

# Under another name: pytest would take `test_nb` itself for a test.
from nbdev.test import test_nb as run_notebook

# Those whose last cells read the figures that they saved.
READ_THEIR_FIGURES = {"albums/90_figures", "maps/91_mapping", "03_plots"}


@pytest.fixture
def figures_not_shown(monkeypatch):
    """A figure that a cell shows is built, not drawn: `tests/plots` draws one of each kind, the site all of them."""
    monkeypatch.setattr(pylabtools, "retina_figure", lambda *_, **__: None)


class ShellWithoutHistory(CaptureShell):
    """What runs the cells, and writes them to no file: the history of a user's IPython is not that of our tests."""

    opened: ClassVar[list[CaptureShell]] = []

    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.opened.append(self)

    def init_history(self):
        self.config.HistoryManager.enabled = False
        super().init_history()

    def transform_cell(self, raw_cell):
        """Lines that are Python already hold no magic; looking for some takes longer than running most cells."""
        try:
            ast.parse(raw_cell)
        except SyntaxError:
            return super().transform_cell(raw_cell)
        # A single word may be a magic without its sign.
        return raw_cell + "\n" if "\n" in raw_cell else super().transform_cell(raw_cell)


@contextlib.contextmanager
def closing_shells():
    """Each notebook's shell ends here.

    A shell keeps the variables of its notebook until the process ends, and then clears them: a third of a second each.
    It also takes the place of `__main__`, which a process that is started later looks at.
    """
    # A notebook may say how tables are shown; the next one is shown as always.
    with pytest.MonkeyPatch.context() as patch, pd.option_context("display.max_colwidth", 50):
        patch.setattr(nbdev.test, "CaptureShell", ShellWithoutHistory)
        patch.setitem(sys.modules, "__main__", sys.modules["__main__"])
        yield
        while ShellWithoutHistory.opened:
            shell = ShellWithoutHistory.opened.pop()
            atexit.unregister(shell.atexit_operations)
            shell.user_ns.clear()


@pytest.fixture
def closed_shells():
    with closing_shells():
        yield


def test_a_notebook_leaves_the_main_module_as_it_was(root, monkeypatch):
    monkeypatch.setenv("IN_TEST", "1")
    main = sys.modules["__main__"]
    with closing_shells():
        assert run_notebook(NBS / "ground" / "00a_words.ipynb", basepath=root)[0]
    assert sys.modules["__main__"] is main and hasattr(main, "__spec__")


def room_of(cells) -> str:
    """The module that a notebook writes, as it is imported."""
    return "oco2_outliers." + next(name for cell in cells for name in (cell.directives_ or {}).get("default_exp", ()))


def is_named_tuple(part) -> bool:
    """A class of rows for kernels."""
    return isinstance(part, ast.ClassDef) and any(ast.unparse(base) == "NamedTuple" for base in part.bases)


def with_parts_from(room: str, source: str) -> str:
    """The same cell, its named tuples and, beside kernels, its functions imported from the package and not defined."""
    body, kernels = ast.parse(source).body, has_kernels(source)
    taken = [part for part in body if is_named_tuple(part) or kernels and isinstance(part, ast.FunctionDef)]
    others = [ast.unparse(part) for part in body if part not in taken]
    return "\n".join([f"from {room} import {', '.join(part.name for part in taken)}", *others]) if taken else source


def has_kernels(source: str) -> bool:
    return "\n@compiled(" in f"\n{source}"


class KernelsFromThePackage(NBProcessor):
    """A notebook whose exported kernels come from the package, where they are compiled once for all tests.

    So do the named tuples that kernels take: for a class of the notebook's own they would be compiled anew.
    `test_project` holds the text of both to be the same; compiling each notebook's own took a minute and a half.
    """

    def process(self):
        super().process()
        exported = [cell for cell in self.nb.cells
                    if cell.cell_type == "code" and {"export", "exporti"} & set(cell.directives_ or {})]
        if any(has_kernels(cell.source) for cell in exported):
            for cell in exported:
                if has_kernels(cell.source) or "(NamedTuple)" in cell.source:
                    cell.source = with_parts_from(room_of(self.nb.cells), cell.source)


# `index` makes README.md: test_readme runs it.
@pytest.mark.parametrize("notebook", [
    pytest.param(path, id=notebook_name(path),
                 marks=[pytest.mark.figures] if notebook_name(path) in READ_THEIR_FIGURES else [])
    for path in NOTEBOOKS if path.stem != "index"])
def test_notebook_runs(notebook, root, monkeypatch, closed_shells, figures_not_shown):
    monkeypatch.chdir(root)
    monkeypatch.setattr(nbdev.test, "NBProcessor", KernelsFromThePackage)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setenv("IN_TEST", "1")  # nbdev sets it, and nbdev_export would do nothing in the tests that follow
    skip = get_config(path=root).tst_flags.split()
    passed, _ = run_notebook(notebook, skip_flags=skip, basepath=root)
    assert passed, f"{notebook_name(notebook)} failed; the traceback is in the captured standard error"


@pytest.mark.slow
@pytest.mark.figures
@pytest.mark.parametrize("notebook", [path for path in NOTEBOOKS
                                      if any(f'"#| {flag}' in path.read_text("utf-8") for flag in ("slow", "site"))],
                         ids=notebook_name)
def test_notebook_runs_with_its_slow_cells(notebook, root, monkeypatch, closed_shells):
    monkeypatch.chdir(root)
    monkeypatch.setattr(nbdev.test, "NBProcessor", KernelsFromThePackage)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setenv("IN_TEST", "1")
    skip = set(get_config(path=root).tst_flags.split()) - {"slow", "site"}
    passed, _ = run_notebook(notebook, skip_flags=sorted(skip), basepath=root)
    assert passed, f"{notebook_name(notebook)} failed; the traceback is in the captured standard error"


@pytest.mark.torch
@pytest.mark.parametrize("notebook", [path for path in NOTEBOOKS if '"#| torch' in path.read_text("utf-8")],
                         ids=notebook_name)
def test_notebook_runs_with_its_cells_for_torch(notebook, root, monkeypatch, closed_shells):
    pytest.importorskip("torch", reason="no PyTorch (extra torch); the other cells of the notebook are run above")
    monkeypatch.chdir(root)
    monkeypatch.setenv("MPLBACKEND", "Agg")
    monkeypatch.setenv("IN_TEST", "1")
    skip = set(get_config(path=root).tst_flags.split()) - {"torch"}
    passed, _ = run_notebook(notebook, skip_flags=sorted(skip), basepath=root)
    assert passed, f"{notebook_name(notebook)} failed; the traceback is in the captured standard error"


def test_the_rooms_are_there():
    headlines = {"index", "00_datasets", "01_dbscan", "02_image_forest", "03_plots", "04_soundings", "90_cli"}
    assert headlines <= set(map(notebook_name, NOTEBOOKS))
