"""Windows of a series: slow twins, DBSCAN; series that are shifted, scaled, gappy or still growing; hostile files."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from naive import naive_window_distances, naive_window_radii, naive_window_squares
from sklearn.cluster import DBSCAN
from sklearn.utils.estimator_checks import check_estimator

from oco2_outliers.ground.errors import InputError
from oco2_outliers.series.arrivals import WindowStream, load_window_stream
from oco2_outliers.series.reaching import window_radii
from oco2_outliers.series.recurrence import window_distances
from oco2_outliers.series.window_estimator import WindowIsolation

FEW = settings(max_examples=50, derandomize=True, suppress_health_check=list(HealthCheck))
# Whole numbers, so that squares are exact and equals are equal; constants, gaps and series that are too short occur.
READINGS = st.one_of(
    st.lists(st.one_of(st.integers(-3, 3).map(float), st.just(np.nan)), min_size=4, max_size=60),
    st.lists(st.integers(0, 1).map(float), min_size=4, max_size=60),
    st.tuples(st.integers(-9, 9), st.integers(4, 60)).map(lambda pair: [float(pair[0])] * pair[1]),
)
CASES = {"values": READINGS, "window": st.integers(2, 9), "k": st.integers(1, 5), "causal": st.booleans()}


def pump(n=600, seed=0):
    """A day of 24 readings that comes back, noise, and one event."""
    rng = np.random.default_rng(seed)
    values = np.sin(2 * np.pi * np.arange(n) / 24) + 0.1 * rng.normal(size=n)
    values[n // 2 : n // 2 + 8] += 2
    return values


# --- slow twins ---

@FEW
@given(**CASES)
def test_raw_distances_and_neighbours_are_those_of_the_definition_to_the_last_bit(values, window, k, causal):
    window = min(window, len(values))
    distance, neighbour = window_distances(values, window, k, normalise=False, causal=causal)
    expected, where = naive_window_distances(values, window, k, False, causal)
    np.testing.assert_array_equal(distance, expected)
    np.testing.assert_array_equal(neighbour, where)


@FEW
@given(floor=st.sampled_from([0.0, 0.4, 2.0]), **CASES)
def test_distances_of_shapes_are_those_of_the_definition(values, window, k, causal, floor):
    window = min(window, len(values))
    distance, neighbour = window_distances(values, window, k, causal=causal, floor=floor)
    expected, _ = naive_window_distances(values, window, k, True, causal, floor)
    np.testing.assert_allclose(distance, expected, rtol=1e-9, atol=2e-7)
    squares, _ = naive_window_squares(values, window, True, floor)
    told = np.flatnonzero(neighbour >= 0)
    np.testing.assert_allclose(np.sqrt(squares[told, neighbour[told]]), distance[told], rtol=1e-9, atol=1e-12)


@FEW
@given(normalise=st.booleans(), **CASES)
def test_radii_are_those_of_the_definition(values, window, k, causal, normalise):
    window = min(window, len(values))
    radius = window_radii(values, window, k, normalise, causal)
    expected = naive_window_radii(values, window, k, normalise, causal)
    np.testing.assert_allclose(radius, expected, rtol=1e-9 if normalise else 1e-15, atol=2e-7 if normalise else 0)


@FEW
@given(normalise=st.booleans(), **CASES)
def test_dbscan_calls_noise_the_windows_whose_radius_is_above_eps(values, window, k, causal, normalise):
    """Overlapping windows lie infinitely far apart there; so do windows that miss a reading, which have no radius."""
    window = min(window, len(values))
    squares, complete = naive_window_squares(values, window, normalise)
    away = np.where(np.eye(len(squares), dtype=bool), 0.0, np.sqrt(np.minimum(squares, 1e12)))
    radius = window_radii(values, window, k, normalise)
    steps = np.unique(np.r_[1e-4, radius[np.isfinite(radius)], 1e5])
    for eps in (steps[1:] + steps[:-1])[np.diff(steps) > 1e-5][:6] / 2:
        noise = DBSCAN(eps=eps, min_samples=k, metric="precomputed").fit(away).labels_ == -1
        np.testing.assert_array_equal(noise[complete], eps < radius[complete])


# --- what may change nothing ---

@pytest.mark.parametrize("normalise", [True, False])
def test_scores_do_not_depend_on_level_unit_or_direction_of_time(normalise):
    exact = np.round(pump() * 2**20) / 2**20  # adding a million is exact then
    distance, radius = window_distances(exact, 20, 3, normalise)[0], window_radii(exact, 20, 4, normalise)
    for changed, unit in ((exact + 1e6, 1), (exact - 2**30, 1), (exact * 1e-9, 1e-9), (exact * 977, 977), (-exact, 1)):
        unit = 1 if normalise else unit
        np.testing.assert_allclose(window_distances(changed, 20, 3, normalise)[0], distance * unit, rtol=1e-9)
        np.testing.assert_allclose(window_radii(changed, 20, 4, normalise), radius * unit, rtol=1e-9)
    np.testing.assert_allclose(window_distances(exact[::-1], 20, 3, normalise)[0][::-1], distance, rtol=1e-9)
    np.testing.assert_allclose(window_radii(exact[::-1], 20, 4, normalise)[::-1], radius, rtol=1e-9)


@pytest.mark.parametrize("normalise", [True, False])
def test_a_series_that_begins_earlier_with_gaps_has_the_same_scores(normalise):
    late = np.r_[np.full(37, np.nan), pump()]
    np.testing.assert_array_equal(window_distances(late, 20, 3, normalise)[0][37:],
                                  window_distances(pump(), 20, 3, normalise)[0])
    np.testing.assert_array_equal(window_radii(late, 20, 4, normalise)[37:], window_radii(pump(), 20, 4, normalise))


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("later", [[1e9], [np.nan, 0.0], list(np.arange(300.0))])
def test_what_comes_later_changes_nothing_before(normalise, later):
    longer, m = np.r_[pump(), later], 600 - 20 + 1
    for k in (1, 4):
        for part in (0, 1):
            np.testing.assert_array_equal(window_distances(longer, 20, k, normalise, True)[part][:m],
                                          window_distances(pump(), 20, k, normalise, True)[part])
    np.testing.assert_array_equal(window_radii(longer, 20, 4, normalise, True)[:m],
                                  window_radii(pump(), 20, 4, normalise, True))


@pytest.mark.parametrize("normalise", [True, False])
def test_a_huge_spike_leaves_no_trace_in_windows_without_it(normalise):
    spiked = pump()
    spiked[200] = 1e12
    gap = np.where(np.arange(600) == 200, np.nan, spiked)
    free = ~np.isnan(window_distances(gap, 20, 3, normalise)[0])
    np.testing.assert_allclose(window_distances(spiked, 20, 3, normalise)[0][free],
                               window_distances(gap, 20, 3, normalise)[0][free], rtol=1e-12)


def test_threads_change_no_bit_and_bands_no_result():
    values = pump(6_000)
    one, two = (window_distances(values, 24, 3, n_jobs=jobs) for jobs in (1, 2))
    for a, b in zip(one, two):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(window_radii(values, 24, n_jobs=1), window_radii(values, 24, n_jobs=2))
    rows = np.lib.stride_tricks.sliding_window_view(values, 24)
    for i in (0, 511, 3_000, len(rows) - 1):
        away = np.sqrt(np.square(rows - rows[i]).sum(axis=1))
        away[max(0, i - 23) : i + 24] = np.inf
        assert np.sort(away)[2] == pytest.approx(window_distances(values, 24, 3, False)[0][i], rel=1e-12)


def test_missing_readings_are_never_near():
    values = pump()
    values[[50, 300, 301]] = np.nan
    distance, neighbour = window_distances(values, 20, 1)
    incomplete = np.isnan(np.lib.stride_tricks.sliding_window_view(values, 20)).any(axis=1)
    assert np.isnan(distance[incomplete]).all() and np.isnan(window_radii(values, 20)[incomplete]).all()
    assert not np.isnan(distance[~incomplete]).any() and not incomplete[neighbour[~incomplete]].any()
    assert np.isnan(window_distances(np.full(50, np.nan), 5)[0]).all()


def test_flat_windows_are_alike_and_far_from_all_others():
    values = np.r_[pump(200), np.full(30, 0.123456), pump(200, 1), np.full(40, 7.7)]
    distance, neighbour = window_distances(values, 20, 1)
    assert (distance[200:211] == 0).all() and (neighbour[200:211] >= 430).all()
    alone, _ = window_distances(np.where(np.arange(470) >= 430, np.nan, values), 20, 1)
    np.testing.assert_allclose(alone[200:211], np.sqrt(20), rtol=1e-12)


# --- windows as they arrive ---

@FEW
@given(normalise=st.booleans(), values=READINGS, window=st.integers(2, 9), k=st.integers(1, 5))
def test_a_stream_says_what_the_whole_series_says_bit_by_bit(values, window, k, normalise):
    distance, neighbour = WindowStream(window, k, normalise).extend(values)
    assert np.isnan(distance[: window - 1]).all()
    if len(values) >= window:
        expected = window_distances(values, window, k, normalise, causal=True)
        np.testing.assert_array_equal(distance[window - 1 :], expected[0])
        np.testing.assert_array_equal(neighbour[window - 1 :], expected[1])


def test_a_long_stream_with_offset_and_spikes_is_that_of_the_whole_series():
    values = 1e6 + pump(3_000)
    values[[500, 1700]] = -1e9
    for normalise in (True, False):
        said = WindowStream(24, 3, normalise).extend(values)
        for a, b in zip(said, window_distances(values, 24, 3, normalise, True)):
            np.testing.assert_array_equal(a[23:], b)


def test_a_stream_that_keeps_the_last_readings_is_that_of_these(tmp_path):
    values, keep = pump(900), 100
    stream = WindowStream(20, 2, keep=keep)
    distance, neighbour = stream.extend(values)
    for i in (30, 150, 500, 880):  # windows
        begin = max(0, i - keep)
        expected = window_distances(values[begin : i + 20], 20, 2, causal=True)
        assert distance[i + 19] == expected[0][-1] and neighbour[i + 19] == expected[1][-1] + begin
    again = load_window_stream(stream.save(tmp_path / "stream.npz"))
    assert again.push(0.5) == stream.push(0.5) and repr(again) == repr(stream)


def test_a_stream_is_judged_reading_by_reading_as_at_once():
    pushed, at_once = WindowStream(10, 2), WindowStream(10, 2)
    values = [*pump(60), None, 3, np.float32(0.5)]
    told = [pushed.push(value) for value in values]
    np.testing.assert_array_equal(np.array(told).T, at_once.extend(values))
    for bad in (np.inf, -np.inf, 1e200, "a", [1.0]):
        with pytest.raises(InputError):
            pushed.push(bad)
    assert pushed.n_readings == 63  # none of these was taken


@pytest.mark.parametrize("wrong", [{"about": np.array("[]")}, {"about": np.array('{"kind": "stream of windows"}')},
                                   {"values": np.array([{}], dtype=object)}, {"high": np.zeros(3)},
                                   {"low": np.full(60, np.inf)}, {"oldest": np.full(10, 1e300)},
                                   {"values": np.full(60, np.inf)}])
def test_a_changed_file_is_no_stream(tmp_path, wrong):
    stream = WindowStream(10)
    stream.extend(pump(60))
    path = stream.save(tmp_path / "stream.npz")
    with np.load(path) as kept:
        arrays = dict(kept)
    np.savez(path, **arrays | wrong)
    with pytest.raises(InputError, match="holds no stream of windows"):
        load_window_stream(path)


def test_what_is_no_file_of_a_stream_is_refused_in_one_line(tmp_path):
    (tmp_path / "text.npz").write_bytes(b"\x80\x04pickle")
    for path in (tmp_path / "text.npz", tmp_path):
        with pytest.raises(InputError) as told:
            load_window_stream(path)
        assert "\n" not in str(told.value)
    with pytest.raises(FileNotFoundError):
        load_window_stream(tmp_path / "none.npz")


# --- the estimator ---

def test_check_estimator():
    check_estimator(WindowIsolation())


@pytest.mark.slow
def test_check_estimator_by_distance():
    check_estimator(WindowIsolation(measure="distance", eps=0.4))


@pytest.mark.slow
def test_check_estimator_by_shape():
    """Two readings have one shape, or its mirror; the rows of two columns there cannot hold both kinds."""
    why = "windows of two readings have two shapes, and none is odd"
    check_estimator(WindowIsolation(normalise=True), expected_failed_checks={
        "check_outliers_train": why, "check_outliers_fit_predict": why})


def test_series_and_rows_that_do_not_overlap_have_the_same_scores():
    days = pump(240)
    rows = np.lib.stride_tricks.sliding_window_view(days, 24)[::24]
    only = np.concatenate([[*row, np.nan] for row in rows])  # every other window misses a reading
    for normalise in (True, False):
        for measure in ("radius", "distance"):
            model = WindowIsolation(3, measure, normalise).fit(rows)
            np.testing.assert_allclose(model.score_series(only)[::25], model.scores_, rtol=1e-9)


@pytest.mark.parametrize("arguments, said", [
    ((["a"], 2), "numbers"), (([[1.0]], 2), "one channel"), (([1, np.inf, 2], 2), "infinite"),
    (([1.0, 2.0], 3), "shorter"), (([1.0, 2.0, 3.0], 1), "window"), (([1.0, 2.0, 3.0], 2, 0), "k must"),
    (([], 2), "window"),
])
def test_bad_input_is_refused_in_words(arguments, said):
    with pytest.raises(InputError, match=said):
        window_distances(*arguments)
