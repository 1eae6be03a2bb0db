"""The smallest change of one feature: the walk through the tree beside the definition, whoever is asked first."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oco2_outliers.isolation.new_rows import NewRows
from oco2_outliers.isolation.reasons import _nearest_and_move


@st.composite
def questions(draw):
    """Fitted rows, new ones near, far and beside a fill value, a radius and units of the features."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, d = draw(st.integers(1, 300)), draw(st.integers(1, 14))
    kind = draw(st.sampled_from(["lattice", "halves", "clumps", "wide", "copies"]))
    X = {"lattice": lambda: rng.integers(0, 4, (n, d)).astype(float),
         "halves": lambda: rng.integers(-4, 5, (n, d)) / 2,
         "clumps": lambda: rng.normal(size=(n, d)) + 6 * rng.integers(0, 3, (n, 1)),
         "wide": lambda: rng.standard_t(1, (n, d)) * 1e3,
         "copies": lambda: np.repeat(rng.normal(size=(1, d)), n, axis=0)}[kind]()
    new = X[rng.integers(0, n, 30)].copy()
    j = rng.integers(0, d, 30)
    new[np.arange(30), j] += rng.choice([0.5, 1.0, -2.0, 7.0, -9.99e8, 1e20], 30)
    new[::5] += rng.integers(-3, 4, (6, d))
    return X, new, draw(st.sampled_from([0.25, 0.5, 1.0, 2.0, 40.0])), rng.choice([1.0, 0.5, 2.5e-6], d)


def assert_moves_are_the_definition(question, threads):
    X, new, eps, units = question
    least, most, feature = NewRows(X, np.zeros(len(X)), threads).smallest_moves(new, eps, units)
    for i, x in enumerate(new):
        _, _, told_least, told_most, told = _nearest_and_move(x, X, eps, units)
        assert feature[i] == told, (i, x)
        np.testing.assert_array_equal([least[i], most[i]], [told_least, told_most])


@settings(max_examples=40)
@given(questions())
def test_the_walk_is_the_definition(question):
    assert_moves_are_the_definition(question, 1)


@pytest.mark.slow
@settings(max_examples=1000)
@given(questions())
def test_the_walk_is_the_definition_on_more_tables(question):
    assert_moves_are_the_definition(question, 2)


@settings(max_examples=20)
@given(questions(), st.integers(0, 2**32 - 1))
def test_who_is_asked_first_does_not_matter(question, seed):
    """Rows in another order, and in two parts of which the second looks for changes as small as the first one's."""
    X, new, eps, units = question
    whole = NewRows(X, np.zeros(len(X))).smallest_moves(new, eps, units)
    mixed = np.random.default_rng(seed).permutation(X)
    np.testing.assert_array_equal(NewRows(mixed, np.zeros(len(X))).smallest_moves(new, eps, units), whole)
    size = np.where(whole[2] < 0, np.inf, np.abs(whole[0] / units[whole[2]]))
    up_to = NewRows(X, np.zeros(len(X))).smallest_moves(new, eps, units, size)
    np.testing.assert_array_equal(up_to, whole)
    smaller = NewRows(X, np.zeros(len(X))).smallest_moves(new, eps, units, np.nextafter(size, -1))
    assert (smaller[2] < 0)[size < np.inf].all()


def test_a_row_that_is_nobodys_company_is_left_out():
    X = np.array([[0.0, 0.0], [4.0, 0.0]])
    asked = NewRows(X, np.array([0.0, np.inf]))
    least, _, feature = asked.smallest_moves(np.array([[6.0, 0.0]]), 1.0)
    assert feature.tolist() == [0] and np.isclose(least[0], -5)
