"""Plan, manifest and parts agree, or the difference is said; what anyone wrote into a run folder is one line."""

import json
import os
from pathlib import Path

import pandas as pd
import pytest

from oco2_outliers.cli import main
from oco2_outliers.ground.errors import InputError
from oco2_outliers.runs.folder import Manifest, RunFolder
from oco2_outliers.scale import combine, map_files


@pytest.fixture
def run(tmp_path):
    """The folder of a finished run of three files."""
    folder = tmp_path / "in"
    folder.mkdir()
    for k, name in enumerate("abc"):
        (folder / f"{name}.csv").write_text(f"sounding_id,xco2\n201907151832267{k},400.5\n")
    map_files(folder, "convert", out=tmp_path / "out")
    return tmp_path / "out"


def again(run):
    return map_files(run.parent / "in", "convert", out=run)


def lines(run):
    return (run / "manifest.jsonl").read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("cut", ["half a line", "all lines but one", "another version's line"])
def test_a_torn_manifest_is_an_error_and_never_a_missing_file(run, cut, capsys):
    all_lines = lines(run)
    other = json.loads(all_lines[-1])
    other["rows_of_part"] = other.pop("rows")
    left = {"half a line": [*all_lines[:2], all_lines[2][:40]], "all lines but one": all_lines[:1],
            "another version's line": [*all_lines[:2], json.dumps(other).encode() + b"\n"]}[cut]
    (run / "manifest.jsonl").write_bytes(b"".join(left))
    assert main(["combine", str(run)]) == 2
    said = capsys.readouterr().err
    assert "no line in the manifest, such as" in said and ".csv" in said and said.count("\n") == 1
    assert not (run / "combined.parquet").exists()
    made = combine(run, partial=True)
    assert made.rows == (1 if cut == "all lines but one" else 2) and "no line in the manifest" in str(made)
    assert main(["combine", str(run), "--partial"]) == 0
    again(run)
    assert combine(run).rows == 3


def test_a_part_that_is_gone_is_an_error_too(run):
    next((run / "parts").iterdir()).unlink()
    with pytest.raises(InputError, match="1 line has no part"):
        combine(run)
    assert combine(run, partial=True).rows == 2
    again(run)
    assert combine(run).rows == 3 and combine(run).notes == []


def test_no_part_at_all_is_an_error_even_where_what_is_there_is_asked_for(run):
    for part in (run / "parts").iterdir():
        part.unlink()
    with pytest.raises(InputError, match="no part is there .3 lines have no part"):
        combine(run, partial=True)
    assert not (run / "combined.parquet").exists()


@pytest.mark.parametrize("wrong", [-1, 1.5, True, "3", 10**30])
def test_how_many_to_keep_is_a_whole_number(run, wrong):
    with pytest.raises(InputError, match="top must be a whole number"):
        combine(run, top=wrong)


@pytest.mark.parametrize(("settings", "why"), [({"features": []}, "features is an empty list"),
                                               ({"min_samples": 10**30}, "min_samples must be a whole number"),
                                               ({"min_samples": True}, "min_samples must be a whole number")])
def test_settings_of_a_run_are_refused_before_it_begins(run, settings, why):
    with pytest.raises(InputError, match=why):
        map_files(run.parent / "in", "isolate", out=run.parent / "other", parameters=settings)
    assert not (run.parent / "other").exists()


def test_a_part_of_nobody_and_a_line_of_nobody_are_said(run):
    (run / "parts" / ("f" * 32 + ".parquet")).write_bytes(b"x")
    line = json.loads(lines(run)[0]) | {"key": "e" * 32, "name": "never asked for"}
    (run / "manifest" / ("e" * 32 + ".json")).write_text(json.dumps(line))
    with pytest.raises(InputError, match=r"1 line is of a file that was not planned.*1 part has no line"):
        combine(run)


def test_a_lost_plan_is_said_and_the_next_run_writes_another(run):
    for text in (None, "", "{}", "[" * 100_000):
        (run / "plan.json").unlink() if text is None else (run / "plan.json").write_text(text)
        with pytest.raises(InputError, match=r"plan.json (is missing|cannot be read), so nobody knows"):
            combine(run)
        assert "plan.json" in again(run).notes[0]
        assert combine(run).rows == 3


