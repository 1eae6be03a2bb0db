"""Whatever is given for a number, the answer is a result or one clear line."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from oco2_outliers.dbscan import (
    IsolatedSoundings,
    bench_kmeans,
    choose_eps,
    do_dbcluster,
    eps_profile,
    isolation_radius,
    search_optimal,
    silhouettes,
    sweep,
)
from oco2_outliers.ground.errors import InputError
from oco2_outliers.isolation.paths import forced_path

X = np.random.default_rng(0).normal(size=(40, 2))
NEVER = [-np.inf, np.nan, None, "2x", [[1], 2], object(), {}]  # no number at all
SLIPS = [True, 1.5, 0, -1, np.inf, 10**30, 10**400, 1e300, "2", [1]]
LABELS = [np.arange(40) % 2]

# What is asked, and which of the values above it may take (what is left must be refused).
CALLS = {
    "min_samples of isolation_radius": (lambda v: isolation_radius(X, v), [[1]]),
    "min_samples of sweep": (lambda v: sweep(X, min_samples=v), [[1]]),
    "min_samples of the estimator": (lambda v: IsolatedSoundings(min_samples=v).fit(X), []),
    "min_samples of do_dbcluster": (lambda v: do_dbcluster(X, min_samples=v), []),
    "min_samples of search_optimal": (lambda v: search_optimal(X, min_samples=v), [[1]]),
    "n_jobs of isolation_radius": (lambda v: isolation_radius(X, n_jobs=v), [None, -1, 10**30, 10**400]),
    "n_jobs of sweep": (lambda v: sweep(X, n_jobs=v), [None, -1, 10**30, 10**400]),
    "n_jobs of silhouettes": (lambda v: silhouettes(X, LABELS, n_jobs=v), [None, -1, 10**30, 10**400]),
    "n_jobs of the estimator": (lambda v: IsolatedSoundings(n_jobs=v).fit(X), [None, -1, 10**30, 10**400]),
    "eps of sweep": (lambda v: sweep(X, eps=v), [1.5, 10**30, 1e300, [1]]),
    "eps of the estimator": (lambda v: IsolatedSoundings(eps=v).fit(X).predict(X), [1.5, 10**30, 1e300]),
    "eps of a function": (lambda v: IsolatedSoundings(eps=lambda radii: v).fit(X), [1.5, 10**30, 1e300]),
    "max_rows": (lambda v: silhouettes(X, LABELS, max_rows=v), [None]),
    "random_state": (lambda v: sweep(X, max_rows=9, random_state=v), [None, 0]),
    "random_state of k-means": (lambda v: bench_kmeans(X, k=[2], random_state=v), [None, 0]),
    "k": (lambda v: bench_kmeans(X, k=[v]), []),
    "k alone": (lambda v: bench_kmeans(X, k=v), [[1]]),
    "cutoff": (lambda v: choose_eps([1.0, 2.0], cutoff=v), [1.5, 10**30, 1e300]),
    "weights of choose_eps": (lambda v: choose_eps([1.0, 2.0], sample_weight=v), [None]),
    "radius of eps_profile": (lambda v: eps_profile(v), [[1]]),
    "sample_weight": (lambda v: IsolatedSoundings().fit(X, sample_weight=v), [None, True, 1.5, 10**30, 1e300]),
    "metric": (lambda v: IsolatedSoundings(metric=v).fit(X), []),
    "metric_params": (lambda v: IsolatedSoundings(metric_params=v).fit(X), [None, {}]),
    "scale": (lambda v: IsolatedSoundings(eps=0.4).fit(X).explain(X, scale=v), [None]),
    "row of a sweep": (lambda v: sweep(X).labels(v), [0, -1]),
    "labels": (lambda v: silhouettes(X, [v]), []),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("call", CALLS)
def test_a_number_is_taken_or_refused_in_one_line(call, capsys):
    function, taken = CALLS[call]
    for value in NEVER + SLIPS:
        if any(type(value) is type(one) and value == one for one in taken):
            function(value)
            continue
        with pytest.raises(InputError) as refused:
            function(value)
            pytest.fail(f"{call} took {value!r}"[:200])
        assert len(str(refused.value)) < 300 and "\n" not in str(refused.value), value


def test_a_hundred_thousand_threads_are_as_many_as_there_are_cores():
    from oco2_outliers.isolation.compiling import in_threads, useful_threads
    from oco2_outliers.isolation.new_rows import NewRows
    from oco2_outliers.isolation.tree import row_tree
    from oco2_outliers.isolation.uniting import labels_at
    from oco2_outliers.isolation.walking import nearest_rows

    seen = []
    in_threads(lambda _: seen.append(threading.active_count()), range(2000), 100_000)
    assert max(seen) <= threading.active_count() + useful_threads(100_000)
    rows = np.random.default_rng(1).normal(size=(3000, 2))
    answers = []
    for threads in (1, 100_000):
        tree = row_tree(rows, threads)
        found = nearest_rows(tree, 4, threads)
        nearest = NewRows(rows, np.zeros(3000), threads).nearest(X)[0]
        answers.append([*labels_at(tree, *found, [0.1], 4, threads), nearest])
    for one, many in zip(*answers):
        np.testing.assert_array_equal(one, many)


@pytest.mark.parametrize("path", ["numpy", "serial", "parallel", "library"])
def test_threads_are_looked_at_on_every_path(path):
    with forced_path(path):
        for wrong in ("2", 2.5, 0, True):
            for call in (lambda n: isolation_radius(X, n_jobs=n), lambda n: sweep(X, n_jobs=n, silhouette=False),
                         lambda n: IsolatedSoundings(n_jobs=n).fit(X)):
                with pytest.raises(InputError, match="n_jobs"):
                    call(wrong)


@pytest.mark.parametrize("name", ["n_estimators", "max_pixels", "n_jobs", "random_state", "contamination", "scale"])
def test_the_forest_of_pictures_refuses_what_is_no_number(name):
    from oco2_outliers.image_forest import ImageForest

    for value in (np.nan, "2", [1], object(), -1e300, 1.5 if name != "contamination" else 0):
        with pytest.raises(InputError):
            ImageForest(**{"n_jobs": 1, name: value}).check_parameters()


@pytest.mark.parametrize("name", ["alpha", "n_surrogates", "box", "wind_error", "random_state", "column"])
def test_the_search_for_plumes_refuses_what_is_no_number(name):
    from oco2_outliers.peaks import find_peaks

    for value in (np.nan, -1, 2.5 if name != "wind_error" else -2.5, [1], object()):
        with pytest.raises(InputError):
            find_peaks([], **{name: value})
