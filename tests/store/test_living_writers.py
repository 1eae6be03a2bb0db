"""What a living process writes is its own, however old it is; what is gone or hidden is told apart from it."""
import errno
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from oco2_outliers.cli import main
from oco2_outliers.datasets import Datasets, StoreCheck
from oco2_outliers.ground import files
from oco2_outliers.ground.files import process_state, remove_unfinished, state_of_writer, temporary_name
from oco2_outliers.store import orphans, segments, writers
from oco2_outliers.store.segments import SwiftSegments
from oco2_outliers.store.writers import Upload, begin_writing, end_writing, read_segment_name

LONG_AGO = 90_000.0


def upload(token, age=LONG_AGO, n=3, size=12):
    names = [f"a/slo/1535173999.250000/{size}/5/{token}/{i:08d}" for i in range(n)]
    return Upload([{"name": name} for name in names], read_segment_name(names[0]), age)


@pytest.fixture
def other():
    """A process that lives until the test ends."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, text=True) as child:
        yield child
        child.stdin.close()


# --- the age does not count where the process can be asked ---
def test_segments_of_a_running_upload_stay_whatever_their_age(other):
    token = begin_writing()
    assert upload(token).reason(0) == upload(token).reason(3600) == (False, "its writer runs")
    end_writing(token)
    assert upload(token, age=0).reason(3600) == (True, "its writer has ended")
    machine, _, _, number = token.split("-")
    of_other = f"{machine}-{other.pid:x}-{files.began_at_tick(other.pid) or 0:x}-{number}"
    assert upload(of_other).reason(0) == (False, "its writer runs")
    other.kill()
    other.wait()
    assert upload(of_other, age=0).reason(3600) == (True, "its writer has ended")
    assert upload(f"00000000{token[8:]}").reason(3600)[0] and not upload(f"00000000{token[8:]}", 60).reason(3600)[0]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_an_unfinished_file_of_a_living_writer_stays_whatever_its_age(tmp_path, other, kind):
    part = tmp_path / temporary_name("a.csv").replace(f"-{os.getpid():x}-", f"-{other.pid:x}-")
    part.mkdir() if kind == "folder" else part.write_text("half")
    if began := files.began(other.pid):
        os.utime(part, (began - 30,) * 2)
    found = Datasets(str(tmp_path)).check(clean=True, dry_run=False, older_than=0)
    assert part.exists() and [o["why"] for o in found.running] == ["its writer runs"] and not found.orphans
    other.kill()
    other.wait()
    found = Datasets(str(tmp_path)).check(clean=True, dry_run=False)
    assert not part.exists() and found.removed == [part.name]


def test_a_download_that_runs_keeps_its_part(tmp_path):
    fcntl = pytest.importorskip("fcntl", reason="locks of POSIX; the file of a living writer is kept above without")
    part = tmp_path / ".x.csv.d41d8cd98f00b204.part"
    with part.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        os.utime(part, (1.0, 1.0))
        assert Datasets(str(tmp_path)).check(clean=True, dry_run=False).running and part.exists()
    assert Datasets(str(tmp_path)).check(clean=True, dry_run=False).removed == [part.name] and not part.exists()


# --- what a system tells of a process ---
def test_a_process_that_the_system_hides_may_live(monkeypatch, other, tmp_path):
    """As /proc mounted with hidepid=2 hides the processes of other users."""
    tick = files.began_at_tick(other.pid)
    real = Path.read_text
    monkeypatch.setattr(Path, "read_text", lambda path, *args, **more: real(
        path if str(path) != f"/proc/{other.pid}/stat" else Path("/proc/nothing"), *args, **more))
    if os.path.exists("/proc/self/stat"):
        assert process_state(other.pid, tick) == process_state(other.pid) == "unknown"
        token = f"{writers._machine()}-{other.pid:x}-{tick:x}-00000000"
        assert writers.writer_state(token) == "unknown"
        assert not upload(token, age=60).reason(3600)[0] and upload(token).reason(3600)[0]
        part = tmp_path / temporary_name("a").replace(f"-{os.getpid():x}-", f"-{other.pid:x}-")
        part.touch()
        assert state_of_writer(part) == "unknown" and files.sweep_leftovers(tmp_path) == []
    other.kill()
    other.wait()
    assert process_state(other.pid, tick or 0) == "ended"


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="needs /proc; the tests above need none")
def test_a_zombie_and_another_process_of_the_number_have_ended(tmp_path):
    child = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert process_state(child.pid) == "ended" and files.is_dead(child.pid)
    child.wait()
    tick = files.began_at_tick(os.getpid())
    assert process_state(os.getpid(), tick) == "running" and process_state(os.getpid(), tick + 1) == "ended"


# --- what is removed ---
def test_a_link_to_a_folder_goes_and_the_folder_stays(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("whole")
    name = temporary_name("results").replace(f"-{os.getpid():x}-", f"-{2**30:x}-")
    (tmp_path / name).symlink_to("data")
    assert Datasets(str(tmp_path)).check(clean=True, dry_run=False).removed == [name]
    assert os.listdir(tmp_path) == ["data"] and (tmp_path / "data" / "a.csv").read_text() == "whole"
    assert remove_unfinished(tmp_path / "nothing")


def test_what_could_not_be_removed_is_told_and_not_counted(tmp_path, monkeypatch):
    name = temporary_name("a").replace(f"-{os.getpid():x}-", f"-{2**30:x}-")
    (tmp_path / name).touch()

    def refuses(path, *args, **more):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(files.os, "unlink", refuses)
    with pytest.warns(UserWarning, match="1 unfinished part could not be deleted"):
        assert Datasets(str(tmp_path)).check(clean=True, dry_run=False).removed == []


# --- cleaning looks again after it has waited ---
def test_a_clean_deletes_nothing_that_it_saw_before_it_waited(monkeypatch):
    ended = begin_writing()
    end_writing(ended)
    looks, slept, dropped = [], [], []
    cleaner = orphans.SwiftChecking.__new__(orphans.SwiftChecking)
    names = [f"young/stream/{ended}/00000000", f"old/slo/1.0/12/5/{ended}/00000000"]
    monkeypatch.setattr(orphans.time, "sleep", slept.append)
    for verb, does in {"_listed": lambda container: looks.append(container) or [{"name": n, "bytes": 5} for n in names],
                       "server_time": lambda container: None, "_broken": lambda *a: [], "drop_segments": dropped.extend,
                       "_named": lambda container: orphans._Named(set(), (), {})}.items():
        monkeypatch.setattr(cleaner, verb, does, raising=False)
    monkeypatch.setattr(orphans, "uploads_of", lambda listed, now: [
        Upload([o], read_segment_name(o["name"]), age=1.0) for o in listed])
    found = cleaner.clean_container("oco2")
    assert len(looks) == 3 and len(slept) == 2 and max(slept) <= orphans.SETTLE
    assert found.removed == [names[1]] and [s["path"] for s in dropped] == [f"/oco2_segments/{names[1]}"]
    assert [o["name"] for o in found.running] == [names[0]] and "clean again" in found.running[0]["why"]
    looks.clear(), slept.clear(), dropped.clear()
    monkeypatch.setattr(orphans, "uploads_of", lambda listed, now: [
        Upload([o], read_segment_name(o["name"]), age=0.0 if len(looks) < 3 else 31.0) for o in listed])
    assert cleaner.clean_container("oco2").removed == names and slept == [orphans.SETTLE] * 2


# --- what a check says ---
def test_a_check_speaks_of_what_the_store_has(tmp_path, capsys):
    one = [{"container": "c", "name": "n", "bytes": 1, "why": "w"}]
    assert str(StoreCheck(one, [], [], large=1)).splitlines()[1:] == [
        "1 large object, none is broken", "1 orphan, 1 byte"]
    assert str(StoreCheck([], one * 2, [], large=None)).splitlines()[2:] == [
        "2 unfinished parts", "2 unfinished parts may belong to a writer that still runs, and stay", "no orphans"]
    (tmp_path / temporary_name("a")).touch()
    main(["store", "check", "--store", str(tmp_path)])
    said = capsys.readouterr().out
    assert "1 unfinished part may belong" in said and "large object" not in said and "segment" not in said
    assert "segment" not in str(Datasets("memory://words").check())


# --- what is asked of a server, and what is left on the disk ---
class _Manifests(SwiftSegments):
    """A server that holds one object, and counts what it is asked."""

    def __init__(self, live, listed=(), fails=()):
        self.live, self.listed, self.fails = live, listed, fails
        self.asked, self.dropped = [], []

    def live_segments(self, path):
        self.asked.append("manifest")
        return self.live

    def list_objects(self, store, prefix):
        self.asked.append("list")
        if "list" in self.fails:
            raise OSError("the list breaks off")
        return [o for o in self.listed if o["name"].startswith(prefix)]

    def server_time(self, container):
        self.asked.append("time")
        return datetime(2018, 8, 25, 6, tzinfo=UTC)

    def drop_segments(self, segments):
        self.dropped += [s["path"] for s in segments]


def _segments(token, n=2, store="/c_segments"):
    return [{"path": f"{store}/a/slo/1.0/12/5/{token}/{i:08d}"} for i in range(n)]


def _listed(segments):
    return [{"name": s["path"].split("/", 2)[2], "last_modified": "2018-08-25T05:00:00"} for s in segments]


def test_a_manifest_is_read_once_before_and_once_after():
    with writers.writing() as token:
        old, new = _segments("00000000-1-1-00000000"), _segments(token)
        server = _Manifests(old, _listed([*old, *new]))
        server.publish("c/a", new, lambda: setattr(server, "live", new))
        assert server.asked.count("manifest") == 2 and server.dropped == [s["path"] for s in old]
        server = _Manifests([], _listed(new))
        server.publish("c/a", new, lambda: setattr(server, "live", new))
        assert server.asked == ["manifest", "list", "list", "list", "manifest"] and server.dropped == []
    small = _Manifests([])
    small.publish("c/a", [], lambda: None)
    assert small.asked == ["manifest"]


def test_what_ended_writers_left_goes_and_what_another_writer_made_live_stays():
    ended = begin_writing()
    end_writing(ended)
    with writers.writing() as token, writers.writing() as other:
        old, left, new = _segments("00000000-1-1-00000000"), _segments(ended), _segments(token)
        theirs = _segments(other)
        server = _Manifests(old, _listed([*old, *left, *new, *theirs]))
        server.publish("c/a", new, lambda: setattr(server, "live", theirs))
        assert server.asked.count("time") == 1
        assert sorted(server.dropped) == sorted(s["path"] for s in [*old, *new, *left])


def test_a_manifest_that_is_not_there_is_told_also_where_nothing_can_be_listed():
    with writers.writing() as token:
        new = _segments(token)
        server = _Manifests(None, fails=("list",))
        with pytest.warns(UserWarning, match="segments may remain"), pytest.raises(OSError, match="send it again"):
            server.publish("c/a", new, lambda: None)
        with pytest.warns(UserWarning, match="segments may remain"):
            server.publish("c/a", new, lambda: setattr(server, "live", new))


def test_the_process_of_an_upload_is_asked_once(monkeypatch):
    asked = []
    monkeypatch.setattr(writers, "writer_state", lambda token: asked.append(token) or "unknown")
    upload("00000000-1-1-00000000").reason(3600)
    assert len(asked) == 1


def test_a_disk_without_locks_keeps_no_empty_part(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl", reason="locks of POSIX; test_swift_segments downloads without a lock held")
    part = segments.part_of(tmp_path / "a.csv", "d41d8cd98f00b204e9800998ecf8427e")

    def no_locks(file, how):
        raise OSError(errno.ENOLCK, "No locks available")

    with segments.own_part(part) as used:
        assert used == part
        with segments.own_part(part) as another:  # it is locked
            assert another != part and part.exists()
        part.write_bytes(b"half")
    monkeypatch.setattr(fcntl, "flock", no_locks)
    for there in (True, False):
        with segments.own_part(part) as used:
            assert used != part
            used.write_bytes(b"all")
        assert os.listdir(tmp_path) == ([part.name] if there else [])
        part.unlink(missing_ok=True)
