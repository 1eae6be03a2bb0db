"""Tables as people write them: one reading that is certain, or a message that names the cause."""

import io
import json
import lzma
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oco2_outliers.ground.errors import InputError
from oco2_outliers.ground.tables import read_table, table_kind
from oco2_outliers.main_job import isolate
from oco2_outliers.soundings import read_soundings

SOUNDINGS = pd.DataFrame({"sounding_id": 2019071518315401 + np.arange(40), "latitude": np.linspace(38.1, 38.9, 40),
                          "xco2": 410 + np.sin(np.arange(40)), "site": ["Lamont", "Park Falls"] * 20})


def read(text, name="a.csv", **options):
    data = text.encode() if isinstance(text, str) else text
    return read_table(io.BytesIO(data), name, **options)


DIALECTS = {
    "tab": SOUNDINGS.to_csv(sep="\t", index=False),
    "pipe": SOUNDINGS.to_csv(sep="|", index=False),
    "single quotes": SOUNDINGS.to_csv(quotechar="'", quoting=1, index=False),
    "Excel's sep line": "sep=;\n" + SOUNDINGS.to_csv(sep=";", index=False),
    "comments": "# made by an instrument\n#\n" + SOUNDINGS.to_csv(index=False),
    "header behind a #": "# " + SOUNDINGS.to_csv(index=False),
    "blanks after commas": SOUNDINGS.to_csv(index=False).replace(",", ", "),
    "UTF-16": SOUNDINGS.to_csv(index=False).encode("utf-16"),
    "UTF-16 without a mark": SOUNDINGS.to_csv(index=False).encode("utf-16-le"),
    "UTF-8 with a mark": SOUNDINGS.to_csv(index=False).encode("utf-8-sig"),
    "decimal commas": SOUNDINGS.to_csv(sep=";", decimal=",", index=False),
    "Windows line ends": SOUNDINGS.to_csv(index=False, lineterminator="\r\n"),
    "units": SOUNDINGS.to_csv(index=False).replace("\n", "\nnumber,degrees,ppm,\n", 1),
}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_csv_is_read_the_same_in_every_dialect(dialect):
    pd.testing.assert_frame_equal(read(DIALECTS[dialect]), SOUNDINGS, check_exact=True)


def test_blank_separated_columns_are_read():
    text = SOUNDINGS.drop(columns="site").to_string(index=False)
    table = read(text)
    assert table.columns.tolist() == ["sounding_id", "latitude", "xco2"] and len(table) == 40


@pytest.mark.parametrize(("text", "words"), [
    (SOUNDINGS.to_csv(index=False, header=False), "add a header line"),
    ("x,y,x\n1,2,3\n", "columns of one name: 'x'"),
    ("x, y,x \n1,2,3\n", "columns of one name: 'x'"),
    ("a,b;c\n1,2;3\n4,5;6\n", "',' or ';'"),
    ("id;xco2\n1;411,325\n2;412,001\n", "411.325 or 411325"),
    ("é,b\n1,2\n".encode("cp1252"), "not UTF-8 text"),
    (b"a,b\n1,\x00\n", "NUL bytes"),
])
def test_what_has_two_readings_is_refused_with_the_remedy(text, words):
    with pytest.raises(InputError, match="a.csv") as caught:
        read(text)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_options_settle_what_the_file_does_not():
    assert read("id;xco2\n1;411,325\n2;412,001\n", decimal=",")["xco2"].tolist() == [411.325, 412.001]
    assert read("é,b\n1,2\n".encode("cp1252"), encoding="cp1252").columns.tolist() == ["é", "b"]
    assert read("a,b;c\n1,2;3\n4,5;6\n", separator=";").shape == (2, 2)


def test_years_and_dimensions_may_be_names():
    assert read("site,2014,2015\nLamont,400.5,402.5\n").columns.tolist() == ["site", "2014", "2015"]
    assert read("0,1,2\n0.5,0.25,1e-3\n").shape == (1, 3)


