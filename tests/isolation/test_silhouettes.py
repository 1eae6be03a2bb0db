"""Silhouettes on every path are those of scikit-learn, and of sums where distances do not fit."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import DBSCAN
from sklearn.metrics import pairwise_distances, silhouette_samples, silhouette_score

from oco2_outliers.dbscan import silhouettes
from oco2_outliers.isolation.paths import forced_path
from oco2_outliers.isolation.scores import label_groups

PATHS = ["numpy", "serial", "parallel", "library"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("n, d", [(40, 2), (700, 13), (1100, 3)])
def test_silhouettes_are_those_of_scikit_learn(path, n, d):
    rng = np.random.default_rng(n)
    X = np.vstack([rng.normal(size=(n // 2, d)), rng.normal(size=(n - n // 2, d)) + 3])
    labelings = [rng.integers(-1, 3, n), rng.integers(-1, 40, n) // 3 * 2, DBSCAN(eps=0.6 * d**0.5).fit(X).labels_,
                 np.zeros(n, int), np.full(n, -1), np.arange(n), (np.arange(n) < 1).astype(int)]
    with forced_path(path):
        table = silhouettes(X, labelings)
        each = silhouettes(X, labelings, by_cluster=True)
    for j, labels in enumerate(labelings):
        noise = labels < 0
        everything = np.where(noise, -1, labels)
        for name, kept in [("silhouette", np.ones(n, bool)), ("silhouette_clusters", ~noise)]:
            possible = 2 <= len(set(everything[kept])) < kept.sum()
            expected = silhouette_score(X[kept], everything[kept]) if possible else np.nan
            np.testing.assert_allclose(table[name][j], expected, rtol=1e-9, atol=1e-12)
        if 2 <= len(set(everything)) < n:
            rows = pd.Series(silhouette_samples(X, everything)).groupby(np.unique(everything, return_inverse=True)[1])
            np.testing.assert_allclose(each[each["labelling"] == j]["silhouette"], rows.mean(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("path", PATHS)
def test_sampled_silhouettes_are_unbiased_and_know_their_error(path):
    rng = np.random.default_rng(1)
    X = np.vstack([rng.normal(size=(600, 3)), rng.normal(size=(600, 3)) + 2])
    labels = [np.repeat([0, 1], 600), rng.integers(-1, 2, 1200)]
    with forced_path(path):
        exact = silhouettes(X, labels)
        draws = [silhouettes(X, labels, max_rows=150, random_state=seed) for seed in range(60)]
    for name in ("silhouette", "silhouette_clusters"):
        off = np.array([(draw[name] - exact[name]) / draw[name + "_error"] for draw in draws])
        assert np.abs(off.mean(axis=0)).max() < 0.5 and np.abs(off).max() < 5 and off.std() < 1.5


def test_many_groups_take_the_other_route_to_the_same_silhouettes(monkeypatch):
    from oco2_outliers.isolation import group_scores

    rng = np.random.default_rng(2)
    X, labels = rng.normal(size=(900, 4)), rng.integers(-1, 300, 900)
    with forced_path("serial"):
        half = silhouettes(X, [labels])
        # Asking for every row as a sample takes the route for tables whose sums do not fit.
        group, of_group = label_groups([labels])
        score, _ = group_scores.silhouette_rows(X, group, of_group, np.arange(900))
    np.testing.assert_allclose(score.mean(), half["silhouette"][0], rtol=1e-10)


@cache
def rows_in_groups(d):
    """Rows, the group of each, labels of the groups, and what scikit-learn says with noise and without."""
    rng = np.random.default_rng(d)
    X = rng.normal(size=(2_701, d)).round(1) + rng.integers(0, 3, (2_701, 1)) * 1e4
    group = rng.choice(23, len(X), p=rng.dirichlet(np.full(23, 0.5)) * 0.9 + 0.1 / 23)
    group[:23] = np.arange(23)
    labels_of_group = np.column_stack([np.arange(23) - 1, np.arange(23) % 4, np.where(np.arange(23) < 5, -1, 0),
                                       np.full(23, -1), np.arange(23)[::-1] // 2])
    labels_of_group[labels_of_group[:, 2] == 0, 2] = np.arange(18) % 2
    apart, expected = pairwise_distances(X), {}
    for j in (0, 1, 2, 4):
        labels, kept = labels_of_group[group, j], labels_of_group[group, j] >= 0
        expected[j] = (silhouette_samples(apart, labels, metric="precomputed"),
                       silhouette_samples(apart[np.ix_(kept, kept)], labels[kept], metric="precomputed"))
    return X, group, labels_of_group, expected


# Each number of columns and each room for sums at least once; every pair of them is a slow test.
QUICK = {(1, 0), (6, 2_000), (14, 16_000_000), (15, 6_000), (35, 60)}


@pytest.mark.parametrize("d, most", [
    pytest.param(d, most, marks=[] if (d, most) in QUICK else pytest.mark.slow)
    for d in (1, 6, 14, 15, 35) for most in (0, 60, 2_000, 6_000, 16_000_000)])
def test_silhouettes_where_only_the_sums_of_large_groups_fit(monkeypatch, most, d):
    """Each pair once, some of them twice, or all twice: scikit-learn's silhouettes, whatever the number of threads."""
    from oco2_outliers.isolation import group_scores

    monkeypatch.setattr(group_scores, "MOST_SUMS", most)
    X, group, labels_of_group, expected = rows_in_groups(d)
    found, without_noise = group_scores.silhouette_rows(X, group, labels_of_group, None)
    for j, (with_noise, rest) in expected.items():
        kept = labels_of_group[group, j] >= 0
        np.testing.assert_allclose(found[j], with_noise, atol=2e-7 if d > 1 else 1e-9)
        np.testing.assert_allclose(without_noise[j, kept], rest, atol=2e-7)
        assert np.isnan(without_noise[j, ~kept]).all()
    assert np.isnan(found[3]).all()
    np.testing.assert_array_equal(group_scores.silhouette_rows(X, group, labels_of_group, None, 2)[0], found)
    drawn = np.random.default_rng(most).choice(len(X), 700)
    np.testing.assert_allclose(group_scores.silhouette_rows(X, group, labels_of_group, drawn, 2)[0], found[:, drawn],
                               rtol=1e-10, atol=1e-12)


def test_many_rows_are_summed_in_parts_that_no_number_of_threads_changes():
    from oco2_outliers.isolation import group_scores

    rng = np.random.default_rng(5)
    X, labels = rng.normal(size=(17_000, 2)), rng.integers(-1, 40, 17_000)
    group, of_group = label_groups([labels])
    found = [group_scores.silhouette_rows(X, group, of_group, None, threads)[0] for threads in (1, 2, 3)]
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    some = rng.choice(len(X), 200, replace=False)
    distances = np.sqrt(((X[some, None] - X) ** 2).sum(axis=2))
    means = np.array([distances[:, labels == c].sum(axis=1) for c in range(-1, 40)]).T
    sizes = np.bincount(labels + 1)
    own = labels[some] + 1
    a = means[np.arange(200), own] / (sizes[own] - 1)
    means /= sizes
    means[np.arange(200), own] = np.inf
    b = means.min(axis=1)
    np.testing.assert_allclose(found[0][0, some], (b - a) / np.maximum(a, b), rtol=1e-10)
