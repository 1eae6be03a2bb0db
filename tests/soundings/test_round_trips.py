"""No writer changes a number: random bits of every type out and back in, compared bit by bit."""

from __future__ import annotations

import dataclasses
import io
import json
import zlib

import h5py
import numpy as np
import pandas as pd
import pytest

from oco2_outliers.ground.errors import InputError
from oco2_outliers.main_job import isolate
from oco2_outliers.page.packing import Pack, encode, unpacked
from oco2_outliers.peaks import find_peaks
from oco2_outliers.plumes.published import write_published
from oco2_outliers.plumes.reading import read_peaks
from oco2_outliers.plumes.results import write_search
from oco2_outliers.runs.units import parquet_bytes
from oco2_outliers.scale import combine, map_files
from oco2_outliers.soundings import (
    convert_soundings,
    read_lite,
    read_soundings,
    simulate_granule,
    to_parquet,
    write_lite,
)
from oco2_outliers.soundings.exact_text import exact_numbers, json_records

pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered in cast")  # random bits hold signalling NaN
SIZES = [300, pytest.param(10_000, marks=pytest.mark.slow)]
ENDINGS = [".csv", ".csv.gz", ".json", ".json.xz", ".parquet", ".geoparquet", ".nc4"]
ODD = [1.2345e-13, 5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, -0.0, 0.1, 1 / 3, 2.0**53 + 2, 1e22,
       -1e-300,
       np.inf, -np.inf, np.nan]


def numbers(n: int) -> pd.DataFrame:
    """Columns of random bits: every float of 64 and of 32 bits, every integer, and ids, are equally likely."""
    rng = np.random.default_rng(n)
    bits = rng.integers(0, 2**64, n, np.uint64)
    wide = bits.view(np.float64).copy()
    wide[: len(ODD)] = ODD
    plain = rng.normal(400, 1, n)  # what measurements look like
    signed = rng.integers(-(2**63), 2**63 - 1, n, np.int64, endpoint=True)
    signed[:3] = [2**63 - 1, -(2**63), 2**53 + 1]
    unsigned = rng.integers(0, 2**64, n, np.uint64)
    unsigned[:3] = [2**64 - 1, 2**63, 0]
    return pd.DataFrame({
        "sounding_id": rng.integers(1, 2**63 - 1, n, np.int64, endpoint=True), "latitude": rng.uniform(-90, 90, n),
        "longitude": rng.uniform(-180, 180, n), "bits": wide, "plain": plain, "signed": signed, "unsigned": unsigned,
        "narrow": rng.integers(0, 2**32, n, np.uint32).view(np.float32), "tiny": 10.0 ** rng.uniform(-320, 308, n),
        "short": rng.integers(-(2**15), 2**15, n, np.int16)})


def differences(back: pd.DataFrame, table: pd.DataFrame) -> dict[str, int]:
    """How many values of each column are not the same number; NaN is one number, and -0.0 is not 0.0."""
    found = {}
    for name in table.columns:
        one, other = table[name], back[name]
        if one.dtype.kind == "f":
            one, other = one.to_numpy(np.float64), other.to_numpy(np.float64, na_value=np.nan)
            same = (one.view(np.int64) == other.view(np.int64)) | (np.isnan(one) & np.isnan(other))
        else:
            same = np.array([int(a) == int(b) for a, b in zip(one, other)])
        found[name] = int((~same).sum())
    return {name: n for name, n in found.items() if n}


@pytest.mark.filterwarnings("ignore:.*disagree")
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("ending", ENDINGS)
def test_converting_changes_no_number(ending, n, tmp_path):
    if ending == ".geoparquet":
        pytest.importorskip("geopandas", reason="no geopandas (extra geo); the other endings go the same way")
    table = numbers(n)
    to_parquet(table, tmp_path / "a.parquet")
    convert_soundings(tmp_path / "a.parquet", tmp_path / f"b{ending}")
    assert differences(read_soundings(tmp_path / f"b{ending}"), table) == {}


