"""Shapes across the dateline: every piece lies on the map, and together they are what they were."""

import numpy as np
import pytest
import shapely
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from shapely.affinity import translate
from shapely.geometry import LineString, MultiPolygon, Polygon, box, shape

from oco2_outliers.exports.dateline import signed_area, within_map
from oco2_outliers.exports.shapes import as_geojson, parts_of, wkb_of

TURNS = [-720, -360, 0, 360]


@st.composite
def star_polygons(draw):
    """A simple polygon, seldom convex, that may have a hole, near the dateline; corners often on it."""
    n = draw(st.integers(3, 12))
    angles = np.sort(draw(st.lists(st.floats(0, 6.28), min_size=n, max_size=n, unique=True)))
    assume((np.diff(np.r_[angles, angles[0] + 2 * np.pi]) < 3).all())
    radii = np.array(draw(st.lists(st.floats(2, 40), min_size=n, max_size=n)))
    middle = draw(st.sampled_from([180.0, 175, 190, 150])), draw(st.floats(-40, 40))
    corners = np.column_stack([radii * np.cos(angles), radii * np.sin(angles)])
    if draw(st.booleans()):
        corners = np.round(corners)  # so that corners lie on the line itself
    outer = Polygon(corners + middle)
    assume(outer.is_valid and outer.area > 1)
    hole = shapely.affinity.scale(outer, 0.4, 0.4, origin=middle)
    hollow = outer.difference(hole) if draw(st.booleans()) else outer
    return hollow if isinstance(hollow, Polygon) else outer


def as_written(polygon):
    """The polygon as files have it: every longitude from -180 to 180."""
    def wrapped(xy):
        return np.column_stack([xy[:, 0] - 360 * np.round(xy[:, 0] / 360), xy[:, 1]])
    return shapely.transform(polygon, wrapped)


def pieces_of(polygon):
    return shape(as_geojson(within_map(parts_of(polygon.wkb))))


def by_shapely(polygon):
    """The slow twin: cut by boxes of one turn each, and moved."""
    turns = [polygon.intersection(box(-180 + 360 * k, -90, 180 + 360 * k, 90)) for k in range(-3, 4)]
    return shapely.union_all([translate(turn, -360 * k) for k, turn in zip(range(-3, 4), turns)])


@given(star_polygons(), st.sampled_from(TURNS))
@settings(max_examples=150)
def test_pieces_are_the_polygon(polygon, turn):
    cut = pieces_of(translate(polygon, turn))
    west, _, east, _ = cut.bounds
    assert -180 <= west <= east <= 180
    assert cut.area == pytest.approx(polygon.area, rel=1e-9)
    twin = by_shapely(polygon)
    assert cut.buffer(0).symmetric_difference(twin).area <= 1e-6 * polygon.area


@given(star_polygons())
@settings(max_examples=100)
def test_pieces_are_the_polygon_as_files_write_it(polygon):
    assume(polygon.bounds[2] - polygon.bounds[0] < 170)
    cut = pieces_of(as_written(polygon))
    assert cut.area == pytest.approx(polygon.area, rel=1e-9)
    assert -180 <= cut.bounds[0] <= cut.bounds[2] <= 180


@given(star_polygons(), st.booleans())
@settings(max_examples=60)
def test_rings_are_closed_and_follow_the_right_hand(polygon, backwards):
    turned = polygon.reverse() if backwards else polygon
    for kind, lines in within_map(parts_of(turned.wkb)):
        assert kind == "Polygon" and all((line[0] == line[-1]).all() and len(line) >= 4 for line in lines)
        assert [signed_area(line[:-1]) > 0 for line in lines] == [True] + [False] * (len(lines) - 1)


@given(st.lists(st.tuples(st.integers(100, 600), st.integers(-80, 80)), min_size=2, max_size=9, unique=True))
@settings(max_examples=100)
def test_pieces_of_a_line_have_its_length(corners):
    assume(max(abs(a[0] - b[0]) for a, b in zip(corners, corners[1:])) <= 180)
    line = LineString(corners)
    cut = shape(as_geojson(within_map(parts_of(line.wkb))))
    assert -180 <= cut.bounds[0] <= cut.bounds[2] <= 180
    on_it = sum(abs(a[0] - b[0]) == 0 and (a[0] - 180) % 360 == 0 for a, b in zip(corners, corners[1:]))
    assert on_it or cut.length == pytest.approx(line.length, rel=1e-9)


@given(st.builds(box, *[st.floats(*pair) for pair in ((-179, -1), (-89, -1), (1, 179), (1, 89))]))
@settings(max_examples=30)
def test_what_crosses_nothing_stays(polygon):
    assume(polygon.bounds[2] - polygon.bounds[0] <= 180)
    cut = pieces_of(polygon)
    assert cut.equals(polygon) and cut.geom_type == "Polygon"


def test_around_the_pole():
    ring = [(x, 80 + 3 * (i % 2)) for i, x in enumerate(range(-180, 180, 30))]
    cut = pieces_of(Polygon(ring))
    assert cut.is_valid and cut.bounds == (-180, 80, 180, 90)
    assert cut.area == pytest.approx(360 * (10 - 1.5))
    south = pieces_of(shapely.transform(Polygon(ring), lambda xy: xy * [1, -1]))
    assert south.area == pytest.approx(cut.area) and south.bounds[1] == -90


def test_a_hole_written_on_the_other_side():
    outer, hole = [(178, 0), (-178, 0), (-178, 4), (178, 4)], [(-179, 1), (-179, 2), (-178.5, 2), (-178.5, 1)]
    cut = pieces_of(Polygon(outer, [hole]))
    assert cut.area == 16 - 0.5 and cut.is_valid and sum(len(each.interiors) for each in cut.geoms) == 1


@pytest.mark.parametrize("geometry", [
    MultiPolygon([box(1, 1, 2, 2), box(3, 3, 4, 4)]), LineString([(1, 1), (2, 2)]), shapely.Point(1, 2),
    shapely.MultiPoint([(1, 2), (3, 4)]), shapely.GeometryCollection([shapely.Point(1, 2), box(1, 1, 2, 2)])])
@pytest.mark.parametrize("flavor, order", [("iso", 1), ("extended", 0)])
def test_bytes_of_every_kind(geometry, flavor, order):
    parts = parts_of(shapely.to_wkb(shapely.force_3d(geometry, 7.0), byte_order=order, flavor=flavor))
    assert shapely.from_wkb(wkb_of(parts)).equals(geometry) and shape(as_geojson(parts)).equals(geometry)
    assert parts_of(shapely.to_wkb(shapely.set_srid(geometry, 4326), include_srid=True))
