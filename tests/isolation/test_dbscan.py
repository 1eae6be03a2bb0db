"""Every path of the search gives the labels of scikit-learn and of the definition, to the last bit."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naive import clusters_by_definition, squared_distances
from sklearn.cluster import DBSCAN
from sklearn.cluster import dbscan as sklearn_dbscan
from sklearn.metrics import silhouette_score
from sklearn.neighbors import LocalOutlierFactor
from sklearn.utils.estimator_checks import check_estimator

from oco2_outliers.dbscan import (
    IsolatedSoundings,
    bench_kmeans,
    choose_eps,
    do_dbcluster,
    eps_profile,
    feature_matrix,
    isolation_radius,
    search_optimal,
    silhouettes,
    sweep,
)
from oco2_outliers.ground.errors import InputError
from oco2_outliers.isolation.paths import forced_path
from oco2_outliers.isolation.squares import exact_root, squared_distance

PATHS = ["numpy", "serial", "parallel", "library"]
GAUSSIAN = ["slope", "intercept", "amplitude", "sigma", "delta", "R"]
ALL_NINE = ["latitude", "longitude", *GAUSSIAN, "surf_pres"]


@st.composite
def cases(draw, most_rows=400):
    """Rows of many shapes, min_samples, and radii that fall exactly on distances that occur."""
    n = draw(st.one_of(st.integers(1, 12), st.integers(1, most_rows)))
    d = draw(st.one_of(st.integers(1, 4), st.integers(1, 30)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    kind = draw(st.sampled_from(["cloud", "blobs", "lattice", "copies", "flat", "tail"]))
    X = rng.normal(size=(n, d))
    if kind == "blobs":
        X = 0.2 * X + rng.normal(size=(5, d))[rng.integers(0, 5, n)] * 3
    if kind == "lattice":
        X = rng.integers(0, draw(st.integers(1, 5)), (n, d)) * draw(st.sampled_from([1.0, 0.1, 3.0]))
    if kind == "copies":
        X = X[rng.integers(0, max(1, n // draw(st.integers(1, 20))), n)]
    if kind == "flat":
        X[:, rng.random(d) < 0.5] = draw(st.sampled_from([0.0, 0.1, -7.0]))
    if kind == "tail":
        X = X * np.exp(4 * rng.normal(size=(n, 1)))
    X = X * draw(st.sampled_from([1.0, 1.0, 1e-9, 1e12])) + draw(st.sampled_from([0.0, 0.0, 1e3, 1e8]))
    if draw(st.booleans()):
        X = X.astype(np.float32)
    exact = X.astype(np.float64)
    square = squared_distances(exact)
    pairs = rng.integers(0, n, (draw(st.integers(1, 4)), 2))
    eps = exact_root(square[pairs[:, 0], pairs[:, 1]])
    eps = np.where(eps > 0, eps, 1.0) * draw(st.sampled_from([1.0, 1.0, np.nextafter(1, 0), 0.5, 0.3]))
    counts = draw(st.lists(st.integers(1, 20), min_size=1, max_size=3, unique=True))
    return X, square, sorted(set(eps.tolist()), key=eps.tolist().index), counts


def check(case, path):
    X, square, eps, counts = case
    with forced_path(path):
        result = sweep(X, eps=eps, min_samples=counts, silhouette=False)
        radius = isolation_radius(X, counts)
    for i, row in enumerate(result.table.itertuples()):
        labels = result.labels(i)
        theirs = DBSCAN(eps=row.eps, min_samples=row.min_samples, algorithm="kd_tree").fit(X).labels_
        # Only where its shortcut by whole boxes can bite, see the test of it below, may scikit-learn leave the
        # definition.
        shortcut = ((square > row.eps * row.eps) & (np.sqrt(square) <= row.eps)).any()
        np.testing.assert_array_equal(labels, clusters_by_definition(square, row.eps, row.min_samples))
        np.testing.assert_array_equal(labels == -1, row.eps < radius[:, counts.index(row.min_samples)])
        if not shortcut:
            np.testing.assert_array_equal(labels, theirs)


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=25, suppress_health_check=list(HealthCheck), derandomize=True)
@given(case=cases())
def test_labels_are_those_of_the_definition_and_of_scikit_learn(path, case):
    check(case, path)


@pytest.mark.slow
@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=1000, suppress_health_check=list(HealthCheck))
@given(case=cases())
def test_labels_on_thousands_of_cases(path, case):
    check(case, path)


@pytest.mark.parametrize("n, d, eps", [(3000, 2, (0.02, 0.05, 0.2)), (3000, 13, (2.0, 2.6, 3.2)),
                                       pytest.param(6000, 5, (0.3, 0.5, 0.8), marks=pytest.mark.slow)])
@pytest.mark.parametrize("path", ["serial", "parallel"])
def test_labels_of_larger_tables(n, d, eps, path):
    rng = np.random.default_rng(n + d)
    X = np.vstack([rng.normal(size=(n // 2, d)), rng.normal(size=(n - n // 2, d)) * 0.5 + 4])
    with forced_path(path):
        result = sweep(X, eps=eps, min_samples=[3, 10], silhouette=False)
    for i, row in enumerate(result.table.itertuples()):
        theirs = DBSCAN(eps=row.eps, min_samples=row.min_samples, algorithm="kd_tree").fit(X).labels_
        np.testing.assert_array_equal(result.labels(i), theirs)


@pytest.mark.parametrize("n_eps", [1, 255, 256, 400])
def test_as_many_eps_as_are_asked_for(n_eps):  # one byte a pair counts 255 of them
    rng = np.random.default_rng(n_eps)
    X = rng.integers(0, 30, (60, 2)).astype(float)
    square, eps = squared_distances(X), np.linspace(0.5, 20, n_eps)
    with forced_path("numpy"):
        result = sweep(X, eps=eps, min_samples=[3], silhouette=False)
    for i in {0, n_eps // 2, n_eps - 1}:
        np.testing.assert_array_equal(result.labels(i), clusters_by_definition(square, eps[i], 3))


@pytest.mark.parametrize("path", ["serial", "parallel"])
def test_dense_rows_need_no_memory_for_neighbours(path):
    X = np.random.default_rng(0).normal(size=(4000, 2)) * 1e-3
    with forced_path(path):
        result = sweep(X, eps=[1.0, 1e-4], min_samples=[5], silhouette=False)
    assert result.table["n_clusters"][0] == 1 and result.table["n_isolated"][0] == 0
    theirs = DBSCAN(eps=1e-4, min_samples=5, algorithm="kd_tree").fit(X).labels_
    np.testing.assert_array_equal(result.labels(1), theirs)


@pytest.mark.parametrize("path", PATHS)
def test_one_row_all_equal_rows_and_fewer_rows_than_min_samples(path):
    with forced_path(path):
        for X, m in [([[1.0]], 1), ([[1.0]], 2), (np.ones((50, 3)), 5), (np.ones((70, 1)), 71), ([[0.0], [0.0]], 2)]:
            theirs = DBSCAN(eps=0.5, min_samples=m, algorithm="kd_tree").fit(X).labels_
            np.testing.assert_array_equal(sweep(X, eps=[0.5], min_samples=[m], silhouette=False).labels(0), theirs)
            np.testing.assert_array_equal(IsolatedSoundings(eps=0.5, min_samples=m).fit(X).labels_, theirs)


# Where scikit-learn's algorithms disagree, and why "the same" means kd_tree.

def test_scikit_learn_takes_whole_boxes_by_their_root():
    """Its kd_tree compares squares row by row, but takes a whole box when the root of its reach is at most eps."""
    rng = np.random.default_rng(5)
    departures = 0
    for _ in range(100):
        X = rng.normal(size=(2, 3))
        square = squared_distances(X)
        eps = np.sqrt(square[0, 1])
        ours = sweep(X, eps=[eps], min_samples=[1], silhouette=False).labels(0)
        np.testing.assert_array_equal(ours, clusters_by_definition(square, eps, 1))
        departures += (ours != DBSCAN(eps=eps, min_samples=1, algorithm="kd_tree").fit(X).labels_).any()
    print(departures)
    assert departures < 50  # only where eps*eps < d2 although eps is the root of d2


# The published labels

def published(shared_data):
    path = shared_data / "peaks" / "peaks_201808_labelled.csv"
    if not path.exists():
        pytest.skip(f"no published table of peaks at {path}; generated tables meet scikit-learn on every path")
    return pd.read_csv(path)


@pytest.mark.parametrize("features, column, n", [(ALL_NINE, "y_class_dbscan", 775),
                                                 (GAUSSIAN, "y_class_dbscan_only_gaussian_param", 136)])
@pytest.mark.parametrize("path", PATHS)
def test_published_dbscan_labels(shared_data, features, column, n, path):
    peaks = published(shared_data)
    X = feature_matrix(peaks, features=features).X
    with forced_path(path):
        ours = IsolatedSoundings(eps=1.0, min_samples=5).fit_predict(X)
    assert (ours == -1).sum() == n
    np.testing.assert_array_equal(ours, np.where(peaks[column] == -1, -1, 1))


@pytest.mark.parametrize("features, column, n", [(ALL_NINE, "y_class_lof", 49),
                                                 (GAUSSIAN, "y_class_lof_only_gaussian_param", 51)])
def test_published_lof_labels_come_from_the_same_features(shared_data, features, column, n):
    peaks = published(shared_data)
    ours = LocalOutlierFactor(n_neighbors=10).fit_predict(feature_matrix(peaks, features=features).X)
    assert (ours == -1).sum() == n
    np.testing.assert_array_equal(ours, peaks[column])


def test_generated_peaks_take_the_same_route():
    rng = np.random.default_rng(0)
    peaks = pd.DataFrame(rng.normal(size=(700, 9)) * np.exp(rng.normal(size=9)), columns=ALL_NINE)
    X = feature_matrix(peaks, features=ALL_NINE).X
    Z = (peaks - peaks.mean()) / peaks.std(ddof=0)
    np.testing.assert_array_equal(IsolatedSoundings(eps=1.0).fit(X).labels_,
                                  DBSCAN(eps=1.0, min_samples=5, algorithm="kd_tree").fit(Z).labels_)


# The estimator

@pytest.mark.parametrize("path", ["numpy", *(pytest.param(path, marks=pytest.mark.slow)
                                             for path in PATHS if path != "numpy")])
def test_check_estimator(path):
    with forced_path(path):
        check_estimator(IsolatedSoundings())
        check_estimator(IsolatedSoundings(eps=0.5, min_samples=2))


@pytest.mark.slow
def test_check_estimator_with_silhouette_and_another_metric():
    check_estimator(IsolatedSoundings(eps="silhouette"), expected_failed_checks={
        "check_sample_weight_equivalence_on_dense_data": "silhouettes count every row once, and the docstring says so"})
    skewed = "the fence of the radii lies beyond all rows of this sample, which is an answer"
    check_estimator(IsolatedSoundings(metric="manhattan"), expected_failed_checks={
        "check_outliers_fit_predict": skewed, "check_outliers_train": skewed})


@pytest.mark.parametrize("path", PATHS)
@settings(max_examples=40, suppress_health_check=list(HealthCheck), derandomize=True)
@given(case=cases(most_rows=150))
def test_new_rows_are_isolated_where_no_core_row_is_within_eps(path, case):
    X, square, eps, counts = case
    X = X.astype(np.float64)
    with forced_path(path):
        model = IsolatedSoundings(eps=eps[0], min_samples=counts[0]).fit(X)
        np.testing.assert_array_equal(model.predict(X), np.where(model.labels_ == -1, -1, 1))
        np.testing.assert_array_equal(-model.score_samples(X), model.radius_)
        rng = np.random.default_rng(len(X))
        new = X[rng.integers(0, len(X), 30)] + rng.normal(size=(30, X.shape[1])) * eps[0]
        new[:3] += (new[:3] - X.mean(axis=0)) * 1e3  # and some out of the range of the engine's float32
        core = X[model.core_sample_indices_]
        reached = (squared_distance(new[:, None], core[None]) <= eps[0] * eps[0]).any(axis=1)
        np.testing.assert_array_equal(model.predict(new) == 1, reached)
        np.testing.assert_array_equal(model.decision_function(new) >= 0, reached)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("d", [1, 3, 13])
def test_explanations_are_those_of_a_search_through_all_core_rows(path, d):
    rng = np.random.default_rng(d)
    X = np.vstack([rng.normal(size=(500, d)), rng.normal(size=(30, d)) * 4])
    with forced_path(path):
        model = IsolatedSoundings(eps={1: 0.1, 3: 0.8, 13: 3.2}[d]).fit(X)
        assert 5 < (model.labels_ == -1).sum() < 200
        strays = X[model.labels_ == -1]
        why = model.explain(strays, scale=np.arange(1.0, d + 1))
    core = X[model.core_sample_indices_]
    for x, row in zip(strays, why.itertuples()):
        gap = core - x
        square = (gap**2).sum(axis=1)
        assert row.nearest_core == model.core_sample_indices_[square.argmin()]
        np.testing.assert_allclose(row.distance, np.sqrt(square.min()))
        room = model.eps_**2 - (square[:, None] - gap**2)
        need = np.where(room >= 0, np.abs(gap) - np.sqrt(np.maximum(room, 0)), np.inf)
        if np.isinf(need.min()):
            assert row.feature is None or pd.isna(row.feature)
        else:
            j = int(row.feature.split()[1])
            np.testing.assert_allclose(abs(row.change) / (j + 1), need.min(), rtol=1e-6, atol=1e-9)
            with forced_path(path):
                changed = x.copy()
                changed[j] += row.change / (j + 1) * (1 + 1e-9)
                assert model.predict([changed]) == 1


def test_weights_count_as_in_scikit_learn():
    rng = np.random.default_rng(3)
    X, weight = rng.normal(size=(200, 2)), rng.integers(0, 6, 200)
    for eps in (0.1, 0.2, 0.4):
        model = IsolatedSoundings(eps=eps, min_samples=8).fit(X, sample_weight=weight)
        theirs = DBSCAN(eps=eps, min_samples=8, algorithm="kd_tree").fit(X, sample_weight=weight)
        np.testing.assert_array_equal(model.labels_, theirs.labels_)
        np.testing.assert_array_equal(model.core_sample_indices_, theirs.core_sample_indices_)
        np.testing.assert_array_equal(model.labels_ == -1, eps < model.radius_)
    # A row heavy enough is core by itself; one of weight 0 can still be.
    for weight in ([5, 5], [6, 5], [6, 6], [6, 0], [5, 1]):
        for eps in (0.5, 1.5):
            ours = IsolatedSoundings(eps=eps, min_samples=6).fit([[0.0], [1.0]], sample_weight=weight)
            theirs = DBSCAN(eps=eps, min_samples=6, algorithm="kd_tree").fit([[0.0], [1.0]], sample_weight=weight)
            np.testing.assert_array_equal(ours.core_sample_indices_, theirs.core_sample_indices_)
    with pytest.raises(ValueError, match="[Nn]egative"):
        IsolatedSoundings().fit([[0.0], [1.0]], sample_weight=[1, -1])


@pytest.mark.parametrize("metric, params", [("manhattan", None), ("cosine", None), ("minkowski", {"p": 3}),
                                            (lambda a, b: np.abs(a - b).max(), None)])
def test_other_metrics(metric, params):
    X = np.random.default_rng(4).normal(size=(120, 3)) + 1
    model = IsolatedSoundings(eps=0.3, min_samples=4, metric=metric, metric_params=params).fit(X)
    theirs = DBSCAN(eps=0.3, min_samples=4, metric=metric, metric_params=params).fit(X)
    np.testing.assert_array_equal(model.labels_, theirs.labels_)
    np.testing.assert_array_equal(model.labels_ == -1, model.radius_ > 0.3)
    np.testing.assert_allclose(-model.score_samples(X), model.radius_, atol=1e-12)
    with pytest.raises(InputError, match="euclidean"):
        model.explain(X[:1])


def test_distances_that_were_given():
    X = np.random.default_rng(5).normal(size=(150, 3))
    given = np.abs(np.round(np.random.default_rng(6).normal(size=(60, 60)), 1))  # neither symmetric nor 0 to itself
    np.fill_diagonal(given, np.random.default_rng(7).random(60))
    for distances, eps in [(np.sqrt(squared_distances(X)), 0.8), (given, 0.2)]:
        for weight in (None, np.random.default_rng(8).integers(0, 4, len(distances))):
            model = IsolatedSoundings(eps=eps, min_samples=8, metric="precomputed").fit(distances, sample_weight=weight)
            theirs = DBSCAN(eps=eps, min_samples=8, metric="precomputed").fit(distances, sample_weight=weight)
            np.testing.assert_array_equal(model.labels_, theirs.labels_)
            np.testing.assert_array_equal(model.core_sample_indices_, theirs.core_sample_indices_)
            np.testing.assert_array_equal(model.labels_ == -1, model.radius_ > eps)
    fitted, new = X[:100], X[100:]
    plain = IsolatedSoundings(eps=0.8).fit(fitted)
    to_fitted = np.sqrt(((new[:, None] - fitted) ** 2).sum(axis=2))
    model = IsolatedSoundings(eps=0.8, metric="precomputed").fit(np.sqrt(squared_distances(fitted)))
    np.testing.assert_allclose(model.score_samples(to_fitted), plain.score_samples(new))
    assert IsolatedSoundings(metric="precomputed").fit(np.sqrt(squared_distances(fitted))).eps_ > 0
    with pytest.raises(InputError, match="as many columns as rows"):
        model.fit(to_fitted)
    with pytest.raises(InputError, match="needs the rows"):
        IsolatedSoundings(eps="silhouette", metric="precomputed").fit(np.sqrt(squared_distances(fitted)))


# scikit-learn's own tests of DBSCAN, with our class in its place

class InPlaceOfDBSCAN(IsolatedSoundings):
    """Our class under the parameters of scikit-learn's; how rows are searched is ours to choose, and ignored."""

    def __init__(self, eps=0.5, min_samples=5, *, metric="euclidean", metric_params=None, algorithm="auto",
                 leaf_size=30, p=None, n_jobs=None):
        if metric == "minkowski":
            metric, metric_params = ("euclidean", None) if p in (None, 2) else (metric, {"p": p})
        super().__init__(eps, min_samples, n_jobs, metric, metric_params)
        self.algorithm, self.leaf_size, self.p = algorithm, leaf_size, p

    def fit_predict(self, X, y=None, sample_weight=None):
        """Clusters, where an outlier detector says -1 or +1."""
        return self.fit(X, sample_weight=sample_weight).labels_


