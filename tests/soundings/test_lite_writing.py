"""Lite files out: what others see in them, round trips, and what is refused."""

from __future__ import annotations

import io

import numpy as np
import pandas as pd
import pytest
from lite_files import IDS, LITE, needs_real

from oco2_outliers.ground.errors import InputError
from oco2_outliers.soundings import read_lite, write_lite


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

    monkeypatch.setattr("oco2_outliers.soundings.lite_writing._write_variable", full)
    with pytest.raises(OSError, match="disk full"):
        write_lite(granule.soundings, path)
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


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
