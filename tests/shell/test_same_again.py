"""Every command that keeps how it was asked does the same when it is asked so again: the same files, byte for byte."""

import json
import pickle
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import typer
from earthdata_server import servers, standing  # noqa: F401
from layout import ROOT

from oco2_outliers.cli import app, main
from oco2_outliers.ground.files import RUN_FILE
from oco2_outliers.ground.version import VERSION
from oco2_outliers.image_forest import simulate_pictures
from oco2_outliers.series.simulated import simulate_series
from oco2_outliers.shell.run_files import KeptCommand, text_of, values_of
from oco2_outliers.soundings import simulate_granule
from oco2_outliers.streams.opening_historians import open_historian

# What each command is asked, and where its file is then.
ASKED = {
    "isolate": ("t.csv --eps 1.5 --min-samples 5 --out one", "one/run.yaml"),
    "peaks": ("good.csv --surrogates 39 --no-figures --out p", "p/run.yaml"),
    "run": ("isolate good.csv --eps 2 --out parts", "parts/run.yaml"),
    "combine": ("ran --top 3", "ran/combine.run.yaml"),
    "evaluate": ("judged --labels truth.csv --bootstrap 20 --out checked", "checked/run.yaml"),
    "explore": ("judged --out why.html --min-samples 5", "why.html.run.yaml"),
    "report": ("judged --out r.html", "r.html.run.yaml"),
    "export": ("judged --to geojson --out odd.geojson --rows all", "odd.geojson.run.yaml"),
    "match": ("judged judged --shifts 9 --out pairs.csv", "pairs.csv.run.yaml"),
    "compare": ("judged judged --out changed.csv", "changed.csv.run.yaml"),
    "soundings convert": ("good.csv some.parquet --columns xco2", "some.parquet.run.yaml"),
    "soundings fetch": ("--from 2018-08-25 --store days --out list.csv", "list.csv.run.yaml"),
    "images train": ("-d pictures -m model.npz --trees 5 --jobs 1", "model.npz.run.yaml"),
    "images test": ("-m forest.npz -i one.png --output verdict.png", "verdict.png.run.yaml"),
    "images scan": ("pictures --jobs 1 --out scan", "scan/run.yaml"),
    "images convert": ("old.pickle new.npz --trusted", "new.npz.run.yaml"),
    "images encode": ("pictures --jobs 1 --out vectors", "vectors/run.yaml"),
    "images odd": ("pictures --jobs 1 --out odd.csv", "odd.csv.run.yaml"),
    "images duplicates": ("pictures --jobs 1 --out twice.csv", "twice.csv.run.yaml"),
    "images cluster": ("pictures --method ward -k 2 --jobs 1 --out groups", "groups/pixels_model_1/run.yaml"),
    "images mosaics": ("clustering --out walls --jobs 1", "walls/run.yaml"),
    "images sample": ("pictures --dest split --jobs 1", "split/run.yaml"),
    "images gallery": ("pictures --out dive --jobs 1", "dive/run.yaml"),
    "images poster": ("--check --dpi 20 --out sheets", "sheets/run.yaml"),
    "images train-encoder": ("pictures --epochs 1 --out nets", "nets/run.yaml"),
    "embeddings info": ("tiles --out places.csv", "places.csv.run.yaml"),
    "embeddings isolate": ("tiles --out strays", "strays/run.yaml"),
    "embeddings map": ("tiles --method pca --clusters none --out map", "map/run.yaml"),
    "embeddings similar": ("tiles 3 -k 2 --out like.csv", "like.csv.run.yaml"),
    "embeddings duplicates": ("tiles --within 0.5 --out copies.csv", "copies.csv.run.yaml"),
    "embeddings tiles": ("tiles 1 2 --size 32 --out rgbs", "rgbs/run.yaml"),
    "embeddings cache": ("tiles kept", "kept/run.yaml"),
    "catalog versions": ("--database c.db --out runs.csv", "runs.csv.run.yaml"),
    "catalog compare": ("1 --database c.db --out side.csv", "side.csv.run.yaml"),
    "catalog close-to": ("0.1 -0.5 --database c.db --out near.csv", "near.csv.run.yaml"),
    "catalog export": ("all.parquet --database c.db", "all.parquet.run.yaml"),
    "series check": ("sewer.csv --out faults.csv", "faults.csv.run.yaml"),
    "series judge": ("sewer.csv --detector energy --window 3h --calibrate none --out found", "found/run.yaml"),
    "series learn": ("sewer.csv --overwrite --out limits.yaml", "limits.yaml.run.yaml"),
    "series train": ("sewer.csv --only-channel velocity --overwrite --window 3h --out m.npz", "m.npz.run.yaml"),
    "series freeze": ("sewer.csv --only-channel velocity --n-surrogates 2 --overwrite --window 3h --out f.npz",
                      "f.npz.run.yaml"),
    "series score": ("sewer.csv --labels wrong --detector energy --window 3h --out f.csv", "f.csv.run.yaml"),
    "series fetch": ("sqlite:///plant.db value --overwrite --out got.csv", "got.csv.run.yaml"),
}