@pytest.mark.parametrize("shape", ["records", "columns", "index", "split", "table"])
def test_every_orient_of_pandas_gives_the_same_rows(shape):
    frame = SOUNDINGS.set_index("sounding_id") if shape == "table" else SOUNDINGS
    table = read(frame.to_json(orient=shape, double_precision=15), "a.json")
    assert len(table) == 40 and np.allclose(table["xco2"], SOUNDINGS["xco2"], rtol=1e-14)
    assert table["sounding_id"].tolist() == SOUNDINGS["sounding_id"].tolist()


def test_json_lines_and_ids_as_labels():
    assert len(read(SOUNDINGS.to_json(orient="records", lines=True), "a.json")) == 40
    by_id = read(SOUNDINGS.set_index("sounding_id").to_json(orient="index"), "a.json")
    assert by_id.index.tolist() == SOUNDINGS["sounding_id"].tolist() and len(by_id.columns) == 3


def test_geojson_points_become_rows_with_a_position():
    features = [{"type": "Feature", "properties": {"xco2": 400.0 + k},
                 "geometry": {"type": "Point", "coordinates": [-80.0 + k, 38.0]}} for k in range(3)]
    table = read(json.dumps({"type": "FeatureCollection", "features": features}), "a.json")
    assert table["longitude"].tolist() == [-80.0, -79.0, -78.0] and table["xco2"].tolist() == [400.0, 401.0, 402.0]


@pytest.mark.parametrize(("text", "words"), [
    ('{"0": {"0": 1, "1": 2}, "1": {"0": 3, "1": 4}}', "a column or a row"),
    ('[{"a": 1, "a": 2}]', "'a' stands twice"),
    ('{"a": [{"x": 1}], "b": [{"x": 1}]}', "2 tables"),
    ('{"a": 1}', "neither records nor columns"),
    ('{"type": "FeatureCollection", "features": [{"geometry": {"type": "Polygon"}}]}', "Polygon"),
])
def test_json_with_two_readings_is_refused(text, words):
    with pytest.raises(InputError, match="a.json") as caught:
        read(text, "a.json")
    assert words in str(caught.value)


@settings(max_examples=80)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=30),
       st.sampled_from([",", ";", "\t", "|"]), st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]), st.booleans())
def test_numbers_keep_every_digit_in_every_dialect(values, separator, encoding, comma):
    frame = pd.DataFrame({"name": [f"row {k}" for k in range(len(values))], "value": values})
    comma = comma and separator != ","
    text = frame.to_csv(sep=separator, index=False, decimal="," if comma else ".")
    back = read(text.encode(encoding), decimal="," if comma else None)
    assert back["value"].astype(float).tolist() == values


def written(table, kind):
    file = io.BytesIO()
    if kind == "parquet":
        table.to_parquet(file)
    else:
        file.write((table.to_csv(index=False) if kind == "csv" else table.to_json(orient="records")).encode())
    return read(file.getvalue(), f"a.{kind}")


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
@pytest.mark.parametrize("value", [2**53 + 1, 2**63 - 1, -2**63, 2**64 - 1, 12345678901234567])
def test_whole_numbers_beside_a_gap_keep_every_digit(kind, value):
    gap = pd.DataFrame({"n": pd.array([value, None, 5 if value > 0 else -5], "UInt64" if value >= 2**63 else "Int64"),
                        "m": [1.5, 2.5, 3.5]})
    back = written(gap, kind)["n"]
    assert int(back[0]) == value and back.isna().tolist() == [False, True, False]


def test_small_whole_numbers_beside_a_gap_are_floats_as_ever():
    assert read("n,m\n1,2\n,3\n")["n"].dtype == "float64"
    assert read(f"n\n{10**30}\n{10**31}\n")["n"].tolist() == [str(10**30), str(10**31)]


@pytest.mark.parametrize(("cells", "values"), [
    (["0,5", "1,25"], [0.5, 1.25]), (["1.010,5", "12"], [1010.5, 12]), (["1,010.5", "12"], [1010.5, 12]),
    (["1 010,5", "7,5"], [1010.5, 7.5]), (["\u22121.5", "2.5"], [-1.5, 2.5]), (["1,234,567", "2"], [1234567, 2]),
    (["-", "2.5"], [None, 2.5]), (["--", "1,5"], [None, 1.5]),
])
def test_numbers_in_disguise_are_read_and_told(cells, values):
    table = read(json.dumps([{"a": cell, "b": "word"} for cell in cells]), "a.json")
    assert table["a"].astype(object).where(table["a"].notna(), None).tolist() == values
    assert list(table.attrs["numbers_in_text"]) == ["a"]


