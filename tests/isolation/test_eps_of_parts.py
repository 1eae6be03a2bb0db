"""The eps that a job takes and the robust scale are the same to the last bit from an array and from its parts."""

from __future__ import annotations

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from oco2_outliers.ground.errors import InputError
from oco2_outliers.ground.order_statistics import InMemory
from oco2_outliers.isolation import tails
from oco2_outliers.isolation.choosing import _three_digits, printable_eps, printable_eps_of
from oco2_outliers.isolation.company import AUTO
from oco2_outliers.isolation.features import centre_and_spread, robust_scale
from oco2_outliers.isolation.radii import choose_eps, fence_of
from oco2_outliers.isolation.samples import Counted, weighted_median
from oco2_outliers.isolation.tails import knee_eps, knee_of, measured_factor, tail_eps, tail_factor, tail_of


class Elsewhere:
    """Parts in another process, as far as a function can tell: what is asked and answered is pickled."""

    def __init__(self, arrays):
        self.arrays = arrays

    def ask(self, function, *args):
        for values in self.arrays:
            asked, given_ = pickle.loads(pickle.dumps((function, args)))
            yield asked(values, *given_)


def fence_by_sorting(radius, cutoff=3.5):
    """The fence of radii as one array: its formula, word for word."""
    usable = radius[np.isfinite(radius) & (radius > 0)]
    log = np.log(usable)
    centre = weighted_median(log, np.ones(len(log)))
    away = np.abs(log - centre)
    spread = 1.4826 * weighted_median(away, np.ones(len(log))) or 1.2533 * np.average(away)
    fence = centre + cutoff * spread
    return max(float(np.exp(fence)), float(usable[log <= fence + 1e-9].max()))


def tail_by_sorting(radius, n_features):
    """The threshold of at least fifty radii as one array, word for word."""
    usable = radius[np.isfinite(radius) & (radius > 0)]
    eps = tail_factor(len(radius), n_features) * weighted_median(usable, np.ones(len(usable)))
    return knee_by_sorting(usable) if np.mean(radius > eps) > 1 / 3 else min(eps, float(usable.max()))


def knee_by_sorting(radius):
    steps = np.sort(radius)
    return float(steps[np.argmax(np.linspace(steps[0], steps[-1], len(steps)) - steps)])


def printable_by_sorting(radius, eps):
    rounded = _three_digits(eps)
    if ((radius > rounded) & (radius <= eps)).any():
        step = 10.0 ** (np.floor(np.log10(eps)) - 2)
        rounded = _three_digits(np.ceil(eps / step) * step)
    return rounded


GRID = np.array([0.0, 1.0, 1.0, 1.5, 2.0, 3.0, 40.0, np.inf])
KINDS = {
    "gamma": lambda g, n: g.gamma(9.0, 0.05, n),
    "grid": lambda g, n: g.choice(GRID, n),
    "two groups": lambda g, n: np.where(g.random(n) < 0.5, g.uniform(1, 1.1, n), g.uniform(30, 60, n)),
    "mostly equal": lambda g, n: np.where(g.random(n) < 0.8, 0.7, g.lognormal(size=n)),
    "line": lambda g, n: np.linspace(0.5, 0.5 + 1e-3 * n, n),
    "tiny": lambda g, n: g.random(n) * 1e-310,
    "tails": lambda g, n: g.lognormal(sigma=4, size=n),
}
SAMPLES = st.tuples(st.sampled_from(list(KINDS)), st.integers(1, 400), st.integers(0, 2**31))
CUTS = st.lists(st.integers(0, 400), max_size=4).map(sorted)


def drawn(sample):
    kind, n, seed = sample
    return KINDS[kind](np.random.default_rng(seed), n)


@given(SAMPLES, CUTS)
def test_the_eps_of_parts_is_that_of_the_array(sample, cuts):
    radius = drawn(sample)
    parts = Elsewhere(np.split(radius, cuts))
    for m in (5, AUTO):
        chosen = printable_eps_of(parts, 2, m)
        assert chosen == printable_eps(radius, 2, m)
        if not (radius[np.isfinite(radius)] > 0).any():
            assert chosen.eps == 1.0
        elif m == 5:
            assert chosen.eps == printable_by_sorting(radius, choose_eps(radius))
        else:
            assert chosen.eps == printable_by_sorting(radius, tail_eps(radius, 2).eps)


