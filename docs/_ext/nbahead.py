"""Sphinx extension: the pages that have to run do so before Sphinx reads them, several at a time.

myst-nb runs a page when Sphinx reads it: one after the other, each in a process that imports numpy, pandas,
scikit-learn and matplotlib anew, which takes longer than most pages compute. Here one process, the nursery, imports
all that the pages need, once. A kernel is a copy of it (`os.fork`), ready at once, and each core runs one. The outputs
go into myst-nb's own cache, where it finds them. A page that fails is left out: myst-nb runs it again and reports it.

    python nbahead.py nursery SOCKET MODULE...    the process that kernels are copied from; ends with its input
    python nbahead.py kernel SOCKET FILE          stands for a kernel: ends with it, and passes signals on
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys

KERNEL = "oco2-nursery"


# ---------------------------------------------------------------- the nursery

def _become_kernel(asked: dict, connection) -> None:
    """In a copy of the nursery: be the kernel that was asked for."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # a page may start processes, and wait for them
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.setsid()
    os.chdir(asked["folder"])
    connection.sendall(f"{os.getpid()}\n".encode())  # from now on it is open as long as this process lives
    from ipykernel.kernelapp import IPKernelApp

    IPKernelApp.launch_instance(argv=["-f", asked["file"], "--log-level=ERROR"])


def nursery(address: str, modules: list[str]) -> None:
    """Import what pages need, then be copied whenever somebody asks."""
    import gc
    import select
    import socket
    from importlib import import_module

    os.environ["JPY_PARENT_PID"] = str(os.getpid())  # kernels end with the nursery
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")  # as a kernel does
    for module in ("ipykernel.kernelapp", "ipykernel.ipkernel", *modules):
        with contextlib.suppress(Exception):  # a page that needs it says what is wrong
            import_module(module)
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # leaves no dead kernels about
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(address)
        door.listen()
        print("ready", flush=True)
        while sys.stdin not in select.select([door, sys.stdin], [], [])[0]:
            connection, _ = door.accept()
            asked = json.loads(connection.makefile().readline())
            if os.fork() == 0:
                try:
                    door.close()
                    _become_kernel(asked, connection)
                finally:
                    os._exit(0)
            connection.close()


def stand_for_kernel(address: str, file: str) -> None:
    """What Jupyter takes for the kernel."""
    import socket

    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        connection.sendall(json.dumps({"file": file, "folder": os.getcwd()}).encode() + b"\n")
        pid = int(connection.makefile().readline())
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda number, _: os.kill(pid, number))
        connection.recv(1)  # nothing comes, until the kernel has ended


if __name__ == "__main__":
    verb, where, *rest = sys.argv[1:]
    if verb == "nursery":
        nursery(where, rest)
    else:
        stand_for_kernel(where, *rest)
    sys.exit()


# ---------------------------------------------------------------- in Sphinx

import asyncio  # noqa: E402 - kernels start without what Sphinx needs
import subprocess  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Iterator  # noqa: E402
from pathlib import Path  # noqa: E402

from nborder import module_of, notebooks  # noqa: E402
from sphinx.application import Sphinx  # noqa: E402
from sphinx.util import logging  # noqa: E402

LOG = logging.getLogger(__name__)


