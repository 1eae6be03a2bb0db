"""04_soundings: Lite files of every layout, broken files, round trips, the generated granule, and 187 real files."""

from __future__ import annotations

import io
import sys
import warnings

import h5netcdf
import h5py
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from layout import SHARED_DATA
from scipy.spatial import cKDTree

from oco2_outliers.datasets import Datasets, InputError
from oco2_outliers.soundings import (
    background,
    convert_soundings,
    describe_soundings,
    enhancement,
    make_sounding_id,
    read_lite,
    read_soundings,
    simulate_granule,
    sounding_footprint,
    sounding_time,
    soundings_per_day,
    to_parquet,
    track_distance,
    write_lite,
)

LITE = SHARED_DATA / "soundings" / "lite_v10r_ohio"
SECUNDA = SHARED_DATA / "soundings" / "orbit11522_20160831_secunda.csv"
needs_real = pytest.mark.skipif(not LITE.is_dir(), reason="no real Lite files; generated ones take the same path")


@pytest.fixture(scope="module")
def granule():
    return simulate_granule(7, n_seconds=40)


@pytest.fixture(scope="module")
def lite_bytes(granule) -> bytes:
    buffer = io.BytesIO()
    write_lite(granule.soundings, buffer)
    return buffer.getvalue()


def lite_file(variables: dict, dimension: str = "sounding_id", n: int | None = None) -> io.BytesIO:
    """A netCDF file from {path: (values, attrs)}; 2-D values get a second dimension `levels`."""
    buffer = io.BytesIO()
    with h5netcdf.File(buffer, "w") as file:
        n = len(next(iter(variables.values()))[0]) if n is None else n
        file.dimensions = {dimension: n, "levels": 20}
        for path, (values, attrs) in variables.items():
            group, _, name = path.rpartition("/")
            where = file if not group else file.groups.get(group) or file.create_group(group)
            values = np.asarray(values)
            dims = (dimension, "levels")[: values.ndim]
            dtype = h5py.string_dtype() if values.dtype.kind in "UO" else values.dtype
            variable = where.create_variable(name, dims, dtype=dtype)
            variable[...] = values.astype(object) if values.dtype.kind in "UO" else values
            variable.attrs.update(attrs)
    buffer.seek(0)
    return buffer


IDS = np.array([2016083112023031, 2016083112023032, 2016083112023033], np.uint64)


# --- ids ---
moments = st.datetimes(pd.Timestamp("2014-07-02"), pd.Timestamp("2050-01-01"))


