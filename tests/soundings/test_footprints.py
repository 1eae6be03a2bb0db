"""Footprints against slow obvious twins, odd files, and areas of a granule."""

import io
import math

import h5py
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from oco2_outliers.cli import main
from oco2_outliers.ground.errors import InputError
from oco2_outliers.soundings import (
    describe_soundings,
    footprints,
    observed_areas,
    read_lite,
    read_soundings,
    simulate_area,
    simulate_granule,
    to_parquet,
    with_corners,
    write_lite,
)
from oco2_outliers.soundings.areas import AREA_MODES, area_numbers
from oco2_outliers.soundings.corners import CORNERS
from oco2_outliers.soundings.sphere import EARTH_RADIUS, destination


def table_of(corners, lat=None, lon=None):
    """A table of corners, shape (n, 4, 2) of longitude and latitude."""
    corners = np.asarray(corners, np.float64)
    table = pd.DataFrame(np.hstack([corners[..., 1], corners[..., 0]]), columns=list(CORNERS))
    return table if lat is None else table.assign(latitude=lat, longitude=lon)


def around(lat, lon, bearings, km):
    """Corners at bearings and distances from a place."""
    y, x = destination(lat, lon, np.array(bearings, float), np.array(km, float))
    return np.column_stack([x, y])


def unit(lon, lat):
    lon, lat = math.radians(lon), math.radians(lat)
    return np.array([math.cos(lat) * math.cos(lon), math.cos(lat) * math.sin(lon), math.sin(lat)])


def flat(ring, n=1):
    """A ring on the equal-area plane around its middle (Lambert), each edge cut into n pieces of a great circle."""
    points = [unit(*corner) for corner in ring]
    middle = sum(points)
    middle = middle / np.linalg.norm(middle)
    right = np.cross([0.0, 0, 1] if abs(middle[2]) < 0.9 else [1.0, 0, 0], middle)
    right /= np.linalg.norm(right)
    up = np.cross(middle, right)
    found = []
    for a, b in zip(points, points[1:] + points[:1]):
        for share in np.arange(n) / n:
            p = (1 - share) * a + share * b
            p = p / np.linalg.norm(p)
            scale = math.sqrt(2 / (1 + p @ middle))
            found.append((scale * (p @ right), scale * (p @ up)))
    return found


def brute_area(ring):
    """Area of a ring on the sphere, by very many corners on an equal-area plane."""
    return shapely.Polygon(flat(ring, 60)).area * EARTH_RADIUS**2


def naive_crosses(ring):
    """Whether two edges that share no corner cross, by an intersection of lines."""
    a, b, c, d = flat(ring)
    return any(shapely.LineString([p, q]).crosses(shapely.LineString([r, s])) for p, q, r, s in
               ((a, b, c, d), (b, c, d, a)))


places = st.tuples(st.one_of(st.sampled_from([-90.0, -89.99, 0.0, 51.6, 89.995, 90.0]), st.floats(-90, 90)),
                   st.one_of(st.sampled_from([-180.0, -179.99, 0.0, 179.999, 180.0]), st.floats(-180, 180)))
ways = st.lists(st.integers(0, 35), min_size=4, max_size=4, unique=True)
reaches = st.lists(st.floats(0.6, 4.0), min_size=4, max_size=4)


def turned(longitude, latitude):
    """A corner with its longitude from 0 on; one that rounds to 360 is at 0."""
    return round(longitude % 360, 9) % 360, round(latitude, 9)


@settings(max_examples=80)
@given(places, ways, reaches)
def test_a_footprint_is_simple_and_runs_counter_clockwise(place, bearings, km):
    ring = around(*place, [10 * each for each in bearings], km)
    found = footprints(table_of([ring], *place))
    if not found.known[0]:  # corners all on one side may be farther off than they are apart
        assert set(found.without) <= {"corners too far from the sounding", "corners that enclose nothing"}
        return
    polygon = found.polygons[0]
    assert {turned(*corner) for corner in polygon} == {turned(*corner) for corner in ring}
    shape = shapely.Polygon(flat(polygon))
    assert shape.is_valid and shape.exterior.is_ccw
    assert found.n_sorted == naive_crosses(ring)
    assert found.area[0] == pytest.approx(brute_area(polygon), rel=1e-5)
    assert np.abs(np.diff(polygon[:, 0])).max() <= 180 + 1e-9


