"""DBSCAN at seven eps, and silhouettes, beside scikit-learn, hdbscan, fast_hdbscan, PyPI `dbscan` and PyOD.

Run ``python -m benchmarks.bench_dbscan`` on an otherwise idle machine (``--list`` names the cases, ``--only`` picks
some); the peers come with ``pip install -e ".[bench]"``. Labels are compared row for row; rows that differ are
counted.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.harness import installed, machine, measure, seconds, table

SEVEN = [0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1]
PACKAGES = ["oco2_outliers", "numpy", "scipy", "scikit-learn", "numba", "hdbscan", "fast_hdbscan", "dbscan", "pyod"]


# Data

def oco_like(n, d=13, seed=0):
    """Rows with the correlations of a Lite file: five slow states along the track, instrument noise, skewed aerosols,
    and 0.3 % of rows with one feature wrong."""
    rng = np.random.default_rng(seed)
    t = np.arange(n)
    states = []
    for period in (400, 900, 150, 2500, 60):
        knots = max(4, n // period + 3)
        states.append(np.interp(t / period, np.arange(knots), rng.normal(size=knots)))
    mix = rng.normal(size=(5, 13)) * np.array([1, 1, 0.7, 1, 0.5])[:, None]
    rows = np.column_stack(states) @ mix + rng.normal(size=(n, 13)) * rng.uniform(0.05, 0.35, 13)
    rows[:, 9], rows[:, 10] = np.exp(0.6 * rows[:, 9]), np.exp(0.4 * rows[:, 10])
    odd = np.flatnonzero(rng.random(n) < 0.003)
    rows[odd, rng.integers(0, 13, len(odd))] += rng.normal(0, 6, len(odd))
    rows = rows[:, :d]
    return (rows - rows.mean(0)) / rows.std(0)


def blobs(n, d, seed=0):
    """Twenty round clusters, and one row in a hundred anywhere."""
    rng = np.random.default_rng(seed)
    rows = rng.uniform(-10, 10, (20, d))[rng.integers(0, 20, n)] + rng.normal(size=(n, d))
    stray = rng.random(n) < 0.01
    rows[stray] = rng.uniform(-12, 12, (int(stray.sum()), d))
    return rows


def dense(n, d, seed=0):
    """Twenty clusters so tight that each row has n / 20 rows within eps."""
    return blobs(n, d, seed) * 0.02


def data(kind, n, d):
    """One of the tables above."""
    return {"oco": oco_like, "blobs": blobs, "dense": dense}[kind](n, d)


# Contenders: each makes its data, times its work, and may leave its labels in a file

def ours(kind, n, d, eps, silhouette, warm=0, save=None):
    """`sweep` of this package."""
    from oco2_outliers.dbscan import sweep

    X = data(kind, n, d)
    if n > 4000 or warm:  # warm: an earlier table has loaded the engine; compiling is timed apart
        sweep(oco_like(4500, d), eps=eps, silhouette=silhouette)
    return _timed(lambda: _ours(sweep, X, eps, silhouette), warm, save)


def _ours(sweep, X, eps, silhouette):
    result = sweep(X, eps=eps, min_samples=[5], silhouette=silhouette, max_rows=None)
    return result._labels, list(result.table["silhouette"])


def sklearn(kind, n, d, eps, silhouette, warm=0, save=None, n_jobs=None):
    """scikit-learn's DBSCAN in a loop."""
    from sklearn.cluster import DBSCAN
    from sklearn.metrics import silhouette_score

    X = data(kind, n, d)

    def work():
        labels = [DBSCAN(eps=e, min_samples=5, algorithm="kd_tree", n_jobs=n_jobs).fit(X).labels_ for e in eps]
        scores = [silhouette_score(X, each) if len(set(each)) > 1 else float("nan") for each in labels if silhouette]
        return labels, scores

    return _timed(work, warm, save)


