"""Windows, as far as it can be tried elsewhere: its names, drives, locks, open files, and processes without fork."""

import errno
import ntpath
import os
import subprocess
import sys
import time
import types
from pathlib import Path, PureWindowsPath

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oco2_outliers.catalog.syncing import sync
from oco2_outliers.cli import main
from oco2_outliers.datasets import Datasets
from oco2_outliers.ground import files, locks, names
from oco2_outliers.ground.addresses import place_of
from oco2_outliers.ground.errors import InputError
from oco2_outliers.ground.names import is_device, names_drive, refused_by_windows, safe_name, writable_target
from oco2_outliers.maps.tiles import picture_name
from oco2_outliers.runs.folder import RunFolder
from oco2_outliers.runs.locking import locked
from oco2_outliers.streams.file_historians import _alone, _folder_of


@pytest.fixture
def windows(monkeypatch):
    """Names are looked at as on Windows; all else stays as it is here."""
    monkeypatch.setattr(names, "SYSTEM", "nt")


# ---------------------------------------------------------------- names

DEVICES = ["con", "CON", "prn", "aux", "NUL", "com1", "com\xb9", "lpt9", "COM0", "conin$", "x"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@given(st.one_of(st.text(max_size=12), st.builds(
    "{}{}{}".format, st.sampled_from(DEVICES),
    st.sampled_from(["", " ", ".", ". ", " .txt", ".tar.gz", ":", "1"]), st.sampled_from(["", "csv", " "]))))
def test_devices_are_those_that_pathlib_knows(part):
    """pathlib knows the devices, not all of the rest."""
    if "/" in part or "\\" in part or "\0" in part or ":" in part:
        return
    if PureWindowsPath(part).is_reserved() and part.strip(" ."):
        assert refused_by_windows(part), part
    if is_device(part):
        assert PureWindowsPath(part).is_reserved(), part


def test_a_name_that_windows_cannot_have_is_refused_there_alone(monkeypatch):
    bad = ["con", "a/aux.csv/b", "NUL.tar.gz", "a.", "a /b", "ab:stream", "2018-01-01T00:00.csv", 'a"b', "a|b", "what?",
           "*"]
    for name in bad:
        assert safe_name(name) == name, "a store may hold it"
    monkeypatch.setattr(names, "SYSTEM", "nt")
    for name in bad:
        with pytest.raises(InputError, match="Windows has no such file; rename it"):
            safe_name(name)
    assert safe_name("2018/lite.nc4") == "2018/lite.nc4" and safe_name("console/.hidden") == "console/.hidden"
    with pytest.raises(InputError, match="could leave the folder"):
        safe_name("../a")


def test_outputs_and_objects_of_such_names_are_refused_before_any_work(windows, tmp_path, monkeypatch, capsys):
    with pytest.raises(InputError, match="name of a device"):
        writable_target(tmp_path / "nul.csv")
    for name in ("aux.csv", "ab:c.csv"):
        with pytest.raises(InputError, match="Windows has no such file"), Datasets(str(tmp_path)).open(name, "wb"):
            pass
    monkeypatch.setattr(names, "SYSTEM", "posix")
    for name in ("ab:c.csv", "con", "good.csv"):
        with Datasets(str(tmp_path / "store")).open(name, "wb") as file:
            file.write(b"1")
    monkeypatch.setattr(names, "SYSTEM", "nt")
    assert main(["store", "get", "", str(tmp_path / "got"), "--store", str(tmp_path / "store")]) == 2
    assert "Windows has no such file" in capsys.readouterr().err
    assert main(["store", "get", "good.csv", str(tmp_path / "got"), "--store", str(tmp_path / "store")]) == 0
    assert os.listdir(tmp_path / "got") == ["good.csv"]


@given(st.text(max_size=30), st.text(max_size=30))
def test_names_that_are_made_here_suit_every_system(one, two):
    """Folders of channels and pictures of tiles are called alike everywhere: they are carried to other systems."""
    for made in (_folder_of(one or "a", two or "b"), f"{picture_name(one)}.png"):
        assert refused_by_windows(made) == "" and ntpath.basename(made) == made


# ---------------------------------------------------------------- drives

@pytest.mark.parametrize("text", ["C:\\data", "c:/data", "C:data", "D:", "C://data"])
def test_a_drive_is_no_scheme_and_no_host(windows, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert names_drive(text) and ntpath.splitdrive(text)[0]
    fs, path = place_of(text)
    assert "file" in fs.protocol and os.path.isabs(path)
    assert "file://" in repr(Datasets(text)), "a folder of the disk"
    with pytest.raises(FileNotFoundError, match="no such folder"):
        sync(text, tmp_path / "album")


def test_schemes_and_hosts_are_no_drives(windows):
    assert not any(map(names_drive, ("swift://box", "file:///C:/data", "s3://b", "host:/data", "data", "/c:/x", "")))
    with pytest.raises(InputError, match="no store"):
        Datasets("https://c/data")


def test_elsewhere_a_letter_may_be_a_host():
    assert not names_drive("h:/data") and not names_drive("C:\\data")


def test_paths_of_windows_pass_the_addresses_of_streams():
    from oco2_outliers.streams.endpoints import endpoint_of

    assert endpoint_of("sqlite:///C:/data/plant.db", ("sqlite",), "historian").path == "C:/data/plant.db"
    assert str(PureWindowsPath("/", endpoint_of("file:///C:/data", ("file",), "historian").path)) == "C:\\data"


# ---------------------------------------------------------------- a file that another program has open

def in_use(times, monkeypatch, number=32):
    """`os.replace` fails so often, as on Windows; returns how often it was asked."""
    asked, replace = [], os.replace

    def refusing(one, other):
        asked.append(other)
        if len(asked) <= times:
            error = PermissionError(errno.EACCES, "The process cannot access the file", str(other))
            error.winerror = number
            raise error
        replace(one, other)

    monkeypatch.setattr(os, "replace", refusing)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    return asked


@pytest.mark.parametrize("number", [5, 32, 33])
def test_a_file_that_is_open_for_a_moment_is_replaced(tmp_path, monkeypatch, number):
    (tmp_path / "a.csv").write_text("old")
    asked = in_use(3, monkeypatch, number)
    files.write_whole(tmp_path / "a.csv", b"new")
    assert len(asked) == 4 and (tmp_path / "a.csv").read_bytes() == b"new" and os.listdir(tmp_path) == ["a.csv"]


def test_a_file_that_stays_open_is_said_in_one_line(tmp_path, monkeypatch, capsys):
    pd.DataFrame({"xco2": [1.0, 2]}).to_csv(tmp_path / "in.csv", index=False)
    (tmp_path / "a.csv").write_text("old")
    asked = in_use(99, monkeypatch)
    assert main(["soundings", "convert", str(tmp_path / "in.csv"), str(tmp_path / "a.csv")]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "a.csv cannot be replaced: close the program that has it open" in said
    assert 1 < len(asked) < 10 and (tmp_path / "a.csv").read_text() == "old"
    assert sorted(os.listdir(tmp_path)) == ["a.csv", "in.csv"], "nothing half-written stays"


def test_another_refusal_is_not_waited_for(tmp_path, monkeypatch):
    asked = in_use(99, monkeypatch, None)
    with pytest.raises(PermissionError):
        files.write_whole(tmp_path / "a.csv", b"new")
    assert len(asked) == 1


# ---------------------------------------------------------------- locks

class Msvcrt(types.ModuleType):
    """A stand-in: a byte behind the end has one holder, also within a process, until it closes the file."""

    LK_NBLCK = 2

    def __init__(self):
        super().__init__("msvcrt")
        self.fcntl = pytest.importorskip(
            "fcntl", reason="no locks of POSIX; other test: "
            "test_locks.py::test_of_two_that_come_at_once_one_gets_the_lock")
        self.n_held = 0

    def locking(self, number, how, n_bytes):
        """Lock bytes from the place on at which the file stands."""
        place = os.lseek(number, 0, os.SEEK_CUR)
        assert how == self.LK_NBLCK and n_bytes == 1 and os.fstat(number).st_size < place < 2**31
        try:
            self.fcntl.flock(number, self.fcntl.LOCK_EX | self.fcntl.LOCK_NB)
        except BlockingIOError:
            raise PermissionError(errno.EACCES, "Permission denied") from None
        self.n_held += 1


@pytest.fixture
def msvcrt(monkeypatch):
    """The locks of Windows in place of those of POSIX."""
    made = Msvcrt()
    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", made)
    return made


def test_one_holds_a_lock_until_it_closes_the_file(msvcrt, tmp_path):
    path = tmp_path / ".lock"
    with open(path, "a+b") as one:
        one.write(b"holder")
        one.flush()
        one.seek(3)
        assert locks.take_lock(one.fileno()) is True and one.tell() == 3
        with open(path, "rb") as other:
            assert locks.take_lock(other.fileno()) is locks.take_lock(other.fileno(), shared=True) is False
            assert other.read() == b"holder", "what is locked can be read"
    with open(path, "rb") as other:
        assert locks.take_lock(other.fileno())


def test_a_second_run_is_refused_and_says_by_whom(msvcrt, tmp_path):
    place = RunFolder(tmp_path / "out")
    place.make()
    with locked(place), pytest.raises(InputError, match=f"in use by process {os.getpid()}"), locked(place):
        pass
    assert msvcrt.n_held == 1
    with locked(place):
        pass


def test_writers_of_a_historian_take_turns(msvcrt, tmp_path):
    taken = pytest.raises(InputError, match="another program is writing")
    with _alone(tmp_path, 0.0), taken, _alone(tmp_path, 0.05):
        pass
    with _alone(tmp_path, 0.0):
        pass


def test_a_system_without_locks_has_the_other_kind(tmp_path, monkeypatch):
    for name in ("fcntl", "msvcrt"):
        monkeypatch.setitem(sys.modules, name, None)
    place = RunFolder(tmp_path / "out")
    place.make()
    with locked(place), pytest.raises(InputError, match="in use by process"), locked(place):
        pass
    with _alone(tmp_path, 0.0), open(tmp_path / "x", "wb") as file:
        assert locks.take_lock(file.fileno()) is None
    assert not files._is_locked(tmp_path / "x")


# ---------------------------------------------------------------- processes without fork

def test_a_run_of_two_processes_needs_no_fork(tmp_path):
    """A command as a user types it; `os.fork` is gone, and new processes are spawned."""
    for day in range(3):
        pd.DataFrame({"xco2": [400.0 + day, 401]}).to_csv(tmp_path / f"day{day}.csv", index=False)
    (tmp_path / "sitecustomize.py").write_text("import os\nfor name in ('fork', 'forkpty', 'register_at_fork'):\n"
                                               "    hasattr(os, name) and delattr(os, name)\n")
    paths = [str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")]), str(Path(__file__).parents[2])]
    words = ["run", "convert", "day*.csv", "--out", "out", "--jobs", "2"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    subprocess.run([sys.executable, "-c", "import os; assert not hasattr(os, 'fork')"], check=True, env=environment)
    done = subprocess.run([sys.executable, "-m", "oco2_outliers", *words], cwd=tmp_path, capture_output=True,
                          text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "out" / "parts").glob("*.parquet"))) == 3