def in_place_of_dbscan(X, eps=0.5, *, sample_weight=None, metric="minkowski", **parameters):
    """scikit-learn's function; it lets weights be negative, with which no radius exists, so that we refuse them."""
    model = InPlaceOfDBSCAN(eps=eps, metric=metric, **parameters)
    if sample_weight is not None and np.min(sample_weight) < 0:
        with pytest.raises(ValueError, match="[Nn]egative"):
            model.fit(X, sample_weight=sample_weight)
        return sklearn_dbscan(X, eps, sample_weight=sample_weight, metric=metric, **parameters)
    model.fit(X, sample_weight=sample_weight)
    return model.core_sample_indices_, model.labels_


_SPARSE = "our rows are dense: exact sums in feature order have no use for a sparse matrix"
NOT_APPLICABLE = {
    "test_dbscan_sparse": _SPARSE,
    "test_dbscan_sparse_precomputed": _SPARSE,
    "test_dbscan_sparse_precomputed_different_eps": _SPARSE,
    "test_dbscan_input_not_modified_precomputed_sparse_nodiag": _SPARSE,
    "test_dbscan_precomputed_metric_with_initial_rows_zero": _SPARSE,
    "test_dbscan_no_warning_unsorted_precomputed": _SPARSE,
    "test_dbscan_no_warning_presorted_precomputed": _SPARSE,
    "test_dbscan_no_core_samples": _SPARSE + "; run on dense rows below",
    "test_dbscan_input_not_modified": _SPARSE + "; run on dense rows below",
    "test_dbscan_metric_params": "on p as a parameter of its own; ours goes into metric_params",
}
try:
    import sklearn.cluster.tests.test_dbscan as theirs_in_full
