"""Every stretch that `judge` finds has a reason, nothing is lost, and nothing depends on what it must not."""

import json

import numpy as np
import pandas as pd
import pytest
from layout import SHARED_DATA

from oco2_outliers.ground.errors import InputError
from oco2_outliers.series.freezing import freeze
from oco2_outliers.series.judging import judge
from oco2_outliers.series.results import RESULT_COLUMNS, load_series_result

DATA = SHARED_DATA / "series"


def flow(n=800, seed=0):
    """Hourly readings with a rhythm of a day, a flat line and a loud stretch."""
    rng = np.random.default_rng(seed)
    value = np.sin(2 * np.pi * np.arange(n) / 24) + rng.normal(0, 0.1, n)
    value[200:216] = value[200]
    value[500:520] += rng.normal(0, 3, 20)
    return pd.DataFrame({"time": pd.date_range("2013-03-01", periods=n, freq="1h"), "flow": value})


QUICK = {"detector": "energy", "window": 24, "n_surrogates": 5}
TABLE = flow()
FOUND = judge(TABLE, **QUICK)


def test_every_stretch_has_one_kind_and_one_sentence():
    assert tuple(FOUND.points) == tuple(FOUND.windows) == RESULT_COLUMNS
    assert FOUND.points.index.equals(TABLE.index) and len(FOUND.windows)
    for table in (FOUND.windows, FOUND.points[FOUND.points["outlier"]]):
        assert (table["kind"] != "").all() and table["reason"].str.len().gt(10).all()
        assert all(reason.startswith(kind) for kind, reason in zip(table["kind"], table["reason"]))
        assert (table["start"] <= table["end"]).all()
    assert "flat line" in set(FOUND.windows["kind"])
    loud = FOUND.windows[(FOUND.windows["start"] < TABLE["time"][520]) & (FOUND.windows["end"] >= TABLE["time"][500])]
    assert len(loud) and loud["outlier"].all()


@pytest.mark.parametrize("detector", ["energy", "forest", "knn"])
def test_scores_know_no_unit_no_date_and_no_order(detector):
    how = {"detector": detector, "window": 24, "alpha": None}
    plain = judge(TABLE, **how).points["score"]
    scaled = judge(TABLE.assign(flow=1000 * TABLE["flow"]), **how).points["score"]
    assert np.allclose(plain, scaled, rtol=1e-6, atol=1e-9, equal_nan=True)
    later = judge(TABLE.assign(time=TABLE["time"] + pd.Timedelta("100D")), **how).points["score"]
    assert np.array_equal(plain, later, equal_nan=True)
    mixed = TABLE.sample(frac=1, random_state=1)
    assert np.array_equal(plain, judge(mixed, **how).points["score"].reindex(TABLE.index), equal_nan=True)


@pytest.mark.parametrize("detector", ["energy", "forest", "knn"])
def test_a_reading_far_away_changes_nothing_before_it_in_a_stream(detector):
    table = flow(1200, 1)
    how = {"detector": detector, "window": 24, "alpha": None, "causal": True}
    far = pd.DataFrame({"time": [table["time"].iloc[-1] + pd.Timedelta("60D")], "flow": [1e6]})
    before, after = judge(table, **how), judge(pd.concat([table, far], ignore_index=True), **how)
    assert np.array_equal(before.points["score"], after.points["score"].iloc[:1200], equal_nan=True)


def test_channels_and_sites_are_judged_by_themselves():
    two = pd.concat([TABLE.assign(site="A"), flow(seed=3).assign(site="B")], ignore_index=True)
    both = judge(two, **QUICK)
    alone = judge(TABLE.assign(site="A"), **QUICK)
    assert np.array_equal(both.points["score"].iloc[:800], alone.points["score"], equal_nan=True)
    own = both.windows[both.windows["site"] == "A"].reset_index(drop=True)
    pd.testing.assert_frame_equal(own, alone.windows)


def test_what_has_no_score_is_counted_with_its_cause():
    broken = TABLE.copy()
    broken.loc[300, "flow"] = np.nan
    broken = pd.concat([broken.drop(index=range(600, 610)), broken.iloc[[5]], broken.iloc[[7]].assign(time=pd.NaT)])
    found = judge(broken, **QUICK)
    (told,) = found.summary["channels"]
    assert sum(told["unscored"].values()) == int(found.points["score"].isna().sum()) > 0
    assert "without a value" in told["unscored"] and "without a time" in told["unscored"]
    assert "gap" in set(found.windows["kind"]) and len(found.points) == len(broken)


def test_a_short_history_has_scores_and_no_p_values():
    found = judge(TABLE.head(300), **QUICK)
    assert found.points["score"].notna().any() and found.points["p_value"].isna().all()
    assert "too short" in str(found) and found.summary["channels"][0]["threshold"] is None


def test_odd_readings_reach_the_threshold_and_have_small_p_values():
    threshold = FOUND.summary["channels"][0]["threshold"]
    beyond = FOUND.points["score"] >= threshold
    assert beyond.any() and FOUND.points.loc[beyond, "outlier"].all()
    assert (FOUND.points.loc[beyond, "p_value"] <= 0.01).all()
    assert "0.01 false alarms per series and month by score, checks promise no rate" in str(FOUND)


