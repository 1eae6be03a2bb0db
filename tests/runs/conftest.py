"""Generated days, once for all tests of runs."""

import os
import shutil
import subprocess

import pytest
from many_files import make_days, parts, parts_by_name
from scale_tasks import big_rows, noted_rows

from oco2_outliers.scale import map_files


@pytest.fixture(scope="session")
def days(tmp_path_factory):
    return make_days(tmp_path_factory.mktemp("days"))


@pytest.fixture
def own_days(days, tmp_path):
    """A copy that a test may spoil."""
    shutil.copytree(days, tmp_path / "lite")
    return tmp_path / "lite"


@pytest.fixture(scope="session")
def in_one_go(days, tmp_path_factory):
    """What an undisturbed run gives."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "log").touch()
    map_files(days, noted_rows, out=folder / "out", parameters={"log": str(folder / "log")})
    return parts_by_name(folder / "out")


@pytest.fixture
def small_disk(tmp_path, days):
    """A disk with room for three parts and a half, and a function that makes it larger."""
    map_files(days, big_rows, out=tmp_path / "here")
    part = max(len(data) for data in parts(tmp_path / "here").values())
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={int(3.5 * part)}", "tmpfs", str(disk)],
                             capture_output=True) if os.geteuid() == 0 and shutil.which("mount") else None
    if mounted is None or mounted.returncode:
        pytest.skip("mounting a small disk needs root; other test: "
                    "test_referenced.py::test_a_run_that_is_stopped_goes_on_to_the_same_bytes")
    yield disk, lambda: subprocess.run(["mount", "-o", f"remount,size={20 * part}", str(disk)], check=True)
    subprocess.run(["umount", str(disk)], check=True)