@pytest.mark.filterwarnings("ignore:.*disagree")
def test_other_readers_see_the_same_numbers(tmp_path):
    table = numbers(300)
    to_parquet(table, tmp_path / "a.parquet")
    for ending in ("csv", "json", "nc4"):
        convert_soundings(tmp_path / "a.parquet", tmp_path / f"b.{ending}")
    exact = {} if pd.__version__ >= "3.1" else {"float_precision": "round_trip"}
    assert differences(pd.read_csv(tmp_path / "b.csv", sep=";", **exact), table) == {}
    records = json.loads((tmp_path / "b.json").read_text())
    assert differences(pd.DataFrame(records).astype({"bits": float, "narrow": float}), table) == {}
    assert differences(pd.read_parquet(tmp_path / "a.parquet"), table) == {}
    with h5py.File(tmp_path / "b.nc4") as file:
        for name in ("signed", "unsigned", "short", "tiny"):
            assert file[name].dtype == table[name].dtype and (file[name][:] == table[name].to_numpy()).all()


def test_a_value_that_is_a_fill_elsewhere_stays_a_value():
    table = pd.DataFrame({
        "sounding_id": [2016083112023031, 2016083112023032, 2016083112023033],
        "own": [-999999.0, np.nan, 9.969209968386869e36], "count": [-9999, -999999, 7],
        "gaps": pd.array([-9999, None, 3], "Int32"), "byte": np.array([127, -127, -128], "i1"),
        "left": np.array([-32767, -2147483647, 5], "i8"), "full": np.array([2**64 - 1, 2**64 - 2, 0], "u8"),
        "time": pd.to_datetime(["1969-12-20T10:13:21", None, "1969-12-31T21:13:21"])})
    file = io.BytesIO()
    write_lite(table, file)
    with pytest.warns(UserWarning, match="disagree"):
        back = read_lite(file)
    for name in table.columns.drop("time"):
        assert back[name].isna().tolist() == table[name].isna().tolist(), name
        assert back[name].dropna().tolist() == table[name].dropna().tolist(), name
    assert back["time"].equals(table["time"].astype("datetime64[ms]"))


def test_a_fill_left_in_a_column_of_the_product_is_missing_and_said():
    file = io.BytesIO()
    with pytest.warns(UserWarning, match="xco2: 1 of its values are fills"):
        write_lite(pd.DataFrame({"sounding_id": [2016083112023031], "xco2": [-999999.0]}), file)
    assert read_lite(file)["xco2"].isna().all()


def test_all_values_of_a_type_in_one_column():
    n = 2**16
    table = pd.DataFrame({"sounding_id": np.arange(1, n + 1), "short": np.arange(-(2**15), 2**15).astype("i2")})
    file = io.BytesIO()
    write_lite(table, file)
    assert (read_lite(file, columns=["short"])["short"] == table["short"]).all()


@pytest.mark.parametrize("table", [
    pd.DataFrame({"sounding_id": [1], "a": [1j]}), pd.DataFrame({"sounding_id": [1], "a": np.array([1],
                                                                                                   np.longdouble) / 3}),
    pd.DataFrame({"sounding_id": np.array([2**64 - 1], "u8")}), pd.DataFrame({"sounding_id": [-5]})])
def test_what_no_file_keeps_is_refused(table, tmp_path):
    with pytest.raises(InputError):
        write_lite(table, tmp_path / "a.nc4")
    if "a" in table:
        with pytest.raises(InputError, match="column 'a' holds"):
            "".join(json_records(table))
    assert list(tmp_path.iterdir()) == []


def test_json_holds_what_tables_hold():
    table = pd.DataFrame({
        "b": [True, False], "n": pd.array([1, None], "Int64"), "s": ["a\n\"", None], "o": [np.float32(0.1), [1, 2.5]],
        "t": pd.to_datetime(["2016-08-31T12:02:30.195", None], utc=True), "c": pd.Categorical(["x", "y"]),
        "e": [float("inf"), pd.NaT]})
    rows = json.loads("".join(json_records(table)))
    assert rows[0] == {"b": True, "n": 1, "s": "a\n\"", "o": float(np.float32(0.1)), "t": "2016-08-31T12:02:30.195Z",
                       "c": "x", "e": float("inf")}
    assert rows[1] == {"b": False, "n": None, "s": None, "o": [1, 2.5], "t": None, "c": "y", "e": None}
    assert json.loads("".join(json_records(table.head(0)))) == []


@pytest.mark.parametrize("n", SIZES)
def test_parts_of_runs_and_the_page_keep_every_bit(n):
    table = numbers(n)
    assert differences(pd.read_parquet(io.BytesIO(parquet_bytes(table))), table) == {}
    pack = Pack()
    infos = {name: pack.add(encode(table[name])[1]) for name in table.columns}
    data = zlib.decompress(pack.compressed())
    assert differences(pd.DataFrame({name: unpacked(data, info) for name, info in infos.items()}), table) == {}


