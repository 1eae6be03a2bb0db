"""The three backgrounds, beside a window around every sounding."""

from __future__ import annotations

import numpy as np
import pytest
from naive import naive_background

from oco2_outliers.ground.errors import InputError
from oco2_outliers.soundings import background, enhancement, simulate_granule, track_distance


def test_background_agrees_with_the_window_around_every_sounding():
    soundings = simulate_granule(5, 60, n_bad=0).soundings
    found, naive = background(soundings, window=100), naive_background(soundings, 100)
    np.testing.assert_allclose(found["median"], naive[:, 0], atol=0.1)  # nodes are 5 km apart
    np.testing.assert_allclose(found["low"], naive[:, 1], atol=0.15)
    assert np.abs(found["median"] - naive[:, 0]).mean() < 0.02
    np.testing.assert_allclose(found["uncertainty"], found[["median", "linear", "low"]].std(axis=1))


def test_robust_line_finds_a_slope_through_outliers():
    soundings = simulate_granule(6, 120, delta=0, n_bad=0).soundings
    distance = track_distance(soundings).to_numpy()
    noise = np.random.default_rng(0).normal(0, 0.5, len(distance))
    soundings["xco2"] = 400 + 0.01 * distance + noise
    soundings.loc[::10, "xco2"] += 20
    found = background(soundings)
    assert (found["linear"] - 400 - 0.01 * distance).abs().max() < 0.35  # to the very end, where the median is 0.5 off
    assert (found["median"] - 400 - 0.01 * distance).abs().max() > 0.4


def test_enhancement_is_the_difference_and_missing_where_nothing_is_known():
    soundings = simulate_granule(6, 30).soundings
    soundings.loc[3, "xco2"] = np.nan
    for method in ("median", "linear", "low"):
        above = enhancement(soundings, method=method)
        expected = soundings["xco2"].astype(float) - background(soundings)[method]
        np.testing.assert_array_equal(above["xco2_enhancement"], expected)
        assert above["xco2_enhancement"].isna().sum() == 1 and np.isnan(above["xco2_enhancement"][3])
    assert background(soundings.iloc[:10]).isna().all().all()
    soundings["xco2_quality_flag"] = 1
    assert background(soundings).isna().all().all()
    assert len(enhancement(soundings.iloc[:0])) == 0
    for bad in [{"method": "best"}, {"column": "co2"}, {"window": 0}, {"window": float("nan")}]:
        with pytest.raises(InputError):
            enhancement(soundings, **bad)
