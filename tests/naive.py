"""Naive twins: slow and obvious versions of what the package computes quickly, for a reader to check by eye."""

from __future__ import annotations

import numpy as np

from oco2_outliers.soundings import track_distance


# --- soundings ---
def naive_background(soundings, window):
    """For every sounding: the window around it, sorted and averaged by the book."""
    distance, good = track_distance(soundings), soundings["xco2_quality_flag"] == 0
    rows = []
    for here in distance:
        y = soundings["xco2"].astype(float)[good & ((distance - here).abs() <= window / 2)]
        rows.append((y.median(), y.mean() - y.std(ddof=0)) if len(y) >= 20 else (np.nan, np.nan))
    return np.array(rows)
