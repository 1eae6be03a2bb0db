"""An input that changes while a run reads it is refused, never mixed."""

import os
from pathlib import Path

import fsspec
import numpy as np
import pandas as pd
import pytest

from oco2_outliers.cli import main
from oco2_outliers.ground import addresses
from oco2_outliers.ground.addresses import ChangedInput, fetch, list_files
from oco2_outliers.image_forest import ImageForest, simulate_pictures
from oco2_outliers.runs import running
from oco2_outliers.scale import combine, map_files

SAID = "changed while being read, run again"


def table_of(seed, rows=40):
    """Rows whose text has the same length whatever the seed."""
    values = np.random.default_rng(seed).integers(100_000, 999_999, (rows, 2)) / 1000
    lines = [f"{2019071518320001 + 10 * k},7,{a:.3f},{b:.3f}" for k, (a, b) in enumerate(values)]
    return "sounding_id,orbit,xco2,albedo\n" + "\n".join(lines) + "\n"


@pytest.fixture
def two(tmp_path):
    (tmp_path / "in").mkdir()
    for seed, name in enumerate("ab"):
        (tmp_path / "in" / f"{name}.csv").write_text(table_of(seed))
    return tmp_path / "in"


def rewrite(path, keep_time):
    """Other rows of the same size, with another time of change or with the same."""
    before = os.stat(path)
    Path(path).write_text(table_of(99))
    assert os.stat(path).st_size == before.st_size
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + (0 if keep_time else 5_000_000)))


@pytest.mark.parametrize("keep_time", [False, True])
@pytest.mark.parametrize("scope", ["file", "all"])
def test_scale_and_rows_are_of_the_same_bytes(two, tmp_path, monkeypatch, capsys, scope, keep_time):
    real = running.find_scaling

    def then_changed(*args):
        found = real(*args)
        rewrite(two / "b.csv", keep_time)
        return found

    command = ["run", "isolate", str(two), "--out", str(tmp_path / "out"), "--scope", scope, "--scale-over", "run"]
    monkeypatch.setattr(running, "find_scaling", then_changed)
    assert main(command) == 2
    said = capsys.readouterr().err
    assert f"b.csv {SAID}" in said and said.count("\n") == 1
    assert not any("b.csv" in line for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines())
    monkeypatch.setattr(running, "find_scaling", real)
    assert main(command) == 0
    map_files(two, "isolate", out=tmp_path / "fresh", scope=scope, scale_over="run")
    one, other = (combine(tmp_path / name) and pd.read_parquet(tmp_path / name / "combined.parquet")
                  for name in ("out", "fresh"))
    pd.testing.assert_frame_equal(one, other)


def spoil_the_next(unit):
    """A task that changes the other file."""
    if unit.name.endswith("a.csv"):
        rewrite(unit.name.replace("a.csv", "b.csv"), keep_time=False)
    return unit.table()


def test_a_file_that_changes_before_its_turn_is_listed_and_done_the_next_time(two, tmp_path):
    result = map_files(two, spoil_the_next, out=tmp_path / "out")
    assert result.failures["error"].tolist() == [f"{two / 'b.csv'} {SAID}"] and result.exit_code == 1
    assert combine(tmp_path / "out").rows == 40
    assert map_files(two, spoil_the_next, out=tmp_path / "out").exit_code == 0


@pytest.mark.parametrize("writer", ["in place", "appended"])
def test_a_file_that_changes_under_the_reader(two, monkeypatch, writer):
    (file, _), real = list_files(two), os.fstat
    calls = []

    def fstat(number):
        if calls:  # between the bytes and the second look
            Path(file.name).write_text(table_of(5) if writer == "in place" else table_of(0) + "1,7,1,1\n")
        calls.append(number)
        return real(number)

    monkeypatch.setattr(addresses.os, "fstat", fstat)
    with pytest.raises(ChangedInput, match=SAID):
        fetch(file)


def test_an_object_that_changes_under_the_reader(monkeypatch):
    fs = fsspec.filesystem("memory")
    fs.pipe_file("/changing/a.csv", b"x\n1\n")
    (file,) = list_files("memory://changing/a.csv")
    assert fetch(file) == b"x\n1\n"
    real = type(fs).cat_file

    def cat_file(self, path, **more):
        data = real(self, path, **more)
        self.pipe_file(path, b"x\n2\n")
        return data

    monkeypatch.setattr(type(fs), "cat_file", cat_file)
    with pytest.raises(ChangedInput, match=SAID):
        fetch(file)
    fs.rm("/changing", recursive=True)


def test_pictures_that_change_between_hash_and_decoding(tmp_path, monkeypatch):
    simulate_pictures(tmp_path / "in", n_pictures=6)
    real = ImageForest.read_rows

    def read_rows(self, paths):
        rows = real(self, paths)
        Path(paths[0]).write_bytes(Path(paths[1]).read_bytes())
        return rows

    monkeypatch.setattr(ImageForest, "read_rows", read_rows)
    result = map_files(tmp_path / "in", "images", out=tmp_path / "out")
    assert SAID in result.failures["error"][0]
    monkeypatch.undo()
    assert map_files(tmp_path / "in", "images", out=tmp_path / "out").exit_code == 0