def test_a_run_that_was_stopped_is_not_combined_as_if_it_were_whole(tmp_path, monkeypatch):
    (tmp_path / "in").mkdir()
    for name in "ab":
        (tmp_path / "in" / f"{name}.csv").write_text("xco2\n1\n")

    def stopped(unit):
        if "b.csv" in unit.name:
            raise KeyboardInterrupt
        return unit.table()

    with pytest.raises(KeyboardInterrupt):
        map_files(tmp_path / "in", stopped, out=tmp_path / "out")
    with pytest.raises(InputError, match=r"1 planned file has no line in the manifest, such as .*b\.csv"):
        combine(tmp_path / "out")


def test_failed_files_are_named_beside_the_table(run):
    (run.parent / "in" / "b.csv").write_bytes(b"")
    assert again(run).exit_code == 1
    made = combine(run)
    assert made.rows == 2 and "1 file failed and is not in the table (see failures.csv), such as" in str(made)


HOSTILE = {"empty": b"", "cut": b'{"package": "oco2_out', "list": b"[]", "number": b"7", "null": b"null",
           "not UTF-8": b"\xff\xfe{}", "UTF-16": '{"package": 1}'.encode("utf-16"), "deep": b'{"a":' * 100_000,
           "deep list": b"[" * 100_000, "huge number": b'{"package": ' + b"9" * 5000 + b"}", "NaN": b'{"rows": NaN}',
           "other types": b'{"package": "oco2_outliers", "task": ["peaks"], "parameters": 3, "each": null}',
           "another version": b'{"package": "oco2_outliers", "task": "convert", "parameters": {}, "each": "file", '
                              b'"scope": "", "scale": "", "format": 2}'}


def test_a_spoilt_run_json_is_one_line(run, capsys):
    command = ["run", "convert", str(run.parent / "in"), "--out", str(run)]
    for kind, text in HOSTILE.items():
        (run / "run.json").write_bytes(text)
        for each in [command] if kind == "another version" else [command, ["combine", str(run)]]:
            assert main(each) == 2, kind
            said = capsys.readouterr().err
            assert said.count("\n") == 1 and "Traceback" not in said and "--no-resume" in said, kind
    assert main([*command, "--no-resume"]) == 0


def test_spoilt_lines_do_not_count_and_are_done_again(run):
    whole = lines(run)
    changes = [{"rows": "1"}, {"rows": -1}, {"rows": True}, {"part": 5}, {"part": {"bytes": 1}}, {"inputs": []},
               {"inputs": [{}]}, {"counts": [1]}, {"seconds": None}, {"fingerprint": 7}, {"error": 3}, {"name": None}]
    spoilt = [*HOSTILE.values(), *(json.dumps(json.loads(whole[0]) | change).encode() for change in changes)]
    for line in spoilt:
        (run / "manifest.jsonl").write_bytes(line.replace(b"\n", b" ") + b"\n" + b"".join(whole[1:]))
        assert len(Manifest(RunFolder(run)).done()) == 2, line[:100]
    with pytest.raises(InputError, match="1 planned file has no line"):
        combine(run)
    assert again(run).n_done == 1 and combine(run).rows == 3


def test_peaks_without_their_settings_are_one_line(run):
    for parameters in ({}, {"alpha": None}, {"alpha": "x"}, {"alpha": [1]}):
        described = json.loads((run / "run.json").read_text()) | {"task": "peaks", "parameters": parameters}
        (run / "run.json").write_text(json.dumps(described))
        with pytest.raises(InputError, match="does not say alpha"):
            combine(run)


def test_a_line_goes_to_the_disk_after_what_it_tells_of(tmp_path, monkeypatch):
    seen = []
    real_sync, real_replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda n: (seen.append(("sync", os.readlink(f"/proc/self/fd/{n}"))),
                                                real_sync(n))[1])
    monkeypatch.setattr(os, "replace", lambda a, b: (seen.append(("name", str(b))), real_replace(a, b))[1])
    (tmp_path / "a.csv").write_text("xco2\n1\n")
    out = tmp_path / "out"
    map_files(tmp_path / "a.csv", "convert", out=out)
    what = [(kind, "part" if "/parts/" in name else "line" if "/manifest/" in name else Path(name).name)
            for kind, name in seen]
    folders = {place: what.index(("sync", place)) for place in ("parts", "manifest", "out")}
    part, line = what.index(("name", "part")), what.index(("name", "line"))
    assert max(folders.values()) < part < line
    assert what[part - 1] == ("sync", "part") and what[part + 1] == ("sync", "parts")
    assert what[line - 1] == ("sync", "line") and what[line + 1] == ("sync", "manifest")
    assert what.index(("name", "plan.json")) < part and what.index(("name", "run.json")) < part
    assert pd.read_parquet(next((out / "parts").iterdir())).shape == (1, 1)
