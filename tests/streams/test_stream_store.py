"""The result store: all of a batch or nothing of it, whatever happens to the worker, the disk, or the file."""

import contextlib
import math
import os
import pickle
import random
import resource
import shutil
import signal
import sqlite3
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oco2_outliers.ground.errors import InputError
from oco2_outliers.page.series_content import series_html, series_view
from oco2_outliers.series.results import RESULT_COLUMNS, load_series_result
from oco2_outliers.streams.batch_rows import (
    Changes,
    ChannelRow,
    DeadLetter,
    Event,
    FirstVerdict,
    SettledVerdict,
    StretchRow,
)
from oco2_outliers.streams.broker_parts import Fenced
from oco2_outliers.streams.result_store import open_store
from oco2_outliers.streams.store_tables import StoreBusy, StoreFailed, StoreFull

ABOUT = {"model": "1a" * 32, "configuration": "2b" * 32, "topic": "sewers"}
HOUR = 3600 * 10**9
HOSTILE = ["../../etc/passwd", "'; DROP TABLE verdicts; --", '"site"', "<script>alert(1)</script>", "a\0b",
           "\U0001f4a7", "", "a\nb\tc", "%s{}", "x" * 5000, "\u202eevil", "NE001"]


def batches(n, seed=0, size=10):
    """Batches of a stream that is judged by dice: the same for the same seed."""
    dice, made, open_rows = random.Random(seed), [], []
    for number in range(n):
        batch = Changes(positions={"0": str(number)})
        for place in range(size):
            time = (number * size + place) * HOUR
            row = FirstVerdict(dice.choice(HOSTILE), "flow", time, dice.gauss(0, 1), dice.random(), dice.random() < 0.1,
                               "", "", HOUR)
            batch.first.append(row)
            open_rows.append(row)
        for row in open_rows[:-15]:
            batch.settled.append(SettledVerdict(*row[:3], dice.random(), dice.random() < 0.1, dice.random(), "spike",
                                                "<b>odd</b>", row.time, row.time + HOUR, 15 * HOUR))
        open_rows = open_rows[-15:]
        batch.stretches.append(StretchRow("NE001", "flow", number * HOUR, number * HOUR, "gap", math.nan, math.nan,
                                          False, math.nan, "gap of 1 h"))
        batch.events.append(Event("NE001", "flow", number * HOUR, "late", 1.0, "", "0", str(number)))
        batch.dead.append(DeadLetter("0", str(number), -1, dice.randbytes(20), 20, "no JSON"))
        batch.count("duplicate", dice.randrange(3), "NE001", "flow")
        batch.channels.append(ChannelRow("NE001", "flow", "0", 0, number, number, number, "[]"))
        made.append(batch)
    return made


def written(path, made):
    """A new store with some batches."""
    store = open_store(path, ABOUT)
    mine = {"0": store.claim("0", "worker")}
    for batch in made:
        store.commit(batch, mine)
    return store


def in_child(act):
    """What `act` gives in a process of its own, or how that ended (a negative number: by which signal)."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        try:
            os.close(reading)
            with os.fdopen(writing, "wb") as file:
                pickle.dump(act(), file)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as file:
        told = file.read()
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return status if status else pickle.loads(told)


@pytest.fixture
def quick(tmp_path):
    """A folder in memory where there is one: what is forced to the disk costs nothing there."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else tmp_path) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def prefixes(tmp_path_factory):
    """Digests of a store after each of thirty batches; first that of an empty one."""
    store = open_store(tmp_path_factory.mktemp("undisturbed") / "r.db", ABOUT)
    mine, found = {"0": store.claim("0", "worker")}, [store.digest()]
    for batch in batches(30):
        store.commit(batch, mine)
        found.append(store.digest())
    store.close()
    assert len(set(found)) == 31
    return found


def after(position):
    """How many batches a position means."""
    return 0 if position is None else int(position) + 1


# ---------------------------------------------------------------- what goes in comes out

