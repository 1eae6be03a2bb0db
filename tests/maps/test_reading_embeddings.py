"""Reading embeddings: every kind of file, every fault told in one line, and a cache that is whole or not there."""

import doctest
import importlib
import io
import json
import os
import subprocess
import sys

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from embedding_files import CLAY, clay_table, replaced, with_notes, write

from oco2_outliers.datasets import Datasets
from oco2_outliers.ground.errors import InputError
from oco2_outliers.maps import reading
from oco2_outliers.maps.cache import FILES
from oco2_outliers.maps.grid_names import check_places
from oco2_outliers.maps.polygons import box_wkb
from oco2_outliers.maps.quantised import alphaearth_vectors
from oco2_outliers.maps.reading import read_embeddings
from oco2_outliers.maps.simulated import simulate_embeddings
from oco2_outliers.maps.table import COLUMNS, Embeddings, load_embeddings

ROOMS = ("cache", "first_names", "grid_names", "parquet", "polygons", "quantised", "reading", "references", "simulated",
         "sources", "table", "tile_names", "tiles", "web_pictures")


def refused(folder, said, **settings):
    """Reading is refused in one line that says so."""
    with pytest.raises(InputError, match=said) as error:
        read_embeddings(folder, **settings)
    assert "\n" not in str(error.value)


def noted(e, text):
    return [note for note in e.notes if text in note]


# ---------------------------------------------------------------- Parquet

@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.large_list(pa.float32()), pa.list_(pa.float32(), 8),
                                  pa.list_(pa.float64()), pa.list_(pa.float16())])
def test_every_list_of_floats_is_a_vector(tmp_path, kind):
    table = clay_table()
    values = np.array(table["embeddings"].to_pylist(), kind.value_type.to_pandas_dtype())
    write(tmp_path, CLAY, replaced(table, "embeddings", pa.array(list(values), kind)), row_group_size=2)
    e = read_embeddings(tmp_path)
    assert e.X.dtype == np.float32 and np.array_equal(e.X, values.astype(np.float32))
    assert bool(noted(e, "of double rounded to float32")) == (kind.value_type == pa.float64())
    assert e.inputs[0]["name"] == CLAY and len(e.inputs[0]["sha256"]) == 64


def test_the_columns_are_those_of_the_page(tmp_path):
    write(tmp_path, CLAY, clay_table())
    e = read_embeddings(tmp_path)
    assert list(e.table) == [*COLUMNS, "index", "source_url", "date"]
    row = e.table.iloc[1]
    assert (row["id"], row["source"], row["mgrs"], row["version"]) == ("claytile_03WVN_0001", CLAY, "03WVN", 1)
    assert row["time"] == row["mindate"] == row["maxdate"] == pd.Timestamp("2022-06-10")
    assert np.allclose(row[["west", "south", "east", "north"]].to_numpy(float), [-166.9, 65, -166.8, 65.05])
    assert np.allclose([row["latitude"], row["longitude"]], [65.025, -166.85])
    assert {name: str(e.table[name].dtype) for name in COLUMNS} == COLUMNS
    assert e.to_geodataframe().crs.to_epsg() == 4326 and e.notes == []


def test_two_models_or_lengths_never_mix(tmp_path):
    write(tmp_path, "a.gpq", with_notes(clay_table(), emb={"model": {"id": "clay", "version": "1"}}))
    write(tmp_path, "b.gpq", with_notes(clay_table(), emb={"model": {"id": "clay", "version": "2"}}))
    refused(tmp_path, "a.gpq holds vectors of clay 1 and b.gpq of clay 2: read them apart")
    write(tmp_path, "b.gpq", with_notes(clay_table(d=9), emb={"model": {"id": "clay", "version": "1"}}))
    refused(tmp_path, "a.gpq holds vectors of 8 numbers and b.gpq of 9: read them apart")
    write(tmp_path, "b.gpq", clay_table())
    e = read_embeddings(tmp_path)
    assert e.model == "clay 1" and noted(e, "do not name their model")
    ragged = pa.array([[1.0] * 8, [1.0] * 7] + [[1.0] * 8] * 3, pa.list_(pa.float32()))
    write(tmp_path, "b.gpq", replaced(clay_table(), "embeddings", ragged))
    refused(tmp_path, "b.gpq: the vector of row 1 has 7 numbers, that of row 0 has 8")


