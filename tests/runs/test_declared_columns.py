"""Parts of one task have the same columns, also the empty ones; combine brings mixed parts together."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from oco2_outliers.ground.errors import InputError
from oco2_outliers.image_forest import simulate_pictures
from oco2_outliers.runs import ready_tasks
from oco2_outliers.runs.columns import with_declared
from oco2_outliers.runs.tasks import TASKS
from oco2_outliers.scale import combine, map_files
from oco2_outliers.series import simulate_series
from oco2_outliers.soundings import simulate_granule, write_lite

HEAD = "sounding_id,time,latitude,longitude,xco2,albedo_o2a\n"


def schemas(out):
    """The columns of every part, by the name of its file."""
    lines = [json.loads(line) for line in Path(out, "manifest.jsonl").read_text("utf-8").splitlines()]
    assert not [line for line in lines if "error" in line]
    return {Path(line["name"]).name: pq.read_schema(Path(out, "parts", f"{line['key']}.parquet")).remove_metadata()
            for line in lines}


def soundings_in(folder, kind, seconds=10):
    """Files without soundings, and of the mixed kind some with, one of them without times."""
    folder.mkdir()
    some = simulate_granule(0, n_seconds=seconds).soundings
    few = simulate_granule(1, 3).soundings.drop(columns="time")
    if kind != "empty":
        write_lite(some, folder / "a.nc4")
        few.to_csv(folder / "b.csv", index=False)
    write_lite(some.head(0), folder / "c.nc4")
    (folder / "d.csv").write_text(HEAD)
    return folder


@pytest.mark.parametrize("kind", ["mixed", "empty"])
@pytest.mark.parametrize("task", [name for name in TASKS if TASKS[name].each == "file" and name != "series"])
def test_every_task_of_soundings_combines_mixed_and_empty_parts(tmp_path, task, kind):
    settings = {"n_surrogates": 39} if task == "peaks" else {"drop_missing": True} if task == "isolate" else {}
    seconds = 240 if task == "peaks" and kind == "mixed" else 10  # as long as it takes to cross the plume
    map_files(soundings_in(tmp_path / "in", kind, seconds), task, out=tmp_path / "out", parameters=settings)
    declared = TASKS[task].declared_columns()
    expected = with_declared(pd.DataFrame(), declared)
    for schema in schemas(tmp_path / "out").values():
        for name in declared.always:
            assert schema.field(name).type == pa.Array.from_pandas(expected[name]).type
        for name in set(declared.known) & set(schema.names):
            assert schema.field(name).type in (pa.Array.from_pandas(with_declared(
                pd.DataFrame({name: []}), declared)[name]).type, pa.float32(), pa.string())
    if task == "peaks":
        assert len(set(schemas(tmp_path / "out").values())) == 1
        assert list(schemas(tmp_path / "out")["c.nc4"].names) == list(ready_tasks.PEAKS.always)
    made = combine(tmp_path / "out")
    table = pd.read_parquet(tmp_path / "out" / "combined.parquet")
    assert len(table) == made.rows and set(declared.always) <= set(table)
    assert (made.rows > 0) == (kind == "mixed")


@pytest.mark.parametrize("kind", ["mixed", "short"])
def test_sensors_combine_with_files_of_too_few_readings(tmp_path, kind):
    (tmp_path / "in").mkdir()
    table = simulate_series(days=3, step="15 min", faults=[]).drop(columns="fault")
    for name, rows in (("a", table), ("b", table.head(1)), ("c", table[table["channel"] == "level"].head(3))):
        if kind == "mixed" or name != "a":
            rows.to_csv(tmp_path / "in" / f"{name}.csv", index=False)
    map_files(tmp_path / "in", "series", out=tmp_path / "out", parameters={"calibrate": "none"})
    assert len(set(schemas(tmp_path / "out").values())) == 1
    assert set(TASKS["series"].declared_columns().always) <= set(next(iter(schemas(tmp_path / "out").values())).names)
    made = combine(tmp_path / "out")
    rows = len(pd.read_parquet(tmp_path / "out" / "combined.parquet"))
    assert made.rows == rows == 4 + len(table) * (kind == "mixed")


@pytest.mark.parametrize("kind", ["mixed", "empty"])
def test_pictures_combine_with_folders_of_none_that_can_be_read(tmp_path, kind):
    if kind == "mixed":
        simulate_pictures(tmp_path / "in" / "a", n_pictures=6)
    for name in ("b", "c"):
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "damaged.png").write_bytes(b"no picture")
    result = map_files(tmp_path / "in", "images", out=tmp_path / "out")
    if not len(result.manifest):
        with pytest.raises(InputError, match="nothing is done"):
            combine(tmp_path / "out")
        return
    assert combine(tmp_path / "out").rows == result.rows


def csv_files(folder, **texts):
    folder.mkdir()
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text)
    return folder


def converted(tmp_path, **texts):
    """The combined table of some CSV files."""
    map_files(csv_files(tmp_path / "in", **texts), "convert", out=tmp_path / "out")
    combine(tmp_path / "out")
    return pd.read_parquet(tmp_path / "out" / "combined.parquet")


def test_a_column_without_a_value_takes_the_type_of_the_other_parts(tmp_path):
    table = converted(tmp_path, a="x,note\n1,\n2,\n", b="x,note\n3,good\n", c="x,note\n")
    assert table["note"].tolist()[2:] == ["good"] and table["note"].isna().tolist() == [True, True, False]


def test_columns_that_no_table_can_hold_are_named_with_both_files(tmp_path):
    with pytest.raises(InputError, match=r"column 'note' is double in .*a\.csv and .*string in .*b\.csv"):
        converted(tmp_path, a="x,note\n1,0.5\n", b="x,note\n3,good\n")


def test_whole_numbers_are_not_rounded_into_another_parts_type(tmp_path):
    with pytest.raises(InputError, match=r"column 'n' is int64 in .*a\.csv and double in the whole"):
        converted(tmp_path, a=f"n\n{2**53 + 1}\n", b="n\n0.5\n")
    map_files(csv_files(tmp_path / "other", a="n\n7\n", b="n\n0.5\n"), "convert", out=tmp_path / "fits")
    assert combine(tmp_path / "fits").rows == 2


def test_a_score_of_text_is_not_counted(tmp_path):
    map_files(csv_files(tmp_path / "in", a="sounding_id,score,outlier\n2019071518322673,high,yes\n",
                        b="sounding_id,xco2\n2019081518322673,400.5\n"), "convert", out=tmp_path / "out")
    made = combine(tmp_path / "out")
    assert made.rows == 2 and made.monthly["month"].tolist() == ["2019-07", "2019-08"] and not len(made.top)


def table_of_types(unit):
    """A task of its own: no declared columns, another type in every unit."""
    kind = Path(unit.name).stem
    values = {"a": pd.Series([True, None], dtype=object), "b": pd.Series([None, None], dtype=object),
              "c": pd.Series([], dtype=np.float64)}[kind]
    return pd.DataFrame({"x": values, "name": kind})


def test_a_function_of_ones_own_combines_too(tmp_path):
    map_files(csv_files(tmp_path / "in", a="x\n1\n", b="x\n1\n", c="x\n1\n"), table_of_types, out=tmp_path / "out")
    assert combine(tmp_path / "out").rows == 4
    assert pq.read_schema(tmp_path / "out" / "combined.parquet").field("x").type == pa.bool_()


def test_real_files_of_a_month_with_and_without_peaks(shared_data, tmp_path):
    files = sorted((shared_data / "soundings" / "lite_v10r_ohio").glob("*.nc4"))[:12]
    map_files(files, "peaks", out=tmp_path / "out", parameters={"n_surrogates": 39})
    assert len(set(schemas(tmp_path / "out").values())) == 1
    combine(tmp_path / "out")
    assert str(pd.read_parquet(tmp_path / "out" / "combined.parquet")["time"].dtype) == "datetime64[ms, UTC]"


# ---------------------------------------------------------------- what only comes along

def stored(tmp_path, task, table, **settings):
    """The part of a table, and the report of its run."""
    tmp_path.mkdir(exist_ok=True)
    table.to_parquet(tmp_path / "in.parquet") if not isinstance(table, str) else None
    if isinstance(table, str):
        (tmp_path / "in.csv").write_text(table)
    result = map_files(tmp_path / f"in.{'csv' if isinstance(table, str) else 'parquet'}", task, out=tmp_path / "out",
                       **settings)
    assert not len(result.failures), result
    (part,) = (tmp_path / "out" / "parts").iterdir()
    return pd.read_parquet(part), str(result)


def rows(**more):
    rng = np.random.default_rng(0)
    return pd.DataFrame({"sounding_id": 2019071518322000 + np.arange(20), "xco2": 400 + rng.normal(size=20),
                         "albedo": rng.normal(size=20)} | more)


@pytest.mark.parametrize("settings", [{}, {"scope": "orbit"}, {"scale_over": "run"}, {"scope": "all"}], ids=str)
@pytest.mark.parametrize(("name", "value", "kind"), [
    ("time", 837153523.5, "times"), ("time", "last week", "times"), ("latitude", "far north", "numbers"),
    ("xco2_apriori", "unknown", "numbers")])
def test_a_known_column_that_is_not_judged_may_be_anything(tmp_path, settings, name, value, kind):
    part, said = stored(tmp_path, "isolate", rows(**{name: [value] * 20}), **settings)
    assert part[name].tolist() == [value] * 20 and part["score"].notna().all()
    assert f"no {kind}, stored as read: {name} (in 1 file)" in said


def test_seconds_as_time_and_words_as_latitude_are_converted_as_they_are(tmp_path):
    text = "xco2,time,latitude,site\n400.5,837153523.5,north,a\n401,837153524.5,51,b\n"
    part, said = stored(tmp_path, "convert", text)
    assert part["time"].tolist() == [837153523.5, 837153524.5] and part["latitude"].tolist() == ["north", "51"]
    assert "no numbers, stored as read: latitude (in 1 file)" in said and "no times, stored as read: time" in said


def test_only_what_is_judged_must_be_numbers(tmp_path):
    part, said = stored(tmp_path, "isolate", rows(xco2=["high"] * 20), parameters={"features": ["albedo"]})
    assert part["xco2"].tolist() == ["high"] * 20 and "no numbers, stored as read: xco2" in said
    rows(xco2=["high"] * 20).to_parquet(tmp_path / "b.parquet")
    result = map_files(tmp_path / "b.parquet", "isolate", out=tmp_path / "other")
    assert "column 'xco2' holds text" in result.failures["error"][0]


def odd_table(unit):
    """A task whose table holds what no Parquet file can."""
    return pd.DataFrame({"mixed": [1, "A12", {"a": 1}], "wave": [1 + 2j] * 3, "about": [{}] * 3,
                         "large": [2**70, 1, None], "lists": [[1], ["a"], None], "name": unit.name,
                         "byte": pd.Series(["b\udcff", "c", None], dtype=object)})


def test_columns_that_parquet_cannot_hold_are_text_and_said(tmp_path):
    part, said = stored(tmp_path, odd_table, "x\n1\n")
    assert part["mixed"].tolist() == ["1", "A12", '{"a": 1}'] and part["about"].tolist() == ["{}"] * 3
    assert part["wave"][0] == "(1+2j)" and part["large"][0] == str(2**70) and part["lists"][1] == '["a"]'
    assert part["byte"][0] == "b\\udcff"
    names = ("mixed", "wave", "about", "large", "lists", "byte")
    assert "mixed kinds, stored as text: " + ", ".join(f"{name} (in 1 file)" for name in names) in said
    (tmp_path / "j").mkdir()
    (tmp_path / "j" / "in.json").write_text('[{"xco2": 400.5, "site": 5}, {"xco2": 401, "site": "A12"}]')
    assert not len(map_files(tmp_path / "j", "convert", out=tmp_path / "json").failures)


@pytest.mark.parametrize("task", ["convert", "isolate", "peaks"])
def test_a_header_alone_has_types_and_no_say(tmp_path, task):
    header = "sounding_id,time,latitude,xco2,albedo,site,orbit\n"
    settings = {"parameters": {"n_surrogates": 39}} if task == "peaks" else {}
    map_files(csv_files(tmp_path / "in", h=header), task, out=tmp_path / "out", **settings)
    (schema,) = schemas(tmp_path / "out").values()
    assert not [field.name for field in schema if pa.types.is_null(field.type)]
    combine(tmp_path / "out")
    assert not [field.name for field in pq.read_schema(tmp_path / "out" / "combined.parquet")
                if pa.types.is_null(field.type)]


def test_a_header_alone_does_not_change_the_types_of_others(tmp_path):
    table = converted(tmp_path, a="sounding_id,xco2,site,orbit\n", b="sounding_id,xco2,site,orbit\n7,400.5,paris,5\n")
    assert table["site"].tolist() == ["paris"] and table["orbit"].dtype == np.int64
