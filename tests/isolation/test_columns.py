"""What becomes of the columns of a table, and how its rows are named."""

import io
import json

import numpy as np
import pandas as pd
import pytest

from oco2_outliers.dbscan import feature_matrix
from oco2_outliers.ground.errors import InputError
from oco2_outliers.isolation.published_columns import published_labels
from oco2_outliers.main_job import isolate
from oco2_outliers.soundings import read_soundings

RNG = np.random.default_rng(0)
N = 120
PLAIN = pd.DataFrame({"sounding_id": 2019071518315401 + np.arange(N), "latitude": np.linspace(38, 39, N),
                      "longitude": np.linspace(-80, -81, N), "xco2": RNG.normal(410, 1, N).round(3),
                      "albedo": RNG.uniform(0.2, 0.3, N).round(5), "psurf": RNG.normal(990, 8, N).round(2)})


def comma(values):
    return [str(value).replace(".", ",") for value in values]


def isolated_from(table, folder, ending="csv", **how):
    path = folder / f"a.{ending}"
    if ending == "csv":
        table.to_csv(path, index=how.pop("index", False), **how)
    else:
        table.to_json(path, orient="records")
    return isolate(path, folder / "out", eps=1.0)


DISGUISES = {
    "decimal commas": (PLAIN.assign(albedo=comma(PLAIN["albedo"])), "csv", {"sep": ";"}),
    "commas between thousands": (PLAIN.assign(psurf=[f"{v + 60:,.2f}" for v in PLAIN["psurf"]]), "csv", {}),
    "points between thousands": (PLAIN.assign(psurf=[f"{v + 60:,.2f}".translate(str.maketrans(",.", ".,"))
                                                     for v in PLAIN["psurf"]]), "csv", {"sep": ";"}),
    "quotes in JSON": (PLAIN.assign(albedo=PLAIN["albedo"].astype(str)), "json", {}),
    "another minus": (PLAIN.assign(albedo=[f"\u2212{v}" for v in PLAIN["albedo"]]), "csv", {}),
}


@pytest.mark.parametrize("kind", DISGUISES)
def test_numbers_in_text_are_features_and_said(kind, tmp_path):
    result = isolated_from(*(DISGUISES[kind][0], tmp_path, DISGUISES[kind][1]), **DISGUISES[kind][2])
    assert result.matrix.features == ["xco2", "albedo", "psurf"]
    assert "numbers in text, read: " in str(result)
    fates = json.loads((tmp_path / "out" / "summary.json").read_text())["columns"]
    assert set(fates) == set(PLAIN)
    assert {fate["became"] for fate in fates.values()} == {"identifier", "place", "feature"}


@pytest.mark.parametrize(("cells", "words"), [
    (lambda v: [f"{x - 500:.3f}".replace(".", ",") for x in v], "which may be"),
    (lambda v: ["-9 hPa" if k % 3 == 0 else f"{x} hPa" for k, x in enumerate(v)], "holds text: '-9 hPa' in row 0"),
    (lambda v: ["bad" if k % 3 == 0 else str(x) for k, x in enumerate(v)], "holds text: 'bad' in row 0"),
    (lambda v: [str(x).replace(".", ",") if k % 2 else str(x) for k, x in enumerate(v)], "has a decimal comma"),
])
def test_columns_that_may_be_numbers_are_refused(cells, words):
    with pytest.raises(InputError, match="column 'psurf'") as caught:
        feature_matrix(PLAIN.assign(psurf=cells(PLAIN["psurf"])))
    assert words in str(caught.value)


def test_a_dash_in_many_rows_is_missing_and_not_text():
    holes = PLAIN.assign(psurf=["-" if k % 4 == 0 else str(v) for k, v in enumerate(PLAIN["psurf"])])
    matrix = feature_matrix(holes, missing="drop")
    assert "psurf" in matrix.features and matrix.n_dropped == N // 4
    with pytest.raises(InputError, match="column 'psurf' holds 30 missing"):
        feature_matrix(holes)


def test_every_column_is_told():
    table = PLAIN.assign(constant=1.0, psurf_pa=100 * PLAIN["psurf"], site="Lamont", good=True, when=pd.Timestamp(0),
                         empty=np.nan, vector=[[0.0, 1.0]] * N, hour=np.arange(N) % 24, index=range(N), quality_flag=0,
                         wait=pd.Timedelta(1, "h"), wave=1j, big=2**60 + np.arange(N), year=2019)
    matrix = feature_matrix(table)
    assert list(matrix.columns) == list(table)
    became = {name: fate.became for name, fate in matrix.columns.items()}
    assert became | {} == {
        "sounding_id": "identifier", "latitude": "place", "longitude": "place", "xco2": "feature", "albedo": "feature",
        "psurf": "feature", "constant": "constant", "psurf_pa": "copy", "site": "text", "good": "code", "when": "time",
        "empty": "empty", "vector": "list", "hour": "time", "index": "row number", "quality_flag": "code",
        "wait": "time", "wave": "other", "big": "row number", "year": "time"}
    for name in table:
        assert name in matrix.report()
    asked = feature_matrix(table, "albedo")
    assert asked.features == ["albedo"] and asked.columns["psurf"].became == "not asked for"


def test_names_in_other_letters_and_words_are_matched_and_said(tmp_path):
    other = PLAIN.rename(columns={"sounding_id": "Sounding_ID", "latitude": " Lat", "longitude": "LON ",
                                  "xco2": "XCO2 [ppm]", "albedo": "Albedo"})
    result = isolated_from(other, tmp_path)
    assert result.matrix.features == ["xco2", "Albedo", "psurf"] and "'Lat' is latitude" in str(result)
    assert result.table["sounding_id"].equals(isolate(PLAIN, eps=1.0).table["sounding_id"])
    with pytest.raises(InputError, match="may both be the latitude"):
        read_soundings(io.BytesIO(b"Lat,LATS\n1,2\n"), "a.csv")


