"""VUS-PR beside the code of the benchmark TSB-AD that defines it: the same number, and how long each takes.

Run ``python -m benchmarks.bench_series_metrics --peer FOLDER`` (a minute or two) with FOLDER made by
``pip install --no-deps --target FOLDER TSB_AD``: it asks for an older NumPy, but the one file that is loaded
needs no more than NumPy and scikit-learn. Both take the same labels and scores, in one process, one after the other.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from pathlib import Path

import numpy as np

from benchmarks.harness import machine, seconds, table

PACKAGES = ("oco2_outliers", "numpy", "scikit-learn")
FILE = Path("TSB_AD") / "evaluation" / "basic_metrics.py"
CASES = ((2_000, 50, 5), (10_000, 100, 10), (10_000, 100, 100), (20_000, 125, 10))  # readings, window, events


def series(n: int, n_events: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels and scores of generated readings."""
    rng = np.random.default_rng(0)
    labels = np.zeros(n, int)
    for start in rng.choice(n - 30, n_events, replace=False):
        labels[start : start + rng.integers(1, 30)] = 1
    return labels, rng.normal(size=n) + 1.5 * labels


def peer_of(folder: Path):
    """The function of TSB-AD, from its one file."""
    spec = importlib.util.spec_from_file_location("peer_metrics", folder / FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.basic_metricor().RangeAUC_volume_opt


def timed(call, *arguments):
    """What a call gives, and its seconds."""
    start = time.perf_counter()
    found = call(*arguments)
    return found, time.perf_counter() - start


def main() -> None:
    """Print the table."""
    from oco2_outliers.series.metrics import vus_pr

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", type=Path, help="folder into which TSB_AD was installed; without it, ours alone")
    asked = parser.parse_args()
    peer = peer_of(asked.peer) if asked.peer else None
    print(machine(PACKAGES) + "\n", flush=True)
    vus_pr(*series(500, 3), 10)
    lines = []
    for n, window, n_events in CASES:
        labels, score = series(n, n_events)
        ours, took = timed(vus_pr, labels, score, window)
        line = [f"{n:,}", window, n_events, f"{ours:.6f}", seconds(took)]
        if peer:
            theirs, took_theirs = timed(peer, labels, score, window)
            line += [seconds(took_theirs), f"{took_theirs / took:.0f}", f"{abs(ours - theirs[-1]):.1e}"]
        lines.append(line)
        print(line, flush=True)
    columns = ["readings", "window", "events", "VUS-PR", "ours", "TSB-AD", "times as quick", "difference"]
    print("\n" + table(columns[: len(lines[0])], lines))


if __name__ == "__main__":
    main()
