"""A store that is computed again: what differs is told, whatever the names and numbers are."""

import math
import random

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oco2_outliers.series.freezing import freeze
from oco2_outliers.series.simulated import simulate_series
from oco2_outliers.streams.batch_rows import Changes, ChannelRow, DeadLetter, FirstVerdict
from oco2_outliers.streams.broker_parts import Message
from oco2_outliers.streams.endpoints import endpoint_of
from oco2_outliers.streams.engine import Engine
from oco2_outliers.streams.file_broker import FileBroker
from oco2_outliers.streams.messages import Reading, message_of, read_message
from oco2_outliers.streams.pipeline import Pipeline, Source
from oco2_outliers.streams.replaying import _walk, lag, replay, replay_in_words, stored_stream, stream_until
from oco2_outliers.streams.result_store import open_store

START, HOUR = 10**18, 3600 * 10**9
keyed = st.dictionaries(st.tuples(st.text(max_size=2), st.integers(0, 3)), st.integers(0, 2), max_size=12)


@given(keyed, keyed)
def test_the_walk_along_two_tables_finds_what_two_dicts_say(left, right):
    one, other = ([(*key, value) for key, value in sorted(each.items())] for each in (left, right))
    found = list(_walk(iter(one), iter(other), 2))
    expected = [((*key, left[key]) if key in left else None, (*key, right[key]) if key in right else None)
                for key in sorted(left.keys() | right.keys())]
    assert found == expected


class Plain:
    """Judges at once; what cannot be read is dead; of each channel the newest reading waits for its turn."""

    def __init__(self):
        self.waiting = {}

    def take(self, messages):
        changes = Changes()
        for message in messages:
            changes.positions[message.partition] = message.position
            readings, refused = read_message(message.body)
            changes.dead += [DeadLetter(message.partition, message.position, each.part, message.body, len(message.body),
                                        each.reason) for each in refused]
            for one in readings:
                before = self.waiting.get(one[:2])
                if before is not None:
                    changes.first.append(FirstVerdict(*before[:4], before.value * 3, False, "", "", one.time))
                self.waiting[one[:2]] = one
        changes.channels += [ChannelRow(*key, messages[0].partition, 0, 0, 0, 0, f"[[{one.time}, {one.value}]]")
                             for key, one in self.waiting.items()]
        return changes

    def settle_all(self, final=False):
        return Changes()


def stored(path, bodies):
    """A store, and the messages it was made of."""
    messages = [Message("0", str(number), body) for number, body in enumerate(bodies)]
    store, judge = open_store(path, {"topic": "sewers"}), Plain()
    mine = {"0": store.claim("0", "worker")}
    for begin in range(0, len(messages), 3):
        store.commit(judge.take(messages[begin:begin + 3]), mine)
    return store, messages


def test_a_stream_with_odd_names_and_dead_messages_is_computed_again(tmp_path):
    sites = ["../../etc", "'; DROP TABLE verdicts; --", "<script>", "\U0001f4a7", "NE001"]
    bodies = [message_of(Reading(site, "flow", START + n * HOUR, 0.1 * n)) for n in range(9) for site in sites]
    bodies[7:7] = [b"\xff\x00", b"[" * 5000, b""]
    store, messages = stored(tmp_path / "r.db", bodies)
    assert replay_in_words(replay(store, Plain, messages)) == "computed again: no difference"
    assert len(replay(store, Plain)) == 0
    waiting = list(stored_stream(store))
    assert len(waiting) == 9 * len(sites)  # those that wait for their turn are among them
    found = replay(store, Plain, messages[:-1])
    assert set(found["table"]) == {"verdicts"} and set(found["stored"]) == {"there"}
    found = replay(store, Plain, [*messages, Message("0", "99", b"\x1b[2J")])
    assert found["table"].tolist() == ["dead"] and "\x1b" not in replay_in_words(found)