def test_an_empty_file_does_not_give_its_model_to_others(tmp_path):
    write(tmp_path, CLAY, clay_table())
    write(tmp_path, "empty.parquet", with_notes(clay_table(0, 384), emb={"model": "dino"}))
    e = read_embeddings(tmp_path)
    assert e.model == "" and len(e) == 5 and noted(e, "1 file without rows: empty.parquet")
    assert noted(e, "off the pattern MGRS_first_last_vNNN")


def test_rows_without_a_vector_are_counted(tmp_path):
    lists = clay_table(6)["embeddings"].to_pylist()
    lists[1], lists[2], lists[3], lists[5] = None, [], [1e39] + [0.0] * 7, [0.0] * 8
    table = replaced(clay_table(6), "embeddings", pa.array(lists, pa.list_(pa.float64())))
    write(tmp_path, CLAY, table, row_group_size=2)
    refused(tmp_path, "4 rows without a usable vector .2 without one, 1 with NaN or infinity, 1 of zeros alone., first "
                      f"row 1 of {CLAY}")
    e = read_embeddings(tmp_path, missing="drop")
    assert e.table["index"].tolist() == [0, 4] and noted(e, "dropped 4 rows")
    assert np.allclose(e.table["longitude"], [-166.95, -166.55])  # outlines stay with their rows
    write(tmp_path, CLAY, replaced(table, "embeddings", pa.nulls(6, pa.list_(pa.float64()))))
    assert len(read_embeddings(tmp_path, missing="drop")) == 0


def test_files_that_are_none(tmp_path):
    path = tmp_path / CLAY
    path.write_bytes(b"")
    refused(tmp_path, "is empty, it has no byte")
    write(tmp_path, "other.gpq", clay_table())
    assert noted(read_embeddings(tmp_path, missing="drop"), f"1 file of no byte left out: {CLAY}")
    path.write_bytes((tmp_path / "other.gpq").read_bytes()[:-9])
    refused(tmp_path, f"{CLAY} cannot be read as Parquet")
    path.unlink()
    os.mkfifo(path)
    refused(path, "is a pipe, not a file")


def test_a_turned_bit_is_no_vector(tmp_path):
    values = np.arange(40, dtype=np.float32).reshape(5, 8)
    table = replaced(clay_table(), "embeddings", pa.array(list(values), pa.list_(pa.float32())))
    path = write(tmp_path, CLAY, table, write_page_checksum=True, compression="none", use_dictionary=False)
    whole = path.read_bytes()
    at = whole.index(values[2].tobytes()) + 3
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1:])
    refused(tmp_path, f"{CLAY} is damaged: could not verify page integrity")


def test_a_damaged_or_large_file_is_named(tmp_path, monkeypatch):
    data = bytearray(write(tmp_path, CLAY, clay_table(200, 64), compression="gzip").read_bytes())
    data[2000:30000] = b"\x55" * 28000
    (tmp_path / CLAY).write_bytes(bytes(data))
    refused(tmp_path, f"{CLAY} (is damaged|cannot be read)")
    write(tmp_path, CLAY, clay_table(200, 64))
    monkeypatch.setenv("OCO2_MAX_BYTES", "20k")
    refused(tmp_path, f"{CLAY}: it holds more than 20 kB: split it, or set OCO2_MAX_BYTES")
    monkeypatch.setenv("OCO2_MAX_BYTES", "4G")
    monkeypatch.setenv("OCO2_MAX_ROWS", "100")
    refused(tmp_path, "it holds more than 100 rows")


def test_columns_of_the_file(tmp_path):
    table = clay_table().append_column("source", pa.array(["x"] * 5)).append_column("tags", pa.array([[1]] * 5))
    table = table.append_column("big", pa.array([2**60 + i for i in range(5)]))
    write(tmp_path, CLAY, table)
    write(tmp_path, "03WVP_20220610_20220610_v002.gpq", clay_table(2))
    e = read_embeddings(tmp_path)
    assert e.table["source_of_file"].tolist()[:5] == ["x"] * 5 and e.table["big"][1] == 2**60 + 1
    assert noted(e, "1 column called as one of ours") and noted(e, "1 column of lists or bytes left out: tags")
    assert noted(e, "2 columns not in every file, missing there: source_of_file, big")
    assert noted(e, "several versions together: 1, 2") and noted(e, "4 rows share their id with another")
    few = read_embeddings(tmp_path, columns=["big"])
    assert list(few.table) == [*COLUMNS, "big"] and few.table["id"].equals(e.table["id"])
    refused(tmp_path, "holds lists or bytes and cannot stand", columns=["tags"])
    refused(tmp_path, "has no column 'vectors'", column="vectors")


