"""A PostgreSQL of our own on loopback, from the system's binaries: its own folder, port and users, gone at the end."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from swift_server.launch import free_ports

USER, PASSWORD = "judge", "hunter2/@:#%' "
# Nothing of it must outlive a loss of power.
FAST = ["fsync=off", "synchronous_commit=off", "full_page_writes=off", "shared_buffers=16MB", "max_connections=30",
        "lc_messages=C", "unix_socket_directories=", "listen_addresses=127.0.0.1"]


def binaries() -> Path:
    """Where the newest server is; FileNotFoundError where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parent.parent.name))
    on_path = shutil.which("initdb")
    if not found and not on_path:
        raise FileNotFoundError("no PostgreSQL server on this machine")
    return found[-1].parent if found else Path(on_path or "").resolve().parent


class PostgresServer:
    """`start()` and `stop()`. PostgreSQL refuses to run as root: there, the user postgres runs it."""

    def __init__(self) -> None:
        self.process: subprocess.Popen | None = None
        self._binaries = binaries()
        memory = Path("/dev/shm")  # a disk would have to be waited for
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=memory if os.access(memory, os.W_OK) else None))
        self.port = free_ports(1)[0]
        self._as: dict[str, object] = {}
        if os.getuid() == 0:
            other = pwd.getpwnam("postgres")
            os.chown(self.folder, other.pw_uid, other.pw_gid)
            self._as = {"user": other.pw_uid, "group": other.pw_gid, "extra_groups": []}

    def start(self) -> PostgresServer:
        """Make the files, start the server, wait until it answers."""
        words = self.folder / "word"
        words.write_text(PASSWORD, encoding="utf-8")
        words.chmod(0o644)
        made = subprocess.run(
            [self._binaries / "initdb", "--no-sync", "--encoding=UTF8", "--locale=C", "--auth=scram-sha-256",
             f"--username={USER}", f"--pwfile={words}", f"--pgdata={self.folder}/data"],
            capture_output=True, text=True, cwd="/", **self._as)
        if made.returncode:
            raise RuntimeError(f"PostgreSQL cannot make its files: {made.stderr[-500:]}")
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [self._binaries / "postgres", "-D", self.folder / "data", "-p", str(self.port),
                 *(part for setting in FAST for part in ("-c", setting))], stdout=log, stderr=log, cwd="/", **self._as)
        end = time.monotonic() + 60
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)
        return self

    def _answers(self) -> bool:
        import psycopg

        try:
            self.connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def connect(self):
        """A connection of the driver itself."""
        import psycopg

        return psycopg.connect(host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, dbname="postgres",
                               autocommit=True)

    def run(self, *statements: str) -> list[tuple]:
        """Run statements; gives the rows of the last one, if it has any."""
        with self.connect() as connection:
            for statement in statements:
                cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def url(self, **options: object) -> str:
        """The address of its database."""
        told = "&".join(f"{name}={value}" for name, value in options.items())
        return f"postgresql://{USER}@127.0.0.1:{self.port}/postgres?{told}"

    def stop(self) -> None:
        """End the server, and remove its files."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)  # it cuts its connections, and ends
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)
