"""Every kind of file, opened by a library that did not write it: the ids are equal to the last digit."""

import dataclasses
import json
import os

import geopandas
import h5py
import lxml.etree
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pyogrio
import pytest
import shapely
import xarray

from oco2_outliers.exports.exporting import KINDS, export
from oco2_outliers.ground.errors import InputError
from oco2_outliers.maps.polygons import box_wkb

KML = {"k": "http://www.opengis.net/kml/2.2"}
HOSTILE = "<script>alert('&\"]]>')</script> $[name] \u202e\U0001f600 =cmd\n\x07\x00"
IDS = [2**63 - 1, 2018082505140535, 2**53 + 1, 0]


@pytest.fixture
def table():
    """Four odd rows and an ordinary one; one row without a place."""
    return pd.DataFrame({
        "sounding_id": np.array([*IDS, 7]), "latitude": np.float32([48.5, -16.25, np.nan, 90, 1]),
        "longitude": [2.5, 181, np.nan, -180, 1], "score": [9.5, np.inf, 2, np.nan, 1],
        "time": pd.to_datetime(["2018-08-25T05:14:05.351", None, "1969-12-31T23:59:59.999", "2018-08-25T00:00:00.000",
                                None]),
        "orbit": pd.array([1, None, 3, 4, 5], "Int64"), "outlier": [True, True, True, True, False],
        "reason": pd.Series(["xco2 80%, tcwv 4%", HOSTILE + "\ud800", None, "albedo_o2a 51%", ""], dtype=object),
        "near": [[1, 2], [], [3], [], []],
        "raw": [b"1"] * 5, HOSTILE: np.arange(5)})


@pytest.fixture
def tiles(table):
    """The same with an outline across the dateline, and one row without."""
    box = box_wkb(179, -17, 181, -16)
    return table.assign(geometry=[box_wkb(2, 48, 3, 49), box, None, shapely.Point(5, 5).wkb, box])


def digits(values):
    return [int(value) for value in values]


def test_geojson_by_gdal_and_json(table, tmp_path):
    done = export(table, tmp_path / "a.geojson")
    found = json.loads((tmp_path / "a.geojson").read_text("utf-8"), parse_constant=pytest.fail)
    assert "crs" not in found and found["bbox"] == [2.5, -16.25, -179, 90]
    assert [each["id"] for each in found["features"]] == list(map(str, IDS))
    assert [each["geometry"] and each["geometry"]["coordinates"] for each in found["features"]] == [
        [2.5, 48.5], [-179, -16.25], None, [-180, 90]]
    assert [each["properties"]["time"] for each in found["features"]] == [
        "2018-08-25T05:14:05.351Z", None, "1969-12-31T23:59:59.999Z", "2018-08-25T00:00:00.000Z"]
    assert [each["properties"]["score"] for each in found["features"]] == [9.5, None, 2, None]
    read = pyogrio.read_dataframe(tmp_path / "a.geojson")
    assert digits(read["sounding_id"]) == IDS and read.crs.to_epsg() == 4326
    assert any("texts of digits" in note for note in done.notes) and any("infinite" in note for note in done.notes)
    assert any("1 row without a place" in note for note in done.notes) and (tmp_path / "a.qml").is_file()


def test_ids_that_javascript_keeps_stay_numbers(table, tmp_path):
    export(table.iloc[1:2], tmp_path / "a.geojson")
    (found,) = json.loads((tmp_path / "a.geojson").read_text())["features"]
    assert found["id"] == found["properties"]["sounding_id"] == IDS[1]


