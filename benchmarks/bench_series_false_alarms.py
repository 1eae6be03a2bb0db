"""False alarms of `judge` on series without anything odd, beside what was promised and beside three sigma.

Run ``python -m benchmarks.bench_series_false_alarms [--series N] [--first SEED] [--days D] [--step STEP]
[--window SPAN] [--detectors NAME ...] [--kinds NAME ...] [--log FILE] [--out FILE]``. Each series is a month of
readings of one kind, made from a seed of its own; a false alarm is a stretch that the detector calls odd. What the
checks say is counted beside. With ``--log`` each series is written to FILE (a line of JSON) as it is judged, and one
that stands there is not judged again, so that a long run may be stopped and taken up. The kinds take turns, seed by
seed. The tables are Markdown. A series takes a quarter of a second with the detector ``energy``, and five with
``forest``. With ``--planted`` power is measured instead: in how many of N series of a clear daily rhythm the planted
day is found.
"""
from __future__ import annotations

import argparse
import json
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.signal import lfilter
from scipy.stats import binomtest, poisson

from oco2_outliers.ground.work import progress
from oco2_outliers.series.calibration import MONTH
from oco2_outliers.series.checks import check_series
from oco2_outliers.series.deciding import Asked, decide
from oco2_outliers.series.reasons import runs_beyond
from oco2_outliers.series.simulated import simulate_series

ALPHAS = (1.0, 0.1, 0.01)  # false alarms per series and month
KINDS = ("ar1", "seasonal", "heteroscedastic", "wandering")
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


@dataclass(frozen=True)
class Remembering(Asked):
    "Scores each series once: the surrogates of the first round are the same at each alpha."

    known: dict[bytes, np.ndarray] = field(default_factory=dict, compare=False)

    def scores(self, values: np.ndarray, window: int, model: Any = None) -> np.ndarray:
        key = values.tobytes()
        if key not in self.known:
            self.known[key] = super().scores(values, window, model)
        return self.known[key]


def asked_of(detector: str, window: int, seed: int, n_surrogates: int) -> Remembering:
    "How a series is judged."
    return Remembering(detector, window, 5, 1.0, False, seed, "surrogates", None, n_surrogates, False)


def runs_of(asked: Asked, alpha: float, values: np.ndarray, step: pd.Timedelta) -> list[tuple[int, int]]:
    "The stretches that a detector calls odd."
    return decide(replace(asked, alpha=alpha), values, np.zeros(len(values), bool), step).runs


