"""Every change that is stated, applied exactly as printed, ends the isolation; where none is stated, none exists."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from oco2_outliers.dbscan import IsolatedSoundings, feature_matrix
from oco2_outliers.isolation.paths import forced_path
from oco2_outliers.isolation.results import change_in_words, result_columns
from oco2_outliers.isolation.squares import squared_distance

PATHS = ["numpy", "serial", "parallel", "library"]
FILLS = [-9.99e8, -999999.0, 1e20, -3.4e38]


def table_of(rng):
    """Rows, eps, min_samples, weights, units and strays: clouds, lattices and copies, at hostile scales, with fills."""
    n, d = int(rng.integers(2, 70)), int(rng.integers(1, 7))
    X = rng.normal(size=(n, d))
    kind = rng.integers(4)
    if kind == 1:
        X = rng.integers(0, 4, (n, d)) * rng.choice([1.0, 0.1, 3.0])  # ties; eps falls on distances
    if kind == 2:
        X = X[rng.integers(0, max(1, n // 3), n)]
    if kind == 3:
        X = X * np.exp(3 * rng.normal(size=(n, 1)))
    scale, offset = rng.choice([1.0, 1.0, 1.0, 1e-9, 1e12]), rng.choice([0.0, 0.0, 1e3, 1e8])
    X = X * scale + offset * (scale == 1)
    square = squared_distance(X[:, None], X[None])
    eps = np.sqrt(np.quantile(square, rng.uniform(0.02, 0.4), method="higher")) or scale
    strays = X[rng.integers(0, n, 8)] + rng.normal(size=(8, d)) * scale * 2
    for i in range(4):
        strays[i, rng.integers(d)] = FILLS[i]
    strays[4] = X[rng.integers(n)]
    strays[4, rng.integers(d)] -= rng.choice([2.0, 7.0]) * eps  # all other features as those of a row
    weight = None if rng.random() < 0.6 else rng.integers(0, 4, n).astype(float)
    if weight is not None:
        weight[0] = 2
    units = np.exp(3 * rng.normal(size=d)) * rng.choice([1, 1e-30, 1e9])
    return X, float(eps), int(rng.integers(1, 7)), weight, units, strays


def rests(x, core):
    """What the other features leave of the squared distance, for each core row and feature: added up without it."""
    gap2 = (core.astype(np.longdouble) - x) ** 2
    return np.stack([np.delete(gap2, j, axis=1).sum(axis=1) for j in range(core.shape[1])], axis=1)


def fraction_rest(x, q, j):
    return sum((Fraction(float(a)) - Fraction(float(b))) ** 2 for k, (a, b) in enumerate(zip(x, q)) if k != j)


def moved(x, j, amount, unit):
    x = x.copy()
    x[j] += amount / unit
    return x


def check_one(model, x, told, units, core):
    """One explained row against all core rows and features, by exact arithmetic where the last digits decide."""
    eps2, names = model.eps_**2, [f"feature {j}" for j in range(len(x))]
    rest = rests(x, core)
    near = np.argwhere(np.abs(rest - eps2) <= 1e-12 * eps2)
    possible = rest < eps2
    for q, j in near:
        possible[q, j] = fraction_rest(x, core[q], j) <= Fraction(model.eps_) ** 2
    if pd.isna(told.change):
        # Exact arithmetic knows no change either; or one so narrow that no sum of two floats meets it.
        for q, j in np.argwhere(possible):
            change = (core[q, j] - x[j]) * units[j]
            for _ in range(10):
                change = np.nextafter(change, -np.inf)
            for _ in range(20):
                assert squared_distance(moved(x, j, change, units[j]), core[q]) > model.eps_ * model.eps_
                change = np.nextafter(change, np.inf)
        return []
    j = names.index(told.feature)
    words = change_in_words("f", told.change, told.change_most).split()
    printed = float(words[1]) * (1 if words[2] == "higher" else -1)
    assert abs(told.change) <= abs(printed) <= abs(told.change_most) and printed * told.change > 0
    if (rest < eps2 * (1 - 1e-6)).any():  # elsewhere there is no room beside the middle
        room = np.where(rest < eps2 * (1 - 1e-6), np.sqrt(np.maximum(eps2 - rest, 0)), np.nan)
        least = np.nanmin(np.abs(core - x) - room)
        widest = max(np.abs(core).max(), np.abs(x).max())
        assert abs(told.change / units[j]) <= least + 1e-8 * model.eps_ + 1e-14 * widest
    return [moved(x, j, amount, units[j]) for amount in (told.change, told.change_most, printed,
                                                         (told.change + told.change_most) / 2)]


def check_table(seed, paths=PATHS):
    """A random table on the paths; returns how many changes were stated and how many were not."""
    X, eps, m, weight, units, strays = table_of(np.random.default_rng(seed))
    stated = silent = 0
    for path in paths:
        with forced_path(path):
            model = IsolatedSoundings(eps=eps, min_samples=m).fit(X, sample_weight=weight)
            core = X[np.isfinite(model._core) & (model._core <= eps * eps)]
            asked = np.vstack([X[model.labels_ == -1], strays])
            asked = asked[model.predict(asked) == -1]
            if not len(asked):
                continue
            why = model.explain(asked, scale=units)
            if not len(core):
                assert why["change"].isna().all()
                continue
            ended = [check_one(model, x, told, units, core) for x, told in zip(asked, why.itertuples())]
            applied = [row for rows in ended for row in rows]
            if applied:
                assert (model.predict(np.array(applied)) == 1).all()
            stated += len(applied)
            silent += sum(not rows for rows in ended)
    return stated, silent


def test_explain_on_a_hundred_random_tables():
    counts = np.sum([check_table(seed, PATHS if seed < 10 else [PATHS[seed % 4]]) for seed in range(100)], axis=0)
    assert counts.min() > 200


@pytest.mark.slow
def test_explain_on_two_thousand_random_tables_on_every_path():
    counts = np.sum([check_table(seed) for seed in range(2000)], axis=0)
    assert counts.min() > 10_000


@pytest.mark.parametrize("path", PATHS)
def test_a_fill_value_is_far_and_still_told_to_the_digit(path):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3))
    with forced_path(path):
        model = IsolatedSoundings(eps=0.8).fit(X)
        row = X[np.argsort(model.radius_)[:1]].copy()
        row[0, 1] = -9.99e8
        why = model.explain(row)
        change = why["change"][0]
        assert why["feature"][0] == "feature 1" and 9.99e8 - 5 < change < 9.99e8 + 5
        row[0, 1] += float(change_in_words("f", change, why["change_most"][0]).split()[1])
        assert model.predict(row) == 1


@pytest.mark.parametrize("path", PATHS)
def test_what_a_table_of_results_prints_ends_the_isolation_in_the_table(path):
    """Applied to the column itself, on the mean and scale of the table, with large means and fills among the rows."""
    stated = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        table = pd.DataFrame({"xco2": 400 + rng.normal(size=120), "psurf": 99_000 + rng.normal(size=120),
                              "albedo": 0.2 + 1e-3 * rng.normal(size=120), "id": 2e9 + rng.integers(0, 9, 120)})
        table.loc[:12, ["xco2", "albedo"]] += rng.normal(size=(13, 2)) * [5, 5e-3]
        if seed % 3 == 0:
            table.loc[5, "xco2"] = -9.99e8
        matrix = feature_matrix(table)
        with forced_path(path):
            model = IsolatedSoundings(eps=0.9, min_samples=4).fit(matrix.X)
            columns = result_columns(model, matrix)
            for row, words in columns.loc[columns["isolated"] & (columns["change"] != ""), "change"].items():
                feature, amount, *_, way = words.split()
                mended = table.loc[[row]].copy()
                mended[feature] += float(amount) * (1 if way == "higher" else -1)
                assert model.predict(matrix.transform(mended)) == 1
                stated += 1
    assert stated > 10


def test_a_unit_that_is_not_known_leaves_the_change_missing():
    model = IsolatedSoundings(eps=1.5, min_samples=2).fit([[0.0], [1.0]])
    why = model.explain([[9.0]], scale=[np.nan])
    assert why["reason"][0] == "feature 0 100%" and np.isnan(why["change"][0]) and np.isnan(why["change_most"][0])