@pytest.mark.parametrize("cells", [
    ["007", "012"], ["A1", "B2"], ["411,325", "412,001"], ["1,5", "2.5"], ["2019-07-15", "x"], ["1" * 30, "2" * 30],
    ["12A", "13B"], ["", ""]])
def test_what_may_be_a_code_stays_text(cells):
    assert read(json.dumps([{"a": cell} for cell in cells]), "a.json")["a"].tolist() == cells


LIMITS = {"OCO2_MAX_BYTES": "20k", "OCO2_MAX_ROWS": "100", "OCO2_MAX_COLUMNS": "50"}


@pytest.mark.parametrize("kind", ["csv", "json", "parquet"])
@pytest.mark.parametrize("limit", LIMITS)
def test_what_is_read_has_a_limit(limit, kind, monkeypatch):
    monkeypatch.setenv(limit, LIMITS[limit])
    assert len(written(SOUNDINGS, kind)) == 40
    large = pd.DataFrame(np.ones((5, 60) if limit == "OCO2_MAX_COLUMNS" else (20_000, 2))).rename(columns="c{}".format)
    with pytest.raises(InputError, match=f"a.{kind} .* holds more than .* {limit}"):
        written(large, kind)


def test_a_turned_bit_in_parquet_is_not_read_as_a_number(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    path, numbers = tmp_path / "turned.parquet", np.arange(1000.0)
    pq.write_table(pa.table({"xco2": numbers}), path, write_page_checksum=True, compression="none",
                   use_dictionary=False)
    whole = path.read_bytes()
    at = whole.index(numbers[500:505].tobytes()) + 6
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1:])
    with pytest.raises(InputError, match=r"turned.parquet cannot be read as parquet: could not verify page integrity"):
        read_table(path)
    path.write_bytes(whole)
    assert (read_table(path)["xco2"] == numbers).all()


def test_a_packed_bomb_and_a_device_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("OCO2_MAX_BYTES", "1M")
    for text in (b"0" * 10**7, b"a,b\n" + b"1,2\n" * 10**6):
        with pytest.raises(InputError, match=r"a.csv.xz .* more than 1 MB when unpacked"):
            read(lzma.compress(text), "a.csv.xz")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.csv")
    for name, what in (("zero.csv", "device"), ("pipe.csv", "pipe")):
        for reader in (read_table, isolate):
            with pytest.raises(InputError, match=f"{name} is a {what}"):
                reader(tmp_path / name)
    monkeypatch.setenv("OCO2_MAX_BYTES", "much")
    with pytest.raises(InputError, match="OCO2_MAX_BYTES is 'much'"):
        read("a,b\n1,2\n")


@pytest.mark.slow
def test_a_header_of_ten_thousand_names_is_read():
    wide = pd.DataFrame(np.ones((3, 10_000))).rename(columns="a_rather_long_name_{}".format)
    assert read(wide.to_csv(index=False)).shape == (3, 10_000)


@pytest.mark.parametrize("name", ["sounding_id", "SoundingID", "Sounding ID", "sid"])
def test_a_cut_id_is_refused_under_any_of_its_names(tmp_path, name):
    (tmp_path / "cut.csv").write_text(f"{name},xco2\n2.01808e+15,400\n2.01809e+15,401\n")
    with pytest.raises(InputError, match="id"):
        read_soundings(tmp_path / "cut.csv")
    (tmp_path / "whole.csv").write_text(f"{name},xco2\n2018082505140535,400\n2018082505140536,401\n")
    table = read_soundings(tmp_path / "whole.csv")
    assert table["sounding_id"].tolist() == [2018082505140535, 2018082505140536]
    assert "numbers_in_text" not in table.attrs or not table.attrs["numbers_in_text"]


