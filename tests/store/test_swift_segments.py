"""Large objects: writers that meet, writers that are killed, and what is found and cleaned afterwards."""
import contextlib
import json
import os
import random
import subprocess
import sys
import threading
import time
import urllib.parse

import pytest
from swift_server.fixtures import QUICK, container, running_server, server, store  # noqa: F401

from oco2_outliers.datasets import Datasets, InputError
from oco2_outliers.store import writers

# ruff: noqa: F811 - the fixtures are imported by name
MIB = 2**20
ROUNDS = int(os.environ.get("OCO2_ROUNDS", "8"))
NURSERY = """
import json, os, sys
import swiftclient
from oco2_outliers.datasets import Datasets

config, container, size = json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3])
for line in sys.stdin:
    pids = []
    for path in json.loads(line):
        pids.append(os.fork())
        if not pids[-1]:
            Datasets(config, container=container, segment_size=size, backoff=0.05).upload(path, "", force=True)
            os._exit(0)
    print(json.dumps(pids), flush=True)
    print(json.dumps([os.waitpid(pid, 0)[1] for pid in pids]), flush=True)
"""


@pytest.fixture
def small(server, container):
    """A store that cuts at 1,000 bytes."""
    made = Datasets(server.settings_of_large, container=container, segment_size=1000, **QUICK)
    made.fs.ensure_container(container)
    return made


def put(store, folder, data, name="big.bin", mtime=None):
    path = folder / name
    path.write_bytes(data)
    if mtime:
        os.utime(path, (mtime, mtime))
    return store.upload(path, "", force=True)


def get(store, name="big.bin"):
    return store.fs.cat_file(f"{store.root}/{name}")


def segments(store):
    with contextlib.suppress(FileNotFoundError):
        return [o["name"] for o in store.get_container(f"{store.root}_segments")]
    return []


def raw(store, name, data=b"x" * 100, mtime="1.000000"):
    """A segment as the tool `swift` names it: nobody knows whose it is."""
    store.fs.ensure_container(f"{store.root}_segments")
    store.conn.put_object(f"{store.root}_segments", f"{name}/slo/{mtime}/100/100/00000000", data)