def bits(number):
    """The bits of a number; all that are no number are one, and so are both zeros (SQLite keeps one of each)."""
    return "nan" if math.isnan(number) else struct.pack("<d", number + 0.0)


names = st.sampled_from(HOSTILE) | st.text(st.characters(codec="utf-8"), max_size=8)
numbers = st.floats() | st.sampled_from([5e-324, -5e-324, 2.2250738585072014e-308, 1e308, math.inf, -math.inf, -0.0])
times = st.integers(-2**63 + 1, 2**63 - 1)  # the least of all is the "not a time" of pandas
rows = st.lists(st.tuples(names, names, times, numbers, numbers, st.booleans(), names), min_size=1, max_size=12,
                unique_by=lambda row: row[:3])


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows, st.data())
def test_any_cut_into_batches_leaves_the_same_rows_bit_for_bit(quick, rows, data):
    first = [FirstVerdict(*row, row[-1], 7) for row in rows]
    settled = [SettledVerdict(*row[:3], row[4], row[5], row[3], row[6], row[0], None, row[2], 9) for row in rows]
    steps = [("first", row) for row in first] + [("settled", row) for row in settled]
    steps += [("events", Event(*row[:3], "late", row[3], row[6], "0", "1")) for row in rows]
    cuts = data.draw(st.lists(st.integers(0, len(steps)), max_size=6))
    digests = []
    for name, edges in (("whole", []), ("cut", sorted(cuts))):
        (quick / f"{name}.db").unlink(missing_ok=True)
        with open_store(quick / f"{name}.db", ABOUT) as store:
            mine = {"0": store.claim("0", "worker")}
            for begin, end in zip([0, *edges], [*edges, len(steps)]):
                batch = Changes()
                for kind, row in steps[begin:end]:
                    getattr(batch, kind).append(row)
                store.commit(batch, mine)
            digests.append(store.digest())
            for row in first:
                there, value = store.has(*row[:3])
                assert there and bits(value) == bits(row.value)
            found = store.points()
            keys = zip(found["site"], found["channel"], found["time"].array.asi8)
            keyed = {key: place for place, key in enumerate(keys)}
            for row in settled:
                place = keyed[row[:3]]
                assert bits(found["score"][place]) == bits(row.score)
                assert bits(found["p_value"][place]) == bits(row.p_value)
                assert (found["kind"][place], found["reason"][place]) == (row.kind, row.reason)
    assert digests[0] == digests[1]


def test_no_row_twice_and_never_replaced(tmp_path):
    made = batches(3)
    store = written(tmp_path / "r.db", made[:2])
    before, mine = store.digest(), {"0": store.claim("0", "worker")}
    twin = made[2].first[0]
    for kind in ("first", "settled", "stretches", "events", "dead"):
        for bad in (made[1], made[2]):
            again = Changes(positions={"0": "9"})
            chosen = getattr(bad, kind)
            getattr(again, kind).extend(chosen if bad is made[1] else chosen[:1] * 2)
            if bad is made[1] or kind != "events":  # two events of one message may agree in their key
                with pytest.raises(RuntimeError, match="nothing of this batch was written"):
                    store.commit(again, mine)
                assert store.digest() == before and store.position("0") == "1"
    store.commit(Changes(first=[twin]), mine)
    with pytest.raises(RuntimeError, match="judged twice"):
        store.commit(Changes(first=[twin._replace(value=5.0)]), mine)
    assert store.has(*twin[:3]) == (True, twin.value)


def test_what_is_no_plain_number_is_refused_whole(tmp_path):
    (batch,) = batches(1)
    with written(tmp_path / "r.db", [batch]) as store:
        before, mine = store.digest(), {"0": store.claim("0", "worker")}
        new = batch.first[0]._replace(time=10**15)
        for change in ({"time": np.int64(3)}, {"outlier": np.bool_(True)}, {"site": "\ud800"}, {"time": 2**63},
                       {"kind": None}, {"score": "high"}):
            with pytest.raises(RuntimeError, match="nothing of this batch was written"):
                store.commit(Changes(first=[new, new._replace(time=5, **change) if "time" not in change else
                                            new._replace(**change)]), mine)
            assert store.digest() == before


