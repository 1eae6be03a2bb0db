"""Shared by all tests: where things are, and no window ever."""

import functools
import gc
import itertools
import os
import shutil
import signal
import tempfile
import threading
from pathlib import Path

# Before anything loads OpenMP: its threads sleep while they wait. By default they spin, and where the other process of
# the tests holds the core they wait for, that costs fifty times the work.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Each process of the tests has one core. A second thread of linear algebra spins while it waits for the other process:
# a sixth of all the work of the tests. Those that ask whether threads change a result set their own number.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A job in the background is started with Ctrl-C ignored, and so is all that it starts: tests that press it would wait.
if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import hypothesis  # noqa: E402
import matplotlib  # noqa: E402
import pytest  # noqa: E402
import typer.main  # noqa: E402
from layout import ROOT, SHARED_DATA, module_files  # noqa: E402
from matplotlib.figure import Figure  # noqa: E402

matplotlib.use("Agg")
# How long an example takes says nothing on a machine that does other work, too.
hypothesis.settings.register_profile("no clock", deadline=None,
                                     suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("no clock")
NUMBERS = itertools.count()
# A picture of one dot.
DOT = bytes.fromhex("89504e470d0a1a0a0000000d49484452000000010000000108000000003a7e9b55"
                    "0000000a49444154789c6360000000020001e221bc330000000049454e44ae426082")


def number_of_commands(app: typer.Typer) -> int:
    """How many commands a program has, those of its groups included."""
    return len(app.registered_commands) + sum(number_of_commands(group.typer_instance)
                                              for group in app.registered_groups if group.typer_instance)


@functools.cache
def built_command(app: typer.Typer, n_commands: int):
    """What typer makes of a program's annotations."""
    return build_command(app)


# Typer reads the annotations of all commands again whenever the program is called: a tenth of a second, and tests call
# it many hundreds of times. Here it reads them once, and anew where a command was added.
build_command = typer.main.get_command
typer.main.get_command = lambda app: built_command(app, number_of_commands(app))


def pytest_collection_finish():
    """Modules and tests stay until the end: looking through them again and again for garbage costs a twentieth."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish():
    """Garbage is looked for once more, and what is left stays: pytest looks twice, a second or more each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def nothing_left_behind(tmp_path_factory):
    """Temporary folders of notebooks, examples and servers lie in one, which goes when the tests end.

    The user's own temporary folder grew by a hundred of them with each `make test`.
    """
    tmp_path_factory.getbasetemp()  # pytest's own folders stay where they are: those of failed tests are to be seen
    place, before = Path(tempfile.mkdtemp(prefix="tests-")), tempfile.gettempdir()
    place.chmod(0o755)  # some servers run as another user
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(place))
        patch.setattr(tempfile, "tempdir", str(place))
        yield
    assert tempfile.gettempdir() == before
    shutil.rmtree(place, ignore_errors=True)


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
def no_real_store(tmp_path_factory, monkeypatch):
    """Tests never touch the user's own store or credentials; the store of each is a folder that is not there yet."""
    monkeypatch.setenv("OCO2_STORE", str(tmp_path_factory.getbasetemp() / f"store_{next(NUMBERS)}"))
    for name in list(os.environ):
        if name.startswith("OS_"):
            monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def figures_left_blank(request, monkeypatch):
    """The two figures of a result take four times as long as its search: only tests marked `figures` draw them.

    So do the figures of a report, which are drawn into memory. Programs that tests start as processes of their own
    draw theirs.
    """
    draw = Figure.savefig

    def blank(figure, file, **options):
        if options.get("format") == "png" and hasattr(file, "write"):
            file.write(DOT)
        elif str(file).endswith(".png"):
            Path(file).write_bytes(DOT)
        else:
            draw(figure, file, **options)

    if request.node.get_closest_marker("figures") is None:
        monkeypatch.setattr(Figure, "savefig", blank)


@pytest.fixture(scope="session")
def package_modules() -> list:
    """Every module of the package that a notebook makes."""
    import importlib

    return [importlib.import_module(f"oco2_outliers.{name}") for name in module_files()]
