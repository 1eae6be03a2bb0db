"""Faults of a real Swift server and of the network: nothing lost, and the right bytes afterwards."""
import os
import subprocess
import sys
import threading
import time

import pytest
from layout import TESTS
from swift_server.cutter import Cutter
from swift_server.fixtures import QUICK, container, new_server, store  # noqa: F401

from oco2_outliers.datasets import Datasets

# ruff: noqa: F811 - the fixtures are imported by name
MIB = 2**20
PATIENT = {"timeout": 20, "backoff": 0.1, "retries": 12}  # where the server is well, on a busy machine too


@pytest.fixture(scope="module")
def server():
    """A server of its own, which these tests may break."""
    own = new_server(node_timeout=3)
    yield own
    own.stop()


@pytest.fixture
def files(tmp_path):
    """Small files, more than the server lists on a page, and one of three segments."""
    made = {f"{i:02d}.csv": os.urandom(2000 + i) for i in range(24)} | {"big.bin": os.urandom(12 * MIB)}
    folder = tmp_path / "src"
    folder.mkdir()
    for name, data in made.items():
        (folder / name).write_bytes(data)
    return folder, made


def check(store, made, tmp_path, prefix="up/"):
    """Everything is there, listed once, and comes back byte for byte."""
    assert sorted(o["name"] for o in store.get_container(prefix=prefix)) == sorted(prefix + n for n in made)
    back = tmp_path / f"back{time.monotonic_ns()}"
    store.download(prefix, back)
    assert {p.name: p.read_bytes() for p in back.iterdir()} == made


def during(store, work, do, at=8):
    """Run `work`, and `do` beside it when `store` sends or fetches its `at`-th piece; returns the error of `work`."""
    calls, threads, lock = [], [], threading.Lock()

    def counted(real):
        def call(*args, **kw):
            with lock:
                calls.append(1)
                if len(calls) == at:
                    threads.append(threading.Thread(target=do))
                    threads[0].start()
                    time.sleep(0.02)
            return real(*args, **kw)
        return call

    fs, error = store.fs, None
    kept = fs.put_whole, fs._receive_part
    fs.put_whole, fs._receive_part = map(counted, kept)
    try:
        work()
    except OSError as e:
        error = e
    finally:
        fs.put_whole, fs._receive_part = kept
        for thread in threads:
            thread.join()
    assert threads, "it was over before the fault"
    return error


def test_token_expires_mid_run(server, store, files, tmp_path):
    folder, made = files
    for work in (lambda: store.upload(folder, "up/"), lambda: check(store, made, tmp_path)):
        before = store.fs.account._shared
        assert during(store, work, server.expire_tokens) is None
        assert not server.pending() and store.fs.account._shared != before


@pytest.mark.parametrize("status", [503, 429, pytest.param(500, marks=pytest.mark.slow),
                                    pytest.param(408, marks=pytest.mark.slow)])
@pytest.mark.parametrize("methods", [["PUT"], ["GET"], ["POST", "DELETE"]])
def test_errors_that_pass_are_tried_again(server, store, files, tmp_path, status, methods):
    folder, made = files
    made = {k: v for k, v in made.items() if k < "08"}
    if "PUT" in methods:
        server.fault(status, 4, methods=methods)
    store.upload(f"{folder}/0[0-7].csv", "up/")
    if "GET" in methods:
        server.fault(status, 4, methods=methods)
    check(store, made, tmp_path)
    if "POST" in methods:
        server.fault(status, 3, methods=methods)
    assert len(store.delete_files("up/", dry_run=False)) == 8
    assert not server.pending() and store.get_container() == []


def test_an_error_that_stays_is_told_in_one_line(server, store, files):
    folder, _ = files
    server.fault(503, 10000, methods=["PUT"], match="up/")
    try:
        with pytest.raises(OSError, match="files failed.*503") as e:
            store.upload(f"{folder}/0?.csv", "up/")
        assert "\n" not in str(e.value)
    finally:
        (server.folder / "faults.json").unlink(missing_ok=True)
    assert len(store.upload(f"{folder}/0?.csv", "up/").sent) == 10


# The others behind the proxy answer through it with a 503, as in `test_errors_that_pass_are_tried_again`.
@pytest.mark.heavy
@pytest.mark.parametrize("kind", ["proxy", *(pytest.param(kind, marks=pytest.mark.slow)
                                             for kind in ("object", "container", "account"))])
