"""One server for the whole test run; tests skip, and say why, where it cannot be made."""
import atexit
import functools
import subprocess
import uuid

import pytest

from oco2_outliers.datasets import Datasets, SwiftFileSystem

from .launch import SwiftServer

QUICK = {"backoff": 0.05, "timeout": 20}


FAILED: list[str] = []  # why there is no server: one failed installation is enough


def new_server(**limits):
    """A server that runs; the test skips where there is none."""
    if not FAILED:
        server = SwiftServer(**limits)
        try:
            return server.start()
        except (OSError, subprocess.CalledProcessError, RuntimeError) as e:
            server.stop()
            FAILED.append(f"no Swift server here: {e}")
    pytest.skip(f"{FAILED[0]}; test_datasets takes the same calls to a folder and to memory")


@functools.cache
def the_server(**limits):
    """The one server with these limits, which ends when the tests do."""
    server = new_server(**limits)
    atexit.register(server.stop)
    return server


def running_server(**limits):
    running = the_server(**limits)
    for kind, daemon in running.daemons.items():
        assert daemon.poll() is None, f"{kind} has ended: {(running.folder / f'{kind}.log').read_text()[-500:]}"
    return running


@pytest.fixture(scope="session")
def server():
    return running_server()


@pytest.fixture(scope="session")
def usual_server():
    """A second one with the page limit of most servers; rclone asks for a thousand names at a time."""
    return running_server(container_listing_limit=10000)


@pytest.fixture
def container():
    """A fresh name."""
    return f"c{uuid.uuid4().hex[:12]}"


@pytest.fixture
def store(server, container):
    """Datasets on a fresh container of the real server."""
    store = Datasets(server.settings, container=container, **QUICK)
    store.fs.ensure_container(container)
    return store


@pytest.fixture
def swift(server):
    """The filesystem on the real server."""
    return SwiftFileSystem(server.settings, skip_instance_cache=True, **QUICK)
