"""Soundings as areas in every kind of file that holds them, opened by a library that did not write it."""

import json

import geopandas
import lxml.etree
import numpy as np
import pandas as pd
import pyogrio
import pytest
import shapely

from oco2_outliers.cli import main
from oco2_outliers.exports.exporting import export
from oco2_outliers.ground.errors import InputError
from oco2_outliers.soundings import footprints, simulate_area, write_lite
from oco2_outliers.soundings.corners import CORNERS

KML = {"k": "http://www.opengis.net/kml/2.2"}


@pytest.fixture(scope="module")
def judged():
    """A map across the dateline; two of its odd rows have no footprint."""
    soundings, _ = simulate_area(0, 2, center=(-17.5, 180.0), target_name="Fiji")
    table = soundings.assign(score=np.linspace(1, 9, len(soundings)), outlier=np.arange(len(soundings)) % 3 == 0,
                             reason="xco2 80%")
    table.loc[3, "vertex_latitude_2"] = np.nan
    table.loc[6, list(CORNERS)] = 0.0
    return table


def expected(judged):
    """The footprints of the odd rows by shapely, cut at the dateline as one cuts with scissors."""
    found = footprints(judged[judged["outlier"]])
    west, east = shapely.box(-180, -90, 180, 90), shapely.box(180, -90, 540, 90)
    made = []
    for ring, known in zip(found.polygons, found.known):
        whole = shapely.Polygon(ring) if known else None
        if known and whole.bounds[0] < -180:
            whole = shapely.transform(whole, lambda corners: corners + [360, 0])
        beyond = whole and shapely.transform(whole & east, lambda corners: corners - [360, 0])
        made.append(whole and shapely.union_all([whole & west, beyond]))
    return made


def compared(read, judged):
    ids = judged.loc[judged["outlier"], "sounding_id"].tolist()
    assert [int(each) for each in read["sounding_id"]] == ids
    for shape, hoped in zip(read.geometry, expected(judged)):
        if hoped is None:
            assert shape.geom_type == "Point"
            continue
        assert shape.geom_type in ("Polygon", "MultiPolygon") and shape.is_valid
        assert shape.symmetric_difference(hoped).area < 1e-9 * hoped.area + 1e-12
        for part in getattr(shape, "geoms", [shape]):
            assert part.exterior.is_ccw  # RFC 7946: the right hand follows the inside
        assert -180 <= shape.bounds[0] <= shape.bounds[2] <= 180
    kinds = read.geometry.geom_type.value_counts()
    assert kinds["Point"] == 2 and kinds["MultiPolygon"] > 10 and kinds["Polygon"] > 100


@pytest.mark.parametrize("name", ["a.geojson", "a.gpkg"])
def test_footprints_by_gdal(judged, name, tmp_path):
    done = export(judged, tmp_path / name, shape="footprint")
    compared(pyogrio.read_dataframe(tmp_path / name), judged)
    told = "; ".join(done.notes)
    assert ("2 soundings without a footprint: 1 with a corner missing, 1 with corners too far from the sounding" in told
            and "2 rows without a footprint are points" in told)
    assert 'type="fill"' in (tmp_path / "a.qml").read_text()


def test_footprints_by_pyarrow(judged, tmp_path):
    export(judged, tmp_path / "a.parquet", shape="footprint")
    read = geopandas.read_parquet(tmp_path / "a.parquet")
    compared(read, judged)
    area = footprints(judged[judged["outlier"]]).area
    assert np.array_equal(read["footprint_km2"], area, equal_nan=True) and set(CORNERS).isdisjoint(read)


def test_geojson_as_the_standard_has_it(judged, tmp_path):
    export(judged, tmp_path / "a.geojson", shape="footprint")
    found = json.loads((tmp_path / "a.geojson").read_text(), parse_constant=pytest.fail)
    assert found["bbox"][0] > 0 > found["bbox"][2]  # the box goes across the dateline
    for each in found["features"]:
        shape = each["geometry"]
        rings = {"Polygon": lambda c: c, "MultiPolygon": lambda c: [r for part in c for r in part]}.get(
            shape["type"], lambda _: [])(shape["coordinates"])
        assert all(ring[0] == ring[-1] and len(ring) >= 4 for ring in rings)


