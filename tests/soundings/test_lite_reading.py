"""Lite files in: every layout, fills, parts of a file, broken and hostile files, and 187 real ones."""

from __future__ import annotations

import io
import warnings

import fsspec
import h5netcdf
import h5py
import hypothesis.strategies as st
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from lite_files import IDS, LITE, SUBSET, V9, V11, lite_file, needs_real

from oco2_outliers.datasets import Datasets
from oco2_outliers.ground.errors import InputError
from oco2_outliers.soundings import (
    convert_soundings,
    describe_soundings,
    make_sounding_id,
    read_lite,
    read_soundings,
    simulate_granule,
    sounding_time,
    soundings_per_day,
    write_lite,
)


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


@settings(max_examples=50)
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
    for kind in ("f4", "i4"):
        with pytest.raises(InputError, match="(float32|int32).*digits"):
            read_lite(lite_file({"sounding_id": (IDS.astype(kind), {})}))


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


@needs_real
@pytest.mark.parametrize("step", [12, pytest.param(1, marks=pytest.mark.slow)])
def test_all_real_files_read(step):
    """Every twelfth here, all among the slow checks."""
    paths = sorted(LITE.glob("*.nc4"))[::step]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a contradiction between id and time would warn
        tables = [read_soundings(path) for path in paths]
    n = sum(map(len, tables))
    assert (len(paths), n) == (187, 89_125) if step == 1 else len(paths) == 16 and n > 2_000
    for path, table in zip(paths, tables):
        assert table["sounding_id"].dtype == np.int64 and table["time"].dtype == "datetime64[ms]"
        assert set(table["time"].dt.strftime("%y%m%d")) == {path.name[11:17]}
        assert table["latitude"].between(37, 43).all() and table["longitude"].between(-82, -78).all()
        assert table["xco2"].between(340, 435).all() and not table.isna().any().any()
    every = read_soundings(paths)
    per_day = soundings_per_day(every)
    print(f"\n{per_day.to_string()}")  # the counts by day: pytest -s
    assert per_day["soundings"].tolist() == [len(table) for table in tables] and per_day.index.is_monotonic_increasing
    assert describe_soundings(every).startswith(f"soundings  {n:,} in {len(paths)} days")
    assert every["sounding_id"].dtype == np.int64 and every["sounding_id"].is_unique
    # what simulate_granule copies of the instrument: frames at 0, 3 and 7 tenths, footprints read one after the other
    assert set(every["sounding_id"] // 10 % 10) == {0, 3, 7}
    off = (every["time"].to_numpy() - sounding_time(every["sounding_id"]).to_numpy()) / np.timedelta64(1, "s")
    assert off.min() > -0.1385 and off.max() < 0.1165


def test_an_address_is_read_as_a_file_is(granule, lite_bytes):
    with fsspec.open("memory://addresses/a.nc4", "wb") as file:
        file.write(lite_bytes)
    with fsspec.open("memory://addresses/b.csv", "wb") as file:
        file.write(b"xco2;latitude\n400,5;1,5\n401,5;2,5\n")
    assert len(read_soundings("memory://addresses/a.nc4")) == len(granule.soundings)
    assert read_soundings(["memory://addresses/b.csv"])["xco2"].tolist() == [400.5, 401.5]
