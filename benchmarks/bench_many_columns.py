"""Nearest rows in many columns: CPU seconds beside scikit-learn's brute force, faiss and pynndescent, and today's tree.

Run ``python -m benchmarks.bench_many_columns`` (``--list`` names the cases, ``--only`` picks some). Each contender runs
in a process of its own, with matrix products on one thread and `n_jobs` 1; what is counted are CPU seconds, so that
other work on the machine matters little. Compiling is done before, on a small table. Large cases ask the brute force
for 1,000 rows, times what is missing.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

import numpy as np

from benchmarks.harness import installed, machine, measure, seconds, table

HERE = "benchmarks.bench_many_columns:"
PACKAGES = ["oco2_outliers", "numpy", "scipy", "scikit-learn", "numba", "faiss-cpu", "pynndescent"]


# Data

def embeddings(n, d, seed=0, equal=0.0, near=0.0):
    """Twenty clusters of intrinsic dimension 10, 2 % strays; a share of rows equal, or nearly, to one of them."""
    rng = np.random.default_rng(seed)
    cluster, stray = rng.integers(0, 20, n), rng.random(n) < 0.02
    shared = rng.normal(size=(64, d)) / np.sqrt(d) * (0.93 ** np.arange(64))[:, None]
    centres = rng.normal(size=(20, 24)) @ rng.normal(size=(24, d)) / np.sqrt(6 * d)
    X = np.empty((n, d), np.float32)
    for c in range(20):
        rows = np.flatnonzero(cluster == c)
        ways = rng.normal(size=(10, 64)) @ shared / 4
        X[rows] = centres[c] + (rng.normal(size=(len(rows), 10)) * 0.9 ** np.arange(10)) @ ways
    X += rng.normal(size=X.shape).astype(np.float32) * np.float32(0.05 / np.sqrt(d))
    X[stray] = rng.normal(size=(int(stray.sum()), d)) * 1.5 / np.sqrt(d)
    some = rng.random(n) < equal + near
    X[some] = X[0] + (1e-6 * rng.normal(size=(int(some.sum()), d)) if near else 0.0)
    return X


def data(kind, n, d):
    """One of the tables above, or white noise."""
    if kind == "noise":
        return np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)
    return embeddings(n, d, equal=0.3 * (kind == "equal"), near=0.3 * (kind == "nearly"))


# Contenders

def _spent(work):
    """CPU seconds of the whole process."""
    start = time.process_time()
    answer = work()
    return time.process_time() - start, answer


def _one_thread():
    """Matrix products on one thread, whoever asks for them."""
    from threadpoolctl import threadpool_limits

    threadpool_limits(1)


def ours(kind, n, d, task, jobs=1):
    """`isolation_radius`, `sweep` or `nearest` of this package."""
    from oco2_outliers.dbscan import isolation_radius, nearest, sweep

    work = {"radius": lambda X: isolation_radius(X, 5, n_jobs=jobs),
            "sweep": lambda X: sweep(X, _seven(kind, n, d), silhouette=False, n_jobs=jobs),
            "ninety": lambda X: nearest(X, k=90, n_jobs=jobs)}[task]
    work(data(kind, 2500, d))
    X = data(kind, n, d)
    start = time.perf_counter()
    spent, _ = _spent(lambda: work(X))
    return {"seconds": spent, "wall": time.perf_counter() - start}


def _seven(kind, n, d):
    """Seven eps around the median radius."""
    from oco2_outliers.dbscan import isolation_radius

    radius = isolation_radius(data(kind, min(n, 5000), d), 5)
    return [float(e) for e in np.quantile(radius, [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99])]


def tree(kind, n, d, task):
    """The tree of few columns, which served all tables before."""
    from oco2_outliers.isolation.searches import Engine

    Engine(data(kind, 2500, d).astype(np.float64), 5, 1)
    X = data(kind, n, d)
    spent, _ = _spent(lambda: Engine(X.astype(np.float64), 5, 1).radii2(5))
    return {"seconds": spent}


def brute(kind, n, d, task):
    """scikit-learn's `kneighbors` with all pairs; above 20,000 rows for 1,000 of them."""
    from sklearn.neighbors import NearestNeighbors

    _one_thread()
    X, asked = data(kind, n, d), n if n <= 20_000 else 1000
    model = NearestNeighbors(n_neighbors=90 if task == "ninety" else 5, algorithm="brute").fit(X)
    spent, _ = _spent(lambda: model.kneighbors(X[:asked]))
    return {"seconds": spent * n / asked}


