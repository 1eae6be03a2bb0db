"""Many files: soundings per second for one and two workers, what the engine takes, and memory over a long run.

Run from the project's root: `python -m benchmarks.bench_scale` (minutes; needs Dask), `--year` for 365 daily files of
14,000 soundings each (more than 5 million; about an hour). Prints markdown tables with machine and versions.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from benchmarks.harness import machine, measure, table
from oco2_outliers.scale import combine, map_files
from oco2_outliers.soundings import simulate_granule, write_lite

PACKAGES = ("oco2_outliers", "dask", "distributed", "pyarrow", "pandas", "numba", "h5py")


def _one_day(job: tuple) -> int:
    folder, k, day, seconds = job
    granule = simulate_granule(k, n_seconds=seconds, center=(20.0, -90 + k % 180), date=day)[0]
    write_lite(granule, Path(folder) / f"oco2_{day}.nc4")
    return len(granule)


def generate(folder: str | Path, n_days: int, seconds: float = 680) -> int:
    """Daily Lite files, made on two cores; the number of soundings."""
    Path(folder).mkdir(parents=True, exist_ok=True)
    jobs = [(str(folder), k, str(day.date()), seconds)
            for k, day in enumerate(pd.date_range("2019-01-01", periods=n_days))]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        return sum(pool.map(_one_day, jobs, chunksize=4))


def run(folder: str, task: str, how: str, workers: int, settings: dict | None = None, scope: str = "orbit") -> dict:
    """One run after a warm-up on two files: seconds, and the share of the workers' time that no task took."""
    files = sorted(map(str, Path(folder).iterdir()))
    with tempfile.TemporaryDirectory() as place:
        original = {"preset": "original"} if task == "isolate" else {}
        asked = {"parameters": original | (settings or {}), "scope": scope}
        if how == "dask":
            from distributed import Client, LocalCluster

            with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as cluster, \
                    Client(cluster) as client:
                map_files(files[:4], task, client=client, out=f"{place}/warm", **asked)
                result = map_files(files, task, client=client, out=f"{place}/out", **asked)
        else:
            map_files(files[:4], task, jobs=workers, out=f"{place}/warm", **asked)
            result = map_files(files, task, jobs=workers, out=f"{place}/out", **asked)
        busy = result.manifest["seconds"].sum()
        started = time.perf_counter()
        combine(f"{place}/out")
        return {"seconds": result.seconds, "rows": result.rows, "failed": len(result.failures),
                "outside": 1 - busy / (workers * result.seconds), "combine": time.perf_counter() - started}


def memory(folder: str, n: int, task: str = "isolate", scale_over: str = "run") -> dict:
    """A run over the first n files in this process; the harness reads the peak."""
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as place:
        result = map_files(sorted(map(str, Path(folder).iterdir()))[:n], task, out=place, scale_over=scale_over,
                           parameters={"preset": "original"})
    return {"seconds": time.perf_counter() - started, "rows": result.rows}


def throughput(folder: str, repeat: int, tasks: list[str]) -> str:
    rows = []
    for task in tasks:
        for how, workers in (("this process", 1), ("processes", 2), ("dask", 1), ("dask", 2)):
            got = measure("benchmarks.bench_scale:run", {"folder": folder, "task": task, "how": how,
                                                         "workers": workers}, repeat, timeout=7200)
            if got.ending != "ok":
                rows.append([task, how, workers, got.ending, "", "", ""])
                continue
            rows.append([task, how, workers, f"{got.facts['rows']:,}", f"{got.seconds:.1f}",
                         f"{got.facts['rows'] / got.seconds:,.0f}", f"{got.facts['outside']:.1%}"])
    return table(["task", "who", "workers", "soundings", "seconds", "soundings/s", "outside the task"], rows)


def growth(folder: str, repeat: int) -> str:
    rows = []
    for n in (10, 300):
        got = measure("benchmarks.bench_scale:memory", {"folder": folder, "n": n}, repeat, timeout=7200)
        rows.append([n, f"{got.facts.get('rows', 0):,}", f"{got.peak_mb:.0f} MB", got.ending])
    return table(["files", "soundings", "peak memory", "ended"], rows)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=40, help="daily files of 14,000 soundings for the throughput")
    parser.add_argument("--year", action="store_true", help="365 of them")
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--peaks", action="store_true", help="the task peaks as well")
    parser.add_argument("--skip-memory", action="store_true")
    asked = parser.parse_args()
    print(machine(PACKAGES) + f" {os.cpu_count()} CPUs.\n", flush=True)
    with tempfile.TemporaryDirectory() as place:
        n = generate(f"{place}/days", 365 if asked.year else asked.days)
        print(f"{n:,} soundings in daily files. Isolation, preset original, scope orbit:\n", flush=True)
        print(throughput(f"{place}/days", asked.repeat, ["isolate", *(["peaks"] if asked.peaks else [])]), flush=True)
        if not asked.skip_memory:
            generate(f"{place}/short", 300, 90)
            print("\nPeak memory of the one process, with the first pass for the scale of the run:\n", flush=True)
            print(growth(f"{place}/short", asked.repeat))


if __name__ == "__main__":
    main()
