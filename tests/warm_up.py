"""Compile the inner loops that most tests use, half in each of two processes; quick where they are on disk already.

In a fresh clone each process of `make test` would compile all of them for itself. Where nothing has changed since the
last time, not even that is looked at: it takes as long as a hundred tests.
"""

import contextlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

PACKAGE = Path(__file__).resolve().parents[1] / "oco2_outliers"
STAMP = PACKAGE / "__pycache__" / "warm_up.json"
ROWS = pd.DataFrame(np.random.default_rng(0).normal(size=(12_000, 4)), columns=[*"abcd"])


def state():
    """What the kernels on disk depend on, and which of them are there."""
    sources = [(path, path.stat()) for path in (*sorted(PACKAGE.rglob("*.py")), Path(__file__))]
    return {"versions": [platform.python_version(), platform.node(), *map(version, ("numba", "llvmlite", "numpy"))],
            "settings": {name: value for name, value in sorted(os.environ.items()) if name.startswith("NUMBA_")},
            "sources": [[str(path), stat.st_mtime_ns, stat.st_size] for path, stat in sources],
            "kernels": sorted(str(path) for path in PACKAGE.rglob("*.nb[ic]"))}


def is_warm():
    """Whether all is as the last warm-up left it; more kernels may have come since."""
    if "NUMBA_CACHE_DIR" in os.environ or not STAMP.exists():  # elsewhere they may come and go
        return False
    try:
        now, then = state(), json.loads(STAMP.read_text("utf-8"))
    except ValueError:  # somebody stopped it while it was written
        return False
    return set(then.pop("kernels")) <= set(now.pop("kernels")) and now == then


def compile_search():
    """Silhouettes, which need no search; then the search, whose first half the other process has made meanwhile."""
    from oco2_outliers.dbscan import IsolatedSoundings, silhouettes

    silhouettes(ROWS.to_numpy(), [np.arange(len(ROWS)) % 3])
    IsolatedSoundings(0.5, 5).fit(ROWS)


def compile_reasons():
    """A model of few rows needs no compiler, the reasons of many new rows do."""
    from oco2_outliers.dbscan import IsolatedSoundings

    IsolatedSoundings(0.5, 5).fit(ROWS[:400]).explain(ROWS)


def compile_company():
    """The company of a twentieth of the rows."""
    from oco2_outliers.dbscan import isolation_radius

    isolation_radius(ROWS[:4_000], "auto")


def compile_wide():
    """Many columns, in both widths of numbers."""
    from oco2_outliers.dbscan import isolation_radius

    wide = np.random.default_rng(0).normal(size=(2_500, 130))
    isolation_radius(wide)
    isolation_radius(wide.astype(np.float32))


def compile_scan():
    """The peak search; a plot of it is drawn from while tests are still collected, by each process of them."""
    from oco2_outliers.peaks import find_peaks
    from oco2_outliers.soundings import simulate_granule

    find_peaks(simulate_granule(n_seconds=20)[0], n_surrogates=39)


def compile_labels_of_many_columns():
    """Neighbours in many columns, groups of them, new rows; with copies, which are joined in another way."""
    from oco2_outliers.dbscan import IsolatedSoundings
    from oco2_outliers.isolation.paths import forced_path

    rng = np.random.default_rng(0)
    plain = rng.normal(size=(700, 12)) @ rng.normal(size=(12, 96))
    tangled = rng.normal(size=(700, 130))
    for rows in (plain, tangled, tangled.astype(np.float32)):
        rows[600:] = rows[:100]
        for path in ("serial", "parallel"):
            with forced_path(path):
                model = IsolatedSoundings(eps=3.0, min_samples=4).fit(rows)
                model.score_samples(rows[:100] + rows.dtype.type(0.1))
                model.explain(rows[:20])


def compile_series():
    """All detectors of odd readings, on a table and as a stream, and trees that learnt from labels."""
    from oco2_outliers.series.boosted_trees import boosted_trees_of
    from oco2_outliers.series.detectors import PRESETS, reading_scores
    from oco2_outliers.series_learn import WindowClassifier

    wave = np.sin(np.arange(600) / 4) + np.random.default_rng(0).normal(0, 0.1, 600)
    for name in PRESETS:
        for causal in (False, True):
            with contextlib.suppress(ValueError):  # some know no streams
                reading_scores(wave, name, window=24, causal=causal)
    rows = np.random.default_rng(0).normal(size=(80, 6))
    boosted_trees_of(WindowClassifier(max_iter=4).fit(rows, rows[:, 0] > 0).model_).predict_proba(rows)


def compile_surroundings():
    """Soundings beside those around them."""
    from oco2_outliers.soundings import simulate_granule
    from oco2_outliers.soundings.surroundings import local_scores

    local_scores(simulate_granule(0, 60).soundings)


def compile_pictures():
    """Pictures that look alike, and the inside of JPEG files."""
    import cv2

    from oco2_outliers.albums.copies import near_duplicates

    with tempfile.TemporaryDirectory() as folder:
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        for name in ("a", "b"):
            cv2.imwrite(f"{folder}/{name}.jpg", noise)
        near_duplicates(folder)


if __name__ == "__main__":
    if sys.argv[1:]:
        compile_reasons()
        compile_wide()
        compile_series()
        compile_surroundings()
    elif not is_warm():
        other = subprocess.Popen([sys.executable, __file__, "reasons"])
        compile_search()
        compile_company()
        compile_scan()
        compile_labels_of_many_columns()
        compile_pictures()
        failed = other.wait()
        if not failed:
            STAMP.parent.mkdir(exist_ok=True)
            STAMP.write_text(json.dumps(state()), "utf-8")
        sys.exit(failed)