def flat(kind, n, d, task):
    """faiss' `IndexFlatL2`, which compares all pairs in float32."""
    import faiss

    faiss.omp_set_num_threads(1)
    _one_thread()
    X, asked = data(kind, n, d), n if n <= 20_000 else 1000
    index = faiss.IndexFlatL2(d)
    index.add(X)
    spent, _ = _spent(lambda: index.search(X[:asked], 90 if task == "ninety" else 5))
    return {"seconds": spent * n / asked}


def dbscan(kind, n, d, task):
    """scikit-learn's `DBSCAN` once, times seven."""
    from sklearn.cluster import DBSCAN

    _one_thread()
    X, eps = data(kind, n, d), _seven(kind, n, d)[3]
    spent, _ = _spent(lambda: DBSCAN(eps=eps * (1 + 1e-9), min_samples=5).fit(X))
    return {"seconds": spent * 7}


def descent(kind, n, d, task):
    """pynndescent's index and its share of right core distances."""
    from pynndescent import NNDescent

    from oco2_outliers.dbscan import isolation_radius

    k = 90 if task == "ninety" else 5
    NNDescent(data(kind, 2500, d), n_neighbors=k, random_state=0, n_jobs=1)
    X = data(kind, n, d)
    spent, index = _spent(lambda: NNDescent(X, n_neighbors=k, random_state=0, n_jobs=1))
    _, away = index.neighbor_graph
    near = np.array(index.neighbor_graph[0])
    core = away[:, k - 1].astype(np.float64)
    theirs = np.minimum(core, np.maximum(core[near], away).min(axis=1))
    radius = isolation_radius(X, k)
    right = np.abs(theirs - radius) <= 1e-3 * radius
    oddest = radius >= np.quantile(radius, 0.99)
    told = f"{right.mean():.2%} of radii right, {right[oddest].mean():.2%} of the oddest 1 %"
    return {"seconds": spent, "right": told}


# The table

CASES = {  # name: (goal, arguments, peers)
    "20k radius": ("3x tree, 10x brute, 5x flat", ("embeddings", 20_000, 768, "radius"),
                   ["tree", "brute", "flat", "descent"]),
    "20k sweep": ("40x seven DBSCAN", ("embeddings", 20_000, 768, "sweep"), ["dbscan"]),
    "100k radius": ("40x brute", ("embeddings", 100_000, 768, "radius"), ["brute"]),
    "100k x 64 radius": ("14x brute, not slower than tree", ("embeddings", 100_000, 64, "radius"), ["tree", "brute"]),
    "20k noise": ("2x brute, 3x tree", ("noise", 20_000, 768, "radius"), ["tree", "brute"]),
    "20k equal": ("at most 3x '20k radius'", ("equal", 20_000, 768, "radius"), []),
    "20k nearly equal": ("at most 3x '20k radius'", ("nearly", 20_000, 768, "radius"), []),
    "20k ninety": ("", ("embeddings", 20_000, 768, "ninety"), ["brute", "descent"]),
}
PEERS = {"tree": "numba", "brute": "scikit-learn", "dbscan": "scikit-learn", "flat": "faiss-cpu",
         "descent": "pynndescent"}


def run(name, timeout):
    """All contenders of one case; rows of the table."""
    goal, (kind, n, d, task), peers = CASES[name]
    given = {"kind": kind, "n": n, "d": d, "task": task}
    mine = measure(HERE + "ours", given, 1, timeout)
    yield [name, goal, "this package", seconds(mine.seconds), "", f"{mine.peak_mb:.0f} MB", mine.ending]
    both = measure(HERE + "ours", given | {"jobs": 2}, 1, timeout)
    yield [name, "", "on two cores, wall", seconds(both.facts.get("wall", float("nan"))), "", "", both.ending]
    for peer in peers:
        if not installed(PEERS[peer]):
            yield [name, "", peer, "", "", "", "not installed"]
            continue
        other = measure(HERE + peer, given, 1, timeout)
        ratio = other.seconds / mine.seconds
        yield [name, "", peer, seconds(other.seconds), f"{ratio:.1f}x" if ratio == ratio else "",
               f"{other.peak_mb:.0f} MB", other.facts.get("right", other.ending)]


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="CASE", help="cases to run")
    parser.add_argument("--list", action="store_true", help="name the cases")
    parser.add_argument("--timeout", type=float, default=900, help="seconds until a run is stopped (default 900)")
    given = parser.parse_args()
    if given.list:
        print("\n".join(CASES))
        return
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    print(machine(PACKAGES), flush=True)
    rows = []
    for name in given.only or CASES:
        for row in run(name, given.timeout):
            print(" | ".join(map(str, row)), file=sys.stderr, flush=True)
            rows.append(row)
    print(table(["case", "goal", "contender", "CPU seconds", "this package is", "peak", "end"], rows))


if __name__ == "__main__":
    main()
