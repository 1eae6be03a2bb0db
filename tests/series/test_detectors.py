"""Detectors of odd readings: quick paths beside slow twins, streams that do not look ahead, files that lie."""

import json
import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import spoken_for, strongest_period, summaries_by_definition
from numpy.lib.stride_tricks import sliding_window_view
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.utils.estimator_checks import parametrize_with_checks

from oco2_outliers.ground.errors import InputError
from oco2_outliers.series.baselines import WindowPCA
from oco2_outliers.series.detectors import PRESETS, detector_cards, reading_scores
from oco2_outliers.series.forest import SeriesForest, summary_shares
from oco2_outliers.series.metrics import vus_pr
from oco2_outliers.series.periods import choose_window
from oco2_outliers.series.sliding import averaged, scores_of_readings
from oco2_outliers.series.summaries import window_summaries

STREAMS = [name for name, card in detector_cards().iterrows() if card["causal"] and name != "random"]
GLOBAL = [name for name in PRESETS if name != "random"]

series_of_readings = st.lists(
    st.one_of(st.just(np.nan), st.sampled_from([0.0, 1.0, 2.0]), st.floats(-1e3, 1e3, width=32)),
    min_size=2, max_size=40).map(lambda numbers: np.array(numbers, float))


@pytest.fixture(scope="module")
def channel():
    """A channel with a rhythm of 24 readings and a loud stretch at 900."""
    chance = np.random.default_rng(5)
    values = np.sin(2 * np.pi * np.arange(1400) / 24) + chance.normal(0, 0.1, 1400)
    values[900:924] += chance.normal(0, 2, 24)
    return values


@pytest.fixture(scope="module")
def forest(channel):
    return SeriesForest(window=24, n_estimators=20).fit_series(channel)


# ---------------------------------------------------------------- windows, summaries, periods

@settings(max_examples=60)
@given(values=series_of_readings, data=st.data())
def test_summaries_are_those_of_the_definition(values, data):
    window = data.draw(st.integers(2, len(values)))
    np.testing.assert_allclose(window_summaries(values, window), summaries_by_definition(values, window),
                               rtol=1e-6, atol=1e-7 * max(1.0, np.nanmax(np.abs(np.nan_to_num(values)))))


@settings(max_examples=60)
@given(scores=series_of_readings, window=st.integers(1, 9))
def test_the_nearest_window_speaks(scores, window):
    np.testing.assert_array_equal(scores_of_readings(scores, window), spoken_for(scores, window))
    trailing = scores_of_readings(scores, window, causal=True)
    assert np.isnan(trailing[: window - 1]).all() and np.array_equal(trailing[window - 1 :], scores, equal_nan=True)