@pytest.mark.parametrize("n", SIZES)
def test_the_published_files_keep_every_bit(n, tmp_path):
    table = numbers(n).assign(xco2_uncertainty=0.5)
    peaks = table.head(n).reindex(columns=["sounding_id", "latitude", "longitude"])
    peaks = peaks.assign(slope=table["tiny"], amplitude=table["bits"].where(np.isfinite(table["bits"])),
                         sigma=table["plain"])
    write_published(tmp_path, "run", peaks, [table])  # the soundings of the first peak; of the others there are none
    (file,) = tmp_path.glob("peak_data-si_*.json")
    rows = json.loads(file.read_text())
    back = pd.DataFrame(rows).astype({"bits": float, "narrow": float})
    assert differences(back, table.drop(columns="xco2_uncertainty")) == {}
    (csv,) = tmp_path.glob("*.csv")
    ids = pd.read_csv(csv, sep=";", float_precision="round_trip", dtype={"sounding_id": np.int64})
    assert differences(ids, peaks) == {} and differences(read_peaks(csv), peaks) == {}


@pytest.fixture(scope="module")
def search():
    return find_peaks(simulate_granule(0, n_seconds=120, delta=5).soundings, n_surrogates=39)


@pytest.mark.parametrize("n", SIZES)
def test_the_files_of_a_search_keep_every_bit(n, search, tmp_path):
    table = numbers(n)
    told = table[["tiny", "plain", "narrow"]].astype(float).map(lambda value: value if np.isfinite(value) else None)
    told = {name: column.astype(object).where(column.notna(), None).tolist() for name, column in told.items()}
    whole = {name: [int(value) for value in table[name]] for name in ("signed", "unsigned", "sounding_id")}
    summary = search.summary | {"numbers": told | whole}
    rows = search.peaks.iloc[np.zeros(n, int)].reset_index(drop=True)
    rows = rows.assign(sounding_id=table["sounding_id"], amplitude=table["tiny"], sigma=table["plain"])
    (tmp_path / "out").mkdir()
    write_search(dataclasses.replace(search, peaks=rows, summary=summary), tmp_path / "out", tmp_path / "out", False)
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["numbers"] == summary["numbers"]
    assert differences(read_peaks(tmp_path / "out" / "peaks.csv"), rows[["sounding_id", "amplitude", "sigma"]]) == {}


@pytest.mark.slow
def test_the_files_of_the_main_job_keep_every_bit(tmp_path):
    table = numbers(10_000)
    result = isolate(simulate_granule(0, 40).soundings, eps=4.0)
    rows = result.table.iloc[np.arange(len(table)) % len(result.table)].reset_index(drop=True)
    rows = rows.assign(isolated=True, **{f"n_{name}": table[name] for name in table.columns})
    summary = result.summary | {"numbers": table["tiny"].tolist() + table["signed"].tolist()}
    dataclasses.replace(result, table=rows, summary=summary).save(tmp_path / "out")
    wanted = rows[[f"n_{name}" for name in table.columns]]
    order = np.argsort(-rows["score"].to_numpy(), kind="stable")
    assert differences(read_soundings(tmp_path / "out" / "isolated.csv"),
                       wanted.iloc[order].reset_index(drop=True)) == {}
    assert differences(pd.read_parquet(tmp_path / "out" / "scores.parquet"), wanted) == {}
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["numbers"] == summary["numbers"]
    assert differences(pd.read_csv(tmp_path / "out" / "sweep.csv")[["eps"]], result.sweep[["eps"]]) == {}


def test_widening_keeps_values():
    narrow = numbers(300)[["narrow"]]
    wide = exact_numbers(narrow)
    assert wide["narrow"].dtype == np.float64 and (wide["narrow"].astype("f4").equals(narrow["narrow"]))


@pytest.mark.filterwarnings("ignore:.*disagree")
@pytest.mark.parametrize("n", SIZES)
def test_a_combined_table_keeps_every_bit(n, tmp_path):
    table = numbers(n)
    for name, rows in (("a", table.iloc[: n // 3]), ("b", table.iloc[n // 3 :])):
        to_parquet(rows, tmp_path / f"{name}.parquet")
    map_files([tmp_path / "a.parquet", tmp_path / "b.parquet"], "convert", out=tmp_path / "run")
    back = pd.read_parquet(combine(tmp_path / "run").path)
    assert differences(back.set_index("sounding_id").loc[table["sounding_id"]].reset_index(), table) == {}
