"""Order statistics and sums of values in parts are those of all values together, however they are parted."""

from __future__ import annotations

import pickle
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oco2_outliers.ground import order_statistics as room
from oco2_outliers.ground.errors import InputError
from oco2_outliers.ground.order_statistics import (
    InMemory,
    count_above,
    ends_of,
    exact_sum,
    kth_smallest,
    largest_not_above,
    mean_of,
    median_of,
    turned,
)

TINY = 5e-324
ODD = [0.0, -0.0, TINY, -TINY, 2.2250738585072014e-308, 1.0, 1.0000000000000002, -1.0, 1.7976931348623157e308]
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
FINITE = st.one_of(st.sampled_from(ODD), FLOATS, st.integers(-3, 3).map(float))
ANY = st.one_of(FINITE, st.sampled_from([np.inf, -np.inf]))


def parts_of(values):
    """Lists of lists of values, some of them empty."""
    return st.lists(st.lists(values, max_size=12).map(lambda each: np.array(each, np.float64)), max_size=5)


class Elsewhere:
    """Parts that see questions and send answers as other processes would: pickled, one after the other."""

    def __init__(self, arrays):
        self.arrays, self.longest = arrays, 0

    def ask(self, function, *args):
        function, args = pickle.loads(pickle.dumps((function, args)))
        for values in self.arrays:
            answer = pickle.dumps(function(values, *args))
            self.longest = max(self.longest, len(answer))
            yield pickle.loads(answer)


@pytest.fixture(params=[1 << 16, 2], ids=["few told one by one", "cut to the end"])
def few(request, monkeypatch):
    monkeypatch.setattr(room, "_FEW", request.param)


def check_ranks(arrays):
    values = np.sort(np.concatenate([np.empty(0), *arrays]))
    for parts in (InMemory(arrays), Elsewhere(arrays)):
        if not len(values):
            with pytest.raises(IndexError, match="among 0"):
                median_of(parts)
            continue
        found = kth_smallest(parts, lambda n: range(n))
        assert found == values.tolist()
        assert kth_smallest(parts, lambda n: [n - 1, 0, n // 2]) == values[[-1, 0, len(values) // 2]].tolist()
        assert ends_of(parts) == (values[0], values[-1])
        for limit in [*values[:3], *values[-3:], 0.5]:
            assert count_above(parts, limit) == (values > limit).sum()
            assert largest_not_above(parts, limit) == values[values <= limit].max(initial=-np.inf)


@given(parts_of(ANY))
def test_every_rank_is_found(arrays):
    check_ranks(arrays)


def test_every_rank_is_found_where_bins_are_cut_to_the_end(few):
    generator = np.random.default_rng(0)
    check_ranks([np.array(ODD), np.array([]), np.array([np.inf, -np.inf, 0.0]), generator.normal(size=30)])
    check_ranks([np.full(9, 400.0), np.nextafter(np.full(9, 400.0), 500)])


@given(parts_of(FINITE))
@example([np.array([1.7e308, 1.7e308])])
@example([np.array([1.6e308, 1.7e308, 0.0]), np.array([1.7e308])])
def test_the_median_is_that_of_numpy(arrays):
    values = np.concatenate([np.empty(0), *arrays])
    if len(values):
        with np.errstate(over="ignore"):
            expected = np.median(values)
        found = median_of(Elsewhere(arrays))
        low, high = np.sort(values)[[(len(values) - 1) // 2, len(values) // 2]]
        # numpy adds up two huge values to infinity, also where they are one value: that one is told.
        assert found == (low if low == high else expected)
        assert found in values or not len(values) % 2


@given(parts_of(FINITE))
def test_sums_are_exact(arrays):
    values = [Fraction(value) for each in arrays for value in each.tolist()]
    total = sum(values, Fraction(0))
    assert Fraction(exact_sum(Elsewhere(arrays)).whole, 1 << room._UNIT) == total
    if values:
        assert mean_of(InMemory(arrays)) == mean_of(Elsewhere(arrays[::-1])) == float(total / len(values))


@given(parts_of(ANY))
def test_infinite_sums_are_those_of_numpy(arrays):
    values = np.concatenate([np.empty(0), *arrays])
    if not np.isfinite(values).all():
        with np.errstate(invalid="ignore", over="ignore"):
            np.testing.assert_equal(mean_of(InMemory(arrays)), values[~np.isfinite(values)].sum())


def test_many_values_are_summed_in_chunks(monkeypatch):
    values = np.random.default_rng(0).normal(400, 1e9, 1000)
    expected = mean_of(InMemory([values]))
    monkeypatch.setattr(room, "_CHUNK", 7)
    assert mean_of(InMemory([values])) == expected


def test_turned_values_are_asked_where_they_lie():
    arrays = np.array_split(np.random.default_rng(0).normal(size=1001), 4)
    for parts in (InMemory(arrays), Elsewhere(arrays)):
        squares = turned(turned(parts, np.abs), np.square)
        assert median_of(squares) == np.median(np.concatenate(arrays) ** 2)


def test_no_answer_grows_with_the_rows(monkeypatch):
    monkeypatch.setattr(room, "_HELD", 1000)
    values = np.random.default_rng(0).lognormal(sigma=3, size=400_000)
    parts = Elsewhere([values, values[:0], values[::-1].copy()])
    ranks = np.arange(0, 800_000, 90_000)
    assert kth_smallest(parts, lambda n: ranks) == np.sort(np.r_[values, values])[ranks].tolist()
    assert parts.longest < 16 * 70_000


def test_values_that_change_meanwhile_are_refused():
    class Growing(Elsewhere):
        def ask(self, function, *args):
            yield from super().ask(function, *args)
            self.arrays = [np.r_[each, 1.0] for each in self.arrays]

    with pytest.raises(InputError, match="changed while they were read"):
        median_of(Growing([np.ones(5)]))
