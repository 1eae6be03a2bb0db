"""Naive twins: slow and obvious versions of what the package computes quickly, for a reader to check by eye."""

from __future__ import annotations

import cv2
import numpy as np

from oco2_outliers.soundings import track_distance

# --- isolation ---


def squared_distances(X):
    """Squared distances of all pairs of rows, added feature by feature."""
    total = np.zeros((len(X), len(X)))
    for j in range(X.shape[1]):
        total += (X[:, None, j] - X[None, :, j]) ** 2
    return total


def clusters_by_definition(square, eps, m):
    """DBSCAN as the words say it: clusters by ascending smallest core row, a border row to the lowest label."""
    near = square <= eps * eps
    core = near.sum(axis=1) >= m
    labels, n_clusters = np.full(len(square), -1), 0
    for row in np.flatnonzero(core):
        if labels[row] >= 0:
            continue
        labels[row], todo = n_clusters, [row]
        while todo:
            for q in np.flatnonzero(near[todo.pop()] & core & (labels < 0)):
                labels[q] = n_clusters
                todo.append(q)
        n_clusters += 1
    for row in np.flatnonzero(~core):
        reached = labels[near[row] & core]
        labels[row] = reached.min() if len(reached) else -1
    return labels


# --- soundings ---

def naive_background(soundings, window):
    """For every sounding: the window around it, sorted and averaged by the book."""
    distance, good = track_distance(soundings), soundings["xco2_quality_flag"] == 0
    rows = []
    for here in distance:
        y = soundings["xco2"].astype(float)[good & ((distance - here).abs() <= window / 2)]
        rows.append((y.median(), y.mean() - y.std(ddof=0)) if len(y) >= 20 else (np.nan, np.nan))
    return np.array(rows)


# --- pictures ---



def original_features(path, bins):
    """The original loop over pictures, written out for one of them."""
    image = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2HSV)
    hist = cv2.calcHist([image], [0, 1, 2], None, bins, [0, 180, 0, 256, 0, 256])
    return cv2.normalize(hist, hist).flatten()


def opencv_counts(image, bins):
    """Pixels of a BGR picture in each bin, as OpenCV counts them."""
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV)
    return cv2.calcHist([hsv], [0, 1, 2], None, list(bins), [0, 180, 0, 256, 0, 256])
