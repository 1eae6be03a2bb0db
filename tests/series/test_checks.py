"""Checks of readings: each fault by its name, bounds per time, limits that a person edits, slow twins, real sewers."""

import numpy as np
import pandas as pd
import pytest

from oco2_outliers.ground.errors import InputError
from oco2_outliers.series.checks import COLUMNS, check_series, check_stretches
from oco2_outliers.series.learning import learn_limits
from oco2_outliers.series.limits import CHECKS, SeriesConfig
from oco2_outliers.series.reading_files import read_series
from oco2_outliers.series.readings import as_series
from oco2_outliers.series.simulated import FAULTS, simulate_series

RNG = np.random.default_rng(0)


def limited(**checks):
    return {"sites": {"*": {"*": checks}}}


def series_of(values, step="5min", begin="2013-03-12"):
    return pd.Series(np.asarray(values, float), pd.date_range(begin, periods=len(values), freq=step))


@pytest.fixture(scope="module")
def sewer():
    """Six weeks of a sewer with one fault of each kind, and limits from the same weeks without them."""
    return (simulate_series(random_state=3),
            learn_limits(simulate_series(random_state=3, faults=[]), clean=True))


def test_every_kind_of_fault_gets_its_name(sewer):
    table, limits = sewer
    found = check_series(table, limits)
    kinds = set(check_stretches(table, limits)["kind"])
    assert kinds == set(FAULTS)
    assert found.index.equals(table.index) and tuple(found) == COLUMNS
    for fault in ("flat line", "spike", "out of range", "missing", "duplicate", "irregular"):
        own = found[(table["fault"] == fault).to_numpy()]
        assert (own["kind"] == fault).all(), fault
    for fault in ("noisy", "drift", "rate", "jump", "level shift"):
        own = found[(table["fault"] == fault).to_numpy()]
        assert (own["kind"] == fault).any(), fault
    assert (found["reason"] != "").eq(found["kind"] != "").all()
    told = found[found["kind"].ne("") & found["time"].notna()]
    assert (told["start"] <= told["time"]).all() and (told["time"] <= told["end"]).all()


@pytest.mark.parametrize("seed", range(2))
def test_kinds_are_found_whatever_the_seed_without_any_limits(seed):
    table = simulate_series(random_state=seed)
    kinds = set(check_stretches(table)["kind"])
    assert {"flat line", "spike", "gap", "missing", "duplicate", "irregular", "out of range", "noisy"} <= kinds


@pytest.mark.parametrize("kind", ["ar1", "seasonal", "heteroscedastic"])
def test_where_nothing_is_wrong_next_to_nothing_is_flagged(kind):
    table = simulate_series(kind, n_sites=6, days=30, step="10 min", random_state=8)
    found = check_series(table)
    per_series = found.groupby("site")["outlier"].any().sum()
    assert found["outlier"].mean() < 0.01 and per_series <= 2
    assert set(found["flag"]) <= {1, 3, 4}


@pytest.mark.parametrize("begin", [0, 6, 11])
def test_a_daily_wave_has_no_level_shift_where_it_begins(begin):
    """Half a day has the crest of the wave without its trough, and that is no other level."""
    hour = np.arange(begin, begin + 40 * 24)
    values = 5 + np.sin(2 * np.pi * hour / 24) + np.random.default_rng(begin).normal(0, 0.05, len(hour))
    assert "level shift" not in set(check_series(series_of(values, "1h"))["kind"])
    values[700:] += 1.5
    found = check_series(series_of(values, "1h"))
    assert abs(np.flatnonzero(found["kind"] == "level shift")[0] - 700) <= 6


def test_flags_are_those_of_qartod():
    day = pd.date_range("2013-01-01", periods=6, freq="5min")
    values = pd.Series([1.0, 4.5, 7.0, np.nan, 2.0, 2.0], day)
    found = check_series(values, limited(out_of_range={"suspect": [0, 3], "fail": [-1, 6]}))
    assert found["flag"].tolist() == [1, 3, 4, 9, 1, 1]
    assert found["outlier"].tolist() == [False, True, True, False, False, False]
    assert check_series(values, limited(gap={"longest": "1 h"}))["flag"].tolist() == [2, 2, 2, 9, 2, 2]


def test_bounds_are_per_time_not_per_reading():
    hours = np.arange(0, 24 * 60, 1 / 6)
    wave = 5 * np.sin(2 * np.pi * hours / (24 * 29.5)) + np.random.default_rng(1).normal(0, 0.05, len(hours))
    signal = pd.Series(wave, pd.Timestamp("2013-01-01") + pd.to_timedelta(hours, "h"))
    limits = limited(spike={"suspect": 3}, jump={"suspect": 3}, rate={"suspect": 1.5, "over": "1 h"})
    for every in (1, 6, 144):
        assert not check_series(signal.iloc[::every], limits)["outlier"].any(), every
    # a bound per reading that holds at ten minutes would flag most of the days
    assert (np.abs(np.diff(wave[::144])) > 3 / 6).mean() > 0.5


