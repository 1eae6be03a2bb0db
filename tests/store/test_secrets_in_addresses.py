"""No password of an address stands in a message or in what Python shows of a result."""
import os
import socket
import threading

import fsspec
import pandas as pd
import pytest

from oco2_outliers.datasets import Datasets, InputError
from oco2_outliers.ground.addresses import ChangedInput, list_files, place_of
from oco2_outliers.runs.combining import combine
from oco2_outliers.runs.running import map_files
from oco2_outliers.soundings.inputs import read_input

AT = "bob:s3cret@"


@pytest.fixture(scope="module")
def ftp():
    """The port of a server that lets everybody in and has nothing."""
    answers = {b"USER": b"331 and now\r\n", b"PASS": b"230 in\r\n", b"TYPE": b"200 well\r\n", b"PWD": b'257 "/"\r\n'}

    def talk(line):
        with line, line.makefile("rb") as said:
            line.sendall(b"220 hello\r\n")
            for each in said:
                line.sendall(answers.get(each.split()[0].upper(), b"550 nothing here\r\n"))

    def serve():
        while True:
            try:
                line = server.accept()[0]
            except OSError:
                return
            threading.Thread(target=talk, args=(line,), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]


def refusals(address, folder):
    """What is said of an address that cannot be used, by all who take one."""
    calls = [lambda: place_of(address), lambda: list_files(address), lambda: list_files(folder, without=address),
             lambda: Datasets(address).list_objects(), lambda: read_input(address, None),
             lambda: map_files(address, "convert", out=f"{folder}/out"), lambda: combine(address)]
    for call in calls:
        try:
            call()
        except (InputError, OSError) as error:
            yield str(error)


@pytest.mark.parametrize("address", [
    f"ftp://{AT}127.0.0.1:port/a", f"ftp://{AT}127.0.0.1:1/a", f"nonsense://{AT}host/a.csv", f"memory://{AT}host/none.csv",
    f"memory://{AT}host/none*.csv", "nonsense://host/a.csv?token=s3cret", "memory://host/a.csv?sig=s3cret"])
def test_no_message_tells_a_password(tmp_path, address):
    said = list(refusals(address, tmp_path))
    assert len(said) >= 4 and not any("s3cret" in text for text in said), said
    assert all(text.count("\n") == 0 for text in said)


def test_what_a_server_refuses_is_one_line(ftp, tmp_path):
    good = Datasets(f"ftp://{AT}127.0.0.1:{ftp}/data")
    assert "s3cret" not in repr(good) + good.url("a.csv")
    said = list(refusals(f"ftp://{AT}127.0.0.1:{ftp}/data/a.csv", tmp_path))
    assert said and not any("s3cret" in text for text in said), said
    with pytest.raises(InputError, match=r"^ftp://\*\*\*@127.0.0.1:1/a: "):
        place_of(f"ftp://{AT}127.0.0.1:1/a")


def test_what_filesystems_raise_is_one_line_and_errors_of_the_disk_pass(monkeypatch):
    class Odd(Exception):
        pass

    def raises(error):
        def url_to_fs(*args, **more):
            raise error
        monkeypatch.setattr(fsspec, "url_to_fs", url_to_fs)

    for error in (Odd("no\nway s3://me:s3cret@h"), ConnectionError("no"), EOFError(), KeyError("x"), OSError(5, "no")):
        raises(error)
        with pytest.raises(InputError) as caught:
            place_of(f"s3://{AT}host/a")
        assert str(caught.value).startswith("s3://***@host/a: ") and "s3cret" not in str(caught.value)
        assert not str(caught.value).endswith(": ") and "\n" not in str(caught.value)
    for error, address in ((PermissionError("no"), "s3://a"), (FileNotFoundError("no"), "s3://a"), (MemoryError(), "s3://a"),
                           (OSError(5, "broken"), "file:///a"), (NotADirectoryError(20, "no"), "file:///a")):
        raises(error)
        with pytest.raises(type(error)):
            place_of(address)


def test_a_file_of_the_output_and_one_that_changed_are_told_without_it(tmp_path):
    memory = fsspec.filesystem("memory")
    memory.pipe(f"/{AT}host/out/a.csv", b"xco2\n1\n")
    memory.makedirs(f"/{AT}host/empty", exist_ok=True)
    try:
        with pytest.raises(InputError, match=r"lies in the output folder memory://\*\*\*@host/out"):
            list_files(f"memory://{AT}host/out/a.csv", without=f"memory://{AT}host/out")
        with pytest.raises(InputError, match=r"memory://\*\*\*@host/empty holds no file"):
            list_files(f"memory://{AT}host/empty")
        assert "s3cret" not in str(ChangedInput(f"memory://{AT}host/a.csv"))
    finally:
        memory.rm(f"/{AT}host", recursive=True)


def test_results_show_no_password(tmp_path):
    (tmp_path / "a.csv").write_text("sounding_id,xco2\n2019071518321774,400.5\n")
    out = f"memory://{AT}{tmp_path.name}/out"
    try:
        result = map_files(tmp_path, "convert", out=out)
        combined = combine(out)
        for text in (repr(result), str(result), repr(combined), str(combined), f"{[result]}", repr(Datasets(out))):
            assert "s3cret" not in text
        assert repr(result).startswith("RunResult(out='memory:///***@") and "task='convert', n_units=1" in repr(result)
        assert repr(combined).startswith("Combined(path='memory:///***@") and "manifest" not in repr(result)
        assert "s3cret" in result.out and combined.rows == 1  # what is to be opened is whole
        with pytest.raises(InputError, match="other settings") as caught:
            map_files(tmp_path, "peaks", out=out)
        assert "s3cret" not in str(caught.value)
    finally:
        fsspec.filesystem("memory").rm(f"/{AT}{tmp_path.name}", recursive=True)


def test_the_whole_of_memory_is_a_store(tmp_path):
    store = Datasets("memory://")
    with store.open(f"{tmp_path.name}/a.csv", "w") as file:
        file.write("xco2\n1\n")
    try:
        assert [o["name"] for o in store.get_container(prefix=tmp_path.name)] == [f"{tmp_path.name}/a.csv"]
        pd.testing.assert_frame_equal(store.get_dataframe(f"{tmp_path.name}/a.csv"), pd.DataFrame({"xco2": [1]}))
        assert store.get_dataframe(store.url(f"{tmp_path.name}/a.csv")).shape == (1, 1)
        assert any(f.name.endswith(f"/{tmp_path.name}/a.csv") for f in list_files("memory://"))
    finally:
        fsspec.filesystem("memory").rm(f"/{tmp_path.name}", recursive=True)
    assert Datasets(os.sep).base_url == "file:///"


def test_links_to_folders_in_a_folder_are_told(tmp_path):
    for name in ("in/a.csv", "other/b.csv"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("xco2\n1\n")
    for name in ("link", "named.csv", ".hidden"):
        (tmp_path / "in" / name).symlink_to("../other")
    (tmp_path / "in/file.csv").symlink_to("../other/b.csv")
    with pytest.warns(UserWarning, match="^2 links to other folders not followed, such as .*/in/link: give the folder"):
        found = list_files(tmp_path / "in")
    for meant in (found, list_files(f"{tmp_path}/in/*")):
        assert [os.path.relpath(f.name, tmp_path) for f in meant] == ["in/a.csv", "in/file.csv"]
    assert [os.path.basename(f.name) for f in list_files(tmp_path / "in/link")] == ["b.csv"]