def test_a_server_is_killed_and_restarted_mid_upload(server, container, files, tmp_path, kind):
    folder, made = files
    patient = Datasets(server.settings, container=container, **PATIENT)
    patient.fs.ensure_container(container)

    def bounce():
        server.kill(kind)
        time.sleep(0.5)
        server.launch(kind)

    error = during(patient, lambda: patient.upload(folder, "up/"), bounce)
    if error:  # said, not hidden; and the next run continues
        assert isinstance(error, OSError)
        patient.upload(folder, "up/")
    server.update_listings()
    check(patient, made, tmp_path)
    error = during(patient, lambda: check(patient, made, tmp_path), bounce)
    assert error is None


@pytest.mark.heavy
def test_a_server_that_stays_away_is_told_and_the_next_run_continues(server, container, files, tmp_path):
    folder, made = files
    hasty = Datasets(server.settings, container=container, timeout=5, backoff=0.05, retries=1)
    hasty.fs.ensure_container(container)
    error = during(hasty, lambda: hasty.upload(folder, "up/"), lambda: server.kill("proxy"), 15)
    assert isinstance(error, OSError) and "\n" not in str(error)
    server.launch("proxy")
    there = {o["name"] for o in hasty.get_container()}
    patient = Datasets(server.settings, container=container, **PATIENT)
    second = patient.upload(folder, "up/")
    assert there <= {*second.skipped, *second.sent} and set(second.skipped) == there
    check(patient, made, tmp_path)


@pytest.mark.heavy
@pytest.mark.parametrize("kind", ["proxy", "object"])
def test_a_hang_is_ended_by_the_timeout(server, container, tmp_path, kind):
    hasty = Datasets(server.settings, container=container, timeout=1, backoff=0.05, retries=2)
    patient = Datasets(server.settings, container=container, **PATIENT)
    with patient.open("x", "wb") as f:
        f.write(b"1" * 100000)
    server.pause(kind)
    start = time.monotonic()
    try:
        with pytest.raises(OSError, match="does not answer|cannot be reached|503|404|no such"):
            hasty.fs.cat_file(f"{container}/x")
        assert time.monotonic() - start < 30
    finally:
        server.resume(kind)
    time.sleep(0.3)
    assert patient.fs.cat_file(f"{container}/x") == b"1" * 100000


@pytest.mark.parametrize("limit", ["up", "down"])
def test_connections_are_cut(server, container, files, tmp_path, limit):
    folder, made = files
    with Cutter(server.ports["proxy"]) as cutter:
        url = f"http://127.0.0.1:{cutter.port}/auth/v1.0"
        config = {"swift_storage": server.settings["swift_storage"] | {"auth_url": url}}
        cut = Datasets(config, container=container, **QUICK)
        cut.fs.ensure_container(container)
        if limit == "up":
            cutter.up, cutter.times = 100_000, 3
        cut.upload(folder, "up/")
        if limit == "down":
            cutter.down, cutter.times = 100_000, 3
        check(cut, made, tmp_path)
        with cut.open("up/big.bin") as f:
            assert f.read() == made["big.bin"]
        assert cutter.cuts == 3


def test_a_flipped_byte_on_disk_is_noticed(server, store, files, tmp_path):
    folder, made = files
    name = "one.csv"
    for read in ("download", "open", "cat"):
        before = set(server.data_files())
        with store.open(name, "wb") as f:
            f.write(b"sounding_id,xco2\n" + b"2018082505140535,400.1\n" * 1000)
        disk, = set(server.data_files()) - before
        data = bytearray(disk.read_bytes())
        data[5000] ^= 1
        with open(disk, "r+b") as f:
            f.write(data)
        with pytest.raises(OSError, match="damaged|no such object"):
            if read == "download":
                store.download(name, tmp_path / "d")
            elif read == "open":
                store.get_dataframe(name)
            else:
                store.fs.cat_file(f"{store.root}/{name}")
        assert not list((tmp_path / "d").glob("*")) if (tmp_path / "d").exists() else True


def test_a_flipped_byte_in_a_segment_is_noticed(server, store, files, tmp_path):
    folder, made = files
    before = set(server.data_files())
    store.upload(folder / "big.bin", "up/")
    disk = max(set(server.data_files()) - before, key=lambda p: p.stat().st_size)
    with open(disk, "r+b") as f:
        f.seek(12345)
        byte = f.read(1)[0]
        f.seek(12345)
        f.write(bytes([byte ^ 1]))
    with pytest.raises(OSError, match="damaged|409|no such|answers"):
        store.download("up/big.bin", tmp_path / "d")
    assert not (tmp_path / "d/big.bin").exists()


