"""A sensor that is dead is found whatever share of the record that is; where it cannot be told, a note says so."""

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from oco2_outliers.ground.errors import InputError
from oco2_outliers.ground.languages import language
from oco2_outliers.series.checks import check_stretches
from oco2_outliers.series.freezing import freeze
from oco2_outliers.series.judging import judge
from oco2_outliers.series.learning import learn_limits
from oco2_outliers.series.limits import as_config

DAY = 288


def series_of(values):
    return pd.Series(np.asarray(values, float), pd.date_range("2013-03-12", periods=len(values), freq="5min"))


def flat_lines(series):
    """First and last time of each flat line."""
    found = check_stretches(series)
    found = found[found["kind"] == "flat line"]
    return [list(pair) for pair in zip(found["start"], found["end"], strict=True)]


def notes_of(values):
    """What `judge` says of a channel."""
    return judge(series_of(values), "energy", window=24, alpha=None).summary["channels"][0]["notes"]


@pytest.mark.parametrize("share", [0.05, 0.1, 0.12, 0.15, 0.3, 0.5, 0.75, 0.95])
def test_noise_that_stands_still_is_found_whatever_its_share(share):
    values = np.random.default_rng(0).normal(size=2000)
    begin = 2000 - int(share * 2000)
    values[begin:] = values[begin]
    series = series_of(values)
    assert flat_lines(series) == [[series.index[begin], series.index[-1]]]
    assert not any("flat line" in note for note in learn_limits(series).notes)


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.floats(0.01, 0.8), st.booleans())
def test_a_dead_stretch_anywhere_hides_no_other_flat_line(seed, share, drops):
    rng = np.random.default_rng(seed)
    n = 20 * DAY
    values = np.round(np.sin(np.arange(n) * 2 * np.pi / DAY) + rng.normal(0, 0.2, n), 3)
    length, values[100:140] = int(share * n), 5.0
    begin = int(rng.integers(200, n - length + 1))
    values[begin:begin + length] = values[begin]
    if drops:  # a sensor that is dead drops readings, too; the line ends there, and goes on behind them
        values[begin:][rng.random(n - begin) < 0.002] = np.nan
    series = series_of(values)
    found = flat_lines(series)
    assert [series.index[100], series.index[139]] in found
    dead = series.index[begin], series.index[begin + length - 1]
    inside = sum((min(last, dead[1]) - max(first, dead[0])) / pd.Timedelta("5min") + 1
                 for first, last in found if first <= dead[1] and last >= dead[0])
    assert inside > 0.9 * length


def test_what_is_dead_teaches_the_other_checks_nothing():
    values = np.random.default_rng(1).normal(size=6000)
    plain = learn_limits(series_of(values)).of("site", "value")
    values[3000:] = 0.0
    found = learn_limits(series_of(values)).of("site", "value")
    for name in ("spike", "jump", "rate", "noisy"):
        assert getattr(found, name).suspect == pytest.approx(getattr(plain, name).suspect, rel=0.25), name


