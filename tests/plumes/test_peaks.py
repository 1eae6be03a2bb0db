"""Plumes along the track: the published search, the exact scan, false alarms, bad input."""

import doctest
import importlib
import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import destination, fit_by_curve_fit, naive_published_search
from scipy.stats import binomtest

from oco2_outliers.ground.errors import InputError
from oco2_outliers.peaks import (
    WIDTHS,
    candidate_sources,
    estimate_emission,
    find_peaks,
    fit_peak,
    peak_correlation,
    plot_peak,
    plot_scan,
    read_peaks,
    scan_track,
)
from oco2_outliers.soundings import simulate_granule, track_distance, write_lite
from oco2_outliers.soundings.sphere import bearing, sphere_distance


def a_track(n=1200, length=400.0, seed=0, delta=0.0, sigma=12.0, centre=200.0, noise=0.5, lat=20.0, lon=10.0,
            direction=345.0):
    """Soundings along a great circle with white noise and a plume."""
    rng = np.random.default_rng(seed)
    along = np.sort(rng.uniform(0, length, n))
    lats, lons = destination(lat, lon, direction, along)
    ahead = bearing(lats, lons, *destination(lat, lon, direction, along + 1))
    lats, lons = destination(lats, lons, ahead + 90, rng.uniform(-4, 4, n))
    xco2 = 400 + 0.002 * along + delta * np.exp(-0.5 * ((along - centre) / sigma) ** 2) + rng.normal(0, noise, n)
    return pd.DataFrame({"latitude": lats, "longitude": lons, "xco2": xco2, "xco2_uncertainty": noise})


# --- the published numbers ---

@pytest.fixture(scope="module")
def secunda(request):
    shared = request.getfixturevalue("shared_data") / "soundings"
    published = json.loads((shared / "orbit11522_published_fit.json").read_text("utf-8"))
    return pd.read_csv(shared / "orbit11522_20160831_secunda.csv"), published


def test_published_r_and_emission_to_the_digit(secunda):
    track, published = secunda
    peak = published["peak"]
    fit = [peak[k] for k in ("slope", "intercept", "amplitude", "sigma")]
    assert peak_correlation(track["distance_rel_km"], track["xco2"], *fit) == pytest.approx(0.65148488, abs=5e-9)
    emission = estimate_emission(peak, track, preset="chevallier2020")
    assert emission["gCO2_per_s"] == pytest.approx(3_679_154.86, abs=0.005)
    for name, value in published["emission"].items():
        assert emission[name] == pytest.approx(value, rel=1e-12), name
    # with the cosine of the latitude the track is steeper, and the number another
    assert estimate_emission(peak, track)["gCO2_per_s"] == pytest.approx(3_627_868, rel=1e-3)


def test_converged_optimum_with_the_centre_held(secunda):
    track, _ = secunda
    fit = fit_peak(track["distance_rel_km"], track["xco2"], centre=0.0, hold_centre=True)
    assert fit["amplitude"] == pytest.approx(256.7, abs=0.1) and fit["sigma"] == pytest.approx(27.6, abs=0.05)
    assert round(fit["R"], 2) == 0.79 and fit["converged"]


def test_default_search_finds_secunda_as_one_peak(secunda, tmp_path):
    track, published = secunda
    found = find_peaks(track, tmp_path)
    assert len(found.peaks) == 1
    peak = found.peaks.iloc[0]
    assert sphere_distance(peak["latitude"], peak["longitude"], published["peak"]["latitude"],
                           published["peak"]["longitude"]) < 10
    assert peak["p_value"] <= 0.05 and peak["outlier"] and 15 < peak["sigma"] < 33.4
    for name in ("amplitude", "sigma", "delta", "centre"):
        assert 0 < peak[f"{name}_error"] < np.inf
    assert abs(peak["amplitude"] - 256.7) < 2 * peak["amplitude_error"]
    pictures = list(tmp_path.glob("peak_001*.png"))
    assert len(pictures) == 1 and pictures[0].read_bytes().startswith(b"\x89PNG")


