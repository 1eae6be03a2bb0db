"""Embeddings: a map by t-SNE beside Clay's recipe, and what reading, keeping and judging many files costs.

Run ``python -m benchmarks.bench_embeddings`` (``--only map cache files`` picks some). Each case runs in a process of
its own, with matrix products on one thread and `n_jobs` 1. Seconds are those of the CPU. The files are written before
by another process, as Clay writes them, of generated tiles of 768 numbers: 60,000 in six files, or 300,000 in thirty
(2 GB of room in the folder for temporary files).
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.harness import machine, measure, seconds, spent, table

HERE = "benchmarks.bench_embeddings:"
PACKAGES = ["oco2_outliers", "numpy", "pyarrow", "numba", "openTSNE"]
A_FILE = 10_000


def write_files(folder, files):
    """Write files of generated tiles."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from oco2_outliers.embeddings import simulate_embeddings

    for i in range(files):
        e = simulate_embeddings(i, n=A_FILE)
        X = pa.ListArray.from_arrays(np.arange(0, e.X.size + 1, e.X.shape[1], dtype=np.int32), e.X.ravel())
        pq.write_table(pa.table({"source_url": [f"s3://tiles/{name}_{i}.tif" for name in e.table["id"]],
                                 "date": e.table["time"].dt.date, "geometry": e.geometry, "embeddings": X}),
                       Path(folder, f"31TCJ_20220610_20220610_v{i:03d}.gpq"))
    return {"seconds": 0.0}


def plane(method, n):
    """The map of n tiles, and the share of ten nearest tiles that it keeps."""
    from threadpoolctl import threadpool_limits

    from oco2_outliers.embeddings import layout, layout_quality, simulate_embeddings

    threadpool_limits(1)
    layout(simulate_embeddings(1, n=2500), method)
    e = simulate_embeddings(0, n=n)
    took, made = spent(lambda: layout(e, method))
    return {"seconds": took, "kept": float(layout_quality(e, made).loc["map", "kept"])}


def read(folder, cache):
    """Read all files, or keep them; the peak over what the process had before."""
    from oco2_outliers.embeddings import read_embeddings

    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    took, e = spent(lambda: read_embeddings(folder, cache=cache))
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return {"seconds": took, "told": f"{len(e):,} tiles, {more:.0f} MB over the imports, "
                                      f"{seconds(time.perf_counter() - start)} wall"}


def judge(folder, cache):
    """Read all files into a cache, and find the strays among them."""
    from oco2_outliers.embeddings import isolate_embeddings, read_embeddings

    start = time.perf_counter()
    took, e = spent(lambda: read_embeddings(folder, cache=cache))
    more, found = spent(lambda: isolate_embeddings(e, n_jobs=1))
    told = (f"{seconds(took)} to read {len(e):,} tiles, {seconds(more)} to judge them ({len(found.strays):,} strays), "
            f"{seconds(time.perf_counter() - start)} wall")
    return {"seconds": took + more, "told": told}


# The table

def of_maps(timeout):
    """t-SNE beside Clay's recipe."""
    made = {method: measure(HERE + "plane", {"method": method, "n": 5000}, 1, timeout) for method in ("tsne", "clay")}
    for method, one in made.items():
        kept = one.facts.get("kept", float("nan"))
        yield ["map of 5,000", "0.6 of the CPU of clay, 2x its kept neighbours" if method == "tsne" else "", method,
               seconds(one.seconds), f"{one.peak_mb:.0f} MB", f"{kept:.3f} of ten nearest kept" if kept == kept
               else one.ending]
    tsne, clay = made["tsne"], made["clay"]
    if "kept" in tsne.facts and "kept" in clay.facts:
        yield ["map of 5,000", "", "tsne / clay", f"{tsne.seconds / clay.seconds:.2f}", "",
               f"{tsne.facts['kept'] / clay.facts['kept']:.2f}"]


def of_files(name, files, goal, work, timeout):
    """Read files, without a cache or with one, or judge their tiles."""
    with tempfile.TemporaryDirectory() as folder:
        (written := Path(folder, "in")).mkdir()
        made = measure(HERE + "write_files", {"folder": str(written), "files": files}, 1, timeout)
        for label, function, cache in work:
            given = {"folder": str(written), "cache": cache and str(Path(folder, label.replace(" ", "_")))}
            one = measure(HERE + function, given, 1, timeout) if made.ending == "ok" else made
            yield [name, goal, label, seconds(one.seconds), f"{one.peak_mb:.0f} MB", one.facts.get("told", one.ending)]


CASES = {
    "map": of_maps,
    "cache": lambda timeout: of_files("60,000 in 6 files", 6, "0.6 GB",
                                      [("read", "read", None), ("kept", "read", True)], timeout),
    "files": lambda timeout: of_files("300,000 in 30 files", 30, "8 GB",
                                      [("read", "read", None), ("kept and judged", "judge", True)], timeout),
}


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=CASES, help="cases to run")
    parser.add_argument("--timeout", type=float, default=1800, help="seconds until a run is stopped (default 1800)")
    given = parser.parse_args()
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    print(machine(PACKAGES), flush=True)
    rows = []
    for name in given.only or CASES:
        for row in CASES[name](given.timeout):
            print(" | ".join(map(str, row)), file=sys.stderr, flush=True)
            rows.append(row)
    print(table(["case", "goal", "what", "CPU seconds", "peak", "told"], rows))


if __name__ == "__main__":
    main()