def test_quota_is_an_error_that_says_so(server, store, files):
    folder, made = files
    store.upload(f"{folder}/0?.csv", "up/")
    # The proxy counts what a container holds when it looks at it again, as it does after a POST.
    store.conn.post_container(store.root, {"x-container-meta-quota-bytes": "21000"})
    with pytest.raises(OSError, match="quota"):
        store.upload(f"{folder}/*.csv", "up/")
    for o in store.get_container():
        assert store.fs.cat_file(f"{store.root}/{o['name']}") == made[o["name"].removeprefix("up/")]
    store.conn.post_container(store.root, {"x-container-meta-quota-bytes": ""})
    assert len(store.upload(f"{folder}/*.csv", "up/").skipped) >= 10
    assert len(store.get_container()) == 24


@pytest.mark.heavy
def test_the_container_server_is_down_and_the_listing_stale(server, container, files, tmp_path):
    folder, made = files
    s = Datasets(server.settings, container=container, timeout=20, backoff=0.05, retries=2)
    s.fs.ensure_container(container)
    s.upload(f"{folder}/0?.csv", "up/")
    s.conn.head_container(container)  # the proxy knows the container now
    server.kill("container")
    try:
        with s.fs.open(f"{container}/up/late.csv", "wb") as f:
            f.write(b"late")
    finally:
        server.launch("container")
    assert s.exists("up/late.csv") and s.fs.cat_file(f"{container}/up/late.csv") == b"late"
    server.update_listings()
    assert len(s.get_container(prefix="up/")) == 11
    check(s, {k: v for k, v in made.items() if k < "10"} | {"late.csv": b"late"}, tmp_path)


def test_an_interrupted_upload_of_segments_continues(server, store, files, tmp_path):
    folder, made = files
    real, sent = store.fs.put_whole, []

    def dies(container, name, *a, **kw):
        if container.endswith("_segments"):
            sent.append(name)
            if len(sent) == 2:
                raise KeyboardInterrupt
        return real(container, name, *a, **kw)

    store.fs.put_whole = dies
    with pytest.raises(KeyboardInterrupt):
        store.upload(folder / "big.bin", "up/")
    assert not store.exists("up/big.bin")
    first, store.fs.put_whole = list(sent), dies
    store.upload(folder / "big.bin", "up/")
    assert len(first) == 2 and len(sent) == 4 and first[0] not in sent[2:]
    check(store, {"big.bin": made["big.bin"]}, tmp_path)


@pytest.mark.slow
def test_a_killed_process_leaves_nothing_half(server, container, files, tmp_path):
    folder, made = files
    code = ("import sys, json; from oco2_outliers.datasets import Datasets\n"
            "s = Datasets(json.loads(sys.argv[1]), container=sys.argv[2])\n"
            "getattr(s, sys.argv[3])(*sys.argv[4:])\n")
    import json
    args = [sys.executable, "-c", code, json.dumps(server.settings), container]
    s = Datasets(server.settings, container=container, **QUICK)
    s.fs.ensure_container(container)
    for wait in (1.2, 1.5):
        run = subprocess.Popen([*args, "upload", str(folder), "up/"])
        time.sleep(wait)
        run.kill()
        run.wait()
        for o in s.get_container(prefix="up/"):
            assert s.fs.cat_file(f"{container}/{o['name']}") == made[o["name"][3:]]
    s.upload(folder, "up/")
    back = tmp_path / "killed"
    for wait in (1.2, 1.5):
        run = subprocess.Popen([*args, "download", "up/", str(back)])
        time.sleep(wait)
        run.kill()
        run.wait()
        if back.exists():
            for p in back.iterdir():
                assert p.name.endswith(".part") or p.read_bytes() == made[p.name]
    s.download("up/", back)
    assert {p.name: p.read_bytes() for p in back.iterdir()} == made


@pytest.mark.slow
def test_the_daemons_end_with_their_parent(server, tmp_path):
    code = ("import sys, time; sys.path.insert(0, sys.argv[1]); from swift_server import SwiftServer\n"
            "s = SwiftServer(folder=sys.argv[2]).start(); print(*[d.pid for d in s.daemons.values()], flush=True)\n"
            "time.sleep(60)\n")
    run = subprocess.Popen([sys.executable, "-c", code, str(TESTS), str(tmp_path)],
                           stdout=subprocess.PIPE, text=True)
    pids = [int(p) for p in run.stdout.readline().split()]
    assert len(pids) == 4
    run.kill()
    run.wait()
    run.stdout.close()
    end = time.monotonic() + 60
    while any(os.path.exists(f"/proc/{p}") for p in pids) and time.monotonic() < end:
        time.sleep(0.05)
    assert not [p for p in pids if os.path.exists(f"/proc/{p}")]
