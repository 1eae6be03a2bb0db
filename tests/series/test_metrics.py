"""The figures of a detector: equal to the published code and to a slow twin, and fair to random scores."""


import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from naive import naive_vus_pr

from oco2_outliers.series.metrics import score_detector, vus_pr

# What `RangeAUC_volume_opt` of TSB-AD 1.5 gives for the inputs below.
CASES = {
    ("short", 0): 0.2994477584178121,
    ("short", 1): 0.2994477584178121,
    ("short", 9): 0.39146758549340166,
    ("short", 40): 0.6188277707919293,
    ("short ties", 0): 0.2320626758670237,
    ("short ties", 1): 0.2320626758670237,
    ("short ties", 9): 0.30493902624550806,
    ("short ties", 40): 0.496798946931958,
    ("edges", 0): 0.3987772368352233,
    ("edges", 1): 0.3987772368352233,
    ("edges", 9): 0.6047027813297736,
    ("edges", 40): 0.8549130562769318,
    ("edges ties", 0): 0.3345700060378587,
    ("edges ties", 1): 0.3345700060378587,
    ("edges ties", 9): 0.48586603268580875,
    ("edges ties", 40): 0.7516433368446742,
    ("near", 0): 0.5051680451825693,
    ("near", 1): 0.5051680451825693,
    ("near", 9): 0.8034755488091235,
    ("near", 40): 0.9443132762279487,
    ("near ties", 0): 0.4487828760038585,
    ("near ties", 1): 0.4487828760038585,
    ("near ties", 9): 0.744437847152051,
    ("near ties", 40): 0.9136551167670072,
    ("long", 0): 0.577167741299614,
    ("long", 1): 0.577167741299614,
    ("long", 9): 0.5864084034883206,
    ("long", 40): 0.6181153716343749,
    ("long ties", 0): 0.5336575903967209,
    ("long ties", 1): 0.5336575903967209,
    ("long ties", 9): 0.5429358900359984,
    ("long ties", 40): 0.5792261624494173,
    ("single", 0): 0.008928571428571428,
    ("single", 1): 0.008928571428571428,
    ("single", 9): 0.26965951613697464,
    ("single", 40): 0.738131449218713,
    ("single ties", 0): 0.004878048780487805,
    ("single ties", 1): 0.004878048780487805,
    ("single ties", 9): 0.263229549598688,
    ("single ties", 40): 0.7078488553971216,
}
N = 400
RUNS = {"short": [(50, 52), (53, 54), (200, 240)], "edges": [(0, 7), (120, 120), (390, 399)],
        "near": [(100, 104), (109, 111), (115, 130), (300, 301)], "long": [(150, 349)], "single": [(77, 77)]}


def case_of(name):
    """Labels and whole-number scores, the same on any machine."""
    kind, _, ties = name.partition(" ")
    row = np.arange(N)
    labels = np.zeros(N, int)
    for start, end in RUNS[kind]:
        labels[start : end + 1] = 1
    noise = (row * row * 31 + row * 17) % 211
    near = sum(np.exp(-np.abs(row - (start + end) / 2 - 3) / 9) for start, end in RUNS[kind])
    score = noise + np.round(150 * near)
    return labels, np.floor(score / 60) if ties else score


@pytest.mark.parametrize(("name", "window"), CASES)
def test_vus_pr_is_that_of_the_benchmark(name, window):
    assert abs(vus_pr(*case_of(name), window) - CASES[name, window]) < 1e-12


@settings(max_examples=20)
@given(st.data())
def test_vus_pr_is_that_of_the_slow_twin(data):
    n = data.draw(st.integers(1, 24))
    labels = np.array(data.draw(st.lists(st.integers(0, 1), min_size=n, max_size=n)))
    score = np.array(data.draw(st.lists(st.sampled_from([0.0, 1.0, 1.5, 3.0, 7.0]), min_size=n, max_size=n)))
    window = data.draw(st.integers(0, 7))
    if labels.any():
        assert abs(vus_pr(labels, score, window) - naive_vus_pr(labels, score, window)) < 1e-12
    else:
        assert np.isnan(vus_pr(labels, score, window))


def test_only_the_order_of_scores_counts():
    labels, score = case_of("short")
    table = score_detector(labels, score, 30)
    assert table.equals(score_detector(labels, np.exp(score / 50) - 7, 30))
    assert table.equals(score_detector(labels.astype(bool).tolist(), score.tolist(), 30))


def test_a_reading_without_a_score_is_the_last_to_be_flagged():
    labels, score = case_of("near")
    gone, low = score.astype(float), score.astype(float)
    gone[100:140], low[100:140] = np.nan, -1e9
    assert vus_pr(labels, gone, 20) == vus_pr(labels, low, 20) < vus_pr(labels, score, 20)


def test_random_scores_stand_where_they_are_said_to_stand():
    labels, _ = case_of("long")
    table = score_detector(labels, np.random.default_rng(5).random(N), 40, n_random=60)
    for name, row in table.iloc[:4].iterrows():
        assert row["random_low"] - 0.03 <= row["value"] <= row["random_high"] + 0.03, name
    assert abs(table.loc["roc_auc", "random"] - 0.5) < 0.02
    assert abs(table.loc["average_precision", "random"] - table.loc["base_rate", "value"]) < 0.03


def test_intervals_hold_the_truth_as_often_as_they_say():
    rng = np.random.default_rng(0)
    held = []
    for _ in range(25):
        labels = np.zeros(1500, bool)
        score = rng.normal(size=1500)
        for start in range(50, 1500, 100):
            labels[start : start + 5] = True
            score[start : start + 5] += rng.normal(1.5, 0.7)
        row = score_detector(labels, score, 0, n_random=1, n_bootstrap=100).loc["roc_auc"]
        held.append(row["low"] <= 0.8266 <= row["high"])  # P(N(1.5, sqrt(2 + 0.49)) > 0)
    assert 0.8 <= np.mean(held) <= 1


def test_ten_thousand_readings_are_scored():
    rng = np.random.default_rng(0)
    labels = np.zeros(10_000, bool)
    labels[2000:2100] = labels[7000:7050] = True
    chance, right = vus_pr(labels, rng.random(10_000), 300), vus_pr(labels, labels.astype(float), 300)
    assert 0 < chance < 0.1 < right <= 1


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("lost", [1, 12, 60])
def test_readings_without_a_score_are_one_tie_whatever_their_order(lost):
    rng = np.random.default_rng(0)
    labels, score = np.r_[np.zeros(52, int), np.ones(8, int)], rng.normal(size=60)
    score[60 - lost:] = np.nan
    told = score_detector(labels[::-1], score[::-1])
    for name in ("average_precision", "roc_auc"):
        assert score_detector(labels, score).loc[name, "value"] == pytest.approx(told.loc[name, "value"], abs=1e-12)
    known = np.where(np.isnan(score), -9.0, score)
    assert score_detector(labels, known)["value"].equals(score_detector(labels, score)["value"])