@settings(max_examples=60)
@given(st.floats(-75, 75), st.floats(-180, 180), st.permutations(range(4)))
def test_every_order_of_the_corners_is_the_same_footprint(lat, lon, order):
    ring = around(lat, lon, [40, 130, 220, 310], [1.4, 1.3, 1.5, 1.2])
    here, there = (footprints(table_of([each], lat, lon)) for each in (ring, ring[list(order)]))
    assert there.area[0] == pytest.approx(here.area[0], rel=1e-9)
    inside = [{turned(*corner) for corner in each.polygons[0]} for each in (here, there)]
    assert inside[0] == inside[1]
    assert np.abs(there.polygons[0, :, 0] - lon).max() < 1  # in one piece beside its place, also at the dateline


@settings(max_examples=60)
@given(st.floats(-80, 80), st.floats(-720, 720).map(lambda turn: round(turn, 3)))
def test_longitude_does_not_matter(lat, turn):
    ring = around(lat, 0.0, [45, 135, 225, 315], [1.4] * 4)
    moved = ring + [turn % 360, 0]
    here = footprints(table_of([ring], lat, 0.0))
    there = footprints(table_of([np.column_stack([(moved[:, 0] + 180) % 360 - 180, moved[:, 1]])], lat,
                                (turn + 180) % 360 - 180))
    assert there.known.all() and there.area[0] == pytest.approx(here.area[0], rel=1e-9)


@settings(max_examples=60)
@given(st.floats(-70, 70), st.floats(-180, 180), st.floats(0, 360), st.floats(1, 1000))
def test_corners_away_from_their_sounding(lat, lon, way, km):
    there, east = (float(each) for each in destination(lat, lon, way, km))
    ring = around(there, east, [45, 135, 225, 315], [1.4] * 4)
    found = footprints(table_of([ring], lat, lon))
    # a diagonal is 2.8 km: nearer than that is not seen, farther is named
    if km < 2.75:
        assert found.known.all()
    elif km > 2.85:
        assert found.without == {"corners too far from the sounding": 1} and np.isnan(found.polygons).all()
    assert footprints(table_of([ring])).known.all()  # nobody asks where there is no place


def test_one_corner_far_away():
    ring = around(10.0, 20.0, [45, 135, 225, 315], [1.4, 1.4, 1.4, 21.0])
    assert footprints(table_of([ring], 10.0, 20.0)).without == {"corners too far from the sounding": 1}


def test_corners_that_are_none():
    good = around(10.0, 20.0, [45, 135, 225, 315], [1.4] * 4)
    missing, nowhere, line, zero, infinite = (good.copy() for _ in range(5))
    missing[2, 0], nowhere[1, 1], line[:, 1], zero[:], infinite[0, 0] = np.nan, 90.5, 10.0, 0.0, np.inf
    found = footprints(table_of([good, missing, nowhere, line, zero, infinite], 10.0, 20.0))
    assert found.known.tolist() == [True, False, False, False, False, False] and found.n_sorted == 0
    assert found.without == {"a corner missing": 2, "a corner that is nowhere on Earth": 1,
                             "corners too far from the sounding": 1, "corners that enclose nothing": 1}
    assert "5 soundings without a footprint: 2 with a corner missing" in str(found)
    assert np.isnan(found.polygons[1:]).all() and np.isnan(found.area[1:]).all()


# ---------------------------------------------------------------- files


