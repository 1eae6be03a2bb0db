"""Workers of the kill matrix, each a process of its own: they judge or send as a job says, and die where it says.

`python stream_worker.py JOB` does one job, a JSON file. `python stream_worker.py` reads jobs from its input, one a
line, and forks a worker for each, so that a worker need not import everything anew.
"""

from __future__ import annotations

import json
import os
import pickle
import resource
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from oco2_outliers.ground.errors import InputError
from oco2_outliers.series.freezing import load_frozen
from oco2_outliers.streams import store_files, store_tables
from oco2_outliers.streams.batch_rows import Changes
from oco2_outliers.streams.broker_parts import BrokerAway, Fenced, GroupInUse, SourceWentBack, StreamError
from oco2_outliers.streams.opening_brokers import open_broker
from oco2_outliers.streams.pipeline import Pipeline, Source
from oco2_outliers.streams.result_store import open_store
from oco2_outliers.streams.store_tables import StoreBusy, StoreFailed

ENDINGS = {BrokerAway: 3, Fenced: 4, GroupInUse: 5, StoreFailed: 6, StoreBusy: 7, SourceWentBack: 8, StreamError: 9,
           InputError: 10, OSError: 11}
NAMES = {0: "done", 3: "broker away", 4: "fenced", 5: "group in use", 6: "disk full", 7: "store busy",
         8: "source went back", 9: "stream error", 10: "refused", 11: "disk full", -9: "killed"}


def broker_of(address: str) -> Any:
    """The broker of an address."""
    return open_broker(address)


# ---------------------------------------------------------------- fate

def _die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _freeze() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def _die_soon(seconds: float) -> None:
    """Be killed from outside in a moment, while the work goes on."""
    mine = os.getpid()
    if not os.fork():
        os.closerange(3, 1024)  # the lock of the group is not for this one to keep
        time.sleep(seconds)
        os.kill(mine, signal.SIGKILL)
        os._exit(0)


class Fate:
    """What befalls a worker at a step of its n-th batch, or at a statement of its n-th transaction."""

    def __init__(self, fate: dict[str, Any]) -> None:
        self.at, self.turn = fate.get("at"), fate.get("turn", 0)
        self.statement, self.delay = fate.get("statement", 0), fate.get("delay", 0.0)
        self.act: Callable[[], None] = {"kill": _die, "stop": _freeze}[fate.get("act", "kill")]
        self.batches = self.transactions = self.statements = 0
        self.befallen = False

    def watch(self, step: str) -> None:
        """A step of the pipeline was done."""
        self.batches += step == "judged"
        before = step == "read"
        if self.at == step and self.batches + before == self.turn and not self.befallen:
            self.befallen = True  # who was woken may come by the same step again, and must not stop once more
            self.act()

    def traced(self, statement: str) -> None:
        """The store is about to do something."""
        word = statement.partition(" ")[0]
        if word == "BEGIN":
            self.transactions, self.statements = self.transactions + 1, 0
            return
        self.statements += 1
        if self.transactions != self.turn:
            return
        if self.at == "within" and (self.statements == self.statement or word == "COMMIT"):
            self.act()
        elif self.at == "committing" and word == "COMMIT":
            _die_soon(self.delay)

    def of_store(self, store: Any) -> None:
        """Look on while a store writes."""
        if self.at in ("within", "committing"):
            store._base.set_trace_callback(self.traced)


class Clock:
    """The clocks of a worker: at its n-th batch they jump forward, and later back."""

    def __init__(self, jumps: dict[str, float], told: Path | None) -> None:
        self.jumps, self.turn, self.off, self.told = jumps, 0, 0.0, told
        self._now, self._time, self._monotonic = time.time, time.time, time.monotonic
        if jumps:
            time.time = lambda: self._time() + self.off

    def watch(self, step: str) -> None:
        """A batch was judged."""
        self.turn += step == "judged"
        if step == "judged" and (jump := self.jumps.get(str(self.turn))):
            self.off += jump
            if self.told is not None:
                self.told.write_text(str(self.off))

    def __call__(self) -> float:
        return self._monotonic() + self.off


# ---------------------------------------------------------------- work

def _in_two_parts(store: Any, fate: Fate) -> None:
    """What must not be: the position is written in a transaction of its own, before the verdicts."""
    whole = store.commit

    def commit(changes: Changes, epochs: Any, *, ended: bool = False) -> None:
        whole(Changes(positions=changes.positions), epochs)
        fate.watch("half")
        changes.positions = {}
        whole(changes, epochs, ended=ended)

    store.commit = commit


