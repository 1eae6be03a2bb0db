"""A folder as a broker: every message once and in order, whatever is torn, killed, frozen or started again."""

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from oco2_outliers.streams import file_log
from oco2_outliers.streams.broker_parts import (
    BrokerAway,
    GroupInUse,
    SourceDamaged,
    SourceWentBack,
    StreamError,
    TopicMissing,
    partition_of,
)
from oco2_outliers.streams.endpoints import Endpoint
from oco2_outliers.streams.file_broker import FileBroker
from oco2_outliers.streams.file_log import Place, lock_file, packed, read_mark, unlock_file


def broker_in(folder, **options):
    return FileBroker(Endpoint("file", (), None, str(folder).lstrip("/"), options=options))


def listen(broker, topic="flow", group="judge", after=None, **more):
    lost = more.pop("lost", print)
    return broker.listen(topic, group, start=(after or {}).get, lost=lost, owner=f"worker {os.getpid()}", **more)


def bodies(messages):
    return [message.body for message in messages]


@pytest.fixture
def broker(tmp_path):
    made = broker_in(tmp_path, patience="0.3")
    made.create_topic("flow")
    yield made
    made.close()


# ---------------------------------------------------------------- any order of events

class AnyOrder(RuleBasedStateMachine):
    """Writers, torn ends, lost marks and readers in any order; `there` is what the log must hold."""

    @initialize(partitions=st.integers(1, 3))
    def begin(self, partitions):
        self.place, self.patch = tempfile.TemporaryDirectory(), pytest.MonkeyPatch()
        for name in ("fsync", "fdatasync"):  # no machine dies here, and the disk is slow
            self.patch.setattr(os, name, lambda _: None)
        self.partitions, self.next = partitions, 0
        self.writers = [broker_in(self.place.name) for _ in range(2)]
        self.writers[0].create_topic("flow", partitions)
        self.there = {str(number): [] for number in range(partitions)}
        self.positions = {name: [None] for name in self.there}
        self.reader, self.seen = None, {}

    def log(self, name):
        return f"{self.place.name}/flow/{name}.log"

    def some(self, n, size):
        """New messages, and note nothing yet."""
        first, self.next = self.next, self.next + n
        return [(f"s{i % 5}/c", b"%d " % i + b"x" * (i * size % 97)) for i in range(first, first + n)]

    def note(self, messages):
        for key, body in messages:
            self.there[str(partition_of(key, self.partitions))].append(body)

    @rule(who=st.integers(0, 1), n=st.integers(0, 7), size=st.integers(0, 50))
    def send(self, who, n, size):
        messages = self.some(n, size)
        assert self.writers[who].send("flow", messages) == n
        self.note(messages)

    @rule(who=st.integers(0, 1))
    def writer_starts_again(self, who):
        self.writers[who].close()
        self.writers[who] = broker_in(self.place.name)

    @rule(data=st.data(), n=st.integers(1, 4))
    def writer_dies_within_a_batch(self, data, n):
        """What stands in the file is any beginning of a batch; the messages in it that are whole are there to stay."""
        name = data.draw(st.sampled_from(sorted(self.there)))
        messages = [m for m in self.some(3 * n, 20) if str(partition_of(m[0], self.partitions)) == name]
        end = self.end_of(name)
        whole, _ = packed(messages, end)
        cut = data.draw(st.integers(0, len(whole)))
        if self.torn(name):
            return  # a writer that comes takes off what is torn before it writes
        with open(self.log(name), "ab") as file:
            file.write(whole[:cut])
        n_whole = 0
        while n_whole < len(messages) and len(packed(messages[:n_whole + 1], end)[0]) <= cut:
            n_whole += 1
        self.there[name] += [body for _, body in messages[:n_whole]]

    @rule(data=st.data(), n=st.integers(1, 60))
    def machine_dies(self, data, n):
        """The file has grown, and nothing of the batch has reached the disk."""
        name = data.draw(st.sampled_from(sorted(self.there)))
        with open(self.log(name), "ab") as file:
            file.write(bytes(n))

    @rule(data=st.data())
    def mark_is_lost(self, data):
        name = data.draw(st.sampled_from(sorted(self.there)))
        path = self.log(name).replace(".log", ".mark")
        if os.path.exists(path):
            with open(path, "r+b") as file:
                file.write(bytes(4))

    def end_of(self, name):
        """Where the last whole record stands, read by somebody who knows no mark."""
        with open(self.log(name), "rb") as file:
            return file_log._last_whole(file.fileno(), file_log._first_place(file.fileno(), Path(self.log(name))))

    def torn(self, name):
        return self.end_of(name).end != os.path.getsize(self.log(name))

    @rule(most=st.integers(1, 9))
    def read(self, most):
        if self.reader is None:
            return
        for message in self.reader.read(most, 0):
            self.seen[message.partition].append(message.body)
            self.positions[message.partition].append(message.position)
        for name, seen in self.seen.items():
            assert seen == self.there[name][:len(seen)]

    @rule(data=st.data())
    def reader_starts_anywhere(self, data):
        self.stop()
        after = {name: data.draw(st.integers(0, len(self.seen.get(name, ())))) for name in self.there}
        self.positions = {name: self.positions[name][:n + 1] for name, n in after.items()}
        self.seen = {name: self.seen.get(name, [])[:n] for name, n in after.items()}
        self.reader = listen(broker_in(self.place.name), after={n: p[-1] for n, p in self.positions.items()})

    def stop(self):
        if self.reader is not None:
            self.reader.close()
        self.reader = None

    @invariant()
    def a_reader_from_the_beginning_sees_all(self):
        if not hasattr(self, "there"):
            return
        all_of_it = listen(broker_in(self.place.name), group="all")
        seen = {name: [] for name in self.there}
        while messages := all_of_it.read(4, 0):
            for message in messages:
                seen[message.partition].append(message.body)
        assert seen == self.there
        ends = all_of_it.ends()
        assert all(all_of_it.lag(name, ends[name] or None) == 0 for name in ends)
        assert [all_of_it.lag(name, None) for name in ends] == [len(self.there[name]) for name in ends]
        all_of_it.close()

    def teardown(self):
        if hasattr(self, "there"):
            self.stop()
            for writer in self.writers:
                writer.close()
            self.patch.undo()
            self.place.cleanup()