@given(SAMPLES, CUTS)
def test_the_rules_are_what_their_words_say(sample, cuts):
    radius = drawn(sample)
    if not (radius[np.isfinite(radius)] > 0).any():
        with pytest.raises(InputError, match="no eps to choose"):
            choose_eps(radius)
        return
    radii, usable = Counted(Elsewhere(np.split(radius, cuts))), radius[np.isfinite(radius) & (radius > 0)]
    equal = np.unique(usable, return_counts=True)[1].max() > len(usable) / 2  # a mean steps in, which rounds once here
    expected = pytest.approx(fence_by_sorting(radius), rel=1e-13) if equal else fence_by_sorting(radius)
    assert choose_eps(radius) == fence_of(radii) == choose_eps(radius, sample_weight=np.ones(len(radius))) == expected
    assert tail_of(radii, 2) == tail_eps(radius, 2) == tail_eps(radius, 2, np.ones(len(radius)))
    if len(radius) >= tails.LEAST_ROWS:
        assert tail_eps(radius, 2).eps == tail_by_sorting(radius, 2)


@given(SAMPLES, CUTS)
@example(("line", 400, 0), [])
@example(("grid", 1, 0), [])
def test_the_knee_is_found_without_sorting(sample, cuts):
    radius = drawn(sample)
    radius = radius[np.isfinite(radius) & (radius > 0)]
    if len(radius):
        assert knee_of(Elsewhere(np.split(radius, cuts))) == knee_eps(radius) == knee_by_sorting(radius)


@given(st.lists(st.sampled_from([5e-324, 1e-323, 2e-323, 1.0, np.nextafter(1, 2), np.nextafter(1, 3)]), min_size=1))
def test_the_knee_of_floats_next_to_each_other(radius):
    assert knee_eps(np.array(radius)) == knee_by_sorting(np.array(radius))


@pytest.mark.parametrize("kind", KINDS)
def test_the_knee_of_more_radii_than_are_told_one_by_one(kind, monkeypatch):
    monkeypatch.setattr("oco2_outliers.ground.order_statistics._FEW", 50)
    monkeypatch.setattr(tails, "_AT_A_TIME", 16)
    radius = drawn((kind, 5_000, 0))
    radius = radius[np.isfinite(radius) & (radius > 0)]
    assert knee_of(InMemory(np.array_split(radius, 3))) == knee_by_sorting(radius)


def test_radii_that_are_none_are_refused_from_parts_too():
    for wrong in (np.nan, -1.0):
        with pytest.raises(InputError, match="numbers of at least 0, and none missing"):
            printable_eps_of(Elsewhere([np.ones(3), np.array([wrong])]), 2, 5)
    assert printable_eps_of(Elsewhere([]), 2, 5).eps == 1.0


def robust_by_pandas(values):
    """Median and robust spread of columns, word for word."""
    def width(share, normal):
        tail = (1 - share) / 2
        inner = values.quantile(tail, interpolation="higher"), values.quantile(1 - tail, interpolation="lower")
        return (inner[1] - inner[0]).clip(lower=0) / normal

    half, most = width(0.5, 1.3489795), width(0.8, 2.5631031)
    spread = most.where((half <= 0) | (most <= 2 * half), 2 * half)
    about = np.sqrt(((values - values.median()) ** 2).mean())
    return values.median(), spread, about


COLUMNS = st.lists(st.one_of(st.floats(-1e100, 1e100), st.integers(-2, 2).map(float)), min_size=1, max_size=60)


@given(COLUMNS, CUTS)
@example([0.0] * 95 + [1.0, 2.0, 3.0, 4.0, 5.0], [50])
def test_the_robust_scale_of_parts_is_that_of_the_column(values, cuts):
    column = np.array(values)
    centre, spread = centre_and_spread(pd.DataFrame({"a": column}), "robust")
    assert robust_scale(Elsewhere(np.split(column, cuts))) == (centre["a"], spread["a"])
    median, usual, about = robust_by_pandas(pd.DataFrame({"a": column}))
    assert centre["a"] == median["a"]
    assert spread["a"] == (usual["a"] if usual["a"] > 0 else pytest.approx(about["a"], rel=1e-14))


@pytest.mark.parametrize("n", [2, 3, 4, 5, 10, 11, 21, 601, 999, 1000, 1001, 12_345])
def test_the_ranks_are_those_of_pandas(n):
    column = np.random.default_rng(n).normal(400, 1, n)
    found = robust_scale(InMemory(np.array_split(column, 3)))
    median, usual, _ = robust_by_pandas(pd.DataFrame({"a": column}))
    assert found == (median["a"], usual["a"] or found[1])


@pytest.mark.parametrize("n_features", [1, 3, 8, 21, 40, 41])
def test_factors_that_are_written_down_are_those_measured(n_features):
    assert tail_factor(2_400, n_features) == pytest.approx(measured_factor(1_000, n_features), rel=1e-12)


@pytest.mark.slow
def test_all_factors_that_are_written_down_are_those_measured():
    found = [tail_factor(10**6, d) for d in range(1, 42)]
    assert found == pytest.approx([measured_factor(1_000, d) for d in range(1, 42)], rel=1e-12)