except ImportError:  # some builds leave the tests out
    theirs_in_full = None
for _name, _test in vars(theirs_in_full).items() if theirs_in_full else ():
    if _name.startswith("test_") and _name not in NOT_APPLICABLE:
        globals()[_name.replace("test_", "test_of_scikit_learn_", 1)] = _test


@pytest.fixture
def global_random_seed():
    """scikit-learn's tests take it from their own configuration."""
    return 42


@pytest.fixture(autouse=True)
def our_class_in_their_tests(monkeypatch):
    if theirs_in_full:
        monkeypatch.setattr(theirs_in_full, "DBSCAN", InPlaceOfDBSCAN)
        monkeypatch.setattr(theirs_in_full, "dbscan", in_place_of_dbscan)


@pytest.mark.skipif(theirs_in_full is None, reason="scikit-learn came without its tests; ours compare with its labels")
@pytest.mark.parametrize("path", PATHS)
def test_of_scikit_learn_on_dense_rows(path):
    with forced_path(path):
        for metric in ("precomputed", "minkowski"):
            theirs_in_full.test_dbscan_input_not_modified(metric, None)
        theirs_in_full.test_dbscan_no_core_samples(np.array)
        theirs_in_full.test_dbscan_feature()
        theirs_in_full.test_boundaries()
        theirs_in_full.test_dbscan_core_samples_toy("kd_tree")