def sklearn_one_eps(kind, n, d, eps, silhouette=False, warm=0, save=None, n_jobs=None):
    """scikit-learn's DBSCAN at the middle eps in full, times their number."""
    done = sklearn(kind, n, d, [eps[len(eps) // 2]], False, save=save, n_jobs=n_jobs)
    return {"seconds": done["seconds"] * len(eps)}


def sklearn_silhouettes(kind, n, d, eps):
    """scikit-learn's silhouette, once per eps and in full. Its cost hardly depends on the labels."""
    from sklearn.metrics import silhouette_score

    X, labels = data(kind, n, d), np.arange(n) % 5
    start = time.perf_counter()
    for _ in eps:
        silhouette_score(X, labels)
    return {"seconds": time.perf_counter() - start}


def ours_silhouettes(kind, n, d, eps):
    """This package's silhouettes alone, of the seven labelings of a sweep, every pair of rows."""
    from oco2_outliers.dbscan import silhouettes, sweep

    X = data(kind, n, d)
    labels = sweep(X, eps=eps, silhouette=False)._labels
    silhouettes(X[:4500], [each[:4500] for each in labels])
    start = time.perf_counter()
    silhouettes(X, labels, max_rows=None)
    return {"seconds": time.perf_counter() - start}


def sklearn_share(kind, n, d, eps, queried=500, n_jobs=None):
    """scikit-learn's radius queries for some of the rows, scaled up: a lower bound of its DBSCAN."""
    from sklearn.neighbors import NearestNeighbors

    X = data(kind, n, d)
    rows = X[np.random.default_rng(0).choice(n, queried, replace=False)]
    start = time.perf_counter()
    search = NearestNeighbors(algorithm="kd_tree", n_jobs=n_jobs).fit(X)
    built = time.perf_counter() - start
    start = time.perf_counter()
    for e in eps:
        search.radius_neighbors(rows, e, return_distance=False)
    return {"seconds": built * len(eps) + (time.perf_counter() - start) * n / queried}


def hdbscan_tree(kind, n, d, eps, silhouette=False, warm=0, save=None):
    """hdbscan: one tree, cut at every eps (its cut leaves border rows out)."""
    import hdbscan

    X = data(kind, n, d)

    def work():
        model = hdbscan.HDBSCAN(min_samples=4, min_cluster_size=5, gen_min_span_tree=True, core_dist_n_jobs=-1).fit(X)
        return [model.dbscan_clustering(e, min_cluster_size=5) for e in eps], []

    return _timed(work, warm, save)


def fast_hdbscan_tree(kind, n, d, eps, silhouette=False, warm=0, save=None):
    """fast_hdbscan: one fit; its own clustering, not DBSCAN's."""
    import fast_hdbscan

    X = data(kind, n, d)
    fast_hdbscan.HDBSCAN(min_samples=5).fit(X[:2000])  # compile
    return _timed(lambda: ([fast_hdbscan.HDBSCAN(min_samples=5).fit(X).labels_], []), warm, None)


def pypi_dbscan(kind, n, d, eps, silhouette=False, warm=0, save=None):
    """PyPI `dbscan` in a loop."""
    import dbscan

    X = data(kind, n, d)
    return _timed(lambda: ([dbscan.DBSCAN(X, eps=e, min_samples=5)[0] for e in eps], []), warm, save)


def pyod_knn(kind, n, d, eps, silhouette=False, warm=0, save=None):
    """PyOD has no DBSCAN; its k-nearest-neighbour detector gives the core distance as a score."""
    from pyod.models.knn import KNN

    X = data(kind, n, d)
    return _timed(lambda: ([KNN(n_neighbors=4, n_jobs=-1).fit(X).labels_], []), warm, None)


def first_compile():
    """Compile the engine from nothing, and once more from the files left on disk."""
    import os
    import subprocess

    code = ("import time, numpy as np; from oco2_outliers.dbscan import sweep, IsolatedSoundings\n"
            "X = np.random.default_rng(0).normal(size=(4500, 3)); t = time.perf_counter(); sweep(X)\n"
            "m = IsolatedSoundings().fit(X); m.explain(X[:5]); print(time.perf_counter() - t)")
    with tempfile.TemporaryDirectory() as folder:
        spent = [float(subprocess.run([sys.executable, "-c", code], env={**os.environ, "NUMBA_CACHE_DIR": folder},
                                      capture_output=True, text=True, check=True).stdout) for _ in range(2)]
    return {"seconds": spent[0], "again": spent[1]}


def _timed(work, warm, save):
    """The first call, or with `warm` the median of so many calls after it."""
    spent = []
    for _ in range(warm + 1):
        start = time.perf_counter()
        labels, _ = work()
        spent.append(time.perf_counter() - start)
    if save:
        np.save(save, np.array(labels, dtype=np.int32))
    digest = hashlib.sha256(np.array(labels, dtype=np.int64).tobytes()).hexdigest()
    return {"seconds": float(np.median(spent[1:] if warm else spent)), "digest": digest}


# The table

HERE = "benchmarks.bench_dbscan:"
CASES = {  # name: (goal, data, options, peers)
    "552 warm": ("25x", ("oco", 552, 13), {"eps": [1.1 + 0.2 * i for i in range(7)], "silhouette": True, "warm": 9},
                 ["sklearn"]),
    "552 cold": ("12x", ("oco", 552, 13), {"eps": [1.1 + 0.2 * i for i in range(7)], "silhouette": True}, ["sklearn"]),
    "10k labels": ("25x", ("oco", 10_000, 13), {"eps": SEVEN, "silhouette": False},
                   ["sklearn", "sklearn -1", "hdbscan", "fast_hdbscan", "dbscan", "pyod"]),
    "10k silhouettes": ("60x", ("oco", 10_000, 13), {"eps": SEVEN}, ["sklearn silhouettes"]),
    "100k labels": ("400x", ("oco", 100_000, 13), {"eps": SEVEN, "silhouette": False},
                    ["sklearn share", "sklearn share -1", "sklearn one eps", "sklearn one eps -1", "sklearn -1",
                     "fast_hdbscan", "dbscan", "pyod"]),
    "100k silhouettes": ("120x", ("oco", 100_000, 13), {"eps": SEVEN}, ["sklearn silhouettes"]),
    "1M labels": ("250x, < 1 GB", ("oco", 1_000_000, 13), {"eps": SEVEN, "silhouette": False},
                  ["sklearn share", "sklearn share -1"]),
    "10M labels": ("finishes, < 6 GB", ("oco", 10_000_000, 13), {"eps": SEVEN, "silhouette": False}, []),
    "1M dense": ("finishes, < 1 GB", ("dense", 1_000_000, 13), {"eps": [0.3], "silhouette": False}, ["sklearn"]),
    "100k blobs 2": ("1.2x of dbscan", ("blobs", 100_000, 2), {"eps": [0.1], "silhouette": False},
                     ["dbscan", "sklearn"]),
    "1M blobs 2": ("1.2x of dbscan", ("blobs", 1_000_000, 2), {"eps": [0.03], "silhouette": False}, ["dbscan"]),
    "100k blobs 3": ("", ("blobs", 100_000, 3), {"eps": [0.3], "silhouette": False}, ["dbscan", "sklearn"]),
    "100k blobs 5": ("", ("blobs", 100_000, 5), {"eps": [0.8], "silhouette": False}, ["dbscan", "sklearn"]),
}
PEERS = {"sklearn": ("sklearn", "scikit-learn", {}), "sklearn -1": ("sklearn", "scikit-learn", {"n_jobs": -1}),
         "sklearn silhouettes": ("sklearn_silhouettes", "scikit-learn", {}),
         "sklearn share": ("sklearn_share", "scikit-learn", {}),
         "sklearn share -1": ("sklearn_share", "scikit-learn", {"n_jobs": -1}),
         "sklearn one eps": ("sklearn_one_eps", "scikit-learn", {}),
         "sklearn one eps -1": ("sklearn_one_eps", "scikit-learn", {"n_jobs": -1}),
         "hdbscan": ("hdbscan_tree", "hdbscan", {}), "fast_hdbscan": ("fast_hdbscan_tree", "fast_hdbscan", {}),
         "dbscan": ("pypi_dbscan", "dbscan", {}), "pyod": ("pyod_knn", "pyod", {})}
TIMED_ALONE = {"sklearn silhouettes": {}, "sklearn share": {}, "sklearn share -1": {"n_jobs": -1}}


def named(peer):
    """A peer as the table names it: scikit-learn searches on one core unless `n_jobs` asks for more."""
    if not peer.startswith("sklearn") or peer == "sklearn silhouettes":
        return peer
    return f"{peer.removesuffix(' -1')}, {'all cores' if peer.endswith(' -1') else 'one core'}"


def run(name, repeat, timeout, folder):
    """All contenders of one case; rows of the table."""
    goal, (kind, n, d), options, peers = CASES[name]
    arguments = {"kind": kind, "n": n, "d": d, **options}
    silent = "silhouettes" in name
    memory = 4 if kind == "dense" else None  # GB of address space: who needs more should die soon, not fill the machine
    limited = f", limit {memory} GB" if memory else ""
    mine = Path(folder, "ours.npy")
    mode, more = ("ours_silhouettes", {}) if silent else ("ours", {"save": str(mine)})
    done = measure(HERE + mode, arguments | more, 1 if n > 1_000_000 else repeat, timeout, memory)
    yield [name, goal, "this package", seconds(done.seconds), "", f"{done.peak_mb:.0f} MB", done.ending + limited, ""]
    for peer in peers:
        function, package, more = PEERS[peer]
        if not installed(package):
            yield [name, "", named(peer), "", "", "", "not installed", ""]
            continue
        theirs = Path(folder, "theirs.npy")
        theirs.unlink(missing_ok=True)
        given = dict(arguments) | more
        if peer in TIMED_ALONE:
            given = {key: given[key] for key in ("kind", "n", "d", "eps")} | TIMED_ALONE[peer]
        else:
            given["save"] = str(theirs)
        other = measure(HERE + function, given, 1 if n >= 100_000 or peer == "sklearn silhouettes" else repeat, timeout,
                        memory)
        stopped = other.ending.startswith("stopped")
        ratio = (timeout if stopped else other.seconds) / done.seconds
        least = "at least " if stopped or peer.startswith("sklearn share") else ""
        yield [name, "", named(peer), seconds(other.seconds), f"{least}{ratio:.1f}x" if ratio == ratio else "",
               f"{other.peak_mb:.0f} MB", other.ending + limited, _differences(mine, theirs)]


def _differences(mine, theirs):
    """Rows whose clusters differ, over all eps run; after renumbering where the numbers alone differ."""
    if not (mine.exists() and theirs.exists()):
        return ""
    a, b = np.load(mine), np.load(theirs)
    if len(b) == 1:  # the middle eps alone
        a = a[len(a) // 2 : len(a) // 2 + 1]
    if a.shape != b.shape:
        return ""
    if (a == b).all():
        return "identical"
    return f"{int(sum(_different_rows(x, y) for x, y in zip(a, b)))} rows differ"


def _different_rows(x, y):
    noise = ((x < 0) != (y < 0)).sum()
    both = (x >= 0) & (y >= 0)
    if not both.any():
        return noise
    # Each cluster of x is matched with the cluster of y that holds most of its rows.
    pairs, counts = np.unique(np.column_stack([x[both], y[both]]), axis=0, return_counts=True)
    most = np.zeros(pairs[:, 0].max() + 1, int)
    np.maximum.at(most, pairs[:, 0], counts)
    return noise + both.sum() - most.sum()


def main():
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="CASE", help="cases to run")
    parser.add_argument("--list", action="store_true", help="name the cases")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each contender (default 3)")
    parser.add_argument("--timeout", type=float, default=900, help="seconds until a run is stopped (default 900)")
    given = parser.parse_args()
    if given.list:
        print("\n".join(CASES))
        return
    print(machine(PACKAGES), flush=True)
    compiled = measure(HERE + "first_compile", {}, 1)
    again = compiled.facts.get("again", float("nan"))
    print(f"Compiling the engine: {seconds(compiled.seconds)} once, {seconds(again)} from disk later.\n", flush=True)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in given.only or CASES:
            for row in run(name, given.repeat, given.timeout, folder):
                print(" | ".join(map(str, row)), file=sys.stderr, flush=True)
                rows.append(row)
    print(table(["case", "goal", "contender", "time", "this package is", "peak", "end", "labels"], rows))


if __name__ == "__main__":
    main()