def cores() -> int:
    """How many pages may run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextlib.contextmanager
def running_nursery(modules: list[str]) -> Iterator[None]:
    """A nursery, and a kernel of the name `KERNEL` that Jupyter finds."""
    with (tempfile.TemporaryDirectory(prefix="nursery-") as place,
          tempfile.TemporaryDirectory(prefix="pages-", ignore_cleanup_errors=True) as left):  # what notebooks leave
        door, spec = str(Path(place) / "door"), Path(place) / "kernels" / KERNEL / "kernel.json"
        spec.parent.mkdir(parents=True)
        command = [sys.executable, str(Path(__file__).resolve())]
        spec.write_text(json.dumps({"argv": [*command, "kernel", door, "{connection_file}"], "language": "python",
                                    "display_name": KERNEL}), encoding="utf-8")
        before = os.environ.get("JUPYTER_PATH")
        os.environ["JUPYTER_PATH"] = os.pathsep.join(filter(None, [place, before]))
        process = subprocess.Popen([*command, "nursery", door, *modules], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, env=os.environ | {"TMPDIR": left})
        try:
            if process.stdout.readline() != b"ready\n":
                raise OSError("the process that kernels are copied from did not start")
            yield
        finally:
            process.stdin.close()
            process.stdout.close()
            process.wait()
            os.environ.pop("JUPYTER_PATH")
            os.environ.update({"JUPYTER_PATH": before} if before else {})


async def run_page(path: Path, notebook, timeout: int) -> float | None:
    """Run a notebook in its folder; the seconds it took, or None where it failed."""
    from nbclient import NotebookClient

    started = time.monotonic()
    client = NotebookClient(notebook, timeout=timeout, kernel_name=KERNEL,
                            record_timing=False,  # the cache would take times for a part of the page
                            resources={"metadata": {"path": str(path.parent)}})
    try:
        await client.async_execute()
    except Exception as error:  # noqa: BLE001 - whatever it is, myst-nb meets it again and says so
        LOG.verbose("%s is left to myst-nb: %s", path.name, error)
        return None
    return time.monotonic() - started


async def run_pages(waiting: dict[Path, object], cache, timeout: int) -> int:
    """Run notebooks, so many at once as there are cores, and keep what comes out; how many did run."""
    from jupyter_cache.base import CacheBundleIn

    gate, done = asyncio.Semaphore(cores()), 0

    async def run_and_keep(path: Path, notebook) -> None:
        nonlocal done
        async with gate:
            seconds = await run_page(path, notebook, timeout)
        if seconds is not None:
            cache.cache_notebook_bundle(CacheBundleIn(notebook, str(path), data={"execution_seconds": seconds}),
                                        check_validity=False, overwrite=True)
            done += 1
            LOG.info("ran %s in %.1f s", path.name, seconds)

    await asyncio.gather(*(run_and_keep(*each) for each in waiting.items()))
    return done


def to_run(app: Sphinx, docnames: list[str], cache) -> dict[Path, object]:
    """The pages with code among those that Sphinx will read whose outputs are not known, those of headlines first.

    Headlines tell long stories; one that began last would leave the other cores with nothing to do.
    """
    from myst_nb.core.read import create_nb_reader

    found: dict[Path, object] = {}
    for name in sorted(docnames, key=lambda name: ("/" in name, name)):
        path = Path(app.env.doc2path(name))
        text = path.read_text(encoding="utf-8")
        reader = create_nb_reader(str(path), app.env.myst_config, app.env.mystnb_config, text)
        if reader is None or path.suffix not in (".ipynb", ".md"):
            continue
        notebook = reader.read(text)
        try:
            cache.match_cache_notebook(notebook)
        except KeyError:
            if notebook.metadata.get("kernelspec", {}).get("name") == "python3":
                found[path] = notebook
    return found


def run_ahead(app: Sphinx, env, docnames: list[str]) -> None:
    """Before Sphinx reads: run the pages that have to."""
    if app.config.nb_execution_mode != "cache" or not hasattr(os, "fork"):
        return
    from jupyter_cache import get_cache

    cache = get_cache(app.env.mystnb_config.execution_cache_path)
    waiting = to_run(app, docnames, cache)
    if len(waiting) < 2:
        return
    folder, package = (Path(os.path.normpath(Path(app.srcdir) / name))
                       for name in (app.config.nbsite_nbs, app.config.nbsite_package))
    modules = [f"{package.name}.{module}" for path in notebooks(folder) if (module := module_of(path))]
    started = time.monotonic()
    try:
        with running_nursery(modules):
            done = asyncio.run(run_pages(waiting, cache, app.config.nb_execution_timeout))
    except OSError as error:
        LOG.info("pages run one after the other: %s", error)
        return
    LOG.info("ran %d of %d pages in %.0f s, %d at a time", done, len(waiting), time.monotonic() - started, cores())


def setup(app: Sphinx) -> dict:
    app.connect("env-before-read-docs", run_ahead)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
