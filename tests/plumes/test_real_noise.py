"""Mirror test, a given wind, what was left out, and doubts about peaks."""

import json

import numpy as np
import pytest

from oco2_outliers.ground.errors import InputError
from oco2_outliers.peaks import find_peaks
from oco2_outliers.soundings import simulate_granule, track_distance


def test_mirror_wind_and_left_out_are_in_the_results(tmp_path):
    soundings = simulate_granule(0, n_seconds=60, delta=5)[0]
    soundings = soundings.drop(columns=["windspeed_u_met", "windspeed_v_met"], errors="ignore")
    soundings.loc[soundings.index[50], "xco2"] = np.nan
    found = find_peaks(soundings, tmp_path, n_surrogates=39, mirror=True, wind=(3, -4), figures=False)
    mirror = json.loads((tmp_path / "summary.json").read_text("utf-8"))["mirror"]
    assert mirror["orbits"] == 1 and mirror["interval"][0] <= mirror["share"] <= mirror["interval"][1]
    assert found.peaks[["windspeed_u", "windspeed_v"]].eq([3, -4]).all(axis=None)
    assert (tmp_path / "left_out.csv").exists() and 50 in set(found.left_out["row"])
    assert any("mirrored" in note for note in found.notes)


@pytest.mark.parametrize("wind", ["3,4", (1,), (1, np.nan), ("a", 2)])
def test_a_wind_is_two_numbers(wind):
    with pytest.raises(InputError, match="two numbers"):
        find_peaks(simulate_granule(0, n_seconds=10)[0], wind=wind)


def tracks_that_scatter_unevenly(n, seed=0):
    """Tracks without a plume whose soundings scatter six times as much on one half as on the other."""
    made = []
    for k in range(n):
        rows = simulate_granule(900 + seed + k, n_seconds=60, delta=0)[0]
        rng, loud = np.random.default_rng(seed + k), np.arange(len(rows)) > len(rows) / 2
        made.append(rows.assign(xco2=rows["xco2"] + rng.normal(0, np.where(loud, 3.0, 0.5))))
    return made


def test_mirrored_tracks_are_rarely_flagged_on_generated_noise():
    """The quick twin of the test on real files."""
    found = find_peaks(tracks_that_scatter_unevenly(8), n_surrogates=39, mirror=True)
    assert found.summary["mirror"]["orbits"] == 8 and found.summary["mirror"]["dips_passed"] <= 2
    assert (found.orbits["mirrored_p_value"] <= 0.05).sum() == found.summary["mirror"]["dips_passed"]


@pytest.mark.slow
def test_mirrored_real_tracks_are_flagged_about_as_often_as_promised(shared_data):
    files = sorted((shared_data / "soundings" / "lite_v10r_ohio").glob("*.nc4"))
    mirror = find_peaks(files, n_surrogates=200, mirror=True, figures=False).summary["mirror"]
    assert mirror["orbits"] >= 100 and mirror["interval"][0] <= 0.05


@pytest.mark.parametrize("half_width", [17, 25])
def test_a_lake_is_told_and_is_no_peak(half_width):
    rows = simulate_granule(3, n_seconds=130, delta=0)[0]
    along = track_distance(rows).to_numpy()
    rows["xco2"] += np.where(np.abs(along - np.median(along)) < half_width, 4.0, 0.0)
    found = find_peaks(rows, n_surrogates=39)
    assert not len(found.peaks) and found.orbits["p_value"][0] > 0.05
    assert any("a box fits better than a plume" in note for note in found.notes)


def test_a_group_far_off_is_left_out_by_name_and_makes_no_peak():
    rows = simulate_granule(3, n_seconds=60, delta=0)[0]
    bad = rows["latitude"].between(*rows["latitude"].quantile([0.5, 0.53]))
    rows.loc[bad, "xco2"] += 25
    found = find_peaks(rows, n_surrogates=39)
    assert not len(found.peaks)
    why = found.left_out.set_index("row")["why"]
    assert why.reindex(np.flatnonzero(bad)).isin(["flagged as bad", "far off the median within 50 km"]).all()


def test_a_wind_fills_only_what_is_missing():
    rows = simulate_granule(0, n_seconds=60, delta=5)[0]
    own = find_peaks(rows, n_surrogates=39).peaks
    assert find_peaks(rows, n_surrogates=39, wind=(3, -4)).peaks.equals(own)
    assert not own[["windspeed_u", "windspeed_v"]].eq([3, -4]).any(axis=None)


def test_a_peak_higher_than_plumes_is_doubted():
    found = find_peaks(simulate_granule(0, n_seconds=60, delta=7)[0], n_surrogates=39).peaks
    assert len(found) == 1 and "more than chimneys make" in found["suspect"][0]
