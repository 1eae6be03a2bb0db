"""Soundings against their surroundings: exact against a twin, right at poles and datelines, whole on many rows."""


import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import naive_local_scores

from oco2_outliers.ground.errors import InputError
from oco2_outliers.soundings.neighbours import neighbours_of
from oco2_outliers.soundings.simulated import simulate_granule
from oco2_outliers.soundings.sphere import EARTH_RADIUS
from oco2_outliers.soundings.surroundings import local_scores
from oco2_outliers.soundings.track import track_places


def track_of(rng, n, one_footprint=False, gap=False, repeated=False, ties=False):
    """A pass or two of a slit of eight footprints near 40 north, rows in any order."""
    second = np.sort(rng.uniform(0, 8, n))
    second = np.where(gap & (second > 4), second + 60, second)
    second = np.round(second, 0) if repeated else second
    number = np.ones(n, int) if one_footprint else rng.integers(1, 9, n)
    later = rng.random(n) < 0.3
    xco2 = 400 + rng.standard_t(3, n)
    table = pd.DataFrame({"latitude": 40 + second * 0.0605 + 0.002 * number,
                          "longitude": -81 - 0.015 * second + 0.0152 * number,
                          "time": pd.Timestamp("2019-07-15T18:00") + pd.to_timedelta(second + 5940 * later, "s"),
                          "footprint": number, "xco2": np.round(xco2, 0) if ties else xco2})
    return table.sample(frac=1, random_state=int(rng.integers(1000)))


def parts_of(table):
    """Pass, place and footprint of each row as the twin takes them."""
    known = np.isfinite(table["latitude"].to_numpy())
    passes = (table["time"] > table["time"].min() + pd.Timedelta("50min")).to_numpy().astype(int)
    along, across = track_places(table["latitude"].to_numpy(), table["longitude"].to_numpy(), passes, None)
    assert np.isfinite(along[known]).all()
    return passes, along * EARTH_RADIUS, across * EARTH_RADIUS, table["footprint"].to_numpy()


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 150), flags=st.tuples(*[st.booleans()] * 4),
       width=st.sampled_from([10.0, 4.0]), missing=st.sampled_from([0, 0.1]))
def test_scores_are_those_of_the_naive_twin(seed, n, flags, width, missing):
    rng = np.random.default_rng(seed)
    table = track_of(rng, n, *flags)
    table.loc[rng.random(n) < missing, "xco2"] = np.nan
    table.loc[rng.random(n) < missing / 2, ["latitude", "longitude"]] = np.nan
    found = local_scores(table, across=width).table
    counts, score = naive_local_scores(*parts_of(table), table["xco2"].to_numpy(), 20.0, width)
    np.testing.assert_array_equal(found["local_neighbours"], counts)
    np.testing.assert_allclose(found["local_score"], score, rtol=1e-9)
    assert found.index.equals(table.index)


@pytest.fixture(scope="module")
def granule():
    soundings = simulate_granule(0, 120, n_bad=0).soundings
    return soundings.astype({"latitude": float, "longitude": float, "xco2": float}).drop(columns="orbit")


def turned(soundings, east, pole=False):
    """The same pass elsewhere: turned round the axis, and with its middle put on the pole."""
    lat, lon = np.radians(soundings["latitude"]), np.radians(soundings["longitude"] + east)
    x, y, z = np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)
    if pole:
        about = np.radians(90 - soundings["latitude"].median())
        middle = np.radians(soundings["longitude"].median() + east)
        x, y = x * np.cos(middle) + y * np.sin(middle), y * np.cos(middle) - x * np.sin(middle)
        x, z = x * np.cos(about) - z * np.sin(about), z * np.cos(about) + x * np.sin(about)
    return soundings.assign(latitude=np.degrees(np.arcsin(np.clip(z, -1, 1))), longitude=np.degrees(np.arctan2(y, x)))