def test_min_samples_one_leaves_no_row_isolated():
    X = np.random.default_rng(0).normal(size=(50, 2))
    model = IsolatedSoundings(eps=0.1, min_samples=1).fit(X)
    assert (model.labels_ >= 0).all() and (model.radius_ == 0).all() and len(model.core_sample_indices_) == 50


def test_eps_by_silhouette_is_the_best_of_its_candidates():
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(200, 2)) * 0.2, rng.normal(size=(200, 2)) * 0.2 + 3, [[10.0, 10.0]]])
    model = IsolatedSoundings(eps="silhouette").fit(X)
    assert model.labels_.max() == 1 and model.labels_[-1] == -1
    with pytest.raises(InputError, match="eps must be"):
        IsolatedSoundings(eps="best").fit(X)


# The names of the original, and errors

def test_search_optimal_and_k_means(capsys):
    rng = np.random.default_rng(0)
    X = np.vstack([rng.normal(size=(60, 2)) * 0.3, rng.normal(size=(60, 2)) * 0.3 + 5])
    table = search_optimal(X)
    assert len(table) == 36 and table["silhouette"].iloc[0] == table["silhouette"].max()
    means = bench_kmeans(X)
    assert means["k"].tolist() == list(range(2, 19)) and means["silhouette"].idxmax() == 0
    assert means["inertia"].is_monotonic_decreasing
    assert bench_kmeans(X[:3], k=[2, 5])["k"].tolist() == [2]
    db, mask = do_dbcluster(X, eps=0.9, min_samples=10)
    theirs = DBSCAN(eps=0.9, min_samples=10).fit(X)
    np.testing.assert_array_equal(db.labels_, theirs.labels_)
    np.testing.assert_array_equal(db.components_, theirs.components_)
    # Letter for letter as the original notebook printed it, its blank before the comma included.
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["Estimated number of clusters: 2 , eps: 0.9", "Estimated number of noise points: 0 , eps: 0.9"]
    assert said[2] == f"Silhouette Coefficient: {silhouette_score(X, theirs.labels_):0.3f}"