def test_coordinates_of_a_file(tmp_path):
    pytest.importorskip("pyproj", reason="no pyproj (it comes with extra geo); the test below needs none")
    metres = [box_wkb(500000 + 5000 * i, 7200000, 505000 + 5000 * i, 7205000) for i in range(5)]
    table = replaced(clay_table(), "geometry", pa.array(metres))
    crs = {"id": {"authority": "EPSG", "code": 32603}}
    write(tmp_path, CLAY, with_notes(table, geo={"primary_column": "geometry", "columns": {"geometry": {"crs": crs}}}))
    e = read_embeddings(tmp_path)
    assert np.allclose(e.table["west"][0], -165, atol=1e-6) and 64.9 < e.table["latitude"][0] < 65
    assert len(check_places(e)) == 0
    wrong = {"id": {"authority": "EPSG", "code": 1}}
    write(tmp_path, CLAY, with_notes(table, geo={"columns": {"geometry": {"crs": wrong}}}))
    refused(tmp_path, "places in EPSG:1, which pyproj does not know")


def test_other_coordinates_need_pyproj(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyproj", None)
    for crs, ok in ((None, True), ("EPSG:4326", True), ({"id": {"authority": "OGC", "code": "CRS84"}}, True),
                    ("EPSG:3857", False)):
        write(tmp_path, CLAY, with_notes(clay_table(), geo={"columns": {"geometry": {"crs": crs}}}))
        if ok:
            assert read_embeddings(tmp_path).table["west"][0] == -167
        else:
            refused(tmp_path, "pip install pyproj, or write the file anew in EPSG:4326")


@pytest.mark.parametrize("geo", ["{", "[]", '{"columns": 3}', '{"primary_column": 3}', '{"columns": {"geometry": []}}'])
def test_notes_that_are_nonsense_count_as_not_there(tmp_path, geo):
    write(tmp_path, CLAY, clay_table().replace_schema_metadata({"geo": geo, "emb": geo}))
    assert read_embeddings(tmp_path).table["west"][0] == -167


def test_outlines_of_other_kinds(tmp_path):
    write(tmp_path, CLAY, with_notes(clay_table(), geo={"columns": {"geometry": {"encoding": "polygon"}}}))
    refused(tmp_path, "holds outlines as polygon")
    write(tmp_path, CLAY, replaced(clay_table(), "geometry", pa.array([b"\x01\x02"] * 5)))
    refused(tmp_path, f"{CLAY}: a geometry is no WKB")
    write(tmp_path, CLAY, replaced(clay_table(), "geometry", pa.array([None] * 5, pa.binary())))
    e = read_embeddings(tmp_path)
    assert e.table["latitude"].isna().all() and noted(e, "5 rows without an outline")
    places = clay_table().drop_columns(["geometry"]).append_column("centre_lat", pa.array([1.0] * 5))
    write(tmp_path, CLAY, places.append_column("centre_lon", pa.array([2.0] * 5)))
    e = read_embeddings(tmp_path)
    assert e.geometry is None and e.table["latitude"].tolist() == [1.0] * 5 and e.table["longitude"][0] == 2


def test_a_folder_tells_what_it_does_not_read(tmp_path):
    write(tmp_path / "in", CLAY, clay_table())
    for name in ("a.gpq.part", "b.zip", ".hidden"):
        (tmp_path / name).write_bytes(b"x")
    assert noted(read_embeddings(tmp_path), "2 files of other kinds not read: .part, .zip")
    with pytest.raises(FileNotFoundError):
        read_embeddings(tmp_path / "nothing")
    refused([], "no input given")
    refused("", "an empty name is no address")


# ---------------------------------------------------------------- pixels

def test_tessera_and_its_scales(tmp_path):
    rng = np.random.default_rng(0)
    values, scales = rng.integers(-127, 128, (6, 4, 128)).astype(np.int8), rng.uniform(0.1, 1, (6, 4)).astype("f4")
    np.save(tmp_path / "grid_0.15_52.05.npy", values)
    refused(tmp_path, "has no scales beside it")
    np.save(tmp_path / "grid_0.15_52.05_scales.npy", scales)
    e = read_embeddings(tmp_path)
    assert np.array_equal(e.X, (values.astype("f4") * scales[..., None]).reshape(24, 128)) and e.model == "TESSERA"
    few = read_embeddings(tmp_path, stride=2)
    assert few.table["row"].tolist() == [0, 0, 2, 2, 4, 4] and np.array_equal(few.X[3], e.X[2 * 4 + 2])
    assert few.table["id"][3] == "grid_0.15_52.05_2_2" and abs(few.table["longitude"].mean() - 0.1375) < 1e-9
    assert noted(few, "spread evenly over their square") and len(check_places(few)) == 0
    np.save(tmp_path / "grid_0.15_52.05_scales.npy", np.repeat(scales[..., None], 128, 2))
    assert np.array_equal(read_embeddings(tmp_path).X, e.X)
    scales[0, 0] = np.nan
    np.save(tmp_path / "grid_0.15_52.05_scales.npy", scales)
    refused(tmp_path, "1 row without a usable vector")
    assert len(read_embeddings(tmp_path, missing="drop")) == 23
    write(tmp_path, CLAY, clay_table())
    refused(tmp_path, "the files are of parquet .* and tessera .*: say which to read with format=")
    assert len(read_embeddings(tmp_path, format="parquet")) == 5


def test_alphaearth(tmp_path):
    values = np.arange(-127, 129).astype(np.int8).reshape(4, 1, 64)
    values[values == -128] = 0
    np.save(tmp_path / "field.npy", values)
    refused(tmp_path, "say which with format=")
    e = read_embeddings(tmp_path, format="alphaearth")
    v = values.astype(float).reshape(4, 64)
    assert np.allclose(e.X, np.sign(v) * (v / 127.5) ** 2, rtol=1e-6) and e.model == "AlphaEarth"
    assert noted(e, "places of AlphaEarth's pixels are not known")
    values[1, 0, 5] = -128
    np.save(tmp_path / "field.npy", values)
    refused(tmp_path, "1 row without a usable vector .1 without one", format="alphaearth")
    assert np.isnan(alphaearth_vectors(values)[1]).all()
    (tmp_path / "field.npy").unlink()
    (tmp_path / "field.tif").write_bytes(b"II*\0")
    refused(tmp_path, "needs tifffile: pip install|cannot be read as GeoTIFF")


def test_arrays_of_objects_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.array([os.getcwd], object), allow_pickle=True)
    refused(tmp_path, "a.npy cannot be read as an array", format="alphaearth")
    (tmp_path / "a.npy").write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'shape': (9" + b" " * 20)
    refused(tmp_path, "a.npy cannot be read as an array", format="tessera")


# ---------------------------------------------------------------- cache and store

def test_a_cache_gives_the_same(tmp_path):
    write(tmp_path / "in", CLAY, clay_table())
    plain = read_embeddings(tmp_path / "in")
    for _ in range(2):
        kept = read_embeddings(tmp_path / "in", cache=tmp_path / "kept")
        assert isinstance(kept.X, np.memmap) and np.array_equal(kept.X, plain.X) and kept.table.equals(plain.table)
        assert kept.geometry.tolist() == plain.geometry.tolist() and kept.inputs == plain.inputs
    assert sorted(os.listdir(tmp_path / "kept")) == sorted(FILES)
    told = json.loads((tmp_path / "kept" / "manifest.json").read_text())
    assert told["shape"] == [5, 8] and told["dtype"] == "float32" and told["inputs"][0]["sha256"]
    plain.save(tmp_path / "saved")
    assert load_embeddings(tmp_path / "saved").table.equals(plain.table)
    assert pq.read_schema(tmp_path / "saved" / "table.parquet").metadata[b"geo"]


def test_a_cache_that_was_cut_or_is_stale_is_an_error(tmp_path):
    write(tmp_path / "in", CLAY, clay_table())
    refused(tmp_path / "in", "give a folder of its own", cache=tmp_path / "in")
    read_embeddings(tmp_path / "in", cache=tmp_path / "kept")
    refused(tmp_path / "in", "made with other settings", cache=tmp_path / "kept", columns="index")
    for name in FILES[:2]:
        whole = (tmp_path / "kept" / name).read_bytes()
        (tmp_path / "kept" / name).write_bytes(whole[:-1])
        refused(tmp_path / "in", "it was cut or changed: remove", cache=tmp_path / "kept")
        (tmp_path / "kept" / name).write_bytes(whole)
    write(tmp_path / "in", CLAY, clay_table(seed=1))
    refused(tmp_path / "in", f"the cache is stale: {CLAY} changed since; remove the folder", cache=tmp_path / "kept")
    (tmp_path / "kept" / "manifest.json").unlink()
    refused(tmp_path / "in", "holds X.npy, table.parquet of something else", cache=tmp_path / "kept")


def test_nothing_stays_of_a_cache_that_failed(tmp_path, monkeypatch):
    write(tmp_path / "in", CLAY, clay_table())
    write(tmp_path / "in", "z.gpq", clay_table(d=9))
    refused(tmp_path / "in", "read them apart", cache=tmp_path / "kept")
    assert not (tmp_path / "kept").exists()
    (tmp_path / "in" / "z.gpq").unlink()
    monkeypatch.setattr(reading, "write_parts", lambda *args: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        read_embeddings(tmp_path / "in", cache=tmp_path / "kept")
    assert os.listdir(tmp_path) == ["in"]


def test_an_input_that_changes_while_it_is_read_is_refused(tmp_path, monkeypatch):
    path, whole = write(tmp_path, CLAY, clay_table()), reading.parquet_pieces
    monkeypatch.setattr(reading, "parquet_pieces", lambda *args: (path.write_bytes(path.read_bytes()), whole(*args))[1])
    refused(tmp_path, "changed while being read, run again")


def test_objects_of_a_store(tmp_path):
    store = Datasets(str(tmp_path / "store"))
    buffer = io.BytesIO()
    pq.write_table(clay_table(), buffer)
    with store.open(f"clay/{CLAY}", "wb") as file:
        file.write(buffer.getvalue())
    e = read_embeddings("clay", store=store)
    assert len(e) == 5 and e.table["mgrs"][0] == "03WVN" and e.table["source"][0] == CLAY
    assert np.array_equal(read_embeddings(f"clay/{CLAY}", store=store, cache=tmp_path / "kept").X, e.X)
    with pytest.raises(FileNotFoundError, match="no such object"):
        read_embeddings("other", store=store)


# ---------------------------------------------------------------- memory, places, real data

@pytest.mark.slow
def test_memory_is_that_of_the_vectors(tmp_path):
    """60,000 vectors of 768 numbers, 184 MB: at most twice that to read them, and far less to keep them."""
    for i in range(6):
        write(tmp_path / "in", f"03WVN_20220610_20220610_v{i:03d}.gpq", clay_table(10_000, 768, i), compression="none")
    code = ("import resource, sys; from oco2_outliers.maps.reading import read_embeddings; m = lambda: "
            "resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024; a = m(); "
            "e = read_embeddings(sys.argv[1], cache=sys.argv[2] or None); print(len(e), m() - a)")
    for cache, most in (("", 560), (str(tmp_path / "kept"), 600)):
        done = subprocess.run([sys.executable, "-c", code, tmp_path / "in", cache], capture_output=True, text=True,
                              check=True, timeout=300)
        n, megabytes = done.stdout.split()
        assert n == "60000" and float(megabytes) < most


def test_places_on_generated_tiles():
    e = simulate_embeddings(0, n=50, d=4)
    assert len(check_places(e)) == 0
    moved = e.table.assign(mgrs="01WCP")
    assert len(check_places(Embeddings(e.X, moved, e.geometry))) == 50
    home = e.table.assign(mgrs=["31TCJ" if lon >= 0 else "30TXP" for lon in e.table["longitude"]])
    assert len(check_places(Embeddings(e.X, home, e.geometry))) == 0


def test_real_files(shared_data):
    """What is known of the real files: places, and how near the nearest tiles are."""
    e = read_embeddings(shared_data / "embeddings")
    assert e.X.shape == (422, 768) and noted(e, "without rows: empty_21MNT.parquet") and e.model == ""
    wrong = check_places(e)
    assert wrong["mgrs"].tolist() == ["01WCP"] * 5 and set(wrong.index) == set(range(5))
    alone = read_embeddings(shared_data / "embeddings" / "empty_21MNT.parquet")
    assert alone.X.shape == (0, 384) and alone.model == "dinov2_vits14_softcon 2.0.0"


@pytest.mark.parametrize("room", ROOMS)
def test_docstring_examples(room):
    failed, _ = doctest.testmod(importlib.import_module(f"oco2_outliers.maps.{room}"))
    assert not failed
