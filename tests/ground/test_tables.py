"""Tables as people write them: one reading that is certain, or a message that names the cause."""

import io
import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oco2_outliers.ground.errors import InputError
from oco2_outliers.ground.tables import read_table

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


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=30),
       st.sampled_from([",", ";", "\t", "|"]), st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]), st.booleans())
def test_numbers_keep_every_digit_in_every_dialect(values, separator, encoding, comma):
    frame = pd.DataFrame({"name": [f"row {k}" for k in range(len(values))], "value": values})
    comma = comma and separator != ","
    text = frame.to_csv(sep=separator, index=False, decimal="," if comma else ".")
    back = read(text.encode(encoding), decimal="," if comma else None)
    assert back["value"].astype(float).tolist() == values
