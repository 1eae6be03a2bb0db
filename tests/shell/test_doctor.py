"""What `doctor` finds, where all is well and where it is not; it changes nothing and tells no secret."""

import configparser
import json
import os
import subprocess
import sys
from importlib import metadata

import pytest

from oco2_outliers.cli import main
from oco2_outliers.ground.version import VERSION
from oco2_outliers.shell import doctor
from oco2_outliers.shell.doctor import Finding, compiled_kernels, findings, installed, store_finding, within_seconds


@pytest.fixture
def quick(monkeypatch):
    """Without the kernels, whose rooms take a second to import."""
    monkeypatch.setattr(doctor, "compiled_kernels", lambda: Finding("kernels", "ok", "not asked"))


def state_of(found, what):
    (one,) = [each for each in found if each.what == what]
    return one.state


def test_all_is_well_and_nothing_is_made(quick, capsys, tmp_path):
    assert main(["doctor"]) == 0
    told = capsys.readouterr().out
    assert told.endswith("\nall is well\n") and f"{VERSION} in " in told and "extra geo" in told
    assert list(tmp_path.iterdir()) == [], "the store is not made in order to look at it"


def test_json_holds_the_same(quick, capsys):
    assert main(["doctor", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["well"] is True and {each["state"] for each in told["findings"]} <= {"ok", "absent"}
    assert all(set(each) == {"what", "state", "words", "mend"} for each in told["findings"])
    assert [each["what"] for each in told["findings"]] == [each.what for each in findings()]


def test_every_declared_extra_is_told(root, quick):
    settings = configparser.ConfigParser(delimiters=["="])
    settings.read(root / "settings.ini", encoding="utf-8")
    declared = {key.removesuffix("_requirements") for key in settings["DEFAULT"] if key.endswith("_requirements")}
    assert {each.what for each in installed() if each.what.startswith("extra ")} == {f"extra {e}" for e in declared}


@pytest.mark.parametrize("kind", ["a file", "below a file"])
def test_a_store_that_cannot_be_is_wrong(quick, capsys, tmp_path, kind):
    (tmp_path / "file").touch()
    address = tmp_path / "file" if kind == "a file" else tmp_path / "file" / "store"
    assert main(["doctor", "--store", str(address)]) == 1
    told = capsys.readouterr().out
    assert told.count("wrong ") == 1 and told.endswith("1 thing to mend\n")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0,
                    reason="root may write everywhere; test_a_store_that_cannot_be_is_wrong takes the same path")
def test_a_folder_that_is_closed_is_wrong(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    assert store_finding(str(tmp_path / "closed")).state == "wrong"


def test_a_server_that_is_away_is_told_without_its_secrets(quick, capsys, monkeypatch):
    for name, value in {"OS_AUTH_URL": "http://127.0.0.1:9/auth/v1.0", "OS_USERNAME": "who",
                        "OS_PASSWORD": "opensesame", "OS_AUTH_VERSION": "1", "OCO2_STORE": "swift://box"}.items():
        monkeypatch.setenv(name, value)
    assert main(["doctor", "--json"]) == 1
    said = capsys.readouterr()
    assert "opensesame" not in said.out + said.err
    assert [each["what"] for each in json.loads(said.out)["findings"] if each["state"] == "wrong"] == ["store"]


def test_settings_that_lack_a_key_are_told(quick, capsys, monkeypatch):
    monkeypatch.setenv("OS_AUTH_URL", "http://127.0.0.1:9/auth/v1.0")
    assert main(["doctor", "--store", "swift://box"]) == 1
    assert "Swift needs user (OS_USERNAME)" in capsys.readouterr().out


def test_what_hangs_is_left_alone(monkeypatch):
    import threading

    never = threading.Event()
    assert within_seconds(never.wait, "store", 0.01).words == "no answer within 0.01 s"
    never.set()


def test_a_requirement_that_is_too_old_is_wrong(monkeypatch):
    there = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "1.0" if name == "numpy" else there(name))
    assert state_of(installed(), "numpy") == "wrong" and state_of(installed(), "scipy") == "ok"


def test_opencv_may_bear_another_name(monkeypatch):
    there = metadata.version

    def version(name):
        if name == "opencv-python-headless":
            raise metadata.PackageNotFoundError(name)
        return "4.13.0" if name == "opencv-python" else there(name)

    monkeypatch.setattr(metadata, "version", version)
    (found,) = [each for each in installed() if each.what == "opencv-python-headless"]
    assert (found.state, found.words) == ("ok", "4.13.0")


def test_kernels_are_counted_when_they_are_kept(tmp_path):
    """In a process with a cache of its own: none is kept, then one more."""
    code = """
import importlib, sys
from oco2_outliers.shell import doctor
sys.path.insert(0, sys.argv[1])
doctor.kernel_rooms = lambda: ["room_of_one"]
print(doctor.compiled_kernels().words)
importlib.import_module("room_of_one").twice(2)
print(doctor.compiled_kernels().words)
"""
    (tmp_path / "room_of_one.py").write_text(
        "from oco2_outliers.ground.compiling import compiled\n\n\n@compiled()\ndef twice(x):\n    return 2 * x\n")
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "kept")})
    before, after = done.stdout.splitlines()
    assert before.startswith("0 of 1 compiled") and after.startswith("1 of 1 compiled"), done.stderr
    assert str(tmp_path / "kept") in after


@pytest.mark.parametrize("folder", [None, "closed"])
def test_kernels_that_cannot_be_kept_are_told(monkeypatch, tmp_path, folder):
    from types import SimpleNamespace

    path = None if folder is None else str(tmp_path / folder / "__pycache__")
    kernel = SimpleNamespace(stats=SimpleNamespace(cache_path=path), py_func=test_kernels_that_cannot_be_kept_are_told)
    monkeypatch.setattr(doctor, "_kernels", lambda rooms: [kernel])
    monkeypatch.setattr(doctor.os, "access", lambda path, mode: False)
    found = compiled_kernels()
    assert found.state == "wrong" and "NUMBA_CACHE_DIR" in found.mend


@pytest.mark.slow
def test_all_kernels_of_the_package_are_found():
    found = compiled_kernels()
    assert found.state == "ok" and int(found.words.split(" of ")[1].split()[0]) > 100
