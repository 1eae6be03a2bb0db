"""Compile the inner loops that most tests use, half in each of two processes; quick where they are on disk already.

In a fresh clone each process of `make test` would compile all of them for itself.
"""

import subprocess
import sys

import numpy as np
import pandas as pd

ROWS = pd.DataFrame(np.random.default_rng(0).normal(size=(12_000, 4)), columns=[*"abcd"])


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


if __name__ == "__main__":
    if sys.argv[1:]:
        compile_reasons()
        compile_wide()
    else:
        other = subprocess.Popen([sys.executable, __file__, "reasons"])
        compile_search()
        compile_company()
        compile_scan()
        sys.exit(other.wait())
