"""Files as other libraries, tools and agencies write them: each is read right, or refused in one true line."""

from __future__ import annotations

import gzip
import io
import subprocess
import sys

import h5py
import numpy as np
import pandas as pd
import pytest
from lite_files import IDS, lite_file

from oco2_outliers.dbscan import IsolatedSoundings, isolation_radius
from oco2_outliers.ground.errors import InputError
from oco2_outliers.isolation.columns import column_fates
from oco2_outliers.main_job import isolate
from oco2_outliers.peaks import estimate_emission, find_peaks
from oco2_outliers.soundings import (
    describe_soundings,
    read_lite,
    read_soundings,
    simulate_granule,
    sounding_time,
    soundings_per_day,
    write_lite,
)
from oco2_outliers.soundings.quantities import check_quantities
from oco2_outliers.soundings.sounding_ids import parse_times, row_times
from oco2_outliers.soundings.track import orbit_numbers

MOMENT = pd.Timestamp("2016-08-31T12:02:30.195")


def h5(path, variables: dict, **root):
    """A plain HDF5 file from {path: values} or {path: (values, attributes)}."""
    with h5py.File(path, "w") as file:
        file.attrs.update(root)
        for name, values in variables.items():
            values, attrs = values if isinstance(values, tuple) else (values, {})
            file[name] = values
            file[name].attrs.update(attrs)
    return path


def column(values, dtype, **attrs) -> list:
    """A column of three values as a file with these attributes has it; None where one is missing."""
    back = read_lite(lite_file({"sounding_id": (IDS, {}), "x": (np.array(values, dtype), attrs)}))["x"]
    return [None if pd.isna(value) else value for value in back]


@pytest.mark.parametrize(("values", "dtype", "attrs", "expected"), [
    ([1, 2, 1e20], "f4", {"missing_value": 1e20}, [1, 2, None]),
    ([1, -1, -2], "i4", {"missing_value": np.array([-1, -2])}, [1, None, None]),
    ([1, -1, -2], "f8", {"missing_value": "-1 -2"}, [1, None, None]),
    ([1, 2, -32767], "i2", {}, [1, 2, None]), ([1, 2, 2**32 - 1], "u4", {}, [1, 2, None]),
    ([1, 2, -127], "i1", {}, [1, 2, -127]), ([1, 2, -32767], "i2", {"_FillValue": np.array([2], "i2")}, [1, None,
                                                                                                         -32767]),
    ([0.5, -3, 300], "f8", {"valid_range": "0, 200"}, [0.5, None, None]),
    ([0.5, -3, 300], "f8", {"valid_max": np.float32(200)}, [0.5, -3, None]),
    ([5, -3, 7], "i2", {"valid_min": np.int16(0), "scale_factor": 0.5}, [2.5, None, 3.5]),
    ([5, 30, 7], "i2", {"valid_range": [0.0, 4.0], "scale_factor": 0.5}, [2.5, None, 3.5]),
    ([-1, 100, -56], "i1", {"_Unsigned": "true", "_FillValue": np.int8(-1), "add_offset": 1.0}, [None, 101, 201]),
    ([-1, 100, -56], "i1", {"_Unsigned": b"true", "valid_range": np.array([0, -56], "i1")}, [None, 100, 200]),
    ([0.1, 0.2, 0.3], "f4", {"scale_factor": np.array(["10"], dtype=h5py.string_dtype())}, [1, 2, 3]),
    ([2**63 + 5, 7, 1], "u8", {"missing_value": np.uint64(7)}, [2**63 + 5, None, 1])])
def test_ways_to_say_missing_and_packed(values, dtype, attrs, expected):
    assert column(values, dtype, **attrs) == pytest.approx(expected)


@pytest.mark.parametrize("attrs", [{"scale_factor": "much"}, {"add_offset": [1.0, 2.0]}, {"valid_range": [1.0]},
                                   {"scale_factor": 0.0}, {"scale_factor": np.nan}])