def commands():
    """All commands by their words."""
    def below(command, words=()):
        for name, each in getattr(command, "commands", {}).items():
            yield from below(each, (*words, name))
        if not hasattr(command, "commands"):
            yield " ".join(words), command

    return dict(below(typer.main.get_command(app)))


def test_all_commands_that_write_results_are_tried_here():
    assert all(isinstance(each, KeptCommand) for each in commands().values()), "declare it on a CommandApp"
    assert {name for name, each in commands().items() if each.writes} == set(ASKED)


def asked(words):
    """The exit code of a command that is given so."""
    return main(words.split())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with something of every kind that a command reads."""
    folder = tmp_path_factory.mktemp("again")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rows = pd.DataFrame({"a": [i % 11 for i in range(80)], "xco2": [400 + i % 7 for i in range(79)] + [430.0]})
        rows.to_csv("t.csv", index=False)
        rows = simulate_granule(0, 20).soundings.head(240)
        rows.to_csv("good.csv", index=False)
        _pictures(), _readings(), _tiles()
        for words in ("isolate good.csv --eps 2 --out judged", "run isolate good.csv --eps 2 --out ran",
                      "images train -d pictures -m forest.npz --trees 5 --jobs 1 --contamination auto",
                      "images cluster pictures --method ward -k 2 --jobs 1 --out clusters",
                      "catalog init --database c.db", "catalog add clustering --database c.db"):
            assert asked(words) == 0, words
            if words.startswith("images cluster"):
                next(Path("clusters").iterdir()).rename("clustering")
        rows = pd.read_parquet("judged/scores.parquet")
        truth = pd.DataFrame({"sounding_id": rows["sounding_id"], "wrong": rows["outlier"].astype(int)})
        truth.to_csv("truth.csv", index=False)
    return folder


def _pictures():
    """Pictures, one of them alone, and a forest of the original scripts."""
    from sklearn.ensemble import IsolationForest

    simulate_pictures("pictures", n_pictures=12, odd_kinds=["night"], random_state=0)
    shutil.copy(sorted(Path("pictures").glob("*"))[0], "one.png")
    old = IsolationForest(n_estimators=3, random_state=0).fit(np.random.default_rng(0).random((20, 27)))
    Path("old.pickle").write_bytes(pickle.dumps(old))


def _readings():
    """Ten days of a sewer, as a file and in a historian."""
    table = simulate_series(days=10, faults=["flat line", "spike"], random_state=3)
    table = table[table["channel"] == "velocity"]
    table.assign(wrong=table["fault"].ne("").astype(int)).drop(columns="fault").to_csv("sewer.csv", index=False)
    rows = table.head(50)[["site", "channel", "time", "value"]]
    with open_historian("sqlite:///plant.db") as historian:
        historian.write(rows.assign(channel="value", time=rows["time"].dt.tz_localize("UTC")))


def _tiles():
    """Embeddings with a stray."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from maps.embedding_files import CLAY, clay_table, replaced

    Path("tiles").mkdir()
    vectors = np.random.default_rng(2).normal(5, 1, size=(50, 8)).astype(np.float32)
    vectors[7] = -vectors[7]
    column = pa.array(list(vectors), pa.list_(pa.float32()))
    pq.write_table(replaced(clay_table(50), "embeddings", column), f"tiles/{CLAY}")


@pytest.fixture
def work(made, tmp_path, monkeypatch):
    """A copy of it to work in."""
    shutil.copytree(made, tmp_path / "work")
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "work"


