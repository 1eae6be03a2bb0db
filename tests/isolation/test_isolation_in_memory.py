"""The same rows give the same digits, wherever their arrays lie in memory, and whichever lie side by side."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from oco2_outliers.dbscan import IsolatedSoundings, isolation_radius, silhouettes, sweep
from oco2_outliers.isolation.paths import forced_path

OFFSETS = range(0, 64, 8)  # bytes past a multiple of 64


def placed(array, offset):
    """A copy that begins so many bytes after a multiple of 64."""
    room = np.empty(array.nbytes + 128, np.uint8)
    start = -room.ctypes.data % 64 + offset
    copy = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


@pytest.mark.parametrize("path", ["numpy", "serial", "parallel", "library"])
@pytest.mark.parametrize("n, d, k, turns", [(226, 3, 4, 8), (500, 13, 60, 2), pytest.param(
    226, 3, 4, 24, marks=pytest.mark.slow), pytest.param(500, 13, 60, 24, marks=pytest.mark.slow)])
def test_results_do_not_depend_on_where_their_arrays_lie(path, n, d, k, turns):
    rng = np.random.default_rng(0)
    X, labels, seen, held = rng.normal(size=(n, d)), [rng.integers(-1, k, n) for _ in range(3)], set(), []
    eps = 0.5 * np.sqrt(d)
    with forced_path(path):
        for turn in range(turns):
            rows = placed(X, OFFSETS[turn % 8])
            scores = [silhouettes(rows, labels, max_rows=most, random_state=0) for most in (None, n // 3)]
            scores.append(sweep(rows, eps=[eps], min_samples=[4]).table)
            model = IsolatedSoundings(eps=eps, min_samples=4).fit(rows)
            why = model.explain(rows[:20])
            seen.add(b"".join([*(each.to_numpy(float).tobytes() for each in scores),
                               isolation_radius(rows, 4).tobytes(), model.labels_.tobytes(),
                               model.score_samples(rows + 0.1).tobytes(),
                               why[["distance", "change", "change_most"]].to_numpy(float).tobytes()]))
            held = [np.empty(rng.integers(1, 4000)) for _ in range(rng.integers(1, 30))][::2] + held[:20]
    assert len(seen) == 1


@pytest.mark.parametrize("n, d, n_groups, same", [
    pytest.param(*sizes, same, marks=[] if same == (sizes[1] != 9) else pytest.mark.slow)
    for sizes in ((50, 3, 4), (301, 9, 3), (90, 15, 2), (64, 1, 40)) for same in (True, False)])
def test_sums_over_pairs_do_not_depend_on_their_neighbours_in_memory(n, d, n_groups, same):
    """A compiled loop that writes one array and sums another may take another path when the two lie close together."""
    from oco2_outliers.isolation import pair_sums

    rng = np.random.default_rng(d)
    X, group = rng.normal(size=(n, d)), np.unique(np.sort(rng.integers(0, n_groups, n)), return_inverse=True)[1]
    runs, k = np.cumsum(np.bincount(group))[group], int(group.max()) + 1
    blocks, last = (0,) * ((d - 1) // pair_sums._UNROLLED), (0,) * ((d - 1) % pair_sums._UNROLLED + 1)
    shapes = {"room": (d + 3, pair_sums._TILE), "X": (n, d), "own": (k, n), "others": (k, n)}
    seen = set()
    for order, gap, offset in itertools.product(itertools.permutations(shapes), (0, 1, 3), (0, 8, 24, 40)):
        memory = placed(np.zeros(sum(np.prod(shape) for shape in shapes.values()) + 4 * gap), offset)
        at, arrays = 0, {}
        for name in order:
            size = int(np.prod(shapes[name]))
            arrays[name] = memory[at : at + size].reshape(shapes[name])
            at += size + gap
        arrays["X"][...] = X
        rows = pair_sums.GroupedRows(arrays["X"], group, runs)
        pair_sums._add_pairs_with(arrays["room"], rows, rows, same, blocks, last, arrays["own"], arrays["others"])
        seen.add(arrays["own"].tobytes() + arrays["others"].tobytes())
    assert len(seen) == 1