def test_numbers_that_differ_in_their_last_bit_are_told(tmp_path):
    bodies = [message_of(Reading("NE001", "flow", START + n * HOUR, 5e-324 if n == 2 else math.nan)) for n in range(6)]
    store, messages = stored(tmp_path / "r.db", bodies)

    class Off(Plain):
        def take(self, messages):
            changes = super().take(messages)
            changes.first = [row._replace(score=math.nextafter(row.score, 1)) for row in changes.first]
            return changes

    assert len(replay(store, Plain, messages)) == 0
    found = replay(store, Off, messages)
    assert found["column"].tolist() == ["first_score"] and found.attrs["differences"] == 1
    assert found["stored"][0] == "1.5e-323" and found["recomputed"][0] == "2e-323"
    assert "2001-09-09T03:46:40+00:00: first_score is 1.5e-323 in the store" in replay_in_words(found)


@pytest.fixture(scope="module")
def judge_of_a_month():
    """A judge that knows one channel, frozen on forty days."""
    return freeze(simulate_series("seasonal", days=40, step="1 h", random_state=1), window=24, n_surrogates=2)


def disturbed(pair, dice, n=400):
    """Messages of a month that follows: some late, twice, contradicting, between two steps, or no readings at all."""
    after = pd.Timestamp("2013-06-01", tz="UTC").value
    rows = [Reading(*pair, after + slot * HOUR, math.sin(slot * math.tau / 24) + dice.gauss(0, 0.05) + 5 * (slot == 9))
            for slot in range(n) if not 150 < slot < 160]
    rows += [one._replace(value=one.value + dice.choice([0, 0, 1])) for one in dice.sample(rows, 30)]
    rows += [one._replace(time=one.time + HOUR // 3) for one in dice.sample(rows, 5)]
    delays = [dice.choice([1, 4, 4, 4, 9]) * HOUR * dice.random() for _ in rows]
    order = sorted(range(len(rows)), key=lambda place: rows[place].time + delays[place])
    bodies = [message_of(rows[place]) for place in order]
    for place in dice.sample(range(len(bodies)), 6):
        bodies.insert(place, dice.randbytes(9))
    return "/".join(pair), bodies


@pytest.mark.parametrize("ended", [False, True])
def test_a_stream_of_the_real_judge_is_computed_again(tmp_path, judge_of_a_month, ended):
    """Judged by workers that come and go, at any message; from the source, and from the readings in the store."""
    frozen, dice = judge_of_a_month, random.Random(int(ended))
    key, bodies = disturbed(next(iter(frozen.channels)), dice)
    broker = FileBroker(endpoint_of(f"file://{tmp_path}/topics", ("file",), "broker"))
    broker.create_topic("sewers")
    broker.send("sewers", [(key, body) for body in bodies])
    store = open_store(tmp_path / "r.db", {"topic": "sewers"})
    left = len(bodies) - 20
    while left > 0:
        most = min(dice.randrange(1, 80), left)
        Pipeline(Source(broker, "sewers"), frozen, store, most=dice.randrange(1, 50), wait=0.01).run(most)
        left -= most
    if ended:
        Pipeline(Source(broker, "sewers"), frozen, store, wait=0.01).run(until="end", final=True)
    told = store.tally()
    assert all(told[word] for word in ("late", "irregular", "conflict", "duplicate", "dead", "stretches")), told
    assert store.ended == ended and (told["settled"] == told["judged"]) == ended
    again = list(stream_until(store, broker, "sewers", wait=0.01))
    assert [message.body for message in again] == bodies[:len(bodies) if ended else -20]
    assert replay_in_words(replay(store, lambda: Engine(frozen), again)) == "computed again: no difference"
    assert replay_in_words(replay(store, lambda: Engine(frozen))) == "computed again: no difference"
    assert len(replay(store, lambda: Engine(frozen, lateness=0), again))
    found = lag(store, broker, "sewers", now=pd.Timestamp("2013-08-01", tz="UTC").value)
    assert found["behind"].tolist() == [0 if ended else 20] and found["age"][0] > pd.Timedelta("40 days")
