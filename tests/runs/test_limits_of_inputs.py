"""What a run reads has a limit, wherever it lies; what has no end is not read at all."""

import os
import sys

import fsspec
import pytest

from oco2_outliers.cli import main
from oco2_outliers.ground.addresses import ListedFile, bytes_at, fetch, list_files
from oco2_outliers.ground.errors import InputError
from oco2_outliers.scale import map_files


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setenv("OCO2_MAX_BYTES", "1k")


def large_csv(path):
    path.write_text("sounding_id,xco2\n" + "".join(f"{k},400.5\n" for k in range(1000)))
    return path


def test_a_large_input_of_a_run_fails_by_name_and_the_others_go_on(tmp_path, small):
    (tmp_path / "in").mkdir()
    large_csv(tmp_path / "in" / "large.csv")
    (tmp_path / "in" / "good.csv").write_text("sounding_id,xco2\n1,400.5\n")
    result = map_files(tmp_path / "in", "convert", out=tmp_path / "out")
    assert result.rows == 1 and result.failures["name"].tolist() == [str(tmp_path / "in" / "large.csv")]
    assert "large.csv: it holds more than 1 kB" in result.failures["error"][0]


def test_a_large_object_is_not_fetched(small, monkeypatch):
    memory = fsspec.filesystem("memory")
    memory.pipe("/limits/large.csv", b"x" * 2000)
    (file,) = list_files("memory://limits/large.csv")
    monkeypatch.setattr(type(memory), "cat_file", lambda *given, **more: pytest.fail("was read"))
    for one in (file, ListedFile(file.name, 5, file.stamp)):  # it may have grown since it was listed
        with pytest.raises(InputError, match="large.csv: it holds more than 1 kB"):
            fetch(one)
    with pytest.raises(InputError, match="large.csv: it holds more than 1 kB"):
        bytes_at("memory://limits/large.csv")


def test_a_lower_limit_does_not_stop_a_run_that_goes_on(tmp_path, monkeypatch):
    file = large_csv(tmp_path / "large.csv")
    assert map_files(file, "convert", out=tmp_path / "out").rows == 1000
    os.utime(file, (0, 0))  # so that its hash is looked at again
    monkeypatch.setenv("OCO2_MAX_BYTES", "1k")
    assert "it holds more than 1 kB" in map_files(file, "convert", out=tmp_path / "out").failures["error"][0]


def test_a_large_model_is_refused(tmp_path, small, capsys):
    (tmp_path / "model.npz").write_bytes(b"x" * 2000)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"no picture")
    assert main(["run", "images", str(tmp_path / "in"), "-m", str(tmp_path / "model.npz"), "--out",
                 str(tmp_path / "out")]) == 2
    assert "model.npz: it holds more than 1 kB" in capsys.readouterr().err


@pytest.mark.skipif(sys.platform != "linux", reason="devices of Linux; the cases above are the same for files")
def test_a_device_and_a_pipe_have_no_end(tmp_path, small):
    os.mkfifo(tmp_path / "pipe.csv")
    (tmp_path / "zero.csv").symlink_to("/dev/zero")
    for name, what in (("pipe.csv", "pipe"), ("zero.csv", "device")):
        result = map_files(tmp_path / name, "convert", out=tmp_path / f"out_{what}")
        assert f"is a {what}, not a file" in result.failures["error"][0]


def test_a_stream_that_cannot_go_back_is_limited_too(small):
    from oco2_outliers.soundings import read_lite

    class Stream:
        """Bytes without end."""

        def read(self, n=-1):
            return b"\x89HDF\r\n\x1a\n" * (n // 8 if n > 0 else pytest.fail("asked for all"))

        def seekable(self):
            return False

    with pytest.raises(InputError, match="it holds more than 1 kB"):
        read_lite(Stream(), name="endless.nc4")