def test_outlines_by_gdal(tiles, tmp_path):
    for name in ("a.geojson", "a.gpkg", "a.kml"):
        done = export(tiles, tmp_path / name)
        read = pyogrio.read_dataframe(tmp_path / name, **({} if name != "a.kml" else {"layer": 0}))
        assert any("1 row without a place" in note for note in done.notes), name
        assert -180 <= read.total_bounds[0] <= read.total_bounds[2] <= 180
    read = pyogrio.read_dataframe(tmp_path / "a.gpkg")
    assert read.geometry.geom_type.tolist()[:2] == ["Polygon", "MultiPolygon"] and shapely.area(read.geometry[1]) == 2
    parquet = geopandas.read_parquet(tmp_path / export(tiles, tmp_path / "a.parquet").path)
    assert parquet.geometry.to_wkb().tolist() == read.geometry.to_wkb().tolist()


def test_geopackage_by_gdal(table, tmp_path):
    export(table.assign(fid="x", OUTLIER="y"), tmp_path / "a.gpkg")
    read = pyogrio.read_dataframe(tmp_path / "a.gpkg", use_arrow=True)
    assert read["sounding_id"].tolist() == IDS and str(read["sounding_id"].dtype) == "int64"
    assert read["orbit"].tolist()[0] == 1 and read["orbit"].isna().tolist() == [False, True, False, False]
    assert read["time"].dropna().tolist() == [pd.Timestamp(text, tz="UTC") for text in (
        "2018-08-25T05:14:05.351", "1969-12-31T23:59:59.999", "2018-08-25")]
    assert {"fid_2", "OUTLIER_2"} <= set(read) and read["reason"][1].startswith("<script>")
    assert pyogrio.list_layers(tmp_path / "a.gpkg")[:, 0].tolist() == ["odd_rows"]


def test_geoparquet_by_pyarrow(table, tmp_path):
    export(table, tmp_path / "a.parquet", rows="all")
    read = pq.read_table(tmp_path / "a.parquet")
    assert read["sounding_id"].to_pylist() == [*IDS, 7] and str(read.schema.field("sounding_id").type) == "int64"
    assert str(read.schema.field("time").type).startswith("timestamp[") and b"geo" in read.schema.metadata
    assert geopandas.read_parquet(tmp_path / "a.parquet").geometry.isna().tolist() == [False, False, True, False, False]


def test_kml_by_lxml_and_gdal(table, tmp_path):
    done = export(table, tmp_path / "a.kml")
    tree = lxml.etree.parse(tmp_path / "a.kml", lxml.etree.XMLParser(resolve_entities=False)).getroot()
    places = tree.findall(".//k:Placemark", KML)
    ids = tree.findall(".//k:Placemark/k:ExtendedData/k:Data[@name='sounding_id']/k:value", KML)
    assert sorted(digits(each.text for each in ids)) == sorted(IDS)
    assert sorted(digits(each.find("k:name", KML).text for each in places)) == sorted(IDS)
    assert {each.text for each in tree.findall(".//k:Folder/k:name", KML)} == {
        "xco2 (1)", "albedo_o2a (1)", "no reason (1)", "<script>alert('&\"]]>')</script> (1)"}
    assert [each.text for each in tree.findall(".//k:when", KML)].count("2018-08-25T05:14:05.351Z") == 1
    for each in places:  # an HTML reader finds none but our own marks
        html = lxml.etree.HTML(each.find("k:description", KML).text)
        assert {found.tag for found in html.iter()} <= {"html", "body", "p", "b", "br"}
        assert "$[" not in each.find("k:description", KML).text
    assert any("control letters" in note for note in done.notes)
    layers = pyogrio.list_layers(tmp_path / "a.kml")[:, 0]
    assert sum(len(pyogrio.read_dataframe(tmp_path / "a.kml", layer=name)) for name in layers) == 4


ORDER = ["name", "description", "TimeStamp", "styleUrl", "ExtendedData", "Point", "Polygon", "MultiGeometry"]


def test_parts_of_a_placemark_stand_in_the_order_of_the_schema(tiles, tmp_path):
    export(tiles, tmp_path / "a.kml")
    tree = lxml.etree.parse(tmp_path / "a.kml").getroot()
    for each in tree.findall(".//k:Placemark", KML):
        places = [ORDER.index(lxml.etree.QName(part).localname) for part in each]
        assert places == sorted(set(places))
    styles = {f"#{each.get('id')}" for each in tree.findall(".//k:Style", KML)}
    assert {each.text for each in tree.findall(".//k:styleUrl", KML)} <= styles