def files(folder="."):
    """The bytes of all files."""
    return {str(path): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def known(name, data):
    """The bytes of a file; of the journal of a run without what says how long each file took."""
    return re.sub(rb'"seconds":[^,}]+', b"", data) if name.endswith("manifest.jsonl") else data


@pytest.mark.parametrize("command", ASKED)
def test_the_same_again(work, command, request, capsys):
    if command == "images train-encoder":
        pytest.importorskip("torch", reason="no PyTorch (extra torch); other test: test_run_files.py::test_peaks_too")
    if command == "soundings fetch":
        request.getfixturevalue("servers")
    words, kept = ASKED[command]
    beside = [] if Path(kept).name in (RUN_FILE, "combine.run.yaml") else ["--keep-run"]
    before = files()
    assert main([*command.split(), *words.split(), *beside]) == 0, capsys.readouterr().err
    after = files()
    results = {name: data for name, data in after.items() if before.get(name) != data}
    assert kept in results and len(results) > 1, sorted(results)
    told = Path(kept).read_text()
    assert values_of(told)["command"] == command and told.startswith(f"# oco2-outliers {VERSION}; ")
    for name in results:
        Path(name).unlink()
        if name in before:
            Path(name).write_bytes(before[name])
    for name in {name.split("/")[0] for name in results} - {name.split("/")[0] for name in before}:
        shutil.rmtree(name, ignore_errors=True)
    Path("asked.yaml").write_text(told)
    (option, *_), = (each.opts for each in commands()[command].params if each.name == "run_file")
    assert main([*command.split(), option, "asked.yaml", *beside]) == 0, capsys.readouterr().err
    Path("asked.yaml").unlink()
    again = files()
    assert sorted(again) == sorted(after)
    assert [name for name in results if known(name, again[name]) != known(name, after[name])] == []


# ---------------------------------------------------------------- secrets

def test_no_secret_of_the_environment_or_of_an_address_lands_in_a_file(work, monkeypatch, capsys):
    monkeypatch.setenv("OS_PASSWORD", "hunter2-swift")
    monkeypatch.setenv("OS_APPLICATION_CREDENTIAL_SECRET", "hunter2-swift")
    monkeypatch.setenv("OCO2_STREAM_PASSWORD", "hunter2-broker")
    monkeypatch.setenv("MAPBOX_token", "hunter2-map")
    monkeypatch.setenv("EARTHDATA_TOKEN", "hunter2-earth")
    for words in ("isolate t.csv --eps 1.5 --min-samples 5 --out one", "images scan pictures --jobs 1 --out scan",
                  "series fetch sqlite:///plant.db value --out got.csv --keep-run"):
        assert asked(words) == 0, words
    tiles = "embeddings tiles tiles 1 --size 32 --template https://maps.invalid/{z}/{x}/{y}?access_token=hunter2"
    assert asked(tiles) == 0 and "# left out, for it holds a secret: template" in Path("rgbs/run.yaml").read_text()
    assert [name for name, data in files().items() if b"hunter2" in data] == []


@pytest.mark.parametrize("address", [
    "kafka://bob:hunter2@host:9092", "mqtts://bob:hunter2@host", "cassandra://bob:hunter2@host/plant",
    "redis://:hunter2@h", "swift://box?temp_url_sig=hunter2", "s3://key:hunter2@bucket/x", "https://h/a?X-Amz-Signature=hunter2&b=1",
    "host=h password=hunter2 dbname=x", "https://h/{z}?apikey=hunter2", "a.csv,https://bob:hunter2@h/b.csv"])
def test_an_address_with_a_secret_is_left_out(address):
    for value in (address, ["a.csv", address]):
        told = text_of("series fetch", {"historian": value, "channel": "level"})
        assert "hunter2" not in told and "# left out, for it holds a secret: historian" in told
        assert values_of(told) == {"command": "series fetch", "channel": "level"}


# ---------------------------------------------------------------- where it is written, and what is refused

def test_commands_share_a_folder(work):
    assert asked("embeddings isolate tiles --out both") == 0
    first = Path("both/run.yaml").read_bytes()
    assert asked("embeddings map tiles --method pca --clusters none --out both") == 0
    assert Path("both/run.yaml").read_bytes() == first
    assert values_of(Path("both/embeddings-map.run.yaml").read_text())["command"] == "embeddings map"
    assert asked("embeddings isolate tiles --eps 3 --out both") == 0
    assert values_of(Path("both/run.yaml").read_text())["eps"] == "3", "its own is written anew"


def test_nothing_is_kept_of_what_failed(work, monkeypatch):
    Path("bad.nc4").write_bytes(b"no netCDF")
    assert asked("run isolate good.csv bad.nc4 --eps 2 --out parts") == 1
    assert not Path("parts/run.yaml").exists() and Path("parts/manifest.jsonl").exists()
    assert asked("explore absent --out why.html --keep-run") == 2 and not Path("why.html.run.yaml").exists()
    assert asked("evaluate judged --labels truth.csv --on nothing --out checked") == 2
    assert not Path("checked").exists()


def refused(capsys, words, *parts):
    """A command is refused in one line with these parts."""
    capsys.readouterr()
    assert asked(words) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and all(part in line for part in parts), line


def test_errors_name_the_key_and_what_to_do(work, capsys):
    Path("a.yaml").write_text("command: images scan\ntop: many\nfolder: pictures\n")
    refused(capsys, "images scan --config a.yaml", "a.yaml: top: ", "valid integer", "mend it")
    assert asked("images scan --config a.yaml --top 2 --jobs 1 --out s") == 0, "what is typed counts more"
    refused(capsys, "images encode --config a.yaml", "is of the command 'images scan', not of images encode")
    refused(capsys, "embeddings isolate --config a.yaml", "is of the command 'images scan'")
    Path("b.yaml").write_text("tpo: 3\n")
    refused(capsys, "images scan pictures --config b.yaml", "unknown key 'tpo' (nearest: top)")
    Path("c.yaml").write_text("from: yesterday-\nbox: [1, 2]\n")
    refused(capsys, "soundings fetch --config c.yaml --dry-run", "box")
    Path("d.yaml").write_text("fast: perhaps\n")
    refused(capsys, "images scan pictures --config d.yaml", "d.yaml: fast: ", "valid bool")
    refused(capsys, "images odd pictures --keep-run", "--keep-run writes beside a file of this disk: give --out")
    refused(capsys, "run isolate good.csv --out memory://x --keep-run", "--keep-run writes beside a file of this disk")


def test_limits_and_tasks_have_a_config_of_their_own(work):
    assert asked("series learn sewer.csv --out limits.yaml") == 0
    words = "--detector energy --window 3h --calibrate none --config limits.yaml --out found"
    assert main(["series", "judge", "sewer.csv", *words.split()]) == 0
    told = Path("found/run.yaml").read_text()
    assert values_of(told)["config"] == "limits.yaml" and "series judge --run-file run.yaml" in told
    assert asked("series judge --run-file found/run.yaml --out other") == 0
    assert Path("found/points.parquet").read_bytes() == Path("other/points.parquet").read_bytes()


def test_a_project_tells_less_than_the_file(work):
    from oco2_outliers.catalog.configuration import config_template

    assert config_template(None, None)
    Path("proj/config").mkdir(parents=True)
    Path("proj/config/config_dev.yaml").write_text("directory:\n  collections: pictures\n")
    assert asked("images encode --project-dir proj --mode dev --jobs 1 --ids path --out v") == 0
    assert values_of(Path("v/run.yaml").read_text())["pictures"] == "pictures"
    assert asked("images encode --config v/run.yaml --project-dir proj --mode dev --out w") == 0
    told = values_of(Path("w/run.yaml").read_text())
    assert told["ids"] == "path" and told["out"] == "w" and Path("v/X.npy").read_bytes() == Path("w/X.npy").read_bytes()


def test_a_run_elsewhere_keeps_its_file_there(work):
    import fsspec

    assert asked("run isolate good.csv --eps 2 --out memory://runs/a") == 0
    told = values_of(fsspec.filesystem("memory").cat_file("/runs/a/run.yaml").decode())
    assert told["out"] == "memory://runs/a" and told["task"] == "isolate" and told["eps"] == "2"


def test_the_table_of_the_notebook_says_what_is_so(work):
    """Every command stands in the table of decisions, with where its file is written."""
    book = json.loads((ROOT / "nbs" / "shell" / "08_run_files.ipynb").read_text("utf-8"))
    text = "\n".join("".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "markdown")
    rows = dict(re.findall(r"^\| `([a-z -]+)` \| (in the folder|on request|no) \|", text, re.M))
    assert set(rows) == set(commands())
    for name, where in rows.items():
        wanted = "no" if name not in ASKED else "in the folder" if Path(ASKED[name][1]).name in (
            RUN_FILE, "combine.run.yaml") else "on request"
        assert where == wanted, name
