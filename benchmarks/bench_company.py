"""What the company of `min_samples="auto"` costs beside that of five rows: seconds, CPU and memory, 10,000 to 1M rows.

Run ``python -m benchmarks.bench_company`` (some minutes; ``--only`` picks numbers of rows). Rows are generated with
the correlations of a Lite file, 13 features. Three jobs: `isolation_radius`, the `sweep` over seven eps without
silhouettes, and the whole of `isolate` from a table in memory (its silhouettes are sampled above 10,000 rows). Each
case runs in fresh processes in which an earlier call has loaded the engine and, for the default, the clean clouds of
its threshold.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd

from benchmarks.bench_dbscan import oco_like
from benchmarks.harness import Outcome, machine, measure, seconds, table

PACKAGES = ("oco2_outliers", "numpy", "scikit-learn", "numba", "pandas")
NUMBERS = (10_000, 100_000, 1_000_000)
JOBS = ("radius", "sweep", "isolate")
N_FEATURES = 13


def work(job: str, old: bool, rows: pd.DataFrame) -> None:
    """One job, with the default of today or that of before: five rows, all with all, standard deviations."""
    from oco2_outliers.dbscan import isolation_radius, sweep
    from oco2_outliers.main_job import isolate

    company: str | int = 5 if old else "auto"
    if job == "radius":
        isolation_radius(rows, min_samples=company)
    elif job == "sweep":
        eps = np.arange(0.5, 1.15, 0.1) if old else np.arange(0.5, 1.15, 0.1) * 4  # both part few rows from the rest
        sweep(rows, eps=eps, min_samples=company, silhouette=False)
    else:
        isolate(rows, preset="original" if old else None)


def case(job: str, old: bool, n: int) -> dict:
    """Seconds and CPU seconds of one call; the harness reads the peak."""
    rows = pd.DataFrame(oco_like(n, N_FEATURES), columns=[f"f{k}" for k in range(N_FEATURES)])
    work(job, old, rows.head(12_000))  # loads the engine and draws the clean clouds
    wall, cpu = time.perf_counter(), time.process_time()
    work(job, old, rows)
    return {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def told(found: Outcome) -> str:
    """A cell of the table."""
    if found.ending != "ok":
        return found.ending
    return f"{seconds(found.seconds)} ({seconds(found.facts['cpu'])} of CPU), {found.peak_mb:.0f} MB"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=int, nargs="+", default=NUMBERS, metavar="ROWS", help="numbers of rows")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each case (default 3)")
    asked = parser.parse_args()
    print(machine(PACKAGES) + "\n", flush=True)
    lines = []
    for n in asked.only:
        for job in JOBS:
            new, old = (measure("benchmarks.bench_company:case", {"job": job, "old": old, "n": n}, asked.repeat)
                        for old in (False, True))
            ratios = [new.seconds / old.seconds, new.facts.get("cpu", np.nan) / old.facts.get("cpu", np.nan)]
            lines.append([f"{n:,}", job, told(new), told(old), f"{ratios[0]:.2f} ({ratios[1]:.2f})"])
            print(lines[-1], flush=True)
    print("\n" + table(["rows x 13", "job", 'min_samples "auto"', "min_samples 5", "ratio (of CPU)"], lines))


if __name__ == "__main__":
    main()
