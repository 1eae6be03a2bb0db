"""Boosting that learnt the marks of other sensors, beside the detector that knows no marks, sensor by sensor.

Run ``python -m benchmarks.bench_series_learn`` (some minutes). The data are the thirteen sensors of the Logan River
Observatory in the table of labelled series (../shared/data/series/selection, or where OCO2_SHARED_DATA points); their
labels are what technicians corrected. Windows have 24 readings (6 hours), one begins every 6 readings, and each sensor
is measured from its median in units of its quartiles. A second table lets the classifier learn no other *kind* of
sensor: only those of the same quantity at other sites and years. Below each table stands by how much the classifier is
ahead of the detector, with 95 % intervals by a bootstrap over sensors, and over stations and years, whose sensors go
wrong together.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.harness import ROOT, machine, table

PACKAGES = ("oco2_outliers", "numpy", "pandas", "scikit-learn")
DATA = Path(os.environ.get("OCO2_SHARED_DATA") or ROOT.parent / "shared" / "data")
COLUMNS = ["site", "windows", "labelled", "base_rate", "learnt", "detector", "learnt_auc", "detector_auc"]


def readings() -> pd.DataFrame:
    """The thirteen sensors as one long table; their positions become quarter hours."""
    found = pd.read_parquet(DATA / "series" / "selection" / "series.parquet", filters=[("family", "==", "LRO")])
    when = pd.Timestamp("2014-01-01") + pd.to_timedelta(found["position"].to_numpy() * 15, unit="min")
    return pd.DataFrame({"time": when, "site": found["series"].astype(str).str.removeprefix("LRO/"),
                         "value": found["value"], "label": found["label"] == 1})


def told(rows: pd.DataFrame) -> str:
    """The table, with the means over sensors."""
    mean = {name: rows[name].mean() for name in COLUMNS[3:]}
    rows = pd.concat([rows, pd.DataFrame([{"site": "mean", **mean}])], ignore_index=True)
    lines = [[each if isinstance(each, str) else "" if np.isnan(each) else
              f"{each:,.0f}" if name in ("windows", "labelled") else f"{each:.3f}"
              for name, each in zip(COLUMNS, line)] for line in rows[COLUMNS].itertuples(index=False)]
    return table(COLUMNS, lines)


def drawn_means(gain: np.ndarray, groups: np.ndarray, n: int = 10_000) -> np.ndarray:
    """Means of a gain over groups that were drawn with replacement, each with all its members."""
    names, place = np.unique(groups, return_inverse=True)
    total, size = np.bincount(place, gain), np.bincount(place)
    drawn = np.random.default_rng(0).integers(len(names), size=(n, len(names)))
    return total[drawn].sum(axis=1) / size[drawn].sum(axis=1)


def gains(rows: pd.DataFrame) -> str:
    """By how much the classifier is ahead of the detector, a mean over sensors, with intervals."""
    rows = rows.dropna(subset=["learnt", "detector"])
    lines = []
    for what, learnt, detector in (("average precision", "learnt", "detector"),
                                   ("ROC AUC", "learnt_auc", "detector_auc")):
        gain = (rows[learnt] - rows[detector]).to_numpy()
        line = [what, f"{gain.mean():+.3f}"]
        for groups in (rows["site"], rows["site"].str.rsplit("_", n=1).str[0]):
            low, high = np.percentile(drawn_means(gain, groups.to_numpy(str)), (2.5, 97.5))
            line.append(f"[{low:+.3f}, {high:+.3f}] of {groups.nunique()}")
        lines.append([*line, f"{(gain > 0).sum()} of {len(gain)}"])
    return table(["learnt minus detector", "mean", "over sensors", "over stations and years", "ahead"], lines)


def main() -> None:
    """Print the tables."""
    from oco2_outliers.series_learn import WindowClassifier, compare_with_detector, windows

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--window", type=int, default=24, help="readings of a window (default 24)")
    parser.add_argument("--step", type=int, default=6, help="readings from one to the next (default 6)")
    asked = parser.parse_args()
    print(machine(PACKAGES) + "\n", flush=True)
    start = time.perf_counter()
    everything = readings()
    w = windows(everything, T=asked.window, step=asked.step, scaled=True)
    rows = compare_with_detector(w, WindowClassifier())
    print(f"{w}\n\n{told(rows)}\n\n{gains(rows)}\n", flush=True)
    kind = everything["site"].str.rsplit("_", n=1).str[-1]
    parts = [compare_with_detector(windows(part, T=asked.window, step=asked.step, scaled=True), WindowClassifier())
             for _, part in everything.groupby(kind)]
    rows = pd.concat(parts)
    print(f"Learnt from the same quantity alone\n\n{told(rows)}\n\n{gains(rows)}")
    print(f"\n{time.perf_counter() - start:.0f} s")


if __name__ == "__main__":
    main()