def test_packing_that_means_nothing_is_refused(attrs):
    with pytest.raises(InputError, match="the file: x: .* must be"):
        column([1, 2, 3], "i2", **attrs)


@pytest.mark.parametrize(("units", "calendar", "value"), [
    ("hours since 1970-01-01T00:00:00Z", "standard", 409068.04172083), ("h since 2016-08-31 12:00", None,
                                                                        150195 / 3.6e6),
    ("microseconds since 2016-08-31 12:00:00", "gregorian", 150195000), ("week since 2016-08-31 12:00", "",
                                                                         150195 / 6.048e8),
    ("Days Since 2016-8-31 12:00:00.0 UTC", "proleptic_gregorian", 150195 / 86.4e6), ("sec @ 20160831T120000Z", None,
                                                                                      150.195),
    ("seconds since 2016-08-31 06:00:00 -0600", None, 150.195), ("seconds since 2016-08-31 17:30+05:30", None, 150.195),
    (np.array([b"msecs since 2016-08-31 12:00:00"]), np.array([b"standard"]), 150195),
    ("days since 0001-01-01", "standard", 736208.501738368), ("days since 0001-01-01", "proleptic_gregorian",
                                                              736206.501738368)])
def test_times_in_every_spelling(units, calendar, value):
    attrs = {"units": units} | ({} if calendar is None else {"calendar": calendar})
    back = read_lite(lite_file({"sounding_id": (IDS[:1], {}), "time": (np.array([float(value)]), attrs)}))
    assert abs(back["time"][0] - MOMENT) < pd.Timedelta("20ms")


@pytest.mark.parametrize(("attrs", "said"), [
    ({"units": "seconds since 1970-01-01", "calendar": "360_day"}, "calendar '360_day'"),
    ({"units": "months since 1970-01-01"}, "time units"), ({"units": "seconds since 1970-13-01"}, "start at no date"),
    ({"units": "seconds since 1970-01-01 00:00 CEST"}, "time units"), ({"units": ""}, "time units")])
def test_times_that_cannot_be_read_are_refused(attrs, said):
    with pytest.raises(InputError, match=said):
        read_lite(lite_file({"sounding_id": (IDS[:1], {}), "time": (np.array([1.0]), attrs)}))


def test_ids_as_floats_and_texts_and_too_large(tmp_path):
    floats = np.array([IDS[0], np.nan, -999999.0])
    assert read_lite(h5(tmp_path / "a.nc4", {"sounding_id": floats}))["sounding_id"].tolist() == [int(IDS[0]), pd.NA,
                                                                                                  pd.NA]
    texts = [str(i).encode() for i in IDS]
    assert read_lite(h5(tmp_path / "b.nc4", {"sounding_id": texts}))["sounding_id"].tolist() == IDS.tolist()
    for wrong, said in (([2.0**60], "sounding_id is"), (["2016x"], "sounding_id is '2016x'"), ([2**64 - 1],
                                                                                               "larger than")):
        values = np.array(wrong, np.uint64) if said == "larger than" else wrong
        with pytest.raises(InputError, match=said):
            read_lite(h5(tmp_path / "c.nc4", {"sounding_id": values}))
    with pytest.raises(InputError, match=r"its sounding_id has the shape \(3, 8\)"):
        read_lite(h5(tmp_path / "d.nc4", {"sounding_id": np.ones((3, 8), "i8")}))


@pytest.mark.parametrize(("variables", "root", "said"), [
    ({"RetrievalHeader/sounding_id": IDS, "RetrievalResults/xco2": np.ones(3)}, {}, "L2 Standard"),
    ({"Metadata/SoundingId": IDS, "SIF_740nm": np.ones(3)}, {}, "SIF Lite"),
    ({"sounding_id": IDS, "Daily_SIF_757nm": np.ones(3)}, {}, "SIF Lite"),
    ({"sounding_id": IDS, "xco2": np.full(3, 400.0)}, {"title": b"ACOS GOSAT L2 Lite Output"}, "GOSAT"),
    ({"sounding_id": np.array([20090420014502, 20090420014507]), "xco2": np.full(2, 400.0)}, {}, "GOSAT"),
    ({"Data/mixingRatio/XCO2": np.ones(3), "scanAttribute/time": np.ones(3)}, {}, "GOSAT"),
    ({"SoundingGeometry/sounding_id": IDS, "Meteorology/psurf": np.ones(3)}, {}, "meteorology"),
    ({"PRODUCT/methane": np.ones(3)}, {}, "Sentinel-5P"), ({"lat": np.ones(3)}, {}, "no variable sounding_id")])
