"""The kill matrix: whatever dies, fills up, freezes or runs backwards, the store is that of an undisturbed run.

A moment of each cell on every run, more of them under `slow`; `python -m benchmarks.bench_stream_kills` takes twenty.
"""

import random

import pytest
import stream_kills
import stream_worker
from stream_kills import CELLS, CELLS_OF_KAFKA, Scene, messages_of, moment_of, scene_of

CLIENTS = {"redis": "redis", "kafka": "confluent_kafka"}
# A worker may be quicker than a clock, and a limit may lie above all that is written.
MAY_MISS = {"worker -9 at any time", "file at its longest (RLIMIT_FSIZE), then the limit lifted"}


def _scene(kind, folder, messages, most=60):
    if kind in CLIENTS:
        pytest.importorskip(CLIENTS[kind], reason=f"no client of {kind}; other test: test_stream_kills.py::test_files")
    with scene_of(kind, folder, messages) as scene:
        if scene is None:
            pytest.skip(f"no {kind}-server on this machine; other test: test_stream_kills.py::test_files[worker -9 at "
                        "any time]")
        scene.most, scene.n_batches = most, len(messages) // most
        yield scene


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A short stream in a folder."""
    yield from _scene("file", tmp_path_factory.mktemp("files"), messages_of(1, 180), 30)


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    """A short stream on a server."""
    yield from _scene("redis", tmp_path_factory.mktemp("redis"), messages_of(1, 180), 30)


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    """A short stream on a server that speaks Kafka's protocol."""
    yield from _scene("kafka", tmp_path_factory.mktemp("kafka"), messages_of(1, 180), 30)


@pytest.fixture(scope="module", params=["file", "redis", "kafka"])
def whole(request, tmp_path_factory):
    """The stream of the benchmark."""
    yield from _scene(request.param, tmp_path_factory.mktemp(request.param), messages_of(0))


def asserted(scene: Scene, name: str, moment: int):
    """One moment, after which nothing may be another."""
    if name not in scene.cells():
        pytest.skip("makes no sense here: no small disk can be mounted, or it is about files; other test: "
                    "test_stream_kills.py::test_files[file at its longest (RLIMIT_FSIZE), then the limit lifted]")
    outcome = moment_of(scene, name, moment)
    assert (outcome.runs, outcome.equal, outcome.odd) == (1, 1, [])
    return outcome


@pytest.mark.parametrize("name", [
    "worker -9 within the transaction", "worker -9 after the transaction, before the ack",
    "file at its longest (RLIMIT_FSIZE), then the limit lifted",
    *(pytest.param(name, marks=pytest.mark.slow) for name in (
        "worker -9 at any time", "broker and worker -9 at once",
        "two workers, one frozen within its batch and woken"))])
def test_files(files, name):
    """Two of them may miss: a worker may end before it is killed, and a store may end below the limit of its file.

    Of the slow ones the first is quicker at two moments of its own, the others with the server of `test_redis`.
    """
    assert +asserted(files, name, 0).happened or name in MAY_MISS


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["broker and worker -9 at once", "two workers, one frozen within its batch and woken"])
def test_redis(redis, name):
    assert +asserted(redis, name, 0).happened


@pytest.mark.heavy
@pytest.mark.parametrize("name", ["worker -9 after the transaction, before the ack"])
def test_kafka(kafka, name):
    assert +asserted(kafka, name, 0).happened


def test_the_matrix_sees_a_store_that_is_written_in_two_parts(files):
    """Its position first, and then its verdicts: between the two a batch is lost."""
    outcome = stream_kills.in_two_parts(files, random.Random(0))
    assert outcome.happened["worker"] and not outcome.equal and "missing" in outcome.odd[0]


def test_a_worker_that_was_woken_is_not_stopped_again(monkeypatch):
    """It reads, finds nothing to judge, and reads again: the step is the same, and the turn is."""
    stops = []
    monkeypatch.setattr(stream_worker, "_freeze", lambda: stops.append("stopped"))
    fate = stream_worker.Fate({"at": "read", "turn": 1, "act": "stop"})
    for step in ("read", "read", "judged", "stored", "read"):
        fate.watch(step)
    assert stops == ["stopped"]


@pytest.mark.slow
@pytest.mark.parametrize("name", [*CELLS, *CELLS_OF_KAFKA])
def test_all_cells_at_more_moments(whole, name):
    happened = sum((asserted(whole, name, moment).happened for moment in range(1, 5)), start=stream_kills.Counter())
    assert happened, "nothing befell anybody"