def test_profiles_of_several_min_samples():
    X = np.random.default_rng(0).normal(size=(100, 2))
    radius = isolation_radius(X, [3, 5, 200])
    np.testing.assert_array_equal(radius[:, 1], isolation_radius(X, 5))
    profile = eps_profile(radius, [3, 5, 200])
    assert profile["min_samples"].unique().tolist() == [3, 5, 200]
    pd.testing.assert_frame_equal(profile.query("min_samples == 3")[["eps", "n_isolated"]], eps_profile(radius[:, 0]))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_missing_values_are_refused_with_the_column_and_the_count(bad):
    X = pd.DataFrame({"a": [1.0, 2.0, 3.0], "xco2": [1.0, bad, 3.0]})
    for call in (isolation_radius, sweep, lambda X: silhouettes(X, [[0, 1, 1]])):
        with pytest.raises(InputError, match="column 'xco2' holds 1"):
            call(X)
        with pytest.raises(InputError, match="column 1 holds 1"):
            call(X.to_numpy())
    for m in (0, 2.5, "5", None, np.nan, True):
        with pytest.raises(InputError, match="min_samples"):
            isolation_radius([[1.0], [2.0]], m)


# Life without numba, without a writable folder

def run(code, **environment):
    return subprocess.run([sys.executable, "-c", code], env={**os.environ, **environment}, capture_output=True,
                          text=True)