def test_other_products_are_named(variables, root, said, tmp_path):
    with pytest.raises(InputError, match=f"a.nc4: .*{said}.*Lite") as error:
        read_soundings(h5(tmp_path / "a.nc4", variables, **root))
    assert "\n" not in str(error.value)


def test_declared_units_are_converted_and_told(tmp_path):
    file = h5(tmp_path / "a.nc4", {
        "sounding_id": IDS, "xco2": (np.full(3, 4.11e-4), {"units": np.array([b"mol mol-1"])}),
        "xco2_uncertainty": (np.full(3, 5e-7), {"Units": "Mole Mole^{-1}"}), "psurf": (np.full(3, 98500.0),
                                                                                       {"units": "Pa"}),
        "windspeed_u_met": (np.full(3, 36.0), {"units": "km/h"}), "latitude": (np.full(3, np.pi / 4),
                                                                               {"units": "radians"})})
    back = read_lite(file)
    assert np.allclose(back[["xco2", "xco2_uncertainty", "psurf", "windspeed_u_met", "latitude"]], [411, 0.5, 985, 10,
                                                                                                    45])
    assert back.attrs["converted"]["psurf"] == "Pa" and "xco2 (from mol mol-1)" in describe_soundings(back)
    assert len(read_lite(file, columns=["xco2"])["xco2"]) == 3


@pytest.mark.parametrize(("name", "value", "units"), [
    ("xco2", 4.11e-4, None), ("xco2", 4.11e-4, "ppm"), ("xco2", 411.0, "mol/mol"), ("xco2", 411_000.0, ""),
    ("psurf", 98_500.0, None), ("psurf", 98_500.0, "hPa"), ("psurf_apriori", 98.5, None)])
def test_units_that_are_not_declared_or_contradicted_are_refused(name, value, units, tmp_path):
    attrs = {} if units is None else {"units": units}
    with pytest.raises(InputError, match=f"a.nc4: .*{name}"):
        read_lite(h5(tmp_path / "a.nc4", {"sounding_id": IDS, name: (np.full(3, value), attrs)}))
    if not units:
        with pytest.raises(InputError, match=f"a.csv: .*{name}"):
            check_quantities(pd.DataFrame({name: [value]}), "a.csv")


