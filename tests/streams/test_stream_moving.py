"""Moving readings: none is lost, all are in the order of time, and each waits for its turn."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oco2_outliers.ground.errors import InputError
from oco2_outliers.streams.messages import Reading, read_message
from oco2_outliers.streams.moving import Asked, from_historian, from_table, is_table, paced, sending, write_csv

SECOND = 10**9
NOON = 1_364_299_200 * SECOND
SERIES = st.dictionaries(st.tuples(st.sampled_from("AB"), st.sampled_from(["v", "w/x", "ü"])),
                         st.lists(st.integers(0, 50), max_size=12).map(sorted), min_size=1, max_size=4)


class Memory:
    """A historian in memory that gives small frames."""

    def __init__(self, times):
        self.times = {pair: [NOON + second * SECOND for second in seconds] for pair, seconds in times.items()}

    def channels(self):
        return sorted(self.times)

    def read(self, site, channel, start=None, end=None, rows=50_000):
        times = [each for each in self.times[site, channel]
                 if (start is None or each >= start) and (end is None or each < end)]
        for at in range(0, len(times), 3):
            part = pd.DatetimeIndex(times[at : at + 3]).as_unit("ns").tz_localize("UTC")
            yield pd.DataFrame({"time": part, "site": site, "channel": channel, "value": 1.5})


@given(SERIES, st.none() | st.integers(0, 50), st.none() | st.integers(51, 60))
@settings(max_examples=60)
def test_channels_are_merged_in_the_order_of_time(times, first, last):
    start, end = (None if each is None else str(NOON + each * SECOND) for each in (first, last))
    out = from_historian(Memory(times), Asked(start=start, end=end))
    found = list(out.readings)
    wanted = sorted((NOON + second * SECOND, *pair) for pair, seconds in times.items() for second in seconds
                    if second >= (first or 0) and (last is None or second < last))
    assert sorted((each.time, each.site, each.channel) for each in found) == wanted
    assert [each.time for each in found] == sorted(each.time for each in found) and out.channels == len(times)


@given(SERIES)
@settings(max_examples=30)
def test_a_table_and_its_historian_give_the_same(tmp_path_factory, times):
    path = tmp_path_factory.mktemp("moving") / "plant.csv"
    times = {pair: sorted({0, *seconds}) for pair, seconds in times.items()}  # each channel has a reading, none twice
    n_channels, n_rows = write_csv(Memory(times), Asked(), path)
    assert (n_channels, n_rows) == (len(times), sum(map(len, times.values())))
    one, other = from_table(str(path), Asked()), from_historian(Memory(times), Asked())
    assert list(one.readings) == list(other.readings) and one.total == n_rows


@given(st.lists(st.integers(0, 10_000), max_size=30), st.sampled_from([0.5, 1.0, 60.0]),
       st.lists(st.floats(0, 3), min_size=40, max_size=40))
@settings(max_examples=60)
def test_no_reading_leaves_before_its_turn_and_none_stays(seconds, speed, delays):
    now, delays = [0.0], iter(delays)

    def sleep(pause):
        assert pause > 0
        now[0] += pause

    readings = [Reading("A", "v", NOON + second * SECOND, 1.0) for second in sorted(seconds)]
    found = []
    for group in paced(readings, speed, lambda: now[0], sleep):
        found += [(each, now[0]) for each in group]
        now[0] += next(delays)  # the broker takes its time
    assert [each for each, _ in found] == readings
    begin = readings[0].time if readings else 0
    assert all(left >= (each.time - begin) / SECOND / speed - 1e-6 for each, left in found)


def test_messages_have_the_key_of_their_channel_and_what_is_confirmed_is_counted():
    class Broker:
        sent = []

        def send(self, topic, messages):
            self.sent += messages
            return len(messages) - 1

    readings = [Reading("A", "w/x", NOON + n, float(n)) for n in range(1200)]
    assert list(sending(Broker(), "t", readings)) == [499, 499, 199]
    assert {key for key, _ in Broker.sent} == {"A/w/x"}
    assert [read_message(body)[0][0] for _, body in Broker.sent] == readings


@pytest.mark.parametrize("name, table", [
    ("a.csv", True), ("A.CSV.GZ", True), ("http://one/a.parquet", True), ("sqlite:///a.csv", False), ("folder", False),
    ("file:///folder", False), ("cassandra://one/a.json", False), ("a.db", False)])
def test_tables_are_told_from_historians_by_their_names(name, table):
    assert is_table(name) is table


def test_a_span_that_is_none_is_refused():
    for start, end in (("2014-01-01", "2014-01-01"), ("2014-01-02", "2014-01-01"), ("soon", None), (None, "136429")):
        with pytest.raises(InputError):
            Asked(start=start, end=end).span  # noqa: B018
