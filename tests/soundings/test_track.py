"""Kilometres along the track: great circles, poles, the dateline, and real tracks."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from lite_files import LITE, SECUNDA, needs_real

from oco2_outliers.ground.errors import InputError
from oco2_outliers.soundings import read_lite, simulate_granule, track_distance


def circle(pole_lat, pole_lon, degrees):
    """Points (lat, lon) at these angles on the great circle around a pole."""
    a, b = np.radians(pole_lat), np.radians(pole_lon)
    normal = np.array([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)])
    first = np.cross(normal, [0.0, 0, 1] if abs(normal[2]) < 0.9 else [1.0, 0, 0])
    first /= np.linalg.norm(first)
    t = np.radians(degrees)[:, None]
    x = np.cos(t) * first + np.sin(t) * np.cross(normal, first)
    return np.degrees(np.arcsin(np.clip(x[:, 2], -1, 1))), np.degrees(np.arctan2(x[:, 1], x[:, 0]))


@settings(max_examples=60)
@given(st.floats(-90, 90), st.floats(-180, 180), st.floats(0, 360), st.floats(0.05, 300), st.integers(2, 200),
       st.integers(0, 99))
def test_distance_on_any_great_circle_is_the_arc(pole_lat, pole_lon, start, length, n, seed):
    degrees = np.sort(np.random.default_rng(seed).uniform(0, length, n))
    # an arc of more than half the circle is known only when no gap in it is larger than the part left out
    if np.diff(degrees).max() > (360 - (degrees[-1] - degrees[0])) * 0.9 or (n == 2 and length > 170):
        return
    lat, lon = circle(pole_lat, pole_lon, start + degrees)
    distance = track_distance(pd.DataFrame({"latitude": lat, "longitude": lon}))
    expected = np.radians(degrees - degrees[0]) * 6371.0088
    np.testing.assert_allclose(distance, expected, atol=2e-4)  # 0.2 m: what arccos-free float64 holds


def test_distance_crosses_the_pole_and_the_dateline():
    over_pole = pd.DataFrame({"latitude": [88.0, 89, 90, 89, 88], "longitude": [10.0, 10, 55, -170, -170]})
    np.testing.assert_allclose(track_distance(over_pole), np.arange(5) * np.radians(1) * 6371.0088, atol=1e-6)
    dateline = pd.DataFrame({"latitude": [0.0] * 5, "longitude": [178.0, 179, 180, -179, 182]})
    np.testing.assert_allclose(track_distance(dateline), np.array([0, 1, 2, 3, 4]) * np.radians(1) * 6371.0088)


@pytest.mark.parametrize("center", [(0.0, 179.9), (60.0, 30.0), (-60.0, -120.0), (75.0, 0.0)])
def test_distance_follows_the_generated_track(center):
    soundings = simulate_granule(2, 900, center=center, date="2019-06-21" if center[0] > -1 else "2019-12-21").soundings
    distance = track_distance(soundings)
    for footprint in (1, 8):  # one footprint alone draws the track: its own steps are the truth, but for gaps
        rows = soundings["footprint"] == footprint
        steps, seconds = distance[rows].diff(), soundings["time"][rows].diff() / pd.Timedelta("1s")
        assert (steps / seconds)[1:].between(6.55, 6.95).all()
    # within one frame all footprints are 0.19 s of flight apart, and stand side by side
    spread = distance.groupby(soundings["sounding_id"] // 10).agg(np.ptp)
    assert spread.max() < 1.4


def test_distance_does_not_fold_nor_grow_with_disorder():
    soundings = simulate_granule(4, 120).soundings
    distance = track_distance(soundings)
    assert distance.min() == 0 and distance.max() == pytest.approx(120 * 6.79, rel=0.02)
    mixed = soundings.sample(frac=1, random_state=1)
    np.testing.assert_allclose(track_distance(mixed).sort_index(), distance, atol=1e-6)
    few = soundings.sample(60, random_state=2)
    kept = track_distance(few)
    np.testing.assert_allclose(kept - kept.min(), (d := distance[few.index]) - d.min(), atol=0.5)
    backwards = soundings[["latitude", "longitude"]][::-1]  # no clock: the order of rows is the direction
    np.testing.assert_allclose(track_distance(backwards).to_numpy()[::-1], (distance.max() - distance), atol=1e-6)


def test_distance_by_orbit_and_from_a_chosen_sounding():
    one = simulate_granule(1, 60).soundings
    two = simulate_granule(1, 60, center=(40.0, -105.7)).soundings
    both = pd.concat([one, two], ignore_index=True)
    assert both["orbit"].nunique() == 2
    distance = track_distance(both)
    pd.testing.assert_series_equal(distance[: len(one)], track_distance(one), atol=1e-9)
    pd.testing.assert_series_equal(track_distance(both.drop(columns="orbit")), distance)  # by the gap in time
    pd.testing.assert_series_equal(track_distance(both.drop(columns=["orbit", "time"])), distance, atol=1e-9)
    origin = int(one["sounding_id"][500])
    relative = track_distance(both, origin=origin)
    assert relative[500] == 0 and relative.min() < 0 < relative.max() and relative[len(one):].isna().all()
    np.testing.assert_allclose(relative[: len(one)], distance[: len(one)] - distance[500])
    with pytest.raises(InputError, match="no sounding 42"):
        track_distance(both, origin=42)


def test_distance_of_little_or_bad_input():
    empty = pd.DataFrame({"latitude": [], "longitude": []})
    assert len(track_distance(empty)) == 0
    assert track_distance(pd.DataFrame({"latitude": [10.0], "longitude": [20.0]})).tolist() == [0]
    same = pd.DataFrame({"latitude": [10.0] * 9, "longitude": [20.0] * 9})
    np.testing.assert_allclose(track_distance(same), 0, atol=1e-6)
    gap = pd.DataFrame({"latitude": [0.0, np.nan, 1.0], "longitude": [0.0, 0.0, 0.0]})
    assert track_distance(gap).isna().tolist() == [False, True, False]
    for bad in [{"latitude": [1.0]}, {"latitude": [91.0], "longitude": [0.0]}]:
        with pytest.raises(InputError, match=r"l\w+itude"):
            track_distance(pd.DataFrame(bad))


def test_distance_has_the_published_radius_as_a_preset():
    soundings = simulate_granule(4, 20).soundings
    published = track_distance(soundings, preset="chevallier2020")
    pd.testing.assert_series_equal(published, track_distance(soundings, radius=6367))
    np.testing.assert_allclose(published * 6371.0088 / 6367, track_distance(soundings))
    for bad in [{"preset": "other"}, {"preset": "chevallier2020", "radius": 1.0}, {"radius": 0}, {"radius": "x"},
                {"radius": np.nan}]:
        with pytest.raises(InputError, match=next(iter(bad))):
            track_distance(soundings, **bad)


def test_distance_in_target_mode_stays_within_the_target():
    rng = np.random.default_rng(0)
    north, east = rng.uniform(-0.1, 0.1, 500), rng.uniform(-0.05, 0.05, 500)
    table = pd.DataFrame({"latitude": 36.6 + north, "longitude": -97.5 + east})
    assert 15 < np.ptp(track_distance(table)) < 27


@pytest.mark.skipif(not SECUNDA.is_file(), reason="no real track here; generated tracks are measured above")
def test_distance_equals_the_published_one_of_a_real_track():
    track = pd.read_csv(SECUNDA)
    difference = track_distance(track, radius=6367) - track["distance_rel_km"]
    assert (difference - difference.median()).abs().max() < 0.15


@needs_real
@pytest.mark.parametrize(("step", "fewest"), [(12, 8), pytest.param(1, 100, marks=pytest.mark.slow)])
def test_distance_grows_evenly_along_every_real_track(step, fewest):
    """Every twelfth here, all among the slow checks."""
    spread = []
    for path in sorted(LITE.glob("*.nc4"))[::step]:
        table = read_lite(path)
        distance = track_distance(table)
        seconds = (table["time"] - table["time"].min()) / pd.Timedelta("1s")
        for orbit in np.unique(passes := (seconds // 2000)):
            rows = passes == orbit
            if rows.sum() >= 50:
                # the slit is turned against the track, so that footprints of a frame are not abreast
                terms = np.stack([seconds[rows], table["sounding_id"][rows] % 10, np.ones(rows.sum())], axis=1)
                fit, *_ = np.linalg.lstsq(terms, distance[rows])
                assert 6.0 < fit[0] < 6.9, "km a second"
                spread.append(float(np.std(distance[rows] - terms @ fit)))
    assert len(spread) > fewest and np.median(spread) < 0.1 and max(spread) < 0.5
