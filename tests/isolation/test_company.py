"""With a twentieth of the rows as company: bad rows in groups are found, clean tables are left alone."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.estimator_checks import parametrize_with_checks

from oco2_outliers.ground.errors import InputError
from oco2_outliers.isolation.company import group_size
from oco2_outliers.isolation.estimator import IsolatedSoundings
from oco2_outliers.isolation.features import feature_matrix
from oco2_outliers.isolation.radii import isolation_radius
from oco2_outliers.isolation.sweeps import sweep
from oco2_outliers.isolation.tails import tail_eps
from oco2_outliers.main_job import isolate
from oco2_outliers.soundings import read_soundings


def track_with_bad_groups(seed: int, n: int = 800) -> tuple[pd.DataFrame, np.ndarray]:
    """A pass of ordinary xco2 with three groups of bad retrievals, nine soundings each, and which rows they are."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"xco2": 400 + rng.normal(size=n), "xco2_uncertainty": 0.5 + 0.1 * rng.random(n)})
    bad = np.concatenate([start + np.arange(9) for start in (100, 400, 650)])
    table.loc[bad, "xco2"] -= np.repeat([30.0, 22.0, 26.0], 9) + 0.02 * rng.normal(size=27)
    table.loc[bad, "xco2_uncertainty"] = 0.7 + 0.001 * rng.random(27)
    return table, bad


@pytest.mark.parametrize("seed", range(5))
def test_groups_of_bad_soundings_are_found(seed):
    table, bad = track_with_bad_groups(seed)
    result = isolate(table)
    isolated = np.flatnonzero(result.table["isolated"])
    assert set(bad) <= set(isolated) and len(isolated) - len(bad) <= 0.02 * len(table)
    first = isolate(table, preset="original")
    assert not first.table["isolated"].iloc[bad].all()  # five of a kind keep each other company
    assert first.min_samples == 5 and first.summary["parameters"]["scale"] == "standard"


@given(st.integers(0, 10**6), st.integers(50, 400), st.integers(1, 6))
@settings(max_examples=40)
def test_the_threshold_is_no_higher_than_the_largest_radius_and_moves_with_the_unit(seed, n, d):
    rows = np.random.default_rng(seed).standard_t(3, size=(n, d))
    radius = isolation_radius(rows, "auto")
    eps = tail_eps(radius, d).eps
    assert 0 < eps <= radius.max()
    np.testing.assert_array_equal(tail_eps(8 * radius, d).eps, 8 * eps)
    np.testing.assert_array_equal(radius, isolation_radius(rows, group_size(n)))


def test_a_few_rows_are_ranked_and_none_is_called():
    result = isolate(pd.DataFrame({"xco2": [*np.linspace(400, 401, 12), 450.0]}))
    assert not result.table["isolated"].any() and result.table["score"].idxmax() == 12
    assert "13 rows, too few to say what is ordinary" in str(result)


def test_a_table_that_is_mostly_junk_is_said_to_be():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"xco2": np.r_[400 + 0.1 * rng.normal(size=60), rng.uniform(300, 500, 40)]})
    result = isolate(table)
    assert result.rule == "knee of the radii" and "no one ordinary group" in str(result)
    assert 0 < result.table["isolated"].sum() < 50


def test_robust_spreads():
    rng = np.random.default_rng(1)
    table = pd.DataFrame({"a": rng.normal(5, 2, 2000), "rare": (rng.random(2000) < 0.08).astype(float)})
    table.loc[:199, "a"] = 1e6
    matrix = feature_matrix(table, scale="robust")
    assert 2 < matrix.scale["a"] < 4 and abs(matrix.mean["a"] - 5) < 0.5
    ones = table["rare"].mean()
    assert ones < 0.1 and matrix.scale["rare"] == pytest.approx(np.sqrt(ones))  # 80 % of the values are equal
    for bad, limit in ((100, 2.5), (400, 7), (480, 10)):  # of 2,000 rows
        table.loc[:, "a"] = rng.normal(5, 2, 2000)
        table.loc[: bad - 1, "a"] = 1e6
        assert feature_matrix(table, scale="robust").scale["a"] < limit
    normal = feature_matrix(pd.DataFrame({"a": rng.normal(5, 2, 20_000)}), scale="robust")
    assert abs(normal.scale["a"] - 2) < 0.05
    copies = pd.DataFrame({"a": rng.standard_t(2, 500)}).assign(b=lambda table: 3 - 7 * table["a"])
    assert feature_matrix(copies, scale="robust").duplicate == {"b": "a"}
    with pytest.raises(InputError, match="scale must be"):
        feature_matrix(table, scale="minmax")
    with pytest.raises(InputError, match="preset must be"):
        isolate(table, preset="best")