def planted(fault: str, days: float, seed: int) -> tuple[np.ndarray, slice]:
    "Hourly readings with a clear daily rhythm, one day of which is odd, and that day."
    rng, hours = np.random.default_rng(seed), np.arange(int(days) * 24)
    values = np.sin(2 * np.pi * hours / 24) + 0.2 * lfilter([1], [1, -0.5], rng.standard_normal(len(hours)))
    start = 24 * int(np.random.default_rng(seed + 1000).integers(days // 4, 3 * days // 4))
    day = slice(start, start + 24)
    values[day] = {"upside down": -values[day], "calm": 0.2 * values[day], "loud": 2.5 * values[day],
                   "shifted": values[day] + 2 * values.std()}[fault]
    return values, day


def power_of(fault: str, detector: str, seed: int, how: argparse.Namespace) -> dict[str, Any]:
    "Whether a planted day is found, at each alpha."
    values, day = planted(fault, how.days, seed)
    asked = asked_of(detector, 24, seed, how.surrogates)
    found = [runs_of(asked, alpha, values, pd.Timedelta("1h")) for alpha in ALPHAS]
    return {"found": [int(any(first < day.stop and last >= day.start for first, last in runs)) for runs in found],
            "elsewhere": [sum(first >= day.stop + 24 or last < day.start - 24 for first, last in runs)
                          for runs in found]}


def alarms_of(kind: str, detector: str, seed: int, how: argparse.Namespace) -> dict[str, Any]:
    "False alarms of a series at each alpha, beside those of three sigma and of the checks."
    step = pd.Timedelta(how.step)
    window = round(pd.Timedelta(how.window) / step)
    table = readings(kind, how.days, step, seed)
    values = table["value"].to_numpy(np.float64)
    asked = asked_of(detector, window, seed, how.surrogates)
    told = {"found": [len(runs_of(asked, alpha, values, step)) for alpha in ALPHAS],
            "three sigma": three_sigma(values, window)}
    if how.checks:
        told["checks"] = len(runs_beyond(check_series(table)["outlier"].to_numpy(float), 0.5, window))
    return told


def settings_of(how: argparse.Namespace) -> dict[str, Any]:
    "What a series in the log must have been judged with."
    return {name: getattr(how, name) for name in ("days", "step", "window", "surrogates", "checks", "planted")}


def logged(how: argparse.Namespace) -> dict[tuple[str, str, int], dict[str, Any]]:
    "The series that an earlier run has judged; a last line that was cut short is taken off."
    if how.log is None or not how.log.exists():
        return {}
    text, done = how.log.read_text(encoding="utf-8"), {}
    whole = text[: text.rfind("\n") + 1]
    if whole != text:
        how.log.write_text(whole, encoding="utf-8")
    for each in map(json.loads, whole.splitlines()):
        if each["settings"] == settings_of(how):
            done[each["detector"], each["kind"], each["seed"]] = each
    return done


def judged(how: argparse.Namespace) -> dict[tuple[str, str, int], dict[str, Any]]:
    "All series that are asked for, from the log or judged now."
    done, measure = logged(how), power_of if how.planted else alarms_of
    wanted = [(detector, kind, seed) for seed in range(how.first, how.first + how.series)
              for detector in how.detectors for kind in how.kinds]
    for detector, kind, seed in progress([each for each in wanted if each not in done], "false alarms", "series"):
        began = time.process_time()
        told = {"detector": detector, "kind": kind, "seed": seed, **measure(kind, detector, seed, how),
                "seconds": round(time.process_time() - began, 2), "settings": settings_of(how)}
        done[detector, kind, seed] = told
        if how.log is not None:
            with how.log.open("a", encoding="utf-8") as file:
                file.write(json.dumps(told) + "\n")
    return {each: done[each] for each in wanted}


def told_of_alarms(rows: list[dict[str, Any]], how: argparse.Namespace) -> dict[str, str]:
    "Counts over all series of a kind, and how many a month that is, with a bootstrap over series."
    months, told = len(rows) * pd.Timedelta(days=how.days) / MONTH, {}
    counts = np.array([each["found"] for each in rows])
    drawn = counts[np.random.default_rng(0).integers(len(rows), size=(4000, len(rows)))].sum(axis=1)
    for place, alpha in enumerate(ALPHAS):
        count, (low, high) = counts[:, place].sum(), poisson.interval(0.95, alpha * months)
        kept = "kept" if low <= count <= high else "below" if count < low else "ABOVE"
        told[f"alpha {alpha:g}"] = f"{count} ({low:.0f} to {high:.0f}: {kept})"
    for place, alpha in enumerate(ALPHAS):
        least, most = np.percentile(drawn[:, place] / (alpha * months), (2.5, 97.5))
        share = counts[:, place].sum() / (alpha * months)
        told[f"of {alpha:g} promised"] = f"{share:.2f} [{least:.2f}, {most:.2f}]"
    for name in ("three sigma", "checks"):
        if name in rows[0]:
            told[name] = f"{(naive := sum(each[name] for each in rows))} ({naive / months:.2f} a month)"
    return told


def told_of_power(rows: list[dict[str, Any]], how: argparse.Namespace) -> dict[str, str]:
    "In how many series the planted day is found, with a 95 % interval, and what is found elsewhere."
    told = {}
    for place, alpha in enumerate(ALPHAS):
        hits = sum(each["found"][place] for each in rows)
        low, high = binomtest(hits, len(rows)).proportion_ci(0.95, "wilson")
        told[f"alpha {alpha:g}"] = f"{hits} of {len(rows)} [{low:.0%}, {high:.0%}]"
        told[f"elsewhere at {alpha:g}"] = str(sum(each["elsewhere"][place] for each in rows))
    return told


def table_of(done: dict[tuple[str, str, int], dict[str, Any]], how: argparse.Namespace) -> str:
    "The table, a line for each kind and detector."
    lines: list[dict[str, Any]] = []
    for detector in how.detectors:
        for kind in how.kinds:
            rows = [each for (other, its, _), each in done.items() if (other, its) == (detector, kind)]
            told = told_of_power(rows, how) if how.planted else told_of_alarms(rows, how)
            lines.append({"kind": kind, "detector": detector, "series": len(rows), **told,
                          "CPU s": round(sum(each["seconds"] for each in rows))})
    text = [" | ".join(lines[0]), " | ".join("--" for _ in lines[0])]
    return "".join(f"| {line} |\n" for line in [*text, *(" | ".join(map(str, each.values())) for each in lines)])


def main() -> None:
    "Judge the series, and print the table."
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--series", type=int, default=200)
    parser.add_argument("--first", type=int, default=0, help="seed of the first series; the others follow")
    parser.add_argument("--days", type=float, default=30.0)
    parser.add_argument("--step", default="1h")
    parser.add_argument("--window", default="24h")
    parser.add_argument("--surrogates", type=int, default=20)
    parser.add_argument("--detectors", nargs="+", default=["energy", "knn"])
    parser.add_argument("--kinds", nargs="+", help="default: ar1, seasonal, heteroscedastic and wandering; with "
                        f"--planted {', '.join(FAULTS)}")
    parser.add_argument("--checks", action="store_true", help="count what the checks flag, too")
    parser.add_argument("--planted", action="store_true", help="measure power instead")
    parser.add_argument("--log", type=Path, help="keep each series here, and judge none that is kept")
    parser.add_argument("--out", type=Path)
    how = parser.parse_args()
    how.kinds = how.kinds or list(FAULTS if how.planted else KINDS)
    text = table_of(judged(how), how)
    sys.stdout.write(text)
    if how.out:
        how.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