def test_preset_on_secunda_holds_the_published_place(secunda):
    track, published = secunda
    found = find_peaks(track, preset="chevallier2020").peaks
    assert len(found) > 1  # one plume several times, as published
    apart = sphere_distance(found["latitude"], found["longitude"], published["peak"]["latitude"],
                            published["peak"]["longitude"])
    near = found[apart < 15]
    assert len(near) and near["amplitude"].between(100, 170).any()


def test_preset_is_the_published_loop_and_its_files_round_trip(tmp_path):
    granule, _ = simulate_granule(4, 130, delta=4)
    granule = granule[granule["xco2_quality_flag"] == 0].reset_index(drop=True)
    granule.to_csv(tmp_path / "oco2_1907.csv", sep=";", index=False)
    found = find_peaks(tmp_path / "oco2_1907.csv", tmp_path / "out", preset="chevallier2020", figures=False)
    expected = naive_published_search(pd.read_csv(tmp_path / "oco2_1907.csv", sep=";"))
    assert len(expected) > 3 and len(found.peaks) == len(expected)
    assert (found.peaks["sounding_id"].to_numpy() == expected["sounding_id"].to_numpy()).all()
    for name in ("slope", "intercept", "amplitude", "sigma", "delta", "R"):
        np.testing.assert_allclose(found.peaks[name], expected[name], rtol=1e-9, err_msg=name)

    header = (tmp_path / "out" / "result_for_oco2_1907.csv").read_text("utf-8").splitlines()[0]
    assert header == ("sounding_id;latitude;longitude;orbit;slope;intercept;amplitude;sigma;delta;R;windspeed_u;"
                      "windspeed_v;surface_pressure;tcwv")
    back = read_peaks(tmp_path / "out" / "result_for_oco2_1907.csv")
    assert (back["sounding_id"].to_numpy() == expected["sounding_id"].to_numpy()).all()
    assert back["sounding_id"].dtype == np.int64 and back[["windspeed_u", "tcwv"]].notna().all().all()
    np.testing.assert_array_equal(back["amplitude"], found.peaks["amplitude"])
    one = int(expected["sounding_id"][0])
    around = read_peaks(tmp_path / "out" / f"peak_data-si_{one}.json")
    assert {"sounding_id", "distance", "xco2", "xco2_uncertainty", "xco2_enhancement"} <= set(around)
    assert around["sounding_id"].isin(granule["sounding_id"]).all() and around["distance"].abs().max() <= 100
    assert around.loc[around["sounding_id"] == one, "distance"].item() == 0
    records = json.loads((tmp_path / "out" / f"peak_data-si_{one}.json").read_text("utf-8"))
    assert "xco2_uncert" in records[0] and isinstance(records[0]["sounding_id"], int)
    assert peak_correlation(around["distance"], around["xco2"], *expected.loc[0, ["slope", "intercept", "amplitude",
                            "sigma"]]) == pytest.approx(expected["R"][0])


def test_published_months_can_be_read(shared_data):
    for file in sorted((shared_data / "peaks" / "monthly").glob("*.csv"))[:3]:
        table = read_peaks(file)
        assert table["sounding_id"].dtype == np.int64 and (table["delta"] > 0).all()


# --- the scan ---

@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), n=st.integers(60, 900), widths=st.lists(st.floats(1.5, 34), min_size=1, max_size=4))
def test_scan_equals_curve_fit(seed, n, widths):
    rng = np.random.default_rng(seed)
    x = np.sort(rng.uniform(0, 300, n))
    x = x[(x < 120) | (x > 140)]  # a cloud
    y = 400 + rng.normal(0, 1, len(x)) + 3 * np.exp(-0.5 * ((x - 170) / 10) ** 2)
    error = rng.uniform(0.3, 1.5, len(x))
    centres = rng.uniform(60, 240, 3)
    scan = scan_track(x, y, error, centres=centres, widths=[*widths, *WIDTHS[::4]])
    for j, m in zip(rng.integers(0, 3, 5), rng.integers(0, len(scan.width), 5)):
        if not scan.support[j, m] > 0.5:
            continue
        values, cover = fit_by_curve_fit(x, y, error, centres[j], scan.width[m])
        assert scan.amplitude[j, m] == pytest.approx(values[2], rel=1e-6, abs=1e-9 * scan.amplitude_error[j, m])
        assert scan.amplitude_error[j, m] == pytest.approx(np.sqrt(cover[2, 2]), rel=1e-6)


