"""The kill matrix: a workload with every fault that a stream can have, and what may befall those who judge it.

`test_stream_kills` runs a few moments of each cell, `benchmarks/bench_stream_kills` as many as one wants.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import stream_worker
from kafka_server import Tansu
from redis_server import RedisServer

from oco2_outliers.ground.errors import InputError
from oco2_outliers.series.freezing import FrozenJudge, freeze
from oco2_outliers.series.simulated import simulate_series
from oco2_outliers.streams.broker_parts import partition_of
from oco2_outliers.streams.messages import Reading, message_of
from oco2_outliers.streams.result_store import open_store

STEP = 3600 * 10**9
BEGIN = 1_370_044_800 * 10**9
LIMITS = {"sites": {"*": {"*": {
    "out_of_range": {"suspect": [-9, 9], "fail": [-30, 30]}, "flat_line": {"suspect": "3 h"},
    "spike": {"suspect": 4.0}, "jump": {"suspect": 5.0}, "rate": {"suspect": 3.0, "over": "4 h"},
    "level_shift": {"suspect": 5.0, "over": "1 d"}, "noisy": {"suspect": 3.0, "over": "8 h"},
    "gap": {"longest": "1 h"}}}}}


# ---------------------------------------------------------------- the workload

def judge_of_any_site() -> FrozenJudge:
    """A judge with every check of a stream and short windows, for the channel `value` of any site."""
    history = simulate_series("seasonal", days=60, step="1 h", random_state=4)
    frozen = freeze(history, window=12, alpha=5.0, config=LIMITS, n_surrogates=2)
    return replace(frozen, channels={("*", "value"): next(iter(frozen.channels.values()))})


def _faulty_values(dice: np.random.Generator, n: int) -> np.ndarray:
    """A daily wave with flat lines, spikes, steps, noise, holes and waves upside down."""
    values = 3 * np.sin(np.arange(n) * 2 * np.pi / 24) + dice.normal(0, 0.3, n)
    for _ in range(n // 40):
        at, length, kind = dice.integers(0, n), dice.integers(1, 40), dice.integers(0, 6)
        part = slice(at, at + length)
        if kind == 0:
            values[part] = values[at]
        elif kind == 1:
            values[at] = dice.choice([40.0, -12.0])
        elif kind == 2:
            values[part] += dice.normal(0, 4)
        elif kind == 3:
            values[part] += dice.normal(0, 3, len(values[part]))
        elif kind == 4:
            values[part] = np.nan
        else:
            values[part] *= -1
    return values


def _of_channel(site: str, dice: np.random.Generator, n: int) -> Iterator[tuple[float, Reading]]:
    """Readings of a channel, each with the moment of its message in steps: out of order, twice, late, contradicting."""
    slots = np.arange(n) + np.cumsum(dice.choice([0, 1, 3, 30], n, p=[0.98, 0.01, 0.007, 0.003]))
    for slot, value in zip(slots.tolist(), _faulty_values(dice, n).tolist(), strict=True):
        reading = Reading(site, "value", BEGIN + slot * STEP, value)
        kind, moment = dice.random(), slot + dice.uniform(0, 3.99)
        if kind < 0.02:
            moment += dice.uniform(5, 60)  # too late
        yield moment, reading
        if 0.02 <= kind < 0.06:
            yield moment + dice.exponential(20), reading
        elif 0.06 <= kind < 0.08:
            yield moment + dice.exponential(20), reading._replace(value=value + 1.0)
        elif 0.08 <= kind < 0.09:
            yield moment, reading._replace(time=reading.time + STEP // 3)
        elif 0.09 <= kind < 0.092:
            yield moment, reading._replace(time=reading.time + 50_000 * STEP)  # a clock that is wrong by years


_DEAD = [b"", b"{", b'{"site": "a", "channel": "value", "time": "yesterday", "value": 1}', b"\xff\xfe", b"[" * 500,
         b'{"site": "<b>", "channel": "no such", "time": 1370044800000000000, "value": 1}',
         b'[{"site": "site_0", "channel": "value", "time": 1370044800000000000, "value": 0.5}, 7, null]']


def messages_of(seed: int, n: int = 800, channels: int = 3) -> list[tuple[str, bytes]]:
    """Keys and bodies of messages, the same for the same seed; now and then one brings several readings, or none."""
    dice = np.random.default_rng(seed)
    arrived = [each for number in range(channels) for each in _of_channel(f"site_{number}", dice, n)]
    made: list[tuple[str, bytes]] = []
    held: dict[str, list[Reading]] = {}
    for _, reading in sorted(arrived, key=lambda each: each[0]):
        mine = held.setdefault(reading.site, [])
        mine.append(reading)
        if len(mine) > 1 or dice.random() < 0.95:
            made.append((f"{reading.site}/value", message_of(mine if len(mine) > 1 else mine[0])))
            held[reading.site] = []
        if dice.random() < 0.005:
            made.append(("site_0/value", _DEAD[dice.integers(len(_DEAD))]))
    return made + [(f"{site}/value", message_of(mine)) for site, mine in held.items() if mine]


# ---------------------------------------------------------------- workers

@dataclass
class Worker:
    """A process that does a job."""

    pid: int
    told: Path
    state: Callable[[], str]
    log: Path
    ended: str = ""

    def wait(self, seconds: float = 60.0, till: tuple[str, ...] = ()) -> str:
        """How it ended, in a word of `stream_worker.NAMES`; or "stopped"."""
        end = time.monotonic() + seconds
        while not self.ended and time.monotonic() < end:
            state = self.state()
            if state == "stopped" and "stopped" in till:
                return state
            if state not in ("running", "stopped"):
                self.ended = stream_worker.NAMES.get(int(state), state)
            time.sleep(0.004)
        if self.ended:
            return self.ended
        raise TimeoutError(f"worker {self.pid} did not end within {seconds:g} s: {self.log.read_text()[-2000:]}")

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, number)

    def report(self) -> dict[str, Any]:
        """What it has told at its end."""
        return json.loads(self.told.read_text()) if self.told.exists() else {}


class Workers:
    """Starts workers by a process that has everything imported."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.log, self._number = folder, folder / "workers.log", 0
        with open(self.log, "wb") as log:
            self._keeper = subprocess.Popen([sys.executable, stream_worker.__file__], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=log, text=True)

    def _ask(self, line: str) -> str:
        assert self._keeper.stdin is not None and self._keeper.stdout is not None
        self._keeper.stdin.write(line + "\n")
        self._keeper.stdin.flush()
        return self._keeper.stdout.readline().strip()

    def start(self, do: str, fresh: bool = False, **job: Any) -> Worker:
        """Start a worker: forked, or `fresh`, a Python of its own."""
        self._number += 1
        path, told = (self.folder / f"job-{self._number}.{end}" for end in ("json", "told"))
        path.write_text(json.dumps({"do": do, "told": str(told), **job}))
        if not fresh:
            pid = int(self._ask(f"start {path}"))
            return Worker(pid, told, lambda: self._ask(f"state {pid}"), self.log)
        with open(self.log, "ab") as log:
            child = subprocess.Popen([sys.executable, stream_worker.__file__, path], stdout=log, stderr=log)

        def state() -> str:
            code = child.poll()
            return "running" if code is None else str(code)

        return Worker(child.pid, told, state, self.log)

    def close(self) -> None:
        """End all of them."""
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        self._keeper.wait(30)