def test_netcdf_by_xarray(table, tmp_path):
    done = export(table, tmp_path / "a.nc")
    with xarray.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as read:
        assert dict(read.sizes) == {"row": 4} and read["sounding_id"].dtype == np.int64
        assert read["sounding_id"].values.tolist() == IDS
        assert {"time", "latitude", "longitude"} == set(read.coords)
        assert read["time"].values.astype("M8[ms]").tolist() == table["time"][:4].to_numpy("M8[ms]").tolist()
        assert read["outlier"].attrs["flag_meanings"] == "not_outlier outlier"
        assert read["outlier"].attrs["flag_values"].dtype == np.int8
        assert read["latitude"].attrs["units"] == "degrees_north" and read["score"].attrs["units"] == "1"
        assert read.attrs["Conventions"] == "CF-1.11" and "written by oco2_outliers" in read.attrs["history"]
        assert read["orbit"].values[[0, 2, 3]].tolist() == [1, 3, 4] and np.isnan(read["orbit"].values[1])
        assert read["reason"].values[2] == "" and read["reason"].values[0] == "xco2 80%, tcwv 4%"
        assert "featureType" not in read.attrs  # a row has no place
    assert any("other names" in note for note in done.notes) and any("letter 0" in note for note in done.notes)
    with h5py.File(tmp_path / "a.nc") as file:
        assert file["sounding_id"][...].tolist() == IDS and h5py.check_string_dtype(file["reason"].dtype)


def test_netcdf_of_ids_with_gaps(tmp_path):
    rows = pd.DataFrame({"sounding_id": pd.array([2**63 - 1, None], "Int64"), "outlier": True})
    done = export(rows, tmp_path / "a.nc")
    with xarray.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as read:
        assert read["sounding_id"].values.tolist() == ["9223372036854775807", ""]
    assert any("with gaps" in note for note in done.notes)


def test_points_with_a_time_are_a_collection_of_points(table, tmp_path):
    export(table.iloc[:1], tmp_path / "a.nc")
    with xarray.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as read:
        assert read.attrs["featureType"] == "point"


def test_csv_by_pandas(table, tmp_path):
    done = export(table.assign(note=["=1+1", "+1", "-5 K", "@a", ""]), tmp_path / "a.csv")
    read = pd.read_csv(tmp_path / "a.csv", dtype={"sounding_id": "int64"}, keep_default_na=False, encoding="utf-8")
    assert read["sounding_id"].tolist() == IDS and read["time"][0] == "2018-08-25T05:14:05.351Z"
    assert read["note"].tolist() == ["'=1+1", "'+1", "'-5 K", "'@a"]
    assert any("4 texts that a spreadsheet would run" in note for note in done.notes)


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_of_no_odd_rows(table, tmp_path, kind):
    done = export(table.assign(outlier=False), tmp_path / f"a.{kind}")
    assert done.n_rows == 0 and done.n_all == 5
    path = tmp_path / f"a.{kind}"
    if kind == "nc":
        with xarray.open_dataset(path, engine="h5netcdf") as read:
            assert read.sizes["row"] == 0
    elif kind == "kml":
        assert not lxml.etree.parse(path).getroot().findall(".//k:Placemark", KML)
    elif kind == "geojson":
        assert json.loads(path.read_text())["features"] == []
    else:
        read = pd.read_csv if kind == "csv" else pd.read_parquet if kind == "parquet" else pyogrio.read_dataframe
        assert len(read(path)) == 0 and "sounding_id" in read(path)


@pytest.mark.parametrize("kind", KINDS)
def test_a_table_without_places(table, tmp_path, kind):
    bare = table.drop(columns=["latitude", "longitude"])
    done = export(bare, tmp_path / f"a.{kind}")
    assert done.n_rows == 4 and (kind == "csv" or any("4 rows without a place" in note for note in done.notes))


