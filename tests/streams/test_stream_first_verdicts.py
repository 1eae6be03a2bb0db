"""Checks that look back, beside an obvious twin: one reading and one rule at a time."""

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from oco2_outliers.series.freezing import freeze, slots_ahead, slots_back
from oco2_outliers.streams.first_verdicts import FLAT, JUMPED, RANGED, RATED, Rules, _rules_of, look_back

VALUES = st.lists(st.one_of(st.integers(-3, 8).map(float), st.just(np.nan), st.floats(-1e300, 1e300),
                            st.sampled_from([np.inf, -np.inf, -0.0])), max_size=40)


def is_out(value, rules):
    return value < rules.low or value > rules.high or bool(abs(value - rules.middle) / rules.half > 1)


def change(values, place, back, rules):
    """Change an hour since some readings before; NaN where one of the two is not there or is out of range."""
    if place < back or is_out(values[place], rules) or is_out(values[place - back], rules):
        return np.nan
    return abs(values[place] - values[place - back]) / (back * rules.hours)


def told(values, place, rules):
    """What is to be said of one reading."""
    least = rules.rest_least if abs(values[place] - rules.rest) <= rules.tolerance else rules.least
    last = values[max(place - least + 1, 0):place + 1]
    is_flat = 0 < least <= place + 1 and not np.isnan(last).any() and max(last) - min(last) <= rules.tolerance
    jumps = [change(values, each, 1, rules) > rules.jump for each in range(max(place - rules.back + 1, 0), place + 1)]
    is_rated = change(values, place, rules.back, rules) > rules.rate and not any(jumps)
    return (RANGED * is_out(values[place], rules) + FLAT * is_flat + JUMPED * bool(change(values, place, 1, rules)
            > rules.jump) + RATED * is_rated)


@st.composite
def some_rules(draw):
    low, high = draw(st.sampled_from([(-np.inf, np.inf), (-1.0, 5.0), (0.0, np.inf), (-np.inf, 4.0)]))
    closed = np.isfinite(low) and np.isfinite(high)
    return Rules(low, high, (low + high) / 2 if closed else 0.0, (high - low) / 2 if closed else np.nan,
                 draw(st.sampled_from([0, 2, 3, 5])), draw(st.sampled_from([0.0, 0.5, 2.0])),
                 draw(st.sampled_from([1.0, 3.0, np.inf])), draw(st.sampled_from([0.5, 1.0, np.inf])),
                 draw(st.integers(1, 5)), draw(st.sampled_from([1.0, 0.25])),
                 *draw(st.sampled_from([(np.nan, 0), (0.0, 6), (5.0, 4)])))


@given(VALUES, some_rules(), st.data())
def test_each_reading_gets_what_its_past_says(values, rules, data):
    values = np.array(values, np.float64)
    first = data.draw(st.integers(0, len(values)))
    found, steps, rates = (np.empty(len(values) - first, kind) for kind in (np.int64, float, float))
    look_back(values, first, rules, found, steps, rates)
    with np.errstate(all="ignore"):
        assert found.tolist() == [told(values, place, rules) for place in range(first, len(values))]
        for kept, back in ((steps, 1), (rates, rules.back)):
            twin = [change(values, place, back, rules) for place in range(first, len(values))]
            assert np.array_equal(kept, np.array(twin), equal_nan=True)


def test_a_stream_knows_the_rest_too():
    hour = np.arange(12 * 288) % 288 / 12
    by_day = 3 + np.random.default_rng(0).normal(size=len(hour))
    series = pd.Series(np.where((hour >= 6) & (hour < 18), by_day, 0.0),
                       pd.date_range("2013-03-12", periods=len(hour), freq="5min"))
    known = freeze(series, window=24, n_surrogates=2)
    (channel,) = known.channels.values()
    assert channel.rest_least == 180 > channel.flat_least and slots_back(channel) >= 180 <= slots_ahead(channel)
    values = np.zeros(300)
    values[:3] = 1.0, 2.0, 3.0
    rules = _rules_of(channel)
    found, steps, rates = np.empty(300, np.int64), np.empty(300), np.empty(300)
    look_back(values, 0, rules, found, steps, rates)
    assert np.flatnonzero(found & FLAT)[0] == 3 + 179
    look_back(np.where(values == 0, 0.5, values), 0, rules, found, steps, rates)
    assert np.flatnonzero(found & FLAT)[0] == 3 + channel.flat_least - 1
