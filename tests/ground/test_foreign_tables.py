"""Tables of polars, Arrow and xarray give the results of pandas, to the bit, and their ids stay exact.

Every test takes the table through pyarrow, whose kinds (text views, categories, times with a zone) are those that
polars hands over; where polars is installed, through polars as well.
"""

import datetime
import warnings

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from oco2_outliers.explorer import explore
from oco2_outliers.ground.errors import InputError
from oco2_outliers.ground.foreign_tables import is_foreign, plain_table
from oco2_outliers.ground.work import progress_bar  # noqa: F401 - tqdm warns when it is first imported in a test
from oco2_outliers.isolation.evaluating import evaluate
from oco2_outliers.isolation.features import feature_matrix
from oco2_outliers.links.comparing import compare
from oco2_outliers.main_job import isolate
from oco2_outliers.peaks import find_peaks
from oco2_outliers.series import as_series, judge
from oco2_outliers.soundings import read_lite, simulate_granule, write_lite

IDS = [2**53 + 1, 2**63 - 1, 2018082505140535]


class Speaks:
    """A frame of some library: all that is known of it is that it hands over its columns."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


def by_arrow(frame):
    """A table of pandas in the kinds that polars hands over."""
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    for place, (name, kind) in enumerate(zip(table.column_names, table.schema.types)):
        if pa.types.is_large_string(kind) or pa.types.is_string(kind):
            table = table.set_column(place, name, table.column(place).cast(pa.string_view()))
    return Speaks(table)


def by_polars(frame):
    polars = pytest.importorskip("polars", reason="no polars; other test: the same one by_arrow")
    return polars.DataFrame(frame)


def by_xarray(frame):
    return xr.Dataset({name: ("row", frame[name].to_numpy()) for name in frame})


WAYS = [by_arrow, by_polars, by_xarray]


@pytest.fixture(scope="module")
def soundings():
    return simulate_granule(3, n_seconds=60)[0].reset_index(drop=True)


def same(a, b):
    """Whether two tables hold the same to the bit; kinds of text and resolutions of times aside."""
    assert list(a) == list(b) and len(a) == len(b)
    for name in a:
        if a[name].dtype.kind in "fiu":
            assert a[name].dtype == b[name].dtype, name
            assert np.array_equal(a[name].to_numpy().view("u1"), b[name].to_numpy().view("u1")), name
        else:
            assert a[name].astype(object).where(a[name].notna(), None).tolist() == \
                b[name].astype(object).where(b[name].notna(), None).tolist(), name
    return True


# ---------------------------------------------------------------- every door


@pytest.mark.parametrize("way", WAYS)
def test_isolate(soundings, way):
    assert same(isolate(way(soundings)).table, isolate(soundings).table)
    both = isolate([way(soundings), soundings])
    assert same(both.table, isolate([soundings.copy(), soundings]).table)
    twice = way(soundings)
    assert len(isolate([twice, twice]).table) == len(isolate([soundings, soundings]).table)


@pytest.mark.parametrize("way", WAYS)
def test_find_peaks(soundings, way):
    kept, mine = find_peaks(soundings, n_surrogates=39), find_peaks(way(soundings), n_surrogates=39)
    assert same(mine.peaks.drop(columns="source", errors="ignore"), kept.peaks.drop(columns="source", errors="ignore"))


@pytest.mark.parametrize(("way", "zone"), [*((way, None) for way in WAYS), (by_arrow, "Europe/Paris"),
                                           (by_polars, "Europe/Paris")])  # xarray keeps no zones
def test_judge(way, zone):
    times = pd.date_range("2013-03-01", periods=600, freq="1h", tz=zone)
    flow = np.sin(np.arange(600) * 2 * np.pi / 24) + np.random.default_rng(0).normal(0, 0.1, 600)
    flow[300:310] = 9.0
    table = pd.DataFrame({"time": times, "flow": flow, "site": "bridge"})
    kept, mine = as_series(table), as_series(way(table))
    assert same(mine.table.drop(columns="time"), kept.table.drop(columns="time"))
    assert (mine.table["time"] == kept.table["time"]).all() and mine.notes == kept.notes
    if zone is None:
        found = judge(way(table), "energy", n_surrogates=5, bar=False)
        assert same(found.points.drop(columns="time"),
                    judge(table, "energy", n_surrogates=5, bar=False).points.drop(columns="time"))


@pytest.mark.parametrize("way", WAYS)
def test_evaluate_compare_and_features(soundings, way):
    found = isolate(soundings).table
    bad = pd.DataFrame({"sounding_id": found["sounding_id"], "label": np.arange(len(found)) % 50 == 0})
    scores = found[["sounding_id", "score"]]
    assert str(evaluate(way(scores), way(bad))) == str(evaluate(scores, bad))
    few = found[["sounding_id", "score", "outlier", "reason"]]
    assert str(compare(way(few), few)) == str(compare(few, few))
    columns = soundings[["xco2", "xco2_uncertainty"]]
    assert same(feature_matrix(way(columns)).X, feature_matrix(columns).X)


# ---------------------------------------------------------------- what is hard to keep


@pytest.mark.parametrize("way", WAYS)
def test_ids_stay_exact(way):
    frame = pd.DataFrame({"sounding_id": IDS * 20, "xco2": np.linspace(400, 402, 60)})
    assert isolate(way(frame.assign(sounding_id=np.arange(60) + 2**53 + 1))).table["sounding_id"].tolist() == [
        *range(2**53 + 1, 2**53 + 61)]
    assert plain_table(way(frame))["sounding_id"].tolist() == IDS * 20


@settings(max_examples=30)
@given(st.lists(st.tuples(st.none() | st.integers(-2**63, 2**63 - 1), st.none() | st.integers(0, 2**64 - 1),
                          st.none() | st.floats(), st.none() | st.text(max_size=5), st.none() | st.booleans(),
                          st.none() | st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2200, 1, 1))),
                min_size=1, max_size=20))
def test_every_value_of_arrow_comes_as_it_is(rows):
    kinds = [pa.int64(), pa.uint64(), pa.float64(), pa.string_view(), pa.bool_(), pa.timestamp("us", "UTC")]
    table = pa.table([pa.array(values, kind) for values, kind in zip(zip(*rows), kinds)], names=list("abcdef"))
    plain = plain_table(Speaks(table))
    for name, values in zip("abdef", [table.column(name).to_pylist() for name in "abdef"]):
        known = plain[name].astype(object).where(plain[name].notna(), None).tolist()
        if name == "f":
            known = [None if value is None else value.to_pydatetime() for value in known]
        assert known == values, name
    kept = np.array([np.nan if value is None else value for value in table.column("c").to_pylist()], float)
    assert np.array_equal(plain["c"].to_numpy(float), kept, equal_nan=True)


@pytest.mark.parametrize("empty", [pa.table({"a": pa.array([], pa.int64())}), xr.Dataset({"a": ("x", np.empty(0))})])
def test_a_table_without_rows_is_refused_as_that_of_pandas_is(empty):
    with pytest.raises(InputError) as own:
        isolate(pd.DataFrame({"a": np.empty(0)}))
    with pytest.raises(InputError) as error:
        isolate(empty)
    assert str(error.value) == str(own.value)


def test_what_was_not_used_of_a_dataset_is_told(soundings):
    dataset = by_xarray(soundings).assign(profile=(("row", "levels"), np.ones((len(soundings), 20))), orbit=7)
    found = isolate(dataset)
    told = found.summary["inputs"][0]["left_out"]
    shape = f"shape ({len(soundings)}, 20), not one value per row"
    assert told == {"profile": shape, "orbit": "one value for all rows"}
    assert any("no columns, so not read: orbit, profile" in note for note in found.notes)
    series = as_series(xr.Dataset({"flow": ("time", np.arange(5.0)), "image": (("time", "x"), np.ones((5, 2)))},
                                  {"time": pd.date_range("2020", periods=5, freq="1h")}))
    assert "columns not read as channels: image" in series.notes


def test_a_lite_file_through_xarray(tmp_path, soundings):
    from oco2_outliers.soundings import read_lite, write_lite

    write_lite(soundings, tmp_path / "granule.nc4")
    with xr.open_dataset(tmp_path / "granule.nc4", mask_and_scale=False, decode_times=False) as dataset:
        plain = plain_table(dataset)
    lite = read_lite(tmp_path / "granule.nc4")
    assert plain["sounding_id"].tolist() == lite["sounding_id"].tolist()
    assert plain["xco2"].to_numpy(np.float64).tolist() == lite["xco2"].to_numpy(np.float64).tolist()


def test_ids_that_xarray_made_floats_are_refused():
    dataset = xr.Dataset({"sounding_id": ("row", np.array(IDS * 20, float)), "xco2": ("row", np.linspace(0, 1, 60))})
    with pytest.raises(InputError, match="sounding_id"):
        isolate(dataset)


# ---------------------------------------------------------------- what is refused


@pytest.mark.parametrize("column", [pa.array([[1]]), pa.array([{"a": 1}]), pa.array([b"x"]),
                                    pa.array([datetime.time(1)]), pa.array([1]).cast(pa.decimal128(20))])
@pytest.mark.parametrize("call", [isolate, find_peaks, judge])
def test_a_kind_that_is_not_handled_is_named(column, call):
    with pytest.raises(InputError, match=r"the column 'odd' holds .*, which is not read: ") as error:
        call(Speaks(pa.table({"xco2": [1.0], "odd": column})))
    assert "\n" not in str(error.value)


def test_polars_by_its_own_kinds():
    polars = pytest.importorskip("polars", reason="no polars; other test: test_every_value_of_arrow_comes_as_it_is")
    frame = polars.DataFrame({"sounding_id": [*IDS, None], "when": [datetime.datetime(2018, 1, 1)] * 4,
                              "site": polars.Series(["a", None, "", "b"], dtype=polars.Categorical)})
    frame = frame.with_columns(polars.col("when").dt.replace_time_zone("Europe/Paris"))
    plain = plain_table(frame)
    assert plain["sounding_id"].tolist()[:3] == IDS and plain["sounding_id"].isna()[3]
    assert plain["site"].tolist()[::2] == ["a", ""] and str(plain["when"].dt.tz) == "Europe/Paris"
    for wrong, words in ((frame.lazy(), r"\.collect\(\)"), (frame["site"], "not taken as a table"),
                         (polars.DataFrame({"a": [[1]]}), "a column of its own")):
        with pytest.raises(InputError, match=words):
            isolate(wrong)
    assert polars.DataFrame(plain)["sounding_id"].to_list() == [*IDS, None]


def test_what_is_no_table_is_left_to_who_asked():
    for other in (None, 3, "a.csv", [1], {"a": 1}, np.ones(3), pd.DataFrame(), pa.Table, xr.Dataset):
        assert not is_foreign(other) and plain_table(other) is other


def test_nothing_warns(soundings):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain_table(by_arrow(soundings))
        plain_table(by_xarray(soundings))


def test_a_table_whose_numbers_pandas_keeps_in_arrow_gives_the_same(tmp_path):
    granule = simulate_granule(0, n_seconds=20)[0]
    arrow = granule.convert_dtypes(dtype_backend="pyarrow")
    result, other = isolate(granule), isolate(arrow)
    assert (other.table["score"].to_numpy(float) == result.table["score"].to_numpy(float)).all()
    write_lite(arrow, tmp_path / "a.nc4")
    back = read_lite(tmp_path / "a.nc4")
    assert all((back[name] == granule[name]).all() for name in ("sounding_id", "time", "xco2"))
    explore(result.table.convert_dtypes(dtype_backend="pyarrow"), tmp_path / "a.html")
    assert (tmp_path / "a.html").exists()