def test_kml_by_lxml(judged, tmp_path):
    export(judged, tmp_path / "a.kml", shape="footprint")
    tree = lxml.etree.parse(tmp_path / "a.kml", lxml.etree.XMLParser(resolve_entities=False)).getroot()
    places = tree.findall(".//k:Placemark", KML)
    areas = {int(place.find("k:name", KML).text): [shapely.Polygon([tuple(map(float, pair.split(",")[:2]))
             for pair in ring.text.split()]) for ring in place.findall(".//k:outerBoundaryIs//k:coordinates", KML)]
             for place in places}
    for number, hoped in zip(judged.loc[judged["outlier"], "sounding_id"], expected(judged)):
        assert (hoped is None) == (areas[number] == [])
        if hoped is not None:
            assert shapely.union_all(areas[number]).symmetric_difference(hoped).area < 1e-9 * hoped.area + 1e-12
    assert len(tree.findall(".//k:Point", KML)) == 2


def test_points_stay_the_default(judged, tmp_path):
    done = export(judged, tmp_path / "a.geojson")
    read = pyogrio.read_dataframe(tmp_path / "a.geojson")
    assert set(read.geometry.geom_type) == {"Point"} and set(CORNERS) <= set(read)
    assert "footprint" not in str(done.notes)


def test_a_footprint_around_a_pole(tmp_path):
    ring = pd.DataFrame([[89.99] * 4 + [0.0, 90.0, 180.0, -90.0]], columns=list(CORNERS))
    table = ring.assign(sounding_id=1, latitude=90.0, longitude=0.0, outlier=True)
    export(table, tmp_path / "a.geojson", shape="footprint")
    parts = pyogrio.read_dataframe(tmp_path / "a.geojson").geometry[0].geoms
    assert all(part.is_valid and part.exterior.is_ccw for part in parts)  # led along the pole, which is an edge here
    assert shapely.union_all(list(parts)).equals(shapely.box(-180, 89.99, 180, 90))
    assert footprints(table).area[0] == pytest.approx(2 * (0.01 * 111.195) ** 2, rel=1e-4)


def test_on_the_command_line(judged, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    bare = judged[["sounding_id", "latitude", "longitude", "score", "outlier", "reason"]]
    bare.to_parquet("scores.parquet")
    write_lite(judged.drop(columns=["score", "outlier", "reason"]), "area.nc4")
    assert main(["export", "scores.parquet", "--to", "gpkg", "--shape", "footprint"]) == 2
    assert "with_corners" in capsys.readouterr().err
    for name in ("a.geojson", "a.gpkg"):
        assert main(["export", "scores.parquet", "--out", name, "--shape", "footprint", "--vertices", "area.nc4"]) == 0
    assert "2 rows without a footprint are points" in capsys.readouterr().out
    read = pyogrio.read_dataframe("a.gpkg")
    assert read.geometry.geom_type.value_counts()["Point"] == 2
    before = (tmp_path / "area.nc4").read_bytes()
    for wrong in (["--to", "csv"], ["--to", "nc"], ["--out", "area.nc4", "--to", "kml", "--vertices", "area.nc4"]):
        assert main(["export", "scores.parquet", "--shape", "footprint", *wrong]) == 2
        assert capsys.readouterr().err.count("\n") == 1
    assert main(["export", "scores.parquet", "--to", "kml", "--vertices", "area.nc4"]) == 2
    assert (tmp_path / "area.nc4").read_bytes() == before


@pytest.mark.parametrize("shape", ["round", "", None, 3])
def test_unknown_shapes(judged, shape, tmp_path):
    with pytest.raises(InputError, match="point or footprint"):
        export(judged, tmp_path / "a.kml", shape=shape)
    assert not (tmp_path / "a.kml").exists()
