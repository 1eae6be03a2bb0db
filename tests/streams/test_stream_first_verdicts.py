"""Checks that look back, beside an obvious twin: one reading and one rule at a time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from oco2_outliers.streams.first_verdicts import FLAT, JUMPED, RANGED, RATED, Rules, look_back

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
    last = values[max(place - rules.least + 1, 0):place + 1]
    is_flat = 0 < rules.least <= place + 1 and not np.isnan(last).any() and max(last) - min(last) <= rules.tolerance
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
                 draw(st.integers(1, 5)), draw(st.sampled_from([1.0, 0.25])))


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
