"""One run at a time, whatever the clocks say and however the hosts are called."""

import errno
import itertools
import json
import os
import subprocess
import sys
import threading
import time

import fsspec
import pytest

from oco2_outliers.ground.errors import InputError
from oco2_outliers.runs import locking
from oco2_outliers.runs.folder import Manifest, RunFolder
from oco2_outliers.runs.locking import describe_myself, is_gone, is_stale, locked
from oco2_outliers.scale import map_files

numbers = itertools.count()


@pytest.fixture
def out(monkeypatch):
    """A folder in an object store, with a quick heart."""
    monkeypatch.setattr(locking, "_BEAT", 0.1)
    monkeypatch.setattr(locking, "_SETTLE", 0.0)
    yield RunFolder(f"memory://lock-{next(numbers)}")
    fsspec.filesystem("memory").store.clear()


def write(out, **changes):
    out.write(".lock", json.dumps(describe_myself() | changes).encode())


def said_by(**changes):
    return json.dumps(describe_myself() | changes).encode()


def dead_pid():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


@pytest.fixture
def holder(out):
    """A run of another machine, whose clock is wrong by as much as is asked for."""
    ended, threads = threading.Event(), []

    def begin(skew):
        def beat():
            who = describe_myself() | {"host": "elsewhere"}
            for number in itertools.count():
                out.write(".lock", json.dumps(who | {"beat": number, "renewed": time.time() + skew}).encode())
                if ended.wait(0.05):
                    return
        threads.append(threading.Thread(target=beat, daemon=True))
        threads[0].start()
        while out.read_or_none(".lock") is None:
            time.sleep(0.01)

    yield begin
    ended.set()
    for thread in threads:
        thread.join()


@pytest.mark.parametrize("skew", [0, -3600, 3600, -1e9, float("nan"), float("-inf")])
def test_a_living_holder_keeps_its_lock_whatever_its_clock_says(out, holder, skew):
    holder(skew)
    with pytest.raises(InputError, match="in use by process .* on 'elsewhere'"), locked(out):
        pass


@pytest.mark.parametrize("renewed", [-3600, 3600, 1e9])
def test_a_lock_whose_heart_stands_still_is_taken_over_whatever_the_clock_says(out, renewed):
    write(out, host="elsewhere", renewed=time.time() + renewed)
    with locked(out):
        assert json.loads(out.read(".lock"))["token"] in locking._held
    assert out.read_or_none(".lock") is None and not locking._held


def test_a_lock_that_says_nothing_is_watched_too(out):
    for text in (b"{", b"\xff", b"[" * 100_000, b'{"pid": 1e999}', b'{"pid": true}', b"null"):
        assert is_stale(text) and is_gone(text) is None
    out.write(".lock", b"{")
    with locked(out):
        pass


def test_a_process_of_another_container_of_the_same_host_name_is_not_asked_for(out):
    dead = dead_pid()
    assert is_gone(said_by(pid=dead)) is True
    assert is_gone(said_by(pid=dead, machine="another")) is None and not is_stale(said_by(pid=dead, machine="another"))
    write(out, pid=dead, machine="another")
    with pytest.raises(InputError, match="in use"), locked(out):
        pass


def test_a_number_that_another_process_has_by_now_holds_nothing():
    assert is_gone(said_by(pid=os.getppid(), began=None)) is False
    assert is_gone(said_by(pid=os.getppid(), began=1.0)) is True
    assert is_gone(said_by(pid=2**80)) in (False, None)


def test_what_this_process_left_behind_does_not_lock_it_out_for_ever(out):
    write(out)
    with pytest.raises(InputError, match="in use"), locked(out):
        pass
    write(out, renewed=time.time() - 700)
    with locked(out):
        pass


def test_a_holder_that_slept_too_long_stops_writing_and_leaves_the_lock_of_the_other(out):
    manifest = Manifest(out)
    with locked(out):
        write(out, host="elsewhere")
        end = time.monotonic() + 120
        while not out.lost:
            assert time.monotonic() < end
            time.sleep(0.01)
        for folder in (out, out.below("first_pass")):
            with pytest.raises(InputError, match="in use by process .* on 'elsewhere'"):
                Manifest(folder).close()
        with pytest.raises(InputError, match="in use"):
            manifest.record({"key": "0" * 32, "name": "a"})
    assert json.loads(out.read(".lock"))["host"] == "elsewhere"


def test_of_two_that_come_at_once_one_gets_the_lock(out, monkeypatch):
    monkeypatch.setattr(locking, "_SETTLE", 0.2)
    got, barrier = [], threading.Barrier(8)

    def come():
        mine = RunFolder(out.address)
        barrier.wait()
        try:
            with locked(mine):
                got.append("held")
                time.sleep(0.5)
        except InputError:
            got.append("refused")

    threads = [threading.Thread(target=come) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == ["held"] + ["refused"] * 7


def test_a_disk_without_locks_gets_the_other_kind(tmp_path, monkeypatch):
    import fcntl

    monkeypatch.setattr(locking, "_SETTLE", 0.0)

    def none(*args):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    place = RunFolder(tmp_path / "out")
    place.make()
    with locked(place), pytest.raises(InputError, match=f"in use by process {os.getpid()}"), locked(place):
        pass
    (tmp_path / "a.csv").write_text("xco2\n1\n")
    assert map_files(tmp_path / "a.csv", "convert", out=tmp_path / "out").n_done == 1
    assert not (tmp_path / "out" / ".lock").exists()
