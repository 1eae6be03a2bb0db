"""A server of our own on loopback, in a process that is killed and started again on the same port."""

from __future__ import annotations

import socket
import subprocess
import time
from pathlib import Path
from typing import ClassVar

from swift_server.launch import free_ports


class ServerProcess:
    """What all servers of the tests have: a port, `launch()` and `kill()`."""

    name: ClassVar[str] = "the server"

    def __init__(self) -> None:
        self.port = free_ports(1)[0]
        self.process: subprocess.Popen | None = None

    def launch(self, *words: str | Path) -> None:
        """Start a program with its words, and wait until it answers."""
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 30
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > end:
                why = self.reason()
                self.kill()
                raise RuntimeError(f"{self.name} did not start: {why}")
            time.sleep(0.02)

    def answers(self) -> bool:
        """Whether it takes connections."""
        try:
            socket.create_connection(("127.0.0.1", self.port), 0.2).close()
        except OSError:
            return False
        return True

    def reason(self) -> str:
        """Why it did not start, as far as it is known."""
        code = self.process.poll() if self.process is not None else None
        return "it does not answer within 30 s" if code is None else f"exit code {code}"

    def kill(self) -> None:
        """SIGKILL it."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