@given(moments, st.integers(1, 8))
def test_id_and_time_are_one(moment, footprint):
    tenth = np.datetime64(moment.replace(microsecond=moment.microsecond // 100_000 * 100_000), "ms")
    made = make_sounding_id([tenth], [footprint])
    assert made.dtype == np.int64
    assert sounding_time(made)[0] == pd.Timestamp(tenth) and sounding_footprint(made)[0] == footprint
    assert str(made[0]) == moment.strftime("%Y%m%d%H%M%S") + str(moment.microsecond // 100_000) + str(footprint)


@given(st.integers(0, 10**16 - 1))
def test_time_of_any_number_is_a_date_or_missing(number):
    stamp = sounding_time([number])[0]
    if stamp is not pd.NaT and number // 100 % 100 < 60:
        assert make_sounding_id([stamp], [number % 10])[0] == number


def test_ids_that_name_no_date_are_missing():
    assert sounding_time([0, 2019063112000001, 2019013124000001, 2019013100600001, 20190131]).isna().all()
    assert not sounding_time([2016123123596001]).isna().any()  # the leap second of 2016
    assert len(sounding_time([])) == 0


# --- the layout, as others see it ---
def test_netcdf_library_reads_what_is_written(lite_bytes, granule, tmp_path):
    netCDF4 = pytest.importorskip("netCDF4", reason="no netCDF4; the round trips below read the same file")
    path = tmp_path / "granule.nc4"
    path.write_bytes(lite_bytes)
    with netCDF4.Dataset(path) as file:
        assert {"Retrieval", "Sounding", "Meteorology"} <= set(file.groups)
        assert file.data_model == "NETCDF4" and file.dimensions["sounding_id"].size == len(granule.soundings)
        ids = file["sounding_id"]
        assert ids.dtype == np.uint64 and (np.asarray(ids[:]) == granule.soundings["sounding_id"]).all()
        for path, units in {"xco2": "ppm", "Retrieval/psurf": "hPa", "Meteorology/windspeed_u_met": "m s-1",
                            "Sounding/altitude": "m", "time": "seconds since 1970-01-01 00:00:00"}.items():
            assert file[path].units == units and file[path].missing_value == file[path]._FillValue == -999999
            assert file[path].filters()["zlib"] and file[path].long_name
        assert file["Sounding/footprint"]._FillValue == 127 and file["Sounding/orbit"]._FillValue == -9999
        assert np.array_equal(file["xco2"][:], granule.soundings["xco2"])


def test_lite_round_trip_keeps_every_value_and_type(granule, lite_bytes):
    back = read_lite(io.BytesIO(lite_bytes))
    pd.testing.assert_frame_equal(back[granule.soundings.columns], granule.soundings)
    assert back.attrs["skipped"] == []


def test_missing_values_survive_a_round_trip():
    table = pd.DataFrame({
        "sounding_id": IDS.astype(np.int64), "xco2": np.array([400, np.nan, 402], np.float32),
        "time": np.array(["2016-08-31T12:02:30.195", "NaT", "2016-08-31T12:02:30.249"], "datetime64[ms]"),
        "orbit": pd.array([11522, None, 11522], "Int32"), "footprint": pd.array([1, 2, None], "Int8"),
        "own": [1.5, None, -2.5], "place": ["a", None, "ø"], "flag": pd.array([True, None, False], "boolean"),
        "byte": np.array([127, 1, 2], np.int8), "big": np.array([2**60, 1, 2]),
    })
    buffer = io.BytesIO()
    write_lite(table, buffer)
    back = read_lite(buffer)
    assert back["time"].equals(table["time"])
    for name in ("xco2", "orbit", "footprint", "own", "flag"):
        assert back[name].isna().tolist() == table[name].isna().tolist(), name
        assert back[name].dropna().astype(float).tolist() == table[name].dropna().astype(float).tolist(), name
    assert back["byte"].tolist() == [127, 1, 2] and back["big"].tolist() == [2**60, 1, 2]
    assert back["place"].tolist() == ["a", "", "ø"]


@pytest.mark.parametrize("ending", [".csv", ".csv.bz2", ".csv.gz", ".json", ".parquet", ".nc4"])
def test_ids_and_times_round_trip_through_every_kind(granule, tmp_path, ending):
    soundings, path = granule.soundings, tmp_path / f"granule{ending}"
    if ending == ".nc4":
        write_lite(soundings, path)
    elif ending == ".parquet":
        soundings.to_parquet(path)
    elif ending == ".json":
        soundings.to_json(path, orient="records", date_format="iso", double_precision=15)
    else:
        soundings.to_csv(path, sep=";", index=False)
    back = read_soundings(path)
    assert back["sounding_id"].dtype == np.int64
    assert (back["sounding_id"] == soundings["sounding_id"]).all()
    pd.testing.assert_series_equal(back["time"], soundings["time"])
    assert (back["xco2"].astype(np.float32) == soundings["xco2"]).all()
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")], "a temporary file stayed"


KINDS = [".csv", ".csv.bz2", ".csv.gz", ".CSV.xz", ".json", ".json.gz", ".parquet", ".geoparquet", ".gpq", ".nc4"]


@pytest.fixture
def needs_geopandas(request):
    if "ending" in request.fixturenames and request.getfixturevalue("ending") in (".geoparquet", ".gpq"):
        pytest.importorskip("geopandas", reason="geopandas is an extra: pip install 'oco2_outliers[geo]'")


@pytest.mark.parametrize("ending", KINDS)
def test_conversion_to_every_kind_and_back_keeps_ids_times_and_values(granule, tmp_path, ending, needs_geopandas):
    source, target = tmp_path / "granule.nc4", tmp_path / "out" / f"granule{ending}"
    target.parent.mkdir()
    write_lite(granule.soundings, source)
    target.write_bytes(b"an older file")
    written = convert_soundings(source, target)
    back = read_soundings(target)
    assert back["sounding_id"].dtype == np.int64 and back["sounding_id"].tolist() == written["sounding_id"].tolist()
    assert list(back) == list(written) and back["time"].dtype == "datetime64[ms]"
    for name in written:
        assert (back[name].to_numpy(written[name].dtype) == written[name].to_numpy()).all(), name
    again = tmp_path / "again.nc4"  # and to nc4 from there
    convert_soundings(target, again)
    assert read_lite(again)["sounding_id"].tolist() == written["sounding_id"].tolist()
    assert list(target.parent.iterdir()) == [target], "a temporary file stayed"


@settings(max_examples=20, deadline=None)
@given(ids=st.lists(st.integers(1, 2**53 - 1), min_size=1, max_size=5), kind=st.sampled_from([".csv", ".json", ".nc4"]))
def test_any_id_survives(tmp_path_factory, ids, kind):
    folder = tmp_path_factory.mktemp("ids")
    to_parquet(pd.DataFrame({"sounding_id": ids}), folder / "a.parquet")
    convert_soundings(folder / "a.parquet", folder / f"b{kind}")
    assert read_soundings(folder / f"b{kind}")["sounding_id"].tolist() == ids


@pytest.mark.parametrize("ending", ["csv", "json", "parquet", "nc4"])
def test_ids_that_are_the_index_are_written(granule, tmp_path, ending):
    soundings = granule.soundings[["sounding_id", "xco2"]]
    soundings.set_index("sounding_id").to_parquet(tmp_path / "a.parquet")
    convert_soundings(tmp_path / "a.parquet", tmp_path / f"b.{ending}")
    assert read_soundings(tmp_path / f"b.{ending}")["sounding_id"].equals(soundings["sounding_id"])
    if ending in ("parquet", "nc4"):
        write = write_lite if ending == "nc4" else to_parquet
        write(soundings.set_index("sounding_id"), tmp_path / f"c.{ending}")
        assert read_soundings(tmp_path / f"c.{ending}")["sounding_id"].equals(soundings["sounding_id"])


def test_missing_values_times_and_texts_survive_conversion(tmp_path):
    table = pd.DataFrame({
        "sounding_id": IDS.astype(np.int64), "xco2": np.array([400, np.nan, 402], np.float32),
        "time": pd.DatetimeIndex(["2016-08-31T14:02:30.195+02:00", None, "2016-08-31T14:02:30.249+02:00"]),
        "target_id": ["a;b", 'say "x"', "line\nbreak ø"]})
    to_parquet(table, tmp_path / "a.parquet")
    for kind in (".csv", ".json", ".nc4", ".parquet"):
        convert_soundings(tmp_path / "a.parquet", tmp_path / f"b{kind}")
        back = read_soundings(tmp_path / f"b{kind}")
        assert back["target_id"].tolist() == table["target_id"].tolist(), kind
        assert back["xco2"].isna().tolist() == back["time"].isna().tolist() == [False, True, False], kind
        assert back["time"][0] == pd.Timestamp("2016-08-31T12:02:30.195"), kind
    assert (tmp_path / "b.csv").read_text().splitlines()[:2] == [
        "sounding_id;xco2;time;target_id", '2016083112023031;400.0;2016-08-31T12:02:30.195Z;"a;b"']


def test_parquet_says_what_it_holds(granule, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    to_parquet(granule.soundings.set_index("latitude", drop=False), tmp_path / "a.parquet")
    schema = pq.read_schema(tmp_path / "a.parquet")
    assert schema.field("sounding_id").type == pa.int64() and schema.names == list(granule.soundings)
    assert schema.field("time").type == pa.timestamp("ms", "UTC")
    assert schema.field("xco2").type == pa.float32() and schema.field("footprint").type == pa.int8()
    buffer = io.BytesIO()
    to_parquet(granule.soundings.assign(sounding_id=granule.soundings["sounding_id"].astype("uint64")), buffer)
    buffer.seek(0)
    pd.testing.assert_frame_equal(read_soundings(buffer, "a.parquet"), granule.soundings)


def test_geoparquet_opens_as_a_map(tmp_path):
    geopandas = pytest.importorskip("geopandas", reason="geopandas is an extra: pip install 'oco2_outliers[geo]'")
    table = pd.DataFrame({"sounding_id": IDS.astype(np.int64), "latitude": [10.0, np.nan, -20.0],
                          "longitude": [190.0, 0.0, -180.0], "xco2": [400.0, 401.0, 402.0]})
    to_parquet(table, tmp_path / "a.geoparquet", geo=True)
    layer = geopandas.read_parquet(tmp_path / "a.geoparquet")
    assert layer.crs.to_epsg() == 4326 and layer["sounding_id"].tolist() == IDS.tolist()
    assert layer.geometry.isna().tolist() == [False, True, False]
    assert (layer.geometry[0].x, layer.geometry[0].y) == (-170, 10) and layer.geometry[2].y == -20
    back = read_soundings(tmp_path / "a.geoparquet")
    assert back.attrs["skipped"] == ["geometry"]
    pd.testing.assert_frame_equal(back, table)
    with pytest.raises(InputError, match="geometry already"):
        to_parquet(layer, tmp_path / "b.gpq", geo=True)
    with pytest.raises(InputError, match="latitude"):
        to_parquet(table[["sounding_id"]], tmp_path / "b.gpq", geo=True)


def test_geoparquet_without_geopandas_says_how_to_get_it(granule, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "geopandas", None)
    with pytest.raises(InputError, match=r"pip install 'oco2_outliers\[geo\]'") as error:
        to_parquet(granule.soundings, tmp_path / "a.gpq", geo=True)
    assert "\n" not in str(error.value) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("table", [
    pd.DataFrame({"sounding_id": [1.0]}), pd.DataFrame({"sounding_id": pd.array([1, None], "Int64")}),
    pd.DataFrame(), pd.DataFrame([[1, 2]], columns=["a", "a"]), pd.DataFrame({"a": [1, "x"]}),
    pd.DataFrame({"a": [1 + 2j]}), pd.DataFrame({"sounding_id": np.array([2**63], np.uint64)})])
def test_tables_that_parquet_cannot_keep_are_refused_and_leave_nothing(table, tmp_path):
    with pytest.raises(InputError) as error:
        to_parquet(table, tmp_path / "a.parquet")
    assert "\n" not in str(error.value) and list(tmp_path.iterdir()) == []


def test_conversion_refuses_its_own_input_and_unknown_endings(granule, tmp_path):
    path, link, out = tmp_path / "a.nc4", tmp_path / "link.nc4", tmp_path / "out"
    write_lite(granule.soundings, path)
    link.symlink_to(path)
    out.mkdir()
    before = path.read_bytes()
    for target in (path, link, tmp_path / "out" / ".." / "a.nc4"):
        for source in (path, [out / "none.nc4", path]):
            with pytest.raises(InputError, match="input itself"):
                convert_soundings(source, target)
    for name in ("a", "a.txt", "a.parquet.gz", "a.nc4.bz2", ".csv", "a.xlsx", "a.csv.zip"):
        with pytest.raises(InputError, match="ending says"):
            convert_soundings(path, out / name)
    with pytest.raises(InputError, match="none of .* soundings fits"):
        convert_soundings(path, out / "a.csv", box=(0, 0, 1, 1))
    with pytest.raises(InputError, match="no input"):
        convert_soundings([], out / "a.csv")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        convert_soundings(path, out / "none" / "a.csv")
    (out / "folder.csv").mkdir()
    with pytest.raises(IsADirectoryError):
        convert_soundings(path, out / "folder.csv")
    assert path.read_bytes() == before and [p.name for p in out.iterdir()] == ["folder.csv"]


@pytest.mark.parametrize(("ending", "broken"), [
    (".csv", "pandas.DataFrame.to_csv"), (".json", "pandas.DataFrame.to_json"),
    (".parquet", "pyarrow.parquet.write_table"), (".nc4", "oco2_outliers.soundings._write_variable")])
def test_a_failed_conversion_leaves_the_old_file(granule, tmp_path, monkeypatch, ending, broken):
    import pyarrow.parquet  # noqa: F401  so that monkeypatch finds it

    write_lite(granule.soundings, tmp_path / "a.nc4")
    (tmp_path / f"b{ending}").write_bytes(b"old")

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(broken, full)
    with pytest.raises(OSError, match="No space"):
        convert_soundings(tmp_path / "a.nc4", tmp_path / f"b{ending}")
    assert (tmp_path / f"b{ending}").read_bytes() == b"old" and len(list(tmp_path.iterdir())) == 2


def test_several_files_become_one_table(granule, tmp_path):
    one, two = granule.soundings, simulate_granule(8, n_seconds=20, date="2019-07-16").soundings
    two.loc[3, "xco2"] = np.nan
    for name, table in (("a.nc4", one), ("b.nc4", two)):
        write_lite(table, tmp_path / name)
    to_parquet(two.drop(columns="tcwv"), tmp_path / "c.parquet")
    paths = [tmp_path / "a.nc4", tmp_path / "b.nc4"]
    both = convert_soundings(paths, tmp_path / "all.parquet", columns=["time", "xco2"])
    assert len(both) == both.attrs["n_soundings"] == len(one) + len(two) and both.attrs["fills"] == {"xco2": 1}
    assert both["sounding_id"].tolist() == [*one["sounding_id"], *two["sounding_id"]]
    assert soundings_per_day(both)["soundings"].tolist() == [len(one), len(two)]
    with pytest.warns(UserWarning, match="not every input has tcwv: missing there"):
        mixed = read_soundings([tmp_path / "a.nc4", tmp_path / "c.parquet"])
    assert mixed["tcwv"].isna().sum() == len(two) and mixed["sounding_id"].dtype == np.int64
    store = Datasets(f"file://{tmp_path}")
    assert len(convert_soundings("/a.nc4", tmp_path / "from_store.csv", store=store)) == len(one)
    with pytest.raises(InputError, match="input itself"):
        convert_soundings("/a.nc4", tmp_path / "a.nc4", store=store)
    with (tmp_path / "a.nc4").open("rb") as file:
        assert len(convert_soundings(file, tmp_path / "a.csv")) == len(one)


# --- what is in a table ---
def test_description_of_a_file(granule, tmp_path):
    soundings = granule.soundings.copy()
    soundings.loc[:4, "tcwv"] = np.nan
    soundings["operation_mode"] = np.where(soundings.index < 10, 1, 4).astype(np.int8)
    write_lite(soundings, tmp_path / "a.nc4")
    text = describe_soundings(read_lite(tmp_path / "a.nc4", quality=0))
    good = int((soundings["xco2_quality_flag"] == 0).sum())
    assert f"soundings  {good:,} in 1 day of {len(soundings):,} in the input" in text
    assert "V11, by xco2_x2019, of OCO-3, by its area maps" in text
    assert "modes      glint 10, area map" in text and f"quality    {good:,} good, 0 bad" in text
    assert "missing    tcwv 5" in text and "fills      tcwv 5" in text
    assert text.splitlines()[-1].split() == ["2019-07-15", str(good), str(good)]


@pytest.mark.parametrize("table", [
    pd.DataFrame(), pd.DataFrame({"xco2": [400.0]}), pd.DataFrame({"latitude": [np.nan], "longitude": [0.0]}),
    pd.DataFrame({"sounding_id": np.array([], np.int64), "time": np.array([], "M8[ms]"), "xco2": []}),
    pd.DataFrame({"sounding_id": [0], "xco2_quality_flag": [None], "operation_mode": [None], "xco2": ["x"]})])
def test_description_of_little_says_what_is_not_known(table):
    text = describe_soundings(table)
    assert text.startswith(f"soundings  {len(table)}") and "layout     not told" in text


def test_description_tells_text_from_missing_values(tmp_path):
    def line(values):
        text = describe_soundings(pd.DataFrame({"xco2": values}))
        return next(line for line in text.splitlines() if line.startswith("xco2"))

    (tmp_path / "a.csv").write_text("id;xco2\n0;400,259\n1;400,307\n")
    with pytest.raises(InputError, match="400.259 or 400259"):
        read_soundings(tmp_path / "a.csv")
    text = describe_soundings(pd.DataFrame({"id": [0, 1], "xco2": ["400,259", "400,307"]}))
    assert "xco2       2 of 2 values are text, first '400,259': write decimals with a point, not a comma\n" in text
    assert line(["400.0", "bad\x1b", None]).endswith("ppm; 1 of 3 values is text, first 'bad?': make numbers of them, "
                                                     "or leave them empty")
    assert line([None, np.nan]).endswith("no values") and "text" not in line([400.0, np.nan])


def test_description_of_a_huge_value_is_short():
    text = describe_soundings(pd.DataFrame({"xco2": [400.0, 401.0, 1e308, -1e300]}))
    assert "min -1e+300" in text and "max 1e+308 ppm" in text and max(map(len, text.splitlines())) < 100


def test_description_is_safe_and_right_at_the_dateline():
    table = pd.DataFrame({"latitude": [1.0, 2, 3], "longitude": [179.0, -179, 180], "\x1b[2Jx\n": [1, 2, None]})
    text = describe_soundings(table)
    assert "west 179.000, south 1.000, east -179.000, north 3.000 (crosses the dateline)" in text
    assert "\x1b" not in text and "?[2Jx? 1" in text
    with pytest.raises(InputError, match="counts per day need"):
        soundings_per_day(table)


@pytest.mark.parametrize(("layout", "says"), [("V9", "V9 or earlier, by warn_level"), ("V10", "V10, by psurf"),
                                              ("V11", "V11, by xco2_x2019"), ("SUBSET", "not told")])
def test_description_tells_the_layout(layout, says):
    variables = {"V9": V9, "V11": V11, "SUBSET": SUBSET,
                 "V10": {"sounding_id": IDS, "Meteorology/psurf_apriori_o2a": [1.0, 2, 3]}}[layout]
    table = read_lite(lite_file({path: (values, {}) for path, values in variables.items()}))
    assert f"layout     {says}" in describe_soundings(table)


def test_reading_through_a_store_and_any_file_object(granule, lite_bytes):
    store = Datasets("memory://soundings-test")
    with store.open("/granules/a.nc4", "wb") as file:
        write_lite(granule.soundings, file)
    back = read_soundings("/granules/a.nc4", store=store)
    assert (back["sounding_id"] == granule.soundings["sounding_id"]).all()

    class Stream(io.RawIOBase):  # reads forward only, as a socket does
        def __init__(self, data):
            self._data = io.BytesIO(data)

        def readable(self):
            return True

        def readinto(self, into):
            part = self._data.read(len(into))
            into[: len(part)] = part
            return len(part)

    assert len(read_soundings(io.BufferedReader(Stream(lite_bytes)), name="a.nc4")) == len(granule.soundings)
    with pytest.raises(InputError, match="name="):
        read_soundings(io.BytesIO(lite_bytes))


# --- every layout ---
def test_fills_become_missing_and_other_values_stay():
    back = read_lite(lite_file({
        "sounding_id": (IDS, {}),
        "xco2": (np.array([400, -999999, np.nan], "f4"), {}),
        "Retrieval/undeclared": (np.array([-9999, 1, 9.969209968386869e36]), {}),
        "Retrieval/declared": (np.array([7, 8, 9], "f8"), {"missing_value": 8.0, "_FillValue": np.array([9.0])}),
        "Sounding/orbit": (np.array([11522, -9999, 11522], "i4"), {}),
        "Sounding/mode": (np.array([0, 1, 127], "i1"), {}),
        "Sounding/count": (np.array([127, -1, 5], "i2"), {}),
        "Sounding/index": (np.array([65535, 1, 2], "u2"), {"missing_value": np.uint16(65535)}),
        "Sounding/long": (np.array([2**60 + 1, -9999, 5]), {}),
        "odd_attribute": (np.array([1, 2, 3], "f4"), {"missing_value": "none"}),
    }))
    missing = {name: back[name].isna().tolist() for name in back}
    assert missing["xco2"] == [False, True, True] and back["xco2"].dtype == np.float32
    assert missing["undeclared"] == [True, False, True] and missing["declared"] == [False, True, True]
    assert missing["orbit"] == [False, True, False] and back["orbit"].dtype == np.float64
    assert missing["mode"] == [False, False, True] and missing["index"] == [True, False, False]
    assert back["count"].tolist() == [127, -1, 5] and back["count"].dtype == np.int16
    assert back["long"].dtype == "Int64" and back["long"][0] == 2**60 + 1 and missing["long"] == [False, True, False]
    assert back["odd_attribute"].tolist() == [1, 2, 3]


def test_a_missing_id_is_missing_and_the_others_exact():
    back = read_lite(lite_file({"sounding_id": (np.array([IDS[0], 0, IDS[2]], np.uint64), {})}))
    assert back["sounding_id"].dtype == "Int64"
    assert back["sounding_id"].isna().tolist() == [False, True, False] and back["sounding_id"][2] == int(IDS[2])


def test_clashing_names_take_the_group_and_old_names_are_renamed():
    back = read_lite(lite_file({
        "sounding_id": (IDS, {}), "xco2": (np.array([1.0, 2, 3]), {}), "Retrieval/xco2": (np.array([4.0, 5, 6]), {}),
        "Retrieval/psurf": (np.array([1.0, 1, 1]), {}), "Meteorology/psurf": (np.array([2.0, 2, 2]), {}),
        "xco2_uncert": (np.array([0.5, 0.5, 0.5]), {}),
        "co2_profile_apriori": (np.ones((3, 20)), {}), "Sounding/target": (np.array(["a", "b", ""]), {}),
    }))
    assert back["xco2"].tolist() == [1, 2, 3] and back["Retrieval_xco2"].tolist() == [4, 5, 6]
    assert back["Retrieval_psurf"][0] == 1 and back["Meteorology_psurf"][0] == 2 and "psurf" not in back
    assert back["xco2_uncertainty"].tolist() == [0.5] * 3 and back["target"].tolist() == ["a", "b", ""]
    assert back.attrs["skipped"] == ["co2_profile_apriori"] and back.columns[0] == "sounding_id"


@pytest.mark.parametrize(("units", "value"), [
    ("seconds since 1970-01-01 00:00:00", 1472644950.195), ("seconds since 1970-1-1 0:0:0", 1472644950.195),
    ("days since 2016-08-31", 43350.195 / 86400), ("milliseconds since 2016-08-31T12:00:00Z", 150195),
    ("seconds since 1970-01-01 00:00:00 UTC", 1472644950.195)])
def test_time_follows_its_units(units, value):
    back = read_lite(lite_file({"sounding_id": (IDS[:1], {}), "time": (np.array([float(value)]), {"units": units})}))
    assert back["time"].dtype == "datetime64[ms]" and back["time"][0] == pd.Timestamp("2016-08-31T12:02:30.195")


V9 = {"sounding_id": IDS.astype("i8"), "xco2": [400.0, 401, 402], "warn_level": np.array([1, 2, 127], "i1"),
      "Meteorology/psurf_apriori": [1000.0, 1001, -999999], "Sounding/footprint": np.array([1, 2, 3], "i1")}
V11 = {"sounding_id": IDS, "xco2": [400.0, 401, 402], "xco2_x2019": [400.2, 401.2, 402.2],
       "Retrieval/psurf_apriori_o2a": [1000.0, 1001, 1002], "Sounding/operation_mode": np.array([4, 4, 4], "i1"),
       "Sounding/target_id": ["fossil0001", "fossil0001", ""]}
SUBSET = {"sounding_id": IDS, "xco2": [400.0, 401, -999999]}


@pytest.mark.parametrize(("layout", "columns"), [
    (V9, ["sounding_id", "xco2", "warn_level", "psurf_apriori", "footprint"]),
    (V11, ["sounding_id", "xco2", "xco2_x2019", "psurf_apriori_o2a", "operation_mode", "target_id"]),
    (SUBSET, ["sounding_id", "xco2"])], ids=["V9", "OCO-3 V11", "subset without groups"])
def test_every_version_is_read_by_what_it_holds(layout, columns):
    back = read_lite(lite_file({path: (values, {}) for path, values in layout.items()}))
    assert sorted(back.columns) == sorted(columns) and back["sounding_id"].dtype == np.int64
    assert back["xco2"].tolist()[:2] == [400, 401]


def test_copies_in_the_group_l1b_do_not_take_names():
    back = read_lite(lite_file({
        "sounding_id": (IDS, {}), "latitude": ([1.0, 2, 3], {}), "L1b/latitude": ([7.0, 8, 9], {}),
        "Sounding/orbit": ([4, 5, 6], {}), "L1b/orbit": ([1, 1, 1], {}), "L1b/own": ([0, 0, 1], {}),
        "Sounding/operation_mode": ([0, 1, 1], {}), "L1b/operation_mode": ([3, 3, 3], {})}), mode="glint")
    assert back["orbit"].tolist() == [5, 6] and back["latitude"].tolist() == [2, 3]
    assert back["L1b_orbit"].tolist() == [1, 1] and back["L1b_latitude"].tolist() == [8, 9]
    assert back["own"].tolist() == [0, 1] and back["L1b_operation_mode"].tolist() == [3, 3]


def test_unknown_time_units_are_refused():
    with pytest.raises(InputError, match="time units"):
        read_lite(lite_file({"sounding_id": (IDS[:1], {}), "time": (np.array([1.0]), {"units": "fortnights"})}))


def test_contradictions_are_told():
    file = lite_file({"sounding_id": (IDS, {}), "Sounding/footprint": (np.array([1, 2, 4], "i1"), {}),
                      "time": (np.array([1472644950.2, 1472644950.2, 0]), {})})
    with pytest.warns(UserWarning) as caught:
        read_lite(file)
    assert sorted(str(w.message).split(": ")[1] for w in caught) == [
        "sounding_id and footprint disagree for 1 of 3 soundings", "sounding_id and time disagree for 1 of 3 soundings"]


def test_a_file_without_soundings_is_an_empty_table():
    buffer = io.BytesIO()
    write_lite(simulate_granule(1, n_seconds=5).soundings.iloc[:0], buffer)
    back = read_lite(buffer)
    assert len(back) == 0 and back["sounding_id"].dtype == np.int64 and back["time"].dtype == "datetime64[ms]"


def test_big_endian_files_read_the_same():
    xco2 = np.array([1, 2, -999999], ">f4")
    back = read_lite(lite_file({"sounding_id": (IDS.astype(">u8"), {}), "xco2": (xco2, {})}))
    assert back["sounding_id"].tolist() == IDS.tolist() and back["xco2"].tolist()[:2] == [1, 2]
    assert back["xco2"].dtype == np.dtype("f4") and np.isnan(back["xco2"][2])


def test_as_many_soundings_as_levels_or_footprints():
    n = 20  # h5netcdf writes a dimension `levels` of 20 beside the soundings
    ids = make_sounding_id(np.datetime64("2016-08-31", "ms") + np.arange(n) * 1000, np.full(n, 3))
    file = lite_file({"sounding_id": (ids.astype("u8"), {}), "xco2": (np.arange(n), {})})
    with h5netcdf.File(file, "a") as more:
        for name in ("levels", "sigma"):
            more.create_variable(name, ("levels",), dtype="f4")[...] = np.linspace(0, 1, n)
    file.seek(0)
    back = read_lite(file)
    assert list(back) == ["sounding_id", "xco2"] and back.attrs["skipped"] == ["levels", "sigma"]


def test_links_to_other_files_are_not_followed(tmp_path, lite_bytes, granule):
    n, secret = len(granule.soundings), tmp_path / "secret.bin"
    secret.write_bytes(np.arange(n, dtype="f8").tobytes())
    (tmp_path / "other.nc4").write_bytes(lite_bytes)
    path = tmp_path / "a.nc4"
    path.write_bytes(lite_bytes)
    with h5py.File(path, "a") as file:
        file["linked"] = h5py.ExternalLink("other.nc4", "/xco2")
        file["circle"] = h5py.SoftLink("/")
        file["again"] = file["Retrieval"]
        file["Retrieval/up"] = file["/"]  # a hard link that turns in a circle
        file.create_dataset("raw", (n,), "f8", external=[(str(secret), 0, n * 8)])
        layout = h5py.VirtualLayout((n,), "f4")
        layout[:] = h5py.VirtualSource("other.nc4", "/xco2", (n,))
        file.create_virtual_dataset("virtual", layout)
    back = read_lite(path)
    assert not {"linked", "raw", "virtual"} & set(back) and len(back) == n
    assert (back["xco2"] == granule.soundings["xco2"]).all()


# --- a part of a file ---
def test_only_what_is_asked_equals_reading_all_and_choosing():
    soundings = simulate_granule(3, n_seconds=60, center=(10.0, 179.9)).soundings
    rng = np.random.default_rng(0)
    soundings["operation_mode"] = rng.integers(0, 5, len(soundings)).astype(np.int8)
    soundings["land_fraction"] = rng.choice([0, 20, 50, 80, 100, np.nan], len(soundings)).astype(np.float32)
    file = io.BytesIO()
    write_lite(soundings, file)
    lon, lat, time = soundings["longitude"], soundings["latitude"], soundings["time"]
    assert lon.max() > 179.5 and lon.min() < -179.5, "the track must cross the dateline"
    cases = {
        "box": ((179.5, 9.5, -179.5, 10.5), lat.between(9.5, 10.5) & (lon.abs() >= 179.5)),
        "dates": ((str(time[100]), time[500]), time.between(time[100], time[500])),
        "quality": (0, soundings["xco2_quality_flag"] == 0),
        "mode": (["Glint", "target"], soundings["operation_mode"].isin([1, 2])),
        "footprint": ([1, 8], soundings["footprint"].isin([1, 8])),
        "land": (False, soundings["land_fraction"] <= 20),
    }
    every = np.ones(len(soundings), bool)
    for name, (value, mask) in cases.items():
        back = read_lite(file, **{name: value})
        assert 0 < mask.sum() < len(soundings)
        pd.testing.assert_frame_equal(back[soundings.columns], soundings[mask].reset_index(drop=True))
        assert back.attrs["n_soundings"] == len(soundings)
        every &= mask
    back = read_lite(file, columns=["xco2"], **{name: value for name, (value, _) in cases.items()})
    assert list(back) == ["sounding_id", "xco2"]
    assert back["sounding_id"].tolist() == soundings["sounding_id"][every].tolist()
    assert len(read_lite(file, box=(0, -90, 1, -80))) == 0
    whole_day = read_lite(file, dates=("2019-07-15", "2019-07-15"))
    assert len(whole_day) == (time.dt.strftime("%Y-%m-%d") == "2019-07-15").sum()
    for earth in [(-180, -90, 180, 90), (0, -90, 360, 90)]:
        assert len(read_lite(file, box=earth)) == len(soundings)


def test_tables_are_asked_as_files_are(tmp_path):
    soundings = simulate_granule(3, n_seconds=20).soundings
    soundings.to_csv(tmp_path / "a.csv", index=False)
    write_lite(soundings, tmp_path / "a.nc4")
    time = soundings["time"]
    asked = {"box": (-82, 39, -79, 41), "dates": (time[50], time[350]), "quality": 0, "footprint": [2, 3], "land": True}
    one, other = (read_soundings(tmp_path / name, columns=["xco2"], **asked) for name in ("a.csv", "a.nc4"))
    assert 0 < len(one) < len(soundings) and list(one) == ["sounding_id", "xco2"]
    pd.testing.assert_frame_equal(one, other, check_dtype=False)
    with pytest.raises(InputError, match="has no nothing"):
        read_soundings(tmp_path / "a.csv", columns=["nothing"])


@pytest.mark.parametrize("bad", [
    {"box": (1, 2, 3)}, {"box": (0, 50, 1, 40)}, {"box": "all"}, {"dates": "2018"}, {"dates": ("x", "y")},
    {"dates": (None, None)}, {"mode": "sideways"}, {"mode": 1.5}, {"footprint": "x"}, {"quality": "good"}])
def test_what_cannot_be_asked_is_refused(lite_bytes, bad):
    with pytest.raises(InputError, match=f"{next(iter(bad))} must be"):
        read_lite(io.BytesIO(lite_bytes), **bad)


@pytest.mark.parametrize("asked", [{"quality": 0}, {"mode": "nadir"}, {"land": True}, {"box": (0, 0, 1, 1)}])
def test_asking_by_a_variable_that_is_not_there(asked):
    name = next(iter(asked))
    said = {"quality": r"quality \(--quality\)", "box": r"box \(--box\)"}.get(name, f"{name}=")  # options have dashes
    with pytest.raises(InputError, match=f"has no .*, which {said} needs"):
        read_lite(lite_file({"sounding_id": (IDS, {})}), **asked)


def test_the_id_tells_the_date_where_there_is_no_time(tmp_path):
    ids = make_sounding_id(np.array(["2015-08-01T12:00", "2015-08-01T23:59:59.9", "2015-08-02"], "M8[ms]"), 3)
    pd.DataFrame({"sounding_id": ids, "xco2": [1.0, 2.0, 3.0]}).to_csv(tmp_path / "a.csv", index=False)
    asked = {"dates": ("2015-08-01", "2015-08-01")}
    assert read_soundings(tmp_path / "a.csv", **asked)["xco2"].tolist() == [1, 2]
    lite = lite_file({"sounding_id": (ids, {}), "xco2": (np.array([1.0, 2.0, 3.0]), {})})
    assert read_lite(lite, **asked)["xco2"].tolist() == [1, 2]
    assert len(convert_soundings(tmp_path / "a.csv", tmp_path / "b.csv", **asked)) == 2
    for text in ("xco2\n1\n", "sounding_id,xco2\n7,1\n"):  # no id, and one that names no date
        (tmp_path / "c.csv").write_text(text)
        with pytest.raises(InputError, match=r"has no time and no sounding_id that tells it, which dates \(--dates\)"):
            read_soundings(tmp_path / "c.csv", **asked)


# --- broken input ---
def one_line(error) -> str:
    text = str(error.value)
    assert "\n" not in text and len(text) < 300
    return text


def test_truncated_files_are_refused_in_one_line(lite_bytes, tmp_path):
    rng = np.random.default_rng(0)
    for size in [0, 1, 4, 8, 100, *rng.integers(9, len(lite_bytes) - 1, 40), len(lite_bytes) - 1]:
        path = tmp_path / "cut.nc4"
        path.write_bytes(lite_bytes[:size])
        with pytest.raises(InputError) as error:
            read_lite(path)
        assert one_line(error).startswith("cut.nc4:")
        with pytest.raises(InputError):
            read_soundings(io.BytesIO(lite_bytes[:size]), name="cut.nc4")


@settings(max_examples=50, deadline=None)
@given(st.binary(max_size=3000), st.booleans())
def test_random_bytes_are_refused_in_one_line(data, with_signature):
    with pytest.raises(InputError) as error:
        read_lite(io.BytesIO((b"\x89HDF\r\n\x1a\n" if with_signature else b"") + data), name="random.nc4")
    assert one_line(error).startswith("random.nc4:")


def test_other_products_are_refused(tmp_path):
    with pytest.raises(InputError, match="no variable sounding_id"):
        read_lite(lite_file({"latitude": (np.zeros(3), {})}, dimension="nscan"))
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["a/b"] = np.zeros((3, 4))
    with pytest.raises(InputError, match="plain.h5: no variable sounding_id"):
        read_soundings(tmp_path / "plain.h5")
    with pytest.raises(InputError, match="float64.*digits"):
        read_lite(lite_file({"sounding_id": (IDS.astype(float), {})}))


def test_missing_and_forbidden_files_say_so(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_lite(tmp_path / "none.nc4")
    with pytest.raises(FileNotFoundError, match="no such folder"):
        write_lite(pd.DataFrame({"sounding_id": [1]}), tmp_path / "none" / "a.nc4")
    with pytest.raises((IsADirectoryError, PermissionError)):
        read_lite(tmp_path)


def test_asking_for_a_column_that_is_not_there(lite_bytes):
    with pytest.raises(InputError, match="has no nothing; it has sounding_id"):
        read_lite(io.BytesIO(lite_bytes), columns=["xco2", "nothing"])
    assert list(read_lite(io.BytesIO(lite_bytes), columns=["xco2"])) == ["sounding_id", "xco2"]


@pytest.mark.parametrize("table", [
    pd.DataFrame({"xco2": [1.0]}), pd.DataFrame({"sounding_id": [1.0]}),
    pd.DataFrame({"sounding_id": [1], "a/b": [1]}), pd.DataFrame({"sounding_id": [1], "a": [1j]}),
    pd.DataFrame({"sounding_id": [1], "a": ["a\0b"]}), pd.DataFrame({"sounding_id": [1], "Retrieval": [1.0]}),
    pd.DataFrame({"sounding_id": [1], "a": [pd.Timedelta("1s")]}),
    pd.DataFrame([[1, 2, 3]], columns=["sounding_id", "a", "a"])])
def test_tables_that_cannot_be_a_lite_file_are_refused_and_leave_nothing(table, tmp_path):
    with pytest.raises(InputError):
        write_lite(table, tmp_path / "a.nc4")
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_leaves_the_old_file(granule, tmp_path, monkeypatch):
    path = tmp_path / "a.nc4"
    path.write_bytes(b"old")

    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr("oco2_outliers.soundings._write_variable", full)
    with pytest.raises(OSError, match="disk full"):
        write_lite(granule.soundings, path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


# --- the generated granule ---
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


@settings(max_examples=25, deadline=None)
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


# --- along the track ---
def circle(pole_lat, pole_lon, degrees):
    """Points (lat, lon) at these angles on the great circle around a pole."""
    a, b = np.radians(pole_lat), np.radians(pole_lon)
    normal = np.array([np.cos(a) * np.cos(b), np.cos(a) * np.sin(b), np.sin(a)])
    first = np.cross(normal, [0.0, 0, 1] if abs(normal[2]) < 0.9 else [1.0, 0, 0])
    first /= np.linalg.norm(first)
    t = np.radians(degrees)[:, None]
    x = np.cos(t) * first + np.sin(t) * np.cross(normal, first)
    return np.degrees(np.arcsin(np.clip(x[:, 2], -1, 1))), np.degrees(np.arctan2(x[:, 1], x[:, 0]))


@settings(max_examples=60, deadline=None)
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
def test_distance_grows_evenly_along_every_real_track():
    spread = []
    for path in sorted(LITE.glob("*.nc4")):
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
    assert len(spread) > 100 and np.median(spread) < 0.1 and max(spread) < 0.5


# --- background ---
def naive_background(soundings, window):
    """For every sounding: the window around it, sorted and averaged by the book."""
    distance, good = track_distance(soundings), soundings["xco2_quality_flag"] == 0
    rows = []
    for here in distance:
        y = soundings["xco2"].astype(float)[good & ((distance - here).abs() <= window / 2)]
        rows.append((y.median(), y.mean() - y.std(ddof=0)) if len(y) >= 20 else (np.nan, np.nan))
    return np.array(rows)


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


# --- real files ---
@needs_real
def test_all_real_files_read():
    paths = sorted(LITE.glob("*.nc4"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a contradiction between id and time would warn
        tables = [read_soundings(path) for path in paths]
    assert len(paths) == 187 and sum(map(len, tables)) == 89_125
    for path, table in zip(paths, tables):
        assert table["sounding_id"].dtype == np.int64 and table["time"].dtype == "datetime64[ms]"
        assert set(table["time"].dt.strftime("%y%m%d")) == {path.name[11:17]}
        assert table["latitude"].between(37, 43).all() and table["longitude"].between(-82, -78).all()
        assert table["xco2"].between(340, 435).all() and not table.isna().any().any()
    every = read_soundings(paths)
    per_day = soundings_per_day(every)
    print(f"\n{per_day.to_string()}")  # the counts by day: pytest -s
    assert per_day["soundings"].tolist() == [len(table) for table in tables] and per_day.index.is_monotonic_increasing
    assert describe_soundings(every).startswith("soundings  89,125 in 187 days")
    assert every["sounding_id"].dtype == np.int64 and every["sounding_id"].is_unique
    # what simulate_granule copies of the instrument: frames at 0, 3 and 7 tenths, footprints read one after the other
    assert set(every["sounding_id"] // 10 % 10) == {0, 3, 7}
    off = (every["time"].to_numpy() - sounding_time(every["sounding_id"]).to_numpy()) / np.timedelta64(1, "s")
    assert off.min() > -0.1385 and off.max() < 0.1165


@pytest.fixture(scope="module")
def real_parquet(tmp_path_factory):
    path = tmp_path_factory.mktemp("real") / "all.parquet"
    return path, convert_soundings(sorted(LITE.glob("*.nc4")), path)


@needs_real
@pytest.mark.parametrize("ending", [".csv", ".csv.bz2", ".json", ".parquet", ".geoparquet", ".nc4"])
def test_all_real_soundings_survive_conversion(tmp_path, ending, real_parquet, needs_geopandas):
    source, every = real_parquet
    convert_soundings(source, tmp_path / f"all{ending}")
    back = read_soundings(tmp_path / f"all{ending}")
    assert len(back) == 89_125 and back["sounding_id"].dtype == np.int64
    for name in every:
        assert (back[name].to_numpy(every[name].dtype) == every[name].to_numpy()).all(), name


@needs_real
def test_a_real_file_round_trips_and_reads_as_through_the_netcdf_library(tmp_path):
    netCDF4 = pytest.importorskip("netCDF4", reason="no netCDF4; the test above reads every real file")
    for path in sorted(LITE.glob("*.nc4"))[::40]:
        table = read_lite(path)
        with netCDF4.Dataset(path) as file:
            for name in table.columns.drop("time"):
                assert np.array_equal(np.asarray(file[name][:]), table[name].to_numpy()), name
        write_lite(table, tmp_path / "again.nc4")
        pd.testing.assert_frame_equal(read_lite(tmp_path / "again.nc4")[table.columns], table, check_dtype=False)
