"""The search in many columns gives the bits of the definition, whatever the numbers, threads and processor."""

import os
import subprocess
import sys

import numpy as np
import pytest
from naive import clusters_by_definition
from sklearn.metrics.pairwise import cosine_distances

from oco2_outliers.dbscan import IsolatedSoundings, isolation_radius, nearest, sweep
from oco2_outliers.ground.errors import InputError
from oco2_outliers.isolation import blocks, joining
from oco2_outliers.isolation.blocks import terms_around as around
from oco2_outliers.isolation.copies import copies_of, worth_grouping
from oco2_outliers.isolation.many_columns import ManyColumns
from oco2_outliers.isolation.paths import forced_path
from oco2_outliers.isolation.squares import exact_root, in_metric


def embeddings(seed, n, d, k=6, strays=0.02):
    """Clusters of intrinsic dimension 10, strays, and copies."""
    rng = np.random.default_rng(seed)
    X = np.empty((n, d))
    for rows in np.array_split(np.arange(n), k):
        X[rows] = rng.normal(size=d) + rng.normal(size=(len(rows), 10)) @ rng.normal(size=(10, d)) * 0.3
    X += rng.normal(size=X.shape) * 0.05
    X[rng.random(n) < strays] *= 3
    copies = rng.choice(n, n // 20, replace=False)
    X[copies] = X[rng.choice(n, n // 20)]
    return X[rng.permutation(n)]


def special(name, rng):
    """Tables on which a search may stumble."""
    if name == "embeddings":
        return embeddings(1, 700, 96)
    if name == "noise":
        return rng.normal(size=(600, 40))
    if name == "lattice":
        return rng.integers(0, 2, (500, 33)).astype(float)
    if name == "one of each":
        return np.eye(300)
    if name == "lumps":  # two far apart, in each of which rows differ in the ninth digit
        return np.where(np.arange(600)[:, None] % 2, 1e6, 1.0) * rng.normal(size=50) + rng.normal(size=(600, 50)) * 1e-3
    if name == "equal":
        return np.repeat(rng.normal(size=(3, 64)), 150, axis=0)
    if name == "one far out":
        return np.vstack([rng.normal(size=(400, 45)), np.full((1, 45), 1e9)])
    return {"offset": 1e6, "tiny": 0.0, "large": 0.0}[name] + rng.normal(size=(400, 48)) * {
        "offset": 1.0, "tiny": 1e-100, "large": 1e100}[name]


def in_steps(X):
    """All squared distances by definition, row by row."""
    X = X.astype(np.float64)
    total = np.zeros((len(X), len(X)))
    for j in range(X.shape[1]):
        total += (X[:, None, j] - X[None, :, j]) ** 2
    return total


def agree(X, square, m, jobs):
    """The search says what all pairs say."""
    with forced_path("parallel" if jobs > 1 else "serial"):
        search = ManyColumns(X, m, jobs)
    core2 = np.sort(square, axis=1)[:, m - 1]
    radii2 = np.maximum(core2, square).min(axis=1)
    np.testing.assert_array_equal(search.core2(m), core2)
    np.testing.assert_array_equal(search.radii2(m), radii2)
    finite = exact_root(radii2)
    eps = [float(e) for e in np.unique(np.quantile(finite, (0.1, 0.5, 0.9, 1))) if e > 0]
    for radius, labels in zip(eps, search.labels(eps, m)):
        np.testing.assert_array_equal(labels, clusters_by_definition(square, radius, m))
    own = ManyColumns(X, m + 1, jobs).rows_near(m, True)
    apart = square.copy()
    np.fill_diagonal(apart, np.inf)
    expected = np.argsort(apart, axis=1, kind="stable")[:, :m]
    np.testing.assert_array_equal(own[0], expected)
    np.testing.assert_array_equal(own[1], np.take_along_axis(apart, expected, axis=1))


@pytest.mark.parametrize("name", ["embeddings", "noise", "lattice", "one of each", "lumps", "equal", "one far out",
                                  "offset", "tiny", "large"])
def test_all_pairs_say_the_same(name):
    X = special(name, np.random.default_rng(0))
    agree(X, in_steps(X), 4, 1 if len(X) % 200 else 2)


@pytest.mark.parametrize("m", [1, 2, 4])
def test_small_groups_of_equal_rows_are_not_grouped(m):
    """A row that has more copies than it lists may miss itself in its own list."""
    rng = np.random.default_rng(m)
    X = embeddings(10, 600, 40)
    X = X[np.sort(np.unique(X, axis=0, return_index=True)[1])]
    X = np.vstack([X, np.repeat(X[:6], 7, axis=0)])[rng.permutation(len(X) + 42)]
    assert len(worth_grouping(copies_of(X)).first) == len(X) > len(copies_of(X).first)
    agree(X, in_steps(X), m, 1)


@pytest.mark.parametrize("seed", range(3))
def test_heaps_of_near_copies_that_share_blocks_with_others(seed, monkeypatch):
    """Their rows are cast around the middle of the heap, also where the block of the heap itself is mixed."""
    rng = np.random.default_rng(seed)
    X = embeddings(seed, 800, 64)
    heap, other = np.split(rng.permutation(800)[:460], [330])
    X[heap] = X[heap[0]] + 1e-6 * rng.normal(size=(len(heap), 64))
    X[other] = X[other[0]] + 1e-9 * rng.normal(size=(len(other), 64))
    cast = []
    monkeypatch.setattr(blocks, "terms_around", lambda A, places, middle: cast.append(len(places)) or around(
        A, places, middle))
    agree(X, in_steps(X), 5, 1)
    assert len(cast) >= 2 and max(cast) < blocks.BLOCK
    agree(X.astype(np.float32), in_steps(X.astype(np.float32)), 3, 1)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_narrow_numbers_are_widened_not_rounded(dtype):
    X = embeddings(2, 600, 70).astype(dtype)
    wide = X.astype(np.float64)
    with forced_path("serial"):
        for metric in ("euclidean", "cosine"):
            for call, given in ((isolation_radius, {"min_samples": 5}), (nearest, {"k": 3})):
                np.testing.assert_array_equal(call(X, metric=metric, **given), call(wide, metric=metric, **given))
        for one, other in zip(sweep(X, [1.0, 2.0])._labels, sweep(wide, [1.0, 2.0])._labels):
            np.testing.assert_array_equal(one, other)


def test_cosine_is_euclidean_of_divided_rows():
    X = embeddings(3, 500, 60)
    divided = in_metric(X, "cosine")
    with forced_path("serial"):
        radii = isolation_radius(X, [1, 5, 9], metric="cosine")
        np.testing.assert_array_equal(radii, isolation_radius(divided, [1, 5, 9]))
        np.testing.assert_array_equal(nearest(X, k=6, metric="cosine"), nearest(divided, k=6))
        a, b = sweep(X, [0.2, 0.5], metric="cosine").table, sweep(divided, [0.2, 0.5]).table
    np.testing.assert_array_equal(a, b)
    X[[7, 30]] = 0
    for call in (isolation_radius, nearest, lambda X, metric: sweep(X, [0.2], metric=metric)):
        with pytest.raises(InputError, match="row 7 is all zeros"):
            call(X, metric="cosine")


def test_new_rows_of_many_columns():
    X = embeddings(4, 800, 90)
    fitted, new = X[:500], np.vstack([X[450:], np.full((1, 90), 1e30), np.full((1, 90), -1e8)])
    with forced_path("library"):
        plain = IsolatedSoundings(eps=2.0).fit(fitted)
        expected = plain.score_samples(new), plain.predict(new), plain.explain(new[:3])
    with forced_path("parallel"):
        model = IsolatedSoundings(eps=2.0).fit(fitted)
        found = model.score_samples(new), model.predict(new), model.explain(new[:3])
    np.testing.assert_array_equal(model.labels_, plain.labels_)
    for a, b in zip(found[:2], expected[:2]):
        np.testing.assert_array_equal(a, b)
    assert found[2].equals(expected[2])


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_few_new_rows_are_told_what_many_are(metric, dtype):
    """Up to 64 rows are compared with all others at once, more of them in blocks; copies and ties are among them."""
    X = embeddings(7, 700, 50).astype(dtype)
    X[::9] = np.round(X[::9])
    fitted, new = X[:550], np.vstack([X[480:], X[:3] * 2])
    with forced_path("serial"):
        many = nearest(new, fitted, k=7, metric=metric)
        for begin in range(0, len(new), 64):
            few = nearest(new[begin : begin + 64], fitted, k=7, metric=metric)
            for one, other in zip(few, many):
                np.testing.assert_array_equal(one, other[begin : begin + 64])
    with forced_path("library"):
        plain = nearest(new, fitted, k=7, metric=metric)
    for one, other in zip(many, plain):
        np.testing.assert_array_equal(one, other)


def test_clusters_that_images_do_not_tell_apart(monkeypatch):
    """Two clouds of white noise: all pairs of images are near, so that products of the rows have to say who is."""
    rng = np.random.default_rng(9)
    X = rng.normal(size=(600, 1000))
    X[::2, 0] += 22
    asked, products = [], joining._join_products
    monkeypatch.setattr(joining, "_join_products", lambda *given: asked.append(given[1:3]) or products(*given))
    square, search = in_steps(X), ManyColumns(X, 4)
    eps = [41.5, 43.0, 43.7, 45.2, 52.0]
    clusters = search.labels(eps, 4)
    for radius, labels in zip(eps, clusters):
        np.testing.assert_array_equal(labels, clusters_by_definition(square, radius, 4))
    assert asked and [labels.max() + 1 for labels in clusters[2:]] == [2, 2, 1]


def test_many_neighbours_and_few_rows():
    X = embeddings(5, 300, 40)
    square = in_steps(X)
    for m in (1, 90, 300):
        search = ManyColumns(X, m)
        np.testing.assert_array_equal(search.core2(m), np.sort(square, axis=1)[:, m - 1])
    index, distance = nearest(X[:2], k=1)
    assert index.tolist() == [[1], [0]] and (distance[:, 0] ** 2 == pytest.approx(square[0, 1]))


@pytest.mark.parametrize("k", [1, 30, 399])
def test_the_nearest_rows_among_copies_and_ties(k):
    """Rows of sixteen kinds, shuffled: groups at equal distance, whose rows lie between each other."""
    rng = np.random.default_rng(11)
    X = np.zeros((400, 40))
    X[:, :4] = rng.integers(0, 2, (400, 4))
    X[:40, 5] = rng.integers(0, 3, 40) / 4
    square = in_steps(X)
    np.fill_diagonal(square, np.inf)
    expected = np.argsort(square, axis=1, kind="stable")[:, :k]
    index, squares = ManyColumns(X, k + 1).rows_near(k, True)
    np.testing.assert_array_equal(index, expected)
    np.testing.assert_array_equal(squares, np.take_along_axis(square, expected, axis=1))
    with forced_path("serial"):
        again, _ = nearest(X[::7], X, k=k)  # itself counted
    np.fill_diagonal(square, 0.0)
    np.testing.assert_array_equal(again, np.argsort(square[::7], axis=1, kind="stable")[:, :k])


ELSEWHERE = """
import hashlib, sys
import numpy as np
from oco2_outliers.dbscan import isolation_radius, nearest
from oco2_outliers.isolation.paths import forced_path
X = np.load(sys.argv[1])
with forced_path("parallel"):
    answers = [isolation_radius(X, 5, n_jobs=2), *nearest(X, k=5, metric="cosine", n_jobs=2)]
print(hashlib.sha256(b"".join(answer.tobytes() for answer in answers)).hexdigest())
"""


@pytest.mark.slow
def test_another_processor_says_the_same(tmp_path):
    np.save(tmp_path / "X.npy", embeddings(6, 3000, 200).astype(np.float32))
    said = set()
    for core in ("Haswell", "Nehalem", "Prescott"):
        done = subprocess.run([sys.executable, "-c", ELSEWHERE, str(tmp_path / "X.npy")], capture_output=True,
                              text=True, check=True, env={**os.environ, "OPENBLAS_CORETYPE": core})
        said.add(done.stdout)
    assert len(said) == 1


@pytest.mark.slow
@pytest.mark.parametrize("d", [33, 64, 129, 768, 1024])
@pytest.mark.parametrize("jobs", [1, 2])
def test_all_pairs_say_the_same_at_length(d, jobs):
    for seed in range(3):
        X = embeddings(seed, 900, d)
        if seed == 1:
            X = np.round(X * 2) / 2 + 1e6
        X = X if seed == 0 else X.astype(np.float32)
        agree(X, in_steps(X), 5, jobs)


@pytest.mark.parametrize("path", ["numpy", "serial", "parallel", "library"])
def test_the_estimator_searches_cosines_exactly(path):
    rng = np.random.default_rng(8)
    for d in (3, 60):
        X = rng.normal(size=(150, d)) * 10.0 ** rng.integers(-2, 3, (150, 1))
        X[140:] = X[:10] * 4  # copies of a direction, to the bit
        far = rng.normal(size=(40, d)) * 1e-3
        expected = cosine_distances(np.vstack([X, far]), X)
        core = np.sort(expected[:150], axis=1)[:, 5]
        with forced_path(path):
            model = IsolatedSoundings(min_samples=6, metric="cosine").fit(X)
            for eps in (*np.quantile(model.radius_, [0.3, 0.7], method="higher"), 0.2):
                again = IsolatedSoundings(eps, 6, metric="cosine").fit(X)
                np.testing.assert_array_equal(again.labels_ == -1, eps < again.radius_)
                core_rows = np.flatnonzero(core <= eps * (1 + 1e-12))
                np.testing.assert_array_equal(again.core_sample_indices_, core_rows)
                np.testing.assert_array_equal(again.predict(far), np.where(-again.score_samples(far) > eps, -1, 1))
            radii = isolation_radius(X, 6, metric="cosine")
            np.testing.assert_array_equal(np.argsort(model.radius_, kind="stable"), np.argsort(radii, kind="stable"))
            np.testing.assert_allclose(model.radius_, radii**2 / 2, rtol=1e-14)
            np.testing.assert_allclose(model.radius_, np.maximum(core, expected[:150]).min(axis=1), atol=1e-14)
            reach = np.maximum(core, expected[150:]).min(axis=1)
            np.testing.assert_allclose(-model.score_samples(far), reach, atol=1e-14)
            assert -model.score_samples(np.zeros((1, d)))[0] == pytest.approx(1, rel=1e-15)
            np.testing.assert_array_equal(IsolatedSoundings(min_samples=6, metric="cosine").fit(X * 2.0**-600).radius_,
                                          model.radius_)
    zero = IsolatedSoundings(0.2, 6, metric="cosine").fit(np.vstack([X, np.zeros((1, 60))]))
    assert zero.labels_[-1] == -1 and zero.radius_[-1] == pytest.approx(1)
