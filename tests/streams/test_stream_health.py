"""The health of a worker: asked by real sockets, by strangers too, and read from a file that is being written."""

import http.client
import json
import socket
import threading
import time

import pytest

from oco2_outliers.ground.errors import InputError
from oco2_outliers.ground.version import VERSION
from oco2_outliers.streams import health as room
from oco2_outliers.streams.health import Health


@pytest.fixture
def health():
    """A worker that has said something, on a port that was free."""
    with Health(port=0) as made:
        made.update(lag=3, judged=100)
        yield made


def asked(port, method="GET", path="/health", host="127.0.0.1"):
    """Status, headers and body."""
    connection = http.client.HTTPConnection(host, port, timeout=10)
    connection.request(method, path)
    answer = connection.getresponse()
    try:
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def said(port, raw, seconds=10):
    """What a port answers to raw bytes."""
    with socket.create_connection(("127.0.0.1", port), seconds) as sock:
        found = b""
        try:
            sock.sendall(raw)
            sock.shutdown(socket.SHUT_WR)
            while part := sock.recv(65_536):
                found += part
        except OSError:  # it did not want all of it
            pass
        return found


def test_one_question(health):
    status, headers, body = asked(health.port)
    told = json.loads(body)
    assert (status, told["state"], told["lag"], told["judged"], told["version"]) == (200, "running", 3, 100, VERSION)
    assert headers["Content-Type"] == "application/json" and headers["Cache-Control"] == "no-store"
    assert "Python" not in str(headers) and headers["Server"].strip() == "oco2-outliers"
    assert asked(health.port, path="/health?x=1")[0] == 200


def test_nothing_else_is_answered(health):
    for method in ("POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE", "CONNECT", "BREW"):
        status, _, body = asked(health.port, method)
        assert status == 501 and b"BREW" not in body
    for path in ("/", "/healthz", "/health/", "/../etc/passwd", "/<script>alert(1)</script>", "*"):
        status, _, body = asked(health.port, path=path)
        assert status == 404 and body == b"404 only /health is here\n"


def test_strange_bytes_are_survived(health):
    for raw in (b"", b"\x00\xff\x16\x03\x01", b"GET\r\n\r\n", b"GET /health HTTP/9.9\r\n\r\n",
                b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n", b"GET /health HTTP/1.1\r\n" + b"a: b\r\n" * 1000,
                b"GET /health HTTP/1.1\r\nX: " + b"a" * 100_000, "GET /é HTTP/1.1\r\n\r\n".encode()):
        answer = said(health.port, raw)
        assert b"Traceback" not in answer and b"aaaa" not in answer
    assert asked(health.port)[0] == 200


def test_those_who_hold_the_line_are_cut_off(monkeypatch):
    monkeypatch.setattr(room, "_SECONDS", 0.5)
    with Health(port=0) as health:
        health.update(lag=0)
        held = [socket.create_connection(("127.0.0.1", health.port), 10) for _ in range(8)]
        for each in held:
            each.sendall(b"GET /hea")
        assert said(health.port, b"GET /health HTTP/1.0\r\n\r\n") == b""  # the ninth
        end = time.monotonic() + 10
        for each in held:  # a byte now and then does not help
            try:
                while time.monotonic() < end and each.send(b"l"):
                    time.sleep(0.05)
            except OSError:
                each.close()
        assert time.monotonic() < end and asked(health.port)[0] == 200


def test_many_questions_at_once_while_the_worker_talks(health):
    found, threads = [], threading.active_count()

    def ask():
        for _ in range(20):
            try:
                found.append(asked(health.port))
            except (ConnectionError, http.client.HTTPException):  # more than eight at a time
                found.append(None)

    askers = [threading.Thread(target=ask) for _ in range(6)]
    for each in askers:
        each.start()
    for turn in range(2000):
        health.update(judged=turn, settled=turn)
    for each in askers:
        each.join()
    told = [json.loads(each[2]) for each in found if each]
    assert len(told) >= 60 and all(each["judged"] == each.get("settled", 100) for each in told)
    end = time.monotonic() + 10
    while threading.active_count() > threads and time.monotonic() < end:
        time.sleep(0.01)
    assert threading.active_count() <= threads


def test_a_port_that_is_taken_and_given_back(health):
    port = health.port
    with pytest.raises(InputError, match=f"health port {port} of 127.0.0.1 cannot be listened on"):
        Health(port=port)
    health.close()
    health.close()  # twice is no matter
    with Health(port=port) as other:
        assert other.port == port and asked(port)[0] == 503


def test_other_hosts():
    with Health(port=0, host="localhost") as health:
        assert asked(health.port, host="localhost")[0] == 503
    try:
        health = Health(port=0, host="::1")
    except InputError:
        pytest.skip("no IPv6 on this machine; other test: test_one_question")
    with health:
        assert asked(health.port, host="::1")[0] == 503


def test_the_file_is_whole_at_any_time(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "_PAUSE", 0.0)
    path, stop, found = tmp_path / "health.json", threading.Event(), []
    with Health(str(path)) as health:

        def read():
            while not stop.is_set():
                found.append(json.loads(path.read_text()))

        reader = threading.Thread(target=read)
        reader.start()
        for turn in range(300):
            health.update(judged=turn, dead=turn)
        stop.set()
        reader.join()
    assert found and all(each.get("judged") == each.get("dead") for each in found)
    assert json.loads(path.read_text())["state"] == "stopped"
    assert [each.name for each in tmp_path.iterdir()] == ["health.json"]


def test_the_file_is_written_once_a_second(tmp_path, monkeypatch):
    written, now = [], [0.0]
    monkeypatch.setattr(room, "write_whole", lambda path, data: written.append(json.loads(data)))
    with Health(str(tmp_path / "h"), clock=lambda: now[0]) as health:
        for turn in range(20):
            now[0] += 0.25
            health.update(judged=turn)
    assert [each["state"] for each in written] == ["starting", *["running"] * 5, "stopped"]
    assert [each["judged"] for each in written[1:]] == [3, 7, 11, 15, 19, 19]


def test_a_full_disk_does_not_stop_a_worker(tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device")

    whole = room.write_whole
    monkeypatch.setattr(room, "_PAUSE", 0.0)
    with Health(str(tmp_path / "h"), 0) as health:
        monkeypatch.setattr(room, "write_whole", full)
        with pytest.warns(UserWarning, match="No space left") as told:
            health.update(judged=1)
            health.update(judged=2)
        assert len(told) == 1 and json.loads(asked(health.port)[2])["judged"] == 2
        monkeypatch.setattr(room, "write_whole", whole)
        health.update(judged=3)
        assert json.loads((tmp_path / "h").read_text())["judged"] == 3


def test_facts_are_numbers():
    health = Health(port=0)
    try:
        for bad in ("secret", b"x", [1], {"a": 1}, object()):
            with pytest.raises(InputError, match="a number or None"):
                health.update(lag=bad)
        with pytest.raises(InputError, match="at most 50 facts"):
            health.update(**{f"fact_{i}": i for i in range(51)})
        with pytest.raises(InputError, match="names of"):
            health.update(**{"</script>": 1})
        assert json.loads(asked(health.port)[2]).keys() == {"state", "version", "up_s", "silent_s"}
        health.update(lag=float("nan"), judged=2**70, age=-1e300)
        assert json.loads(asked(health.port)[2])["lag"] is None
    finally:
        health.close()