AnyOrder.TestCase.settings = settings(max_examples=30, stateful_step_count=20)
test_any_order = AnyOrder.TestCase


@pytest.mark.slow
def test_any_order_longer():
    run_state_machine_as_test(AnyOrder, settings=settings(max_examples=200, stateful_step_count=40))


# ---------------------------------------------------------------- several programs

WRITER = """
import sys
from oco2_outliers.streams.endpoints import Endpoint
from oco2_outliers.streams.file_broker import FileBroker

broker = FileBroker(Endpoint("file", (), None, sys.argv[1].lstrip("/")))
name, n, at_once = sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for first in range(0, n, at_once):
    broker.send("flow", [(f"{name}/c", f"{name} {i}".encode()) for i in range(first, min(first + at_once, n))])
    print(first + at_once, flush=True)
"""
READER = """
import sys
from oco2_outliers.streams.broker_parts import Fenced
from oco2_outliers.streams.endpoints import Endpoint
from oco2_outliers.streams.file_broker import FileBroker

broker = FileBroker(Endpoint("file", (), None, sys.argv[1].lstrip("/")))
listener = broker.listen("flow", "judge", start=lambda _: None, owner="first",
                         lost=lambda partition: print("lost", partition, flush=True))
print("holds", flush=True)
try:
    while True:
        listener.read(100, 0.05)
except Fenced:
    print("fenced", flush=True)
"""


def started(program, *words):
    return subprocess.Popen([sys.executable, "-c", program, *map(str, words)], stdout=subprocess.PIPE, text=True)


def test_two_programs_write_while_one_reads(tmp_path, broker):
    writers = [started(WRITER, tmp_path, name, 600, 7) for name in ("a", "b")]
    reader, seen, end = listen(broker), [], time.monotonic() + 240
    while len(seen) < 1200 and time.monotonic() < end:
        seen += bodies(reader.read(50, 0.2))
    assert [writer.wait() for writer in writers] == [0, 0]
    for name in (b"a", b"b"):
        assert [body for body in seen if body.startswith(name)] == [b"%s %d" % (name, i) for i in range(600)]
    reader.close()
    for writer in writers:
        writer.stdout.close()


