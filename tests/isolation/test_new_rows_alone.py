"""New rows give the same answers whether they walk alone, in company, or first alone and then in company."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oco2_outliers.dbscan import IsolatedSoundings
from oco2_outliers.isolation import new_rows
from oco2_outliers.isolation.new_rows import NewRows


def brute(new, X, core2, within):
    """Word for word: features are added in their order, ties go to the lowest row."""
    best, where = np.full(len(new), np.inf), np.full(len(new), -1)
    for i, x in enumerate(new):
        square = np.zeros(len(X))
        for j in range(X.shape[1]):
            square += (x[j] - X[:, j]) ** 2
        reach = np.maximum(core2, square)
        if reach.min() <= within[i]:
            best[i], where[i] = reach.min(), reach.argmin()
    return best, where


@st.composite
def tables(draw):
    seed, n, d = draw(st.integers(0, 10**6)), draw(st.integers(1, 700)), draw(st.integers(1, 14))
    rng = np.random.default_rng(seed)
    X = rng.standard_t(3, size=(n, d)) if draw(st.booleans()) else rng.integers(0, 4, (n, d)).astype(float)
    new = X[rng.integers(0, n, 80)] + draw(st.sampled_from([0.0, 0.1, 5.0])) * rng.normal(size=(80, d))
    core2 = rng.choice([0.0, 1.0, np.inf], n) if draw(st.booleans()) else rng.random(n)
    within = rng.choice([np.inf, 0.0, 0.5, 4.0], 80)
    return new, X, core2, within


@pytest.mark.parametrize("most", [1, 2, 5, 128])
@settings(max_examples=15)
@given(tables())
def test_the_obvious_way(most, table):
    new, X, core2, within = table
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(new_rows, "_MOST_LEAVES", most)
        best, where = NewRows(X, core2, 2).nearest(new, within=within)
        enough = 1.0
        some = NewRows(X, core2).nearest(new, enough, within)[0]
    told, there = brute(new, X, core2, within)
    known = told < np.inf
    assert np.array_equal(best[known], told[known]) and np.array_equal(where[known], there[known])
    for found in (best, some):
        assert ((found > within) | np.isinf(found))[~known].all(), "any value above will do"
    close = known & (told <= enough)
    assert (some[close] <= np.minimum(enough, within[close])).all(), "any value up to `enough` will do"
    assert np.array_equal(some[known & ~close], told[known & ~close])


@pytest.fixture
def grown(monkeypatch):
    """How many rows each tree has that is grown from now on."""
    sizes, real = [], new_rows.row_tree
    monkeypatch.setattr(new_rows, "row_tree", lambda rows, *rest: sizes.append(len(rows)) or real(rows, *rest))
    return sizes


def test_a_model_keeps_its_tree_and_a_saved_one_leaves_it_out(grown):
    rng = np.random.default_rng(0)
    X, new = rng.normal(size=(5_000, 4)), rng.normal(size=(7, 4)) * 2
    model = IsolatedSoundings(0.5, 5).fit(X)
    empty = len(pickle.dumps(model))
    first = model.predict(new), model.score_samples(new)
    grown.clear()
    again = model.predict(new), model.score_samples(new)
    assert np.array_equal(first, again) and max(grown) == len(new), "the fitted rows are sorted once"
    assert len(pickle.dumps(model)) <= empty
    there = pickle.loads(pickle.dumps(model))
    assert np.array_equal(there.score_samples(new), again[1])
    model.fit(X[:2_500] + 100)
    assert (model.predict(new) == -1).all(), "fitted anew, the model forgets the former rows"
    assert np.array_equal(model.set_params(n_jobs=1).score_samples(new), model.set_params(n_jobs=2).score_samples(new))


def test_reasons_keep_the_tree_of_core_rows_until_the_model_is_fitted_anew(grown):
    rng = np.random.default_rng(0)
    X, new = rng.normal(size=(5_000, 4)), rng.normal(size=(7, 4)) * 5
    model = IsolatedSoundings(0.5, 5).fit(X)
    empty = len(pickle.dumps(model))
    first = model.explain(new)
    assert max(grown) == len(model.core_sample_indices_)
    grown.clear()
    assert model.explain(new).equals(first) and max(grown) == len(new), "the core rows are sorted once"
    assert len(pickle.dumps(model)) <= empty and pickle.loads(pickle.dumps(model)).explain(new).equals(first)
    far = np.full((1, 4), 1e150)  # compared in another unit, and after it usual rows again
    assert model.explain(far).equals(IsolatedSoundings(0.5, 5).fit(X).explain(far))
    assert model.explain(new).equals(first)
    model.fit(X[:2_500] + 100)
    assert model.explain(new).equals(IsolatedSoundings(0.5, 5).fit(X[:2_500] + 100).explain(new))


def test_numbers_without_plain_squares_beside_a_kept_tree():
    """Rows of 1e-200 or 1e150 are compared in another unit, before and after usual ones were asked."""
    X = np.random.default_rng(0).normal(size=(4_500, 3))
    model = IsolatedSoundings(0.5, 5).fit(X)
    for new in ([[0.0, 0.0, 1e-200]], [[0.1, 0.2, 0.3]], [[1e145, 0.0, 0.0]], [[0.0, 0.0, 0.0]]):
        alone = IsolatedSoundings(0.5, 5).fit(X)
        assert model.score_samples(new) == alone.score_samples(new), new
        assert model.predict(new) == alone.predict(new) == (1 if max(new[0]) < 1 else -1)
