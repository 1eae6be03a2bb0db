"""Pictures of tiles: every fault of a server has an answer, nothing is asked unasked, and the key is nowhere."""

import copy
import json
import logging
import os
import pickle
import re
import socket
import sys
import time
import urllib.parse

import numpy as np
import pandas as pd
import picture_server
import pytest
from embedding_files import CLAY, clay_table, write
from picture_server import GOOD, KEY, painted

from oco2_outliers.ground.errors import InputError
from oco2_outliers.ground.files import is_temporary
from oco2_outliers.maps import web_pictures
from oco2_outliers.maps.drawn_tiles import tile_box
from oco2_outliers.maps.first_names import get_mapbox_image, process_file, process_rgb, reduce_precision
from oco2_outliers.maps.polygons import box_wkb, rings_of
from oco2_outliers.maps.reading import read_embeddings
from oco2_outliers.maps.table import Embeddings
from oco2_outliers.maps.tiles import TileSource, tile_picture

TILE = [(-167.0724, 65.7616), (-167.0761, 65.8075), (-167.1880, 65.8059), (-167.1841, 65.7600)]


@pytest.fixture(autouse=True)
def only_this_machine(monkeypatch):
    """No connection leaves the machine, nobody waits, and no key lies about."""
    connect = socket.socket.connect

    def guarded(self, address):
        assert address[0] in ("127.0.0.1", "localhost", "::1"), f"a connection to {address}"
        return connect(self, address)

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.delenv("MAPBOX_token", raising=False)


@pytest.fixture
def server():
    with picture_server.running() as running:
        yield running


@pytest.fixture
def slept(monkeypatch):
    """The seconds that were to be waited; nobody waits."""
    seconds = []
    monkeypatch.setattr(web_pictures.time, "sleep", seconds.append)
    return seconds


def source_of(server, folder, **settings):
    return TileSource(folder, KEY, **{"server": server.home, "timeout": 2, **settings})


