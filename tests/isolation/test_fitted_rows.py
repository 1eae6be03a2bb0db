"""What a model keeps of its rows: their numbers in the fitted table, apart from the caller's array, in any unit."""

from __future__ import annotations

import numpy as np
import pytest

from oco2_outliers.isolation.company import DRAWN_ROWS, EXACT_ROWS
from oco2_outliers.isolation.estimator import IsolatedSoundings

DIRECTIONS = np.array([[1, 0], [1, 0.1], [1, 0.2], [2, 0.1], [-1, 0.3]])


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_core_rows_of_a_table_of_which_some_rows_were_drawn(metric):
    X = np.random.default_rng(0).normal(size=(EXACT_ROWS + 500, 3))
    model = IsolatedSoundings(min_samples="auto", metric=metric).fit(X)
    assert 0 < len(model.core_sample_indices_) <= DRAWN_ROWS < model.core_sample_indices_.max()
    np.testing.assert_array_equal(model.components_, X[model.core_sample_indices_])


def test_the_nearest_core_row_is_one_of_the_fitted_table():
    X = np.random.default_rng(1).normal(size=(EXACT_ROWS + 500, 3))
    model = IsolatedSoundings(min_samples="auto").fit(X)
    new = np.array([[6.0, 0, 0], [0, -7, 2], [4, 4, 4]])
    told = model.explain(new)
    apart = np.linalg.norm(new[:, None] - model.components_, axis=2)
    assert told["nearest_core"].tolist() == model.core_sample_indices_[apart.argmin(axis=1)].tolist()
    np.testing.assert_allclose(told["distance"], np.linalg.norm(X[told["nearest_core"]] - new, axis=1), rtol=1e-12)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("metric", ["euclidean", "cosine", "manhattan"])
def test_numbers_that_are_written_into_the_array_later_do_not_matter(metric, order):
    rng = np.random.default_rng(2)
    X, new = np.asarray(rng.normal(size=(300, 3)), order=order), rng.normal(size=(20, 3))
    expected = IsolatedSoundings(eps=0.4, metric=metric).fit(X.copy()).score_samples(new)
    model = IsolatedSoundings(eps=0.4, metric=metric).fit(X)
    X[:] = 1e6
    np.testing.assert_array_equal(model.score_samples(new), expected)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("zeros", [0, 1])
def test_directions_do_not_depend_on_the_unit(zeros, weighted):
    X = np.vstack([DIRECTIONS, np.zeros((zeros, 2))])
    weight = np.ones(len(X)) if weighted else None
    models = [IsolatedSoundings(eps=0.1, min_samples=2, metric="cosine").fit(X * unit, sample_weight=weight)
              for unit in (1.0, 2.0**-60, 1e-16)]
    for unit, model in zip((1.0, 2.0**-60, 1e-16), models):
        assert model.labels_.tolist() == [0, 0, 0, 0, -1] + zeros * [-1]
        np.testing.assert_allclose(model.score_samples(DIRECTIONS * unit), models[0].score_samples(DIRECTIONS),
                                   atol=1e-15)


@pytest.mark.parametrize("columns", [1, 33, 40])
@pytest.mark.parametrize("size", [1e30, 1e60, 1e100])
@pytest.mark.parametrize("n_new", [1, 3, 140])
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_a_row_equal_to_all_fitted_ones_lies_at_no_distance(columns, size, n_new):
    row = np.random.default_rng(3).normal(size=(1, columns)) * size
    model = IsolatedSoundings(min_samples=1, eps=1.0).fit(np.repeat(row, 70, axis=0))
    assert (model.score_samples(np.repeat(row, n_new, axis=0)) == 0).all()
