"""Nearest rows in many columns: CPU seconds beside brute force, faiss, openTSNE's searches and the tree of few columns.

Run ``python -m benchmarks.bench_many_columns`` (``--list`` names the cases, ``--only`` picks some). Each contender runs
in a process of its own, with matrix products on one thread and `n_jobs` 1; what is counted are CPU seconds, so that
other work on the machine matters little. Compiling is done before, on tables of 6,000 rows. Large cases ask the brute
force for 1,000 rows, times what is missing. The tables are those of `simulate_embeddings`, or white noise. In the
case of memory the vectors are in a mapped file; what is told is the peak over what the process had before the search,
beside the size of the vectors in float32.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.harness import installed, machine, measure, seconds, spent, table

HERE = "benchmarks.bench_many_columns:"
PACKAGES = ["oco2_outliers", "numpy", "scipy", "scikit-learn", "numba", "faiss-cpu", "openTSNE", "pynndescent"]
WARM = 6000  # rows of the tables on which everything is compiled


# Data

def data(kind, n, d):
    """Generated embeddings, where asked for with 30 % of the rows equal, or nearly, to the first; or white noise."""
    from oco2_outliers.embeddings import simulate_embeddings

    rng = np.random.default_rng(0)
    if kind == "noise":
        return rng.normal(size=(n, d)).astype(np.float32)
    X = simulate_embeddings(0, n=n, d=d).X
    some = rng.random(n) < 0.3 * (kind != "embeddings")
    X[some] = X[0] + (1e-6 * rng.normal(size=(int(some.sum()), d)) if kind == "nearly" else 0.0)
    return X


# Contenders

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
    for warm in {kind, "noise"}:
        work(data(warm, WARM, d))
    X = data(kind, n, d)
    start = time.perf_counter()
    took, _ = spent(lambda: work(X))
    return {"seconds": took, "wall": time.perf_counter() - start}


def memory(kind, n, d, task):
    """The radii of vectors in a mapped file: how much memory the search takes over what was there, in vectors."""
    from oco2_outliers.dbscan import isolation_radius

    isolation_radius(data(kind, WARM, d), 5, n_jobs=1)
    with tempfile.TemporaryDirectory() as folder:
        np.save(f"{folder}/X.npy", data(kind, n, d))
        X = np.load(f"{folder}/X.npy", mmap_mode="r")
        before = _megabytes("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
        took, _ = spent(lambda: isolation_radius(X, 5, n_jobs=1))
        more = _megabytes("VmHWM") - before
    return {"seconds": took, "right": f"{more:.0f} MB more, of which the vectors, read from the file, are "
                                       f"{4 * n * d / 2**20:.0f}: {more / (4 * n * d / 2**20) - 1:.2f} times on top"}


def _megabytes(what):
    """A line of /proc/self/status, in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1]) / 1024


def _seven(kind, n, d):
    """Seven eps around the median radius."""
    from oco2_outliers.dbscan import isolation_radius

    radius = isolation_radius(data(kind, min(n, 5000), d), 5)
    return [float(e) for e in np.quantile(radius, [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.99])]


def tree(kind, n, d, task):
    """The tree of few columns, which served all tables before."""
    from oco2_outliers.isolation.searches import Engine

    Engine(data(kind, WARM, d).astype(np.float64), 5, 1).radii2(5)
    X = data(kind, n, d)
    took, _ = spent(lambda: Engine(X.astype(np.float64), 5, 1).radii2(5))
    return {"seconds": took}


def brute(kind, n, d, task):
    """scikit-learn's `kneighbors` with all pairs; above 20,000 rows for 1,000 of them."""
    from sklearn.neighbors import NearestNeighbors

    _one_thread()
    X, asked = data(kind, n, d), n if n <= 20_000 else 1000
    model = NearestNeighbors(n_neighbors=90 if task == "ninety" else 5, algorithm="brute").fit(X)
    took, _ = spent(lambda: model.kneighbors(X[:asked]))
    return {"seconds": took * n / asked}


