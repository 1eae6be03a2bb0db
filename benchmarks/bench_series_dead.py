"""Dead sensors and holes planted in real series: what the checks find, and what they find falsely.

Run from the project's root: `python -m benchmarks.bench_series_dead` (half a minute on one core; `--every 10` takes
each tenth series only). The series are the 89 labelled ones, two sewers' and NAB's own seven, in
`../shared/data/series` or where `OCO2_SHARED_DATA` points. Prints Markdown, each figure with its 95 % interval:

- a stretch of 1 to 80 % of a series stands still, at the reading before it or at 0: is it called a flat line, and are
  the flat lines elsewhere still found, by limits that set a dead sensor aside and by limits that do not;
- how many ordinary channels that stand still by habit (rain, pumps, states, nights) are called flat, made ones, 60 of
  a kind;
- a hole of some hours, with and without a level that moves in it, at 25 places of two real sewers.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import binomtest
from tqdm import tqdm

from benchmarks.harness import machine, table
from oco2_outliers.series.learning import channel_limits, dead_places, spans_of, usual_flat
from oco2_outliers.series.limits import ChannelLimits
from oco2_outliers.series.measures import shifts
from oco2_outliers.series.readings import Grid, as_series, grid
from oco2_outliers.series.stretches import Channel, check_flat, runs_of

FOLDER = Path(os.environ.get("OCO2_SHARED_DATA", "../shared/data")) / "series"
SHARES, HOURS, DAY, STEP = (1, 5, 10, 12, 15, 20, 30, 50, 80), (3, 6, 10, 15, 20, 22), 288, pd.Timedelta("5min")
RULES = ("learned from all", "dead lines aside")


def view_of(values: np.ndarray) -> Grid:
    """Readings of five minutes at equal steps."""
    times = np.datetime64("2013-01-01", "ns") + np.arange(len(values)) * np.timedelta64(300, "s")
    return Grid(times, values, np.arange(len(values)), pd.Timedelta("5min"), np.empty(0, int))


def of_file(path: Path, value: str) -> np.ndarray:
    """One column of a file at equal steps."""
    found = pd.read_csv(path)
    series = as_series(pd.Series(found[value].to_numpy(float), pd.to_datetime(found.iloc[:, 0])))
    return grid(series, *series.channels()[0]).values


def real_series() -> Iterator[np.ndarray]:
    """All real and labelled series."""
    whole = pd.read_parquet(FOLDER / "selection" / "series.parquet")
    yield from (rows["value"].to_numpy(float) for _, rows in whole.groupby("series", observed=True))
    yield of_file(FOLDER / "flow_5min_with_gaps.csv", "flow")
    for value in ("velocity", "velocity_edited"):
        yield of_file(FOLDER / "sewer_velocity_5min.csv", value)
    for path in sorted((FOLDER / "nab").glob("*.csv")):
        yield of_file(path, "value")


def flat_in(values: np.ndarray, rule: str) -> np.ndarray:
    """Which readings lie in a flat line."""
    dead = dead_places(values, DAY) if rule == RULES[1] else np.zeros(len(values), bool)
    bound = usual_flat(values, dead, STEP, DAY)
    limits = ChannelLimits(flat_line=bound)
    found = check_flat(Channel(view_of(values), limits, spans_of(limits, STEP), None))
    return np.zeros(len(values), bool) if found is None else found.score > 1


def told(hits: int, of: int) -> str:
    """A count with its 95 % interval."""
    if not of:
        return "-"
    low, high = binomtest(int(hits), int(of)).proportion_ci(0.95, "wilson")
    return f"{hits} of {of} ({low:.0%} to {high:.0%})"


# ---------------------------------------------------------------- a sensor that is dead

def stilled(values: np.ndarray, share: float, at_zero: bool, rng: np.random.Generator) -> tuple[np.ndarray, slice]:
    """The values with a share of them standing still, half of the times at the end; and where."""
    length = int(len(values) * share / 100)
    begin = len(values) - length if rng.random() < 0.5 else int(rng.integers(1, len(values) - length))
    known, before = values[np.isfinite(values)], values[:begin][np.isfinite(values[:begin])]
    zero = 0.0 if known.min() <= 0 <= known.max() else known.min()
    changed = values.copy()
    changed[begin:begin + length] = zero if at_zero or not len(before) else before[-1]
    return changed, slice(begin, begin + length)


def planted(every: int) -> str:
    """Stretches that stand still, and flat lines elsewhere, by share and rule."""
    count: Counter[tuple] = Counter()
    rng, extra = np.random.default_rng(5), 0
    for values in tqdm(list(real_series())[::every], "planted"):
        plain = flat_in(values, RULES[0])
        extra += len(list(runs_of(flat_in(values, RULES[1]) & ~plain)))
        if usual_flat(values, np.zeros(len(values), bool), STEP, DAY) is None:
            continue  # it stands still by habit, and a stretch more of it cannot be told
        for share in SHARES:
            for at_zero in (False, True):
                changed, where = stilled(values, share, at_zero, rng)
                away = plain.copy()
                away[max(where.start - 1, 0):where.stop + 1] = False
                for rule in RULES:
                    found = flat_in(changed, rule)
                    count[share, rule, "found"] += found[where].mean() > 0.9
                    count[share, rule, "kept"] += int((found & away).sum())
                count[share, "n"] += 1
                count[share, "away"] += int(away.sum())
    rows = [[f"{share} %", *(told(count[share, rule, "found"], count[share, "n"]) for rule in RULES),
             *(f"{count[share, rule, 'kept'] / max(count[share, 'away'], 1):.0%}" for rule in RULES)]
            for share in SHARES]
    names = [f"{what}, {rule}" for what in ("found", "flat readings elsewhere") for rule in RULES]
    return table(["dead", *names], rows) + f"\n\nNew flat lines in the series as they are: {extra}."


# ---------------------------------------------------------------- channels that stand still by habit

def rain(rng: np.random.Generator, n: int) -> np.ndarray:
    """Showers whose distances have a heavy tail, 0 between them."""
    values, at = np.zeros(n), 0.0
    while (at := at + DAY * 0.3 * (rng.pareto(1.2) + 0.05)) < n:
        shower = slice(int(at), int(at) + int(rng.gamma(1.5, DAY / 12)) + 1)
        values[shower] += np.round(rng.exponential(0.4, len(values[shower])), 1)
        at = shower.stop
    return values


def pump(rng: np.random.Generator, n: int) -> np.ndarray:
    """A pump that is off for a day and a half on average, and runs for hours."""
    values, at = np.zeros(n), 0
    while (at := at + int(rng.exponential(DAY * 1.5)) + 1) < n:
        on = slice(at, at + int(rng.gamma(2, DAY / 6)) + 1)
        values[on] = np.round(20 + rng.normal(0, 0.3, len(values[on])), 2)
        at = on.stop
    return values


def weekends(rng: np.random.Generator, n: int) -> np.ndarray:
    """A plant that is off on two days of seven."""
    return np.where(np.arange(n) // DAY % 7 >= 5, 0.0, np.round(50 + rng.normal(0, 3, n), 2))


def status(rng: np.random.Generator, n: int) -> np.ndarray:
    """Four states, each kept for a time with a heavy tail."""
    values, at = np.zeros(n), 0
    while at < n:
        length = int(DAY * (rng.pareto(1.5) + 0.1))
        values[at:at + length] = rng.integers(0, 4)
        at += length
    return values


def season(rng: np.random.Generator, n: int) -> np.ndarray:
    """A plant that is off once, for a quarter of the time: nothing tells it from a dead sensor."""
    begin = int(rng.integers(n // 10, n // 2))
    return np.where((np.arange(n) >= begin) & (np.arange(n) < begin + n // 4), 0.0, np.round(rng.normal(50, 3, n), 2))


def nights(rng: np.random.Generator, n: int) -> np.ndarray:
    """A plant that is off every night, for twelve hours give or take one, and runs by a noisy curve."""
    hour, day = np.arange(n) % DAY / 12, np.arange(n) // DAY
    begin, end = (at + rng.normal(0, 0.3, n // DAY + 1)[day] for at in (6, 18))
    curve = 5 + 5 * np.sin(np.pi * (hour - 6) / 12) + rng.normal(0, 0.3, n)
    return np.where((hour >= begin) & (hour < end), np.round(curve, 2), 0.0)


def habits(n_series: int) -> str:
    """In how many channels that stand still by habit a flat line is told."""
    kinds: tuple[Callable, ...] = (rain, pump, weekends, status, nights, season)
    rows = []
    for kind in kinds:
        for days in (14, 30, 90):
            made = [kind(np.random.default_rng(seed), days * DAY) for seed in range(n_series)]
            counts = [sum(bool(flat_in(values, rule).any()) for values in made) for rule in RULES]
            rows.append([kind.__name__, days, *(told(count, n_series) for count in counts)])
    return table(["channel", "days", *RULES], rows)


# ---------------------------------------------------------------- holes

def of_what_is_left(values: np.ndarray) -> np.ndarray:
    """Level shifts by the medians of what each day has, if half of it is there."""
    middle = pd.Series(values).rolling(DAY, min_periods=DAY // 2).median().to_numpy(copy=True)
    middle[:DAY - 1] = np.nan
    found = np.full(len(values), np.nan)
    found[1:len(values) - DAY + 1] = middle[DAY:] - middle[:-DAY]
    return found


def holes() -> str:
    """False and true level shifts at holes, by their length."""
    rows, measures = [], (of_what_is_left, lambda values: shifts(values, DAY))
    for name, value in (("flow_5min_with_gaps", "flow"), ("sewer_velocity_5min", "velocity")):
        values = of_file(FOLDER / f"{name}.csv", value)
        bound = channel_limits(view_of(values)).level_shift.suspect
        rng = np.random.default_rng(3)
        places = np.linspace(DAY * 4, len(values) - DAY * 5, 25).astype(int) + rng.integers(-100, 100, 25)
        for hours in HOURS:
            count = np.zeros((2, 2), int)
            for place in places:
                holed, near = values.copy(), slice(place - 2 * DAY, place + 2 * DAY)
                holed[place:place + 12 * hours] = np.nan
                stepped, at = holed.copy(), place + int(rng.integers(0, 12 * hours + 1))
                stepped[at:] += 1.6 * bound
                for which, measure in enumerate(measures):
                    usual, false, true = (np.nan_to_num(measure(each)) for each in (values, holed, stepped))
                    count[which, 0] += (np.abs(false[near]) > bound).any() and not (np.abs(usual[near]) > bound).any()
                    count[which, 1] += (true[at - DAY // 2:at + DAY // 2] > bound).any()
            rows.append([value, f"{hours} h", *(told(each, len(places)) for each in count.T.ravel())])
    return table(["series", "hole", "false, what is left", "false, like with like", "true, what is left",
                  "true, like with like"], rows)


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--series", type=int, default=60, help="made channels of each kind")
    asked = parser.parse_args()
    print(machine(["numpy", "pandas"]), planted(asked.every), habits(asked.series), holes(), sep="\n\n")


if __name__ == "__main__":
    main()
