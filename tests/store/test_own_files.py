"""Names that a disk can hold, and files that must not be written over: those of the settings, those of a run."""
import json
import os
import shutil
from pathlib import Path

import pytest

from oco2_outliers.cli import main
from oco2_outliers.datasets import Datasets, InputError
from oco2_outliers.ground import addresses
from oco2_outliers.ground.addresses import ChangedInput, bytes_at
from oco2_outliers.ground.files import is_temporary, temporary_name, whole_file
from oco2_outliers.image_forest import convert_model, simulate_pictures, train_model
from oco2_outliers.pictures.kinds import file_bytes
from oco2_outliers.runs.combining import combine
from oco2_outliers.runs.running import map_files


# --- names of unfinished files ---
@pytest.mark.parametrize("name", ["a.csv", "a" * 250, "雪" * 85, "é" * 127, "🛰" * 63, "a" + "雪" * 80 + ".csv",
                                  os.fsdecode(b"\xff\xfe" * 100), "e\u0301" * 80])
def test_a_long_name_can_be_written(tmp_path, name):
    part = temporary_name(name)
    assert is_temporary(part) and len(os.fsencode(part)) <= 120
    part.encode("utf-8")  # no half letter
    if len(name) < 10:
        assert part.startswith(f".{name}.")
    with whole_file(tmp_path / name) as file:
        file.write(b"1")
    assert os.listdir(tmp_path) == [name]


def test_a_long_name_is_sent_and_fetched(tmp_path):
    name = "雪" * 84 + ".b"
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / name).write_text("1")
    store = Datasets(str(tmp_path / "s"))
    assert store.upload(tmp_path / "in", "").sent == [name]
    assert store.download(name, tmp_path / "out").sent == [name] and os.listdir(tmp_path / "out") == [name]


# --- the settings of a store ---
@pytest.fixture
def configured(tmp_path, monkeypatch):
    for name in [n for n in os.environ if n.startswith(("OS_", "ST_", "OCO2_STORE"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    Path("store").mkdir()
    Path("store/config.json").write_text("{}")
    Path("config.json").write_text(json.dumps({"root": str(tmp_path / "store")}))
    return tmp_path


@pytest.mark.parametrize("kind", ["name", "symbolic", "hard"])
def test_the_file_of_the_settings_is_not_fetched_over(configured, capsys, kind):
    before, to = Path("config.json").read_bytes(), "."
    if kind != "name":
        Path(to := "linked").mkdir()
        link = os.symlink if kind == "symbolic" else os.link
        link(os.path.abspath("config.json"), "linked/config.json")
    assert main(["store", "get", "config.json", to, "--config", "config.json", "--force"]) == 2
    said = capsys.readouterr().err
    assert ("on its way is a symbolic link" if kind == "symbolic" else "is the input itself") in said
    assert said.count("\n") == 1 and "other 0" not in said and Path("config.json").read_bytes() == before
    assert main(["store", "get", "config.json", "elsewhere", "--config", "config.json"]) in (0, None)
    assert Path("elsewhere/config.json").read_text() == "{}"


def test_nothing_is_sent_over_the_file_of_the_settings(configured, capsys):
    shutil.copy("config.json", "store/config.json")
    Path("new").mkdir()
    Path("new/config.json").write_text("{}")
    assert main(["store", "put", "new/config.json", "--prefix", "", "--force", "--config", "store/config.json"]) == 2
    assert "is the input itself" in capsys.readouterr().err and "root" in Path("store/config.json").read_text()


def test_the_file_of_the_clouds_is_not_fetched_over(configured, monkeypatch):
    for name in ("clouds.yaml", "secure.yaml"):
        Path(name).write_text("clouds: {c: {auth: {auth_url: 'https://a', username: u, password: p}}}")
        Path(name).chmod(0o600)
        Path("store", name).write_text("new")
    monkeypatch.setenv("OS_CLOUD", "c")
    for name in ("clouds.yaml", "secure.yaml"):
        with pytest.raises(InputError, match="is the input itself"):
            Datasets("store").download(name, ".", force=True)
        assert Path(name).read_text() != "new"


# --- a run and its tables ---
def test_a_combination_is_not_written_over_an_input(tmp_path):
    source = tmp_path / "day.csv"
    source.write_text("sounding_id,xco2\n2019071518321774,400.5\n")
    map_files(source, "convert", out=tmp_path / "out")
    part = next((tmp_path / "out/parts").iterdir())
    for table in ("combined.parquet", "monthly.csv", "top.csv", "duplicates.csv"):
        for target, link in ((source, os.symlink), (source, os.link), (part, os.symlink), (part, os.link)):
            before, there = target.read_bytes(), tmp_path / "out" / table
            link(target, there)
            with pytest.raises(InputError, match=f"{table} is the input itself"):
                combine(tmp_path / "out")
            assert target.read_bytes() == before and os.path.samefile(target, there)
            there.unlink()
    for _ in range(2):
        assert combine(tmp_path / "out").rows == 1


# --- models ---
def test_a_folder_in_the_place_of_a_model_is_one_clear_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    simulate_pictures("pictures", n_pictures=6, odd_kinds=[])
    one = str(next(Path("pictures").glob("*")))
    for argv in (["convert", "pictures", "new.npz"], ["convert", "pictures", "new.npz", "--trusted"],
                 ["test", "-m", "pictures", "-i", one], ["scan", "pictures", "-m", "pictures"]):
        assert main(["images", *argv]) == 2
        said = capsys.readouterr().err
        assert "'pictures' is a folder; give the model file itself" in said and ".npz" in said and "Errno" not in said
    assert main(["run", "images", "pictures", "--model", "pictures", "--out", "out"]) == 2
    assert "pictures is a folder; give the file itself" in capsys.readouterr().err
    assert not Path("new.npz").exists()


def test_what_is_no_file_is_told_and_leaves_nothing_open(tmp_path):
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    os.mkfifo(tmp_path / "pipe")
    for path, why in ((tmp_path, "a folder"), (tmp_path / "pipe", "not a regular file")):
        with pytest.raises(InputError, match=why):
            file_bytes(path)
    assert not before or len(os.listdir("/proc/self/fd")) == before
    (tmp_path / "empty").touch()
    with pytest.raises(InputError, match=r"model '.*empty' is refused: empty file"):
        convert_model(tmp_path / "empty", tmp_path / "new.npz", trusted=True)


def test_the_model_of_a_run_is_read_of_one_moment(tmp_path, monkeypatch):
    simulate_pictures(tmp_path / "camera", n_pictures=8, odd_kinds=[])
    model = tmp_path / "model.npz"
    train_model(tmp_path / "camera", model, n_jobs=1)
    data = model.read_bytes()
    assert bytes_at(model) == data

    def grows(path, *args):
        with open(model, "ab") as file:
            file.write(b"more")
        return open(path, *args)

    monkeypatch.setattr(addresses, "open", grows, raising=False)
    with pytest.raises(ChangedInput, match="model.npz changed while being read, run again"):
        map_files(tmp_path / "camera", "images", out=tmp_path / "out", parameters={"model": str(model)})
    monkeypatch.undo()
    model.write_bytes(data)
    assert map_files(tmp_path / "camera", "images", out=tmp_path / "out", parameters={"model": str(model)}).rows == 8
    none = {"model": str(tmp_path / "none.npz")}
    with pytest.raises(FileNotFoundError, match="no such file: .*none.npz"):
        map_files(tmp_path / "camera", "images", out=tmp_path / "out2", parameters=none)
    assert not (tmp_path / "out2").exists()
