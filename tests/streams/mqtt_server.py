"""A mosquitto of our own on loopback: its own folder and port, killed and started again on the same files."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from swift_server.launch import free_ports

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


class Mosquitto:
    """`start()`, `kill()` with SIGKILL, `start()` again on the same port and files."""

    def __init__(self, more: str = OPEN) -> None:
        self.port = free_ports(1)[0]
        self.folder = Path(tempfile.mkdtemp(prefix="mosquitto-"))
        self.more = more
        self.process: subprocess.Popen | None = None

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
        self.process = subprocess.Popen([program, "-c", str(settings)], stdout=subprocess.DEVNULL,
                                        stderr=subprocess.DEVNULL)
        end = time.monotonic() + 30
        while not self._listens():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"mosquitto did not start (exit code {self.process.poll()})")
            time.sleep(0.02)
        return self

    def _listens(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 0.2).close()
        except OSError:
            return False
        return True

    def kill(self) -> None:
        """SIGKILL it."""
        if self.process is not None and self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()

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