def weekends(n):
    return np.where(np.arange(n) // DAY % 7 >= 5, 0.0, np.random.default_rng(0).normal(50, 3, n))


def showers(n):
    rng, values = np.random.default_rng(0), np.zeros(n)
    for begin in np.cumsum(rng.exponential(1.5 * DAY, 40)).astype(int):
        values[begin:begin + int(rng.integers(3, 60))] = np.round(rng.exponential(2), 1)
    return values


def states(n):
    rng = np.random.default_rng(0)
    return np.repeat(rng.integers(0, 4, n), rng.integers(DAY // 4, 3 * DAY, n))[:n]


@pytest.mark.parametrize("made", [weekends, showers, states])
def test_what_stands_still_by_habit_is_not_flat_and_a_note_says_so(made):
    values = made(30 * DAY)
    series = series_of(values)
    assert flat_lines(series) == []
    assert any(note.startswith("flat line: not looked for in 1 channel, such as value of site: on one day in ten")
               for note in learn_limits(series).notes)
    assert not any("flat line" in note and "too little" in note for note in learn_limits(series).notes)
    told = [note for note in notes_of(values) if note.startswith("no flat line is looked for: on one day in ten")]
    assert len(told) == 1


def nights(days=30, seed=0):
    """A plant that stands at exactly 0 from 18 to 6 hours, and runs by a noisy curve."""
    hour = np.arange(days * DAY) % DAY / 12
    curve = 1 + 5 * np.sin(np.pi * (hour - 6) / 12) + np.random.default_rng(seed).normal(0, 0.1, len(hour))
    return np.where((hour >= 6) & (hour < 18), curve, 0.0)


def test_a_rest_of_every_night_is_usual_and_what_sticks_beside_it_is_found():
    assert flat_lines(series_of(nights())) == []
    values = nights()
    values[10 * DAY + 100:10 * DAY + 130] = values[10 * DAY + 100]  # two hours and a half by day
    values[20 * DAY:21 * DAY + 100] = 0.0  # a whole day at 0, and the nights around it
    series = series_of(values)
    found = check_stretches(series)
    found = found[found["kind"] == "flat line"]
    assert found["start"].tolist() == [series.index[10 * DAY + 100], series.index[19 * DAY + 216]]
    assert found["end"].tolist() == [series.index[10 * DAY + 129], series.index[21 * DAY + 99]]
    assert found["reason"].iloc[1].endswith("(a rest there lasts 14 h 55 min at most)")


def test_a_rest_needs_most_days_and_may_be_written_by_hand():
    some = nights()
    some[8 * DAY:] = np.random.default_rng(1).normal(5, 1, 22 * DAY)  # a quarter of the nights is no habit
    assert len(flat_lines(series_of(some))) == 9
    limits = learn_limits(series_of(nights()))
    again = as_config(yaml.safe_load(limits.text())).of("site", "value").flat_line
    assert again == limits.of("site", "value").flat_line and again.rest == 0.0
    for wrong, words in (({"rest": 0}, "need each other"), ({"rest": 0, "longest_rest": "5 min"}, "not be shorter"),
                         ({"longest_rest": "5 h"}, "need each other")):
        with pytest.raises(InputError, match=words):
            as_config({"sites": {"*": {"*": {"flat_line": {"suspect": "1 h"} | wrong}}}})


def test_a_state_that_comes_once_is_not_set_aside_for_the_range():
    """Where no line can be too long, nothing is dead, and each state has its say in every bound."""
    lengths = [900, 400, 800, 500, 700, 600, 900, 1500, 800, 500, 700, 340]
    values = np.repeat([0, 1, 0, 1, 0, 1, 0, 3, 0, 1, 0, 1.0], lengths)
    series = series_of(values)
    assert learn_limits(series).of("site", "value").out_of_range.suspect[1] >= 3 and flat_lines(series) == []


def test_all_readings_equal_is_told():
    told = [note for note in notes_of(np.full(2000, 5.0)) if note.startswith("no flat line")]
    assert told == ["no flat line is looked for: all readings, or all but a few, are equal; give limits with flat_line "
                    "where its bound is known"]
    for code, word in (("fr", "palier"), ("es", "línea plana")):
        assert word in language(code)(told[0])
    assert "flat line: not looked for" in learn_limits(series_of(np.full(2000, 5.0))).notes[-1]
    few = learn_limits(series_of(np.full(20, 5.0)))
    assert "flat line" in few.notes[0] and "too little" in few.notes[0] and len(few.notes) == 1


def test_whoever_gives_limits_hears_nothing_and_a_frozen_judge_keeps_the_note():
    values = series_of(weekends(30 * DAY))
    given_ = {"sites": {"*": {"*": {"spike": {"suspect": 1000}}}}}
    said = judge(values, "energy", window=24, alpha=None, config=given_).summary["channels"][0]["notes"]
    assert not any("flat line" in note for note in said)
    assert any("no flat line is looked for" in note for note in freeze(values, window=24, n_surrogates=2).notes)
    left = freeze(values, window=24, n_surrogates=2, leave_out=("drift", "flat_line"))
    assert not any("flat line" in note for note in left.notes)


def test_a_clean_history_has_no_dead_sensor():
    values = np.random.default_rng(0).normal(size=2000)
    values[1000:] = 5.0
    limits = learn_limits(series_of(values), clean=True)
    assert limits.of("site", "value").flat_line is None
    assert learn_limits(series_of(values)).of("site", "value").flat_line is not None


@pytest.mark.parametrize("share", [0.12, 0.15, 0.3])
def test_a_flow_that_stands_still_at_its_end(shared_data, share):
    table = pd.read_csv(shared_data / "series" / "flow_5min_with_gaps.csv")
    begin = int(len(table) * (1 - share))
    untouched, time = flat_lines(table), pd.Timestamp(table["time"].iloc[begin])
    table.loc[begin:, "flow"] = table["flow"][begin]
    found = flat_lines(table)
    assert len(untouched) == 1 and untouched[0] in found and len(found) == 2 and found[1][0] <= time
