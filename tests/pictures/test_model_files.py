"""The model file: what it keeps, and what is refused."""
from __future__ import annotations

import contextlib
import json
import os
import pickle
import tracemalloc
import zipfile

import cv2
import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from oco2_outliers.ground.errors import InputError
from oco2_outliers.image_forest import (
    ImageForest,
    convert_model,
    load_dataset,
    train_model,
)


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
        zipfile.ZipFile(tmp_path / "bomb.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
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