def test_small_tables_never_load_the_compiler():
    code = ("import sys, numpy as np; from oco2_outliers.dbscan import sweep, IsolatedSoundings\n"
            "X = np.random.default_rng(0).normal(size=(600, 5)); sweep(X)\n"
            "m = IsolatedSoundings().fit(X); m.predict(X); m.explain(X[:3])\n"
            "assert 'numba' not in sys.modules")
    done = run(code)
    assert done.returncode == 0, done.stderr


@pytest.mark.heavy
def test_many_small_tables_load_the_compiler_once():
    code = ("import sys, numpy as np; from oco2_outliers.dbscan import isolation_radius\n"
            "X = np.random.default_rng(0).normal(size=(3_900, 5)); first = isolation_radius(X)\n"
            "assert 'numba' not in sys.modules\n"
            "later = [isolation_radius(X) for _ in range(5)]\n"
            "assert 'numba' in sys.modules and all((each == first).all() for each in later)")
    done = run(code)
    assert done.returncode == 0, done.stderr


def test_without_numba_the_library_answers_and_says_so():
    code = ("import sys, numpy as np; sys.modules['numba'] = None\n"
            "from oco2_outliers.dbscan import sweep; from sklearn.cluster import DBSCAN\n"
            "X = np.random.default_rng(0).normal(size=(4500, 2)); r = sweep(X, eps=[0.1], max_rows=300)\n"
            "assert (r.labels(0) == DBSCAN(eps=0.1, algorithm='kd_tree').fit(X).labels_).all()")
    done = run(code)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("compiled engine not available") == 1


