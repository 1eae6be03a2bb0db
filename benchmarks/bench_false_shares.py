"""What share of clean data the threshold of `isolate` calls, by kind of data, from 100 to 1M rows, 1 to 30 features.

Run ``python -m benchmarks.bench_false_shares`` from the project's root (some 20 minutes on one core; ``--only`` picks
numbers of rows). No row of these tables is wrong, so all that is called is called falsely. Rows come to the robust
scale as in `isolate`; above 10,000 rows they are compared with drawn ones, other ones for each draw of the table.
Prints a markdown table: mean over draws, smallest and largest; and the 95 % intervals of the means (Student's t).
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pandas as pd
from scipy import stats

from benchmarks.harness import machine, table
from oco2_outliers.dbscan import feature_matrix, isolation_radius
from oco2_outliers.isolation.tails import tail_eps

DRAWS = {100: 40, 1_000: 10, 10_000: 5, 100_000: 5, 1_000_000: 5}
FEATURES = (1, 2, 5, 13, 30)
KINDS = ("normal", "uniform", "log-normal, sigma 0.5", "Student t, 5 degrees", "Student t, 3 degrees",
         "log-normal, sigma 1", "mixture")


def clean(kind: str, n: int, d: int, generator: np.random.Generator) -> np.ndarray:
    """Rows of which none is wrong; of a mixture, a tenth is a group of its own, three times as spread out."""
    if kind == "mixture":
        middle, group = generator.normal(size=(3, d)) * 4, generator.choice(3, n, p=[0.6, 0.3, 0.1])
        return middle[group] + generator.normal(size=(n, d)) * np.array([1, 0.5, 1.5])[group, None]
    if kind.startswith("log-normal"):
        return np.exp(float(kind.split()[-1]) * generator.standard_normal((n, d)))
    if kind.startswith("Student"):
        return generator.standard_t(int(kind.split()[2]), (n, d))
    return generator.standard_normal((n, d)) if kind == "normal" else generator.random((n, d))


def called(kind: str, n: int, d: int, seed: int) -> float:
    """Percent of the rows of one draw that lie beyond the threshold."""
    rows = pd.DataFrame(clean(kind, n, d, np.random.default_rng([seed, n, d])), columns=[f"f{k}" for k in range(d)])
    radius = isolation_radius(feature_matrix(rows, scale="robust").X, "auto", n_jobs=1, random_state=seed)
    return 100 * float(np.mean(radius > tail_eps(radius, d).eps))


def interval(shares: np.ndarray) -> tuple[float, float]:
    """95 % interval of the mean; never below 0."""
    half = stats.t.ppf(0.975, len(shares) - 1) * shares.std(ddof=1) / np.sqrt(len(shares))
    return max(0.0, shares.mean() - half), shares.mean() + half


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=int, nargs="+", default=list(DRAWS), metavar="ROWS", help="numbers of rows")
    parser.add_argument("--features", type=int, nargs="+", default=FEATURES, metavar="N", help="numbers of features")
    asked, started = parser.parse_args(), time.perf_counter()
    ranges, intervals = [], []
    for kind in KINDS:
        for n in asked.only:
            found = [np.array([called(kind, n, d, seed) for seed in range(DRAWS.get(n, 5))]) for d in asked.features]
            ranges.append([kind, f"{n:,}", *(f"{x.mean():.1f} ({x.min():.1f} to {x.max():.1f})" for x in found)])
            intervals.append([kind, f"{n:,}", *("{:.2f} to {:.2f}".format(*interval(x)) for x in found)])
            print(f"{time.perf_counter() - started:.0f} s", ranges[-1], intervals[-1], flush=True)
    heads = ["table", "rows", *(f"{d} feature{'s' if d > 1 else ''}" for d in asked.features)]
    print(machine(("numpy", "scikit-learn", "numba")) + f" {time.perf_counter() - started:.0f} s.\n")
    print(table(heads, ranges) + "\n\n" + table(heads, intervals))


if __name__ == "__main__":
    main()
