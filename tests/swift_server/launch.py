"""Make the server's venv once, write its configuration, start and stop the daemons."""
from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

HERE = Path(__file__).parent
PIN = "swift==2.38.3"
KINDS = ("account", "container", "object", "proxy")


def swift_python() -> Path:
    """The interpreter of the venv that holds swift, made on first use (OCO2_SWIFT_VENV moves it)."""
    return make_venv("swift", [PIN], "constraints.txt")


def make_venv(name: str, pins: list[str], constraints: str) -> Path:
    """A venv `.venv-NAME` beside the project's own, made once; returns its interpreter."""
    given = os.environ.get(f"OCO2_{name.upper()}_VENV")
    venv = Path(given or HERE.parents[1] / f".venv-{name}").absolute()
    python, mark = venv / "bin" / "python", venv / f".{pins[0]}"
    if mark.exists():
        return python
    venv.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{venv}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not mark.exists():
            # The project's own pins are for the project; the server has its own.
            env = {k: v for k, v in os.environ.items() if k not in ("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT")}
            subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)], check=True)
            subprocess.run([str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
                            "--only-binary", ":all:", "-c", str(HERE / constraints), *pins], check=True, env=env)
            mark.touch()
    return python


def free_ports(n: int) -> list[int]:
    """`n` ports nobody listens on now.

    Below the range that the system gives to outgoing connections (from 32768 on Linux): a daemon that is killed and
    started again must find its port free, and another server on this machine must not pick it in between.
    """
    found: list[int] = []
    for port in random.SystemRandom().sample(range(20_000, 30_000), 1_000):
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == n:
            return found
    raise RuntimeError("no free ports between 20000 and 30000")