def test_rate_has_two_bounds():
    ramp = np.concatenate([np.zeros(24), np.linspace(0, 3, 13), np.full(24, 3.0)])
    for suspect, fail, flag in ((5, 9, 1), (2.9, 9, 3), (1, 2.5, 4)):
        found = check_series(series_of(ramp), limited(rate={"suspect": suspect, "fail": fail, "over": "1 h"}))
        assert found["flag"][12:].max() == flag and found["flag"].tolist()[:12] == [2] * 12
    assert "0 to 3 in 1 h (3 per hour, limit 1)" in found["reason"].iloc[36]


def test_a_flat_line_counts_from_its_first_reading_and_ends_at_a_gap():
    values = np.concatenate([[2.0] * 7, RNG.normal(2, 1, 5), [3.0] * 4, [np.nan], [3.0] * 4, [1.0]])
    rule = {"suspect": "25 min", "fail": "50 min"}
    found = check_series(series_of(values), limited(flat_line=rule))
    assert found["kind"].tolist()[:8] == ["flat line"] * 7 + [""]
    assert not found["kind"].eq("flat line")[12:].any()
    across = check_series(series_of(values), limited(flat_line=rule | {"across_gaps": True}))
    assert across["kind"].tolist()[12:21] == ["flat line"] * 4 + ["missing"] + ["flat line"] * 4
    wobbling = series_of([1, 1.004, 0.998, 1.001, 1.003, 1.0, 1.002, 5, 6, 7])
    assert not check_series(wobbling, limited(flat_line=rule))["outlier"].any()
    near = check_series(wobbling, limited(flat_line=rule | {"tolerance": 0.01}))
    assert near["kind"].tolist() == ["flat line"] * 7 + [""] * 3
    assert "7 readings within 0.01 of each other" in near["reason"].iloc[0]


def test_two_lines_that_touch_are_two():
    found = check_stretches(series_of([1.0] * 8 + [2.0] * 9), limited(flat_line={"suspect": "20 min"}))
    assert found["reason"].str.extract(r"(\d+) readings of exactly (\d)")[[0, 1]].to_numpy().tolist() == [
        ["8", "1"], ["9", "2"]]


@pytest.mark.parametrize("seed", range(5))
def test_spikes_are_those_of_a_slow_twin(seed):
    values = np.random.default_rng(seed).normal(size=200).round(1)
    values[::37] = np.nan
    slow = []
    for i in range(200):
        near = values[max(i - 1, 0):i + 2]
        out = (values[i] - near) if len(near) == 3 and not np.isnan(near).any() else np.zeros(3)
        is_peak = out[0] * out[2] > 0
        slow.append(bool(is_peak and min(abs(out[0]), abs(out[2])) * 12 > 18))
    found = check_series(series_of(values), limited(spike={"suspect": 18}))
    assert found["kind"].eq("spike").tolist() == slow and 3 < sum(slow) < 60


def test_gaps_are_rows_of_the_stretches():
    day = pd.date_range("2013-03-12", periods=60, freq="5min").delete([10, 30, 31, 32])
    found = check_stretches(pd.Series(RNG.normal(size=56), day), limited(gap={"longest": "10 min"}))
    assert found["kind"].tolist() == ["gap"] and found["score"].tolist() == [2.0]
    assert found["reason"][0] == "gap: 3 readings missing, 02:30-02:40 (20 min from one row to the next)"
    assert found["start"][0] == pd.Timestamp("2013-03-12 02:30") and found["flag"].tolist() == [9]


def test_a_stretch_names_the_file_that_it_begins_in(tmp_path):
    for month, days in (("a", range(2)), ("b", range(3, 5))):
        day = pd.DatetimeIndex([f"2013-01-0{n + 1} {h:02}:00" for n in days for h in range(24)])
        pd.DataFrame({"time": day, "site": "S", "v": 1.0}).to_csv(tmp_path / f"{month}.csv", index=False)
    found = check_stretches(read_series(tmp_path), limited(flat_line={"suspect": "3 h"}, gap={"longest": "2 h"}))
    assert found[["kind", "source"]].to_numpy().tolist() == [
        ["flat line", "a.csv"], ["gap", "a.csv"], ["flat line", "b.csv"]]


def test_duplicates_say_whether_they_agree():
    day = pd.DatetimeIndex(["2013-01-01 00:00", "2013-01-01 00:05", "2013-01-01 00:05", "2013-01-01 00:05"])
    found = check_series(pd.Series([1.0, 2, 2, 3], day), limited(gap={"longest": "1 h"}))
    assert found["kind"].tolist() == ["", "", "duplicate", "duplicate"]
    assert found["reason"].iloc[2].endswith("with the same value") and found["reason"].iloc[3].endswith("says 2")