def test_one_of_two_times_that_can_be_read_is_the_time(tmp_path):
    rows = pd.DataFrame({"xco2": [400.0, 401.0], "timestamp": [1.5e9, 1.6e9],
                         "datetime": ["2019-07-15T18:31:54Z", "2019-07-15T18:31:55Z"]})
    rows.to_csv(tmp_path / "a.csv", index=False)
    table = read_soundings(tmp_path / "a.csv")
    assert str(table["time"].dtype).startswith("datetime64") and "timestamp" in table
    rows.assign(datetime=["morning", "noon"]).to_csv(tmp_path / "b.csv", index=False)
    table = read_soundings(tmp_path / "b.csv")
    assert "time" not in table and list(table["datetime"]) == ["morning", "noon"]


LINES = SOUNDINGS.drop(columns="site").to_csv(index=False).splitlines()


@pytest.mark.parametrize(("lines", "said"), [
    ([*LINES, *LINES], "1 repeated header left out"),
    ([*LINES[:20], LINES[0], *LINES[20:], LINES[0]], "2 repeated headers"),
    ([*LINES, "# end of file"], "1 comment between the rows left out"),
    ([*LINES[:9], "#", *LINES[9:], "\x1a"], "2 comments"),
])
def test_lines_that_are_no_rows_are_left_out_and_counted(lines, said):
    table = read("\n".join(lines) + "\n")
    assert said in table.attrs["read_as"] and len(table) % 40 == 0
    assert table["xco2"].dtype == "float64" and table["sounding_id"].head(40).equals(SOUNDINGS["sounding_id"])
    bare = read("\n".join(line.split(",", 1)[1] if "," in line else line for line in lines) + "\n")
    assert said in bare.attrs["read_as"] and bare["latitude"].head(40).tolist() == table["latitude"].head(40).tolist()


@pytest.mark.parametrize("separator", [",", ";", " ", "\t"])
@pytest.mark.parametrize("quote", ['"', ""])
def test_a_header_of_r_is_one_name_short(separator, quote):
    rows = [f"{quote}{k}{quote},{line}" for k, line in enumerate(LINES[1:], 1)]
    table = read("\n".join([LINES[0], *rows]).replace(",", separator))
    assert table.columns.tolist() == ["Unnamed: 0", "sounding_id", "latitude", "xco2"]
    assert table["sounding_id"].equals(SOUNDINGS["sounding_id"]) and table["Unnamed: 0"].tolist() == list(range(1, 41))


def test_rows_that_are_wider_than_the_header_are_refused_with_the_remedy():
    with pytest.raises(InputError, match="more cells than its header has names: name every column"):
        read("a,b\n5,1,2\n9,3,4\n7,5,6\n")


def test_a_name_of_two_lines():
    assert read('site,"XCO2\n(ppm)"\nx,400.5\ny,401\n').columns.tolist() == ["site", "XCO2 (ppm)"]


def test_numbers_that_do_not_go_up_are_no_header():
    with pytest.raises(InputError, match="its first line holds numbers"):
        read("400,300,20\n401,301,21\n")
    assert read("site,2014,2015\nx,1,2\n").columns.tolist() == ["site", "2014", "2015"]
    assert read("0,1,2\n400,300,20\n").columns.tolist() == ["0", "1", "2"]


@pytest.mark.parametrize(("cells", "numbers"), [
    (["4.011D+02", "-3.9D-1", "4D+00"], [401.1, -0.39, 4]), (['="400.1"', '="401"', '="1e2"'], [400.1, 401, 100]),
    (["'400.1", "'401", "402"], [400.1, 401, 402]), (["1.5", "-1.#IND", "-nan(ind)"], [1.5, None, None]),
    (["1.5", "n.d.", "No data"], [1.5, None, None]),
])
def test_numbers_of_other_programs(cells, numbers):
    table = read(pd.DataFrame({"a": cells, "b": 1}).to_csv(index=False))
    assert [None if pd.isna(value) else value for value in table["a"]] == numbers


@pytest.mark.parametrize("cell", ["{}*", "${}", "~{}", "\u20ac {}", "<{}", "{}\u00b10.5", "{} +/- 0.5", "({})",
                                  "{} \u00b0"])
