"""Surrogates keep what they promise to keep; thresholds keep the rate of false alarms."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import uniform_filter1d
from scipy.signal import lfilter
from scipy.stats import poisson

from benchmarks import bench_series_false_alarms
from oco2_outliers.ground.errors import InputError
from oco2_outliers.series.calibration import MONTH, Calibration, calibrated_by_history, calibrated_by_surrogates
from oco2_outliers.series.deciding import Asked, decide
from oco2_outliers.series.detectors import reading_scores
from oco2_outliers.series.reasons import runs_beyond
from oco2_outliers.series.surrogates import surrogate_series

HOUR = pd.Timedelta("1h")


def ar1(rng, n=720, keep=0.8):
    return lfilter([1], [1, -keep], rng.standard_normal(n + 200))[200:]


def spread(values):
    return uniform_filter1d((values - np.median(values)) ** 2, 24)


@settings(max_examples=30)
@given(st.lists(st.one_of(st.just(np.nan), st.integers(-50, 50)), min_size=4, max_size=60), st.integers(2, 9))
def test_a_surrogate_has_the_values_and_the_gaps_of_its_series(values, window):
    values = np.array(values, float)
    if np.isfinite(values).sum() < 4:
        with pytest.raises(InputError):
            surrogate_series(values, 2, window)
        return
    made = surrogate_series(values, 2, window)
    assert (np.isnan(made) == np.isnan(values)).all()
    assert np.nanmin(made) >= np.nanmin(values) - 1e-9 and np.nanmax(made) <= np.nanmax(values) + 1e-9
    if np.isfinite(values).all():
        assert (np.sort(made, axis=1) == np.sort(values)).all()


def test_a_rhythm_keeps_its_shape():
    rng = np.random.default_rng(0)
    pump = np.where(np.arange(1200) % 24 < 8, 1.0, 0.0) + rng.normal(0, 0.1, 1200)
    beat = surrogate_series(pump, 1, window=24)[0].reshape(-1, 24)
    assert beat[:, :8].min() > 0.5 > beat[:, 8:].max()
    plain = surrogate_series(pump, 1)[0].reshape(-1, 24)
    assert plain[:, :8].min() < 0.5


def test_false_alarms_come_as_often_as_promised():
    """Thirty months of a process without faults: the count lies within the 95 % interval of the promise."""
    rng, alpha, count = np.random.default_rng(4), 1.0, 0
    for _ in range(30):
        month = ar1(rng)
        known = calibrated_by_surrogates(month, spread, 24, HOUR, 6, rng)
        count += len(runs_beyond(spread(month), known.threshold(alpha), 24))
    low, high = poisson.interval(0.95, alpha * 30 * 720 * (HOUR / MONTH))
    assert low <= count <= high


def test_clean_history_keeps_the_promise_too():
    rng, alpha = np.random.default_rng(5), 1.0
    known = calibrated_by_history(spread(ar1(rng, 20_000)), 24, HOUR)
    later = spread(ar1(rng, 40_000))
    low, high = poisson.interval(0.99, alpha * 40_000 * (HOUR / MONTH))
    assert 0.5 * low <= len(runs_beyond(later, known.threshold(alpha), 24)) <= 2 * high


@settings(max_examples=20)
@given(st.lists(st.floats(-1e6, 1e6), min_size=30, max_size=80), st.floats(1e-3, 100))
def test_thresholds_and_rates_agree_for_any_scores(largest, alpha):
    known = Calibration(np.sort(np.array(largest)), 0.1)
    limit = known.threshold(alpha)
    scores = np.sort(np.r_[largest, -2e6, 2e6])
    rates = known.rate(scores)
    assert (np.diff(rates) <= 1e-9 * rates[:-1]).all() and (rates >= known.rarest()).all()
    assert limit == np.inf or known.rate(np.array([limit]))[0] <= alpha
    assert ((known.p_value(scores) >= 0) & (known.p_value(scores) <= 1)).all()


# ---------------------------------------------------------------- what surrogates are made without

def decided(values, alpha, detector="energy", n_surrogates=6):
    asked = Asked(detector, 24, 5, alpha, False, 0, "surrogates", None, n_surrogates, False)
    return decide(asked, values, np.zeros(len(values), bool), HOUR)


def test_ordinary_stretches_are_told_and_not_left_out():
    told = 0
    for seed in range(6):
        values = ar1(np.random.default_rng(seed))
        often, seldom = (decided(values, alpha) for alpha in (1.0, 0.1))
        if not seldom.runs:  # what comes once a month alone changes no surrogate
            assert np.array_equal(often.calibration.largest, seldom.calibration.largest)
            assert often.threshold < seldom.threshold
            told += len(often.runs)
    assert told > 0


def test_a_very_odd_day_does_not_hide_itself():
    hours = np.arange(2160)
    values = np.sin(2 * np.pi * hours / 24) + 0.2 * ar1(np.random.default_rng(0), 2160, 0.5)
    values[720:744] *= -1
    alone = calibrated_by_surrogates(values, lambda each: reading_scores(each, "knn", 24), 24, HOUR, 10,
                                     np.random.default_rng(0))
    found = decided(values, 0.01, "knn", 10)
    assert any(first < 732 < last for first, last in found.runs) and found.threshold < alone.threshold(0.01)


def test_many_suspects_are_no_reason_to_leave_out_half_of_a_series():
    values = ar1(np.random.default_rng(0), 1440) * np.where(np.arange(1440) % 480 < 120, 12.0, 1.0)
    found = decided(values, 0.01)
    assert found.calibration is not None and np.isfinite(found.threshold) and found.calibrated_by == "6 surrogates"


def test_a_count_of_false_alarms_is_taken_up_where_it_stopped(tmp_path, monkeypatch, capsys):
    log = tmp_path / "log.jsonl"
    words = ["--days", "21", "--surrogates", "3", "--detectors", "energy", "--kinds", "ar1"]

    def counted(*more):
        monkeypatch.setattr("sys.argv", ["bench", *words, *more])
        bench_series_false_alarms.main()
        return [line.split(" | ")[:6] for line in capsys.readouterr().out.splitlines()]

    whole = counted("--series", "3", "--first", "5")
    counted("--series", "2", "--first", "5", "--log", str(log))
    kept = log.read_text()
    with log.open("a") as file:
        file.write(kept.splitlines()[0][:40])  # stopped while it wrote
    assert counted("--series", "3", "--first", "5", "--log", str(log)) == whole
    assert log.read_text().startswith(kept)


@pytest.mark.parametrize("scale", [1.0, 1e-6])
def test_surrogates_are_loud_at_the_hours_of_the_series_also_behind_a_gap(scale):
    hours = np.arange(1440)
    loud = np.exp(np.sin(2 * np.pi * hours / 24))
    values = 5 + scale * loud * np.random.default_rng(0).standard_normal(1440)
    values[500:537] = np.nan  # a day and a half: what is joined does not keep time
    made = surrogate_series(values, 4, window=24)
    behind = made[:, 537:]
    assert np.nanstd(behind[:, loud[537:] > 2]) > 2.5 * np.nanstd(behind[:, loud[537:] < 0.5])
    assert np.isnan(made[:, 500:537]).all() and (np.sort(made[0]) == np.sort(values))[:1403].all()


def test_a_day_of_surrogates_is_no_louder_than_days_of_the_series():
    """Where loud readings stood at any hour, some days had more of them than any real one."""
    loud, spread = np.tile(np.exp(np.sin(2 * np.pi * np.arange(24) / 24)), 60), []
    for seed in range(6):
        values = loud * np.random.default_rng(seed).standard_normal(1440)
        days = [np.log((each.reshape(60, 24) ** 2).sum(axis=1)).std() for each in
                (values, *surrogate_series(values, 4, window=24), *surrogate_series(values, 4))]
        spread.append([days[0], np.mean(days[1:5]), np.mean(days[5:])])
    real, aware, plain = np.mean(spread, axis=0)
    assert abs(aware / real - 1) < 0.1 < plain / real - 1, (real, aware, plain)
