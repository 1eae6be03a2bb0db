"""A run goes on where it stopped: after changes, Ctrl-C, a killed coordinator, a full disk."""

import errno
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from layout import ROOT
from many_files import (
    alive,
    assert_same_parts,
    lines_of,
    lines_so_far,
    make_days,
    parts,
    parts_by_name,
    pooled,
    wait_for,
)
from scale_tasks import big_rows, noted_rows, one_row

from oco2_outliers.datasets import InputError
from oco2_outliers.runs import resuming, working
from oco2_outliers.runs.folder import RunFolder
from oco2_outliers.runs.locking import describe_myself, is_stale, locked
from oco2_outliers.scale import combine, map_files
from oco2_outliers.soundings import read_soundings, to_parquet

HERE = Path(__file__).resolve().parent  # of the tasks, which workers import


def run_cli(arguments, **kwargs):
    return subprocess.Popen([sys.executable, "-m", "oco2_outliers", "run", *map(str, arguments)], cwd=ROOT,
                            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **kwargs)


def test_a_second_run_does_only_what_is_missing_or_changed(own_days, tmp_path):
    log, out = tmp_path / "log", tmp_path / "out"

    def run():
        log.write_text("")
        result = map_files(own_days, noted_rows, out=out, parameters={"log": str(log)})
        return [line.split()[0] for line in log.read_text().splitlines()], result

    assert len(run()[0]) == 8
    before = parts(out)
    assert run()[0] == []
    table = read_soundings(own_days / "day_003.parquet")
    to_parquet(table.head(10), own_days / "day_003.parquet")  # other bytes
    os.utime(own_days / "day_004.parquet")  # the same bytes, another time
    done, result = run()
    assert done == ["day_003.parquet"] and result.n_kept == 7
    victim = next(Path(out, "parts").iterdir())
    victim.write_bytes(victim.read_bytes()[:-1] + b"\0")  # same size, other bytes
    assert len(run()[0]) == 1
    next(iter(sorted(Path(out, "parts").iterdir()))).unlink()
    assert len(run()[0]) == 1
    to_parquet(table, own_days / "day_003.parquet")
    assert run()[0] == ["day_003.parquet"] and parts(out) == before


