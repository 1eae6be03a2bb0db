"""Soundings from any kind of file to any other, with their ids."""

from __future__ import annotations

import io
import sys

import h5py
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from lite_files import IDS, LITE, needs_real

from oco2_outliers.datasets import Datasets
from oco2_outliers.ground.errors import InputError
from oco2_outliers.soundings import (
    convert_soundings,
    read_lite,
    read_soundings,
    simulate_granule,
    soundings_per_day,
    to_parquet,
    write_lite,
)
from oco2_outliers.soundings.inputs import meant_inputs


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

# Those that are told apart by their packing or their name alone are slow tests.
KINDS = [".csv", ".csv.gz", ".CSV.xz", ".json", ".parquet", ".geoparquet", ".nc4",
         *(pytest.param(ending, marks=pytest.mark.slow) for ending in (".csv.bz2", ".json.gz", ".gpq"))]


@pytest.mark.parametrize("ending", KINDS)
def test_conversion_to_every_kind_and_back_keeps_ids_times_and_values(granule, tmp_path, ending, needs_geopandas):
    source, target = tmp_path / "granule.nc4", tmp_path / "out" / f"granule{ending}"
    target.parent.mkdir()
    write_lite(granule.soundings.iloc[::8], source)
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


@settings(max_examples=20)
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
    geopandas = pytest.importorskip("geopandas", reason="no geopandas (extra geo); plain Parquet is read back above")
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
    with pytest.raises(InputError, match="already has a column geometry"):
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


@pytest.mark.parametrize("ending", ["parquet", "geoparquet"])
def test_a_column_of_mixed_kinds_is_stored_as_text_and_named(granule, tmp_path, ending, needs_geopandas):
    table = granule.soundings.head(6).assign(note=[1, "a", 2.5, None, "b", 3])
    with pytest.raises(InputError, match=r"1 column of mixed kinds \(note\), .* table\['note'\].astype\(str\)"):
        to_parquet(table, tmp_path / f"a.{ending}", geo=ending == "geoparquet")
    table.to_json(tmp_path / "a.json", orient="records", date_format="iso")
    written = convert_soundings(tmp_path / "a.json", tmp_path / f"b.{ending}")
    assert written.attrs["stored_as_text"] == ["note"]
    assert pd.read_parquet(tmp_path / f"b.{ending}")["note"].dropna().tolist() == ["1", "a", "2.5", "b", "3"]


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
    (".csv", "pandas.DataFrame.to_csv"), (".json", "oco2_outliers.soundings.converting.json_records"),
    (".parquet", "pyarrow.parquet.write_table"), (".nc4", "oco2_outliers.soundings.lite_writing._write_variable")])
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


@pytest.fixture(scope="module")
def real_parquet(request, tmp_path_factory):
    """Every n-th real file in one table, and what was read of them."""
    path = tmp_path_factory.mktemp("real") / "all.parquet"
    return path, convert_soundings(sorted(LITE.glob("*.nc4"))[:: request.param], path)


@needs_real
@pytest.mark.parametrize("real_parquet", [12, pytest.param(1, marks=pytest.mark.slow)], indirect=True)
@pytest.mark.parametrize("ending", [".csv", ".csv.bz2", ".json", ".parquet", ".geoparquet", ".nc4"])
def test_all_real_soundings_survive_conversion(tmp_path, request, ending, real_parquet, needs_geopandas):
    source, every = real_parquet
    assert len(every) == 89_125 or request.node.callspec.params["real_parquet"] > 1 and len(every) > 2_000
    convert_soundings(source, tmp_path / f"all{ending}")
    back = read_soundings(tmp_path / f"all{ending}")
    assert len(back) == len(every) and back["sounding_id"].dtype == np.int64
    for name in every:
        assert (back[name].to_numpy(every[name].dtype) == every[name].to_numpy()).all(), name


def test_a_conversion_points_to_no_summary_that_it_does_not_write(tmp_path, capsys):
    from oco2_outliers.cli import main

    with h5py.File(tmp_path / "a.nc4", "w") as file:
        file["sounding_id"], file["levels"] = IDS, np.arange(20)
    assert main(["soundings", "convert", str(tmp_path / "a.nc4"), str(tmp_path / "a.csv")]) == 0
    assert "not read: levels (soundings info says why of each)" in capsys.readouterr().out
    assert main(["soundings", "info", str(tmp_path / "a.nc4")]) == 0
    assert "levels (shape (20,), not one value per sounding)" in capsys.readouterr().out


def test_a_missing_folder_of_a_store_is_told_as_missing(tmp_path):
    store = Datasets(tmp_path)
    with pytest.raises(InputError, match="the store holds no file that can be read"):
        convert_soundings(meant_inputs("/", store), tmp_path / "a.csv", store=store)
    with pytest.raises(FileNotFoundError, match="no 'gone' in"):
        convert_soundings(meant_inputs("gone/", store), tmp_path / "a.csv", store=store)
