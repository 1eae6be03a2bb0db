"""Units, inputs and requests of a run."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from layout import module_files
from many_files import everything
from scale_tasks import gives_nothing, one_row

from oco2_outliers.datasets import InputError
from oco2_outliers.ground.addresses import list_files
from oco2_outliers.image_forest import simulate_pictures, train_model
from oco2_outliers.runs import workers
from oco2_outliers.scale import map_files
from oco2_outliers.soundings import read_soundings, to_parquet


def test_units_are_files_orbits_or_folders(days, tmp_path):
    joined = pd.concat([read_soundings(days / f"day_00{k}.parquet") for k in range(3)], ignore_index=True)
    to_parquet(joined, tmp_path / "three.parquet")
    map_files(tmp_path / "three.parquet", one_row, out=tmp_path / "out", each="orbit")
    got = everything(tmp_path / "out")
    assert len(got) == 3 and got["rows"].sum() == len(joined) and got["orbit"].nunique() == 3
    simulate_pictures(tmp_path / "a", n_pictures=12, odd_kinds=["night"], random_state=0)
    simulate_pictures(tmp_path / "b", n_pictures=9, random_state=1)
    train_model(tmp_path / "b", tmp_path / "b.npz")
    for name, model in (("apart", {}), ("model", {"model": str(tmp_path / "b.npz")})):
        result = map_files([tmp_path / "a", tmp_path / "b"], "images", out=tmp_path / name, parameters=model)
        assert result.n_units == 2 and result.rows == len(list((tmp_path / "a").rglob("*.jpg"))) + \
            len(list((tmp_path / "b").rglob("*.jpg"))) or result.rows >= 21
        assert {"path", "score", "outlier", "reason"} <= set(everything(tmp_path / name))


def test_what_counts_as_input(days, tmp_path):
    one = tmp_path / "odd [name]*.parquet"
    shutil.copy(days / "day_000.parquet", one)
    assert [Path(f.name).name for f in list_files(one, None)] == [one.name]
    (tmp_path / "sub").mkdir()
    for name in ("sub/.hidden.csv", "_scratch.csv", "notes.txt", "sub/x.csv"):
        (tmp_path / name).write_text("a\n1\n")
    assert [Path(f.name).name for f in list_files(tmp_path, None)] == [one.name, "x.csv"]
    assert len(list_files([tmp_path, f"file://{tmp_path}/sub", one], None)) == 2
    for nothing in ("absent.csv", tmp_path / "*.nope", "swift://", " "):
        with pytest.raises((FileNotFoundError, InputError)):
            list_files(nothing, None)
    result = map_files(tmp_path, "convert", out=tmp_path / "out")
    assert map_files(tmp_path, "convert", out=tmp_path / "out").n_kept == result.n_units == 2


def test_the_line_of_a_run_counts_what_failed_and_names_what_is_bare(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    rows = "sounding_id,latitude,longitude,xco2\n"
    for k in range(4):
        (folder / f"good_{k}.csv").write_text(rows + "".join(f"{i},{i / 100},10,{400 + i % 3}\n" for i in range(1, 60)))
    for k in range(3):
        (folder / f"bad_{k}.csv").write_bytes(b"")
    (folder / "heading.csv").write_text(rows)
    for task in ("isolate", "convert", "peaks"):
        result = map_files(folder, task, out=tmp_path / task)
        assert f"{task}: 8 files, 5 done now, 3 failed, 0 there already; " in str(result), task
        assert (", 0 isolated (0.00%); " in str(result)) == (task == "isolate"), str(result)
        assert f"1 file without a row: {folder / 'heading.csv'}" in result.notes
        again = map_files(folder, task, out=tmp_path / task)
        assert f"{task}: 8 files, 0 done now, 3 failed, 5 there already; " in str(again), task
    none = map_files(folder / "good_0.csv", "convert", out=tmp_path / "none", parameters={"box": (-90, -80, -80, -70)})
    assert none.notes == [f"1 file without a row that was asked for: {folder / 'good_0.csv'}",
                          "left out 59 of 59 soundings, not among those asked for"]


def test_bad_requests_are_refused_in_one_line(days, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "_CONNECT", 1)
    for bad, match in (({"task": "wash"}, "no task"), ({"parameters": {"epsilon": 1}}, "no parameter 'epsilon'"),
                       ({"parameters": {"eps": "1,2"}}, "one eps"), ({"scope": "x"}, "scope must be"),
                       ({"parameters": {"min_samples": 0}}, "min_samples"), ({"jobs": -1}, "jobs must be"),
                       ({"task": lambda unit: None, "jobs": 2}, "define it in a module"),
                       ({"client": "tcp://127.0.0.1:1"}, "no Dask scheduler"), ({"each": "x"}, "each must be")):
        with pytest.raises(InputError, match=match):
            map_files(days, **({"task": "isolate", "out": tmp_path / "out"} | bad))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        map_files(days, "isolate", out=tmp_path / "file")
    result = map_files(days, "isolate", out=tmp_path / "few", parameters={"features": ["colour"]})
    assert result.exit_code == 1 and result.failures["error"].str.contains("no column 'colour'").all()


def test_nothing_of_a_run_is_unpickled():
    code = "".join(path.read_text("utf-8") for name, path in module_files().items()
                   if name.split(".")[0] in ("scale", "runs"))
    assert not re.search(r"pickle\.loads?\b|read_pickle|allow_pickle=True|joblib", code)


def test_a_task_gives_a_table_or_its_unit_fails(days, tmp_path):
    result = map_files(days / "day_000.parquet", gives_nothing, out=tmp_path / "out")
    assert "a task returns a DataFrame, not NoneType" in result.failures["error"][0]
