"""The table of colours, and what it stands for."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
from naive import opencv_counts
from sklearn.ensemble import IsolationForest

from oco2_outliers.ground.errors import InputError
from oco2_outliers.image_forest import (
    ImageForest,
    judge_picture,
    load_dataset,
    train_model,
)
from oco2_outliers.pictures.colours import ColourCounter, _colour_bins, _count_bins


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