def test_an_index_without_a_name_is_no_feature(tmp_path):
    assert isolated_from(PLAIN.sample(frac=1, random_state=0), tmp_path, index=True).matrix.features == [
        "xco2", "albedo", "psurf"]


def test_a_list_column_is_named_where_nothing_else_is_left(tmp_path):
    vectors = [{"id": k, "vector": [float(k), 1.0, 2.0]} for k in range(20)]
    (tmp_path / "a.json").write_text(json.dumps(vectors))
    pd.DataFrame(vectors).to_csv(tmp_path / "a.csv", index=False)
    pd.DataFrame(vectors).to_parquet(tmp_path / "a.parquet")
    for name in ("a.json", "a.csv", "a.parquet"):
        with pytest.raises(InputError, match="column 'vector' holds lists of 3"):
            isolate(tmp_path / name)


def test_one_row_cannot_be_judged():
    for table in (PLAIN.head(1), pd.DataFrame({"xco2": [400.0]})):
        with pytest.raises(InputError, match="one row cannot be judged"):
            isolate(table)
        with pytest.raises(InputError, match="one row cannot be judged"):
            feature_matrix(table)


@pytest.mark.parametrize("name", ["label", "site", "row"])
def test_rows_without_ids_have_a_name(name, tmp_path):
    table = PLAIN.drop(columns=["sounding_id"]).assign(time=pd.date_range("2019-07-15", periods=N, freq="s"))
    table.loc[17, "xco2"] = 460.0
    words = [f"P{k:03d}" for k in range(N)]
    if name == "label":
        table.index = words
    elif name == "site":
        table["site"] = words
    result = isolate(table, tmp_path, eps=3.0)
    first = pd.read_csv(tmp_path / "isolated.csv").iloc[0]
    assert first[name] == (17 if name == "row" else "P017")
    line = next(line for line in str(result).splitlines() if "460.0" in line)
    assert ("17" if name == "row" else "P017") in line and "2019-07-15 00:00:17" in line


def test_columns_of_mixed_kinds_are_stored_as_text(tmp_path):
    for number, value in enumerate(("A12", 2**70, [1], {"a": 1}, True)):
        mixed = PLAIN.assign(site=[value if k % 2 else f"B{k}" for k in range(N)])
        result = isolate(mixed, tmp_path / str(number), eps=1.0)
        back = pd.read_parquet(tmp_path / str(number) / "scores.parquet")["site"]
        assert back[0] == "B0" and isinstance(back[1], str), value
        assert ("stored as text" in str(result)) == (value != "A12")


def test_a_string_is_one_name(tmp_path):
    assert isolate(PLAIN, features="xco2", eps=1.0).matrix.features == ["xco2"]
    PLAIN.to_csv(tmp_path / "a.csv", index=False)
    assert list(read_soundings(tmp_path / "a.csv", columns="xco2")) == ["sounding_id", "xco2"]


def test_ids_that_a_spreadsheet_cut_are_told():
    cut = PLAIN.assign(sounding_id=PLAIN["sounding_id"] // 10 * 10)
    assert "look cut to 15 digits" in str(isolate(cut, eps=1.0))


def test_a_copy_is_found_among_many_columns():
    wide = pd.DataFrame(RNG.normal(size=(200, 1999))).rename(columns=str).assign(copy=lambda t: -2 * t["7"])
    assert feature_matrix(wide).duplicate == {"copy": "7"}
    same = pd.DataFrame(np.repeat(RNG.normal(size=(50, 1)), 1000, axis=1)).rename(columns=str)
    assert feature_matrix(same).features == ["0"]


@pytest.mark.filterwarnings("error")
def test_small_floats_make_no_warnings():
    small = PLAIN.astype({"psurf": "float16", "albedo": "float32"})
    assert feature_matrix(small).features == ["xco2", "albedo", "psurf"]


def test_numbers_in_text_are_told_of_several_inputs(tmp_path):
    """Also where the inputs differ in what else is told of them, here a fill value."""
    written = PLAIN.assign(psurf=[f"{value:,.2f}" for value in PLAIN["psurf"] + 500])
    written.head(60).to_csv(tmp_path / "a.csv", index=False)
    written.tail(60).assign(albedo=[-999999.0, *PLAIN["albedo"].tail(59)]).to_csv(tmp_path / "b.csv", index=False)
    inputs = [tmp_path / "a.csv", tmp_path / "b.csv"]
    fates = [isolate(read, eps=2.0, drop_missing=True).summary["columns"]["psurf"] for read in (inputs[:1], inputs)]
    assert fates[0] == fates[1] and "numbers in text" in fates[1]["why"]


def test_what_published_labels_writes_is_no_feature():
    table = PLAIN.rename(columns={"xco2": "slope", "albedo": "intercept", "psurf": "amplitude"}).assign(
        sigma=RNG.normal(5, 1, N), delta=RNG.normal(2, 1, N), R=RNG.normal(0.5, 0.1, N))
    both = table.join(published_labels(table).drop(columns="isolated"))
    result = isolate(both)
    assert result.matrix.features == ["slope", "intercept", "amplitude", "sigma", "delta", "R"]
    asked = isolate(both, features=["sigma", "outlier_score_lof_only_gaussian_param"])
    assert asked.matrix.features == ["sigma", "outlier_score_lof_only_gaussian_param"]