def test_numbers_with_a_mark_beside_them_are_refused(cell):
    table = pd.DataFrame({"xco2": np.arange(60.0), "psurf": [cell.format(980.5 + k) for k in range(60)]})
    with pytest.raises(InputError, match="column 'psurf' holds text: '.*' in row 0"):
        isolate(table)


def test_codes_with_a_number_are_words():
    for code in ("A{}", "#{}", "{}-2", "site {}", "2016-08-{}", "12:{}", "{}D3"):
        table = pd.DataFrame({"xco2": np.arange(60.0), "code": [code.format(10 + k) for k in range(60)]})
        assert isolate(table).summary["columns"]["code"]["became"] == "text", code


def test_places_with_letters_for_the_sign(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("Lat,lon,xco2\n24.98S,28.8\u00b0 E,400\n3.5 N,W82,401\n,10E,402\n", "utf-8")
    table = read_soundings(path)
    assert table["latitude"].tolist()[:2] == [-24.98, 3.5] and table["longitude"].tolist() == [28.8, -82, 10]
    assert table.attrs["numbers_in_text"] == {"Lat": "N, S, E and W as signs", "lon": "N, S, E and W as signs"}


def test_places_on_the_equator_are_read_and_no_place_at_all_has_no_letters(tmp_path):
    table = read('[{"lat": "0N", "lon": null, "xco2": 400.5}, {"lat": null, "lon": null, "xco2": 401}]', "a.json")
    assert table["lat"].tolist()[:1] == [0] and set(table.attrs["numbers_in_text"]) == {"lat"}


def test_places_that_make_no_map_and_numbers_that_look_missing_are_told():
    table = pd.DataFrame({"latitude": ["24\u00b058'S"] * 60, "longitude": 5000.0, "xco2": 400 + np.sin(np.arange(60)),
                          "tcwv": np.where(np.arange(60) % 10, 20 + np.cos(np.arange(60)), -999)})
    notes = "\n".join(isolate(table).notes)
    assert "latitude holds text" in notes and "longitude is impossible in 60 rows (5000)" in notes
    assert "tcwv is -999 in 6 rows, far from all its other values" in notes


OTHERS = {
    "gzip": b"\x1f\x8b\x08\0\0", "workbook": b"PK\x03\x04" + bytes(50),
    "old Excel": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1\0",
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(50), "login page": b"<!DOCTYPE html>\n<title>Earthdata Login</title>",
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n", "PDF": b"%PDF-1.4\n%\xe2",
    "XML": b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>',
}


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
@pytest.mark.parametrize("what", list(OTHERS))
def test_a_file_of_another_kind_is_told_by_its_first_bytes(what, ending):
    with pytest.raises(InputError, match=f"^a.{ending} cannot be read as {ending}: it is .*{what}"):
        read(OTHERS[what], f"a.{ending}")


def test_tables_under_the_ending_of_another_kind():
    records = b'[{"xco2": 400.5}, {"xco2": 401}]'
    with pytest.raises(InputError, match="it is JSON text"):
        read(records)
    with pytest.raises(InputError, match="it is JSON text"):
        read(b'{"xco2": 400.5, "a": 1}\n{"xco2": 401, "a": 1}\n')
    for ending in ("json", "parquet"):
        with pytest.raises(InputError, match="it is text, a table by its looks; give it the ending .csv"):
            read("\n".join(LINES), f"a.{ending}")
    parquet = io.BytesIO()
    SOUNDINGS.to_parquet(parquet)
    with pytest.raises(InputError, match="it is a Parquet table"):
        read(parquet.getvalue())


def test_a_letter_of_another_encoding_far_down_the_file():
    text = ("site,xco2\n" + "Paris,400\n" * 20_000 + "Orl\u00e9ans,401\n").encode("cp1252")
    with pytest.raises(InputError, match="a.csv is not UTF-8 text throughout .*: give its encoding"):
        read(text)
    assert read(text, encoding="cp1252")["site"].iloc[-1] == "Orl\u00e9ans"


def test_parquet_with_two_columns_of_one_name():
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.Table.from_arrays([pa.array([1.0]), pa.array([2.0])], names=["xco2", "xco2"]), file)
    with pytest.raises(InputError, match="columns of one name: 'xco2'"):
        read(file.getvalue(), "a.parquet")


