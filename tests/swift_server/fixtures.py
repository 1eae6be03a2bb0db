"""One server for the whole test run; tests skip, and say why, where it cannot be made."""
import atexit
import functools
import subprocess
import uuid

import pytest

from oco2_outliers.datasets import Datasets, SwiftFileSystem

from .launch import SwiftServer

QUICK = {"backoff": 0.05, "timeout": 20}


@functools.cache
def the_server(**limits):
    """The server, or the reason why there is none."""
    if limits and not the_server()[0]:
        return the_server()  # one failed installation is enough
    try:
        server = SwiftServer(**limits).start()
    except (OSError, subprocess.CalledProcessError, RuntimeError) as e:
        return None, f"no Swift server here: {e}"
    atexit.register(server.stop)
    return server, ""


def running_server(**limits):
    running, reason = the_server(**limits)
    if running is None:
        pytest.skip(f"{reason}; test_datasets takes the same calls to a folder and to memory")
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
