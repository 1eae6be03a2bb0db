"""A wrong address of a Dask scheduler is one clear line, soon."""

import os
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from oco2_outliers.ground.errors import InputError
from oco2_outliers.runs import workers
from oco2_outliers.runs.workers import look_for_scheduler

pytest.importorskip("distributed", reason="no dask (extras scale and dev); test_workers tells of a missing one")
ROOT = Path(__file__).parents[2]


@pytest.fixture
def listening():
    """Start something that listens, and says what it is told to say when it is called; gives its port."""
    servers = []

    def start(says=b""):
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def serve():
            kept = []
            while True:
                try:
                    kept.append(server.accept()[0])
                except OSError:
                    return
                kept[-1].sendall(says)

        threading.Thread(target=serve, daemon=True).start()
        return server.getsockname()[1]

    yield start
    for server in servers:
        server.shutdown(socket.SHUT_RDWR)
        server.close()


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(workers, "_GREET", 0.3)
    monkeypatch.setattr(workers, "_REACH", 0.5)


@pytest.mark.parametrize(("address", "why"), [
    ("127.0.0.1", "has no port"), ("head", "has no port"), ("tcp://127.0.0.1", "has no port"),
    ("tcp://127.0.0.1:", "has no port"), ("127.0.0.1:0", "has no port"), (":8786", "no host and port"),
    ("127.0.0.1:8786x", "no host and port"), ("127.0.0.1:99999", "no host and port"), ("", "no host and port"),
    ("tcp://[::1:8786", "no host and port"), ("two words:8786", "no host and port"),
    ("\x1b[31mred:1", "no host and port"),
    ("http://127.0.0.1:8787", "address of a dashboard"), ("https://head:8787/status", "address of a dashboard"),
    ("ftp://head:21", "begins with ftp://"), ("ucx://head:8786", "begins with ucx://"),
    ("nosuchhost.invalid:8786", "there is no host 'nosuchhost.invalid'"), ("a" * 300 + ":1", "there is no host"),
    ("a..b:1", "there is no host")])
def test_an_address_that_cannot_be_one_is_refused_at_once(soon, address, why):
    started = time.monotonic()
    with pytest.raises(InputError, match=why) as refused:
        look_for_scheduler(address)
    assert time.monotonic() - started < 5
    assert "\n" not in str(refused.value) and "\x1b" not in str(refused.value)


def test_a_password_in_an_address_is_not_shown(soon):
    for address in ("http://bob:secret@head:1", "tcp://bob:secret@nosuchhost.invalid:1", "bob:secret@head"):
        with pytest.raises(InputError) as refused:
            look_for_scheduler(address)
        assert "secret" not in str(refused.value)


def test_what_listens_there_is_no_scheduler(soon, listening):
    for says in (b"", b"SSH-2.0-OpenSSH_9.2\r\n", b"220 mail\r\n", b"\x00" * 64):
        with pytest.raises(InputError, match="no Dask scheduler at .*: something else listens there") as refused:
            look_for_scheduler(f"127.0.0.1:{listening(says)}")
        assert ("tls://" in str(refused.value)) == (not says)
    free = listening()
    with pytest.raises(InputError, match="needs certificates"):
        look_for_scheduler(f"tls://127.0.0.1:{free}")


def test_nobody_listens_there(soon):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(InputError, match="nothing listens there; start one with: dask scheduler"):
        look_for_scheduler(f"tcp://127.0.0.1:{port}")


def test_nobody_answers_there(soon):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:  # fill its queue, so that a call is neither taken nor refused
            each.setblocking(False)
            each.connect_ex(server.getsockname())
        with pytest.raises(InputError, match="does not answer in"):
            look_for_scheduler(f"127.0.0.1:{server.getsockname()[1]}")
        for each in waiting:
            each.close()


def test_encryption_where_there_is_none(soon, listening, monkeypatch):
    import ssl

    from distributed.security import Security

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    monkeypatch.setattr(Security, "get_connection_args", lambda self, role: {"ssl_context": context})
    with pytest.raises(InputError, match="does it speak TLS, and with these certificates"):
        look_for_scheduler(f"tls://127.0.0.1:{listening(b'HTTP/1.0 400 Bad Request' + bytes(80))}")


@pytest.mark.slow
def test_a_client_that_fails_half_way_leaves_quickly_and_without_a_word(tmp_path):
    """Something says a word like a scheduler and then does not act like one."""
    (tmp_path / "a.csv").write_text("xco2\n1\n")
    code = ("import socket, sys, threading\nfrom oco2_outliers.runs import workers\n"
            "workers._CONNECT = 1\n"
            "server = socket.create_server(('127.0.0.1', 0))\n"
            "def serve():\n    while True:\n        one = server.accept()[0]\n"
            "        one.sendall(b'compression' + b'x' * 600)\n        one.close()\n"
            "threading.Thread(target=serve, daemon=True).start()\n"
            "from oco2_outliers.cli import main\n"
            f"sys.exit(main(['run', 'convert', {str(tmp_path / 'a.csv')!r}, '--out', {str(tmp_path / 'out')!r}, "
            "'--dask', f'127.0.0.1:{server.getsockname()[1]}']))\n")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "no Dask scheduler at" in done.stderr