DAEMON = """[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
fallocate_reserve = 0
recon_cache_path = {folder}
log_level = ERROR
log_address = {folder}/nolog
log_udp_host =
{extra}
"""
STORAGE = """[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""
PROXY = """[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache faults listing_formats bulk tempauth container-quotas copy
    slo dlo proxy-server
[app:proxy-server]
use = egg:swift#proxy
allow_account_management = true
account_autocreate = true
error_suppression_limit = 1000000
node_timeout = {node_timeout}
conn_timeout = 1
recheck_container_existence = 60
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:healthcheck]
use = egg:swift#healthcheck
[filter:cache]
paste.filter_factory = filters:cache_factory
[filter:faults]
paste.filter_factory = filters:faults_factory
faults = {folder}/faults.json
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
delete_container_retry_count = 0
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
user_test_reader = reading
user_other_user = other .admin
user_large_tester = testing .admin
[filter:container-quotas]
use = egg:swift#container_quotas
[filter:copy]
use = egg:swift#copy
[filter:slo]
use = egg:swift#slo
min_segment_size = 1
[filter:dlo]
use = egg:swift#dlo
"""
CONSTRAINTS = """[swift-hash]
swift_hash_path_suffix = oco2
[swift-constraints]
{constraints}
"""


class SwiftServer:
    """Four daemons on loopback; `with SwiftServer() as server:` or start() and stop().

    Parameters
    ----------
    container_listing_limit, max_file_size : int
        Small by default, so that paging and segments are cheap to test.
    folder : path, optional
        Where everything lies; a temporary folder, removed by stop(), when not given.
    auth : (interpreter, text), optional
        Another venv, and the filters `authtoken` and `keystoneauth` that take tempauth's place.
    """

    user, key, reader = "test:tester", "testing", ("test:reader", "reading")

    def __init__(self, container_listing_limit: int = 20, max_file_size: int = 5 * 2**20, node_timeout: int = 10,
                 folder: str | os.PathLike | None = None, auth: tuple[Path, str] | None = None):
        self.limits = {"container_listing_limit": container_listing_limit, "max_file_size": max_file_size}
        self.node_timeout, self._own, self.auth = node_timeout, folder is None, auth
        self.folder = Path(folder or tempfile.mkdtemp(prefix="swift-"))
        self.ports = dict(zip(KINDS, free_ports(4)))
        self.daemons: dict[str, subprocess.Popen] = {}

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.ports['proxy']}"

    @property
    def auth_url(self) -> str:
        return self.url + "/auth/v1.0"

    @property
    def settings(self) -> dict:
        """A configuration for Datasets."""
        return {"swift_storage": {"user": self.user, "key": self.key, "auth_url": self.auth_url, "auth_version": "1"}}

    @property
    def settings_of_large(self) -> dict:
        """A configuration for another account: who looks for segments reads all containers of an account."""
        return {"swift_storage": self.settings["swift_storage"] | {"user": "large:tester"}}

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def _run(self, *args: str, **kw):
        env = {**os.environ, "PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1"}
        python = self.auth[0] if self.auth else swift_python()
        return dict(args=[str(python), str(HERE / "node.py"), *args, str(self.folder)], env=env, **kw)

    def start(self) -> SwiftServer:
        """Write the configuration, start the four, wait until the proxy answers."""
        (self.folder / "devices" / "d1").mkdir(parents=True, exist_ok=True)
        limits = "\n".join(f"{k} = {v}" for k, v in self.limits.items())
        (self.folder / "swift.conf").write_text(CONSTRAINTS.format(constraints=limits))
        user = __import__("pwd").getpwuid(os.getuid()).pw_name
        for kind, port in self.ports.items():
            body = PROXY if kind == "proxy" else STORAGE
            text = DAEMON + body
            if kind == "proxy" and self.auth:
                text = text.replace(" tempauth ", " authtoken keystoneauth ") + self.auth[1]
            (self.folder / f"{kind}-server.conf").write_text(text.format(
                kind=kind, port=port, user=user, folder=self.folder, node_timeout=self.node_timeout, extra=""))
        subprocess.run(**self._run("rings", json.dumps(self.ports)), check=True)
        for kind in KINDS:
            self.launch(kind, wait=False)
        for kind in KINDS:
            self._wait(kind)
        return self

    def launch(self, kind: str, wait: bool = True) -> None:
        """Start one daemon (again)."""
        log = open(self.folder / f"{kind}.log", "ab")  # noqa: SIM115 - the daemon keeps it
        self.daemons[kind] = subprocess.Popen(**self._run("serve", kind), stdin=subprocess.PIPE, stdout=log, stderr=log)
        log.close()
        if wait:
            self._wait(kind)

    def _wait(self, kind: str, seconds: float = 180) -> None:  # half a minute is too short on a busy machine
        end = time.monotonic() + seconds
        path = "/healthcheck" if kind == "proxy" else "/"
        while time.monotonic() < end:
            if self.daemons[kind].poll() is not None:
                break
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.ports[kind]}{path}", timeout=5).close()
            except urllib.error.HTTPError:
                pass
            except OSError:
                time.sleep(0.05)
                continue
            # Somebody answers; it is ours only if ours did not end because the port was taken.
            time.sleep(0.05)
            if self.daemons[kind].poll() is None:
                return
        raise RuntimeError(f"swift {kind} did not start: {(self.folder / f'{kind}.log').read_text()[-2000:]}")

    def kill(self, kind: str) -> None:
        """SIGKILL one daemon."""
        self.daemons[kind].kill()
        self.daemons[kind].wait()

    def pause(self, kind: str) -> None:
        """SIGSTOP: the daemon keeps its connections and answers nothing."""
        self.daemons[kind].send_signal(signal.SIGSTOP)

    def resume(self, kind: str) -> None:
        self.daemons[kind].send_signal(signal.SIGCONT)

    def fault(self, status: int, count: int = 1, **where) -> None:
        """Answer the next `count` requests (of `methods`, `match` in the path) with `status`."""
        self._command({"status": status, "count": count, **where})

    def expire_tokens(self) -> None:
        """Every token given so far is void from the next request on."""
        self._command({"expire": True})

    def _command(self, command: dict) -> None:
        new = self.folder / "faults.new"
        new.write_text(json.dumps(command))
        new.replace(self.folder / "faults.json")

    def pending(self) -> bool:
        """Whether a fault is still waiting."""
        return (self.folder / "faults.json").exists()

    def update_listings(self) -> None:
        """Run the object updater once."""
        subprocess.run(**self._run("update"), check=True, capture_output=True)

    def data_files(self) -> list[Path]:
        """The objects on disk."""
        return list((self.folder / "devices/d1/objects").rglob("*.data"))

    def stop(self) -> None:
        """End the daemons; remove the folder if it was ours."""
        for daemon in self.daemons.values():
            if daemon.poll() is None:
                daemon.kill()
            daemon.wait()
            daemon.stdin.close()
        self.daemons.clear()
        if self._own:
            shutil.rmtree(self.folder, ignore_errors=True)