@settings(max_examples=40)
@given(scores=series_of_readings, window=st.integers(1, 9), causal=st.booleans())
def test_averages_are_those_of_the_readings_there(scores, window, causal):
    found = averaged(scores, window, causal)
    for row, value in enumerate(found):
        first = row - (window - 1 if causal else window // 2)
        there = [s for s in scores[max(first, 0) : first + window] if not np.isnan(s)]
        assert np.isnan(value) if np.isnan(scores[row]) else value == pytest.approx(np.mean(there), abs=1e-4)


@pytest.mark.parametrize("period, noise, length", [(7, 0.1, 500), (48, 0.5, 3000), (299, 0.2, 4000), (350, 0.1, 4000),
                                                   (20, 3.0, 900), (12, 0.0, 60)])
def test_the_window_is_that_of_the_published_rule(period, noise, length):
    chance = np.random.default_rng(period)
    values = np.sin(2 * np.pi * np.arange(length) / period) + chance.normal(0, noise, length)
    default = min(125, length // 4)
    assert choose_window(values) == strongest_period(values, default)
    assert choose_window(values * 1e-6 + 300) == choose_window(values)


# ---------------------------------------------------------------- estimators

@parametrize_with_checks([SeriesForest(n_estimators=2), WindowPCA()])
def test_estimators_keep_the_rules(estimator, check):
    check(estimator)


def test_the_forest_is_that_of_scikit_learn(channel, forest):
    table = window_summaries(channel, 24).to_numpy()
    scaled = ((table - table.mean(axis=0)) / np.maximum(table.std(axis=0), 1e-9)).astype(np.float32)
    theirs = -IsolationForest(n_estimators=20, max_samples=256, random_state=0).fit(scaled).score_samples(scaled)
    ours = forest.score_series(channel, causal=True, smooth=False)[23:]
    assert np.corrcoef(ours, theirs)[0, 1] > 0.999999


def test_principal_directions_are_those_of_scikit_learn(channel):
    rows = sliding_window_view(channel, 12)
    scaled = (rows - rows.mean(axis=0)) / rows.std(axis=0)
    pca = PCA().fit(scaled)
    apart = np.linalg.norm(scaled[:, None] - pca.components_[None], axis=2) / pca.explained_variance_ratio_
    other = np.linalg.norm(scaled[:, None] + pca.components_[None], axis=2) / pca.explained_variance_ratio_
    ours = -WindowPCA().fit(rows).score_samples(rows)
    # The sign of a direction is free: the sum lies between those of the nearer and of the farther end.
    assert (ours >= np.minimum(apart, other).sum(axis=1) - 1e-6).all()
    assert (ours <= np.maximum(apart, other).sum(axis=1) + 1e-6).all()


def test_shares_name_what_is_odd(forest):
    flat, high = np.full(24, 0.3), np.sin(2 * np.pi * np.arange(24) / 24) + 50
    shares = summary_shares(forest, [flat, high])
    assert shares.loc[0].idxmax() == "repeats" and set(shares.loc[1].nlargest(4).index) == {
        "mean", "min", "max", "median"}
    np.testing.assert_allclose(shares.sum(axis=1), 1)


# ---------------------------------------------------------------- scores of readings

@pytest.mark.parametrize("detector", GLOBAL)
def test_scores_do_not_depend_on_unit_and_level(channel, detector):
    plain = reading_scores(channel, detector, window=24)
    turned = reading_scores(channel * 8 + 1024, detector, window=24)
    assert len(plain) == len(channel) and np.isfinite(plain).all()
    ranks = [pd.Series(score).rank(pct=True) for score in (plain, turned)]
    assert np.abs(ranks[0] - ranks[1]).max() < 0.02


@pytest.mark.parametrize("detector", STREAMS)
def test_what_comes_later_changes_no_score(channel, detector):
    whole = reading_scores(channel, detector, window=24, causal=True)
    other = np.r_[channel[:1001], 1e6, channel[:30] * 50]
    assert np.array_equal(reading_scores(other, detector, window=24, causal=True)[:1001], whole[:1001], equal_nan=True)
    assert np.isfinite(whole[600:]).all()


@pytest.mark.parametrize("detector", GLOBAL)
def test_missing_readings_have_no_score_and_break_nothing(channel, detector):
    holes = channel.copy()
    holes[[100, 101, 500]] = np.nan
    holes[700:760] = np.inf
    score = reading_scores(holes, detector, window=24)
    assert np.isnan(score[[100, 101, 500]]).all() and np.isnan(score[700:760]).all()
    assert np.isfinite(score).sum() == len(channel) - 63
    assert np.isinf(holes[700:760]).all(), "the caller's readings were changed"


def test_the_window_is_chosen_from_what_is_known(channel):
    whole = reading_scores(channel, causal=True)
    assert np.array_equal(reading_scores(channel[:1200], causal=True), whole[:1200], equal_nan=True)
    assert np.isnan(whole[:1000]).all() and np.isfinite(whole[1000:]).all()


@pytest.mark.parametrize("change, told", [
    ({"detector": "forrest"}, "unknown; give one of"), ({"detector": None}, "name or an estimator"),
    ({"window": 1}, "window must be"), ({"window": 5000}, "window is 5000 readings"), ({"window": 2.5}, "window"),
    ({"k": 0, "detector": "knn"}, "k must be"), ({"values": "text"}, "values must be"),
    ({"values": [[1.0, 2]]}, "one dimension"), ({"detector": "spectral_residual", "causal": True}, "no form for"),
    ({"random_state": 1.5}, "random_state"), ({"values": [None, {}]}, "values must be")])
def test_bad_input_is_told_in_one_line(channel, change, told):
    with pytest.raises(InputError, match=told) as error:
        reading_scores(**({"values": channel, "window": 24} | change))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("values", [[], [1.0], [1.0, 2.0], np.full(300, np.nan), np.ones(300), [np.nan, 1] * 100])
@pytest.mark.parametrize("causal", [False, True])
def test_hardly_anything_there(values, causal):
    for detector in ("forest", "windows", "poly", "hampel"):
        if len(values) < 2 or np.isnan(values).any():
            try:
                score = reading_scores(values, detector, causal=causal)
            except InputError as error:
                assert "without a gap" in str(error) and not causal
                continue
        else:
            score = reading_scores(values, detector, causal=causal)
        assert len(score) == len(values)


# ---------------------------------------------------------------- model files

def rewritten(path, change):
    """The file with one array changed, or taken away where the change is None."""
    with np.load(path) as kept:
        arrays = {name: kept[name] for name in kept.files}
    for name, value in change.items():
        arrays[name] = value(arrays[name]) if callable(value) else value
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})