@pytest.mark.parametrize(("content", "said"), [
    (b"<!DOCTYPE html><title>Earthdata Login</title>", "login page"), (b"<html><body>404", "web page"),
    (b'<?xml version="1.0"?><Error>AccessDenied</Error>', "XML"), (b'{"message": "no such key"}', "JSON"),
    (b"CDF\x01" + bytes(99), "netCDF-3"), (b"CDF\x05" + bytes(99), "netCDF-3"), (b"\x0e\x03\x13\x01" + bytes(99),
                                                                                 "HDF4"),
    (gzip.compress(b"x" * 999, mtime=0), "gzip"), (b"PK\x03\x04" + bytes(99), "zip"), (b"PAR1" + bytes(99), "Parquet"),
    (b"sounding_id,xco2\n1,2\n", "ending .csv"), ("sounding_id;xco2\n1;2\n".encode("utf-16"), "ending .csv"),
    (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS"), (bytes(5000), "zeros"), (b"", "empty"),
    (b"%PDF-1.7", "PDF"), (bytes(range(128, 256)) * 9, "not a readable netCDF-4 file, fetch it again")])
def test_what_is_no_netcdf_is_named_by_its_first_bytes(content, said, tmp_path):
    (tmp_path / "a.nc4").write_bytes(content)
    for source, name in ((tmp_path / "a.nc4", None), (io.BytesIO(content), "a.nc4")):
        with pytest.raises(InputError, match=f"a.nc4: .*{said}") as error:
            read_soundings(source, name)
        assert "\n" not in str(error.value) and ("fetch it again" in str(error.value)) == (said in ("zeros",
                                                                                                    "empty")
                                                                                           or "fetch" in said)


def test_cut_short_and_locked_files_say_so(lite_bytes, tmp_path):
    (tmp_path / "a.nc4").write_bytes(lite_bytes[:-100])
    with pytest.raises(InputError, match=r"a.nc4: cut short: it has [\d,]+ of [\d,]+ bytes; fetch it again"):
        read_lite(tmp_path / "a.nc4")
    (tmp_path / "b.nc4").write_bytes(lite_bytes)
    with h5py.File(tmp_path / "b.nc4", "r+"):
        code = f"from oco2_outliers.soundings import read_lite; read_lite({str(tmp_path / 'b.nc4')!r})"
        told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stderr
    assert not told or "another program has it open" in told.splitlines()[-1]


def test_a_file_system_without_locks_is_read_without(lite_bytes, tmp_path, monkeypatch):
    import errno

    (tmp_path / "a.nc4").write_bytes(lite_bytes)
    real = h5py.File

    def without_locks(source, mode, locking=None):
        if locking is not False:
            raise OSError(errno.ENOLCK, "unable to lock file, errno = 37, error message = 'No locks available'")
        return real(source, mode, locking=locking)

    monkeypatch.setattr("oco2_outliers.soundings.lite_reading.h5py.File", without_locks)
    assert len(read_lite(tmp_path / "a.nc4", columns=["xco2"]))


def test_what_is_left_out_of_a_file_is_listed_with_the_reason(tmp_path):
    path = h5(tmp_path / "a.nc4", {"sounding_id": IDS, "profile": np.ones((3, 20)), "sounding_id_idx": np.arange(3),
                                   "pair": np.zeros(3, [("a", "f4"), ("b", "f4")]), "flag": np.array([True, False,
                                                                                                      True])})
    with h5py.File(path, "a") as file:
        file["far"] = h5py.ExternalLink("other.nc4", "/xco2")
        file["near"] = h5py.SoftLink("/profile")
    back = read_lite(path)
    because = back.attrs["skipped_because"]
    assert set(because) == {"profile", "sounding_id_idx", "pair", "far", "near"} == set(back.attrs["skipped"])
    assert "one value per sounding" in because["profile"] and "neither numbers nor text" in because["pair"]
    assert "another file" in because["far"] and back["flag"].tolist() == [True, False, True]
    assert "far (a link to another file, not followed)" in describe_soundings(back)


@pytest.mark.parametrize("limited", [
    "a.nc4", *(pytest.param(name, marks=pytest.mark.slow) for name in ("a.csv", "a.json.gz", "a.parquet"))])
def test_a_full_disk_is_one_line_and_no_crash(limited, tmp_path):
    pytest.importorskip("resource", reason="limits of Unix; test_converting has a disk that says it is full")
    write_lite(simulate_granule(0, 200).soundings, tmp_path / "source.nc4")
    # -B: bytecode of a module that is new would be cut off at the limit, and read so by all that come later
    code = ("import resource, sys; resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000)); "
            f"sys.argv = ['oco2-outliers', 'soundings', 'convert', 'source.nc4', {limited!r}]; "
            "from oco2_outliers.cli import main; sys.exit(main())")
    done = subprocess.run([sys.executable, "-B", "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1, done
    assert f"File too large: '{limited}'" in done.stderr and [p.name for p in tmp_path.iterdir()] == ["source.nc4"]


def test_emissions_of_no_earthly_air_are_refused():
    peak = {"amplitude": 80.0, "tcwv": 20.0, "windspeed_u": 5.0, "windspeed_v": 1.0, "surface_pressure": 979.0,
            "heading": 347.0}
    assert estimate_emission(peak)["ktCO2_per_h"] > 0
    for name, value, said in (("surface_pressure", 97900.0, "divide by 100"), ("surface_pressure", 9.79,
                                                                               "surface_pressure is"),
                              ("tcwv", -999.0, "tcwv is"), ("windspeed_u", 1e20, "windspeed_u is")):
        with pytest.raises(InputError, match=said):
            estimate_emission(peak | {name: value})


def test_a_pressure_in_pascal_is_told_by_a_search():
    soundings = simulate_granule(1, 60).soundings
    notes = find_peaks(soundings.assign(psurf=soundings["psurf"] * 100), n_surrogates=39).notes
    assert any("divide by 100" in note for note in notes)


@pytest.mark.parametrize("text", ["31/08/2016 12:02:30.195", "08/31/2016 12:02:30.195 PM",
                                  "2016-08-31 12:02:30.195 UTC",
                                  "31.08.2016, 12:02:30.195", "Aug 31 2016 12:02:30.195",
                                  "2016-08-31T12:02:30.195 GMT"])
def test_times_of_one_reading_are_read(text):
    times = parse_times(pd.Series([text, None, ""], index=[7, 7, 8]))
    assert times.iloc[0] == MOMENT and times.iloc[1:].isna().all() and times.index.tolist() == [7, 7, 8]


def test_times_with_an_offset_are_told_in_utc_and_a_note_says_so(tmp_path):
    plain = tmp_path / "plain.csv"
    plain.write_text("time,xco2\n" + "".join(f"2020-01-01T00:00:{k:02}Z,{400 + k % 7}\n" for k in range(60)))
    assert not any("from UTC" in note for note in isolate(plain).notes)
    turned = tmp_path / "turned.csv"
    turned.write_text(plain.read_text().replace("Z,", "+02:00,"))
    result = isolate(turned)
    assert result.table["time"].iloc[0] == pd.Timestamp("2019-12-31 22:00")
    assert "times with an offset from UTC (+02:00): all told in UTC" in result.notes
    stamps = tmp_path / "stamps.parquet"
    pd.read_csv(turned).assign(time=lambda table: pd.to_datetime(table["time"])).to_parquet(stamps)
    assert read_soundings([plain, turned, stamps]).attrs["offsets"] == {"+02:00": "time"}


@pytest.mark.parametrize("values", [["08/07/2016"], ["31/08/2016", "08/31/2016"], ["31/08/16"], [1472644950], ["noon"]])
def test_times_of_two_readings_stay_and_are_told(values):
    table = pd.DataFrame({"time": values, "latitude": 0.0, "longitude": 0.0})
    assert parse_times(table["time"]).tolist() == values
    with pytest.warns(UserWarning, match="cannot be read with certainty.*one track"):
        assert orbit_numbers(table).tolist() == [0] * len(values)


def test_an_id_tells_the_time_that_a_row_lacks():
    table = pd.DataFrame({"sounding_id": IDS.astype("i8"), "time": [MOMENT, pd.NaT, MOMENT]})
    assert row_times(table)[1] == np.datetime64("2016-08-31T12:02:30.300")
    with pytest.warns(UserWarning, match="1 of 3 rows have no time"):
        orbit_numbers(table.drop(columns="sounding_id").assign(latitude=0.0))


def test_flags_of_text_are_numbers_or_refused(tmp_path):
    soundings = simulate_granule(1, 20).soundings
    good = int((soundings["xco2_quality_flag"] == 0).sum())
    texts = soundings.assign(xco2_quality_flag=soundings["xco2_quality_flag"].astype(str))
    assert soundings_per_day(texts)["good"].sum() == good and f"{good:,} good" in describe_soundings(texts)
    words = soundings.assign(xco2_quality_flag=np.where(soundings["xco2_quality_flag"] == 0, "good", "bad"))
    words.to_csv(tmp_path / "a.csv", index=False)
    assert "holds text, such as" in describe_soundings(words)
    for ask in ({"quality": 0}, {"mode": "nadir"}):
        asked = words.assign(operation_mode="nadir")
        asked.to_csv(tmp_path / "a.csv", index=False)
        with pytest.raises(InputError, match="a.csv: (xco2_quality_flag|operation_mode) holds text"):
            read_soundings(tmp_path / "a.csv", **ask)
    with pytest.raises(InputError, match="xco2_quality_flag holds text"):
        find_peaks(words, n_surrogates=39)


@pytest.mark.parametrize("option", [("--dates", ""), ("--dates", ","), ("--dates", "2019-07-15,"), ("--dates", "noon"),
                                    ("--dates", "2019-07-16,2019-07-15"), ("--box", ""), ("--box", "1,2,3,nan"),
                                    ("--box", "0,50,1,40"), ("--columns", ""), ("--columns", "nothing")])
def test_empty_and_malformed_filters_are_one_line(option, tmp_path, capsys):
    from oco2_outliers.cli import main

    write_lite(simulate_granule(0, 20).soundings, tmp_path / "a.nc4")
    code = main(["soundings", "convert", str(tmp_path / "a.nc4"), str(tmp_path / "b.csv"), *option])
    told = capsys.readouterr().err
    assert code == 2 and len(told.splitlines()) == 1 and not (tmp_path / "b.csv").exists(), told


def test_a_mask_is_not_dropped():
    rows = np.random.default_rng(0).normal(size=(50, 3))
    rows[3, 1] = -999999
    masked = np.ma.masked_equal(rows, -999999)
    for judge in (isolation_radius, IsolatedSoundings().fit):
        with pytest.raises(ValueError, match="missing|NaN"):
            judge(masked)
    ids = IDS.astype("i8")
    assert sounding_time(np.ma.masked_equal(ids, ids[1])).isna().tolist() == [False, True, False]


def table_of(tmp_path, **changed):
    """A file of four soundings with some variables given otherwise, as it is read."""
    ids = np.array([2016083112023031, 2016083112023132, 2016083112023233, 2016083112023334], "u8")
    plain = {"sounding_id": ids, "time": (sounding_time(ids).to_numpy("M8[ms]").astype(float) / 1000, {}),
             "xco2": np.array([401, 402, 403, 404], "f4"), "psurf": np.array([985, 986, 987, 988], "f4")}
    return read_lite(h5(tmp_path / "a.nc4", plain | changed))


@pytest.mark.parametrize(("values", "attrs"), [
    (np.array([23031, 23132, 23233, 23334], "i8"), {"add_offset": 2016083112000000.0}),
    (np.array([23031, 23132, 23233, 23334], "i8"), {"add_offset": np.int64(2016083112000000), "scale_factor": 1.0}),
    (np.array([2016083112023031, 2016083112023132, 2016083112023233, 2016083112023334]), {"scale_factor": 1.0}),
    (np.array([[2016083112023031], [2016083112023132], [2016083112023233], [2016083112023334]], "u8"), {}),
    (np.array([list(str(2016083112023031 + k * 101)) for k in range(4)], "S1"), {}),
])
def test_ids_that_are_packed_thin_or_letters(tmp_path, values, attrs):
    assert table_of(tmp_path, sounding_id=(values, attrs))["sounding_id"].tolist() == [
        2016083112023031, 2016083112023132, 2016083112023233, 2016083112023334]


def test_ids_whose_packing_loses_digits_are_refused(tmp_path):
    ids = np.array([20160831120230310, 20160831120231320, 20160831120232330, 20160831120233340])
    with pytest.raises(InputError, match="a sounding_id is '2016083112023"):
        table_of(tmp_path, sounding_id=(ids, {"scale_factor": 0.1}))


def test_a_time_without_units_must_agree_with_the_ids(tmp_path):
    assert str(table_of(tmp_path)["time"][0]) == "2016-08-31 12:02:30.300000"
    since_2014 = np.array([1472644950.3, 1472644951.3, 1472644952.3, 1472644953.3]) - 1388534400
    with pytest.raises(InputError, match="time declares no units, and as seconds since 1970 it does not agree"):
        table_of(tmp_path, time=since_2014)
    with pytest.raises(InputError, match="time declares no units"):  # also where it only chooses the rows
        read_lite(tmp_path / "a.nc4", columns=["xco2"], dates=("2016-08-31", "2016-08-31"))
    assert read_lite(tmp_path / "a.nc4", columns=["xco2"])["xco2"].tolist() == [401, 402, 403, 404]


def test_thin_columns_letters_and_other_times_are_columns(tmp_path):
    table = table_of(tmp_path, xco2=np.array([[401], [402], [403], [404]], "f4"),
                     mode=np.array([[b"N", b"D"], [b"G", b"L"], [b"T", b"G"], [b"N", b""]]),
                     retrieved=(np.array([1, 2, 3, -9999], "i4"), {"units": "hours since 2016-09-01"}))
    assert table["xco2"].tolist() == [401, 402, 403, 404] and table["mode"].tolist() == ["ND", "GL", "TG", "N"]
    assert str(table["retrieved"][1]) == "2016-09-01 02:00:00" and pd.isna(table["retrieved"][3])
    assert isolation_fates(table)["retrieved"] == "time"


def isolation_fates(table):
    return {name: fate.became for name, fate in column_fates(table).items()}


@pytest.mark.parametrize(("units", "value", "meant"), [
    ("mmHg", 740, 986.6), ("Torr", 740, 986.6), ("inHg", 29.1, 985.4), ("psi", 14.3, 985.9),
    ("hPa (at the ground)", 985, 985)])
def test_pressures_in_other_units(tmp_path, units, value, meant):
    psurf = table_of(tmp_path, psurf=(np.full(4, value, "f8"), {"units": units}))["psurf"]
    assert psurf[0] == pytest.approx(meant, abs=0.1)


def test_a_unit_that_is_not_known_is_told(tmp_path):
    with pytest.warns(UserWarning, match=r"a.nc4: psurf declares the units 'dPa', which are not known here"):
        assert table_of(tmp_path, psurf=(np.full(4, 985.0), {"units": "dPa"}))["psurf"][0] == 985
    with pytest.raises(InputError, match="says that xco2 is in moles per mole of wet air, and its values"):
        table_of(tmp_path, xco2=(np.full(4, 4e-4), {"units": "moles per mole of wet air"}))


@pytest.mark.filterwarnings("error")
def test_half_precision_has_no_fill_that_it_cannot_hold(tmp_path):
    table = table_of(tmp_path, half=(np.array([1, -np.inf, np.nan, 4], "f2"), {"valid_max": 1e9}))
    assert table["half"].tolist()[:2] == [1, -np.inf] and pd.isna(table["half"][2])


@pytest.mark.parametrize("kind", ["UInt8", "UInt16", "UInt32", "UInt64", "Int8"])
def test_whole_numbers_without_a_sign_and_with_a_gap_are_written(kind):
    table = pd.DataFrame({"sounding_id": IDS, "n": pd.array([None, *range(len(IDS) - 1)], dtype=kind)})
    file = io.BytesIO()
    write_lite(table, file)
    back = read_lite(file)["n"]
    assert pd.isna(back[0]) and back.dropna().tolist() == list(range(len(IDS) - 1))


@pytest.mark.parametrize("dates", [("08/09/2016", "09/09/2016"), ("2016-08", "2016-08"), ("12:00", "13:00"),
                                   (20160831, 20160831), ("31 08 2016", "31 08 2016")])
def test_dates_that_begin_with_no_year_month_and_day_are_refused(dates):
    with pytest.raises(InputError, match="dates must be .first, last., such as"):
        read_lite(lite_file({"sounding_id": (IDS, {})}), dates=dates)
    for day in ("2016-08-31", "20160831", "2016/8/31"):
        assert len(read_lite(lite_file({"sounding_id": (IDS, {})}), dates=(day, day))) == len(IDS)