def lite(**variables):
    """A small Lite file of three soundings with these variables besides."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["sounding_id"] = np.array([2021061512145003, 2021061512145004, 2021061512145005], np.uint64)
        file["latitude"], file["longitude"] = np.full(3, 10.0, np.float32), np.full(3, 20.0, np.float32)
        for name, values in variables.items():
            file[name] = values
            if getattr(values, "dtype", None) == np.float32:
                file[name].attrs["missing_value"] = np.float32([-999999])
    buffer.name = "lite.nc4"
    return buffer


RING = around(10.0, 20.0, [45, 135, 225, 315], [1.4] * 4).astype(np.float32)
LAT, LON = (np.repeat(RING[None, :, k], 3, axis=0) for k in (1, 0))


def test_corners_are_read_as_they_are():
    LAT_2 = LAT.copy()
    LAT_2[1, 3] = -999999
    table = read_lite(lite(vertex_latitude=LAT_2, vertex_longitude=LON))
    assert list(table)[-8:] == list(CORNERS) and table["vertex_latitude_1"].dtype == np.float32
    assert table.attrs["fills"] == {"vertex_latitude_4": 1} and table.attrs["skipped"] == []
    assert table["vertex_longitude_2"].tolist() == LON[:, 1].tolist()
    found = footprints(lite(vertex_latitude=LAT_2, vertex_longitude=LON))
    assert found.known.tolist() == [True, False, True] and found.without == {"a corner missing": 1}
    assert found.sounding_id.tolist() == table["sounding_id"].tolist()
    asked = {"columns": ["vertex_latitude_3"], "box": (19, 9, 21, 11)}
    some = read_lite(lite(vertex_latitude=LAT, vertex_longitude=LON), **asked)
    assert list(some) == ["sounding_id", "vertex_latitude_3"] and len(some) == 3


@pytest.mark.parametrize("latitude, longitude, told", [
    (LAT.T, LON.T, "shape (4, 3); corners of 3 soundings have the shape (3, 4)"),
    (LAT[:, :3], LON[:, :3], "shape (3, 3); corners of 3 soundings have the shape (3, 4)"),
    (LAT[0], LON[0], "shape (4,); corners of 3 soundings have the shape (3, 4)"),
    (LAT[None], LON[None], "shape (1, 3, 4); corners of 3 soundings have the shape (3, 4)"),
    (LAT.astype("S8"), LON.astype("S8"), "shape (3, 4), not one value per sounding")])
def test_what_is_no_corners_is_named(latitude, longitude, told):
    table = read_lite(lite(vertex_latitude=latitude, vertex_longitude=longitude))
    assert list(table) == ["sounding_id", "latitude", "longitude"]
    assert table.attrs["skipped_because"] == {"vertex_latitude": told, "vertex_longitude": told}
    with pytest.raises(InputError, match="need the corners"):
        footprints(table)


def test_corners_of_one_kind_only():
    table = read_lite(lite(vertex_latitude=LAT))
    with pytest.raises(InputError, match="only vertex_latitude_1"):
        footprints(table)
    assert "footprints" not in describe_soundings(table).split("columns")[0]


def test_all_fills():
    gone = np.full((3, 4), -999999, np.float32)
    table = read_lite(lite(vertex_latitude=gone, vertex_longitude=gone))
    assert not footprints(table).known.any() and footprints(table).without == {"a corner missing": 3}
    assert table.attrs["fills"] == dict.fromkeys(CORNERS, 3)
    assert "3 soundings without a footprint: 3 with a corner missing" in describe_soundings(table)


def test_as_many_soundings_as_corners():
    ids = np.arange(2021061512145001, 2021061512145005, dtype=np.uint64)
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file["sounding_id"] = ids
        file["vertex_latitude"], file["vertex_longitude"] = np.arange(16.0).reshape(4, 4), np.ones((4, 4))
    assert read_lite(buffer, name="four.nc4")["vertex_latitude_2"].tolist() == [1, 5, 9, 13]


def test_a_second_copy_is_named():
    table = read_lite(lite(**{"vertex_latitude": LAT, "vertex_longitude": LON, "L1b/vertex_latitude": LAT + 1}))
    assert table["vertex_latitude_1"].tolist() == LAT[:, 0].tolist()
    assert table.attrs["skipped"] == ["L1b/vertex_latitude"]


@pytest.mark.parametrize("ending", ["nc4", "parquet", "csv", "json", "geoparquet"])
def test_corners_survive_every_kind_of_file(ending, tmp_path):
    if ending == "geoparquet":
        pytest.importorskip("geopandas", reason="no geopandas; other test: test_corners_are_read_as_they_are")
    soundings = simulate_area(0, 1).soundings
    soundings.loc[5, "vertex_longitude_3"] = np.nan
    path = tmp_path / f"area.{ending}"
    if ending == "nc4":
        write_lite(soundings, path)
    else:
        {"csv": lambda: soundings.to_csv(path, index=False),
         "json": lambda: soundings.to_json(path, orient="records", date_format="iso")}.get(
            ending, lambda: to_parquet(soundings, path))()
    here, there = footprints(soundings), footprints(path)
    assert there.without == here.without == {"a corner missing": 1}
    np.testing.assert_allclose(there.polygons, here.polygons, atol=1e-6)
    np.testing.assert_allclose(there.area, here.area, rtol=1e-3)


# ---------------------------------------------------------------- joined


def test_corners_are_joined_by_id_to_the_last_digit():
    soundings = simulate_area(0, 1).soundings
    near = soundings.head(2).copy()
    near["sounding_id"] = [2**53 + 1, 2**53]  # as floats they would be one
    source = pd.concat([soundings, near])
    table = pd.DataFrame({"sounding_id": [2**53, 2**53 + 1, 7], "score": [1.0, 2, 3]}, index=["a", "b", "c"])
    joined = with_corners(table, source)
    assert joined.loc["a", list(CORNERS)].tolist() == near[list(CORNERS)].iloc[1].tolist()
    assert joined.loc["b", list(CORNERS)].tolist() == near[list(CORNERS)].iloc[0].tolist()
    assert joined.loc["c", list(CORNERS)].isna().all() and joined["score"].tolist() == [1, 2, 3]
    assert with_corners(joined, source).equals(joined)
    text = table.assign(sounding_id=table["sounding_id"].astype(str))
    assert with_corners(text, source)["vertex_latitude_1"].equals(joined["vertex_latitude_1"])


def test_a_result_gets_its_corners_from_files(tmp_path):
    one, two = (simulate_area(k, 1, date=day).soundings for k, day in enumerate(["2021-06-15", "2021-06-16"]))
    write_lite(one, tmp_path / "one.nc4")
    write_lite(two, tmp_path / "two.nc4")
    bare = pd.concat([one, two])[["sounding_id", "latitude", "longitude"]].sample(frac=1, random_state=0)
    found = footprints(with_corners(bare, [str(tmp_path / "one.nc4"), str(tmp_path / "two.nc4")]))
    assert found.known.all() and len(found) == len(one) + len(two)


# ---------------------------------------------------------------- areas


def naive_areas(table):
    """The number of the area of each row, one row after the other."""
    numbers, number, before = [0] * len(table), 0, None
    for i in sorted(range(len(table)), key=lambda k: table["time"].iloc[k]):
        row = table.iloc[i]
        if row["operation_mode"] not in AREA_MODES:
            continue
        if before is None or (row["operation_mode"], row["target_id"]) != (
                before["operation_mode"], before["target_id"]) or row["time"] - before["time"] > pd.Timedelta("120s"):
            number += 1
        numbers[i], before = number, row
    return numbers


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["a", "b", "none"]),
                          st.sampled_from([1, 60, 119, 120, 121, 900])), min_size=1, max_size=12))
def test_areas_by_hand(rows):
    seconds = np.cumsum([gap for *_, gap in rows])
    table = pd.DataFrame({"operation_mode": [mode for mode, *_ in rows], "target_id": [name for _, name, _ in rows],
                          "time": pd.Timestamp("2021-06-15") + pd.to_timedelta(seconds, unit="s"),
                          "latitude": 40.0, "longitude": -3.0, "isolated": [mode == 4 for mode, *_ in rows]})
    for each in (table, table.sample(frac=1, random_state=1)):
        numbers = area_numbers(each)
        assert numbers.tolist() == naive_areas(each)
        areas = observed_areas(each)
        assert areas["soundings"].tolist() == np.bincount(numbers, minlength=1)[1:].tolist()
        if len(areas):
            assert areas["isolated"].sum() == (each["operation_mode"] == 4).sum()
            assert "none" not in set(areas["target_id"])


def test_a_track_has_neither_areas_nor_footprints():
    track = simulate_granule(0, 10).soundings
    assert observed_areas(track).empty and set(CORNERS).isdisjoint(track)
    assert "areas" not in describe_soundings(track) and "footprints" not in describe_soundings(track)


def test_an_area_map_is_read_back_and_described(tmp_path):
    soundings, bad = simulate_area(3, 2, target_name="café \x1b[31m")
    write_lite(soundings, tmp_path / "area.nc4")
    read = read_soundings(tmp_path / "area.nc4")
    pd.testing.assert_frame_equal(read[soundings.columns], soundings)
    told = describe_soundings(read)
    assert "OCO-3, by its area maps" in told and f"{len(soundings):,} footprints of" in told and "\x1b" not in told
    assert len(read_soundings(tmp_path / "area.nc4", mode="sam")) == len(soundings)
    assert not read["xco2"].isna().any() and bad["kind"].is_unique


def test_an_area_map_from_the_command_line(tmp_path, capsys):
    store = str(tmp_path / "store")
    assert main(["soundings", "simulate", "area.nc4", "--area", "--store", store]) == 0
    assert "1,520 soundings, 8 of them bad" in capsys.readouterr().out
    assert main(["soundings", "info", "area.nc4", "--store", store]) == 0
    told = capsys.readouterr().out
    assert "1,520 footprints of 1,520 soundings" in told and "snapshot area map simulated01 simulated_Madrid" in told
    assert main(["soundings", "simulate", "track.nc4", "--store", store]) == 0  # without the word it stays a track
    assert "5,491 soundings" in capsys.readouterr().out
