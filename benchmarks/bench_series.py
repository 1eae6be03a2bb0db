"""Windows of a series beside stumpy: seconds and memory of a whole series, and microseconds of one reading.

Run ``python -m benchmarks.bench_series`` (``--list`` names the cases, ``--only`` picks some). stumpy is compared where
it is installed (``pip install stumpy``). Each contender runs in a process of its own on as many threads; what is
compiled is compiled before, on a short series. The series is a day of 288 readings that comes back, with noise and
an event; both compare shapes, k = 1, and leave out windows that overlap.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.harness import installed, machine, measure, seconds, table

HERE = "benchmarks.bench_series:"
PACKAGES = ["oco2_outliers", "numpy", "numba", "stumpy"]


# Data

def readings(n, kind="days"):
    """A day that comes back, or a random walk, on which nothing does."""
    rng = np.random.default_rng(0)
    if kind == "walk":
        return np.cumsum(rng.normal(size=n))
    values = 10 + np.sin(2 * np.pi * np.arange(n) / 288) + 0.2 * rng.normal(size=n)
    values[n // 2 : n // 2 + 144] *= 1.2
    return values


# Contenders

def _timed(work, **facts):
    """Wall and CPU seconds of the whole process."""
    wall, spent = time.perf_counter(), time.process_time()
    answer = work()
    return {"seconds": time.process_time() - spent, "wall": time.perf_counter() - wall, **facts}, answer


def ours(n, window, threads, kind="days", k=1, normalise=True, what="distances", out=None):
    """`window_distances` or `window_radii` of this package."""
    from oco2_outliers.series.reaching import window_radii
    from oco2_outliers.series.recurrence import window_distances

    if what == "radii":
        def work(values):
            return window_radii(values, window, k, normalise, n_jobs=threads)
    else:
        def work(values):
            return window_distances(values, window, k, normalise, n_jobs=threads, progress=False)[0]
    work(readings(7_000, kind))
    values = readings(n, kind)
    facts, answer = _timed(lambda: work(values))
    if out:
        np.save(out, answer)
    return facts


def stump(n, window, threads, kind="days", out=None):
    """`stumpy.stump` with an exclusion zone of one window."""
    import numba
    import stumpy

    numba.set_num_threads(threads)
    stumpy.config.STUMPY_EXCL_ZONE_DENOM = window / (window - 1)
    stumpy.stump(readings(2_000, kind), window)
    values = readings(n, kind)
    facts, answer = _timed(lambda: stumpy.stump(values, window))
    if out:
        np.save(out, answer[:, 0].astype(float))
    return facts


def _pushed(push, later):
    """The median of CPU seconds and wall for one reading."""
    spent, wall = [], []
    for value in later:
        facts, _ = _timed(lambda value=value: push(value))
        spent.append(facts["seconds"])
        wall.append(facts["wall"])
    return {"seconds": float(np.median(spent)), "wall": float(np.median(wall))}


def stream(n, window, normalise=True):
    """`WindowStream.push` after n windows."""
    from oco2_outliers.series.arrivals import WindowStream

    values = readings(n + window - 1 + 300)
    growing = WindowStream(window, 1, normalise)
    growing.extend(values[:-300])
    return _pushed(growing.push, values[-300:])


def stumpi(n, window, egress=False):
    """`stumpy.stumpi` after n windows; with `egress` it forgets the oldest."""
    import numba
    import stumpy

    numba.set_num_threads(1)
    values = readings(n + window - 1 + 300)
    growing = stumpy.stumpi(values[:-300], window, egress=egress)
    growing.update(values[-300])
    return _pushed(growing.update, values[-299:])


# The table

BIG = {"window": 288, "threads": 2}
CASES = {  # name: (what ours does, its arguments, the peer, its arguments)
    "20k": ("ours", {"n": 20_000} | BIG, "stump", {"n": 20_000} | BIG),
    "20k, one thread": ("ours", {"n": 20_000} | BIG | {"threads": 1}, "stump", {"n": 20_000} | BIG | {"threads": 1}),
    "20k walk": ("ours", {"n": 20_000, "kind": "walk"} | BIG, "stump", {"n": 20_000, "kind": "walk"} | BIG),
    "100k": ("ours", {"n": 100_000} | BIG, "stump", {"n": 100_000} | BIG),
    "20k, window 24": ("ours", {"n": 20_000} | BIG | {"window": 24}, None, {}),
    "20k, window 2000": ("ours", {"n": 20_000} | BIG | {"window": 2_000}, None, {}),
    "20k, k = 5": ("ours", {"n": 20_000, "k": 5} | BIG, None, {}),
    "20k, k = 5, raw": ("ours", {"n": 20_000, "k": 5, "normalise": False} | BIG, None, {}),
    "20k radii": ("ours", {"n": 20_000, "k": 5, "normalise": False, "what": "radii"} | BIG, None, {}),
    "one reading": ("stream", {"n": 20_000, "window": 288}, "stumpi", {"n": 20_000, "window": 288}),
    "one reading, egress": ("stream", {"n": 20_000, "window": 288}, "stumpi",
                            {"n": 20_000, "window": 288, "egress": True}),
}


def _row(name, who, outcome, told=""):
    """A row of the table."""
    wall = outcome.facts.get("wall", float("nan"))
    return [name, who, *(f"{each * 1e6:.0f} us" if "reading" in name else seconds(each)
                         for each in (outcome.seconds, wall)), f"{outcome.peak_mb:.0f} MB", told or outcome.ending]


def run(name, repeat, timeout):
    """Both contenders of one case; rows of the table."""
    mine, given, peer, others = CASES[name]
    with tempfile.TemporaryDirectory() as folder:
        files = [str(Path(folder, each)) for each in ("ours.npy", "theirs.npy")]
        compared = peer == "stump"
        own = measure(HERE + mine, given | ({"out": files[0]} if compared else {}), repeat, timeout)
        yield _row(name, "this package", own)
        if peer is None or not installed("stumpy"):
            return
        other = measure(HERE + peer, others | ({"out": files[1]} if compared else {}), repeat, timeout)
        told = f"{other.seconds / own.seconds:.1f} times the CPU seconds"
        if compared and other.ending == own.ending == "ok":
            told += f"; distances differ by {np.nanmax(np.abs(np.load(files[0]) - np.load(files[1]))):.0e} at most"
        yield _row(name, f"stumpy.{peer}", other, told)


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="CASE", choices=CASES, help="cases to run")
    parser.add_argument("--list", action="store_true", help="name the cases")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each, of which the median counts (default 3)")
    parser.add_argument("--timeout", type=float, default=900, help="seconds until a run is stopped (default 900)")
    given = parser.parse_args()
    if given.list:
        print("\n".join(CASES))
        return
    print(machine(PACKAGES), flush=True)
    rows = []
    for name in given.only or CASES:
        for row in run(name, given.repeat, given.timeout):
            print(json.dumps(row), file=sys.stderr, flush=True)
            rows.append(row)
    print(table(["case", "contender", "CPU", "wall", "peak", "end"], rows))


if __name__ == "__main__":
    main()
