"""What is not believed at once, a clock far ahead or a model of other sensors; and what a store tells of its judge."""

import numpy as np
import pandas as pd
import pytest

from oco2_outliers.ground.errors import InputError
from oco2_outliers.series.freezing import freeze
from oco2_outliers.series.judging import judge
from oco2_outliers.series.simulated import simulate_series
from oco2_outliers.streams.broker_parts import Message
from oco2_outliers.streams.endpoints import Endpoint
from oco2_outliers.streams.engine import Engine
from oco2_outliers.streams.file_broker import FileBroker
from oco2_outliers.streams.messages import Reading, message_of
from oco2_outliers.streams.pipeline import Pipeline, Source
from oco2_outliers.streams.result_store import open_store

HOUR = 3600 * 10**9
YEAR = 365 * 24


@pytest.fixture(scope="module")
def frozen():
    history = simulate_series("seasonal", days=60, step="1 h", random_state=4)
    return freeze(history, window=12, n_surrogates=2)


def readings(hours, channel="value"):
    wave = 3 * np.sin(np.asarray(hours) * 2 * np.pi / 24)
    return [Reading("site_1", channel, 10**18 + hour * HOUR, float(value)) for hour, value in zip(hours, wave)]


def judged(frozen, sent, restart=False):
    """First verdicts by hour, and events, of readings that come one at a time."""
    first, events, rows, engine = {}, [], {}, Engine(frozen)
    for number, reading in enumerate(sent):
        changes = engine.take([Message("0", str(number), message_of([reading]))])
        first |= {(row.time - 10**18) // HOUR: row for row in changes.first}
        events += changes.events
        rows |= {row.channel: row for row in changes.channels}
        if restart and rows:
            engine = Engine(frozen)
            for row in rows.values():
                kept = [each for each in first.values() if each.time >= engine.since(row)]
                engine.load(row, np.array([each.time for each in kept], np.int64), np.array([e.value for e in kept]))
    last = engine.settle_all(final=True)
    first |= {(row.time - 10**18) // HOUR: row for row in last.first}
    return first, [(each.kind, (each.time - 10**18) // HOUR) for each in events + last.events]


@pytest.mark.parametrize("restart", [False, True])
def test_one_clock_that_is_far_ahead_changes_no_other_verdict(frozen, restart):
    calm, none = judged(frozen, readings(range(60)))
    first, events = judged(frozen, [*readings(range(30)), *readings([YEAR]), *readings(range(30, 60))], restart)
    assert none == [] and events == [("ahead", YEAR)]
    assert {hour: repr(row) for hour, row in first.items()} == {hour: repr(row) for hour, row in calm.items()}


@pytest.mark.parametrize("restart", [False, True])
def test_four_that_say_the_same_are_believed_and_each_is_judged(frozen, restart):
    first, events = judged(frozen, [*readings(range(30)), *readings(range(YEAR, YEAR + 8))], restart)
    assert sorted(first) == [*range(30), *range(YEAR, YEAR + 8)] and events == []


def test_clocks_that_say_different_things_are_not_believed(frozen):
    strange = readings([YEAR, 3 * YEAR, 5 * YEAR, 7 * YEAR, 9 * YEAR])
    first, events = judged(frozen, [*readings(range(30)), *strange, *readings(range(30, 40))])
    assert sorted(first) == list(range(40)) and len(events) == 5 and {kind for kind, _ in events} == {"ahead"}


def test_a_strange_reading_that_comes_twice_counts_once(frozen):
    first, events = judged(frozen, [*readings(range(30)), *readings([YEAR, YEAR, YEAR, YEAR]), *readings([30])])
    assert sorted(first) == list(range(31)) and events == [("ahead", YEAR)]


def test_a_first_reading_with_a_wrong_clock_does_not_make_all_others_late(frozen):
    first, events = judged(frozen, [*readings([YEAR]), *readings(range(30))])
    assert sorted(first) == list(range(30)) and events == [("ahead", YEAR)]


@pytest.mark.parametrize("begin", [0, -9 * YEAR])
def test_a_backlog_is_settled_as_it_comes_also_one_from_before_the_model_began(frozen, begin):
    sent = [each._replace(time=each.time + 12 * YEAR * HOUR) for each in readings(range(begin, begin + 3000))]
    engine, settled = Engine(frozen), 0
    for number in range(0, 3000, 500):
        messages = [Message("0", str(number + n), message_of([each]))
                    for n, each in enumerate(sent[number:number + 500])]
        settled += len(engine.take(messages).settled)
    state = engine.states["site_1", "value"]
    assert settled > 1900 and state.length < 1600 and (state.base > 0) == (begin == 0)


def test_a_first_reading_with_a_wrong_clock_holds_no_backlog_back(frozen):
    engine, settled = Engine(frozen), 0
    engine.take([Message("0", "0", message_of(readings([87 * YEAR])))])
    for number in range(0, 5000, 500):
        messages = [Message("0", str(1 + number + n), message_of([each]))
                    for n, each in enumerate(readings(range(number, number + 500)))]
        settled += len(engine.take(messages).settled)
    assert settled > 3000 and engine.states["site_1", "value"].length < 2000


# Models of other sensors

def run(tmp_path, frozen, sent, **how):
    """A pipeline over a log of files."""
    broker = FileBroker(Endpoint("file", (), None, str(tmp_path / "log").lstrip("/")))
    broker.create_topic("t")
    broker.send("t", (("key", message_of([each])) for each in sent))
    with open_store(tmp_path / "r.db", {"topic": "t"}) as store:
        try:
            Pipeline(Source(broker, "t"), frozen, store, wait=0.05, **how).run(until="end")
        finally:
            told = store.tally(), len(store.dead()), store.digest(), store.position("0")
    return told


def test_a_first_message_of_an_unknown_channel_is_set_apart_and_the_rest_judged(tmp_path, frozen):
    tally, dead, *_ = run(tmp_path, frozen, [*readings([0], "smell"), *readings(range(20))], most=1)
    assert tally["judged"] == 20 and dead == 1


@pytest.mark.parametrize("n", [1, 40, 250])
def test_a_model_of_other_sensors_is_refused_and_nothing_stored(tmp_path, frozen, n):
    with pytest.raises(InputError, match="the model knows no channel 'smell'.*give the model of these sensors"):
        run(tmp_path, frozen, readings(range(n), "smell"), most=7)
    with open_store(tmp_path / "r.db") as store:
        assert store.tally()["judged"] == 0 and len(store.dead()) == 0 and not store.position("0")


def test_larger_batches_behind_a_lag_change_no_row(tmp_path, frozen):
    steps = []
    few, many = tmp_path / "few", tmp_path / "many"
    few.mkdir(), many.mkdir()
    sent = readings(range(6000))
    told = run(many, frozen, sent, watch=steps.append)
    assert told[2] == run(few, frozen, sent, most=500)[2] and told[0]["judged"] == 6000
    assert steps.count("stored") < 9  # 500, 1000, 2000, and what is left


# ---------------------------------------------------------------- what a result tells of its judge

TOLD = ("site", "channel", "window", "window_time", "step", "threshold", "calibrated_by")


@pytest.mark.parametrize("any_site", [False, True])
def test_a_result_of_a_stream_says_what_the_batch_result_says(tmp_path, frozen, any_site):
    """Window, threshold and alpha go with the verdicts, also where a model of one channel judges any."""
    used = frozen.for_any() if any_site else frozen
    run(tmp_path, used, readings(range(200)))
    table = pd.DataFrame(readings(range(200)), columns=Reading._fields).drop(columns="quality")
    wanted = judge(table.assign(time=pd.to_datetime(table["time"], utc=True)), model=used)
    with open_store(tmp_path / "r.db") as store:
        found = store.result()
    for word in ("alpha", "detector", "causal"):
        assert found.summary["settings"][word] == wanted.summary["settings"][word]
    (told,), (batch,) = found.summary["channels"], wanted.summary["channels"]
    assert {word: told[word] for word in TOLD} == {word: batch[word] for word in TOLD}
    assert told["window"] == 12 and told["threshold"] == frozen.of("site_1", "value").threshold
    assert "windows of 12 readings (12 h)" in str(found) and "0.01 false alarms" in str(found)


def test_a_read_that_brings_nothing_is_no_step(tmp_path, frozen):
    steps = []
    run(tmp_path, frozen, readings(range(20)), watch=steps.append)
    assert steps[:4] == ["read", "judged", "stored", "told"] and steps.count("read") == 1