@parametrize_with_checks([IsolatedSoundings(eps=0.9, min_samples="auto")])
def test_the_estimator_keeps_the_rules(estimator, check):
    check(estimator)


def test_rows_of_a_large_table_are_compared_with_drawn_ones():
    rng = np.random.default_rng(2)
    rows = np.vstack([rng.normal(size=(12_000, 3)), rng.normal(size=(30, 3)) * 0.1 + 12])
    model = IsolatedSoundings(min_samples="auto").fit(rows)
    np.testing.assert_array_equal(model.labels_ == -1, model.radius_ > model.eps_)
    np.testing.assert_array_equal(-model.score_samples(rows), model.radius_)
    np.testing.assert_array_equal(model.predict(rows) == -1, model.labels_ == -1)
    assert model.min_samples_ == 100 and (model.labels_[12_000:] == -1).all()
    assert (model.labels_ == -1).sum() < 60
    np.testing.assert_array_equal(isolation_radius(rows, "auto"), model.radius_)
    swept = sweep(rows, eps=[model.eps_], min_samples="auto", random_state=0)
    np.testing.assert_array_equal(swept.labels(0), model.labels_)
    why = model.explain(rows[-3:])
    assert (why["nearest_core"] >= 0).all() and (why["reason"] != "").all()
    again = IsolatedSoundings(min_samples="auto", random_state=7).fit(rows)
    assert np.median(np.abs(again.radius_ / model.radius_ - 1)) < 0.05


def test_half_of_a_pass_gives_nearly_the_same():
    both = either = 0
    for seed in range(8):
        table, _ = track_with_bad_groups(seed)
        half = table.sample(frac=0.5, random_state=seed)
        whole, part = isolate(table).table.loc[half.index, "isolated"], isolate(half).table["isolated"]
        both, either = both + int((whole & part).sum()), either + int((whole | part).sum())
    assert both / either >= 0.8


def counted_in(tables):
    """How many values are absurd, how many rows isolated, how many both, and how many rows there are."""
    counts = np.zeros(4, int)
    for table in tables:
        found = isolate(table).table
        wrong = ~found["xco2"].between(380, 430)
        counts += [wrong.sum(), found["isolated"].sum(), (wrong & found["isolated"]).sum(), len(found)]
    return counts


def real_passes(shared_data):
    tables = map(read_soundings, sorted((shared_data / "soundings" / "lite_v10r_ohio").glob("*.nc4")))
    return [table for table in tables if len(table) >= 50]


@pytest.mark.slow
def test_gross_values_of_real_passes_are_isolated(shared_data):
    """Of the passes that hold any; and a twelfth of the others, of which little is isolated."""
    passes = real_passes(shared_data)
    odd = [not table["xco2"].between(380, 430).all() for table in passes]
    gross, _, both, _ = counted_in(table for table, is_odd in zip(passes, odd) if is_odd)
    assert gross > 200 and both / gross >= 0.8
    _, isolated, _, rows = counted_in([table for table, is_odd in zip(passes, odd) if not is_odd][::12])
    assert isolated / rows <= 0.03


@pytest.mark.slow
def test_gross_values_of_all_real_passes_are_isolated(shared_data):
    gross, isolated, both, rows = counted_in(real_passes(shared_data))
    assert both / gross >= 0.8 and isolated / rows <= 0.03


def test_the_numbers_that_stand_for_missing_are_known_to_a_millionth():
    from oco2_outliers.isolation import reporting

    rng = np.random.default_rng(0)
    fills = np.array(reporting._FILLS)
    values = np.concatenate([fills, fills * (1 + 9e-7), fills * (1 + 2e-6), rng.normal(0, 1e5, 500),
                             [0.0, np.nan, np.inf, -np.inf, 5e-324]])
    wanted = np.isclose(values[:, None], fills, rtol=1e-6, atol=0).any(axis=1)
    np.testing.assert_array_equal(reporting._usual_fill(values), wanted)
    assert not reporting._usual_fill(np.full(3, np.nan)).any()
