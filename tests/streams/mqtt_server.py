"""A mosquitto of our own on loopback: its own folder and port, killed and started again on the same files."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_process import ServerProcess

WHERE = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
SETTINGS = """listener {port} 127.0.0.1
max_queued_messages 0
max_inflight_messages 0
"""
OPEN = "allow_anonymous true\n"
# Written after every change: by default mosquitto writes every half hour, and forgets the rest when it is killed.
KEPT = OPEN + """persistence true
persistence_location {folder}/
autosave_interval 1
autosave_on_changes true
"""


class Mosquitto(ServerProcess):
    """`start()`, `kill()` with SIGKILL, `start()` again on the same port and files."""

    name = "mosquitto"

    def __init__(self, more: str = OPEN) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="mosquitto-"))
        self.more = more

    @property
    def url(self) -> str:
        """Its address for the package."""
        return f"mqtt://127.0.0.1:{self.port}/"

    def start(self) -> Mosquitto:
        """Start it, and wait until it takes connections."""
        program = shutil.which("mosquitto", path=WHERE)
        if program is None:
            raise FileNotFoundError("no mosquitto on this machine")
        settings = self.folder / "mosquitto.conf"
        user = "user root\n" if os.getuid() == 0 else ""
        text = (SETTINGS + user + self.more).format(port=self.port, folder=self.folder)
        settings.write_text(text, encoding="utf-8")
        self.launch(program, "-c", settings)
        return self

    def stop(self) -> None:
        """End it, and remove its files."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _served(more: str) -> Iterator[Mosquitto]:
    server = Mosquitto(more)
    try:
        yield server.start()
    except FileNotFoundError as error:
        pytest.skip(f"{error}; other test: test_notebooks.py, 26_mqtt_topics")
    finally:
        server.stop()


@pytest.fixture(scope="session")
def mosquitto() -> Iterator[Mosquitto]:
    """One server for the whole run, which stays well."""
    yield from _served(OPEN)


@pytest.fixture
def mortal_mosquitto() -> Iterator[Mosquitto]:
    """A server that may be killed, and has its sessions when it is started again."""
    yield from _served(KEPT)