def test_a_torn_or_foreign_manifest_line_does_not_count(days, tmp_path):
    map_files(days, one_row, out=tmp_path / "out")
    before = parts(tmp_path / "out")
    file = tmp_path / "out" / "manifest.jsonl"
    text = file.read_bytes()
    lines = text.splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]) + lines[-1][: len(lines[-1]) // 2])
    (tmp_path / "out" / "manifest" / "x.json").write_text('{"key": 3')
    assert map_files(days, one_row, out=tmp_path / "out").n_done == 1
    file.write_bytes(b'[1]\n{"key": "a"}\nnull\n\xff\xfe\n' + b'{"key": "k", "name": "n", "part": 5}\n' + text)
    assert map_files(days, one_row, out=tmp_path / "out").n_done == 0
    evil = {"key": "../../evil", "name": "evil", "rows": 1, "part": {"bytes": 1, "sha256": "0"}}
    file.write_bytes(json.dumps(evil).encode() + b"\n" + text)
    assert combine(tmp_path / "out").rows == 8 and parts(tmp_path / "out") == before
    next(Path(tmp_path, "out", "parts").iterdir()).write_bytes(b"PAR1")
    with pytest.raises(InputError, match="not as it was written"):
        combine(tmp_path / "out")


def test_another_version_does_the_work_again(days, tmp_path, monkeypatch):
    map_files(days, one_row, out=tmp_path / "out")
    for room in (working, resuming):
        monkeypatch.setattr(room, "VERSION", "999")
    assert map_files(days, one_row, out=tmp_path / "out").n_done == 8


def test_other_settings_into_the_same_folder_are_refused(days, tmp_path):
    out = tmp_path / "out"
    map_files(days, "isolate", out=out, scale="orbit")
    for more in ({"parameters": {"eps": 2}}, {"scope": "all"}, {}):
        with pytest.raises(InputError, match="other settings.*another --out"):
            map_files(days, "isolate", out=out, **more)
    with pytest.raises(InputError, match="task"):
        map_files(days, "convert", out=out)
    result = map_files(days, "isolate", out=out, resume=False, parameters={"eps": 2})
    assert result.n_done == 8 and len(parts(out)) == 8


@pytest.mark.heavy
def test_more_files_into_the_same_folder(days, tmp_path):
    files = sorted(days.iterdir())
    map_files(files[:3], "convert", out=tmp_path / "apart")
    assert map_files(files[3:], "convert", out=tmp_path / "apart").n_done == 5
    assert combine(tmp_path / "apart").rows == len(pooled(days))
    map_files(files[:3], "isolate", out=tmp_path / "together", scale_over="run")
    with pytest.raises(InputError, match="scale of the whole run"):
        map_files(files[3:], "isolate", out=tmp_path / "together", scale_over="run")
    assert map_files(files, "isolate", out=tmp_path / "together", scale_over="run").n_done == 8
    map_files(files[:3], "isolate", out=tmp_path / "by_file")
    assert map_files(files[3:], "isolate", out=tmp_path / "by_file").n_done == 5


def test_two_runs_at_once_are_refused(days, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    code = ("import time\n"
            "from oco2_outliers.runs.folder import RunFolder\n"
            "from oco2_outliers.runs.locking import locked\n"
            f"with locked(RunFolder({str(out)!r})): print('held', flush=True); time.sleep(600)")
    holder = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"in use by process {holder.pid}"):
            map_files(days, one_row, out=out)
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert (out / ".lock").exists(), "left by the dead, and in nobody's way"
    assert map_files(days, one_row, out=out).n_done == 8 and not (out / ".lock").exists()


def test_the_lock_of_an_object_store(days):
    out = RunFolder("memory://locked-run")
    with locked(out), pytest.raises(InputError, match="in use by process"), locked(out):
        pass
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    said = describe_myself()
    for who, stale in ((said | {"pid": dead.pid}, True), (said, False), (said | {"host": "else"}, False),
                       (said | {"host": "else", "renewed": time.time() - 3600}, True)):
        assert is_stale(json.dumps(who).encode()) == stale
    out.write(".lock", json.dumps(said | {"pid": dead.pid}).encode())
    assert map_files(days, one_row, out="memory://locked-run").n_done == 8
    assert out.read_or_none(".lock") is None


def test_the_coordinator_killed_and_the_run_resumed(days, in_one_go, tmp_path):
    log, out, gate = tmp_path / "log", tmp_path / "out", tmp_path / "gate"
    log.touch()
    settings = {"log": str(log), "gate": str(gate), "free": 2}
    code = (f"import sys; sys.path.insert(0, {str(HERE)!r}); from scale_tasks import noted_rows\n"
            "from oco2_outliers.scale import map_files\n"
            f"if __name__ == '__main__': map_files({str(days)!r}, noted_rows, out={str(out)!r}, jobs=2, "
            f"parameters={settings!r})")
    (tmp_path / "go.py").write_text(code)
    run = subprocess.Popen([sys.executable, str(tmp_path / "go.py")], cwd=ROOT,
                           env={**os.environ, "PYTHONPATH": str(ROOT)})
    wait_for(lambda: lines_so_far(out) == 2 and len(log.read_text().splitlines()) == 4)
    run.kill()
    run.wait()
    workers = {int(line.split()[1]) for line in log.read_text().splitlines()}
    wait_for(lambda: not any(map(alive, workers)))
    assert lines_so_far(out) == 2
    log.write_text("")
    gate.touch()
    result = map_files(days, noted_rows, out=out, parameters=settings)
    assert result.n_kept == 2 and len(log.read_text().splitlines()) == 6
    assert parts_by_name(out) == in_one_go and len(lines_of(out)) == len(parts(out)) == 8
    assert not list(out.rglob("*.part"))


def test_ctrl_c_leaves_a_resumable_state_and_says_so(tmp_path):
    # Many passes, so that a quick machine is not through before the key is pressed.
    files, out = make_days(tmp_path / "lite", 2, 200), tmp_path / "out"
    for copy in range(2, 30):
        shutil.copy(files / f"day_{copy % 2:03d}.parquet", files / f"day_{copy:03d}.parquet")
    run = run_cli(["isolate", files, "--out", out, "--scale", "orbit", "--jobs", "2"], start_new_session=True,
                  # Where the tests themselves run in the background a shell may have told them to ignore Ctrl-C.
                  preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    wait_for(lambda: lines_so_far(out))
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    said, complained = run.communicate(timeout=180)
    assert run.returncode == 130, complained
    lines = complained.strip().splitlines()
    assert len(lines) == 1 and re.search(r"stopped: \d+ of 30 files are done.*run the same command again", lines[0])
    kept = len(lines_of(out))
    assert 1 <= kept < 30 and not (out / ".lock").exists()
    done = {line["name"] for line in lines_of(out)}
    others = [path for path in sorted(files.iterdir()) if not any(path.name in name for name in done)][:2]
    again = [*(path for path in files.iterdir() if any(path.name in name for name in done)), *others]
    result = map_files(again, "isolate", out=out, scale="orbit")
    assert (result.n_kept, result.n_done, len(parts(out))) == (kept, len(others), kept + len(others))
    assert len(others) == min(2, 30 - kept)


def test_ctrl_c_just_after_a_line_was_written_does_not_lose_it(days, tmp_path, monkeypatch):
    write, out = RunFolder.write, tmp_path / "out"

    def interrupted(self, name, data, durable=False):
        write(self, name, data, durable)
        if name.startswith("manifest/") and lines_so_far(out) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "write", interrupted)
    with pytest.raises(KeyboardInterrupt, match="stopped: 3 of 8 files are done and safe"):
        map_files(days, one_row, out=out)
    monkeypatch.undo()
    assert len(lines_of(out)) == 3 and not lines_so_far(out)
    assert map_files(days, one_row, out=out).n_kept == 3


def limited(out, days):
    """A run that may write no file above 100 kB; the exit code of the command.

    It keeps no bytecode (-B): a file of it that is cut off would stop every later start.
    """
    code = (f"import resource, sys; sys.path.insert(0, {str(HERE)!r}); from scale_tasks import big_rows\n"
            "from oco2_outliers.scale import map_files\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
            "try:\n"
            f"    map_files({str(days)!r}, big_rows, out={str(out)!r})\n"
            "except OSError as error:\n"
            "    print(error.errno, error)\n")
    return subprocess.run([sys.executable, "-B", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_a_file_too_large_for_the_output_stops_the_run_and_leaves_no_scraps(days, tmp_path):
    done = limited(tmp_path / "out", days)
    assert done.stdout.startswith(str(errno.EFBIG)) and "run the same command again" in done.stdout, done.stderr
    assert done.stdout.count("\n") == 1
    assert parts(tmp_path / "out") == {} and not list((tmp_path / "out").rglob("*.part"))
    result = map_files(days, big_rows, out=tmp_path / "out")
    assert result.n_done == 8 and result.exit_code == 0


def test_a_full_disk_stops_the_run_and_more_room_lets_it_go_on(days, tmp_path, small_disk):
    disk, enlarge = small_disk
    with pytest.raises(OSError, match="cannot write to.*No space left.*run the same command again") as caught:
        map_files(days, big_rows, out=disk / "out")
    assert caught.value.errno == errno.ENOSPC
    assert len(lines_of(disk / "out")) == len(parts(disk / "out")) == 3, "what there is room for"
    enlarge()
    result = map_files(days, big_rows, out=disk / "out")
    assert (result.n_kept, result.n_done) == (3, 5)
    assert_same_parts(disk / "out", tmp_path / "here")


def test_parts_that_no_line_tells_of_do_not_keep_a_disk_full(days, tmp_path, small_disk):
    """Workers may fill the disk before the first line is written; the next run has the room that these parts took."""
    disk, enlarge = small_disk
    names = sorted(parts(tmp_path / "here"))[:3]
    map_files(days / "day_000.parquet", big_rows, out=disk / "out")
    for place in ("parts", "manifest"):
        for path in (disk / "out" / place).iterdir():
            path.unlink()
    (disk / "out" / "manifest.jsonl").unlink()
    for name in names:
        shutil.copy(tmp_path / "here" / "parts" / name, disk / "out" / "parts" / name)
    with pytest.raises(OSError, match="No space left"):
        map_files(days, big_rows, out=disk / "out")
    assert len(lines_of(disk / "out")) == 3
    enlarge()
    assert map_files(days, big_rows, out=disk / "out").n_kept == 3
    assert_same_parts(disk / "out", tmp_path / "here")