@pytest.mark.parametrize("kind", KINDS)
def test_notes_say_what_became_text_and_what_was_left_out(table, tmp_path, kind):
    notes = " ".join(export(table, tmp_path / f"a.{kind}").notes)
    assert "lists became text: near" in notes and "bytes left out: raw" in notes and "\x00" not in notes


@pytest.mark.parametrize("kind", KINDS)
def test_columns_of_every_kind(tmp_path, kind):
    rows = pd.DataFrame({
        "sounding_id": IDS[:2], "latitude": [1, 2], "longitude": [3, 4], "outlier": True, "score": 1.0,
        "truth": pd.array([True, None], "boolean"), "word": pd.Categorical(["x", None]),
        "number": pd.Categorical([1, 2]),
        "span": pd.to_timedelta([1, None], "s"), "complex": [1 + 2j, 3], "half": np.float16([1, 2]),
        "large": np.array([2**64 - 1, 1], np.uint64), "gap": pd.array([2**63 + 5, None], "UInt64"), "mixed": [1, "a"],
        "fine": np.array(["2020-01-01T00:00:00.123456789", "NaT"], "M8[ns]"), "time": ["yesterday", "2020"],
        "zone": pd.to_datetime(["2020-01-01", "2021-01-01"]).tz_localize("Europe/Paris"), "none": [None, None]})
    done = export(rows, tmp_path / f"a.{kind}")
    assert done.n_rows == 2
    text = (tmp_path / f"a.{kind}").read_bytes()
    if kind in ("geojson", "kml", "csv"):
        for word in (b"18446744073709551615", b"9223372036854775813", b"2020-01-01T00:00:00.123456789Z",
                     b"2019-12-31T23:00:00.000Z", b"yesterday"):
            assert word in text, word
    if kind == "nc":
        with xarray.open_dataset(tmp_path / "a.nc", engine="h5netcdf") as read:
            assert read["fine"].values.astype("M8[ns]")[0] == rows["fine"][0].to_datetime64()
            assert read["large"].values.tolist() == [2**64 - 1, 1] and read["gap"].values[0] == "9223372036854775813"
    if kind == "gpkg":
        read = pyogrio.read_dataframe(tmp_path / "a.gpkg", use_arrow=True)
        assert read["large"].tolist() == ["18446744073709551615", "1"] and read["gap"].isna().tolist() == [False, True]
        assert any("to the millisecond" in note for note in done.notes)


def test_outlines_of_geopandas_in_another_plane(tmp_path):
    points = geopandas.points_from_xy([2.0, 179.9], [48, 3])
    places = geopandas.GeoDataFrame({"score": [1.0, 2]}, geometry=points, crs=4326)
    export(places.to_crs(3857), tmp_path / "a.geojson", rows="all")
    read = pyogrio.read_dataframe(tmp_path / "a.geojson")
    assert read.geometry.x.tolist() == pytest.approx([2, 179.9]) and read["score"].tolist() == [1, 2]


def test_a_style_that_was_edited_is_left_alone(table, tmp_path):
    (tmp_path / "a.qml").write_text("mine")
    done = export(table, tmp_path / "a.gpkg")
    assert (tmp_path / "a.qml").read_text() == "mine" and any("left as it is" in note for note in done.notes)


def test_a_full_disk_leaves_nothing(table, tmp_path, monkeypatch):
    def full(*told):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    for kind in KINDS:
        with pytest.raises(OSError):
            export(table, tmp_path / f"a.{kind}")
    assert os.listdir(tmp_path) == []


def test_files_of_a_result_are_not_written_over(table, tmp_path):
    table.drop(columns="reason").to_parquet(tmp_path / "scores.parquet")
    with pytest.raises(InputError, match="written over"):
        export(tmp_path, tmp_path / "scores.parquet")
    with pytest.raises(InputError, match="written over"):
        export(tmp_path / "scores.parquet", tmp_path / "scores.parquet", "csv")