def test_the_body_of_a_dead_message_is_kept_once(tmp_path):
    body = b"<img src=x onerror=alert(1)>\0\xff" * 40_000
    letters = [DeadLetter("0", "7", part, body, len(body), "no number") for part in range(300)]
    with open_store(tmp_path / "r.db", ABOUT) as store:
        mine = {"0": store.claim("0", "worker")}
        store.commit(Changes(dead=[*letters, letters[0]._replace(position="8", body=b"")], positions={"0": "8"}), mine)
        found = store.dead()
        assert [len(each) for each in found["body"]] == [2**20] * 300 + [0] and found["body"][7] == body[: 2**20]
        assert found["size"].tolist() == [len(body)] * 301
        store.commit(Changes(positions={"0": "9"}), mine)
    assert (tmp_path / "r.db").stat().st_size < 3 * 2**20


# ---------------------------------------------------------------- a worker that dies

def killed_at(path, made, statement):
    """A worker that kills itself in front of a statement."""
    def worker():
        store = open_store(path, ABOUT)
        mine, left = {"0": store.claim("0", "worker")}, [statement]

        def count(_):
            left[0] -= 1
            if left[0] < 0:
                os.kill(os.getpid(), signal.SIGKILL)

        store._base.set_trace_callback(count)
        for batch in made[after(store.position("0")):]:
            store.commit(batch, mine)
    return in_child(worker)


