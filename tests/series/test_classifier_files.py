"""A classifier of windows in a file: the same answers to the bit, and no trust in what a file says."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oco2_outliers.ground.errors import InputError
from oco2_outliers.series.boosted_trees import boosted_trees_of
from oco2_outliers.series_learn import WindowClassifier, windows


def labelled_windows(n_channels=1, n=400, T=8, seed=0):  # noqa: N803
    """Windows of some channels with holes; every fifth stretch is labelled."""
    rng = np.random.default_rng(seed)
    wrong = np.arange(n) // 20 % 5 == 0
    table = pd.DataFrame({"time": pd.date_range("2020-01-01", periods=n, freq="10min"), "label": wrong})
    for channel in range(n_channels):
        table[f"c{channel}"] = np.where(rng.random(n) < 0.1, np.nan, rng.normal(size=n).round(2) + 2 * wrong)
    return windows(table, T=T, step=3)


def kept_and_read(model, folder):
    model.save(folder / "model.npz")
    return WindowClassifier.load(folder / "model.npz")


@pytest.fixture
def model():
    return WindowClassifier(max_iter=8, min_samples_leaf=5).fit(labelled_windows())


@given(seed=st.integers(0, 10**6), n_rows=st.integers(40, 300), length=st.integers(2, 30),
       coarse=st.sampled_from([None, 0, 1]), missing=st.floats(0, 0.6), leaves=st.integers(2, 31),
       balanced=st.booleans(), names=st.sampled_from([(0, 1), (False, True), ("fine", "wrong"), (-1.0, 2.0)]))
@settings(max_examples=20)
def test_answers_are_the_same_to_the_bit(tmp_path_factory, seed, n_rows, length, coarse, missing, leaves, balanced,
                                         names):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n_rows, length)) * 10.0 ** rng.integers(-3, 4)
    rows = rows if coarse is None else rows.round(coarse)
    rows[rng.random(rows.shape) < missing] = np.nan
    wrong = (np.nan_to_num(rows[:, -1]) > 0) ^ (rng.random(n_rows) < 0.1)
    wrong[:2] = False, True
    model = WindowClassifier(max_iter=6, max_leaf_nodes=leaves, min_samples_leaf=3, balanced=balanced)
    model.fit(rows, np.array(names)[wrong.astype(int)])
    again = kept_and_read(model, tmp_path_factory.mktemp("kept"))
    others = rng.normal(size=(50, length)) * 10.0 ** rng.integers(-3, 4)
    others[rng.random(others.shape) < missing] = np.nan
    for each in (rows, others):
        assert np.array_equal(again.predict_proba(each), model.predict_proba(each))
        assert np.array_equal(again.decision_function(each), model.decision_function(each))
        assert again.predict(each).tolist() == model.predict(each).tolist()
    assert again.get_params() == model.get_params() and again.classes_.tolist() == model.classes_.tolist()


def test_infinite_readings_and_rows_in_other_orders_go_the_same_way(model):
    trees = boosted_trees_of(model.model_)
    rows = np.random.default_rng(0).normal(size=(200, model.model_.n_features_in_))
    rows[::3, ::2], rows[1::3, ::2], rows[2::3, 1::2] = np.inf, -np.inf, np.nan
    for each in (rows, np.asfortranarray(rows), rows[::-2], rows[:0]):
        if len(each):
            assert np.array_equal(trees.predict_proba(each), model.model_.predict_proba(each))
        else:
            assert trees.predict_proba(each).shape == (0, 2)


@pytest.mark.parametrize("n_channels", [1, 3])
def test_windows_keep_their_channels(tmp_path, n_channels):
    w = labelled_windows(n_channels)
    model = WindowClassifier(max_iter=5, min_samples_leaf=5).fit(w)
    again = kept_and_read(model, tmp_path)
    assert np.array_equal(again.predict_proba(w), model.predict_proba(w)) and again.channels_ == w.channels
    with pytest.raises(InputError, match="learnt windows of 8 readings"):
        again.predict(labelled_windows(n_channels, T=9))
    assert (kept_and_read(again, tmp_path).model_.value == again.model_.value).all()


def test_a_file_has_no_clock_and_no_window(model, tmp_path):
    model.save(tmp_path / "a.npz")
    WindowClassifier.load(tmp_path / "a.npz").save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    with np.load(tmp_path / "a.npz", allow_pickle=False) as kept:
        assert len(kept.files) == 10 and not any(kept[name].dtype.hasobject for name in kept.files)


# ---------------------------------------------------------------- hostile files

def rewritten(path, change):
    """The file with one array changed, or taken away where the change is None."""
    with np.load(path) as kept:
        arrays = {name: kept[name] for name in kept.files}
    for name, value in change.items():
        arrays[name] = value(arrays[name]) if callable(value) else value
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})


def told(**change):
    return {"meta": lambda old: np.frombuffer(json.dumps(json.loads(old.tobytes()) | change).encode(), np.uint8)}


def setting(**change):
    def changed(old):
        meta = json.loads(old.tobytes())
        meta["settings"] |= change
        return np.frombuffer(json.dumps(meta).encode(), np.uint8)
    return {"meta": changed}


def first_inner(value):
    def changed(left):
        left[np.flatnonzero(left > 0)[0]] = value
        return left
    return changed


@pytest.mark.parametrize("change", [
    {"left": first_inner(0)}, {"left": first_inner(10**6)}, {"left": first_inner(-7)}, {"right": first_inner(1)},
    {"right": np.zeros_like}, {"column": lambda a: a + 10**4}, {"column": lambda a: a - 10**4}, {"endless": None},
    {"threshold": lambda a: a * np.nan}, {"value": lambda a: a[1:]}, {"value": lambda a: a + np.inf},
    {"baseline": lambda a: np.r_[a, a]}, {"missing_left": lambda a: a + 2}, {"n_nodes": lambda a: a + 1},
    {"n_nodes": lambda a: a[:0]}, {"n_nodes": lambda a: a - a.sum()}, {"more": np.zeros(2)},
    {"value": np.array([{}], object)}, {"left": np.zeros((2, 2), np.int32)}, {"meta": lambda a: a[:-3]},
    {"meta": lambda a: np.frombuffer(b"[" * 10**5, np.uint8)}, told(kind="forest"), told(format=2),
    told(summaries=["mean"]), told(channels="flow"), told(channels=[1]), told(readings=0),
    told(readings=True), told(readings=10**12), told(readings=3), told(classes=[1]), told(classes=[1, 0]),
    told(classes=[0, "1"]), told(classes=[[0], [1]]), told(classes=[None, None]), told(classes=[0, 10**400]),
    told(settings=[]), told(settings={"max_iter": 3}), setting(max_iter=0), setting(max_leaf_nodes="x"),
    setting(learning_rate=-1), setting(balanced=1), setting(random_state=-1), setting(n_jobs=0), setting(extra=1)])
def test_files_that_lie_are_refused(model, tmp_path, change):
    model.save(tmp_path / "model.npz")
    rewritten(tmp_path / "model.npz", change)
    with pytest.raises(InputError, match="is refused: ") as error:
        WindowClassifier.load(tmp_path / "model.npz")
    assert "\n" not in str(error.value) and len(str(error.value)) < 500


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """Windows, and the bytes of a file of a classifier that learnt them."""
    file, w = tmp_path_factory.mktemp("small") / "model.npz", labelled_windows(n=200)
    WindowClassifier(max_iter=2, min_samples_leaf=5).fit(w).save(file)
    return w, file.read_bytes()


@given(place=st.floats(0, 1), byte=st.integers(0, 255), cut=st.booleans())
@settings(max_examples=60)
def test_a_damaged_file_is_refused_or_answers(tmp_path_factory, small, place, byte, cut):
    folder, w, data = tmp_path_factory.mktemp("hurt"), small[0], bytearray(small[1])
    at = min(int(place * len(data)), len(data) - 1)
    data = data[:at] if cut else data[:at] + bytes([byte]) + data[at + 1:]
    (folder / "model.npz").write_bytes(bytes(data))
    try:
        again = WindowClassifier.load(folder / "model.npz")
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert np.isfinite(again.predict_proba(w)).all()


def test_a_pickle_a_folder_and_nothing_are_no_classifier(model, tmp_path):
    (tmp_path / "p.npz").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(InputError, match="never reads one"):
        WindowClassifier.load(tmp_path / "p.npz")
    with pytest.raises(InputError, match="folder"):
        WindowClassifier.load(tmp_path)
    with pytest.raises(FileNotFoundError):
        WindowClassifier.load(tmp_path / "none.npz")


def test_nothing_is_written_that_could_not_be_read(tmp_path):
    rows = np.random.default_rng(0).normal(size=(60, 5))
    model = WindowClassifier(max_iter=2).fit(rows, (rows[:, 0] > 0).astype(complex).real)
    model.classes_ = np.array([b"a", b"b"])
    with pytest.raises(InputError, match="cannot be written"):
        model.save(tmp_path / "m.npz")
    assert not list(tmp_path.iterdir())