def test_a_series_whose_every_window_is_flagged_is_judged_by_checks_alone():
    times = pd.date_range("2020-01-01", periods=3000, freq="5min")
    values = 10 + np.random.default_rng(0).normal(0, 0.05, 3000)
    values[::7] += 50
    limits = {"sites": {"*": {"*": {"out_of_range": {"fail": [0, 30]}}}}}
    found = judge(pd.Series(values, times), window=24, config=limits, bar=False)
    assert found.summary["kinds"] == {"out of range": 429} and found.points["p_value"].isna().all()
    assert "too few windows of 24 are whole" in str(found) and "checks alone" in str(found)
    known = freeze(pd.Series(values, times), window=24, config=limits, bar=False)
    assert "windows are not judged" in known.notes[0]


def test_clean_history_decides_where_it_is_given():
    rng = np.random.default_rng(9)
    clean = pd.DataFrame({"time": pd.date_range("2012-01-01", periods=3000, freq="1h"),
                          "flow": np.sin(2 * np.pi * np.arange(3000) / 24) + rng.normal(0, 0.1, 3000)})
    found = judge(TABLE, "energy", window=24, calibrate="clean", history=clean)
    assert found.summary["channels"][0]["calibrated_by"] == "clean history" and found.points["p_value"].notna().any()
    short = judge(TABLE, "energy", window=24, calibrate="clean", history=clean.head(100))
    assert short.points["p_value"].isna().all() and "too short" in str(short)


@pytest.mark.parametrize("zone", [None, "Europe/Paris", "UTC"])
def test_a_result_comes_back_as_it_was_saved(tmp_path, zone):
    times = TABLE["time"] if zone is None else TABLE["time"].dt.tz_localize("UTC").dt.tz_convert(zone)
    table = TABLE.assign(time=times).set_index("time")
    found = judge(table, **QUICK)
    found.save(tmp_path / "out")
    again = load_series_result(tmp_path / "out")
    pd.testing.assert_frame_equal(again.points, found.points, check_freq=False)
    pd.testing.assert_frame_equal(again.windows, found.windows)
    assert again.summary == json.loads(json.dumps(found.summary)) and str(again) == str(found)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["points.parquet", "summary.json",
                                                                         "windows.parquet"]


def test_a_folder_that_was_changed_is_refused(tmp_path):
    FOUND.save(tmp_path)
    FOUND.windows.iloc[:0].to_parquet(tmp_path / "windows.parquet")
    with pytest.raises(InputError, match="is not the file"):
        load_series_result(tmp_path)


def test_a_result_shows_itself_without_trusting_names():
    odd = judge(TABLE.rename(columns={"flow": "<b>$x_1$"}), **QUICK)
    assert "<b>$x" not in odd._repr_html_() and "&lt;b&gt;" in odd._repr_html_()
    odd.plot().figure.canvas.draw()


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="needs the real sewer series; "
                    "test_every_stretch_has_one_kind_and_one_sentence judges generated readings")
def test_the_real_sewer():
    table = pd.read_csv(DATA / "sewer_velocity_5min.csv", parse_dates=["time"])[["time", "velocity"]]
    reasons = judge(table, n_surrogates=2).windows.set_index("start")["reason"]
    assert reasons["2013-03-26 17:45"].startswith("flat line: 34 readings of exactly 1.659")
    assert reasons["2013-04-30 10:30"].startswith("noisy") and reasons["2013-05-17 02:55"].startswith("spike")
    gaps = judge(pd.read_csv(DATA / "flow_5min_with_gaps.csv", parse_dates=["time"]), "energy", n_surrogates=2).windows
    assert gaps.loc[gaps["kind"] == "gap", "start"].dt.strftime("%m-%d").tolist() == ["09-30", "10-16"]


def test_channels_without_limits_are_told():
    table = TABLE.assign(other=TABLE["flow"] + 1)
    limits = {"sites": {"*": {"flow": {"out_of_range": {"fail": [-30, 30]}}}}}
    found = judge(table, config=limits, **QUICK)
    assert any(note.startswith("1 channel without limits is not checked") for note in found.summary["notes"])


@pytest.mark.parametrize("beside", [{"window": 24}, {"alpha": 0.1}, {"calibrate": None}, {"k": 3}, {"detector": "knn"},
                                    {"config": {"sites": {"*": {"*": {"gap": {"longest": "1 h"}}}}}}])
def test_settings_beside_a_model_that_judges_alone_are_refused(beside):
    known = freeze(TABLE, window=24, n_surrogates=2, bar=False)
    with pytest.raises(InputError, match=f"^{next(iter(beside))} beside a model does nothing"):
        judge(TABLE, model=known, **beside)
    assert len(judge(TABLE, model=known, alpha=0.01, window="auto").points) == len(TABLE)
    with pytest.raises(InputError, match="need each other"):
        judge(TABLE, history=TABLE)