@pytest.mark.parametrize("seed", range(5))
def test_killed_between_two_rows_the_batch_is_whole_or_not_there(quick, prefixes, seed):
    """As often as the dice say; each worker goes on where the store stands, and the last one comes to the end."""
    dice, made, kills = random.Random(seed), batches(30), 0
    while killed_at(quick / "r.db", made, dice.randrange(5, 400)) == -signal.SIGKILL:
        kills += 1
        with open_store(quick / "r.db") as store:
            assert store.digest() == prefixes[after(store.position("0"))]
    assert kills >= 3
    with open_store(quick / "r.db") as store:
        assert store.digest() == prefixes[-1] and store.partitions()["epoch"][0] == kills + 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_killed_at_any_moment_the_batch_is_whole_or_not_there(tmp_path, prefixes, seed):
    """Also within the write to the disk."""
    dice, made, kills = random.Random(seed), batches(30), 0

    def worker():
        with open_store(tmp_path / "r.db", ABOUT) as store:
            mine = {"0": store.claim("0", "worker")}
            for batch in made[after(store.position("0")):]:
                store.commit(batch, mine)
        return "done"

    for _ in range(200):
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                worker()
                os._exit(0)
            os._exit(1)
        time.sleep(dice.uniform(0.002, 0.06))
        os.kill(child, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        with contextlib.suppress(FileNotFoundError), open_store(tmp_path / "r.db") as store:
            assert store.digest() == prefixes[after(store.position("0"))]
        kills += status == -signal.SIGKILL
        if status == 0:
            break
    assert in_child(worker) == "done" and kills
    with open_store(tmp_path / "r.db") as store:
        assert store.digest() == prefixes[-1]


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A store as a power cut finds it: the file, and a log of eight batches."""
    folder = tmp_path_factory.mktemp("cut")
    store = written(folder / "r.db", [])
    store._base.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    mine = {"0": store.claim("0", "worker")}
    for batch in batches(8):
        store.commit(batch, mine)
    found = (folder / "r.db").read_bytes(), (folder / "r.db-wal").read_bytes()
    store.close()
    return found


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_log_that_is_cut_or_spoilt_anywhere_holds_whole_batches(quick, prefixes, log, data):
    file, tail = log
    place = data.draw(st.integers(0, len(tail) - 1))
    for path in quick.iterdir():
        path.unlink()
    spoilt = bytearray(tail)
    spoilt[place] ^= 0x55
    (quick / "r.db").write_bytes(file)
    (quick / "r.db-wal").write_bytes(tail[:place] if data.draw(st.booleans()) else bytes(spoilt))
    with open_store(quick / "r.db", ABOUT) as store:
        done = after(store.position("0"))
        assert store.digest() == prefixes[done]
        mine = {"0": store.claim("0", "worker")}
        for batch in batches(30)[done:9]:
            store.commit(batch, mine)
        assert store.digest() == prefixes[9]


# ---------------------------------------------------------------- two workers

def test_the_worker_that_was_overtaken_writes_nothing(tmp_path, prefixes):
    made = batches(4)
    first, second = open_store(tmp_path / "r.db", ABOUT), open_store(tmp_path / "r.db", ABOUT)
    old = {"0": first.claim("0", "first"), "1": first.claim("1", "first")}
    first.commit(made[0], old)
    new = {"0": second.claim("0", "<second>\n")}
    for stale in (old, {"0": 1}, {"0": 3}, {}, {"1": 1}):
        with pytest.raises(Fenced, match=r"partition 0 of .* belongs to <second>\\n now \(epoch 2, ours"):
            first.commit(made[1], stale)
        assert first.digest() == prefixes[1] and first.position("0") == "0"
    second.commit(made[1], new)
    assert second.digest() == prefixes[2]
    first.commit(Changes(positions={"1": "5"}), old)  # its other partition is still its own
    with pytest.raises(Fenced, match="partition 0"):  # verdicts alone name no partition: all must be its own
        first.commit(Changes(first=made[2].first), old)
    assert (first.position("1"), second.position("0")) == ("5", "1")


def test_of_two_workers_that_write_at_once_only_the_owner_does(tmp_path, prefixes):
    """Both hold all batches; each claims, and goes on where the store stands, until the other one claims."""
    made = batches(30)

    def worker():
        refused = 0
        while True:
            with open_store(tmp_path / "r.db", ABOUT) as store:
                mine = {"0": store.claim("0", str(os.getpid()))}
                with contextlib.suppress(Fenced):
                    for batch in made[after(store.position("0")):]:
                        store.commit(batch, mine)
                        if refused < 6 and random.random() < 0.2:
                            break  # begin anew, and take the partition from the other
                    if store.position("0") == "29":
                        return refused
                refused += 1

    children = []
    for _ in range(2):
        if not (child := os.fork()):
            random.seed(os.getpid())
            with contextlib.suppress(BaseException):
                worker()
                os._exit(0)
            os._exit(1)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0, 0]
    with open_store(tmp_path / "r.db") as store:
        assert store.digest() == prefixes[-1] and store.partitions()["epoch"][0] >= 2


def test_a_reader_sees_whole_batches_while_a_worker_writes(tmp_path):
    store = written(tmp_path / "r.db", batches(1))
    child = os.fork()
    if not child:
        with contextlib.suppress(BaseException):
            mine = {"0": 1}
            fresh = open_store(tmp_path / "r.db", ABOUT)
            for batch in batches(30)[1:]:
                fresh.commit(batch, mine)
            os._exit(0)
        os._exit(1)
    while not os.waitpid(child, os.WNOHANG)[0]:
        told = store.tally()
        assert told["judged"] == 10 * told["late"] == 10 * told["dead"]
    assert store.tally()["judged"] == 300


def test_workers_that_start_at_once_make_one_store(tmp_path):
    ready, go = os.pipe()
    children = []
    for number in range(4):
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                os.close(go)
                os.read(ready, 1)
                open_store(tmp_path / "r.db", ABOUT).claim(str(number % 2), "worker")
                os._exit(0)
            os._exit(1)
        children.append(child)
    os.close(go)
    os.close(ready)
    assert [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children] == [0] * 4
    with open_store(tmp_path / "r.db") as store:
        assert store.partitions()["epoch"].tolist() == [2, 2] and store.about["topic"] == "sewers"


def test_a_worker_waits_for_another_that_has_just_opened_the_store(tmp_path):
    """SQLite waits for others nearly everywhere, but not where a file gets its write-ahead log."""
    open_store(tmp_path / "r.db", ABOUT).close()
    with contextlib.closing(sqlite3.connect(tmp_path / "r.db", isolation_level=None, check_same_thread=False)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN")
        other.execute("SELECT * FROM about").fetchone()
        ended = threading.Timer(0.3, other.execute, ["COMMIT"])
        ended.start()
        with open_store(tmp_path / "r.db", ABOUT) as store:
            assert store.claim("0", "worker") == 1
        ended.join()


# ---------------------------------------------------------------- a disk that is full

def heavy(n):
    """A batch of some hundred kilobytes."""
    return Changes(first=[FirstVerdict("NE001", "level", time, 0.5, math.nan, False, "", "x" * 1000, 0)
                          for time in range(n)], positions={"0": "99"})


def test_a_limit_on_the_size_of_files_stops_the_batch_and_not_the_store(tmp_path, prefixes):
    def worker():
        store = written(tmp_path / "r.db", batches(2))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, hard))
        for _ in range(2):
            with pytest.raises(StoreFailed, match="its disk refused to read or write .*nothing of this batch"):
                store.commit(heavy(500), {"0": 1})
            assert store.digest() == prefixes[2] and store.position("0") == "1"
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        store.commit(batches(3)[2], {"0": 1})
        store.commit(heavy(500), {"0": 1})
        return store.tally()["judged"]

    assert in_child(worker) == 530


def test_a_full_disk_stops_the_batch_and_not_the_store(tmp_path, prefixes):
    disk = tmp_path / "disk"
    disk.mkdir()
    if shutil.which("mount") is None or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "none", disk], capture_output=True).returncode:
        pytest.skip("no rights to mount a small disk; a limit on pages (notebook 40_result_store) and "
                    "test_a_limit_on_the_size_of_files_stops_the_batch_and_not_the_store take the same path")
    try:
        store = written(disk / "r.db", batches(2))
        (disk / "ballast").write_bytes(b"x" * 500_000)
        for _ in range(2):
            with pytest.raises(StoreFull, match="r.db: its disk is full, and nothing of this batch was written"):
                store.commit(heavy(500), {"0": 1})
            assert store.digest() == prefixes[2] and store.position("0") == "1"
        (disk / "ballast").unlink()
        store.commit(batches(3)[2], {"0": 1})
        assert store.digest() == prefixes[3]
        store.close()
        with open_store(disk / "r.db", ABOUT) as store:
            assert store.digest() == prefixes[3]
        (disk / "ballast").write_bytes(b"x" * 2**19)
        with contextlib.suppress(OSError), open(disk / "more", "wb", 0) as file:
            while file.write(b"x" * 4096):
                pass
        with pytest.raises((StoreFull, StoreFailed)):
            open_store(disk / "new.db", ABOUT)
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


# ---------------------------------------------------------------- files

def test_a_store_that_is_cut_or_spoilt_is_told_in_one_line(tmp_path):
    store = written(tmp_path / "whole.db", batches(12))
    store.close()
    data = (tmp_path / "whole.db").read_bytes()
    path = tmp_path / "r.db"
    dice = random.Random(0)
    lines = set()
    for size in [50, 99, 100, 4096, 5000, *(dice.randrange(100, len(data)) for _ in range(25))]:
        path.write_bytes(data[:size])
        with pytest.raises(InputError) as told:
            open_store(path).digest()
        lines.add(str(told.value).replace(str(path), ""))
    for _ in range(60):
        spoilt = bytearray(data)
        begin = dice.randrange(100, len(data))
        spoilt[begin: begin + 64] = dice.randbytes(64)
        path.write_bytes(spoilt)
        try:
            store = open_store(path)
            for question in (store.digest, store.points, store.summary, store.dead, store.events):
                question()
        except InputError as error:
            lines.add(str(error).replace(str(path), ""))
    assert any("is damaged" in line for line in lines) and not any("\n" in line for line in lines)
    path.write_bytes(data[: len(data) // 2])
    with open_store(path, ABOUT, reset=True) as store:  # a damaged store can be moved away
        assert store.moved.read_bytes() == data[: len(data) // 2] and store.tally()["judged"] == 0


def test_files_of_others_are_never_touched(tmp_path):
    other = sqlite3.connect(tmp_path / "other.db")
    other.execute("CREATE TABLE verdicts (site, channel, time)")
    other.commit()
    other.close()
    made = {"thesis.docx": b"PK\3\4" + b"x" * 500, "short.db": b"SQLite format 3\0", "letter.txt": b"Dear all"}
    for name, data in made.items():
        (tmp_path / name).write_bytes(data)
    os.mkfifo(tmp_path / "pipe.db")
    (tmp_path / "folder.db").mkdir()
    (tmp_path / "loop.db").symlink_to(tmp_path / "loop.db")
    (tmp_path / "trap.db-wal").symlink_to(tmp_path / "thesis.docx")
    (tmp_path / "trap.db-shm").mkdir()
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.is_file() and not path.is_symlink()}
    for name in ("other.db", *made, "pipe.db", "folder.db", "loop.db", "trap.db", "none/r.db", "/dev/null", "a\0b"):
        for reset in (False, True):
            with pytest.raises(InputError) as told:
                open_store(tmp_path / name, ABOUT, reset)
            assert "\n" not in str(told.value)
        with pytest.raises((InputError, FileNotFoundError)):
            open_store(tmp_path / name)
    assert before == {path: path.read_bytes() for path in before}
    assert not list(tmp_path.glob("*.old-*"))


def test_tables_that_we_did_not_make_are_refused(tmp_path):
    """A trigger, a view or another check would run when we write."""
    for number, sql in enumerate(["CREATE TRIGGER t AFTER INSERT ON verdicts BEGIN DELETE FROM verdicts; END",
                                  "CREATE VIEW v AS SELECT 1", "CREATE INDEX i ON verdicts (value)",
                                  "DROP TABLE events", "ALTER TABLE counts ADD COLUMN x INT DEFAULT 3",
                                  "CREATE TABLE sneaky (a)"]):
        path = tmp_path / f"{number}.db"
        written(path, batches(2)).close()
        base = sqlite3.connect(path)
        base.execute(sql)
        base.close()
        for about in (ABOUT, None):
            with pytest.raises(InputError, match="is no result store as this program makes it"):
                open_store(path, about)


def test_another_model_configuration_or_topic_is_refused_and_named(tmp_path):
    store = written(tmp_path / "r.db", batches(2))
    before = store.digest()
    for key, words in (("model", "model file"), ("configuration", "configuration"), ("topic", "topic")):
        with pytest.raises(InputError, match=rf"written with another {words} \(.*there, other here\).*--reset"):
            open_store(tmp_path / "r.db", ABOUT | {key: "other"})
    with pytest.raises(InputError, match="another model file .* and another topic"):
        open_store(tmp_path / "r.db", {"model": "x", "topic": "\x1b[2J"})
    with pytest.raises(StoreBusy, match="open in another program: end it first"):
        open_store(tmp_path / "r.db", ABOUT, reset=True)
    store.close()
    names = []
    for n in range(3):
        with open_store(tmp_path / "r.db", ABOUT | {"model": str(n)}, reset=True) as new:
            assert new.position("0") is None and new.about["model"] == str(n)
            names.append(new.moved.name)
    assert names == ["r.db.old-1", "r.db.old-2", "r.db.old-3"]
    with open_store(tmp_path / "r.db.old-1") as old:
        assert old.digest() == before and old.position("0") == "1"


def test_a_place_that_is_read_only_can_be_read_and_not_written(tmp_path):
    written(tmp_path / "r.db", batches(2)).close()
    if os.geteuid():
        uid = os.geteuid()
    else:
        uid = 65534
        for folder in [tmp_path, *tmp_path.parents]:  # pytest's own folders, as many as there are
            if folder.stat().st_mode & stat.S_IXOTH:
                break
            folder.chmod(0o755)
    (tmp_path / "r.db").chmod(0o444)
    tmp_path.chmod(0o555)

    def look():
        if not os.geteuid():
            os.setuid(uid)
        for name in ("r.db", "new.db"):
            with pytest.raises(InputError, match="may not be written to|may you write to it"):
                open_store(tmp_path / name, ABOUT)
            with pytest.raises(InputError, match="cannot be moved away|may you write to it"):
                open_store(tmp_path / name, ABOUT, reset=True)
        with open_store(tmp_path / "r.db") as store:
            return store.tally()["judged"]

    try:
        assert in_child(look) == 20
    finally:
        tmp_path.chmod(0o755)


# ---------------------------------------------------------------- for people

def test_a_store_opens_as_a_page_and_names_are_shown_escaped(tmp_path):
    told = '{"settings": {"detector": "forest", "alpha": 0.01}, "channels": [{"site": "NE001", "channel": "flow", ' \
           '"window": 12, "window_time": "12 h", "step": "1 h", "threshold": 3.5}]}'
    with open_store(tmp_path / "r.db", ABOUT | {"told": told}) as store:
        mine = {"0": store.claim("0", "<script>alert(1)</script>\x1b[2J")}
        for batch in batches(12):
            store.commit(batch, mine)
        found, summary = store.result(), store.summary()
    assert tuple(found.points.columns) == RESULT_COLUMNS == tuple(found.windows.columns)
    assert len(found.points) == 120 and str(found.points["time"].dtype) == "datetime64[ns, UTC]"
    page = series_html(series_view(found))
    for text in (page, found._repr_html_()):
        assert "<script>alert(1)</script>" not in text and "<b>odd</b>" not in text
    assert "\x1b" not in summary and "120 readings of 12 channels judged, 105 settled" in summary
    assert "\x1b" not in str(found) and "\u202e" not in str(found)
    found.save(tmp_path / "saved")
    again = load_series_result(tmp_path / "saved")
    pd.testing.assert_frame_equal(again.points, found.points)
    assert again.summary == found.summary and found.summary["settings"]["alpha"] == 0.01


def test_the_verdict_that_holds_now_and_the_span_that_is_asked_for(tmp_path):
    made = batches(6)
    with written(tmp_path / "r.db", made) as store:
        found, only = store.points(), store.points(settled_only=True)
        kept = {row[:3]: row for batch in made for row in batch.settled}
        first = {row[:3]: row for batch in made for row in batch.first}
        for row in found.itertuples():
            key = row.site, row.channel, row.time.value
            assert row.score == (kept if row.settled else first)[key].score and row.first_score == first[key].score
        assert found["settled"].sum() == len(only) == len(kept) == 45
        assert found.loc[~found["settled"], "delay"].isna().all() and (only["delay"] == pd.Timedelta("15h")).all()
        day = store.points(start="1970-01-01T06:00", end="1970-01-01T08:00")
        assert sorted(day["time"].dt.hour) == [6, 7]
        assert store.points(start=pd.Timestamp("1970-01-01T07:00+01:00"), end=8 * HOUR)["time"].dt.hour.nunique() == 2
        times, values = store.readings("NE001", "flow", 0)
        mine = sorted((row.time, row.value) for row in first.values() if row.site == "NE001")
        assert times.tolist() == [time for time, _ in mine] and values.tolist() == [value for _, value in mine]
        assert store.has("NE001", "flow", -1) == (False, pytest.approx(math.nan, nan_ok=True))


def test_a_program_that_knows_nothing_of_us_can_read_the_file(tmp_path):
    written(tmp_path / "r.db", batches(3)).close()
    done = subprocess.run([sys.executable, "-c", "import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute("
                           "'SELECT count(*), sum(settled), count(DISTINCT site) > 3 FROM verdicts').fetchone())",
                           tmp_path / "r.db"], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["30", "15", "1"]