def test_scan_of_real_soundings_equals_curve_fit(secunda):
    track, _ = secunda
    x, y = track["distance_rel_km"].to_numpy(), track["xco2"].to_numpy()
    scan, rng, worst = scan_track(x, y), np.random.default_rng(0), 0.0
    for j, m in zip(rng.integers(60, len(scan.centre) - 60, 150), rng.integers(0, 17, 150)):
        values, _ = fit_by_curve_fit(x, y, np.ones_like(y), scan.centre[j], scan.width[m])
        worst = max(worst, abs(scan.amplitude[j, m] / values[2] - 1))
    assert worst < 1e-6


# --- the default search ---


@pytest.mark.slow
def test_errors_are_those_of_repeated_draws():
    """Generated noise, a known 1-d plume: the true values lie within the stated errors about as often as they say."""
    pulls = []
    for seed in range(25):
        granule, _ = simulate_granule(900 + seed, 130, delta=0, cloud_fraction=0.02)
        granule = granule[granule["xco2_quality_flag"] == 0]
        x = track_distance(granule).to_numpy()
        centre = np.median(x)
        granule["xco2"] = granule["xco2"] + 5 * np.exp(-0.5 * ((x - centre) / 12) ** 2)
        found = find_peaks(granule, n_surrogates=39).peaks  # the fit is what is tested here
        if len(found):
            peak = found.iloc[0]
            # `centre` is along the searched soundings, which start at their own first sounding
            pulls.append([(peak["amplitude"] - 5 * 12 * np.sqrt(2 * np.pi)) / peak["amplitude_error"],
                          (peak["sigma"] - 12) / peak["sigma_error"], (peak["delta"] - 5) / peak["delta_error"],
                          (peak["centre"] - centre) / peak["centre_error"]])
    pulls = np.array(pulls)
    assert len(pulls) >= 20
    inside = (np.abs(pulls) < 2).mean(0)
    assert (inside > 0.75).all() and (np.abs(np.median(pulls, axis=0)) < 1).all(), (inside, np.median(pulls, axis=0))


def test_two_plumes_are_two_rows_and_one_is_one():
    both = a_track(2400, 800, delta=3, sigma=10, centre=300)
    x = track_distance(both).to_numpy()
    both["xco2"] += 2.5 * np.exp(-0.5 * ((x - 390) / 15) ** 2)
    found = find_peaks(both).peaks
    assert len(found) == 2
    np.testing.assert_allclose(np.sort(found["centre"]), [300, 390], atol=5)
    np.testing.assert_allclose(found.sort_values("centre")["sigma"], [10, 15], atol=3)
    np.testing.assert_allclose(found.sort_values("centre")["delta"], [3, 2.5], atol=0.5)
    assert len(find_peaks(a_track(2400, 800, delta=4, sigma=25, centre=400)).peaks) == 1


def test_a_dip_is_no_peak():
    assert len(find_peaks(a_track(delta=-5)).peaks) == 0


def test_one_bad_sounding_is_no_peak():
    track = a_track(2400, 800)
    track.loc[1000, "xco2"] += 40
    found = find_peaks(track)
    assert len(found.peaks) == 0 and found.orbits["n_outliers"].sum() >= 1