@pytest.fixture(scope="module")
def judged():
    """Readings of a sewer, judged: a flat line and a spike are found."""
    from oco2_outliers.series.judging import judge
    from oco2_outliers.series.simulated import simulate_series

    sewer = simulate_series(days=10, faults=["flat line", "spike"], random_state=3)
    return judge(sewer[sewer["channel"] == "velocity"].drop(columns="fault"), "energy", "3h", calibrate=None)


@pytest.mark.parametrize("saved", [False, True])
def test_series_leave_as_odd_stretches_or_all_readings(judged, tmp_path, saved):
    result = tmp_path / "sj" if saved else judged
    judged.save(tmp_path / "sj")
    odd = judged.windows[judged.windows["outlier"]]
    assert len(odd)
    done = export(result, tmp_path / "odd.csv")
    assert (done.n_rows, done.n_all, done.notes) == (len(odd), len(judged.windows), [])
    assert pd.read_csv(tmp_path / "odd.csv")["reason"].tolist() == odd["reason"].tolist()
    assert export(result, tmp_path / "all.parquet", rows="all").n_rows == len(judged.points)
    read = pd.read_parquet(tmp_path / "all.parquet")
    assert read["value"].equals(judged.points["value"].reset_index(drop=True))
    export(result, tmp_path / "odd.nc")
    with xarray.open_dataset(tmp_path / "odd.nc", engine="h5netcdf") as read:
        assert read["kind"].values.tolist() == odd["kind"].tolist()
    assert judged.export(tmp_path / "again.csv").n_rows == len(odd)


@pytest.mark.parametrize("kind", ["geojson", "kml", "gpkg"])
def test_series_without_places_make_no_map(judged, tmp_path, kind):
    with pytest.raises(InputError, match=f"no places, and {kind} is a map: write csv, parquet or nc"):
        export(judged, tmp_path / f"a.{kind}")
    assert os.listdir(tmp_path) == []
    placed = dataclasses.replace(judged, windows=judged.windows.assign(latitude=48.5, longitude=2.5))
    assert export(placed, tmp_path / f"a.{kind}").n_rows == judged.windows["outlier"].sum()


def test_files_of_series_are_not_written_over(judged, tmp_path):
    judged.save(tmp_path)
    with pytest.raises(InputError, match="written over"):
        export(tmp_path, tmp_path / "windows.parquet")


def test_results_in_memory(tmp_path):
    from oco2_outliers.main_job import isolate
    from oco2_outliers.peaks import find_peaks
    from oco2_outliers.soundings import simulate_granule

    granule = simulate_granule(0).soundings
    result = isolate(granule, progress=False)
    done = export(result, tmp_path / "a.geojson")
    odd = result.table[result.table["outlier"]]
    assert done.n_rows == len(odd) and done.n_all == len(granule)
    read = pyogrio.read_dataframe(tmp_path / "a.geojson")
    assert read["sounding_id"].tolist() == odd["sounding_id"].tolist()
    assert np.array_equal(read.geometry.y, odd["latitude"].astype(float))
    search = find_peaks(granule, progress=False)
    assert export(search, tmp_path / "b.kml", rows="all").n_rows == len(search.peaks)
    result.save(tmp_path / "run")
    assert export(tmp_path / "run", tmp_path / "c.nc").n_rows == len(odd)
    with xarray.open_dataset(tmp_path / "c.nc", engine="h5netcdf") as read:
        assert read["sounding_id"].values.tolist() == odd["sounding_id"].tolist()
        assert read["xco2_quality_flag"].attrs["flag_meanings"] == "good bad"
        assert read["xco2_quality_flag"].attrs["flag_values"].dtype == read["xco2_quality_flag"].dtype == np.int8
        assert read.attrs["featureType"] == "point" and "robust" in read["score"].attrs["comment"]
