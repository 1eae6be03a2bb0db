"""How well detectors of odd readings find what people labelled: 91 series, 11 detectors, random scores beside.

Run from the project's root: `python -m benchmarks.bench_series_truth` (about half an hour on one core; the distances
between windows take most of it). The series are those that the default was chosen on: NAB, SMAP and MSL, UCR, synthetic
ones, a river's, and a sewer's, in `../shared/data/series` or where `OCO2_SHARED_DATA` points. `--out FILE` writes each
figure as it comes, and a second run goes on from there; `--every 10` takes each tenth series only. Prints Markdown:

- mean VUS-PR per detector, as its score comes and with a moving average over one window, each with a 95 % interval;
- the forest minus the two best published ones, over the same draws of series;
- the price of time: verdicts at once, verdicts after a delay.
"""

from __future__ import annotations

import argparse
import csv
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from benchmarks.harness import machine, table
from oco2_outliers.series.detectors import PRESETS, reading_scores
from oco2_outliers.series.forest import SeriesForest
from oco2_outliers.series.metrics import vus_pr
from oco2_outliers.series.periods import choose_window
from oco2_outliers.series.sliding import averaged

FOLDER = Path(os.environ.get("OCO2_SHARED_DATA", "../shared/data")) / "series"
LEARNT = 0.3  # of a series, before a stream is judged
DRAWS = 10_000
FIELDS = ("series", "family", "detector", "plain", "smoothed", "window", "seconds")


class Labelled(NamedTuple):
    """A series and what people said of it."""

    name: str
    family: str
    values: np.ndarray
    labels: np.ndarray


def selection(folder: Path) -> Iterator[Labelled]:
    """The 91 series of the selection set."""
    whole = pd.read_parquet(folder / "selection" / "series.parquet")
    for name, rows in whole.groupby("series", observed=True):
        yield Labelled(str(name), str(rows["family"].iloc[0]), rows["value"].to_numpy(float),
                       rows["label"].to_numpy(int))
    sewer = pd.read_csv(folder / "sewer_velocity_5min.csv")
    wrong = (sewer["velocity"] != sewer["velocity_edited"]).to_numpy(int)
    values, positive = sewer["velocity"].to_numpy(float), (sewer["velocity"] > 0).to_numpy()
    yield Labelled("sewer", "SEWER", values, wrong)
    yield Labelled("sewer, readings > 0", "SEWER", values[positive], wrong[positive])


def compared(series: Labelled, detector: str) -> dict[str, float]:
    """VUS-PR of a detector on a series, as it comes and smoothed."""
    window = choose_window(series.values)
    begun = time.perf_counter()
    score = reading_scores(series.values, detector, window, smooth=False)
    seconds = time.perf_counter() - begun
    plain = vus_pr(series.labels, score, window)
    # The ensemble is made of scores that are smooth already.
    smooth = plain if detector == "ensemble" else vus_pr(series.labels, averaged(score, window), window)
    return {"plain": plain, "smoothed": smooth, "window": window, "seconds": seconds}


# ---------------------------------------------------------------- time has a price

def _centred(values: np.ndarray, window: int, known: int) -> np.ndarray:
    return SeriesForest(window).fit_series(values).score_series(values)


def _trailing(values: np.ndarray, window: int, known: int) -> np.ndarray:
    return SeriesForest(window).fit_series(values).score_series(values, causal=True)


def _first_verdicts(values: np.ndarray, window: int, known: int) -> np.ndarray:
    return SeriesForest(window).fit_series(values[:known]).score_series(values, causal=True, smooth=False)


def _settled(values: np.ndarray, window: int, known: int) -> np.ndarray:
    return SeriesForest(window).fit_series(values[:known]).score_series(values)


def _grown(values: np.ndarray, window: int, known: int) -> np.ndarray:
    return reading_scores(values, "forest", window, causal=True)


def _chance(values: np.ndarray, window: int, known: int) -> np.ndarray:
    return reading_scores(values, "random", window, smooth=False)


STREAMS: dict[str, tuple[Callable[[np.ndarray, int, int], np.ndarray], str]] = {
    "looking back: whole series learnt, centred, smoothed": (_centred, "end of the series"),
    "whole series learnt, trailing, smoothed": (_trailing, "end of the series"),
    "frozen after 30 %, trailing: first verdicts": (_first_verdicts, "none"),
    "frozen after 30 %, centred, smoothed: settled": (_settled, "one window"),
    "learnt anew as the series doubles, trailing, smoothed": (_grown, "none"),
    "random scores": (_chance, "none"),
}


def streamed(series: Labelled, name: str) -> dict[str, float] | None:
    """VUS-PR of the forest on the last 70 % of a measured series; None where nothing there, or all, is labelled."""
    if series.family == "SYN":
        return None  # made in one piece: nothing is learnt of how sensors change
    known = int(LEARNT * len(series.values))
    labels = series.labels[known:]
    if labels.min() == labels.max():
        return None
    window = choose_window(series.values)
    begun = time.perf_counter()
    score = STREAMS[name][0](series.values, window, known)[known:]
    seconds = time.perf_counter() - begun
    figure = vus_pr(labels, score, window)
    return {"plain": figure, "smoothed": figure, "window": window, "seconds": seconds}


# ---------------------------------------------------------------- measuring, with a memory