FAULTS = {
    "no such tile": ([{"code": 404}], "Mapbox: not there (404)", 1),
    "too many calls": ([{"code": 429, "headers": {"Retry-After": "7"}}], "Mapbox: the server answers 429", 3),
    "a fault of the server": ([{"code": 500}], "Mapbox: the server answers 500", 3),
    "overloaded": ([{"code": 503}], "Mapbox: the server answers 503", 3),
    "a bad request": ([{"code": 422}], "Mapbox: the server answers 422", 1),
    "a page": ([{"data": b"<html>" + KEY.encode()}], "Mapbox: the answer is no picture", 1),
    "nothing": ([{"data": b""}], "Mapbox: the answer is no picture", 1),
    "half a picture": ([{"data": painted(64)[:-40]}], "Mapbox: the answer is no picture", 1),
    "a large file": ([{"data": b"x" * (8 * 2**20 + 1)}], "Mapbox: larger than 8 MB", 1),
    "a large picture": ([{"data": painted(4097, "PNG")}], "Mapbox: the answer is larger than 4096 pixels", 1),
    "a redirect": ([{"code": 302, "headers": {"Location": "http://localhost:9/x"}}],
                   "Mapbox: a redirect to another server, not followed", 1),
    "a redirect to a file": ([{"code": 302, "headers": {"Location": "file:///etc/passwd"}}],
                             "Mapbox: a redirect to another server, not followed", 1),
    "a circle": ([{"code": 302, "headers": {"Location": "/again"}}], None, None),
    "hung up": ([{"hang_up": True}], "Mapbox: the connection broke", 3),
    "cut short": ([{"data": GOOD, "length": len(GOOD) + 9}], "Mapbox: the connection broke", 3),
    "a wrong key": ([{"code": 401}], "Mapbox: the server refuses the key (401); it is not asked any more", 1),
    "a forbidden key": ([{"code": 403}], "Mapbox: the server refuses the key (403); it is not asked any more", 1),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_ends_in_a_drawing_and_a_line(fault, server, slept, tmp_path, capfd, caplog):
    caplog.set_level(logging.DEBUG)
    server.answers, told, n_calls = copy.deepcopy(FAULTS[fault])
    source = source_of(server, tmp_path / "rgbs")
    picture = source.picture(TILE, "tile")
    assert picture.origin == "drawing" and picture.path is None and picture.image.size == (512, 512)
    assert len(source.notes) == 1 and "\n" not in source.notes[0]
    if told:
        assert source.notes[0] in (told, f"{told}: 1 time") and len(server.asked) == n_calls
    assert not (tmp_path / "rgbs").exists()
    bytes_, error = get_mapbox_image(TILE, KEY, server=server.home, timeout=2, retries=0)
    assert bytes_ is None and error.startswith("Error: ") and "\n" not in error
    out = capfd.readouterr()
    said = [repr(picture), repr(source), repr(vars(source)), str(source.notes), error, picture.note, out.out, out.err,
            caplog.text, picture.data.decode("latin-1")]
    assert not [text for text in said if KEY in text or "secret" in text]


def test_a_key_that_is_refused_is_not_sent_again(server, slept, tmp_path):
    for code in (401, 403):
        server.answers, server.asked[:] = [{"code": code}], []
        source = source_of(server, tmp_path)
        for name in "abc":
            assert source.picture(TILE, name).origin == "drawing"
        assert len(server.asked) == 1 and len(source.notes) == 1 and source.counts == {"drawing": 3}


def test_what_passes_is_tried_again(server, slept, tmp_path):
    server.answers = [{"code": 503}, {"hang_up": True}, {"data": GOOD}]
    picture = source_of(server, tmp_path).picture(TILE, "tile")
    assert (picture.origin, picture.data, slept) == ("mapbox", GOOD, [0.5, 1.0])
    assert (tmp_path / "tile.jpg").read_bytes() == GOOD and picture.note == ""
    slept.clear()
    server.answers = [{"code": 429, "headers": {"Retry-After": "7"}}, {"code": 429, "headers": {"Retry-After": "3600"}},
                      {"data": GOOD}]
    assert source_of(server, tmp_path).picture(TILE, "other").origin == "mapbox" and slept == [7.0, 60.0]


def test_an_answer_that_never_comes(server, tmp_path, monkeypatch):
    server.answers = [{"wait": 5, "data": GOOD}]
    began = time.monotonic()
    source = source_of(server, tmp_path, timeout=0.2, retries=0)
    assert source.picture(TILE, "tile").note == "Mapbox: no answer in time" and time.monotonic() - began < 3
    server.answers = [{"data": painted(200, "PNG"), "piece": 8}]  # drop by drop, each in time
    assert source.picture(TILE, "tile").note == "Mapbox: no answer in time" and time.monotonic() - began < 6


def test_a_redirect_on_the_same_server_is_followed(server, tmp_path):
    server.answers = [{"code": 302, "headers": {"Location": "/elsewhere"}}, {"data": GOOD}]
    assert source_of(server, tmp_path).picture(TILE, "tile").origin == "mapbox" and server.asked[1] == "/elsewhere"


def test_mapbox_is_asked_for_the_true_box(server, tmp_path):
    source_of(server, tmp_path).picture(TILE, "tile")
    path = urllib.parse.unquote(server.asked[0])
    box = [float(value) for value in re.search(r"/\[([^\]]*)\]/512x512", path)[1].split(",")]
    assert np.allclose(box, tile_box(TILE), atol=2e-5)
    assert box[0] <= -167.1880 and box[1] <= 65.7600 and box[2] >= -167.0724 and box[3] >= 65.8075
    drawn = json.loads(re.search(r"geojson\((.*)\)/\[", path)[1])
    assert drawn["geometry"]["coordinates"][0][0] == [-167.0724, 65.7616] and drawn["properties"]["stroke"] == "#f00000"
    assert path.endswith(f"access_token={KEY}") and path.startswith("/styles/v1/mapbox/satellite-streets-v12/static/")


def test_the_order_of_sources(server, tmp_path):
    (tmp_path / "here.png").write_bytes(painted(8, "PNG"))
    (tmp_path / "half.jpg").write_bytes(GOOD[:100])
    source = source_of(server, tmp_path, template=f"{server.home}/{{z}}/{{x}}/{{y}}.png")
    assert source.picture(TILE, "here").origin == "file" and server.asked == []
    assert source.picture(TILE, "half").origin == "mapbox" and (tmp_path / "half.jpg").read_bytes() == GOOD
    server.answers = [{"code": 404}, {"data": painted(256, "PNG")}]
    picture = source.picture(TILE, "new")
    assert picture.origin == "template" and picture.image.size == (512, 512) and (tmp_path / "new.jpg").is_file()
    assert re.fullmatch(r"/\d+/\d+/\d+\.png", server.asked[-1])
    assert (np.asarray(picture.image.convert("RGB"))[:, :, 0] > 200).sum() > 500  # the outline
    server.answers = [{"code": 404}]
    assert source.picture(TILE, "gone").origin == "drawing"
    assert source.counts == {"file": 1, "mapbox": 1, "template": 1, "drawing": 1}
    assert not [name for name in os.listdir(tmp_path) if is_temporary(name)]


@pytest.mark.parametrize("tile", [[(179.9, 66), (-179.9, 66), (-179.9, 66.1)], [(10, 86), (11, 86), (11, 87)],
                                  [(5, 50), (5.0001, 50), (5.0001, 50.0001)], [(-170, -60), (170, -60), (170, 70)]])
def test_map_tiles_anywhere_on_the_globe(tile, server, tmp_path):
    server.answers = [{"data": painted(256, "PNG")}]
    source = TileSource(tmp_path, "", f"{server.home}/{{z}}/{{x}}/{{y}}", timeout=2)
    assert source.picture(tile, "tile", 64).image.size == (64, 64) and 1 <= len(server.asked) <= 9
    for path in server.asked:
        z, x, y = map(int, path.strip("/").split("/"))
        assert 0 <= x < 2**z and 0 <= y < 2**z and z <= 18


def test_names_stay_in_the_folder(server, tmp_path):
    folder = tmp_path / "a" / "rgbs"
    source = source_of(server, folder)
    for name in ("../../out", "/etc/passwd", "a/b", "..", "C:\\x", "\0", "x" * 400, "", "\ud800", ".hidden"):
        path = source.picture(TILE, name).path
        assert path.parent == folder and path.read_bytes() == GOOD and source.picture(TILE, name).origin == "file"
    assert os.listdir(tmp_path) == ["a"] and os.listdir(tmp_path / "a") == ["rgbs"]


def test_nothing_is_asked_without_a_key_or_an_address(tmp_path, monkeypatch):
    monkeypatch.setattr(socket.socket, "connect", lambda *args: pytest.fail("a connection"))
    assert TileSource(tmp_path).picture(TILE, "tile").origin == tile_picture(TILE).origin == "drawing"
    assert process_rgb({"source_url": "s3://t/x.tif", "geometry": TILE}, tmp_path).startswith("Error: no picture of x")
    assert os.listdir(tmp_path) == []


def test_the_key_of_the_environment(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MAPBOX_token", KEY)
    assert TileSource(tmp_path, server=server.home, timeout=2).picture(TILE, "tile").origin == "mapbox"
    assert TileSource(tmp_path, "", server=server.home).picture(TILE, "other").origin == "drawing"
    for how in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(TypeError, match="holds a key"):
            how(TileSource(tmp_path))


def test_pictures_of_rows(server, slept, tmp_path):
    e = Embeddings(np.eye(3), pd.DataFrame({"id": ["a", "b", "c"]}),
                   np.array([box_wkb(5, 50, 6, 51), None, box_wkb(7, 50, 8, 51)], object))
    source = source_of(server, tmp_path)
    assert [row for row, _ in source.pictures(e)] == [0, 2] and source.notes == ["no outline, so no picture: 1 time"]
    assert [row for row, _ in source.pictures(e, [True, False, False])] == [0]
    with pytest.raises(InputError, match="an outline is WKB"):
        tile_picture("nonsense")


# ---------------------------------------------------------------- the first names

@pytest.mark.parametrize("known_as", ["corners", "shapely"])
def test_first_names(server, tmp_path, monkeypatch, capsys, known_as):
    polygon = TILE
    if known_as == "shapely":
        shapely = pytest.importorskip("shapely", reason="no shapely (extra embeddings); corners take the same way")
        polygon = shapely.Polygon(TILE)
    monkeypatch.chdir(tmp_path)
    assert get_mapbox_image(polygon, KEY, server=server.home) == (GOOD, None)
    assert reduce_precision([[(1.234, 5.678)]]) == [[(1.23, 5.68)]] and reduce_precision((1.26, 2), 1) == (1.3, 2)
    row = pd.Series({"source_url": "s3://t/claytile_1.tif", "geometry": polygon})
    path = process_rgb(row, token=KEY, server=server.home)
    assert path.as_posix() == "rgbs/claytile_1.jpg" and path.read_bytes() == GOOD and process_rgb(row) == path
    assert capsys.readouterr().out == f"Saving {path}\nFile {path} already exists.\n"
    server.answers = [{"code": 401}]
    row["source_url"] = "s3://t/other.tif"
    assert process_rgb(row, token=KEY, server=server.home) == "Error: Mapbox: the server refuses the key (401)"
    assert process_rgb({"geometry": TILE}).startswith("Error: ")
    assert get_mapbox_image(TILE, "") == (None, "Error: no key of Mapbox was given")


def test_process_file(tmp_path, capsys, monkeypatch):
    pytest.importorskip("geopandas", reason="no geopandas (extra geo); test_reading_embeddings reads the same file")
    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    frame = process_file(write(tmp_path, CLAY, clay_table()))
    monkeypatch.undo()
    time.tzset()
    assert frame["date"].tolist() == frame["mindate"].tolist() == [1654819200] * 5 and frame["mgrs"][0] == "03WVN"
    vector = frame["embeddings"][0]
    assert frame["version"][0] == 1 and isinstance(vector[0], float) and len(vector) == 8
    assert {"index", "source_url", "geometry"} <= set(frame) and frame.crs.to_epsg() == 4326
    assert process_file(write(tmp_path, "x.gpq", clay_table())) is None
    assert capsys.readouterr().out == "Filename x.gpq does not match the expected pattern.\n"


def test_process_file_without_geopandas(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "geopandas", None)
    with pytest.raises(InputError, match=r"a GeoDataFrame needs geopandas: pip install 'oco2_outliers\[geo\]'"):
        process_file(write(tmp_path, CLAY, clay_table()))


# ---------------------------------------------------------------- the box

def first_box(corners):
    """The box as the original notebook took it: the latitude of the westmost and of the eastmost corner."""
    rounded = [(round(x, 2), round(y, 2)) for x, y in corners]
    return (*min(rounded), *max(rounded))


def is_box_of(box, corners, slack):
    """Whether a box is the least that holds all corners, but for the rounding."""
    return np.allclose(box, [*corners.min(axis=0), *corners.max(axis=0)], atol=slack, rtol=0)


def test_the_box_on_turned_tiles():
    """A tile that is turned: the westmost corner is not the southmost."""
    turned = [(0.0, 0.5), (0.5, 0.0), (1.0, 0.5), (0.5, 1.0)]
    assert tile_box(turned) == (0, 0, 1, 1) and first_box(turned) == (0, 0.5, 1, 0.5)


def test_the_box_on_real_tiles(shared_data):
    """The original's box is wrong for 108 of 417 real tiles, beyond its rounding; ours for none."""
    e = read_embeddings(shared_data / "embeddings" / "03WVN_20220610_20220610_v001.gpq")
    corners = [rings_of(outline)[0] for outline in e.geometry]
    rounded = [np.round(each, 2) for each in corners]
    assert sum(not is_box_of(first_box(each), near, 1e-9) for each, near in zip(corners, rounded)) == 108
    assert all(is_box_of(tile_box(outline), each, 1e-12) for outline, each in zip(e.geometry, corners))
