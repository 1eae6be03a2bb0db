"""A table that does not fit is searched in slabs: the same radii, labels and reasons as in memory."""


import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st
from swift_server.fixtures import server  # noqa: F401

from oco2_outliers.dbscan import IsolatedSoundings
from oco2_outliers.runs.pooling import pool_rows
from oco2_outliers.runs.slabs import Slabs


@st.composite
def clouds(draw):
    """Lattices, copies, clumps; few rows and more."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, d = draw(st.integers(1, 120)), draw(st.integers(1, 4))
    kind = draw(st.sampled_from(["lattice", "clumps", "wide", "halves"]))
    X = {"lattice": lambda: rng.integers(0, 5, (n, d)).astype(float),
         "halves": lambda: rng.integers(-4, 5, (n, d)) / 2,
         "clumps": lambda: rng.normal(size=(n, d)) + 6 * rng.integers(0, 3, (n, 1)),
         "wide": lambda: rng.standard_t(1, (n, d))}[kind]()
    return np.vstack([X, X[: draw(st.integers(0, n // 2))]])


@settings(max_examples=50, deadline=None)
@given(X=clouds(), m=st.integers(1, 6), own=st.integers(1, 60), eps=st.sampled_from([0.3, 0.5, 1.0, 2**0.5, 2.0, 50.0]),
       room=st.integers(0, 200), few=st.sampled_from([0, 3, 1000]))
def test_slabs_are_the_method_in_memory(X, m, own, eps, room, few):
    m = min(m, len(X))
    slabs = Slabs(X, m, own, own + room)
    slabs.few = few
    slabs.search()
    model = IsolatedSoundings(eps, m).fit(X)
    assert (slabs.radii() == model.radius_).all()
    assert (slabs.labels(eps) == model.labels_).all()


def test_slabs_in_twenty_features_keep_to_their_room():
    """There every slab meets every block: few rows are certain, and the halo of the labels is everything."""
    X = np.random.default_rng(2).normal(size=(1500, 20))
    slabs = Slabs(X, 5, 200, 400)
    slabs.search()
    model = IsolatedSoundings(4.5, 5).fit(X)
    assert (slabs.radii() == model.radius_).all() and (slabs.labels(4.5) == model.labels_).all()
    assert 0 < (model.labels_ == -1).sum() < len(X)


def test_slabs_on_disk_with_a_lonely_row_and_reasons(tmp_path):
    rng = np.random.default_rng(1)
    X = np.vstack([rng.normal(size=(3000, 5)), [[40, 0, 0, 0, 0], [0, -90, 3, 0, 0]], rng.normal(5, 1, (2000, 5))])
    names = [f"f{j}" for j in range(5)]
    model = IsolatedSoundings(1.5, 5).fit(pd.DataFrame(X, columns=names))
    pool = pool_rows(X, 1.5, 5, names, np.ones(5), 150_000, tmp_path)
    assert (tmp_path / "X.npy").exists()
    assert (pool.score == model.radius_).all() and (pool.cluster == model.labels_).all()
    why = model.explain(pd.DataFrame(X[model.labels_ == -1], columns=names))
    assert pool.why["reason"].tolist() == why["reason"].tolist()
    np.testing.assert_array_equal(pool.why["change"], why["change"])
