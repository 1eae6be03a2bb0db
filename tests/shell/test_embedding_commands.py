"""The commands for geo-embeddings: what they read, print, write and refuse."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import socket
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from maps.embedding_files import CLAY, clay_table, replaced
from maps.picture_server import GOOD, KEY, running

from oco2_outliers.cli import main
from oco2_outliers.embeddings import TileSource, duplicates, isolate_embeddings, read_embeddings, similar

SHARED = Path(os.environ.get("OCO2_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data")) / "embeddings"
SECOND = "04WDE_20220611_20220611_v001.gpq"


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A folder with two files of Clay, one stray and one copy among their tiles."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MAPBOX_token", raising=False)
    Path("data").mkdir()
    X = np.random.default_rng(2).normal(5, 1, size=(80, 8)).astype(np.float32)
    X[57], X[59] = -X[57], X[53]
    for name, vectors, table in ((CLAY, X[:50], clay_table(50)),
                                 (SECOND, X[50:], clay_table(30, square="04WDE", west=-158.0, south=66.0))):
        pq.write_table(replaced(table, "embeddings", pa.array(list(vectors), pa.list_(pa.float32()))), f"data/{name}")
    return tmp_path


def hashes(folder):
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in folder.rglob("*") if path.is_file()}


def refused(work, capsys, argv, words):
    """A command is refused in one line with these words, and changes nothing."""
    before = hashes(work)
    capsys.readouterr()
    code = main(["embeddings", *argv])
    line = capsys.readouterr().err
    assert code == 2 and line.count("\n") == 1 and words in line, (argv, code, line)
    assert hashes(work) == before, argv


# ---------------------------------------------------------------- what they do

def test_isolate_writes_what_python_finds(work, capsys):
    assert main(["embeddings", "isolate", "data", "--out", "found", "--eps", "1", "--jobs", "1"]) == 0
    said, found = capsys.readouterr().out, isolate_embeddings(read_embeddings("data"), 1.0)
    assert sorted(path.name for path in Path("found").iterdir()) == ["run.yaml", "scores.parquet", "strays.csv",
                                                                    "summary.json"]
    saved = pd.read_parquet("found/scores.parquet")
    assert (saved["score"] == found.table["score"]).all() and saved["isolated"].sum() == 1
    assert pd.read_csv("found/strays.csv")["id"].tolist() == ["claytile_04WDE_0007"]
    assert "1 tile of 80 stands alone: eps 1 (as asked), min_samples 10, cosine" in said
    assert "claytile_04WDE_0007: nearest ordinary tile" in said and "explore found" in said
    summary = json.loads(Path("found/summary.json").read_text())
    assert [each["name"] for each in summary["inputs"]] == [CLAY, SECOND]
    assert main(["explore", "found", "--out", "page.html"]) == 0


def test_map_writes_positions_and_what_they_keep(work, capsys):
    argv = ["embeddings", "map", "data", "--method", "pca", "--clusters", "2,3", "--eps", "1", "--colour", "mgrs"]
    assert main(argv) == 0
    said = capsys.readouterr().out
    assert "map by pca" in said and "random" in said and "wrote strays.csv" in said
    names = ["layout.csv", "layout.png", "quality.csv", "run.yaml", "scores.parquet", "strays.csv", "summary.json"]
    assert sorted(path.name for path in Path("map").iterdir()) == names
    short, whole = pd.read_csv("map/layout.csv"), pd.read_parquet("map/scores.parquet")
    assert list(short) == ["id", "latitude", "longitude", "x", "y", "2_clusters", "3_clusters", "score", "isolated"]
    assert np.allclose(short["x"], whole["x"]) and short["isolated"].sum() == 1
    assert Path("map/layout.png").read_bytes()[:4] == b"\x89PNG"
    before = hashes(work)
    assert main(argv) == 0 and hashes(work) == before, "the same twice"
    assert main(["explore", "map", "--out", "page.html"]) == 0


def test_similar_and_duplicates_print_and_keep_their_tables(work, capsys):
    e = read_embeddings("data")
    assert main(["embeddings", "similar", "data", "claytile_04WDE_0003", "0", "-k", "2", "--out", "like.parquet"]) == 0
    said = capsys.readouterr().out
    pd.testing.assert_frame_equal(pd.read_parquet("like.parquet"), similar(e, [53, 0], 2), check_dtype=False)
    assert "claytile_04WDE_0009" in said and "0.0000" in said and "wrote 4 rows to like.parquet" in said
    assert main(["embeddings", "duplicates", "data", "--out", "twice.csv"]) == 0
    said = capsys.readouterr().out
    assert "1 group: 1 tile of 80 could go; 0 at the place of the tile that is kept, 1 elsewhere, 0 not known" in said
    assert pd.read_csv("twice.csv")["row"].tolist() == duplicates(e)["row"].tolist() == [53, 59]
    assert main(["embeddings", "duplicates", f"data/{CLAY}", "--out", "none.json"]) == 0
    assert "none of 50 tiles is there twice" in capsys.readouterr().out and json.loads(
        Path("none.json").read_text()) == []


def test_similar_asks_for_vectors_from_outside(work, capsys):
    e = read_embeddings("data")
    np.save("one.npy", e.X[3] * 2)
    np.save("two.npy", e.X[[5, 4]].astype(np.float64))
    assert main(["embeddings", "similar", "data", "--like", "one.npy", "-k", "3", "--out", "like.csv"]) == 0
    assert pd.read_csv("like.csv")["row"].tolist() == similar(e, e.X[3] * 2, 3)["row"].tolist()
    assert main(["embeddings", "similar", "data", "--like", "two.npy", "-k", "1", "--out", "like.csv"]) == 0
    assert pd.read_csv("like.csv")["row"].tolist() == [5, 4]
    assert main(["embeddings", "similar", "data", "--like", f"data/{CLAY}", "-k", "1", "--out", "like.csv"]) == 0
    kept = pd.read_csv("like.csv")
    assert len(kept) == 50 and (kept["query"] == kept["id"]).mean() > 0.9 and kept["km"].notna().all()
    np.save("words.npy", np.array(["a"]))
    np.save("short.npy", np.ones(3))
    for name, words in (("words.npy", "wants floats"), ("short.npy", "needs the same model")):
        refused(work, capsys, ["similar", "data", "--like", name], words)
    refused(work, capsys, ["similar", "data", "--like", "two.npy", "--out", "two.npy"], "kept as .csv")
    refused(work, capsys, ["similar", f"data/{CLAY}", "--like", "like.csv", "--out", "like.csv"], "input")


def test_an_id_goes_before_a_number_and_a_shared_id_is_told(work, capsys):
    rows = pa.table({"id": ["1", "0", "0", "x"], "embedding": [[1.0, 0.1], [0.9, 0.2], [0.1, 1.0], [-1.0, 0.3]]})
    pq.write_table(rows, "few.parquet")
    assert main(["embeddings", "similar", "few.parquet", "0", "3", "-k", "1", "--out", "like.json"]) == 0
    found, said = json.loads(Path("like.json").read_text()), capsys.readouterr().out
    assert [(each["query"], each["row"]) for each in found] == [("0", 0), ("x", 2)]
    assert "2 tiles are called 0: the first, row 1, is taken" in said and "share their id" in said
    refused(work, capsys, ["similar", "few.parquet", "9"], "no row 9: there are 4 tiles")
    refused(work, capsys, ["similar", "few.parquet", "absent"], "no tile 'absent'")


def test_info_tells_model_files_notes_and_places(work, capsys):
    shutil.move(f"data/{SECOND}", "data/01WCP_20220611_20220611_v001.gpq")
    Path("data/part.gpq.part").write_bytes(b"half")
    assert main(["embeddings", "info", "data", "--out", "wrong.csv"]) == 0
    said = capsys.readouterr().out
    for words in ("80 tiles of 8 numbers each", "model: not told", "files: 2", f"{CLAY}: 50 tiles", "2022-06-10 to",
                  "squares: 03WVN (50), 01WCP (30)", "note: 1 file of other kinds not read: .part",
                  "check of places: 30 of 80 tiles not in order", "km from zone and band of 01WCP",
                  "wrote 30 rows to wrong.csv"):
        assert words in said, words
    wrong = pd.read_csv("wrong.csv")
    assert set(wrong["mgrs"]) == {"01WCP"} and wrong["row"].tolist() == list(range(30)), "by the names of the files"


def test_rows_without_a_vector_are_refused_or_counted(work, capsys):
    table = clay_table(40, 8)
    vectors = [None if row == 5 else [float("nan")] * 8 if row == 6 else each
               for row, each in enumerate(table["embeddings"].to_pylist())]
    pq.write_table(replaced(table, "embeddings", pa.array(vectors, pa.list_(pa.float32()))), "gaps.parquet")
    refused(work, capsys, ["info", "gaps.parquet"], "2 rows without a usable vector")
    refused(work, capsys, ["isolate", "gaps.parquet"], "--drop-missing")
    assert main(["embeddings", "isolate", "gaps.parquet", "--drop-missing"]) == 0
    assert "0 tiles of 38 stand alone" in capsys.readouterr().out
    notes = json.loads(Path("strays/summary.json").read_text())["notes"]
    assert any(note.startswith("dropped 2 rows without a usable vector") for note in notes)


def test_cache_is_read_by_every_command_and_goes_stale(work, capsys):
    assert main(["embeddings", "cache", "data", "kept"]) == 0 and "wrote X.npy" in capsys.readouterr().out
    assert main(["embeddings", "cache", "data", "kept"]) == 0 and "there already" in capsys.readouterr().out
    for argv in (["info", "kept"], ["isolate", "kept"], ["map", "kept", "--method", "pca", "--clusters", "none"],
                 ["similar", "kept", "3"], ["duplicates", "kept"], ["tiles", "kept", "3", "--size", "32"]):
        assert main(["embeddings", *argv]) == 0, argv
    refused(work, capsys, ["info", "kept", "--column", "v", "--stride", "2"], "leave out --column, --stride")
    refused(work, capsys, ["info", "kept", "data"], "give it alone")
    refused(work, capsys, ["cache", "kept", "again"], "saved already")
    refused(work, capsys, ["cache", "data", "data"], "give a folder of its own")
    refused(work, capsys, ["cache", f"data/{CLAY}", "data"], "give a folder of its own")
    refused(work, capsys, ["cache", "data"], "give at least one INPUT and OUT")
    shutil.copy(f"data/{CLAY}", "data/03WVN_20220612_20220612_v001.gpq")
    refused(work, capsys, ["cache", "data", "kept"], "the cache is stale")


def test_a_store_and_a_glob_name_the_same_files(work, capsys):
    for argv in (["data/*.gpq", "--out", "a"], ["/", "--store", "data", "--out", "b"],
                 [f"data/{SECOND}", f"data/{CLAY}", "--out", "c"]):
        assert main(["embeddings", "isolate", *argv, "--eps", "1"]) == 0, argv
    assert len({Path(name, "strays.csv").read_text() for name in "abc"}) == 1


def test_results_below_the_inputs_are_no_inputs(work, capsys):
    for _ in range(2):
        assert main(["embeddings", "isolate", "."]) == 0
    said = capsys.readouterr().out
    assert "of 80 stand" in said
    assert "4 files of results not read" in said and "other kinds" not in said
    refused(work, capsys, ["info", "strays/scores.parquet"], "scores.parquet")
    refused(work, capsys, ["info", "strays"], "or results")


# ---------------------------------------------------------------- what they refuse

@pytest.mark.parametrize(("argv", "words"), [
    (["isolate", "in"], "is the input itself"),
    (["isolate", "in", "--out", "linked"], "is the input itself"),
    (["map", "in/*.parquet", "--out", "./in"], "is the input itself"),
    (["similar", "in", "1", "--out", "in/scores.parquet"], "is the input itself"),
    (["duplicates", "scores.parquet", "--store", "in", "--out", "in/scores.parquet"], "is the input itself"),
    (["info", "kept", "--out", "kept/table.parquet"], "is the input itself"),
    (["cache", "in", "in"], "give a folder of its own"),
], ids=lambda each: " ".join(each) if isinstance(each, list) else "")
def test_no_command_writes_over_what_it_reads(work, capsys, argv, words):
    Path("in").mkdir()
    shutil.copy(f"data/{CLAY}", "in/scores.parquet")
    Path("linked").mkdir()
    os.symlink(work / "in" / "scores.parquet", "linked/scores.parquet")
    os.mkdir("strays")
    os.link("in/scores.parquet", "strays/scores.parquet")
    assert main(["embeddings", "cache", "in", "kept"]) == 0
    refused(work, capsys, argv, words)


@pytest.mark.parametrize(("argv", "words"), [
    (["info", "absent"], "no such file"),
    (["info", ""], "an empty"),
    (["info", "data", "--format", "npy"], "format is"),
    (["info", "data", "--column", "absent"], "absent"),
    (["info", "data", "--stride", "0"], "stride"),
    (["info", "data", "--out", "x.xlsx"], "kept as .csv, .json or .parquet"),
    (["info", "data", "--out", "absent/x.csv"], "no such folder"),
    (["isolate", "data", "--eps", "far"], "eps must be a number above 0, or auto, not 'far'"),
    (["isolate", "data", "--eps", "nan"], "eps must be"),
    (["isolate", "data", "--eps", "-1"], "eps must be"),
    (["isolate", "data", "--min-samples", "few"], "min_samples must be"),
    (["isolate", "data", "--min-samples", "999"], "fewer than min_samples 999"),
    (["isolate", "data", "--metric", "l1"], "metric must be"),
    (["isolate", "data", "--jobs", "0"], "n_jobs is 0"),
    (["isolate", "data", "--out", "http://bob:PASSWORD@127.0.0.1:9/x"], "a path of this disk"),
    (["isolate", "data", "--out", f"data/{CLAY}"], "cannot write into"),
    (["map", "data", "--method", "mds"], "method must be one of"),
    (["map", "data", "--clusters", "few"], "--clusters must be density, none"),
    (["map", "data", "--clusters", "0"], "numbers of at least 1"),
    (["map", "data", "--method", "pca", "--colour", "hue"], "no column 'hue'"),
    (["similar", "data"], "Give ids or numbers of rows, or --like FILE"),
    (["similar", "data", "1", "--like", "data"], "and not both"),
    (["similar", "data", "--like", "absent.npy"], "No such file"),
    (["similar", "data", "--like", ""], "an empty text"),
    (["similar", "data", "1", "-k", "0"], "k"),
    (["duplicates", "data", "--within", "-1"], "within"),
    (["duplicates", "data", "--within", "nan"], "within"),
    (["tiles", "data", "1", "--template", "https://t.org/{z}?key=PASSWORD"], "template must hold"),
    (["tiles", "data", "1", "--size", "9999999"], "size"),
    (["tiles", "data", "1", "--token", "PASSWORD"], "No such option"),
    (["cache", "data", "memory://x"], "a path of this disk"),
    (["info", "http://bob:PASSWORD@127.0.0.1:9/x.gpq"], "127.0.0.1:9"),
    (["nosuch"], "nosuch"),
    ([], "give a command"),
], ids=lambda each: " ".join(each) if isinstance(each, list) else "")
def test_what_cannot_be_is_one_line(work, capsys, argv, words):
    refused(work, capsys, argv, words)
    main(["embeddings", *argv])
    said = capsys.readouterr()
    assert "PASSWORD" not in said.out + said.err.replace("--token", "")


def test_files_that_do_not_belong_together_are_named(work, capsys):
    pq.write_table(clay_table(4, 9), "data/03WVN_20220613_20220613_v001.gpq")
    refused(work, capsys, ["info", "data"], "read them apart")
    both = clay_table(4).append_column("other", pa.array([[1.0, 2.0]] * 4, pa.list_(pa.float32())))
    pq.write_table(both.rename_columns(["vector" if name == "embeddings" else name for name in both.column_names]),
                   "two.parquet")
    refused(work, capsys, ["info", "two.parquet"], "--column")
    assert main(["embeddings", "info", "two.parquet", "--column", "other"]) == 0
    assert "4 tiles of 2 numbers" in capsys.readouterr().out


# ---------------------------------------------------------------- pictures, the network, and the key

def test_without_key_and_template_nobody_is_asked(work, capsys, monkeypatch):
    def no_network(*args, **settings):
        raise AssertionError("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    assert main(["embeddings", "tiles", "data", "--eps", "1", "--size", "32"]) == 0
    assert "1 tile of 80 stands alone" in (said := capsys.readouterr().out) and "1 tile: 1 drawn" in said
    listed = pd.read_csv("rgbs/tiles.csv")
    assert listed["id"].tolist() == ["claytile_04WDE_0007"] and Path("rgbs", listed["file"][0]).is_file()
    assert main(["embeddings", "tiles", "data", "--eps", "0.01", "--most", "3", "--size", "32"]) == 0
    assert "pictures of the oddest 3" in capsys.readouterr().out and len(pd.read_csv("rgbs/tiles.csv")) == 3


@pytest.mark.parametrize("answer", [{"code": 401}, {"code": 404}, {"data": b"<html>"}, {"data": GOOD}], ids=str)
def test_the_key_of_the_environment_is_told_nowhere(work, capsys, monkeypatch, answer):
    monkeypatch.setenv("MAPBOX_token", KEY)
    with running() as server:
        server.answers = [answer]
        monkeypatch.setitem(TileSource.__init__.__kwdefaults__, "server", server.home)
        template = f"{server.home}/{{z}}/{{x}}/{{y}}?key={KEY}"
        assert main(["embeddings", "tiles", "data", "1", "2", "--size", "32", "--template", template]) == 0
        assert any(KEY in path for path in server.asked)
    said = capsys.readouterr()
    told = {"401": "it is not asked any more", "404": "Mapbox: ", "html": "no picture", "JFIF": "2 from Mapbox"}
    assert next(words for sign, words in told.items() if sign in str(answer)) in said.out, said
    assert KEY not in said.out + said.err
    assert not any(KEY.encode() in path.read_bytes() for path in work.rglob("*") if path.is_file())


def test_pictures_that_are_there_are_not_asked_for_again(work, capsys):
    with running() as server:
        template = f"{server.home}/{{z}}/{{x}}/{{y}}.png"
        argv = ["embeddings", "tiles", "data", "1", "--size", "32", "--template", template]
        assert main(argv) == 0 and "from the server of map tiles" in capsys.readouterr().out
        asked = len(server.asked)
        assert main(argv) == 0 and "1 there already" in capsys.readouterr().out and len(server.asked) == asked > 0


# ---------------------------------------------------------------- real tiles

@pytest.mark.skipif(not SHARED.is_dir(), reason="no embeddings of Clay here; the tests above run on made ones")
def test_on_real_tiles_a_group_of_six_finds_the_five_that_do_not_belong(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["embeddings", "isolate", str(SHARED), "--min-samples", "6"]) == 0
    assert "tiles of 422 stand alone" in capsys.readouterr().out
    strays = pd.read_csv("strays/strays.csv")["id"].str.contains("01WCP").tolist()
    assert strays[:5] == [True] * 5 and 5 <= len(strays) <= 9
    assert main(["embeddings", "info", str(SHARED)]) == 0
    assert "5 of 422 tiles not in order" in capsys.readouterr().out
