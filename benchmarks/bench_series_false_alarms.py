"""False alarms of `judge` on series without anything odd, beside what was promised and beside three sigma.

Run ``python -m benchmarks.bench_series_false_alarms [--series N] [--days D] [--step STEP] [--window SPAN]
[--detectors NAME ...] [--kinds NAME ...] [--out FILE]``. Each series is a month of readings of one kind; a false alarm
is a stretch that the detector calls odd. What the checks say is counted beside. Lines are printed, and written to FILE,
as they come; the table is Markdown. 200 series of each of three kinds with the quick detector take some minutes.
With ``--planted`` power is measured instead: in how many of N series of a clear daily rhythm the planted day is found.
"""
from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.signal import lfilter
from scipy.stats import poisson

from oco2_outliers.ground.work import progress
from oco2_outliers.series.calibration import MONTH, calibrated_by_surrogates
from oco2_outliers.series.checks import check_series
from oco2_outliers.series.deciding import Asked, decide, scale_of
from oco2_outliers.series.reasons import runs_beyond
from oco2_outliers.series.simulated import simulate_series

ALPHAS = (1.0, 0.1, 0.01)  # false alarms per series and month
FAULTS = ("upside down", "calm", "loud", "shifted")


def wandering(rng: np.random.Generator, n: int, keep: float = 0.99) -> np.ndarray:
    "Noise whose spread wanders by a factor of two within days: harder than any rhythm of it."
    slow = lfilter([1], [1, -keep], rng.standard_normal(n + 1000))[1000:] * np.sqrt(1 - keep**2)
    return np.exp(0.6 * slow) * rng.standard_normal(n)


def readings(kind: str, days: float, step: pd.Timedelta, seed: int) -> pd.DataFrame:
    "One series of a kind, with nothing odd in it."
    if kind != "wandering":
        return simulate_series(kind, days=days, step=step, faults=[], random_state=seed)
    n = int(pd.Timedelta(days=days) / step)
    value = wandering(np.random.default_rng(seed), n)
    return pd.DataFrame({"time": pd.date_range("2013-03-01", periods=n, freq=step), "site": "site_1",
                         "channel": "value", "value": value})


def three_sigma(values: np.ndarray, window: int) -> int:
    "Stretches beyond three standard deviations."
    return len(runs_beyond(np.abs(values - values.mean()) / values.std(), 3.0, window))


def alarms_of(values: np.ndarray, asked: Asked, window: int, step: pd.Timedelta, n: int) -> Iterator[int]:
    "False alarms of a series at each alpha; surrogates are made once where the first round finds nothing."
    middle, width = scale_of(values)
    scaled, none = (values - middle) / width, np.zeros(len(values), bool)
    scores = asked.scores(scaled, window)
    known = calibrated_by_surrogates(scaled, lambda each: asked.scores(each, window), window, step, n,
                                     np.random.default_rng(asked.seed))
    for alpha in ALPHAS:
        found = runs_beyond(scores, known.threshold(alpha), window)
        yield len(decide(replace(asked, alpha=alpha), values, none, step).runs) if found else 0


def planted(fault: str, days: float, seed: int) -> tuple[np.ndarray, slice]:
    "Hourly readings with a clear daily rhythm, one day of which is odd, and that day."
    rng, hours = np.random.default_rng(seed), np.arange(int(days) * 24)
    values = np.sin(2 * np.pi * hours / 24) + 0.2 * lfilter([1], [1, -0.5], rng.standard_normal(len(hours)))
    start = 24 * int(np.random.default_rng(seed + 1000).integers(days // 4, 3 * days // 4))
    day = slice(start, start + 24)
    values[day] = {"upside down": -values[day], "calm": 0.2 * values[day], "loud": 2.5 * values[day],
                   "shifted": values[day] + 2 * values.std()}[fault]
    return values, day


def power_of(fault: str, detector: str, how: argparse.Namespace) -> dict[str, object]:
    "One line of the table of power: in how many series the planted day is found."
    told: dict[str, object] = {"planted day": fault, "detector": detector}
    found, began = np.zeros(len(ALPHAS), int), time.process_time()
    for seed in progress(range(how.series), f"{fault}, {detector}", "series"):
        values, day = planted(fault, how.days, seed)
        for place, alpha in enumerate(ALPHAS[1:], 1):
            asked = Asked(detector, 24, 5, alpha, False, seed, "surrogates", None, how.surrogates, False)
            runs = decide(asked, values, np.zeros(len(values), bool), pd.Timedelta("1h")).runs
            found[place] += any(first < day.stop and last >= day.start for first, last in runs)
    told |= {f"alpha {alpha:g}": f"{count} of {how.series}" for alpha, count in zip(ALPHAS[1:], found[1:])}
    return told | {"CPU s": round(time.process_time() - began)}


def row_of(kind: str, detector: str, how: argparse.Namespace) -> dict[str, object]:
    "One line of the table: counts over all series of a kind."
    step = pd.Timedelta(how.step)
    window = round(pd.Timedelta(how.window) / step)
    counts, naive, checks, began = np.zeros(len(ALPHAS), int), 0, 0, time.process_time()
    for seed in progress(range(how.series), f"{kind}, {detector}", "series"):
        table = readings(kind, how.days, step, seed)
        values = table["value"].to_numpy(np.float64)
        asked = Asked(detector, window, 5, ALPHAS[0], False, seed, "surrogates", None, how.surrogates, False)
        counts += list(alarms_of(values, asked, window, step, how.surrogates))
        naive += three_sigma(values, window)
        if how.checks:
            checks += len(runs_beyond(check_series(table)["outlier"].to_numpy(float), 0.5, window))
    months = how.series * pd.Timedelta(days=how.days) / MONTH
    told: dict[str, object] = {"kind": kind, "detector": detector}
    for alpha, count in zip(ALPHAS, counts):
        low, high = poisson.interval(0.95, alpha * months)
        kept = "kept" if low <= count <= high else "below" if count < low else "ABOVE"
        told[f"alpha {alpha:g}"] = f"{count} ({low:.0f} to {high:.0f}: {kept})"
    told["three sigma"] = f"{naive} ({naive / months:.1f} a month)"
    if how.checks:
        told["checks"] = f"{checks} ({checks / months:.2f} a month)"
    return told | {"CPU s": round(time.process_time() - began)}


def main() -> None:
    "Print the table, line by line."
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--series", type=int, default=200)
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--step", default="1h")
    parser.add_argument("--window", default="24h")
    parser.add_argument("--surrogates", type=int, default=20)
    parser.add_argument("--detectors", nargs="+", default=["energy", "knn"])
    parser.add_argument("--kinds", nargs="+", default=["ar1", "seasonal", "heteroscedastic", "wandering"])
    parser.add_argument("--checks", action="store_true", help="count what the checks flag, too")
    parser.add_argument("--planted", action="store_true", help="measure power instead")
    parser.add_argument("--out", type=Path)
    how = parser.parse_args()
    first = True
    for detector in how.detectors:
        for kind in FAULTS if how.planted else how.kinds:
            row = power_of(kind, detector, how) if how.planted else row_of(kind, detector, how)
            lines = [" | ".join(map(str, row.values()))]
            if first:
                lines = [" | ".join(row), " | ".join("--" for _ in row), *lines]
            text = "".join(f"| {line} |\n" for line in lines)
            sys.stdout.write(text)
            sys.stdout.flush()
            if how.out:
                with how.out.open("w" if first else "a", encoding="utf-8") as file:
                    file.write(text)
            first = False


if __name__ == "__main__":
    main()