def test_same_seed_same_bytes(tmp_path):
    track = a_track(2400, 800, delta=3)
    for out in ("a", "b"):
        find_peaks(track, tmp_path / out)
    for name in ("peaks.csv", "orbits.csv", "summary.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_rows_in_any_order_and_any_index():
    track = a_track(2400, 800, delta=3).assign(orbit=7)
    again = track.sample(frac=1, random_state=0).set_index(np.arange(2400) * 3)
    one, two = find_peaks(track).peaks, find_peaks(again).peaks
    np.testing.assert_allclose(one["amplitude"], two["amplitude"], rtol=0.02)
    np.testing.assert_allclose(one["latitude"], two["latitude"], atol=0.01)


@pytest.mark.slow
@pytest.mark.parametrize("seconds, cloud, n", [(260, 0.12, 300), (90, 0.12, 300), (260, 0.5, 200)])
def test_plume_free_orbits_are_flagged_as_often_as_promised(seconds, cloud, n):
    p = [find_peaks(simulate_granule(70_000 + k, seconds, delta=0, cloud_fraction=cloud)[0]).orbits["p_value"][0]
         for k in range(n)]
    p = np.array(p)[np.isfinite(p)]
    flagged = int((p <= 0.05).sum())
    interval = binomtest(flagged, len(p)).proportion_ci(0.99, method="exact")
    print(f"{flagged} of {len(p)} plume-free orbits flagged at 5 %, "
          f"99 % interval {interval.low:.3f} to {interval.high:.3f}")
    assert interval.low <= 0.05 and len(p) > 0.9 * n


def test_plume_free_orbits_are_rarely_flagged():
    p = np.array([find_peaks(simulate_granule(80_000 + k, 60, delta=0)[0], n_surrogates=39).orbits["p_value"][0]
                  for k in range(12)])
    p = p[np.isfinite(p)]
    assert len(p) >= 10 and (p <= 0.05).sum() <= 4  # beyond that 1 in 5,000 for 5 %; the slow test above counts more
    assert 0.15 < np.median(p) < 0.85


def test_false_discoveries_over_a_run():
    """Half of the orbits hold a strong plume: the others seldom get through."""
    tracks = [a_track(1200, 400, seed=s, delta=4.0 if s % 2 else 0.0).assign(orbit=s) for s in range(10)]
    found = find_peaks(pd.concat(tracks, ignore_index=True), n_surrogates=99).peaks
    assert (found["q_value"] >= found["p_value"] - 1e-12).all()
    true = found["orbit"].isin(range(1, 10, 2))
    assert true[found["outlier"]].sum() >= 4 and (~true[found["outlier"]]).sum() <= 1


# --- the whole job and bad input ---

@pytest.mark.figures
def test_files_in_table_and_figures_out(tmp_path):
    granule, truth = simulate_granule(4, 130, delta=4)
    write_lite(granule, tmp_path / "oco2_LtCO2_190715_generated.nc4")
    found = find_peaks(tmp_path / "oco2_LtCO2_190715_generated.nc4", tmp_path / "out")
    assert len(found.peaks) >= 1
    names = {file.name for file in (tmp_path / "out").iterdir()}
    assert {"peaks.csv", "orbits.csv", "summary.json"} <= names
    assert sum(name.startswith("peak_") and name.endswith(".png") for name in names) == len(found.peaks)
    back = read_peaks(tmp_path / "out" / "peaks.csv")
    needed = {"latitude", "longitude", "sigma", "delta", "amplitude", "sigma_error", "delta_error", "amplitude_error",
              "p_value", "q_value", "reason", "score", "outlier", "source"}
    assert needed <= set(back) and (back["sounding_id"] == found.peaks["sounding_id"]).all()
    assert back["gCO2_per_s"].notna().all() and back["gCO2_per_s_error"].gt(0).all()
    summary = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))
    assert summary["counts"]["peaks"] == len(back) and len(summary["inputs"][0]["sha256"]) == 64
    # a second run leaves no picture of the first
    flat = granule.assign(xco2=400 + np.random.default_rng(0).normal(0, 0.5, len(granule)))
    find_peaks(flat, tmp_path / "out")
    assert not list((tmp_path / "out").glob("*.png"))