def meta_with(**change):
    return lambda old: np.frombuffer(json.dumps(json.loads(old.tobytes()) | change).encode(), np.uint8)


@pytest.mark.parametrize("change", [
    {"left": lambda a: np.where(a == a.max(), 10**6, a).astype(a.dtype)}, {"right": lambda a: np.zeros_like(a)},
    {"column": lambda a: np.full_like(a, 10)}, {"threshold": lambda a: np.full_like(a, np.nan)},
    {"spread": lambda a: -a}, {"usual": lambda a: a[::-1].copy()}, {"middle": lambda a: a[:3]}, {"usual": None},
    {"n_nodes": lambda a: a + 1}, {"extra": np.zeros(3)}, {"meta": lambda a: a[:-2]}, {"meta": meta_with(window=0)},
    {"meta": meta_with(format=2)}, {"meta": meta_with(n_estimators=19)}, {"meta": meta_with(random_state=-1)},
    {"meta": meta_with(window=True)}, {"meta": meta_with(summaries=["mean"])}, {"meta": meta_with(drawn=10**20)},
    {"left": np.zeros((2, 2), np.int32)}, {"threshold": np.array([{}], object)}])
def test_files_that_lie_are_refused(forest, tmp_path, change):
    forest.save(tmp_path / "model.npz")
    rewritten(tmp_path / "model.npz", change)
    with pytest.raises(InputError, match="is refused: ") as error:
        SeriesForest.load(tmp_path / "model.npz")
    assert "\n" not in str(error.value)


def test_a_file_is_kept_whole_and_a_pickle_is_not_read(forest, channel, tmp_path):
    forest.save(tmp_path / "a.npz")
    forest.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    kept = SeriesForest.load(tmp_path / "a.npz")
    assert np.array_equal(reading_scores(channel, model=kept), reading_scores(channel, model=forest))
    (tmp_path / "p.npz").write_bytes(pickle.dumps(forest))
    with pytest.raises(InputError, match="never reads one"):
        SeriesForest.load(tmp_path / "p.npz")
    with pytest.raises(FileNotFoundError):
        SeriesForest.load(tmp_path / "none.npz")


# ---------------------------------------------------------------- does it find anything

def beats_chance(values, labels, window):
    figures = {name: vus_pr(labels, reading_scores(values, name, window), window)
               for name in ("forest", "ensemble", "random")}
    return min(figures["forest"], figures["ensemble"]) > figures["random"] + 0.2


def test_odd_stretches_are_found(channel):
    labels = np.zeros(len(channel), int)
    labels[900:924] = 1
    assert beats_chance(channel, labels, 24)


@pytest.mark.parametrize("name", [
    "SYN/seasonal_shock_anomaly",
    pytest.param("UCR/136_UCR_Anomaly_InternalBleeding17_1600_3198_3309", marks=pytest.mark.slow)])
def test_odd_stretches_of_real_series_are_found(shared_data, name):
    file = shared_data / "series" / "selection" / "series.parquet"
    rows = pd.read_parquet(file, filters=[("series", "==", name)])
    values = rows["value"].to_numpy(float)
    assert beats_chance(values, rows["label"].to_numpy(int), choose_window(values))