@pytest.mark.parametrize("n", [2, pytest.param(20, marks=pytest.mark.slow)])
def test_a_killed_writer_leaves_whole_messages(tmp_path, broker, n):
    """What was confirmed is there, in order; what was not may be, up to the end of its batch."""
    reader = listen(broker)
    for turn in range(n):
        writer = started(WRITER, tmp_path, f"w{turn}", 10**6, 300)
        confirmed = [int(writer.stdout.readline()) for _ in range(1 + turn % 5)][-1]
        time.sleep(0.0007 * (turn * 7 % 11))
        writer.kill()
        writer.wait()
        confirmed = int((writer.stdout.read().split() or [confirmed])[-1])
        writer.stdout.close()
        broker.send("flow", [("me/c", b"after %d" % turn)])
        seen = []
        while messages := reader.read(10_000, 0):
            seen += bodies(messages)
        assert seen.pop() == b"after %d" % turn
        assert seen == [b"w%d %d" % (turn, i) for i in range(len(seen))] and len(seen) >= confirmed
    reader.close()


def test_a_frozen_worker_is_taken_over_and_told(tmp_path, broker):
    worker = started(READER, tmp_path)
    assert worker.stdout.readline() == "holds\n"
    os.kill(worker.pid, signal.SIGSTOP)
    try:
        with pytest.raises(GroupInUse, match="in use by first"):
            listen(broker)
        second = listen(broker, take_over=True)
        broker.send("flow", [("a/c", b"1")])
        assert bodies(second.read(9, 1)) == [b"1"]
    finally:
        os.kill(worker.pid, signal.SIGCONT)
    assert worker.communicate(timeout=30)[0] == "lost 0\nfenced\n"
    assert second.read(9, 0) == []
    second.close()


def test_a_dead_worker_is_in_nobodys_way(tmp_path, broker):
    worker = started(READER, tmp_path)
    assert worker.stdout.readline() == "holds\n"
    worker.kill()
    worker.communicate()
    listen(broker).close()


# ---------------------------------------------------------------- faults of the disk

def test_a_full_disk_takes_all_of_a_batch_or_nothing(tmp_path, broker):
    broker.send("flow", [("a/c", b"x" * 100)] * 9)
    log = tmp_path / "flow" / "0.log"
    size, (soft, hard) = log.stat().st_size, resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 250, hard))
    try:
        with pytest.raises(OSError):
            broker.send("flow", [("a/c", b"y" * 100)] * 9)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert log.stat().st_size == size
    broker.send("flow", [("a/c", b"z")])
    reader = listen(broker)
    assert bodies(reader.read(99, 0)) == [b"x" * 100] * 9 + [b"z"]
    reader.close()


def test_a_batch_that_may_be_taken_back_is_not_read(tmp_path, broker):
    """While a writer holds the lock, its batch is nobody's yet: the disk may still refuse it."""
    broker.send("flow", [("a/c", b"1")])
    log = tmp_path / "flow" / "0.log"
    with open(log.with_suffix(".mark"), "rb") as file:
        place = read_mark(file.fileno())
    reader = listen(broker)
    assert bodies(reader.read(9, 0)) == [b"1"]
    with open(log, "r+b") as file:
        assert lock_file(file.fileno())
        os.pwrite(file.fileno(), packed([("a/c", b"2")], place)[0], place.end)
        assert reader.read(9, 0.01) == []
        unlock_file(file.fileno())
    assert bodies(reader.read(9, 0)) == [b"2"]  # the writer died: the next one keeps what is whole, and so it stays
    reader.close()


def test_the_bytes_that_are_cut_off_are_kept_and_counted(tmp_path, broker):
    broker.send("flow", [("a/c", b"1")])
    for turn in range(2):
        with open(tmp_path / "flow" / "0.log", "ab") as file:
            file.write(b"torn %d" % turn)
        broker.send("flow", [("a/c", b"2")])
    assert broker.cut == {"flow/0": 12} and (tmp_path / "flow" / "0.log.cut").read_bytes() == b"torn 0torn 1"


def test_a_writer_that_hangs_is_waited_for_and_told(tmp_path, broker):
    broker.send("flow", [("a/c", b"1")])
    with open(tmp_path / "flow" / "0.log", "r+b") as file:
        assert lock_file(file.fileno())
        with pytest.raises(BrokerAway, match=r"0.log has been locked by another writer for 0.3 s"):
            broker.send("flow", [("a/c", b"2")])
    assert broker.send("flow", [("a/c", b"2")]) == 1


# ---------------------------------------------------------------- another past

@pytest.fixture
def judged(broker):
    """A topic of which a store has judged five messages of nine, and its position."""
    broker.send("flow", [("a/c", b"%d" % i) for i in range(9)])
    reader = listen(broker)
    position = reader.read(5, 0)[-1].position
    reader.close()
    return {"0": position}


