"""What the notebook 02_image_forest does not show: hostile files, oracles, the original's numbers."""
from __future__ import annotations

import cv2
import numpy as np
import pytest
from sklearn.ensemble import IsolationForest
from sklearn.utils.estimator_checks import parametrize_with_checks

from oco2_outliers.datasets import InputError
from oco2_outliers.image_forest import ImageForest, judge_picture, load_dataset, simulate_pictures, train_model


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pictures")
    return folder, simulate_pictures(folder, n_pictures=40, random_state=0)


def original_features(path, bins):
    "The original loop, written out."
    image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2HSV)
    hist = cv2.calcHist([image], [0, 1, 2], None, bins, [0, 180, 0, 256, 0, 256])
    return cv2.normalize(hist, hist).flatten()


@parametrize_with_checks([ImageForest(n_estimators=10, contamination=0.1)])
def test_scikit_learn_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("bins", [(3, 3, 3), (4, 6, 3), (1, 1, 1), (16, 2, 5)])
def test_features_equal_the_original_to_the_bit(pictures, bins):
    folder, truth = pictures
    np.testing.assert_array_equal(load_dataset(folder, bins), [original_features(p, bins) for p in truth.path])


def test_scores_equal_scikit_learn_to_the_bit(pictures):
    folder, truth = pictures
    data = load_dataset(folder, (3, 3, 3))
    reference = IsolationForest(n_estimators=100, contamination=0.01, random_state=42).fit(data)
    forest = ImageForest().fit(folder)
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