SMALL = ("from oco2_outliers.ground.compiling import compiled\n"
         "print(compiled()(lambda x: x + 1)(1))", "2")
WHOLE = ("from oco2_outliers.isolation.walking import nearest_rows\n"
         "from oco2_outliers.isolation.tree import row_tree\n"
         "tree = row_tree(np.random.default_rng(0).normal(size=(100, 2)))\n"
         "print(nearest_rows(tree, 3)[0].shape)", "(100, 3)")


@pytest.mark.parametrize("code, said", [
    pytest.param(*SMALL, id="a small kernel"), pytest.param(*WHOLE, id="the engine", marks=pytest.mark.slow)])
def test_where_no_folder_is_writable_the_engine_compiles_in_memory(code, said):
    """Every kernel is decorated there; to compile them all takes half a minute, so that is a slow test."""
    done = run("import numpy as np\n"
               "from numba.core import caching\n"
               "caching.CacheImpl._locator_classes = []\n"
               "caching._CacheLocator = None\n"
               "from oco2_outliers.isolation import group_scores, new_rows, tree, uniting, walking\n" + code)
    assert done.returncode == 0 and done.stdout.strip() == said, done.stderr


# What a second reading found

@pytest.mark.parametrize("step", [3.0, 5.0, 7.0, 0.1, 1 / 3])
@pytest.mark.parametrize("n", [26, 78, 101])
def test_the_fence_never_falls_below_radii_that_lie_on_it(step, n):
    """Evenly spaced rows have one radius: none of them stands more alone than another."""
    X = np.arange(n)[:, None] * step
    assert (IsolatedSoundings(min_samples=2).fit(X).labels_ >= 0).all()
    assert choose_eps([step] * 10) >= step
    standardised = feature_matrix(pd.DataFrame({"h": X[:, 0]})).X
    assert (IsolatedSoundings(min_samples=2).fit(standardised).labels_ >= 0).all()


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.booleans())
def test_weights_give_one_answer_in_labels_radii_core_rows_and_predictions(seed, m, whole):
    rng = np.random.default_rng(seed)
    X = rng.integers(0, 6, (40, 2)) * 0.5
    weight = rng.integers(0, 4, 40).astype(float) if whole else rng.integers(1, 10, 40) / 10
    model = IsolatedSoundings(eps=float(rng.choice([0.5, 0.75, 1.0])), min_samples=m).fit(X, sample_weight=weight)
    np.testing.assert_array_equal(model.labels_ == -1, model.eps_ < model.radius_)
    assert (model.labels_[model.core_sample_indices_] >= 0).all()
    if whole:
        theirs = DBSCAN(eps=model.eps_, min_samples=m).fit(X, sample_weight=weight)
        np.testing.assert_array_equal(model.labels_, theirs.labels_)
        np.testing.assert_array_equal(model.core_sample_indices_, theirs.core_sample_indices_)
    else:
        np.testing.assert_array_equal(model.predict(X), np.where(model.labels_ == -1, -1, 1))