def test_learned_limits_come_back_from_their_file_and_find_the_same(sewer, tmp_path):
    table, limits = sewer
    limits.save(tmp_path / "limits.yaml")
    again = SeriesConfig.read(tmp_path / "limits.yaml")
    assert list(again.limits) == [("site_1", channel) for channel in ("velocity", "level", "flow")]
    one, two = (check_series(table, each) for each in (limits, tmp_path / "limits.yaml"))
    assert (one["kind"] == two["kind"]).mean() > 0.999  # numbers keep four digits
    text = again.text()
    assert text.count("suspect: ") == 3 * (len(CHECKS) - 1) and "\n      spike: {suspect: " in text
    edited = text.replace("      spike:", "      unit: m/s\n      spike:", 1)
    assert " m/s " in " ".join(check_series(table, SeriesConfig.from_text(edited))["reason"])


def test_a_check_without_a_line_is_not_made(sewer):
    table, _ = sewer
    found = check_series(table, limited(flat_line={"suspect": "2 h"}))
    assert set(found["kind"]) == {"", "flat line", "missing", "duplicate", "irregular"}
    assert not len(check_stretches(table, limited(flat_line={"suspect": "30 d"})).query("kind == 'gap'"))


def test_scores_follow_the_readings_through_units_order_and_zones():
    table = simulate_series(days=25, faults=["spike", "flat line", "noisy"], random_state=2)
    plain = check_series(table)
    mixed = check_series(table.sample(frac=1, random_state=0)).loc[plain.index]
    pd.testing.assert_frame_equal(mixed, plain)
    scaled = check_series(table.assign(value=table["value"] * 2.0**10))
    pd.testing.assert_series_equal(scaled["score"], plain["score"])
    zoned = check_series(table.assign(time=table["time"].dt.tz_localize("UTC").dt.tz_convert("Asia/Kolkata")))
    pd.testing.assert_series_equal(zoned["score"], plain["score"])
    line = zoned.loc[zoned["kind"] == "flat line", "reason"].iloc[0]
    assert f"{zoned.loc[zoned['kind'] == 'flat line', 'time'].iloc[0]:%H:%M}" in line


@pytest.mark.parametrize("values", [[1.0], [np.nan] * 5, [2.0] * 400, [1.0, 1e300] * 50, [0.0] * 399 + [1.0]])
def test_odd_series_are_checked_without_a_word(values, recwarn):
    found = check_series(series_of(values))
    assert len(found) == len(values) and not [str(each.message) for each in recwarn]
    assert set(found["flag"]) <= {1, 2, 3, 4, 9}


def test_one_channel_does_not_move_another(sewer):
    table, _ = sewer
    alone = check_series(table[table["channel"] == "flow"])
    both = check_series(table)[table["channel"] == "flow"]
    pd.testing.assert_frame_equal(alone, both)


# ---------------------------------------------------------------- real data

def test_the_faults_of_the_sewer_and_the_gaps_of_the_flow_are_named(shared_data):
    """No limits are given: those learned from the series itself find what the operator found."""
    real = check_stretches(read_series(shared_data / "series" / "sewer_velocity_5min.csv", value="velocity"))
    flat = real[(real["kind"] == "flat line") & (real["start"] == "2013-03-26 17:45")]
    assert flat["reason"].item().startswith("flat line: 34 readings of exactly 1.659, 17:45-20:30 (longest ordinary")
    noisy = real[(real["kind"] == "noisy") & real["start"].between("2013-04-30 08:00", "2013-04-30 13:00")]
    assert noisy["end"].max() > pd.Timestamp("2013-04-30 18:00")
    spike = real[(real["kind"] == "spike") & (real["start"] == "2013-05-17 21:00")]
    assert spike["reason"].item().startswith("spike: 1.606 is 1.606 above both neighbours")
    flow = check_stretches(read_series(shared_data / "series" / "flow_5min_with_gaps.csv"))
    gaps = flow[flow["kind"] == "gap"]
    assert gaps["start"].astype(str).tolist() == ["2013-09-30 16:05:00", "2013-10-16 14:30:00"]
    assert gaps["reason"].str.contains("12 readings missing|1 reading missing").all()


def test_one_reading_of_ordinary_data_in_a_hundred_is_flagged_at_most(shared_data):
    """Series that nobody tuned the rules to; their labels are known to be loose."""
    table = pd.read_parquet(shared_data / "series" / "selection" / "series.parquet")
    shares = []
    for name in sorted(table["series"].unique())[::8]:
        own = table[(table["series"] == name) & (table["label"] == 0)]
        times = pd.Timestamp("2013-01-01") + pd.to_timedelta(own["position"] * 5, "min")
        found = check_series(pd.Series(own["value"].to_numpy(float), pd.DatetimeIndex(times)))
        shares.append(found["outlier"].mean())
    assert np.median(shares) < 0.03


def test_a_history_with_too_little_says_so():
    config = learn_limits(simulate_series("ar1", days=3, random_state=1))
    assert config.of("site_1", "value").spike is not None and config.of("site_1", "value").drift is None
    assert "level shift, drift: too little to learn from in 1 channel, such as value of site_1" in config.notes
    with pytest.raises(InputError, match="nothing can be learned"):
        learn_limits(as_series(series_of([1.0])))
