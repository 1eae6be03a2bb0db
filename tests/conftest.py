"""Shared by all tests: where things are, and no window ever."""

import os
from pathlib import Path

# Before anything loads OpenMP: its threads sleep while they wait. By default they spin, and where the other process of
# the tests holds the core they wait for, that costs fifty times the work.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Each process of the tests has one core. A second thread of linear algebra spins while it waits for the other process:
# a sixth of all the work of the tests. Those that ask whether threads change a result set their own number.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib  # noqa: E402
import pytest  # noqa: E402
from layout import ROOT, SHARED_DATA, module_files  # noqa: E402

matplotlib.use("Agg")


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data, read in place; the tests that need it have a twin on generated input."""
    if not SHARED_DATA.is_dir():
        pytest.skip(f"no real data at {SHARED_DATA}; the same path is tested on generated input")
    return SHARED_DATA


@pytest.fixture(autouse=True)
def no_real_store(tmp_path, monkeypatch):
    """Tests never touch the user's own store or credentials."""
    monkeypatch.setenv("OCO2_STORE", str(tmp_path / "store"))
    for name in list(os.environ):
        if name.startswith("OS_"):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def package_modules() -> list:
    """Every module of the package that a notebook makes."""
    import importlib

    return [importlib.import_module(f"oco2_outliers.{name}") for name in module_files()]
