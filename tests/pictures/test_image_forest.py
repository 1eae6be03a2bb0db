"""What the notebook 02_image_forest does not show: hostile files, oracles, the original's numbers."""
from __future__ import annotations

import contextlib
import io
import json
import os
import pickle
import shutil
import tracemalloc
import zipfile
import zlib

import cv2
import numpy as np
import pandas as pd
import pytest
from naive import opencv_counts, original_features
from PIL import Image
from sklearn.ensemble import IsolationForest
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from oco2_outliers.ground.errors import InputError
from oco2_outliers.image_forest import (
    ImageForest,
    compare_detectors,
    convert_model,
    judge_picture,
    load_dataset,
    scan_folder,
    simulate_pictures,
    train_model,
)
from oco2_outliers.pictures.colours import ColourCounter, _colour_bins, _count_bins


@pytest.fixture(autouse=True)
def one_thread_for_small_matrices():
    """On a busy machine threads wait for each other far longer than these matrices take."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    return folder, simulate_pictures(folder, n_pictures=40, random_state=0)


@parametrize_with_checks([ImageForest(preset="tutorial", n_estimators=10, contamination=0.1),
                          ImageForest(contamination=0.1)])
def test_scikit_learn_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("bins", [(3, 3, 3), (4, 6, 3), (1, 1, 1), (16, 2, 5)])
def test_features_equal_the_original_to_the_bit(pictures, bins):
    folder, truth = pictures
    np.testing.assert_array_equal(load_dataset(folder, bins), [original_features(p, bins) for p in truth.path])


def test_a_dataset_is_of_a_folder_that_exists_and_holds_a_readable_picture(pictures, tmp_path):
    with pytest.raises(FileNotFoundError, match="no folder"):
        load_dataset(tmp_path / "absent", (3, 3, 3))
    with pytest.raises(InputError, match="no usable picture among 0 files"):
        load_dataset(tmp_path, (3, 3, 3))
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="no usable picture among 1 file; .a.jpg.: empty file"):
        load_dataset(tmp_path, (3, 3, 3))
    for wrong in ((3, 3), 3, (0, 3, 3)):
        with pytest.raises(InputError, match="bins must be"):
            load_dataset(pictures[0], wrong)


# --- the table of colours, and what it stands for ---


def table_counter(bins):
    counter = ColourCounter(bins)
    counter.make_table()
    assert counter.table is not None
    return counter


@pytest.mark.parametrize("bins", [(3, 3, 3), (4, 6, 3), (1, 1, 1), (16, 2, 5), (256, 1, 1), (1, 256, 1), (7, 6, 6)])
def test_the_table_counts_what_opencv_counts(bins):
    rng = np.random.default_rng(5)
    counter = table_counter(bins)
    for _ in range(60):
        height, width = rng.integers(1, 90, 2)
        low, high = np.sort(rng.integers(0, 256, 2))
        image = rng.integers(low, high + 1, (height, width, 3), dtype=np.uint8)
        counts = counter.counts(image)
        np.testing.assert_array_equal(counts, opencv_counts(image, bins), strict=True)
        assert counts.sum() == height * width


def test_pictures_of_any_memory_layout_are_counted_alike():
    counter = table_counter((3, 3, 3))
    memory = np.random.default_rng(6).integers(0, 256, 3 * 40 * 50 + 7, dtype=np.uint8)
    for shift in range(8):
        image = memory[shift : shift + 3 * 40 * 49].reshape(40, 49, 3)
        image.flags.writeable = bool(shift % 2)
        np.testing.assert_array_equal(counter.counts(image), opencv_counts(image, (3, 3, 3)))


def test_the_compiled_count_is_the_plain_one():
    image = np.random.default_rng(7).integers(0, 256, (8, 9, 3), dtype=np.uint8)
    plain = _count_bins(image.reshape(-1).view(np.uint64), _colour_bins((3, 3, 3))).sum(axis=0)[:27]
    np.testing.assert_array_equal(plain, opencv_counts(image, (3, 3, 3)).ravel())


@pytest.mark.slow
@pytest.mark.parametrize("bins", [(3, 3, 3), (4, 6, 3), (16, 4, 4)])
def test_the_table_holds_for_every_colour(bins):
    table = _colour_bins(bins)
    colours = np.random.default_rng(0).permutation(1 << 24).astype("<u4")
    colours = colours[np.argsort(table[colours], kind="stable")]
    image = colours.view(np.uint8).reshape(4096, 4096, 4)[:, :, :3].copy()
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV).reshape(1, -1, 3)
    sizes = np.bincount(table, minlength=256)
    for at, last in enumerate(np.cumsum(sizes)[: int(np.prod(bins))]):
        if sizes[at]:
            part = np.ascontiguousarray(hsv[:, last - sizes[at] : last])
            counts = cv2.calcHist([part], [0, 1, 2], None, list(bins), [0, 180, 0, 256, 0, 256]).ravel()
            assert counts[at] == counts.sum() == sizes[at]
    np.testing.assert_array_equal(table_counter(bins).counts(image), opencv_counts(image, bins))


def test_the_table_is_made_once_it_pays_and_never_where_it_cannot(pictures, monkeypatch):
    monkeypatch.setattr("oco2_outliers.pictures.colours._PIXELS_BEFORE_TABLE", 3 * 128 * 96)
    image = cv2.imread(pictures[1].path[0])
    counter = ColourCounter((3, 3, 3))
    there = []
    for _ in range(4):
        np.testing.assert_array_equal(counter.counts(image), opencv_counts(image, (3, 3, 3)))
        there.append(counter.table is not None)
    assert there == [False, False, True, True]
    many = ColourCounter((16, 16, 16))
    for _ in range(4):
        np.testing.assert_array_equal(many.counts(image), opencv_counts(image, (16, 16, 16)))
    assert many.table is None


def test_pictures_that_are_known_to_come_bring_the_table_forward(pictures, monkeypatch):
    monkeypatch.setattr("oco2_outliers.pictures.colours._PIXELS_BEFORE_TABLE", 50 * 128 * 96)
    image = cv2.imread(pictures[1].path[0])
    few, many = ColourCounter((3, 3, 3)), ColourCounter((3, 3, 3))
    few.expect(49)
    many.expect(50)
    for counter in (few, many):
        np.testing.assert_array_equal(counter.counts(image), opencv_counts(image, (3, 3, 3)))
    assert few.table is None and many.table is not None


@pytest.mark.parametrize("broken", [lambda: (_ for _ in ()).throw(ImportError("numba")),
                                    lambda: lambda words, table: np.zeros((8, 272), np.uint32)])
def test_opencv_goes_on_counting_where_the_table_fails(monkeypatch, broken):
    monkeypatch.setattr("oco2_outliers.pictures.colours._compiled_count", broken)
    monkeypatch.setattr("oco2_outliers.pictures.colours._PIXELS_BEFORE_TABLE", 0)
    counter = ColourCounter((3, 3, 3))
    image = np.random.default_rng(9).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    for _ in range(2):
        np.testing.assert_array_equal(counter.counts(image), opencv_counts(image, (3, 3, 3)))
    assert counter.table is None


def test_scores_equal_scikit_learn_to_the_bit(pictures):
    folder, truth = pictures
    data = load_dataset(folder, (3, 3, 3))
    reference = IsolationForest(n_estimators=100, contamination=0.01, random_state=42).fit(data)
    forest = ImageForest(preset="tutorial").fit(folder)
    np.testing.assert_array_equal(forest.score_samples(truth.path), reference.score_samples(data))
    np.testing.assert_array_equal(forest.predict(truth.path), reference.predict(data))


def test_saved_model_scores_the_same(pictures, tmp_path):
    folder, truth = pictures
    forest = train_model(folder, tmp_path / "m.npz")
    kept = ImageForest.load(tmp_path / "m.npz")
    np.testing.assert_array_equal(kept.decision_function(truth.path), forest.decision_function(truth.path))
    forest.save(tmp_path / "again.npz")
    assert (tmp_path / "m.npz").read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_commands_say_what_the_original_said(pictures, tmp_path, capsys):
    folder, truth = pictures
    train_model(folder, tmp_path / "m.npz")
    verdict = judge_picture(tmp_path / "m.npz", truth.path[0], output=tmp_path / "out.png")
    assert capsys.readouterr().out.splitlines() == [
        "[INFO] preparing dataset...",
        "[INFO] fitting anomaly detection model...",
        "[INFO] loading anomaly detection model...",
    ]
    expected = cv2.imread(truth.path[0])
    colour = (0, 0, 255) if verdict.label == "anomaly" else (0, 255, 0)
    cv2.putText(expected, verdict.label, (10, 25), cv2.FONT_HERSHEY_SIMPLEX, 0.7, colour, 2)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "out.png")), expected)


def test_show_without_a_display_is_one_clear_line(pictures, tmp_path, monkeypatch):
    folder, truth = pictures
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    train_model(folder, tmp_path / "m.npz")
    with pytest.raises(InputError, match="no display"):
        judge_picture(tmp_path / "m.npz", truth.path[0], show=True)


# --- files that may be anything ---


def encoded(ending, image, *settings):
    return cv2.imencode(ending, image, list(settings))[1].tobytes()


def pillow(kind, image, **settings):
    file = io.BytesIO()
    image.save(file, kind, **settings)
    return file.getvalue()


def odd_files(forest):
    """Name -> (bytes, usable) of every kind of picture file that has broken a script before."""
    picture = Image.fromarray(forest[:, :, ::-1])
    frames = [picture.rotate(a) for a in (30, 60)]
    turned = Image.Exif()
    turned[0x0112] = 6
    jpeg, png = encoded(".jpg", forest), encoded(".png", forest)
    bomb = bytearray(encoded(".png", np.zeros((2, 2, 3), np.uint8)))
    bomb[16:24] = (60000).to_bytes(4) * 2
    bomb[29:33] = zlib.crc32(bomb[12:29]).to_bytes(4)
    jpeg_bomb = bytearray(jpeg)
    at = jpeg_bomb.find(b"\xff\xc0")
    jpeg_bomb[at + 5 : at + 9] = b"\xff\xff\xff\xff"
    return {
        "plain.jpg": (jpeg, True),
        "progressive.jpg": (pillow("JPEG", picture, progressive=True), True),
        "trailing.jpg": (jpeg + b"\0" * 99, True),
        "grey.jpg": (encoded(".jpg", forest[:, :, 0]), True),
        "cmyk.jpg": (pillow("JPEG", picture.convert("CMYK")), True),
        "turned.jpg": (pillow("JPEG", picture, exif=turned), True),
        "grey.png": (encoded(".png", forest[:, :, 0]), True),
        "alpha.png": (pillow("PNG", picture.convert("RGBA")), True),
        "grey_alpha.png": (pillow("PNG", picture.convert("LA")), True),
        "palette.png": (pillow("PNG", picture.convert("P")), True),
        "one_bit.png": (pillow("PNG", picture.convert("1")), True),
        "deep.png": (encoded(".png", forest.astype(np.uint16) * 257), True),
        "animated.png": (pillow("PNG", picture, save_all=True, append_images=frames), True),
        "deep.tif": (encoded(".tif", forest.astype(np.uint16) * 257), True),
        "pages.tif": (pillow("TIFF", picture, save_all=True, append_images=frames), True),
        "plain.bmp": (encoded(".bmp", forest), True),
        "animated.gif": (pillow("GIF", picture, save_all=True, append_images=frames), True),
        "animated.webp": (pillow("WEBP", picture, save_all=True, append_images=frames), True),
        "one_pixel.png": (encoded(".png", np.zeros((1, 1, 3), np.uint8)), True),
        "empty.jpg": (b"", False),
        "text.jpg": (b"<html>not found</html>", False),
        "noise.png": (bytes(range(256)) * 9, False),
        "only_magic.jpg": (b"\xff\xd8\xff", False),
        "only_magic.png": (b"\x89PNG\r\n\x1a\n", False),
        "cut.jpg": (jpeg[: len(jpeg) // 2], False),
        "cut_by_two.jpg": (jpeg[:-2], False),
        "cut.png": (png[: len(png) // 2], False),
        "cut.bmp": (encoded(".bmp", forest)[:5000], False),
        "cut.webp": (pillow("WEBP", picture)[:500], False),
        "float.tif": (encoded(".tiff", forest.astype(np.float32)), False),
        "bomb.png": (bytes(bomb), False),
        "bomb.jpg": (bytes(jpeg_bomb), False),
    }


@pytest.fixture(scope="module")
def zoo(pictures, tmp_path_factory):
    folder = tmp_path_factory.mktemp("zoo")
    files = odd_files(cv2.imread(pictures[1].path[0]))
    for name, (data, _) in files.items():
        (folder / name).write_bytes(data)
    os.mkfifo(folder / "pipe.jpg")
    (folder / "folder.jpg").mkdir()
    (folder / "dangling.png").symlink_to("nowhere.png")
    return folder, files


@pytest.mark.parametrize("scale", [1, 4, 8])
def test_every_kind_of_file_is_used_or_skipped_with_a_reason(zoo, scale):
    folder, files = zoo
    forest = ImageForest(scale=scale).fit(folder)
    skipped = forest.skipped_.set_index(forest.skipped_.path.map(os.path.basename)).reason
    unusable = {name for name, (_, usable) in files.items() if not usable} | {"pipe.jpg", "dangling.png"}
    # A single pixel has no eighth.
    allowed = {"one_pixel.png"} if scale > 1 else set()
    assert unusable <= set(skipped.index) <= unusable | allowed
    assert all(skipped.str.len() > 0)
    assert "limit" in skipped["bomb.png"] and "limit" in skipped["bomb.jpg"]
    assert "truncated" in skipped["cut.jpg"] and "truncated" in skipped["cut.png"]
    assert skipped["empty.jpg"] == "empty file" and "regular" in skipped["pipe.jpg"]


def test_what_was_done_to_a_picture_is_noted(zoo, pictures):
    folder, _ = zoo
    with pytest.warns(UserWarning, match="left out"):
        load_dataset(folder, (3, 3, 3))
    table = ImageForest().fit(pictures[0]).result_table(folder)
    note = table.set_index(table.path.map(os.path.basename)).note
    assert note["deep.png"] == "16-bit" and note["cmyk.jpg"] == "CMYK" and note["grey.jpg"] == "grey"
    assert note["grey_alpha.png"] == "grey, alpha ignored" and note["plain.jpg"] == ""
    assert all("first frame" in note[name] for name in ("animated.png", "animated.gif", "animated.webp", "pages.tif"))
    sizes = table.set_index(table.path.map(os.path.basename))[["width", "height"]]
    assert tuple(sizes.loc["turned.jpg"]) == (96, 128) and tuple(sizes.loc["plain.jpg"]) == (128, 96)


def test_the_same_picture_in_many_files_has_the_same_colours(zoo, pictures):
    folder, _ = zoo
    forest = ImageForest().fit(pictures[0])
    same = ["alpha.png", "deep.png", "animated.png", "plain.bmp", "deep.tif", "pages.tif"]
    scores = forest.score_samples([folder / name for name in same])
    np.testing.assert_array_equal(scores, forest.score_samples([pictures[1].path[0]])[0])


def test_random_damage_never_breaks_a_scan(pictures, tmp_path):
    rng = np.random.default_rng(3)
    forest = cv2.imread(pictures[1].path[0])
    for number in range(300):
        ending = (".jpg", ".png", ".webp", ".gif", ".tif", ".bmp")[number % 6]
        data = bytearray(encoded(ending, forest))
        for at in rng.integers(0, len(data) if number % 2 else 64, 4):
            data[at] = rng.integers(256)
        (tmp_path / f"{number:03d}{ending}").write_bytes(data)
    (tmp_path / "good.png").write_bytes(encoded(".png", forest))
    model = ImageForest(max_pixels=10_000_000).fit(tmp_path)
    assert len(model.manifest_) + len(model.skipped_) == 301


def test_unusable_input_is_named(tmp_path, pictures):
    with pytest.raises(FileNotFoundError, match="no folder"):
        ImageForest().fit(tmp_path / "absent")
    with pytest.raises(InputError, match="no usable picture among 0"):
        ImageForest().fit(tmp_path)
    (tmp_path / "a.jpg").write_bytes(b"")
    with pytest.raises(InputError, match="among 1 file; .a.jpg.: empty file"):
        ImageForest().fit(tmp_path)
    for wrong in ({"bins": (3, 3)}, {"bins": (0, 3, 3)}, {"bins": 3}, {"scale": 3}, {"contamination": 0},
                  {"features": "x"}, {"detector": "x"}, {"contamination": "much", "detector": "lof"},
                  {"preset": "x"}, {"whiten": "x"}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            ImageForest(**wrong).fit(pictures[0])
    forest = ImageForest().fit(pictures[0])
    with pytest.warns(UserWarning, match="1 file left out"):
        assert forest.predict([tmp_path / "a.jpg", pictures[1].path[0]])[0] == 0
    with pytest.raises(InputError, match="empty file"):
        forest.explain(tmp_path / "a.jpg")


def test_pictures_in_memory_score_as_their_files(pictures):
    folder, truth = pictures
    forest = ImageForest(features="colour+layout+texture+thumbnail", detector="neighbours").fit(folder)
    images = [cv2.imread(p) for p in truth.path]
    np.testing.assert_array_equal(forest.score_samples(images), forest.score_samples(folder))
    np.testing.assert_array_equal(forest.score_samples(np.array(images)), forest.score_samples(truth.path))


# --- the model file ---


@pytest.mark.parametrize("detector", ["forest", "neighbours", "lof", "svm", "radius"])
@pytest.mark.parametrize("features", ["colour", "thumbnail", "colour+layout+texture+thumbnail"])
def test_every_model_survives_its_file(pictures, tmp_path, detector, features):
    folder, truth = pictures
    forest = ImageForest(features=features, detector=detector, bins=(4, 2, 3)).fit(folder)
    forest.save(tmp_path / "m.npz")
    kept = ImageForest.load(tmp_path / "m.npz")
    np.testing.assert_allclose(kept.score_samples(folder), forest.score_samples(folder), rtol=0, atol=1e-12)
    np.testing.assert_array_equal(kept.predict(folder), forest.predict(folder))
    assert kept.explain(truth.path[0]).words == forest.explain(truth.path[0]).words
    kept.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "m.npz").read_bytes()


def test_a_model_of_rows_says_so_when_given_pictures_it_does_not_fit(pictures, tmp_path):
    forest = ImageForest().fit(np.random.default_rng(0).random((30, 5)))
    forest.save(tmp_path / "rows.npz")
    with pytest.raises(InputError, match="rows of 5 numbers"):
        ImageForest.load(tmp_path / "rows.npz").score_samples(pictures[0])


def test_pickles_are_refused_unless_trusted(pictures, tmp_path):
    folder, truth = pictures

    class Bite:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "bitten"),)

    (tmp_path / "evil.model").write_bytes(pickle.dumps(Bite()))
    with pytest.raises(InputError, match="--trusted"):
        ImageForest.load(tmp_path / "evil.model")
    assert not (tmp_path / "bitten").exists()
    data = load_dataset(folder, (3, 3, 3))
    old = IsolationForest(n_estimators=100, contamination=0.01, random_state=42).fit(data)
    (tmp_path / "old.model").write_bytes(pickle.dumps(old))
    convert_model(tmp_path / "old.model", tmp_path / "new.npz", trusted=True)
    kept = ImageForest.load(tmp_path / "new.npz")
    np.testing.assert_array_equal(kept.decision_function(folder), old.decision_function(data))
    with pytest.raises(InputError, match="bins"):
        convert_model(tmp_path / "old.model", tmp_path / "new.npz", bins=(4, 6, 3), trusted=True)
    (tmp_path / "other.model").write_bytes(pickle.dumps([1, 2]))
    with pytest.raises(InputError, match="no fitted"):
        ImageForest.load(tmp_path / "other.model", trusted=True)


def repacked(arrays, path):
    """A well-formed .npz of tampered arrays, with right check sums."""
    np.savez(path, **arrays)
    return path


def test_hostile_arrays_are_refused_with_the_reason(pictures, tmp_path):
    ImageForest(preset="tutorial", n_estimators=5).fit(pictures[0]).save(tmp_path / "m.npz")
    good = dict(np.load(tmp_path / "m.npz"))
    ImageForest.load(repacked(good, tmp_path / "same.npz"))
    inner = int(np.flatnonzero(good["left"] >= 0)[1])

    def tampered(name, at, value):
        values = good[name].copy()
        values[at] = value
        return good | {name: values}

    meta = json.loads(good["meta"].tobytes())

    def with_meta(**changes):
        return good | {"meta": np.frombuffer(json.dumps(meta | changes).encode(), np.uint8)}

    hostile = [
        (tampered("left", inner, 0), "outside"),
        (tampered("left", inner, 10**6), "outside"),
        (tampered("left", inner, -7), "outside"),
        (tampered("right", inner, good["left"][inner]), "several"),
        (tampered("column", inner, 27), "column"),
        (tampered("column", inner, -2), "column"),
        (tampered("threshold", inner, np.nan), "not a number"),
        (tampered("size", inner, 10**12), "add up"),
        (tampered("n_nodes", 0, 10**9), "add up"),
        (tampered("n_nodes", 0, -1), "add up"),
        (good | {"left": good["left"][:-1]}, "add up|differ"),
        (good | {"left": good["left"].astype(np.int64)}, "type"),
        (good | {"left": good["left"][None]}, "type"),
        (good | {"extra": good["left"]}, "not the arrays"),
        ({k: v for k, v in good.items() if k != "meta"}, "not the arrays"),
        ({k: v for k, v in good.items() if k != "left"}, "lacks"),
        (good | {"left": np.array([{}], dtype=object)}, "type|broken"),
        (with_meta(bins=[4, 6, 3]), "columns"),
        (with_meta(bins=[9**9, 3, 3]), "bins"),
        (with_meta(n_features=10**9), "range"),
        (with_meta(offset=None), "offset"),
        (with_meta(offset=float("inf")), "threshold"),
        (with_meta(colour_space="RGB"), "colour space"),
        (with_meta(format=3), "format"),
        (with_meta(format=2), "whiten"),
        (with_meta(format=True), "format"),
        (with_meta(n_estimators=6), "number of trees"),
        (with_meta(manifest=[{}]), "training pictures"),
        (good | {"meta": np.frombuffer(b"[" * 100_000, np.uint8)}, "JSON"),
    ]
    for arrays, reason in hostile:
        with pytest.raises(InputError, match=f"refused: .*({reason})"):
            ImageForest.load(repacked(arrays, tmp_path / "bad.npz"))


def test_a_tree_that_is_one_long_chain_is_refused(pictures, tmp_path):
    ImageForest(preset="tutorial", n_estimators=1).fit(pictures[0]).save(tmp_path / "m.npz")
    good = dict(np.load(tmp_path / "m.npz"))
    links, end = 100_000, 200_001
    left, right = np.full(end, -1, np.int32), np.full(end, -1, np.int32)
    left[0:-1:2], right[0:-1:2] = np.arange(1, end, 2), np.arange(2, end, 2)
    size = np.ones(end, np.int64)
    size[::2] = np.arange(links + 1, 0, -1)
    chain = {"left": left, "right": right, "column": np.where(left < 0, -1, 0).astype(np.int32), "size": size,
             "threshold": np.zeros(end), "n_nodes": np.array([end])}
    with pytest.raises(InputError, match="deeper"):
        ImageForest.load(repacked(good | chain, tmp_path / "chain.npz"))


def test_thumbnails_stay_with_the_model(pictures, tmp_path):
    folder, truth = pictures
    forest = train_model(folder, tmp_path / "m.npz", thumbnails=True, cache=tmp_path / "c.sqlite")
    kept = ImageForest.load(tmp_path / "m.npz")
    expected = [cv2.resize(cv2.imread(p), (32, 24), interpolation=cv2.INTER_AREA) for p in truth.path]
    np.testing.assert_array_equal(kept.thumbnails_, expected)
    kept.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "m.npz").read_bytes()
    in_memory = ImageForest(thumbnails=True).fit([cv2.imread(p) for p in truth.path])
    np.testing.assert_array_equal(in_memory.thumbnails_, expected)
    known = ImageForest(thumbnails=True, cache=tmp_path / "c.sqlite").fit(folder)
    assert known.thumbnails_.shape == forest.thumbnails_.shape
    arrays = dict(np.load(tmp_path / "m.npz"))
    arrays["thumbnails"] = arrays["thumbnails"][:-1]
    with pytest.raises(InputError, match="thumbnails"):
        ImageForest.load(repacked(arrays, tmp_path / "bad.npz"))
    assert ImageForest().fit(folder).thumbnails_ is None


def test_a_model_that_unfolds_to_gigabytes_is_refused(tmp_path):
    with (
        zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("meta.npy", "w", force_zip64=True) as file,
    ):
        for _ in range(600):
            file.write(b"\0" * (1 << 20))
    tracemalloc.start()
    with pytest.raises(InputError, match="unfolds"):
        ImageForest.load(tmp_path / "bomb.npz")
    assert tracemalloc.get_traced_memory()[1] < 50e6
    tracemalloc.stop()


@pytest.mark.parametrize("n_files", [300, pytest.param(1500, marks=pytest.mark.slow)])
def test_fuzz_of_the_model_file(pictures, tmp_path, n_files):
    """Damaged files: each is refused in words, or is a model that gives finite scores."""
    folder, truth = pictures
    rng = np.random.default_rng(8)
    data = load_dataset(folder, (3, 3, 3))
    loaded = 0
    for number in range(n_files):
        detector = ("forest", "forest", "neighbours")[number % 3]
        source = tmp_path / f"{detector}.npz"
        if not source.exists():
            ImageForest(preset="tutorial", n_estimators=5, detector=detector).fit(folder).save(source)
        bad = tmp_path / "bad.npz"
        if number % 2:
            content = bytearray(source.read_bytes())
            for at in rng.integers(0, len(content), rng.integers(1, 6)):
                content[at] = rng.integers(256)
            if number % 7 == 0:
                content = content[: rng.integers(len(content))]
            bad.write_bytes(content)
        else:
            # Damage beneath the check sums, where only our own checks can see it.
            arrays = dict(np.load(source))
            name = sorted(arrays)[rng.integers(len(arrays))]
            content = bytearray(arrays[name].tobytes()) or bytearray(1)
            for at in rng.integers(0, len(content), rng.integers(1, 4)):
                content[at] = rng.integers(256)
            values = np.frombuffer(bytes(content), arrays[name].dtype) if len(arrays[name]) else arrays[name]
            repacked(arrays | {name: values}, bad)
        try:
            forest = ImageForest.load(bad)
        except InputError as error:
            assert "\n" not in str(error)
            continue
        loaded += 1
        with contextlib.suppress(InputError):
            assert np.isfinite(forest.score_samples(data)).all()
    assert loaded < n_files


# --- scan ---


def test_scan_leaves_its_files_and_resumes(pictures, tmp_path, monkeypatch):
    folder, truth = pictures
    out = tmp_path / "out"
    first = scan_folder(folder, out, top=5)
    table = pd.read_csv(out / "scores.csv")
    assert list(table.columns[:6]) == ["path", "score", "outlier", "reason", "width", "height"]
    assert len(table) == len(truth) and table.score.is_monotonic_decreasing
    np.testing.assert_array_equal(table.outlier, ImageForest().fit(folder).predict(table.path) == -1)
    monkeypatch.setattr(cv2, "imdecode", lambda *a: pytest.fail("a known picture was decoded again"))
    monkeypatch.setattr("oco2_outliers.pictures.folders.contact_sheet", lambda *a: np.zeros((9, 9, 3), np.uint8))
    pd.testing.assert_frame_equal(scan_folder(folder, out, top=5), first)


def test_a_scan_that_was_stopped_goes_on_where_it_stood(tmp_path, monkeypatch):
    truth = simulate_pictures(tmp_path / "in", n_pictures=80, odd_kinds=[], size=(32, 24))
    decode, calls = cv2.imdecode, []

    def stopped(*args):
        calls.append(1)
        if len(calls) > 50:
            raise KeyboardInterrupt
        return decode(*args)

    monkeypatch.setattr(cv2, "imdecode", stopped)
    with pytest.raises(KeyboardInterrupt):
        scan_folder(tmp_path / "in", tmp_path / "out", n_jobs=1)
    monkeypatch.setattr(cv2, "imdecode", lambda *args: calls.append(1) or decode(*args))
    calls.clear()
    monkeypatch.setattr("oco2_outliers.pictures.folders.contact_sheet", lambda *a: np.zeros((9, 9, 3), np.uint8))
    assert len(scan_folder(tmp_path / "in", tmp_path / "out")) == len(truth)
    assert 30 <= len(calls) <= 40


def test_scan_does_not_mix_settings_in_its_cache(pictures, tmp_path):
    folder, truth = pictures
    whole, fast = scan_folder(folder, tmp_path, scale=1), scan_folder(folder, tmp_path, scale=4)
    again = scan_folder(folder, tmp_path, scale=1)
    pd.testing.assert_frame_equal(whole, again)
    assert not np.array_equal(whole.score, fast.score)


def test_scan_by_a_model_and_with_a_broken_cache(pictures, zoo, tmp_path):
    train_model(pictures[0], tmp_path / "m.npz")
    out = tmp_path / "out"
    out.mkdir()
    (out / "features.sqlite").write_bytes(b"no database" * 1000)
    with pytest.warns(UserWarning, match="a new one replaces it"):
        table = scan_folder(zoo[0], out, model=tmp_path / "m.npz")
    assert len(table) + len(pd.read_csv(out / "skipped.csv")) == len(zoo[1]) + 2
    expected = ImageForest.load(tmp_path / "m.npz").decision_function(table.path.tolist())
    np.testing.assert_array_equal(table.outlier, expected < 0)
    with pytest.raises(InputError, match="own settings"):
        scan_folder(zoo[0], out, model=tmp_path / "m.npz", scale=4)


def test_scan_into_the_folder_itself_does_not_see_its_own_sheet(pictures, tmp_path):
    simulate_pictures(tmp_path, n_pictures=10, odd_kinds=[])
    assert len(scan_folder(tmp_path, tmp_path / "scan")) == len(scan_folder(tmp_path, tmp_path / "scan")) == 10


def test_hostile_names_stay_names(tmp_path):
    source = simulate_pictures(tmp_path / "in", n_pictures=3, odd_kinds=[])
    for name in (b"line\nbreak.png", b"\xff\xfe.png", b"=cmd,'x'.png", "déjà vu.png".encode()):
        shutil.copy(source.path[0], os.fsencode(tmp_path / "in") + b"/" + name)
    scan_folder(tmp_path / "in", tmp_path / "out")
    assert len(pd.read_csv(tmp_path / "out" / "scores.csv")) == 7
    train_model(tmp_path / "in", tmp_path / "m.npz")
    assert len(ImageForest.load(tmp_path / "m.npz").manifest_) == 7


# --- how well it finds them ---


def test_a_bunch_of_the_same_odd_picture_does_not_hide_itself(tmp_path):
    truth = simulate_pictures(tmp_path, n_pictures=120, odd_kinds=["no_signal"] * 4 + ["night"] * 4)
    table = compare_detectors(truth.path, truth.path, truth.odd, features=["colour"])
    quality = table.set_index("detector").roc_auc
    assert quality.drop("random").min() > 0.9 > quality["random"]


@pytest.fixture(scope="module")
def iss(request):
    folder = request.getfixturevalue("shared_data") / "images" / "iss_hdev"
    if not folder.is_dir():
        pytest.skip(f"no ISS pictures at {folder}; the same path is tested on generated pictures")
    return {group.name: sorted(map(str, group.iterdir())) for group in sorted(folder.iterdir())}


def test_pictures_without_signal_stand_out_among_pictures_of_earth(iss):
    paths = sum(iss.values(), [])
    odd = [path in iss["cluster_10"] for path in paths]
    table = compare_detectors(paths, paths, odd, features=["colour"], detectors=["forest"]).set_index("detector")
    assert table.roc_auc["forest"] > 0.95
    train, test = paths[::2], paths[1::2]
    assert sum(path in iss["cluster_10"] for path in train) > 0
    clean = [path for path in train if path not in iss["cluster_10"]]
    table = compare_detectors(clean, test, [path in iss["cluster_10"] for path in test], features=["colour"])
    assert table.set_index("detector").roc_auc.drop("random").min() > 0.9


@pytest.mark.parametrize("group", ["cluster_01", "cluster_35", "cluster_39"])
def test_a_group_never_seen_is_odder_than_a_guess(iss, group):
    other = sum((paths for name, paths in iss.items() if name != group), [])
    train, test = other[::2], other[1::2] + iss[group]
    table = compare_detectors(train, test, [path in iss[group] for path in test], detectors=["forest"])
    assert table.set_index("features").roc_auc["colour"] > 0.5