@pytest.mark.parametrize(("east", "pole"), [(-99.2, False), (0, True), (130.0, True)])
def test_the_dateline_and_the_poles_are_places_like_others(granule, east, pole):
    moved = turned(granule, east, pole)
    if pole:
        assert moved["latitude"].max() > 89.9 and np.ptp(moved["longitude"]) > 170
    else:
        assert moved["longitude"].min() < -179 and moved["longitude"].max() > 179
    here, there = local_scores(granule).table, local_scores(moved).table
    same = here["local_neighbours"] == there["local_neighbours"]  # one at the very border may fall on either side
    assert same.mean() > 0.99
    np.testing.assert_allclose(here["local_score"], there["local_score"], atol=0.3)
    assert here["local_outlier"].equals(there["local_outlier"])


def test_passes_do_not_mix(granule):
    back = granule.assign(time=granule["time"] + pd.Timedelta("99min"), xco2=granule["xco2"] + 30,
                          sounding_id=granule["sounding_id"] + 10**9)
    both = local_scores(pd.concat([granule, back], ignore_index=True)).table
    alone = local_scores(granule).table
    np.testing.assert_allclose(both["local_score"][: len(granule)], alone["local_score"])
    np.testing.assert_allclose(both["local_score"][len(granule):], alone["local_score"], rtol=1e-9)


def test_a_stripe_is_known(granule):
    striped = granule.assign(xco2=granule["xco2"] + 3.0 * (granule["footprint"] == 4))
    found = local_scores(striped)
    assert found.table["local_outlier"].sum() <= 5
    told = found.stripes.set_index("footprint")["offset"]
    assert told.idxmax() == 4 and abs(told[4] - 3.0) < 0.3 and (told.drop(4).abs() < 0.5).all()
    by_id = local_scores(striped.drop(columns="footprint")).table
    pd.testing.assert_frame_equal(by_id, found.table)


def test_what_has_no_place_time_or_neighbours_is_counted(granule):
    holes = granule.assign(latitude=granule["latitude"].where(granule.index % 10 > 0, 999.0),
                           time=granule["time"].where(granule.index % 10 != 1)).drop(columns="sounding_id")
    found = local_scores(holes)
    lost = holes.index % 10 <= 1
    assert found.table.loc[lost, "local_score"].isna().all() and not found.table.loc[lost, "local_outlier"].any()
    assert (found.table.loc[lost, "local_neighbours"] == 0).all()
    assert found.table.loc[~lost, "local_score"].notna().all()
    assert found.note.startswith(f"{lost.sum()} soundings with fewer than 10 neighbours within 20 km")


def test_a_constant_column_has_no_score(granule):
    found = local_scores(granule.assign(xco2=400.0))
    assert found.table["local_score"].isna().all() and "too few to say" in found.note
    empty = local_scores(granule.head(0))
    assert empty.table.empty and not empty.stripes.size


def test_a_planted_step_is_found_and_its_reason_applies(granule):
    low = granule.index[900:905]
    stepped = granule.assign(xco2=granule["xco2"] - 6.0 * granule.index.isin(low))
    found = local_scores(stepped).table
    assert found.loc[low, "local_outlier"].all()
    for _, row in found.loc[low].iterrows():
        assert row["local_reason"] == (f"xco2 {abs(row['local_difference']):.1f} ppm below its "
                                       f"{row['local_neighbours']} neighbours within 20 km")


def test_distances_and_columns_are_looked_at(granule):
    for wrong, told in (({"along": np.nan}, "along must be"), ({"across": 0}, "across must be"),
                        ({"limit": -1}, "limit must be"), ({"features": "co2"}, "no column 'co2'")):
        with pytest.raises(InputError, match=told):
            local_scores(granule, **wrong)


@pytest.mark.slow
def test_a_million_rows_have_neighbours_also_where_all_are():
    rng = np.random.default_rng(0)
    for km in (300_000, 20):  # a year of tracks; all at one place
        along, value = rng.uniform(0, km, 1_000_000), rng.normal(size=1_000_000)
        found = neighbours_of(np.zeros(1_000_000, int), along, np.zeros(1_000_000), value, 20.0, 10.0)
        assert (found.n == 999_999).all() if km == 20 else 60 < found.n.mean() < 140
