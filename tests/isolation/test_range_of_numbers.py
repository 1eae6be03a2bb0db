"""Numbers whose squares leave the range of float64: judged as exact arithmetic judges them, or refused by column."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from naive import clusters_by_definition

from oco2_outliers.dbscan import (
    IsolatedSoundings,
    bench_kmeans,
    do_dbcluster,
    isolation_radius,
    search_optimal,
    silhouettes,
    sweep,
)
from oco2_outliers.ground.errors import InputError
from oco2_outliers.isolation.paths import forced_path

PATHS = ["numpy", "serial", "parallel", "library"]
# The size of the rows, and of a single one far away.
SIZES = [(5e-320, 0), (1e-300, 0), (1e-200, 0), (1e-160, 0), (1e-154, 0), (1.0, 0), (1e150, 0),
         (1e-160, 1.0), (1e-170, 1e80), (1.0, 1e152)]


def rows_of(size, outlier, n=30):
    X = np.random.default_rng(0).normal(size=(n, 2)) * size
    if outlier:
        X[7, 1] = outlier
    return X


def exact_squares(A, B):
    """Squared distances in whole fractions."""
    a, b = ([[Fraction(float(x)) for x in row] for row in rows] for rows in (A, B))
    return np.array([[sum((x - y) ** 2 for x, y in zip(p, q)) for q in b] for p in a], dtype=object)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("size, outlier", SIZES)
def test_labels_radii_and_new_rows_are_those_of_exact_arithmetic(size, outlier, path):
    X, m = rows_of(size, outlier), 4
    square = exact_squares(X, X)
    core = np.sort(square, axis=1)[:, m - 1]
    exact = np.maximum(core[None, :], square).min(axis=1)
    new = X[::5] * 1.5
    with forced_path(path):
        radius = isolation_radius(X, m)
        for eps in [0.3 * size, 1.01 * float(np.median(radius)), 0.9 * size]:
            inside = Fraction(eps) ** 2
            expected = clusters_by_definition(np.where(square <= inside, 0.0, 1.0), 0.5, m)
            np.testing.assert_array_equal(sweep(X, eps=[eps], min_samples=[m]).labels(0), expected)
            model = IsolatedSoundings(eps=eps, min_samples=m).fit(X)
            np.testing.assert_array_equal(model.labels_, expected)
            np.testing.assert_array_equal(eps < radius, expected == -1)
            np.testing.assert_array_equal(model.radius_, radius)
            weighted = IsolatedSoundings(eps=eps, min_samples=m).fit(X, sample_weight=np.ones(len(X)))
            np.testing.assert_array_equal(weighted.labels_, expected)
            asked = np.vstack([X, new])
            reached = (exact_squares(asked, X[core <= inside]) <= inside).any(axis=1)
            np.testing.assert_array_equal(model.predict(asked) == 1, reached)
            np.testing.assert_array_equal(model.decision_function(asked) >= 0, reached)
            assert (-model.score_samples(X) == radius).all()
    # Roots compared as fractions: each radius is the exact one but for a rounding.
    for r, s in zip(radius, exact):
        step = max(Fraction(1, 10**15), Fraction(5e-324) / Fraction(float(r)))
        assert (Fraction(float(r)) * (1 - step)) ** 2 <= s <= (Fraction(float(r)) * (1 + step)) ** 2


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("size, outlier", SIZES)
def test_explain_ends_the_isolation_at_any_size(size, outlier, path):
    X = rows_of(size, outlier)
    with forced_path(path):
        model = IsolatedSoundings(eps=0.5 * size, min_samples=4).fit(X)
        lonely = X[model.labels_ == -1]
        assert len(lonely)
        why = model.explain(lonely)
        assert (size < 1e-300 and why["change"].isna().any()) or why["change"].notna().sum() > len(lonely) / 2
        for x, told in zip(lonely, why.itertuples()):
            if isinstance(told.feature, str):
                for change in (told.change, told.change_most):
                    moved = x.copy()
                    moved[int(told.feature.split()[1])] += change
                    assert model.predict([moved]) == 1


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("power", [-1060, -520, 490])
def test_silhouettes_and_k_means_know_no_unit(power, path):
    X = np.random.default_rng(1).integers(-2**30, 2**30, (40, 3)) / 2.0**14
    labels = np.random.default_rng(2).integers(-1, 3, 40)
    with forced_path(path):
        pd.testing.assert_frame_equal(silhouettes(np.ldexp(X, power), [labels]), silhouettes(X, [labels]))
    usual, other = bench_kmeans(X, k=[2, 3]), bench_kmeans(np.ldexp(X, power), k=[2, 3])
    np.testing.assert_allclose(other["silhouette"], usual["silhouette"])


CALLS = {
    "isolation_radius": isolation_radius,
    "sweep": sweep,
    "search_optimal": search_optimal,
    "silhouettes": lambda X: silhouettes(X, [np.arange(len(X)) % 2]),
    "do_dbcluster": do_dbcluster,
    "bench_kmeans": lambda X: bench_kmeans(X, k=[2]),
    "fit": lambda X: IsolatedSoundings().fit(X),
    "fit with weights": lambda X: IsolatedSoundings().fit(X, sample_weight=np.ones(len(X))),
    "by silhouette": lambda X: IsolatedSoundings(eps="silhouette").fit(X),
    "predict": lambda X: IsolatedSoundings().fit(usual(X)).predict(X),
    "score_samples": lambda X: IsolatedSoundings().fit(usual(X)).score_samples(X),
    "decision_function": lambda X: IsolatedSoundings().fit(usual(X)).decision_function(X),
    "explain": lambda X: IsolatedSoundings().fit(usual(X)).explain(X),
}


def usual(X):
    rows = np.random.default_rng(0).normal(size=(60, 3))
    return pd.DataFrame(rows, columns=X.columns) if isinstance(X, pd.DataFrame) else rows


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("call", CALLS)
def test_a_number_too_large_is_refused_by_column_everywhere(call, path):
    for number in (1e155, -1.7e308):
        X = np.random.default_rng(3).normal(size=(60, 3))
        X[11, 1] = number
        with forced_path(path), pytest.raises(InputError, match="column .*1.* holds a number too large"):
            CALLS[call](X)
    if call not in ("predict", "score_samples", "decision_function"):
        with forced_path(path), pytest.raises(InputError, match="'xco2' holds a number too large"):
            CALLS[call](pd.DataFrame(X, columns=["a", "xco2", "b"]))


def test_rooms_of_the_engine_refuse_what_leaves_the_range():
    from oco2_outliers.isolation.group_scores import silhouette_rows
    from oco2_outliers.isolation.new_rows import NewRows
    from oco2_outliers.isolation.tree import row_tree

    X = np.random.default_rng(0).normal(size=(50, 2))
    for scale in (1e155, 1e-160):
        with pytest.raises(InputError, match="range"):
            row_tree(X * scale)
        with pytest.raises(InputError):
            silhouette_rows(X * scale, np.arange(50) % 2, np.array([[0], [1]]), None)
    for ask in (lambda rows: rows.nearest(X * 1e155), lambda rows: rows.smallest_moves(X * 1e155, 1.0)):
        with pytest.raises(InputError, match="range"):
            ask(NewRows(X, np.zeros(50)))


@pytest.mark.parametrize("metric, scale", [("sqeuclidean", 1e155), ("manhattan", 5e307), ("correlation", 0.0)])
def test_other_metrics_refuse_distances_that_are_no_numbers(metric, scale):
    X = np.random.default_rng(0).uniform(-3, 3, (20, 3)) * scale
    with np.errstate(invalid="ignore"), pytest.raises(InputError, match=metric):
        IsolatedSoundings(eps=1.0, metric=metric).fit(X)
