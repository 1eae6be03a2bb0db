"""What the notebook 02_image_forest does not show: hostile files, oracles, the original's numbers."""
from __future__ import annotations

import io
import os
import shutil
import zlib

import cv2
import numpy as np
import pandas as pd
import pytest
from naive import original_features
from PIL import Image
from sklearn.utils.estimator_checks import parametrize_with_checks

from oco2_outliers.ground.errors import InputError
from oco2_outliers.image_forest import (
    ImageForest,
    load_dataset,
    scan_folder,
    simulate_pictures,
    train_model,
)


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