def test_three_columns_are_enough(tmp_path):
    a_track(delta=4)[["latitude", "longitude", "xco2"]].to_csv(tmp_path / "t.csv", index=False)
    found = find_peaks(tmp_path / "t.csv", tmp_path / "out")
    assert len(found.peaks) == 1
    said = " ".join(found.notes)
    assert "no xco2_uncertainty" in said and "one track" in said and "no emission" in said
    row = read_peaks(tmp_path / "out" / "peaks.csv").iloc[0]
    assert np.isnan(row["gCO2_per_s"]) and np.isnan(row["windspeed_u"]) and np.isfinite(row["delta_error"])


def test_orbit_across_the_dateline_and_over_the_pole_is_the_same_orbit():
    here = find_peaks(a_track(delta=4)).peaks.iloc[0]
    for place in ({"lon": 179.9, "direction": 40.0, "lat": 0.0}, {"lat": 88.5, "lon": 0.0, "direction": 10.0}):
        there = find_peaks(a_track(delta=4, **place)).peaks.iloc[0]
        for name in ("amplitude", "sigma", "delta"):
            assert there[name] == pytest.approx(here[name], rel=0.02), place
        lat, lon = destination(place["lat"], place["lon"], place["direction"], 200.0)
        assert sphere_distance(there["latitude"], there["longitude"], lat, lon) < 4


def test_nan_winds_leave_the_emission_empty():
    track = a_track(delta=4).assign(windspeed_u=np.nan, windspeed_v=np.nan, surface_pressure=1000.0, tcwv=20.0)
    found = find_peaks(track)
    assert len(found.peaks) == 1 and np.isnan(found.peaks["gCO2_per_s"][0])
    assert any("windspeed_u, windspeed_v" in note and "no emission" in note for note in found.notes)
    with pytest.raises(InputError, match="windspeed_u"):
        estimate_emission(found.peaks.iloc[0])
    with pytest.raises(InputError, match="wind"):
        candidate_sources(found.peaks.iloc[0], pd.DataFrame({"latitude": [0], "longitude": [0], "emission": [1]}))


@pytest.mark.parametrize("preset", [None, "chevallier2020"])
def test_single_sounding_orbits_and_empty_boxes_are_said(preset, tmp_path):
    one = a_track(1).assign(orbit=5)
    found = find_peaks(one, tmp_path, preset=preset)
    assert len(found.peaks) == 0 and "fewer than" in " ".join(found.notes)
    assert len(pd.read_csv(tmp_path / "peaks.csv")) == 0 and "p_value" in pd.read_csv(tmp_path / "peaks.csv")
    empty = find_peaks(a_track(), box=(100, -10, 110, 0), preset=preset)
    assert len(empty.peaks) == 0 and "no sounding left" in " ".join(empty.notes)
    nothing = find_peaks(a_track().assign(xco2=np.nan), preset=preset)
    assert len(nothing.peaks) == 0 and "no sounding left" in " ".join(nothing.notes)
    assert str(nothing) and str(found)


def test_constant_short_and_thin_tracks_are_said():
    assert "constant" in find_peaks(a_track().assign(xco2=400.0)).orbits["note"][0]
    assert "shorter" in find_peaks(a_track(500, 30)).orbits["note"][0]
    assert "thinly" in find_peaks(a_track(150, 1500)).orbits["note"][0]


def test_what_lies_beside_a_gap_is_counted():
    """Half of a plume at the edge of a gap is no plume: whoever reads "none" has to know where none was looked for."""
    track = a_track(delta=4)
    whole = find_peaks(track).orbits.iloc[0]
    assert 360 < whole["searched"] <= whole["covered"] <= 400
    assert not any("plumes could be told" in note for note in find_peaks(track).notes)
    along = track_distance(track)
    stripes = find_peaks(track[(along % 60 < 25) | (along < 130)])
    orbit = stripes.orbits.iloc[0]
    assert 0 < orbit["searched"] < 0.9 * orbit["covered"] and orbit["covered"] < 260
    said = f"plumes could be told at {orbit['searched']:,} of {orbit['covered']:,} km of track with soundings"
    assert any(note.startswith(said) for note in stripes.notes), stripes.notes
    counts = stripes.summary["counts"]
    assert (counts["searched"], counts["covered"]) == (orbit["searched"], orbit["covered"])
    thin = find_peaks(a_track(150, 1500)).orbits.iloc[0]
    assert thin["searched"] == 0 and 100 < thin["covered"] <= 150


