"""A MariaDB of our own on loopback: its own folder, port and users, gone at the end."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from swift_server.launch import free_ports

WHERE = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
USER, PASSWORD = "me", "hunter2/@:#%"
USERS = f"""CREATE USER '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';
GRANT ALL ON *.* TO '{USER}'@'%';
CREATE USER 'reader'@'%' IDENTIFIED BY '{PASSWORD}';
GRANT SELECT ON *.* TO 'reader'@'%';
"""
SMALL = ["--innodb-log-file-size=4M", "--innodb-buffer-pool-size=16M"]


def program(*names: str) -> str:
    """Where a program is, under the first of its names; FileNotFoundError where it is under none."""
    found = next(filter(None, (shutil.which(name, path=WHERE) for name in names)), None)
    if found is None:
        raise FileNotFoundError(f"no {names[0]} on this machine")
    return found


class MariaServer:
    """`start()` and `stop()`; `kill()` is SIGKILL, after which `launch()` starts it again on the same files."""

    def __init__(self) -> None:
        memory = Path("/dev/shm")  # a disk would have to be waited for
        place = memory if os.access(memory, os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="maria-", dir=place))
        self.port = free_ports(1)[0]
        self.process: subprocess.Popen | None = None
        self._usual = ["--no-defaults", f"--datadir={self.folder}/data", *SMALL,
                       *(["--user=root"] if os.getuid() == 0 else [])]

    def start(self) -> MariaServer:
        """Make the files, start the server, wait until it answers."""
        made = subprocess.run([program("mariadb-install-db", "mysql_install_db"), *self._usual, "--skip-test-db",
                               "--auth-root-authentication-method=normal"], capture_output=True, text=True)
        if made.returncode:
            raise RuntimeError(f"MariaDB cannot make its files: {made.stdout[-300:]} {made.stderr[-300:]}")
        (self.folder / "users.sql").write_text(USERS, encoding="utf-8")
        self.launch(f"--init-file={self.folder}/users.sql")
        return self

    def launch(self, *more: str) -> None:
        """Start the server, and wait until it answers."""
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [program("mariadbd", "mysqld"), *self._usual, f"--socket={self.folder}/socket", f"--port={self.port}",
                 "--bind-address=127.0.0.1", f"--pid-file={self.folder}/pid", "--performance-schema=OFF",
                 "--skip-name-resolve", "--character-set-server=utf8mb4", *more], stdout=log, stderr=log)
        end = time.monotonic() + 120
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"MariaDB did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.05)

    def _answers(self) -> bool:
        import pymysql

        try:
            self.connect().close()
        except pymysql.OperationalError as error:
            if error.args[0] in (2002, 2003):  # it does not listen yet
                return False
            raise
        return True

    def connect(self, database: str | None = None):
        """A connection of the driver itself."""
        import pymysql

        return pymysql.connect(host="127.0.0.1", port=self.port, user=USER, password=PASSWORD, database=database,
                               autocommit=True, charset="utf8mb4", ssl_disabled=True)

    def run(self, *statements: str, database: str | None = None) -> list[tuple]:
        """Run statements; gives the rows of the last one."""
        connection = self.connect(database)
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def url(self, database: str, user: str = USER, password: str = PASSWORD) -> str:
        """The address of a database."""
        return f"mariadb://{user}:{quote(password, safe='')}@127.0.0.1:{self.port}/{database}"

    def kill(self) -> None:
        """SIGKILL the server."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        """End the server, and remove its files."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)