def test_a_table_under_a_key_says_what_else_there_was():
    table = read(json.dumps({"meta": {"n": 2}, "rows": [{"a": 1}, {"a": 2}], "next": None}), "a.json")
    assert table["a"].tolist() == [1, 2] and table.attrs["read_as"] == "the table under 'rows', without meta, next"


@pytest.mark.parametrize("feature", [{"geometry": [1, 2]}, {"properties": [1]}, {"geometry": "Point"}])
def test_features_of_another_shape_are_refused(feature):
    with pytest.raises(InputError, match="feature 0 is no GeoJSON"):
        read(json.dumps({"type": "FeatureCollection", "features": [feature]}), "a.json")


def test_tables_in_memory_with_twins_or_levels_are_refused():
    table = pd.DataFrame(np.arange(240.0).reshape(60, 4), columns=["a", "b", "c", "a"])
    with pytest.raises(InputError, match="columns of one name: 'a'"):
        isolate(table)
    table.columns = pd.MultiIndex.from_product([["x", "y"], ["a", "b"]])
    with pytest.raises(InputError, match="the columns have several levels"):
        isolate(table)


@pytest.mark.parametrize("time", ["08/07/2016", "2016-244", "31/08/16", "12:02:30", 42613.5])
def test_a_time_that_is_not_used_for_the_groups_is_told(time):
    table = pd.DataFrame({"time": [time] * 60, "latitude": 45.0, "longitude": 8.0, "xco2": np.sin(np.arange(60))})
    assert "the groups take all rows as one pass" in "\n".join(isolate(table).notes)
    assert "one pass" not in "\n".join(isolate(table.assign(orbit=11522)).notes)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["7", "07", "007", "1646500", "01646500", "0", "00", "", "-3", "12.0"]),
                          st.sampled_from(["1", "0", "0.5", "00.5", "", "2019-07-01 00:03"])), min_size=1, max_size=8),
       st.sampled_from(",;\t|"), st.sampled_from(["", " ", "  "]), st.booleans(), st.sampled_from(["\n", "\r\n"]),
       st.sampled_from(["utf-8", "utf-16", "cp1252"]))
def test_a_column_with_a_leading_zero_is_one_of_codes(rows, separator, blank, quoted, end, encoding):
    cells = [(f'"{code}"' if quoted else code, other, "x") for code, other in rows]
    text = end.join(f"{separator}{blank}".join(row) for row in [("gauge", "flow", "note"), *cells]) + end
    found = read(text.encode(encoding), separator=separator, encoding=encoding)["gauge"]
    codes = [code for code, _ in rows]
    if any(len(code) > 1 and code.isdigit() and code[0] == "0" for code in codes):
        assert [None if pd.isna(cell) else cell for cell in found] == [code or None for code in codes]
    else:
        assert found.isna().all() or pd.api.types.is_numeric_dtype(found)



def test_parts_of_a_date_stay_numbers_and_codes_are_told():
    table = read("month,day,zip\n07,01,01234\n12,31,99999\n")
    assert table["month"].tolist() == [7, 12] and table["day"].tolist() == [1, 31]
    assert table.attrs["read_as"] == "text, for its leading zeros: zip"


@pytest.mark.parametrize("name", ["site_no", "zip", "station_id", "USGS_ID", "land_code", "orbit_number"])
def test_a_code_of_whole_numbers_is_no_feature(name):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({name: rng.choice([1646500, 1646501, 1666000], 300, p=[0.49, 0.5, 0.01]),
                          "flow": rng.normal(size=300), "temp": rng.normal(size=300)})
    assert list(isolate(table).matrix.X.columns) == ["flow", "temp"]
    assert name in isolate(table, features=[name, "flow"]).matrix.X.columns


@pytest.mark.parametrize(("name", "tool"), [("a.nc4.gz", "gunzip"), ("a.nc.bz2", "bunzip2"), ("a.h5.xz", "unxz"),
                                            ("a.nc4.zip", "unzip"), ("a.csv.zip", "unzip")])
def test_packed_granules_and_archives_are_to_be_unpacked(name, tool):
    with pytest.raises(InputError, match=rf"{name}: .*unpack it first \({tool}\)"):
        table_kind(name)
