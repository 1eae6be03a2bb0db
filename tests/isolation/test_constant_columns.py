"""A column is constant when its values are equal, at any size of the numbers."""

import numpy as np
import pandas as pd
import pytest

from oco2_outliers.dbscan import feature_matrix
from oco2_outliers.ground.errors import InputError
from oco2_outliers.main_job import isolate
from oco2_outliers.scale import map_files

RNG = np.random.default_rng(0)
PLAIN, OTHER = RNG.normal(size=40), RNG.normal(size=40)
SIZES = [5e-320, 1e-300, 1e-200, 1e-170, 1e-154, 1e-120, 1e-100, 1.0, 1e100, 1e140]


@pytest.mark.parametrize("size", SIZES)
def test_columns_of_any_size_are_features_and_their_copies_are_found(size):
    table = pd.DataFrame({"x": OTHER, "a": PLAIN * size, "same": size, "b": -2 * PLAIN * size})
    matrix = feature_matrix(table)
    assert matrix.constant == ["same"] and matrix.features[:2] == ["x", "a"]
    rounded = np.ldexp(table["a"], 0)
    wanted = (rounded - rounded.mean()) / (np.std(table["a"].to_numpy() / size) * size)
    if size > 1e-300:  # below, the numbers themselves have few digits
        assert matrix.duplicate == {"b": "a"}
        np.testing.assert_allclose(matrix.X["a"], wanted, rtol=1e-12)
        np.testing.assert_array_equal(matrix.transform(table)["a"], matrix.X["a"])


@pytest.mark.parametrize("size", [1e155, 1e200, 1e308])
def test_equal_large_numbers_are_constant_and_others_are_refused_by_name(size):
    assert feature_matrix(pd.DataFrame({"x": OTHER, "a": [size] * 40})).constant == ["a"]
    with pytest.raises(InputError, match="column 'a' holds a number too large to compare"):
        feature_matrix(pd.DataFrame({"x": OTHER, "a": np.linspace(0.1, 1, 40) * size}))


def test_rounding_is_no_spread_at_any_size():
    for size in (1e-200, 1.0, 1e100):
        noisy = np.where(np.arange(40) % 2, 1.0, 1.0 + 2.0**-52) * size
        assert feature_matrix(pd.DataFrame({"x": OTHER, "a": noisy})).constant == ["a"]


@pytest.mark.parametrize("size", [1e-300, 1e-200, 1e-160, 1e100])
def test_a_run_and_isolate_agree(size, tmp_path):
    table = pd.DataFrame({"sounding_id": 2019071518322000 + np.arange(40), "x": OTHER, "a": PLAIN * size,
                          "b": 3 * PLAIN * size, "same": size})
    (tmp_path / "in").mkdir()
    for k, rows in enumerate((table.iloc[:15], table.iloc[15:])):
        rows.to_csv(tmp_path / "in" / f"{k}.csv", index=False)
    result = map_files(tmp_path / "in", "isolate", out=tmp_path / "out", scale_over="run",
                       parameters={"preset": "original"})
    alone = isolate(table, eps=1.0, preset="original").matrix
    assert result.scaling["features"] == alone.features == ["x", "a"]
    assert result.scaling["constant"] == alone.constant and result.scaling["duplicate"] == alone.duplicate
    np.testing.assert_allclose(result.scaling["scale"], alone.scale, rtol=1e-12)