# --- writers that meet ---
def test_two_writers_in_step_leave_one_whole_object(small, tmp_path):
    """Both files have the same name, size and time, and each segment of one is sent after that of the other."""
    turn = threading.Barrier(2, timeout=60)
    versions = [bytes([65 + i]) * 3500 for i in range(2)]
    real = small.fs.put_whole

    def in_step(*args, **kw):
        with contextlib.suppress(threading.BrokenBarrierError):
            turn.wait()
        return real(*args, **kw)

    small.fs.put_whole = in_step
    failed = []

    def write(i):
        (tmp_path / str(i)).mkdir()
        try:
            put(small, tmp_path / str(i), versions[i], mtime=1.5e9)
        except Exception as e:  # noqa: BLE001
            failed.append(e)

    threads = [threading.Thread(target=write, args=[i]) for i in range(2)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not failed and get(small) in versions
    del small.fs.put_whole
    assert put(small, tmp_path, b"C" * 3500, mtime=1.5e9).sent and get(small) == b"C" * 3500
    assert small.check().broken == []


@pytest.mark.parametrize("dies_at", ["a segment", "the manifest"])
def test_an_interrupted_overwrite_of_equal_size_and_time_keeps_the_old(small, tmp_path, monkeypatch, dies_at):
    put(small, tmp_path, b"a" * 3500, mtime=1.5e9)
    verb = "put_whole" if dies_at == "a segment" else "put_manifest"
    real, calls = getattr(small.fs, verb), []

    def dies(*args, **kw):
        calls.append(args)
        if len(calls) == 2 or dies_at == "the manifest":
            raise KeyboardInterrupt
        return real(*args, **kw)

    monkeypatch.setattr(small.fs, verb, dies)
    with pytest.raises(KeyboardInterrupt):
        put(small, tmp_path, b"b" * 3500, mtime=1.5e9)
    monkeypatch.undo()
    assert get(small) == b"a" * 3500
    found = small.check()
    assert len(found.orphans) == (1 if dies_at == "a segment" else 4) and not found.broken and found.large == 1
    monkeypatch.setattr(writers, "SETTLE", -1.0)
    put(small, tmp_path, b"b" * 3500, mtime=1.5e9)
    assert get(small) == b"b" * 3500 and len(segments(small)) == 4  # what was left behind went with the old


def test_a_forced_upload_and_a_small_one_leave_no_segments(small, tmp_path):
    for data in (b"a" * 3500, b"a" * 3500, b"b" * 2500, b"small", b"c" * 1500):
        put(small, tmp_path, data)
        assert get(small) == data and len(segments(small)) == (-(-len(data) // 1000) if len(data) > 1000 else 0)
    small.fs.pipe(f"{small.root}/big.bin", b"d" * 1500)
    small.fs.pipe(f"{small.root}/big.bin", b"e" * 10)
    assert get(small) == b"e" * 10 and segments(small) == []


def test_a_name_of_a_thousand_letters_has_segments_too(small, tmp_path):
    name = "n" * 1000
    (tmp_path / "f").write_bytes(b"a" * 1500)
    small.fs.put_file(tmp_path / "f", f"{small.root}/{name}")
    assert get(small, name) == b"a" * 1500 and small.check().running == small.check().orphans == []


def test_a_server_that_takes_a_manifest_and_has_it_not_is_told(small, tmp_path, monkeypatch):
    put(small, tmp_path, b"a" * 1500)
    monkeypatch.setattr(small.fs, "put_manifest", lambda *a, **kw: None)  # "200 OK", and nothing done
    with pytest.raises(OSError, match="send it again"):
        put(small, tmp_path, b"b" * 1500)
    with pytest.raises(OSError, match="send it again"):
        put(small, tmp_path, b"b" * 1500, name="new.bin")
    monkeypatch.undo()
    assert get(small) == b"a" * 1500


# --- a status in the body of a 200 ---
@pytest.mark.parametrize("verb", [pytest.param("rm of fs", marks=pytest.mark.heavy), "delete_files"])
def test_deleting_a_large_object_fails_while_the_object_server_is_down(server, small, tmp_path, verb):
    put(small, tmp_path, b"a" * 3500)
    hasty = Datasets(server.settings_of_large, container=small.root, backoff=0.01, retries=1, timeout=5)
    server.kill("object")
    try:
        with pytest.raises(OSError, match="503|cannot|answers"):
            if verb == "rm of fs":
                hasty.fs.rm(f"{small.root}/big.bin")
            else:
                hasty.delete_files("big.bin", dry_run=False)
    finally:
        server.launch("object")
    assert get(small) == b"a" * 3500
    small.delete_files("big.bin", dry_run=False)
    assert not small.exists("big.bin") and segments(small) == []


@pytest.mark.parametrize(("body", "says"), [
    (b'{"Response Status": "500 Internal Error", "Errors": [], "Number Deleted": 0, "Number Not Found": 0}', "500"),
    (b'{"Response Status": "200 OK", "Errors": [], "Number Deleted": 1, "Number Not Found": 0}', "only 1 of 2"),
    (b'{"Response Status": "200 OK", "Err', "breaks off"), (b"", "breaks off"), (b"null", "breaks off"),
    (b'{"Response Status": "400 Bad Request", "Errors": [["/c/a", "503 No"]], "Number Deleted": 1, '
     b'"Number Not Found": 0}', "1 object could not be deleted")])
def test_a_bulk_deletion_that_says_otherwise_in_its_body_fails(small, monkeypatch, body, says):
    for name in "ab":
        small.fs.pipe(f"{small.root}/{name}", b"x")
    monkeypatch.setattr(small.fs.account, "retries", 1)
    monkeypatch.setattr(small.fs.conn, "post_account", lambda *a, **kw: ({}, body))
    monkeypatch.setattr(type(small.fs), "conn", small.fs.conn)  # for every thread
    with pytest.raises(OSError, match=says):
        small.delete_files(pattern="?", dry_run=False)


@pytest.mark.slow
def test_a_large_object_with_a_missing_segment_is_no_shorter_object(small, tmp_path):
    put(small, tmp_path, b"a" * 3500)
    small.conn.delete_object(f"{small.root}_segments", segments(small)[2])
    with pytest.raises(OSError, match="damaged|409|breaks|answers"):
        get(small)
    with pytest.raises(OSError):
        small.download("big.bin", tmp_path / "back")
    assert not (tmp_path / "back/big.bin").exists()


# --- check ---
def test_a_check_finds_orphans_and_broken_objects_and_cleans(small, tmp_path, monkeypatch):
    monkeypatch.setattr(writers, "SETTLE", 0.0)
    put(small, tmp_path, b"a" * 3500)
    put(small, tmp_path, b"b" * 3500, name="torn.bin")
    raw(small, "lost.bin")
    torn = next(n for n in segments(small) if n.startswith("torn.bin/"))
    small.conn.delete_object(f"{small.root}_segments", torn)
    found = small.check()
    assert (found.large, len(found.running), found.orphans) == (2, 1, [])  # it may be another machine's
    assert found.broken == [{"name": "torn.bin", "why": "1 of its 4 segments are missing or changed"}]
    before = segments(small)
    for options in ({}, {"clean": True}, {"clean": True, "dry_run": True}):
        found = small.check(older_than=0, **options)
        assert [o["name"] for o in found.orphans] == ["lost.bin/slo/1.000000/100/100/00000000"]
        assert not found.removed and segments(small) == before
    orphans_ = small.check(clean=True, dry_run=False, older_than=0)
    assert orphans_.removed == ["lost.bin/slo/1.000000/100/100/00000000"] and len(segments(small)) == len(before) - 1
    assert small.check(older_than=0).orphans == [] and get(small) == b"a" * 3500
    small.delete_files("torn.bin", dry_run=False)
    assert len(segments(small)) == 4 and small.check(older_than=0).broken == []


def test_segments_of_other_tools_manifests_are_no_orphans(small, tmp_path):
    """A manifest in another container, and a dynamic one, whose listing shows nothing but an empty object."""
    raw(small, "theirs")
    raw(small, "old rclone/1")
    seg = segments(small)
    other = f"{small.root}-other"
    small.fs.ensure_container(other)
    small.fs.put_manifest(other, "x", [{"path": f"/{small.root}_segments/{seg[1]}", "etag": None, "size_bytes": 100}])
    small.conn.put_object(small.root, "dynamic", b"", headers={
        "x-object-manifest": urllib.parse.quote(f"{small.root}_segments/old rclone/")})
    found = small.check(clean=True, dry_run=False, older_than=0)
    assert found.orphans == found.running == [] and segments(small) == seg


def test_an_upload_that_runs_is_left_alone(small, tmp_path):
    with small.open("stream.bin", "wb") as file:
        file.write(b"s" * 8_000)
        file.flush()
        found = small.check(clean=True, dry_run=False)
        assert found.orphans == []
    assert get(small, "stream.bin") == b"s" * 8_000
    assert small.check(older_than=0).orphans == []


def test_a_clean_waits_for_a_manifest_that_may_be_on_its_way(small, tmp_path, monkeypatch):
    """A killed process may have sent its manifest already, and the server is still at work on it."""
    manifests = []
    monkeypatch.setattr(small.fs, "put_manifest", lambda *a: manifests.append(a))
    with pytest.raises(OSError, match="send it again"):
        put(small, tmp_path, b"a" * 1500)
    monkeypatch.undo()
    assert len(small.check().orphans) == 2
    slept = []

    def arrives(seconds):
        slept.append(seconds)
        if len(slept) == 1:
            small.fs.put_manifest(*manifests[0])

    monkeypatch.setattr(time, "sleep", arrives)
    assert small.check(clean=True, dry_run=False).removed == [] and 20 < slept[0] <= 31
    assert get(small) == b"a" * 1500


def test_a_check_wants_hours(small):
    for wrong in (-1, float("nan")):
        with pytest.raises(InputError, match="hours"):
            small.check(older_than=wrong)


# --- a file that changes while it is sent ---
@pytest.mark.parametrize("how", ["rewritten", "grown", "cut", "rewritten with its old time"])
@pytest.mark.parametrize("kind", ["folder", "memory", "plain", "segments"])
def test_a_file_that_changes_while_it_is_sent_is_refused(request, tmp_path, kind, how, monkeypatch):
    if kind in ("plain", "segments"):
        base = request.getfixturevalue("server")
        store = Datasets(base.settings_of_large, container=request.getfixturevalue("container"), **QUICK,
                         segment_size=2**19 if kind == "segments" else 2**30)
    else:
        store = Datasets(str(tmp_path / "store") if kind == "folder" else f"memory://{tmp_path.name}")
    path = tmp_path / "a.bin"
    path.write_bytes(b"a" * 2 * MIB)
    os.utime(path, (1.5e9, 1.5e9))
    store.upload(path, "")
    from oco2_outliers.store import swift_bytes

    real, done = swift_bytes.Steady.__init__, []

    def changing(self, file, shown):
        real(self, file, shown)
        if not done:  # after the first look
            done.append(1)
            with open(path, "r+b") as f:
                {"grown": lambda: (f.seek(0, 2), f.write(b"b")), "cut": lambda: f.truncate(1000)}.get(
                    how, lambda: f.write(b"b" * 2 * MIB))()
            if "time" in how:
                os.utime(path, (1.5e9, 1.5e9))

    monkeypatch.setattr(swift_bytes.Steady, "__init__", changing)
    with pytest.raises(InputError, match="changed while being read, run again"):
        store.upload(path, "", force=True)
    with store.open("a.bin") as file:
        assert file.read() == b"a" * 2 * MIB  # the old object is there
    again = path.read_bytes()
    store.upload(path, "", force=True)
    with store.open("a.bin") as file:
        assert file.read() == again


# --- kills at random moments ---
@pytest.fixture
def nursery(server, container):
    """A process that has imported all it needs; each of its children is one writer."""
    run = subprocess.Popen([sys.executable, "-c", NURSERY, json.dumps(server.settings_of_large), container, "50000"],
                           stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    yield run
    run.communicate()


def meet(nursery, folder, n, moment, duration):
    """`n` writers of one object begin together, and most are killed; returns what they sent, and how long it took."""
    sent, paths = [], []
    for i in range(n):
        (folder / str(i)).mkdir(exist_ok=True)
        sent.append(moment.randbytes(moment.choice([60_000, 200_000])))
        paths.append(str(folder / f"{i}/big.bin"))
        (folder / f"{i}/big.bin").write_bytes(sent[-1])
        os.utime(paths[-1], (1.5e9, 1.5e9))
    nursery.stdin.write(json.dumps(paths) + "\n")
    nursery.stdin.flush()
    pids, begin = json.loads(nursery.stdout.readline()), time.monotonic()
    ends = sorted((moment.uniform(0, 1.3 * duration), i) for i in range(n) if moment.random() < 0.7)
    for at, i in ends:
        time.sleep(max(0, begin + at - time.monotonic()))
        with contextlib.suppress(ProcessLookupError):
            os.kill(pids[i], 9)
    status = json.loads(nursery.stdout.readline())
    assert set(status) <= {0, 9}, status
    return sent, sum(1 for s in status if s == 9), None if ends else time.monotonic() - begin


@pytest.mark.slow
@pytest.mark.parametrize("n", [2, 4])
def test_writers_of_one_object_that_are_killed_leave_one_whole_version(small, nursery, tmp_path, n, monkeypatch):
    """OCO2_ROUNDS=200 for the long run."""
    monkeypatch.setattr(writers, "SETTLE", 1.5)
    moment, duration, orphaned, killed = random.Random(n), 1.0, 0, 0
    small.fs._segment_size = 50_000
    now = b"the first" * 20000
    put(small, tmp_path, now)
    for _ in range(ROUNDS):
        sent, ended, took = meet(nursery, tmp_path, n, moment, duration)
        duration, killed = took or duration, killed + ended
        time.sleep(0.5)  # the server ends what the killed had asked for
        before, now = now, get(small)
        assert now in [before, *sent]
        there = set(segments(small))
        found = small.check()
        orphans = {o["name"] for o in found.orphans}
        named = {s["path"].split("/", 2)[2] for s in small.fs.segments(f"{small.root}/big.bin")}
        assert set(segments(small)) - named <= orphans <= there
        assert found.running == found.broken == []
        orphaned += len(found.orphans)
        small.check(clean=True, dry_run=False)
        now = get(small)  # a manifest may have been on its way
        assert now in [before, *sent]
        assert set(segments(small)) == {s["path"].split("/", 2)[2] for s in small.fs.segments(f"{small.root}/big.bin")}
    print(f"{ROUNDS} rounds of {n} writers: {killed} killed, {orphaned} orphans found and cleaned")
    assert small.check().orphans == [] and (orphaned or ROUNDS < 5)