def judge(job: dict[str, Any]) -> dict[str, Any]:
    """Judge a topic into a store."""
    if seconds := job.get("lock_wait"):
        store_files.LOCK_WAIT = store_tables.LOCK_WAIT = seconds
    if limit := job.get("longest_file"):
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    frozen, fate = load_frozen(job["model"]), Fate(job.get("fate", {}))
    clock = Clock(job.get("jumps", {}), Path(job["store"] + ".clock"))
    broker = broker_of(job["broker"])
    with open_store(job["store"], {"topic": job["topic"], "model": "kills"}) as store:
        fate.of_store(store)
        if job.get("in_two_parts"):
            _in_two_parts(store, fate)
        source = Source(broker, job["topic"], job["group"], job.get("take_over", False))

        def watch(step: str) -> None:
            clock.watch(step)
            fate.watch(step)

        pipeline = Pipeline(source, frozen, store, most=job["most"], wait=job.get("wait", 0.05), watch=watch,
                            clock=clock, silent_after=job.get("silent_after"), owner=job.get("owner"))
        report = pipeline.run(job.get("max_messages"), job.get("until"), job.get("final", False))
    broker.close()
    return {"messages": report.messages, "judged": report.judged, "batches": report.batches, "said": report.stopped,
            "off": clock.off}


def _torn_write(batch: int, share: float) -> None:
    """Let the n-th write of this process reach the disk in part only, and die."""
    write, turn = os.pwrite, 0

    def torn(number: int, data: Any, at: int) -> int:
        nonlocal turn
        turn += len(data) > 40  # a mark is shorter
        if turn == batch:
            write(number, bytes(data)[:int(len(data) * share)], at)
            _die()
        return write(number, data, at)

    os.pwrite = torn  # type: ignore[assignment]


def send(job: dict[str, Any]) -> dict[str, Any]:
    """Send the rest of the messages, noting how many the broker has confirmed."""
    messages = pickle.loads(Path(job["messages"]).read_bytes())
    noted, most = Path(job["noted"]), job["most"]
    begin = int(noted.read_text() or 0) if noted.exists() else 0
    if "torn" in job:
        _torn_write(*job["torn"])
    broker = broker_of(job["broker"])
    for at in range(begin, len(messages), most):
        done = broker.send(job["topic"], messages[at:at + most])
        part = noted.with_suffix(".part")
        part.write_text(str(at + done))
        part.rename(noted)
        time.sleep(job.get("pause", 0.0))
    broker.close()
    return {"messages": len(messages) - begin}


def work(job: dict[str, Any]) -> int:
    """Do a job; its report is written beside its store, the exit code says how it ended."""
    try:
        told, code = {"judge": judge, "send": send}[job["do"]](job), 0
    except tuple(ENDINGS) as error:
        told = {"error": f"{type(error).__name__}: {error}"}
        code = next(number for kind, number in ENDINGS.items() if isinstance(error, kind))
    Path(job["told"]).write_text(json.dumps(told))
    return code


# ---------------------------------------------------------------- the one that forks workers

def _forked(path: str) -> int:
    """A worker for the job of a file."""
    child = os.fork()
    if child:
        return child
    code = 99
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
        code = work(json.loads(Path(path).read_text()))
    except BaseException as error:
        print(f"{path}: {type(error).__name__}: {error}", file=sys.stderr, flush=True)
    finally:
        os._exit(code)


def _state(child: int, children: set[int]) -> str:
    """How a worker is: running, stopped, or its exit code."""
    found, status = os.waitpid(child, os.WNOHANG | os.WUNTRACED)
    if not found:
        return "running"
    if os.WIFSTOPPED(status):
        return "stopped"
    children.discard(child)
    return str(os.waitstatus_to_exitcode(status))


def serve() -> None:
    """Fork workers and tell how they are: `start FILE` gives an id, `state ID` a word."""
    children: set[int] = set()
    for line in sys.stdin:
        word, rest = line.split(" ", 1)
        if word == "start":
            answer = str(_forked(rest.strip()))
            children.add(int(answer))
        else:
            answer = _state(int(rest), children)
        print(answer, flush=True)
    for child in children:  # whoever asked is gone
        os.kill(child, signal.SIGKILL)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(work(json.loads(Path(sys.argv[1]).read_text())))
    serve()