def test_soundings_without_uncertainty_or_flagged_are_counted():
    track = a_track(delta=4)
    track.loc[:9, "xco2_uncertainty"] = np.nan
    track.loc[10:14, "xco2_uncertainty"] = 0.0
    track["xco2_quality_flag"] = 0
    track.loc[20:39, "xco2_quality_flag"] = 1
    found = find_peaks(track)
    said = " ".join(found.notes)
    assert "15 of 1,200 soundings left out, without an uncertainty" in said
    assert "20 of 1,200 soundings left out, flagged as bad" in said
    assert find_peaks(track, keep_flagged=True).orbits["n_soundings"][0] == 1185


@pytest.mark.parametrize("make, words", [
    (lambda: pd.DataFrame({"latitude": [1.0], "longitude": [1.0]}), "xco2"),
    (lambda: pd.DataFrame({"xco2": [400.0]}), "latitude"),
    (lambda: a_track().assign(latitude=1000.0), "latitude"),
])
def test_bad_tables_are_one_line(make, words):
    with pytest.raises(InputError, match=words) as error:
        find_peaks(make())
    assert "\n" not in str(error.value)


def test_bad_files_leave_nothing_behind(tmp_path):
    granule, _ = simulate_granule(0, 20)
    write_lite(granule, tmp_path / "g.nc4")
    data = (tmp_path / "g.nc4").read_bytes()
    (tmp_path / "cut.nc4").write_bytes(data[: len(data) // 3])
    (tmp_path / "empty.csv").write_bytes(b"")
    for name in ("cut.nc4", "empty.csv"):
        with pytest.raises(InputError):
            find_peaks(tmp_path / name, tmp_path / "out")
    with pytest.raises(FileNotFoundError):
        find_peaks(tmp_path / "absent.csv", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    for wrong in ({"alpha": 0}, {"n_surrogates": 3}, {"preset": "other"}):
        with pytest.raises(InputError):
            find_peaks(granule, **wrong)


def test_a_summary_from_outside_removes_nothing_of_others(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "keep.png").write_bytes(b"x")
    (tmp_path / "out" / "mine.png").write_bytes(b"x")
    listed = ["../keep.png", "mine.png", "peak_001.png/../mine.png", 7]
    (tmp_path / "out" / "summary.json").write_text(json.dumps({"files": listed}), "utf-8")
    find_peaks(a_track(), tmp_path / "out")
    assert (tmp_path / "keep.png").exists() and (tmp_path / "out" / "mine.png").exists()


def test_artefacts_are_named_not_dropped():
    granule, _ = simulate_granule(4, 130, delta=0)
    granule = granule[granule["xco2_quality_flag"] == 0].reset_index(drop=True)
    x = track_distance(granule).to_numpy()
    bump = np.exp(-0.5 * ((x - 350) / 8) ** 2)
    granule["albedo_wco2"] = granule["albedo_wco2"] + 0.6 * bump
    granule["xco2"] = granule["xco2"] + 5 * bump
    found = find_peaks(granule).peaks
    assert len(found) and "albedo_wco2" in found["suspect"][0] and found["outlier"][0]


def test_candidate_sources_across_the_dateline_are_upwind_and_ranked():
    peak = {"latitude": 10.0, "longitude": -179.95, "windspeed_u": 6.0, "windspeed_v": 0.0}
    table = pd.DataFrame({"name": ["near", "far", "downwind", "north", "none"],
                          "latitude": [10.0, 10.0, 10.0, 10.3, 10.01],
                          "longitude": [179.9, 179.7, -179.7, -179.95, 179.95],
                          "emission": [5.0, 5.0, 99.0, 99.0, np.nan]})
    found = candidate_sources(peak, table)
    assert found["name"].tolist() == ["near", "far", "none"] and found["score"].is_monotonic_decreasing
    assert found["distance"].iloc[0] == pytest.approx(16.4, abs=0.3)


def test_whole_job_with_an_inventory(tmp_path):
    track = a_track(delta=4).assign(windspeed_u=5.0, windspeed_v=0.0, surface_pressure=1000.0, tcwv=20.0)
    lat, lon = destination(*destination(20.0, 10.0, 345.0, 200.0), 270.0, 20.0)
    plants = pd.DataFrame({"name": ["plant"], "latitude": [float(lat)], "longitude": [float(lon)], "emission": [3.0]})
    plants.to_csv(tmp_path / "plants.csv", index=False)
    found = find_peaks(track, tmp_path / "out", inventory=tmp_path / "plants.csv", figures=False)
    written = pd.read_csv(tmp_path / "out" / "sources.csv")
    assert written["name"].tolist() == ["plant"] and written["peak"].tolist() == [0]
    assert found.sources["distance"][0] == pytest.approx(20, abs=4)
    assert len(find_peaks(a_track(), inventory=plants).sources) == 0
    with pytest.raises(InputError, match="emission"):
        find_peaks(track, inventory=plants.drop(columns="emission"))


def test_wind_along_the_track_is_warned_of_and_error_grows():
    peak = {"amplitude": 100.0, "amplitude_error": 5.0, "surface_pressure": 1000.0, "tcwv": 20.0, "windspeed_u": 0.5,
            "windspeed_v": 5.0, "heading": 0.0}
    with pytest.warns(UserWarning, match="off the track"):
        along = estimate_emission(peak)
    across = estimate_emission({**peak, "heading": 90.0})
    assert along["gCO2_per_s_error"] / along["gCO2_per_s"] > 5 * across["gCO2_per_s_error"] / across["gCO2_per_s"]
    assert estimate_emission(peak | {"heading": 90.0}, wind_error=0)["gCO2_per_s_error"] == pytest.approx(
        0.05 * across["gCO2_per_s"])


def test_emission_of_a_known_plume():
    """A source of known strength, its plume integrated by hand."""
    wind, pressure, vapour, rate = 4.0, 990.0, 15.0, 500e3  # m/s, hPa, kg/m2, g/s
    dry = pressure * 100 / 9.80665 - vapour
    amplitude = rate / 1000 / wind / (dry * 0.04401 / 0.02896) * 1e3
    peak = {"amplitude": amplitude, "surface_pressure": pressure, "tcwv": vapour, "windspeed_u": wind,
            "windspeed_v": 0.0, "heading": 0.0}
    assert estimate_emission(peak)["gCO2_per_s"] == pytest.approx(rate)


def test_figures_draw_into_the_axes_given():
    fig, (one, two) = plt.subplots(2)
    scan = scan_track(np.linspace(0, 100, 300), np.random.default_rng(0).normal(size=300))
    assert plot_scan(scan, pd.DataFrame({"centre": [50.0], "sigma": [5.0]}), ax=one) is one
    table = pd.DataFrame({"distance": np.linspace(-9, 9, 60), "xco2": 400.0})
    assert plot_peak(table, {"slope": 0, "intercept": 400, "amplitude": 5, "sigma": 2}, ax=two) is two
    plt.close(fig)


def test_real_ohio_tracks_are_searched(shared_data):
    files = sorted((shared_data / "soundings" / "lite_v10r_ohio").glob("*.nc4"), key=lambda f: -f.stat().st_size)[:4]
    found = find_peaks(files, n_surrogates=59)
    assert len(found.orbits) >= 4 and found.orbits["p_value"].notna().sum() >= 3
    assert (found.peaks["p_value"] <= 0.05).all() and found.peaks["sounding_id"].dtype.kind in "iu"


@pytest.mark.parametrize("room", ["gaussians", "scanning", "fitting", "emissions", "candidates", "reading", "results",
                                  "searching"])
def test_docstring_examples(room):
    failed, run = doctest.testmod(importlib.import_module(f"oco2_outliers.plumes.{room}"))
    assert run and not failed