@pytest.mark.parametrize("how", ["cut short", "emptied", "gone", "made anew", "sent again", "another file"])
def test_a_source_that_went_back_is_told(tmp_path, broker, judged, how):
    log = tmp_path / "flow" / "0.log"
    waiting = listen(broker, group="waiting")
    waiting.read(99, 0)
    if how == "cut short":
        os.truncate(log, 80)
    elif how == "emptied":
        os.truncate(log, 0)
    elif how == "gone":
        log.unlink()
    elif how == "another file":
        log.write_text("time,value\n" * 99)
    else:
        broker.close()
        for file in (tmp_path / "flow").iterdir():
            file.unlink()
        (tmp_path / "flow").rmdir()
        broker.create_topic("flow")
        if how == "sent again":
            broker.send("flow", [("a/c", b"%d" % i) for i in range(9)])
    with pytest.raises(StreamError, match="lacks a log|is no log|nothing was judged again") as told:
        listen(broker, after=judged)
    assert told.type is SourceWentBack or how in ("emptied", "gone", "another file")
    with pytest.raises((SourceWentBack, SourceDamaged)):
        waiting.read(99, 0)
    waiting.close()


def test_messages_that_were_confirmed_and_are_gone_are_told(tmp_path, broker, judged):
    """The file ends after what the store has, but the mark knows of more."""
    start = int(judged["0"].split(":")[1])
    log = tmp_path / "flow" / "0.log"
    os.truncate(log, start + 10 + len("a/c") + 1)
    reader = listen(broker, after=judged)
    with pytest.raises(SourceDamaged, match="message 5: bring back a copy"):
        reader.read(99, 0)
    reader.close()


def test_a_copy_that_was_brought_back_is_the_same_log(tmp_path, broker, judged):
    log, copy = tmp_path / "flow" / "0.log", tmp_path / "copy"
    reader = listen(broker, after=judged)
    assert len(reader.read(99, 0)) == 4
    copy.write_bytes(log.read_bytes())
    copy.replace(log)
    assert reader.read(99, 0) == []
    broker.send("flow", [("a/c", b"9")])
    assert bodies(reader.read(99, 0)) == [b"9"]
    reader.close()


def test_a_topic_that_is_gone_went_back_where_a_store_has_read_it(broker, judged):
    with pytest.raises(TopicMissing, match="no topic rain: make it first"):
        listen(broker, "rain")
    with pytest.raises(SourceWentBack, match="nothing was judged again"):
        listen(broker, "rain", after=judged)


def test_a_foreign_file_is_never_written_to(tmp_path, broker):
    log = tmp_path / "flow" / "0.log"
    log.write_text("time,value\n" * 99)
    with pytest.raises(SourceDamaged, match="is no log of messages"):
        broker.send("flow", [("a/c", b"1")])
    assert log.read_text() == "time,value\n" * 99


# ---------------------------------------------------------------- odd messages and names

def test_odd_messages_come_back_as_they_were(broker):
    odd = [("", b""), ("a" * 65535, b"\0" * 5_000_000), ("\ud800/\u6d4b", bytes(range(256))), ("a/c", b"\n\r")]
    assert broker.send("flow", odd) == 4
    reader = listen(broker)
    seen = []
    while messages := reader.read(2, 0):
        seen += bodies(messages)
    assert seen == [body for _, body in odd]
    reader.close()


def test_a_batch_is_bounded_in_bytes(broker):
    broker.send("flow", [("a/c", bytes(12 * 2**20))] * 6)
    reader = listen(broker)
    sizes = []
    while messages := reader.read(1000, 0):
        sizes.append(len(messages))
    assert sum(sizes) == 6 and max(sizes) <= 3
    reader.close()


def test_a_position_of_another_broker_is_refused(broker):
    for position in ("7", "1700000000000-0@12", json.dumps([1]), "1:16:zzzzzzzz"):
        with pytest.raises(StreamError, match="belongs to another broker"):
            listen(broker, after={"0": position})
    listen(broker).close()  # and the group is free again


def test_two_that_make_a_topic_at_once_make_one(tmp_path):
    makers = [broker_in(tmp_path) for _ in range(2)]
    start = threading.Barrier(2)

    def make(maker):
        start.wait(30)
        return maker.create_topic("rain", 3)

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(make, makers)) == [False, True]
    assert sorted(os.listdir(tmp_path)) == ["rain"]


def test_places_are_told_as_positions():
    assert Place(3, 40, 60, 255).position == "3:40:000000ff" and Place(0, 0, 16, 1).position == ""