# ---------------------------------------------------------------- where it happens

@dataclass
class Outcome:
    """What came of a cell: how often something was killed, and whether the stores were those of undisturbed runs."""

    runs: int = 0
    equal: int = 0
    happened: Counter[str] = field(default_factory=Counter)
    odd: list[str] = field(default_factory=list)

    def add(self, other: Outcome) -> None:
        """Take in those of another moment."""
        self.runs += other.runs
        self.equal += other.equal
        self.happened += other.happened
        self.odd += other.odd


def lines_of(store: Path, tables: tuple[str, ...] = ()) -> list[str]:
    """What must be equal, row by row; of some tables only."""
    with open_store(store) as found:
        return [line for line in found.dump() if not tables or line.startswith(tuple(f'["{each}"' for each in tables))]


class Scene:
    """A broker with a topic, a judge, and a folder for stores."""

    kind = "file"
    rejoin = False  # whether a worker that was taken for dead becomes one of the group again
    attempts = 1  # of a last worker to get all partitions

    def __init__(self, folder: Path, workers: Workers, messages: list[tuple[str, bytes]], partitions: int = 2,
                 most: int = 60) -> None:
        self.folder, self.workers, self.messages = folder, workers, messages
        self.partitions, self.most, self.number = partitions, most, 0
        self.model, self.packed = folder / "model.npz", folder / "messages.pickle"
        if not self.model.exists():
            judge_of_any_site().save(self.model)
        self.packed.write_bytes(pickle.dumps(messages))
        self.n_batches = len(messages) // most
        self._whole: list[str] = []
        self.seconds = 0.0

    def cells(self) -> list[str]:
        """The cells that make sense here."""
        mountable = can_mount(self.folder)
        return [name for name in CELLS if (mountable or "disk full" not in name) and "server" not in name]

    def kill_server(self, dice: random.Random, within: float) -> int:
        """Kill the server at some time, and start it again; how often."""
        raise NotImplementedError

    @property
    def address(self) -> str:
        """The address of the broker."""
        return f"file://{self.folder}/topics"

    def topic(self, messages: bool = True) -> str:
        """A new topic, with all messages or with none."""
        self.number += 1
        name = f"topic-{self.number}"
        broker = stream_worker.broker_of(self.address)
        broker.create_topic(name, self.partitions)
        if messages:
            broker.send(name, self.messages)
        broker.close()
        return name

    def full_topic(self) -> str:
        """The one topic that holds all messages; nothing befalls it."""
        if not self._whole:
            topic = self.topic()
            begin = time.monotonic()
            self._whole = [topic, *lines_of(self.undisturbed(topic))]
            self.seconds = time.monotonic() - begin
        return self._whole[0]

    def store(self) -> Path:
        """The name of a new store."""
        self.number += 1
        return self.folder / f"store-{self.number}.db"

    def judge(self, topic: str, store: Path, group: str, **job: Any) -> Worker:
        """Start a worker that judges."""
        return self.workers.start("judge", **{
            "broker": self.address, "topic": topic, "store": str(store), "group": group, "most": self.most,
            "model": str(self.model), "until": "end", "final": True} | job)

    def undisturbed(self, topic: str) -> Path:
        """The store of a run which nothing befell."""
        store = self.store()
        worker = self.judge(topic, store, f"calm-{self.number}", most=400)
        assert worker.wait(120) == "done", worker.report()
        return store

    def break_broker(self, topic: str, dice: random.Random, strike: Callable[[], None]) -> int:
        """Send all messages while senders are killed within their writes; `strike` is told at once. How many were."""
        noted, killed = self.folder / f"{topic}.noted", 0
        for _ in range(dice.randint(1, 2)):
            torn = [dice.randint(1, len(self.messages) // 300), dice.choice([0.0, dice.random(), dice.random(), 1.0])]
            killed += self.sender(topic, noted, torn=torn).wait() == "killed"
            strike()
        ended = self.sender(topic, noted).wait()
        assert ended == "done", ended
        return killed

    def sender(self, topic: str, noted: Path, **job: Any) -> Worker:
        """Start a worker that sends what has not been confirmed yet."""
        return self.workers.start("send", **{"broker": self.address, "topic": topic, "messages": str(self.packed),
                                             "noted": str(noted), "most": 150, "pause": 0.03} | job)

    def second(self, topic: str, store: Path, group: str, **job: Any) -> Worker:
        """Start a worker beside one that does not move."""
        return self.judge(topic, store, group, take_over=True, **job)

    def behind(self, dice: random.Random) -> str:
        """A topic with all messages whose broker's clock was moved back meanwhile, where it has one."""
        return self.full_topic()

    def finish(self, topic: str, store: Path, group: str, **job: Any) -> None:
        """Judge what is left, as a new worker does."""
        if store.exists() and _ended(store):  # a worker was killed after its last transaction
            return
        for attempt in range(self.attempts):
            self.number += 1
            last = f"{group}-{attempt}" if attempt else group
            worker = self.judge(topic, store, last, **{"most": 20 + 37 * (self.number % 7)} | job)  # cut in another way
            try:
                ended = worker.wait(120 if self.attempts == 1 else 20)
            except TimeoutError:  # Tansu forgets who joins a group when another one has just left it
                worker.send(signal.SIGTERM)
                ended = worker.wait()
            assert ended == "done", (ended, worker.report())
            if _ended(store):
                return
        raise AssertionError(f"the stream is not read to its end: {worker.report()}")

    def compared(self, topic: str, store: Path, **happened: int) -> Outcome:
        """The outcome of one moment."""
        if self._whole and topic == self._whole[0]:
            wanted = self._whole[1:]
        else:
            wanted = lines_of(self.undisturbed(topic))
        got = lines_of(store)
        outcome = Outcome(1, got == wanted, Counter(happened))
        if got != wanted:
            more, less = (Counter(each) - Counter(other) for each, other in ((got, wanted), (wanted, got)))
            outcome.odd.append(f"{store}: {sum(more.values())} rows too many, {sum(less.values())} missing; "
                               f"{next(iter(more), '')[:300]} | {next(iter(less), '')[:300]}")
        if self._whole and topic != self._whole[0]:
            tables = ("verdicts", "stretches")
            if lines_of(store, tables) != [line for line in self._whole[1:] if line.startswith(
                    tuple(f'["{each}"' for each in tables))]:
                outcome.equal = False
                outcome.odd.append(f"{store}: verdicts are not those of the messages sent once")
        return outcome


# ---------------------------------------------------------------- the cells

Cell = Callable[[Scene, random.Random], Outcome]
CELLS: dict[str, Cell] = {}
CELLS_OF_KAFKA: dict[str, Cell] = {}


def cell(name: str) -> Callable[[Cell], Cell]:
    """Give a cell its name in the matrix."""
    def named(act: Cell) -> Cell:
        CELLS[name] = act
        return act

    return named


def _fated(scene: Scene, dice: random.Random, at: str, **more: Any) -> Outcome:
    """A worker dies at a step of a batch, and another one goes on."""
    topic, store = scene.full_topic(), scene.store()
    group, killed = f"group-{scene.number}", 0
    times = dice.choice([1, 1, 2])
    for _ in range(times):
        fate = {"at": at, "turn": dice.randint(1, scene.n_batches // times + 1)}
        fate |= {name: draw() for name, draw in more.items()}
        worker = scene.judge(topic, store, group, fate=fate, in_two_parts=at == "half")
        killed += worker.wait() == "killed"
    scene.finish(topic, store, group)
    return scene.compared(topic, store, worker=killed)


def in_two_parts(scene: Scene, dice: random.Random) -> Outcome:
    """No cell: a worker that does it wrong, and dies between its two transactions. The matrix must see it."""
    return _fated(scene, dice, "half")


@cell("worker -9 before the transaction")
def before(scene: Scene, dice: random.Random) -> Outcome:
    """Read, or read and judged, and nothing written."""
    return _fated(scene, dice, dice.choice(["read", "judged"]))


@cell("worker -9 within the transaction")
def within(scene: Scene, dice: random.Random) -> Outcome:
    """After some statements between BEGIN and COMMIT; the first transaction claims the partition."""
    return _fated(scene, dice, "within", statement=lambda: dice.choice([1, dice.randint(1, 9), dice.randint(1, 400)]))


@cell("worker -9 while it commits")
def committing(scene: Scene, dice: random.Random) -> Outcome:
    """From outside, a few milliseconds after COMMIT began."""
    return _fated(scene, dice, "committing", delay=lambda: dice.uniform(0, 0.008))


@cell("worker -9 after the transaction, before the ack")
def after(scene: Scene, dice: random.Random) -> Outcome:
    """The store has it, and the broker was not told."""
    return _fated(scene, dice, "stored")


@cell("worker -9 after the ack")
def told(scene: Scene, dice: random.Random) -> Outcome:
    """Store and broker have it."""
    return _fated(scene, dice, "told")


def _outside(scene: Scene, dice: random.Random, fresh: bool, seconds: float) -> Outcome:
    """A worker is killed at some time, up to three times."""
    topic, store = scene.full_topic(), scene.store()
    group, killed = f"group-{scene.number}", 0
    for _ in range(dice.randint(1, 3)):
        worker = scene.judge(topic, store, group, fresh=fresh)
        time.sleep(dice.uniform(0, seconds))
        worker.send(signal.SIGKILL)
        killed += worker.wait() == "killed"
        if store.exists() and _ended(store):
            break
    scene.finish(topic, store, group)
    return scene.compared(topic, store, worker=killed)


@cell("worker -9 at any time")
def outside(scene: Scene, dice: random.Random) -> Outcome:
    """From outside, wherever it is."""
    scene.full_topic()
    return _outside(scene, dice, False, max(scene.seconds * 0.8, 0.3))


@cell("worker -9 at any time, from the start of Python on")
def from_its_start(scene: Scene, dice: random.Random) -> Outcome:
    """The same, and the worker is a program that has just been started."""
    scene.full_topic()
    return _outside(scene, dice, True, scene.seconds + 2.5)


@cell("SIGTERM at any time")
def asked_to_end(scene: Scene, dice: random.Random) -> Outcome:
    """A worker that shall settle everything at the end is asked to leave before it is there."""
    topic, store = scene.full_topic(), scene.store()
    group, left = f"group-{scene.number}", 0
    for number in range(dice.randint(1, 2)):
        worker = scene.judge(topic, store, f"{group}-{number}")
        time.sleep(dice.uniform(0.05, scene.seconds * 0.5))
        worker.send(signal.SIGTERM)
        ended = worker.wait()
        assert ended in ("done", "-15"), worker.report()
        left += worker.report().get("said", "stop") == "stop"
        if store.exists() and _ended(store):
            break
    scene.finish(topic, store, group)
    return scene.compared(topic, store, asked=left)


def _ended(store: Path) -> bool:
    with contextlib.suppress(InputError, FileNotFoundError), open_store(store) as found:
        return found.ended
    return False


# ---------------------------------------------------------------- the broker

def _broken(scene: Scene, dice: random.Random, worker_too: bool) -> Outcome:
    """The broker dies while messages are sent and judged."""
    topic, store, killed = scene.topic(messages=False), scene.store(), 0
    scene.full_topic()
    group = f"group-{scene.number}"
    listening: dict[str, Any] = {"until": None, "final": False}
    worker = scene.judge(topic, store, group, **listening)

    def strike() -> None:
        nonlocal worker, killed
        if not worker_too:
            return
        time.sleep(dice.choice([0.0, dice.uniform(0, 0.1)]))
        worker.send(signal.SIGKILL)
        killed += worker.wait() == "killed"
        worker = scene.judge(topic, store, group, **listening)

    happened = {"broker": scene.break_broker(topic, dice, strike)}
    time.sleep(dice.uniform(0, 0.3))
    worker.send(signal.SIGTERM)
    ended = worker.wait()
    assert ended in ("done", "-15"), (ended, worker.report())
    scene.finish(topic, store, group)
    return scene.compared(topic, store, **happened, worker=killed)


@cell("broker -9")
def broker(scene: Scene, dice: random.Random) -> Outcome:
    """A server that dies and comes back on its files; a sender that dies within a write to the log."""
    return _broken(scene, dice, False)


@cell("broker and worker -9 at once")
def both(scene: Scene, dice: random.Random) -> Outcome:
    """Both of them."""
    return _broken(scene, dice, True)


@cell("server -9 under a run to the end")
def under_a_run(scene: Scene, dice: random.Random) -> Outcome:
    """A worker that shall end where the messages end must not take a server that is away for their end."""
    topic, store = scene.full_topic(), scene.store()
    worker = scene.judge(topic, store, f"group-{scene.number}")
    killed = scene.kill_server(dice, scene.seconds * 0.7)
    ended = worker.wait()
    assert ended == "done", (ended, worker.report())
    return scene.compared(topic, store, broker=killed)


# ---------------------------------------------------------------- the disk

@contextlib.contextmanager
def small_disk(place: Path, size: int) -> Iterator[Callable[[], None]]:
    """A disk of so many bytes at a place; what it gives makes room. OSError where none can be mounted."""
    place.mkdir(exist_ok=True)
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], capture_output=True).returncode:
        raise OSError("no small disk can be mounted here")
    try:
        yield lambda: subprocess.run(["mount", "-o", "remount,size=64m", place], check=True) and None
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def can_mount(folder: Path) -> bool:
    """Whether a small disk can be mounted, which root alone may do."""
    try:
        with small_disk(folder / "a-disk", 2**20):
            return True
    except (OSError, subprocess.SubprocessError):
        return False


@cell("disk full under the store, then room made")
def full(scene: Scene, dice: random.Random) -> Outcome:
    """The disk ends within a batch; a new run goes on."""
    topic = scene.full_topic()
    size = dice.randint(40_000, 1_400_000)
    store = scene.store()
    place = store.with_suffix(".disk")
    with small_disk(place, size) as make_room:
        store, filled = place / "r.db", 0
        group = f"group-{scene.number}"
        for number in range(2):  # the second one finds no room either
            filled += scene.judge(topic, store, f"{group}-{number}").wait() == "disk full"
        make_room()
        if not store.exists() or not store.stat().st_size:
            store.unlink(missing_ok=True)
        scene.finish(topic, store, group)
        return scene.compared(topic, store, full=filled)


@cell("file at its longest (RLIMIT_FSIZE), then the limit lifted")
def longest(scene: Scene, dice: random.Random) -> Outcome:
    """The system refuses to write beyond a size."""
    topic, store = scene.full_topic(), scene.store()
    group = f"group-{scene.number}"
    limits = {"longest_file": dice.randint(40_000, 900_000)}
    filled = scene.judge(topic, store, group, **limits).wait() == "disk full"
    scene.finish(topic, store, group)
    return scene.compared(topic, store, full=filled)


@cell("disk full under store and log, then room made")
def full_of_both(scene: Scene, dice: random.Random) -> Outcome:
    """Sender and worker share a disk that ends."""
    scene.full_topic()
    store = scene.store()
    place = store.with_suffix(".disk")
    with small_disk(place, dice.randint(150_000, 1_500_000)) as make_room:
        inner = copy.copy(scene)
        inner.folder = place
        return _filled(inner, dice, make_room)


def _filled(scene: Scene, dice: random.Random, make_room: Callable[[], None]) -> Outcome:
    """Send and judge until nothing goes any more, make room, and go on."""
    topic, store, group = scene.topic(messages=False), scene.store(), f"group-{scene.number}"
    noted = scene.folder.parent / f"{scene.folder.name}.noted"
    filled, listening = 0, {"until": None, "final": False}
    worker = scene.judge(topic, store, group, **listening)
    filled += scene.sender(topic, noted).wait() == "disk full"
    time.sleep(dice.uniform(0, 1))
    worker.send(signal.SIGTERM)
    filled += worker.wait() == "disk full"
    make_room()
    assert scene.sender(topic, noted).wait() == "done"
    scene.finish(topic, store, group)
    return scene.compared(topic, store, full=filled)


# ---------------------------------------------------------------- clocks

@cell("clock moved forward and back, worker -9")
def clocks(scene: Scene, dice: random.Random) -> Outcome:
    """Both clocks of the worker jump, so that channels seem silent; it dies; the clock of the next one is behind."""
    scene.full_topic()
    topic, store = scene.behind(dice), scene.store()
    group, n = f"group-{scene.number}", scene.n_batches
    first = dice.randint(1, n // 2)
    jumps = {first: dice.uniform(4000, 90_000), first + dice.randint(1, 5): -dice.uniform(90_000, 10**8)}
    fate = {"at": dice.choice(["judged", "stored", "never"]), "turn": first + dice.randint(1, n // 2)}
    ended = scene.judge(topic, store, group, jumps=jumps, silent_after=1, fate=fate).wait()
    clock = Path(f"{store}.clock")
    moved = float(clock.read_text()) < 0 if clock.exists() else False
    scene.finish(topic, store, group, jumps={1: -dice.uniform(0, 10**9)}, silent_after=1)
    return scene.compared(topic, store, worker=ended == "killed", clock=1 + moved)


# ---------------------------------------------------------------- two workers

def _until(done: Callable[[], Any], worker: Worker, seconds: float = 60.0) -> None:
    """Wait for what a worker brings about."""
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            raise TimeoutError(f"worker {worker.pid} has not come so far within {seconds:g} s: {worker.report()} "
                               f"{worker.log.read_text()[-2000:]}")
        time.sleep(0.005)


def _refused(scene: Scene, worker: Worker, wrote: bool = False) -> dict[str, int]:
    """How a worker that woke up was refused; an error where it was not. One that `wrote` all it had may go on or end.

    Whether it was right in that, the comparison of the stores tells.
    """
    worker.send(signal.SIGCONT)
    ended, error = worker.wait(), worker.report().get("error", "")
    if wrote and ended == "done":
        return {"frozen": 1, "joined again" if scene.rejoin else "had nothing left": 1}
    assert ended == "fenced", (ended, error)
    return {"frozen": 1, "refused by the store": "epoch" in error, "refused by the broker": "epoch" not in error}


@cell("two workers, one frozen within its batch and woken")
def frozen(scene: Scene, dice: random.Random) -> Outcome:
    """One stops where it is; another one has its work; the first one wakes and wants to write."""
    topic, store = scene.full_topic(), scene.store()
    group = f"group-{scene.number}"
    fate = {"at": dice.choice(["read", "judged", "judged", "stored", "told"]), "turn": dice.randint(1, scene.n_batches),
            "act": "stop"}
    one = scene.judge(topic, store, group, fate=fate, owner="one")
    if one.wait(till=("stopped",)) != "stopped":
        return Outcome(odd=[f"{one.report()}"], runs=1)
    two = scene.second(topic, store, group, owner="two")
    if dice.random() < 0.5:
        assert two.wait() == "done", two.report()
        happened = _refused(scene, one, fate["at"] in ("stored", "told"))
    else:
        _until(lambda: (owners := _owners(store)) and "one" not in owners, two)
        time.sleep(dice.uniform(0, 0.5))
        happened = _refused(scene, one, fate["at"] in ("stored", "told"))
        assert two.wait() == "done", two.report()
    scene.finish(topic, store, group)
    return scene.compared(topic, store, **happened)


def _owners(store: Path) -> list[str]:
    with open_store(store) as found:
        return found.partitions()["owner"].tolist()


@cell("two workers, one frozen at any time and woken")
def frozen_outside(scene: Scene, dice: random.Random) -> Outcome:
    """The same from outside; one that stopped within a transaction holds the store, so the other one must leave."""
    topic, store = scene.full_topic(), scene.store()
    group = f"group-{scene.number}"
    one = scene.judge(topic, store, group, owner="one", final=False)
    _until(lambda: store.exists() and _owners_of(store), one)
    time.sleep(dice.uniform(0, scene.seconds * 0.5))
    one.send(signal.SIGSTOP)
    if one.wait(till=("stopped",)) != "stopped":  # it was quicker
        scene.finish(topic, store, group)
        return scene.compared(topic, store)
    two = scene.second(topic, store, group, owner="two", lock_wait=0.3)
    ended = two.wait()
    assert ended in ("done", "store busy"), (ended, two.report())
    happened = _refused(scene, one, True) | {"store held": ended == "store busy"}
    scene.finish(topic, store, group)
    return scene.compared(topic, store, **happened)


def _owners_of(store: Path) -> list[str]:
    """Owners, as soon as there are any."""
    try:
        return _owners(store)
    except (FileNotFoundError, InputError):
        return []


# ---------------------------------------------------------------- Kafka alone

def _cell_of_kafka(name: str) -> Callable[[Cell], Cell]:
    def named(act: Cell) -> Cell:
        CELLS_OF_KAFKA[name] = act
        return act

    return named


@_cell_of_kafka("two workers share the partitions, one -9 at any time, another one joins")
def sharing(scene: Scene, dice: random.Random) -> Outcome:
    """The group gives partitions to and fro; each worker judges those that it has.

    Nobody leaves before all is read: Tansu forgets a member that joins while others leave, whoever its client is.
    """
    topic, store = scene.full_topic(), scene.store()
    group, wanted = f"group-{scene.number}", _positions(scene.undisturbed(topic))
    listening: dict[str, Any] = {"until": None, "final": False}
    workers = [scene.judge(topic, store, group, owner=f"w{n}", **listening) for n in range(2)]
    time.sleep(dice.uniform(0.2, 1 + scene.seconds))
    workers[0].send(signal.SIGKILL)
    workers.append(scene.judge(topic, store, group, owner="w2", **listening))
    end = time.monotonic() + 90
    while _positions(store) != wanted:
        assert time.monotonic() < end, "nobody has the partitions of the dead"
        time.sleep(0.1)
    for worker in workers:
        worker.send(signal.SIGTERM)
    ends = [worker.wait() for worker in workers]
    assert set(ends) <= {"killed", "done", "-15"}, [worker.report() for worker in workers]
    scene.finish(topic, store, f"{group}-last")
    return scene.compared(topic, store, worker=ends.count("killed"))


def _positions(store: Path) -> dict[str, str]:
    """How far each partition is read."""
    with open_store(store) as found:
        table = found.partitions()
    return dict(zip(table["partition"], table["position"], strict=True))


@_cell_of_kafka("server -9, which forgets all: nothing is judged again")
def forgetting(scene: Scene, dice: random.Random) -> Outcome:
    """A server that keeps all in memory comes back empty, or with the same messages sent anew.

    librdkafka 2.16 may crash when a topic has another id at once (its issues 4964 and 5280): to the store that is one
    more worker that was killed.
    """
    topic, store = scene.full_topic(), scene.store()
    whole, scene._whole = scene._whole[1:], []  # the topic dies, too
    worker = scene.judge(topic, store, f"group-{scene.number}", until=None, final=False)
    time.sleep(dice.uniform(0.5, 2 + scene.seconds / 2))
    scene.server.kill()
    time.sleep(dice.uniform(0, 0.5))
    scene.server.start()
    if dice.random() < 0.5:
        broker = stream_worker.broker_of(scene.address)
        broker.create_topic(topic, scene.partitions)
        broker.send(topic, scene.messages)
        broker.close()
    ended = worker.wait()
    before = lines_of(store)
    other = scene.judge(topic, store, f"group-{scene.number}", until=None, final=False)
    with contextlib.suppress(TimeoutError):
        other.wait(60 if before else 3)
    other.send(signal.SIGTERM)
    told = [f"{ended}, {other.wait()}", *(each.report().get("error", "") for each in (worker, other))]
    known = {tuple(json.loads(line)[:4]) for line in whole}
    fine = not before or lines_of(store) == before and all(
        tuple(json.loads(line)[:4]) in known for line in before if line.startswith('["verdicts"'))
    refused = sum("SourceWentBack" in each or "TopicMissing" in each for each in told[1:])
    fine = fine and (refused + (ended == "-11") == 2 or not before)
    return Outcome(1, fine, Counter({"server": 1, "refused": refused, "nothing read yet": not before,
                                     "client crashed": ended == "-11"}), [] if fine else [f"{store}: {told}"])


# ---------------------------------------------------------------- all of it

class RedisScene(Scene):
    """Topics on a real server that has on its disk what it has confirmed."""

    kind = "redis"
    server: RedisServer

    @property
    def address(self) -> str:
        """The address of the broker; a worker that was silent for half a second counts as frozen."""
        return f"{self.server.url}?session=0.5&patience=60"

    def cells(self) -> list[str]:
        """The server's own disk is another matter."""
        mountable = can_mount(self.folder)
        return [name for name in CELLS if "store and log" not in name and (mountable or "disk full" not in name)]

    def kill_server(self, dice: random.Random, within: float) -> int:
        """Kill it at some time, and start it again on its files."""
        time.sleep(dice.uniform(0, within))
        self.server.kill()
        time.sleep(dice.choice([0.0, dice.uniform(0, 1.5)]))
        self.server.start()
        return 1

    def break_broker(self, topic: str, dice: random.Random, strike: Callable[[], None]) -> int:
        """Send all messages while the server is killed and started again on its files."""
        sender, killed = self.sender(topic, self.folder / f"{topic}.noted"), 0
        for _ in range(dice.randint(1, 2)):
            time.sleep(dice.uniform(0, 0.5))
            self.server.kill()
            strike()
            time.sleep(dice.choice([0.0, dice.uniform(0, 0.4)]))
            self.server.start()
            killed += 1
        ended = sender.wait()
        assert ended == "done", (ended, sender.report())
        return killed

    def second(self, topic: str, store: Path, group: str, **job: Any) -> Worker:
        """A worker that waits until the other one counts as frozen."""
        return self.judge(topic, store, group, **job)

    def behind(self, dice: random.Random) -> str:
        """In the middle comes an entry of tomorrow: those after it have ids of a clock that stands still."""
        topic, cut = self.topic(messages=False), dice.randrange(len(self.messages))
        broker = stream_worker.broker_of(self.address)
        broker.send(topic, self.messages[:cut])
        key, body = self.messages[max(cut - 1, 0)]
        stream = f"{topic}:{partition_of(key, self.partitions)}" if self.partitions > 1 else topic
        self.server.client().xadd(stream, {key: body}, id=f"{int(time.time() * 1000) + 86_400_000}-0")
        broker.send(topic, self.messages[cut:])
        broker.close()
        return topic


@contextlib.contextmanager
def _of_redis(folder: Path, workers: Workers, messages: list[tuple[str, bytes]]) -> Iterator[Scene | None]:
    """A server of our own."""
    try:
        server = RedisServer(folder)
    except FileNotFoundError:
        yield None
        return
    server.start()
    try:
        scene = RedisScene(folder, workers, messages)
        scene.server = server
        yield scene
    finally:
        server.kill()


@contextlib.contextmanager
def _of_files(folder: Path, workers: Workers, messages: list[tuple[str, bytes]]) -> Iterator[Scene]:
    """Topics in a folder."""
    yield Scene(folder, workers, messages)


SCENES: dict[str, Callable] = {"file": _of_files, "redis": _of_redis}


@contextlib.contextmanager
def scene_of(kind: str, folder: Path, messages: list[tuple[str, bytes]]) -> Iterator[Scene | None]:
    """A scene with this kind of broker; None where its server is not installed."""
    workers = Workers(folder)
    try:
        with SCENES[kind](folder, workers, messages) as scene:
            yield scene
    finally:
        workers.close()


class KafkaScene(Scene):
    """Topics on a server that speaks Kafka's protocol and keeps all in memory."""

    kind = "kafka"
    rejoin = True
    attempts = 3
    server: Tansu

    @property
    def address(self) -> str:
        """The address of the broker; a worker that was silent for two seconds counts as dead."""
        return f"{self.server.url}?session=2&patience=60"

    def cells(self) -> list[str]:
        """What is the same with every broker, and what is told of a server that has forgotten all."""
        same = [name for name in super().cells() if not name.startswith("broker") and "store and log" not in name]
        return [*same, *CELLS_OF_KAFKA]

    def second(self, topic: str, store: Path, group: str, **job: Any) -> Worker:
        """A worker that the group gives the partitions of the other one when it counts as dead."""
        return self.judge(topic, store, group, **job)


@contextlib.contextmanager
def _of_kafka(folder: Path, workers: Workers, messages: list[tuple[str, bytes]]) -> Iterator[Scene | None]:
    """A server of our own."""
    server = Tansu()
    try:
        server.start()
    except FileNotFoundError:
        yield None
        return
    try:
        scene = KafkaScene(folder, workers, messages)
        scene.server = server
        yield scene
    finally:
        server.kill()


SCENES |= {"kafka": _of_kafka}


def moment_of(scene: Scene, name: str, moment: int) -> Outcome:
    """One moment of a cell; the same moment draws the same numbers."""
    outcome = (CELLS | CELLS_OF_KAFKA)[name](scene, random.Random(f"{name} {moment}"))
    for path in scene.folder.glob("store-*"):
        if not outcome.odd and path.is_file():
            path.unlink()
    return outcome