def test_ten_tenths_are_one():
    X, weight = np.arange(10)[:, None] * 0.001, np.full(10, 0.1)
    model = IsolatedSoundings(eps=0.5, min_samples=1).fit(X, sample_weight=weight)
    assert (model.labels_ == 0).all() and (model.predict(X) == 1).all() and len(model.core_sample_indices_) == 10


def test_distances_that_are_not_symmetric_reach_as_in_scikit_learn():
    rng = np.random.default_rng(3)
    for _ in range(50):
        distances = rng.random((30, 30)).round(1)
        np.fill_diagonal(distances, 0)
        ours = IsolatedSoundings(eps=0.2, min_samples=6, metric="precomputed").fit(distances)
        theirs = DBSCAN(eps=0.2, min_samples=6, metric="precomputed").fit(distances)
        np.testing.assert_array_equal(ours.labels_, theirs.labels_)


def test_a_row_of_weight_0_explains_nothing():
    model = IsolatedSoundings(eps=0.5, min_samples=3)
    model.fit([[0.0], [0.1], [0.2], [0.3], [0.4], [0.6]], sample_weight=[1, 1, 1, 1, 1, 0])
    why = model.explain([[1.0]])
    assert why["nearest_core"].tolist() == [4]
    assert model.predict([[1.0 + why["change"][0] * (1 + 1e-9)]])[0] == 1


def test_explain_takes_a_scale_by_name_and_refuses_another_shape():
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 3)), columns=list("abc"))
    model = IsolatedSoundings(eps=1.0).fit(table)
    scale = pd.Series({"a": 2.0, "b": 3.0, "c": 5.0})
    far = table.iloc[:5] + [9, 0, 0]
    pd.testing.assert_frame_equal(model.explain(far, scale=scale), model.explain(far, scale=scale[["c", "a", "b"]]))
    for bad in (2.0, [2.0], [1, 2, 3, 4]):
        with pytest.raises(InputError, match="one number for each of the 3 features"):
            model.explain(far, scale=bad)
    with pytest.raises(InputError, match="'c'"):
        model.explain(far, scale=scale[["a", "b"]])


def test_silhouettes_by_cluster_keep_the_names_of_the_clusters():
    X = np.arange(30.0)[:, None]
    table = silhouettes(X, [np.repeat([-1, 10, 20], 10)], by_cluster=True)
    assert table["cluster"].tolist() == [-1, 10, 20] and table["n_rows"].tolist() == [10, 10, 10]


def test_one_drawn_row_has_no_standard_error():
    X, labels = np.arange(50.0)[:, None], np.repeat([0, 1], 25)
    assert np.isnan(silhouettes(X, [labels], max_rows=1, random_state=0)["silhouette_error"][0])


def test_many_groups_need_little_memory_without_the_engine():
    import tracemalloc

    X, labels = np.random.default_rng(0).normal(size=(6_000, 2)), np.arange(6_000) // 2
    with forced_path("library"):
        tracemalloc.start()
        silhouettes(X, [labels], max_rows=3_000, random_state=0)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 200e6  # all sums at once would take 150 MB three times


def test_a_table_with_time_spans_or_two_columns_of_a_name():
    table = pd.DataFrame({"a": [1.0, 2.0, 4.0], "took": pd.to_timedelta([1, 2, 3], "s")})
    assert feature_matrix(table).features == ["a"]
    with pytest.raises(InputError, match="of one name: 'a'"):
        feature_matrix(pd.DataFrame([[1.0, 2.0], [2.0, 4.0]], columns=["a", "a"]))


def test_k_means_of_too_few_rows_says_so():
    with pytest.raises(InputError, match="no k to try: 1 rows"):
        bench_kmeans([[1.0]])
