"""A real redis-server whose every write is on the disk before it is confirmed; it can be killed and started again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from server_process import ServerProcess
from swift_server.launch import free_ports


class RedisServer(ServerProcess):
    """`start()`, `kill()` with SIGKILL, `start()` again on the same port: then it has what it had confirmed.

    A server that is not `durable` keeps all in memory, and is empty after it was killed. One that is `safe` speaks TLS
    on a port of its own, and the certificate that a client must trust is `certificate`.
    """

    name = "redis-server"

    def __init__(self, folder: Path, durable: bool = True, password: str = "", safe: bool = False) -> None:
        program = shutil.which("redis-server")
        if program is None:
            raise FileNotFoundError("no redis-server on this machine: apt-get install redis-server")
        super().__init__()
        self.program, self.folder = program, folder
        self.durable, self.password, self.certificate = durable, password, folder / "certificate.pem"
        self.safe_port = free_ports(1)[0] if safe else 0

    @property
    def url(self) -> str:
        """Its address for the package."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> RedisServer:
        """Start it, and wait until it answers."""
        words = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder), "--save", "", "--loglevel",
                 "warning", "--logfile", str(self.folder / "redis.log"), "--maxclients", "200"]
        words += ["--appendonly", "yes", "--appendfsync", "always"] if self.durable else ["--appendonly", "no"]
        words += ["--requirepass", self.password] if self.password else []
        words += self._tls() if self.safe_port else []
        self.launch(self.program, *words)
        return self

    def _tls(self) -> list[str]:
        """A certificate for this address alone, and the words that use it."""
        key = self.folder / "key.pem"
        if not key.exists():
            subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=a",
                            "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", self.certificate],
                           check=True, capture_output=True)
        return ["--tls-port", str(self.safe_port), "--tls-cert-file", str(self.certificate), "--tls-key-file", str(key),
                "--tls-auth-clients", "no"]

    def reason(self) -> str:
        """The end of its log, or how it ended where it has written none."""
        log = self.folder / "redis.log"
        return log.read_text("utf-8", errors="replace")[-500:] if log.exists() else super().reason()

    def answers(self) -> bool:
        """Whether it has read its files, too."""
        import redis

        try:
            return bool(self.client().ping())
        except redis.exceptions.RedisError:  # not there yet, or reading its file
            return False

    def client(self):
        """A client of its own maker."""
        import redis

        return redis.Redis(port=self.port, password=self.password or None, protocol=2, socket_timeout=5,
                           retry=redis.retry.Retry(redis.backoff.NoBackoff(), 0))

    def freeze(self, frozen: bool = True) -> None:
        """Stop it where it is, or let it go on."""
        if self.process is not None:
            os.kill(self.process.pid, signal.SIGSTOP if frozen else signal.SIGCONT)


def _served(folder: Path, other: str, **how) -> Iterator[RedisServer]:
    try:
        server = RedisServer(folder, **how)
    except FileNotFoundError as error:
        pytest.skip(f"{error}; other test: {other}")
    try:
        yield server.start()
    finally:
        server.kill()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory) -> Iterator[RedisServer]:
    """One server for the whole run; each test takes a topic of its own. Who kills it starts it again."""
    yield from _served(tmp_path_factory.mktemp("redis"), "test_stream_file_log.py::test_any_order")


@pytest.fixture
def forgetful_redis(tmp_path) -> Iterator[RedisServer]:
    """A server that keeps all in memory, for one test."""
    yield from _served(tmp_path, "test_stream_file_log.py::test_a_source_that_went_back_is_told", durable=False)


@pytest.fixture
def locked_redis(tmp_path) -> Iterator[RedisServer]:
    """A server that asks for a password, for one test."""
    yield from _served(tmp_path, "test_secrets_in_addresses.py", password="mum's word")


@pytest.fixture
def safe_redis(tmp_path) -> Iterator[RedisServer]:
    """A server that speaks TLS, for one test."""
    other = "test_stream_redis.py::test_a_password_is_needed_and_never_told"
    if shutil.which("openssl") is None:
        pytest.skip(f"no openssl on this machine; other test: {other}")
    yield from _served(tmp_path, other, safe=True)