def measured(folder: Path, names: list[str], streams: bool, every: int, out: Path | None) -> pd.DataFrame:
    """A row for each series and detector; those that a former run wrote are taken from there."""
    rows = pd.read_csv(out).to_dict("records") if out and out.exists() else []
    done = {(row["series"], row["detector"]) for row in rows}
    jobs = {name: compared for name in names} | (dict.fromkeys(STREAMS, streamed) if streams else {})
    for series in tqdm(list(selection(folder))[::every], desc="series", disable=None):
        for name, job in jobs.items():
            figures = None if (series.name, name) in done else job(series, name)
            if figures is None:
                continue
            rows.append({"series": series.name, "family": series.family, "detector": name} | figures)
            if out:
                pd.DataFrame(rows[-1:], columns=list(FIELDS)).to_csv(
                    out, mode="a", header=not out.exists(), index=False, quoting=csv.QUOTE_MINIMAL)
    return pd.DataFrame(rows, columns=list(FIELDS))


def draws_of(n_series: int) -> np.ndarray:
    """How often each series is drawn, with replacement, in each of many draws; (draws, series), shares of one."""
    chosen = np.random.default_rng(0).integers(n_series, size=(DRAWS, n_series))
    return np.stack([np.bincount(row, minlength=n_series) for row in chosen]) / n_series


def told(values: pd.Series, draws: np.ndarray) -> str:
    """A mean over series and its 95 % interval."""
    low, high = np.quantile(draws @ values.to_numpy(), [0.025, 0.975])
    return f"{values.mean():.3f} [{low:.3f}, {high:.3f}]"


# ---------------------------------------------------------------- tables

def detectors_table(rows: pd.DataFrame) -> str:
    """Mean VUS-PR of each detector."""
    plain = rows.pivot(index="series", columns="detector", values="plain").dropna(axis=1)
    smooth = rows.pivot(index="series", columns="detector", values="smoothed")[plain.columns]
    draws, seconds = draws_of(len(plain)), rows.groupby("detector")["seconds"].sum()
    order = smooth.mean().sort_values(ascending=False).index
    return table(["detector", "VUS-PR, as it comes", "VUS-PR, smoothed", "seconds, all series"], [
        [name, told(plain[name], draws), told(smooth[name], draws), f"{seconds[name]:.0f}"] for name in order])


def differences_table(rows: pd.DataFrame) -> str:
    """The forest minus what was published, series by series."""
    plain = rows.pivot(index="series", columns="detector", values="plain")
    smooth = rows.pivot(index="series", columns="detector", values="smoothed")
    draws, peers = draws_of(len(plain)), [name for name in ("sub_pca", "poly") if name in plain]
    return table(["forest, smoothed, minus", "as it comes", "with the same smoothing"], [
        [name, told(smooth["forest"] - plain[name], draws), told(smooth["forest"] - smooth[name], draws)]
        for name in peers])


def families_table(rows: pd.DataFrame) -> str:
    """Mean VUS-PR by where the series come from: the forest and the ensemble smoothed, the others as they come."""
    own = rows["detector"].isin(["forest", "ensemble", "windows", "knn"])
    figure = np.where(own, rows["smoothed"], rows["plain"])
    means = rows.assign(figure=figure).pivot_table(index="detector", columns="family", values="figure")
    counts = rows.drop_duplicates("series")["family"].value_counts()
    return table(["detector", *(f"{name} ({counts[name]})" for name in means)], [
        [name, *(f"{value:.3f}" for value in means.loc[name])] for name in means.index])


def streams_table(rows: pd.DataFrame) -> str:
    """Mean VUS-PR of the forest on the last 70 %, and how long one waits for it."""
    figures = rows.pivot(index="series", columns="detector", values="plain")
    draws = draws_of(len(figures))
    return table(["forest on the last 70 %", "VUS-PR", "delay"], [
        [name, told(figures[name], draws), STREAMS[name][1]] for name in STREAMS if name in figures])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=FOLDER, help="folder of the labelled series")
    parser.add_argument("--detectors", default=",".join(PRESETS), help="names, with commas between; '' for none")
    parser.add_argument("--no-streams", action="store_true", help="leave the table of streams away")
    parser.add_argument("--every", type=int, default=1, help="take each so-manieth series")
    parser.add_argument("--out", type=Path, help="CSV to which each figure is written as it comes")
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.exit(0, f"no labelled series in {options.data}: nothing is measured\n")
    names = [name for name in options.detectors.split(",") if name]
    rows = measured(options.data, names, not options.no_streams, options.every, options.out)
    print(machine(["numpy", "scipy", "scikit-learn", "numba", "oco2_outliers"]))
    plain = rows[rows["detector"].isin(list(PRESETS))]
    if len(plain):
        print(f"\nMean VUS-PR over {plain['series'].nunique()} series, with a 95 % interval from drawing series.\n")
        print(detectors_table(plain))
        print(f"\n{differences_table(plain) if 'forest' in names else ''}\n\n{families_table(plain)}")
    streams = rows[rows["detector"].isin(list(STREAMS))]
    if len(streams):
        print(f"\nTime has a price: {streams['series'].nunique()} measured series with labels in their last 70 %.\n")
        print(streams_table(streams))


if __name__ == "__main__":
    main()
