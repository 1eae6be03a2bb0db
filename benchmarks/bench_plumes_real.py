"""False alarms of the plume search on real, unfiltered tracks, and what it finds of generated plumes.

Run from the project's root: `python -m benchmarks.bench_plumes_real` (about ten minutes on one core). A mirrored track
(800 - xco2) turns dips into peaks, and no plume is a dip: what is found there is a false alarm. Prints a markdown table
with exact binomial intervals. Real files are looked for in `../shared/data`, or where `OCO2_SHARED_DATA` points.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
from scipy.stats import binomtest

from benchmarks.harness import machine, table
from oco2_outliers.peaks import find_peaks
from oco2_outliers.soundings import read_lite, simulate_granule
from oco2_outliers.soundings.sphere import sphere_distance

SHARED = Path(os.environ.get("OCO2_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
ALPHA = 0.05


def real_tables() -> Iterator[pd.DataFrame]:
    """The real Lite files, one after the other."""
    for file in sorted((SHARED / "soundings" / "lite_v10r_ohio").glob("*.nc4")):
        yield read_lite(file)


def mirrored(soundings: pd.DataFrame) -> pd.DataFrame:
    """The same soundings with dips for peaks."""
    return soundings.assign(xco2=800 - soundings["xco2"])


def orbits_of(tables: Iterator[pd.DataFrame], surrogates: int,
              change: Callable[[pd.DataFrame], pd.DataFrame] = lambda rows: rows) -> pd.DataFrame:
    """The rows of `orbits` of a search of each table, with `flagged`: whether its strongest place is believed."""
    found = []
    for rows in tables:
        search = find_peaks(change(rows), n_surrogates=surrogates, figures=False)
        found.append(search.orbits.assign(flagged=search.orbits["p_value"] <= ALPHA))
    return pd.concat(found, ignore_index=True)


def share(hit: int, n: int) -> str:
    """A share with its exact 95 % interval."""
    if not n:
        return "none searched"
    interval = binomtest(hit, n).proportion_ci(0.95, method="exact")
    return f"{hit} of {n} = {hit / n:.1%} ({interval.low:.1%} to {interval.high:.1%})"


def row_of(name: str, orbits: pd.DataFrame) -> list[str]:
    """A line of the table: how many orbits were searched and how many flagged."""
    p = orbits["p_value"].dropna()
    return [name, str(len(orbits)), share(int((p <= ALPHA).sum()), len(p)), f"{p.median():.2f}"]


def power(n: int, surrogates: int, delta: float = 2.0, sigma: float = 10.0, seconds: int = 260) -> str:
    """Share of generated plumes found."""
    hit = 0
    for k in range(n):
        rows, truth = simulate_granule(60_000 + k, seconds, delta=delta, sigma=sigma)
        plume, found = truth.attrs["plume"], find_peaks(rows, n_surrogates=surrogates).peaks
        apart = sphere_distance(found["latitude"].to_numpy(float), found["longitude"].to_numpy(float),
                                plume["latitude"], plume["longitude"])
        hit += bool((apart < 2 * sigma + 5).any())
    return share(hit, n)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--surrogates", type=int, default=200)
    parser.add_argument("--generated", type=int, default=200, help="plume-free orbits")
    parser.add_argument("--plumes", type=int, default=100, help="generated plumes")
    asked = parser.parse_args()
    started, lines = time.perf_counter(), []
    if (SHARED / "soundings").exists():
        lines.append(row_of("real, mirrored", orbits_of(real_tables(), asked.surrogates, mirrored)))
        print(*lines[-1], flush=True)
        lines.append(row_of("real", orbits_of(real_tables(), asked.surrogates)))
        print(*lines[-1], flush=True)
        rows = pd.read_csv(SHARED / "soundings" / "orbit11522_20160831_secunda.csv")
        print(f"Secunda: p = {find_peaks(rows, n_surrogates=asked.surrogates).orbits['p_value'][0]:.3g}", flush=True)
    for seconds, length in ((90, "610 km"), (260, "1,770 km")):
        free = (simulate_granule(50_000 + k, seconds, delta=0)[0] for k in range(asked.generated))
        lines.append(row_of(f"generated, no plume, {length}", orbits_of(free, asked.surrogates)))
        print(*lines[-1], flush=True)
    found = power(asked.plumes, asked.surrogates)
    print(machine(("numpy", "scipy", "numba", "pandas")) + "\n")
    print(table(["orbits", "number", "searched and p up to 0.05 (95 % interval)", "median p"], lines), "\n")
    print(f"Generated plumes of 2 ppm, sigma 10 km, on 1,770 km found: {found}; {time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
