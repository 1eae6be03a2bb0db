"""Labelled windows, splits that share no reading, and classifiers that scikit-learn accepts."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.utils.estimator_checks import check_estimator

from oco2_outliers.ground.errors import InputError
from oco2_outliers.series.splits import refuse_shared_readings
from oco2_outliers.series_learn import (
    LSTMClassifier,
    SiteSplit,
    TimeSplit,
    WindowClassifier,
    compare_with_detector,
    load_net,
    score_splits,
    split_windows,
    windows,
)


def sites(n=300, names=("a", "b", "c"), seed=0):
    """Readings of some sites; one in thirty is labelled."""
    rng = np.random.default_rng(seed)
    time = pd.date_range("2020-01-01", periods=n, freq="10min")
    return pd.concat([pd.DataFrame({"time": time, "site": name, "flow": rng.normal(size=n),
                                    "label": rng.random(n) < 1 / 30}) for name in names], ignore_index=True)


def readings_of(w, rows):
    """All readings of some windows, as (site, time)."""
    return {(site, start + at * w.step) for site, start in zip(w.table["site"].iloc[rows], w.table["start"].iloc[rows])
            for at in range(w.T)}


@settings(max_examples=12)
@given(st.integers(2, 12), st.integers(1, 15), st.integers(1, 4), st.booleans())
def test_no_reading_is_on_both_sides(T, step, n_splits, past_only):  # noqa: N803
    w = windows(sites(60), T=T, step=step)
    for cv in (TimeSplit(n_splits, past_only=past_only), SiteSplit()):
        try:
            parts = list(cv.split(w))
        except InputError:
            continue
        for train, test in parts:
            assert not readings_of(w, train) & readings_of(w, test)
            refuse_shared_readings(w.table, train, test)


@settings(max_examples=15)
@given(st.data())
def test_a_shared_reading_is_always_found(data):
    w = windows(sites(40, "ab"), T=5, step=data.draw(st.integers(1, 7)))
    drawn = np.array(data.draw(st.lists(st.booleans(), min_size=len(w), max_size=len(w))))
    train, test = np.flatnonzero(drawn), np.flatnonzero(~drawn)
    if readings_of(w, train) & readings_of(w, test):
        with pytest.raises(InputError, match="which flatters any model"):
            refuse_shared_readings(w.table, train, test)
    else:
        refuse_shared_readings(w.table, train, test)


def test_a_window_is_labelled_where_any_reading_is():
    table = sites(100, "a").drop(index=range(40, 45))
    w = windows(table, T=8, step=3, most_missing=1)
    marked = set(table.loc[table["label"], "time"])
    for row in range(len(w)):
        assert w.y[row] == any(time in marked for _, time in readings_of(w, [row]))
    assert np.isnan(w.X).any()


def test_a_local_clock_makes_the_hour():
    from oco2_outliers.series_learn import window_features

    table = sites(200, "a")
    there = table.assign(time=table["time"].dt.tz_localize("Pacific/Auckland"))
    utc = there.assign(time=there["time"].dt.tz_convert("UTC"))
    hour = [window_features(windows(each, T=6))["hour sin"].to_numpy() for each in (table, there, utc)]
    assert np.array_equal(hour[0], hour[1]) and not np.allclose(hour[0], hour[2])


def test_trees_are_an_estimator_of_scikit_learn():
    check_estimator(WindowClassifier(max_iter=5, min_samples_leaf=5))


def test_labels_by_lot_give_the_base_rate():
    w = windows(sites(600), T=12, step=2)
    told = score_splits(WindowClassifier(max_iter=20), w, SiteSplit())
    assert abs(told["average_precision"].mean() - told["base_rate"].mean()) < 0.1
    assert abs(told["roc_auc"].mean() - 0.5) < 0.1


def test_splitting_keeps_what_it_does_not_leave_in_the_gap():
    w = windows(sites(), T=10)
    learnt, judged = split_windows(w, test=0.25)
    assert (judged.table["start"].min() - learnt.table["end"].max()) > 9 * w.step
    assert len(w) - len(learnt) - len(judged) == 3 * 18
    assert set(split_windows(w, "site")[1].table["site"]) == {"c"}


@pytest.mark.slow
def test_marks_of_other_real_sensors(shared_data):
    path = shared_data / "series" / "selection" / "series.parquet"
    if not path.exists():
        pytest.skip("the labelled series are not there; generated sites are tested above")
    found = pd.read_parquet(path, filters=[("series", "in", ["LRO/TonyGrove2014_ph", "LRO/FranklinBasin2014_ph"])])
    when = pd.Timestamp("2014-01-01") + pd.to_timedelta(found["position"].to_numpy() * 15, unit="min")
    table = pd.DataFrame({"time": when, "site": found["series"].astype(str), "ph": found["value"],
                          "label": found["label"] == 1})
    w = windows(table, T=24, step=24, scaled=True)
    told = compare_with_detector(w, WindowClassifier(max_iter=20))
    assert told["labelled"].gt(0).all() and told[["learnt", "detector"]].notna().all(axis=None)


@pytest.mark.torch
def test_ctrl_c_leaves_the_epochs_that_were_whole(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="no PyTorch (extra series); make test-torch trains")
    from oco2_outliers.series import nets

    rng, real, calls = np.random.default_rng(0), nets._epoch, iter(range(100))

    def pressed(*args):
        if next(calls) == 2:
            raise KeyboardInterrupt
        return real(*args)

    rows, y = rng.normal(size=(60, 8, 2)), np.arange(60) % 3 == 0
    monkeypatch.setattr(nets, "_epoch", pressed)
    cut = LSTMClassifier(units=4, epochs=5)
    with pytest.raises(KeyboardInterrupt):
        cut.fit(rows, y)
    monkeypatch.undo()
    twin = LSTMClassifier(units=4, epochs=2).fit(rows, y)
    cut.save(tmp_path / "cut.npz")
    assert np.array_equal(load_net(tmp_path / "cut.npz").predict_proba(rows), twin.predict_proba(rows))
    assert len(cut.history_) == 2


@pytest.mark.torch
def test_a_net_beside_trees_split_by_site():
    pytest.importorskip("torch", reason="no PyTorch (extra series); make test-torch trains")
    told = score_splits(LSTMClassifier(units=4, epochs=1), windows(sites(100), T=10, step=5))
    assert len(told) == 3 and told["roc_auc"].notna().any()
