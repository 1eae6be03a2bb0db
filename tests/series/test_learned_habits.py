"""What a channel does every day is no fault, and what it never did still is."""

import numpy as np
import pandas as pd
import pytest

from oco2_outliers.series.checks import check_stretches

DAY = 288
TIMES = pd.date_range("2024-01-01", periods=40 * DAY, freq="5min")


def pump(per_day, seed=0):
    """A pump that goes on and off so many times a day, at times that wander."""
    rng, on = np.random.default_rng(seed), np.zeros(len(TIMES))
    for day in range(40):
        for k in range(per_day // 2):
            begin = day * DAY + int(DAY * (k + 0.2) / (per_day // 2)) + rng.integers(-10, 10)
            on[max(begin, 0):begin + rng.integers(15, 30)] = 1
    return 2 + 5 * on + rng.normal(0, 0.1, len(on))


def rain(seed=0, wet=0.1):
    """Showers of some readings between dry hours, in tenths of a millimetre."""
    rng, water, i = np.random.default_rng(seed), np.zeros(len(TIMES)), 0
    while i < len(water):
        i += int(rng.exponential(20 / wet))
        length = int(rng.exponential(20)) + 1
        water[i:i + length] = rng.gamma(0.7, 1, len(water[i:i + length])) * rng.gamma(1, 1)
    return np.round(water, 1)


def found(values):
    """The stretches that are odd."""
    table = check_stretches(pd.Series(values, TIMES))
    return table[table["outlier"]]


@pytest.mark.parametrize("per_day", [2, 4, 8])
def test_a_pump_that_switches_every_day_rings_no_bell(per_day):
    assert len(found(pump(per_day))) <= 2
    jumped = pump(per_day)
    jumped[20 * DAY + 3:] += 40.0  # beyond any of its own, and out of its range
    told = found(jumped)
    assert ((told["start"] <= TIMES[20 * DAY + 5]) & (told["end"] >= TIMES[20 * DAY])).any()


@pytest.mark.parametrize("days_off", [0, 20])
def test_a_jump_twice_as_large_as_the_habit_is_found(days_off):
    values = pump(4)
    values[(39 - days_off) * DAY + 100] += 16.0
    told, at = found(values), (39 - days_off) * DAY + 100
    assert ((told["start"] <= TIMES[at + 1]) & (told["end"] >= TIMES[at - 1])).any()


@pytest.mark.parametrize("seed", range(3))
def test_showers_are_compared_with_showers(seed):
    values = rain(seed)
    told = found(values)
    assert (told["kind"] == "out of range").sum() <= 2
    values[1234] = 60 * max(values.max(), 1.0)
    again = found(values)
    assert ((again["start"] <= TIMES[1234]) & (again["end"] >= TIMES[1234])).any()
    values[1234] = -5.0
    again = found(values)
    assert ((again["start"] <= TIMES[1234]) & (again["end"] >= TIMES[1234])).any()
