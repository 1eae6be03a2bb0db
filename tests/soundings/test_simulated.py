"""The generated granule: reproducible, plausible, and with an instrument's habits."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from scipy.spatial import cKDTree

from oco2_outliers.ground.errors import InputError
from oco2_outliers.soundings import simulate_granule, sounding_footprint, sounding_time


@pytest.mark.parametrize("seed", range(5))
def test_granule_is_reproducible_and_names_its_bad_soundings(seed):
    one, other = simulate_granule(seed, n_seconds=60), simulate_granule(seed, n_seconds=60)
    pd.testing.assert_frame_equal(one.soundings, other.soundings)
    pd.testing.assert_frame_equal(one.truth, other.truth)
    soundings, truth = one
    assert len(truth) == 8 and truth["sounding_id"].isin(soundings["sounding_id"]).all()
    assert soundings["sounding_id"].is_unique and soundings["sounding_id"].is_monotonic_increasing
    assert not soundings.isna().any().any()
    assert (soundings["footprint"] == sounding_footprint(soundings["sounding_id"])).all()
    off = soundings["time"] - pd.Series(sounding_time(soundings["sounding_id"]))
    # -0.138 to 0.116 s, as in 89,125 real soundings
    assert off.min() >= pd.Timedelta("-0.140s") and off.max() <= pd.Timedelta("0.118s")


@settings(max_examples=25)
@given(st.integers(0, 2**32), st.floats(-40, 40), st.floats(-180, 180), st.integers(0, 364), st.floats(1, 60))
def test_granule_is_plausible_anywhere(seed, lat, lon, day, n_seconds):
    date = str(np.datetime64("2015-01-01") + day)
    soundings, _ = simulate_granule(seed, n_seconds, center=(lat, lon), date=date, n_bad=0)
    assert soundings["latitude"].between(-82, 82).all() and soundings["longitude"].between(-180, 180).all()
    assert soundings["xco2"].between(385, 425).all() and soundings["xco2_uncertainty"].between(0.3, 3).all()
    assert soundings["psurf"].between(700, 1050).all() and soundings["tcwv"].between(0, 80).all()
    assert soundings[["albedo_o2a", "albedo_wco2", "albedo_sco2"]].stack().between(0, 1).all()
    assert set(sounding_time(soundings["sounding_id"]).strftime("%Y-%m-%d")) <= {
        str(np.datetime64(date) + k) for k in (-1, 0, 1)}


@pytest.mark.parametrize("bad", [
    {"center": (70, 0), "date": "2019-12-21"}, {"n_seconds": 0},
    {"n_seconds": 1e9}, {"n_seconds": float("nan")}, {"center": (89, 0)}, {"center": (0, 999)},
    {"date": "NaT"},
    {"date": 2019}, {"date": None}, {"date": "20190-01-01"}, {"n_seconds": "60"}, {"n_seconds": None}, {"n_bad": 1.5},
    {"n_bad": "8"}, {"center": 40}, {"center": ("a", "b")}, {"center": (1, 2, 3)}, {"center": (np.nan, 0)},
    {"sigma": "x"}, {"delta": None}, {"cloud_fraction": [0.1]}, {"random_state": "x"}, {"random_state": -1},
    {"random_state": 1.5}, {"delta": 10**400}, {"n_seconds": True},
    {"date": "yesterday"}, {"n_bad": -1}, {"sigma": 0}, {"cloud_fraction": 1}, {"delta": float("inf")}])
def test_granule_parameters_are_checked(bad):
    with pytest.raises(InputError) as error:
        simulate_granule(**{"random_state": 0, **bad})
    assert "\n" not in str(error.value)


def test_raw_xco2_is_the_bias_correction_undone():
    soundings = simulate_granule(0, 60, n_bad=0).soundings.drop(columns="time").astype(float)
    stripes = np.array([-0.51, -0.24, -0.20, -0.15, 0.11, 0.40, 0.20, 0.39])  # attribute Footprint_bias_land, v10r
    corrected = (soundings["xco2_raw"] + 0.855 * soundings["dpfrac"] + 0.0335 * (soundings["co2_grad_del"] - 5)
                 - stripes[soundings["footprint"].astype(int) - 1]) / 0.9959
    np.testing.assert_allclose(corrected, soundings["xco2"], atol=2e-4)
    dpfrac = soundings["xco2_raw"] * (1 - soundings["psurf_apriori_o2a"] / soundings["psurf"])
    np.testing.assert_allclose(dpfrac, soundings["dpfrac"], atol=1e-3)
    np.testing.assert_allclose(soundings["psurf"] - soundings["psurf_apriori_o2a"], soundings["dp_o2a"], atol=2e-4)


def test_neighbours_share_their_error_and_strangers_do_not():
    near, far = [], []
    for seed in range(8):
        soundings = simulate_granule(seed, 200, delta=0, n_bad=0, cloud_fraction=0).soundings
        middle = soundings[soundings["footprint"] == 4]
        error = (middle["xco2"] - middle["xco2"].rolling(45, center=True).mean()).dropna().to_numpy()
        near.append(np.corrcoef(error[:-1], error[1:])[0, 1])  # 2.25 km
        far.append(np.corrcoef(error[:-15], error[15:])[0, 1])  # 34 km
    assert 0.15 < np.mean(near) < 0.5 and np.mean(far) < 0.05


@pytest.mark.parametrize("seed", range(6))
def test_bad_soundings_stand_alone_and_the_plume_does_not(seed):
    soundings, truth = simulate_granule(seed, 130)
    features = soundings.drop(columns=["sounding_id", "time", "latitude", "longitude", "orbit"]).astype(float)
    features = features.loc[:, features.std() > 0]
    tree = cKDTree((features - features.mean()) / features.std())
    fourth = pd.Series(tree.query(tree.data, k=5)[0][:, 4])
    bad = soundings["sounding_id"].isin(truth["sounding_id"])
    assert fourth[bad].min() > 1.3 * fourth[~bad].max()
    plume = truth.attrs["plume"]
    inside = (soundings["latitude"] - plume["latitude"]).abs() < plume["sigma_km"] / 111
    assert fourth[inside & ~bad].median() < 1.3 * fourth[~bad].median()
