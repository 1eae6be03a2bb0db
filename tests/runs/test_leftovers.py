"""What a stopped or killed process leaves is swept: at its own end, or by the next run of the same output."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from scale_tasks import half_written

from oco2_outliers.ground import files
from oco2_outliers.ground.files import MACHINE, scratch_folder, sweep_leftovers, whole_folder
from oco2_outliers.scale import map_files

ROOT = Path(__file__).parents[2]


def scraps(folder):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if files.is_temporary(path.name))


def dead_pid():
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def left_by(pid, folder, name="x", machine=MACHINE):
    """A folder that a process left half-written."""
    left = Path(folder, f".{name}.{machine}-{pid:x}-00000000.part")
    left.mkdir(parents=True)
    (left / "rows.npy").write_bytes(b"x")
    return left


WRITERS = {"folder": "whole_folder({out!r}, 'summary.json')", "scratch": "scratch_folder('oco2-pool')",
           "path": "whole_path({out!r} + '/a.csv')"}


@pytest.mark.parametrize("kind", WRITERS)
def test_what_a_killed_writer_leaves_goes_with_the_next_writer_of_the_same_output(tmp_path, monkeypatch, kind):
    out = tmp_path / "out"
    out.mkdir()
    call = WRITERS[kind].format(out=str(out))
    code = ("import time\nfrom pathlib import Path\nfrom oco2_outliers.ground.files import *\n"
            "from oco2_outliers.ground.files import scratch_folder, whole_folder, whole_path\n"
            f"with {call} as p:\n    (p / 'a' if p.is_dir() else p).write_text('half')\n"
            "    print('writing', flush=True)\n    time.sleep(600)\n")
    env = {**os.environ, "TMPDIR": str(out), "PYTHONPATH": str(ROOT)}
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=env)
    assert writer.stdout.readline() == "writing\n"
    assert len(scraps(out)) == 1 and sweep_leftovers(out) == [], "its writer lives"
    writer.kill()
    writer.wait()
    writer.stdout.close()
    monkeypatch.setattr(tempfile, "tempdir", str(out))
    with whole_folder(out) if kind != "scratch" else scratch_folder("another") as now:
        assert scraps(out) == [now.name]
    assert scraps(out) == []


def test_a_number_that_another_process_has_by_now_keeps_nothing(tmp_path):
    left = left_by(os.getpid(), tmp_path)
    assert sweep_leftovers(tmp_path) == []
    os.utime(left, (time.time() - 10_000_000,) * 2)  # before this machine's process of that number began
    assert sweep_leftovers(tmp_path) == [left.name]


def test_another_container_of_the_same_host_name_is_another_machine(tmp_path, monkeypatch):
    real = os.readlink
    monkeypatch.setattr(files.os, "readlink", lambda path, **more: "pid:[4026532999]" if path == "/proc/self/ns/pid"
                        else real(path, **more))
    assert files._numbering().endswith("pid:[4026532999]")
    monkeypatch.setattr(files.os, "readlink", lambda path, **more: "pid:[4026531836]")
    assert files._numbering() == files.socket.gethostname()
    left = left_by(dead_pid(), tmp_path, machine="0000" if MACHINE != "0000" else "0001")
    assert sweep_leftovers(tmp_path) == [] and left.exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_leaves_no_half_written_part_of_its_workers(tmp_path, number):
    (tmp_path / "in").mkdir()
    for name in "ab":
        (tmp_path / "in" / f"{name}.csv").write_text("xco2\n1\n")
    out = tmp_path / "out"
    code = ("import signal, sys\nfrom scale_tasks import half_written\nfrom oco2_outliers.scale import map_files\n"
            f"if __name__ == '__main__':\n    signal.signal(signal.SIGTERM, signal.default_int_handler)\n"
            f"    map_files({str(tmp_path / 'in')!r}, half_written, out={str(out)!r}, jobs=2)\n")
    (tmp_path / "go.py").write_text(code)
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}", "OCO2_TEST_PARTS": str(out / "parts")}
    run = subprocess.Popen([sys.executable, str(tmp_path / "go.py")], env=env, stderr=subprocess.PIPE, text=True)
    end = time.monotonic() + 120
    while not (out / "begun").exists():
        assert time.monotonic() < end and run.poll() is None
        time.sleep(0.05)
    run.send_signal(number)
    assert "are done and safe" in run.communicate(timeout=60)[1]
    assert scraps(out) == [] and not (out / ".lock").exists()
    (tmp_path / "in" / "b.csv").unlink()
    assert map_files(tmp_path / "in", "convert", out=out, resume=False).exit_code == 0


def test_half_written_parts_go_however_a_run_ends(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_text("xco2\n1\n")
    out = tmp_path / "out"
    monkeypatch.setenv("OCO2_TEST_PARTS", str(out / "parts"))
    monkeypatch.setattr(time, "sleep", lambda seconds: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt, match="0 of 1 files are done and safe"):
        map_files(tmp_path / "a.csv", half_written, out=out)
    assert scraps(out) == [] and not (out / ".lock").exists()