def flat(kind, n, d, task):
    """faiss' `IndexFlatL2`, which compares all pairs in float32."""
    import faiss

    faiss.omp_set_num_threads(1)
    _one_thread()
    X, asked = data(kind, n, d), n if n <= 20_000 else 1000
    index = faiss.IndexFlatL2(d)
    index.add(X)
    took, _ = spent(lambda: index.search(X[:asked], 90 if task == "ninety" else 5))
    return {"seconds": took * n / asked}


def dbscan(kind, n, d, task):
    """scikit-learn's `DBSCAN` once, times seven."""
    from sklearn.cluster import DBSCAN

    _one_thread()
    X, eps = data(kind, n, d), _seven(kind, n, d)[3]
    took, _ = spent(lambda: DBSCAN(eps=eps * (1 + 1e-9), min_samples=5).fit(X))
    return {"seconds": took * 7}


def descent(kind, n, d, task):
    """pynndescent's index and its share of right core distances."""
    from pynndescent import NNDescent

    from oco2_outliers.dbscan import isolation_radius

    k = 90 if task == "ninety" else 5
    NNDescent(data(kind, WARM, d), n_neighbors=k, random_state=0, n_jobs=1)
    X = data(kind, n, d)
    took, index = spent(lambda: NNDescent(X, n_neighbors=k, random_state=0, n_jobs=1))
    _, away = index.neighbor_graph
    near = np.array(index.neighbor_graph[0])
    core = away[:, k - 1].astype(np.float64)
    theirs = np.minimum(core, np.maximum(core[near], away).min(axis=1))
    radius = isolation_radius(X, k)
    right = np.abs(theirs - radius) <= 1e-3 * radius
    oddest = radius >= np.quantile(radius, 0.99)
    told = f"{right.mean():.2%} of radii right, {right[oddest].mean():.2%} of the oddest 1 %"
    return {"seconds": took, "right": told}


def annoy(kind, n, d, task, **more):
    """The search that openTSNE takes by default: trees of Annoy, 50 unless told otherwise."""
    from openTSNE.nearest_neighbors import Annoy

    return _of_opentsne(Annoy, kind, n, d, more)


def annoy_12(kind, n, d, task):
    """The same with a quarter of the trees, which is quicker and less often right."""
    return annoy(kind, n, d, task, n_trees=12)


def descent_90(kind, n, d, task):
    """openTSNE's search by pynndescent."""
    from openTSNE.nearest_neighbors import NNDescent

    return _of_opentsne(NNDescent, kind, n, d, {})


def _of_opentsne(search, kind, n, d, more):
    """CPU seconds of one of openTSNE's searches for 90 neighbours, and how many of them are right."""
    from oco2_outliers.dbscan import nearest

    _one_thread()
    given = {"k": 90, "n_jobs": 1, "random_state": 0, "knn_kwargs": more or None}
    search(data(kind, WARM, d), **given).build()
    X = data(kind, n, d)
    took, (found, _) = spent(search(X, **given).build)
    far = nearest(X[:1000], X, k=91)[1][:, -1]  # itself counted
    right = [(np.linalg.norm(X[i] - X[found[i]].astype(np.float64), axis=1) <= far[i] * (1 + 1e-6)).mean()
             for i in range(1000)]
    return {"seconds": took, "right": f"{np.mean(right):.2%} of neighbours right"}


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
    "20k ninety": ("2.5x annoy", ("embeddings", 20_000, 768, "ninety"),
                   ["annoy", "annoy_12", "descent_90", "brute"]),
    "100k memory": ("at most 1.5 times on top", ("embeddings", 100_000, 768, "radius"), ["memory"]),
}
PEERS = {"tree": "numba", "brute": "scikit-learn", "dbscan": "scikit-learn", "flat": "faiss-cpu",
         "descent": "pynndescent", "annoy": "openTSNE", "annoy_12": "openTSNE",
         "descent_90": "openTSNE", "memory": "numba"}


def run(name, timeout):
    """All contenders of one case; rows of the table."""
    goal, (kind, n, d, task), peers = CASES[name]
    given = {"kind": kind, "n": n, "d": d, "task": task}
    if peers == ["memory"]:
        mine = measure(HERE + "memory", given, 1, timeout)
        yield [name, goal, "this package", seconds(mine.seconds), "", f"{mine.peak_mb:.0f} MB",
               mine.facts.get("right", mine.ending)]
        return
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
