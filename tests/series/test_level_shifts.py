"""Level shifts beside holes: a hole in a daily wave is none, a level that moved in one is, in tables and in streams."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oco2_outliers.series.checks import check_stretches
from oco2_outliers.series.judging import judge
from oco2_outliers.series.learning import learn_limits
from oco2_outliers.series.measures import drifts, shifts

DAY = 96


def wave(seed, days=40, noise=0.2):
    rng, n = np.random.default_rng(seed), days * DAY
    values = 10 + 2 * np.sin(np.arange(n) * 2 * np.pi / DAY) + rng.normal(0, noise, n)
    return pd.DataFrame({"time": pd.date_range("2020-03-01", periods=n, freq="15min"), "value": values})


def shifts_in(table):
    found = check_stretches(table)
    return found[found["kind"] == "level shift"]


def slow_median(values, span, begin, other):
    """The slow twin: the median of a span over the places that another span has, too."""
    own, there = values[begin:begin + span], np.isfinite(values[other:other + span])
    both = np.isfinite(own) & there
    return np.median(own[both]) if both.sum() >= span / 8 else np.nan


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 12), st.floats(0, 0.9))
def test_levels_are_medians_of_what_both_spans_have(seed, span, lost):
    rng = np.random.default_rng(seed)
    values = rng.normal(size=70)
    values[rng.random(70) < lost] = np.nan
    moved, drifted = shifts(values, span), drifts(values, span)
    for i in range(70):
        told = np.nan
        if span <= i <= 70 - span:
            told = slow_median(values, span, i, i - span) - slow_median(values, span, i - span, i)
        assert np.isclose(moved[i], told, rtol=0, atol=1e-12, equal_nan=True)
        told = np.nan
        if i + 4 * span <= 70:
            told = slow_median(values, span, i + 3 * span, i) - slow_median(values, span, i, i + 3 * span)
        assert np.isclose(drifted[i], told, rtol=0, atol=1e-12, equal_nan=True)


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_a_part_says_of_its_middle_what_the_whole_says(seed):
    """A stream holds parts: the same places must have the same numbers, bit for bit."""
    rng = np.random.default_rng(seed)
    values, span = rng.normal(size=400), int(rng.integers(2, 40))
    for _ in range(6):
        at = int(rng.integers(0, 400))
        values[at:at + int(rng.integers(1, 2 * span))] = np.nan
    cut = int(rng.integers(1, 300))
    whole, part = shifts(values, span), shifts(values[cut:], span)
    assert np.array_equal(whole[cut + span:], part[span:], equal_nan=True)


@pytest.mark.parametrize("hours", [3, 5, 8, 10, 14])
def test_a_hole_in_a_daily_wave_is_no_level_shift(hours):
    false = 0
    for seed in range(6):
        begin = DAY * 20 + 16 * seed
        table = wave(seed).drop(index=range(begin, begin + 4 * hours))
        false += len(shifts_in(table))
    assert false == 0


def test_one_gap_of_five_hours_makes_nothing_odd():
    table = wave(0)
    for each in (table, table.drop(index=range(DAY * 20, DAY * 20 + 20))):
        assert not judge(each, n_surrogates=2).points["outlier"].any()


@pytest.mark.parametrize("hours", [3, 10, 15, 20])
def test_a_level_that_moves_in_a_hole_is_found(hours):
    found = 0
    for seed in range(8):
        table, begin = wave(seed), DAY * 20 + 12 * seed
        bound = learn_limits(table).of("site", "value").level_shift.suspect
        at = begin + int(np.random.default_rng(seed).integers(0, 4 * hours + 1))
        table.loc[at:, "value"] += 1.8 * bound
        moved = shifts_in(table.drop(index=range(begin, begin + 4 * hours)))
        found += len(moved) == 1 and abs(moved["start"].iloc[0] - table["time"][at]) <= pd.Timedelta(hours=hours + 6)
    assert found >= 7


def test_the_sentence_names_the_levels_that_were_compared():
    table = wave(3)
    table.loc[DAY * 20 + 10:, "value"] += 3
    reason = shifts_in(table.drop(index=range(DAY * 20, DAY * 20 + 40)))["reason"].iloc[0]
    by, before, after = (float(reason.split(word)[1].split()[0].strip(",")) for word in ("shift of", "from", "to"))
    assert after - before == pytest.approx(by, abs=0.01) and by == pytest.approx(3, abs=0.3)


@pytest.mark.parametrize("hours", [6, *(pytest.param(hours, marks=pytest.mark.heavy) for hours in (10, 15))])
def test_few_holes_in_a_real_flow_are_called_shifts(shared_data, hours):
    """Medians of what is left of a day made a new shift beside 6 of 25 holes of ten hours."""
    table = pd.read_csv(shared_data / "series" / "flow_5min_with_gaps.csv")
    usual, new = shifts_in(table), 0
    for place in np.linspace(288 * 4, len(table) - 288 * 5, 12).astype(int):
        found = shifts_in(table.drop(index=range(place, place + 12 * hours)))
        begin = pd.Timestamp(table["time"][place])
        near = found[(found["start"] - begin).abs() < pd.Timedelta("2D")]
        new += any((abs(usual["start"] - start) > pd.Timedelta("1D")).all() for start in near["start"])
    assert new <= 2
