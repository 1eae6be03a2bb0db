"""Naive twins: slow and obvious versions of what the package computes quickly, for a reader to check by eye."""

from __future__ import annotations

import json
import math
import unicodedata
import warnings
from decimal import Decimal

import cv2
import numpy as np
import pandas as pd
from scipy.optimize import curve_fit

from oco2_outliers.peaks import peak_model
from oco2_outliers.soundings import track_distance
from oco2_outliers.soundings.sphere import sphere_distance

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

def naive_local_scores(passes, along, across, footprint, value, reach, width):
    """Scores against the surroundings as the words say it: sounding by sounding, footprint by footprint."""
    usable = np.isfinite(value) & np.isfinite(along)

    def middles(values):
        n, middle, scatter = np.zeros(len(value), int), np.full(len(value), np.nan), np.full(len(value), np.nan)
        for row in np.flatnonzero(usable):
            near = usable & (passes == passes[row])
            near &= (np.abs(along - along[row]) <= reach) & (np.abs(across - across[row]) <= width)
            near[row] = False
            n[row] = near.sum()
            if n[row] >= 10:
                middle[row] = np.median(values[near])
                scatter[row] = 1.4826 * np.median(np.abs(values[near] - middle[row]))
        return n, middle, scatter

    _, middle, _ = middles(value)
    flat = value.copy()
    for one, number in {(a, b) for a, b in zip(passes, footprint) if b > 0}:
        rows = usable & (passes == one) & (footprint == number)
        off = (value - middle)[rows]
        if np.isfinite(off).sum() >= 30:
            flat[rows] -= np.nanmedian(off)
    n, middle, spread = middles(flat)
    for one in set(passes):
        rows = passes == one
        if np.isfinite(spread[rows]).any():
            typical = np.nanmedian(spread[rows])
            spread[rows] = np.clip(spread[rows], typical / 2, 2 * typical)
    spread[spread == 0] = np.nan
    return n, np.abs(flat - middle) / spread


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


# --- plumes ---


EARTH = 6371.0088  # km, mean radius


def destination(lat, lon, direction, km):
    """Where a great circle leads after so many km, degrees; by the textbook."""
    way, lat, lon, direction = np.asarray(km) / EARTH, np.radians(lat), np.radians(lon), np.radians(direction)
    there = np.arcsin(np.sin(lat) * np.cos(way) + np.cos(lat) * np.sin(way) * np.cos(direction))
    turn = np.arctan2(np.sin(direction) * np.sin(way) * np.cos(lat), np.cos(way) - np.sin(lat) * np.sin(there))
    return np.degrees(there), (np.degrees(lon + turn) + 180) % 360 - 180


def naive_published_search(table):
    """The published loop as its description reads, one row at a time."""
    first, rows = table.iloc[0], []
    distance = sphere_distance(table["latitude"], table["longitude"], first["latitude"], first["longitude"],
                               radius=6367)
    table = table.assign(distance=np.asarray(distance)).sort_values("distance")
    for k in range(0, len(table), 15):
        centre = table.iloc[k]
        near = table[(table["distance"] >= centre["distance"] - 100) & (table["distance"] <= centre["distance"] + 100)]
        if len(near) < 400:
            continue
        x, y = near["distance"] - centre["distance"], near["xco2"]
        start = (0.0, np.median(y), 30 * (centre["xco2"] - np.median(y)), 10.0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                m, b, amplitude, s = curve_fit(peak_model, x, y, p0=start, sigma=near["xco2_uncertainty"], ftol=0.5,
                                               xtol=0.5, maxfev=20000)[0]
        except RuntimeError:
            continue
        width = abs(s)
        zones = [((x >= a * width) & (x <= c * width)).sum() for a, c in ((-1, 0), (0, 1), (-3, -2), (2, 3))]
        if width < 2 or 3 * width > 100 or amplitude / s < 0 or min(zones) < int(width):
            continue
        core = (x >= -4 * width) & (x <= 4 * width)
        r = np.corrcoef(peak_model(x[core], m, b, amplitude, s), y[core])[0, 1]
        if r >= 0 and r**2 >= 0.25:
            rows.append((int(centre["sounding_id"]), m, b, amplitude, s, amplitude / (s * np.sqrt(2 * np.pi)), r))
    return pd.DataFrame(rows, columns=["sounding_id", "slope", "intercept", "amplitude", "sigma", "delta", "R"])


def fit_by_curve_fit(x, y, error, centre, width, window=100.0):
    """curve_fit of the same model, centre and width held."""
    d = x - centre
    near = np.abs(d) <= window
    return curve_fit(lambda x, m, b, a: peak_model(x, m, b, a, width), d[near], y[near], p0=(0, 400, 1),
                     sigma=error[near], xtol=1e-14, ftol=1e-14,
                     jac=lambda x, m, b, a: np.stack([x, x * 0 + 1, peak_model(x, 0, 0, 1, width)], axis=1))


# --- series ---

def naive_vus_pr(labels, score, window, n_thresholds=250):
    """VUS-PR as the words say it: every width, every threshold, every reading."""
    n, odd = len(labels), np.asarray(labels) == 1
    runs = [row for row in range(n) if odd[row] and (row == 0 or not odd[row - 1])]
    events = [(row, next((end for end in range(row, n) if not odd[end]), n) - 1) for row in runs]
    heights = np.sort(score)[::-1][np.linspace(0, n - 1, n_thresholds).astype(int)]
    precisions = []
    for width in range(window + 1):
        half, soft = width // 2, odd.astype(float)
        for start, end in events:
            for away in range(1, half + 1):
                for row in (start - away, end + away):
                    if 0 <= row < n:
                        soft[row] += np.sqrt(1 - away / width)
        soft, joined = np.minimum(soft, 1), []
        for start, end in events:
            if joined and joined[-1][1] + half >= start - half:
                joined[-1][1] = end
            else:
                joined.append([start, end])
        average, before = 0.0, 0.0
        for height in heights:
            flagged = score >= height
            touched = sum(flagged[max(start - half, 0) : end + half + 1].any() for start, end in joined)
            found = soft[flagged].sum()
            there = (odd.sum() + np.where(odd, 1, soft * flagged).sum()) / 2
            recall = min(found / there, 1) * touched / len(joined)
            average, before = average + (recall - before) * found / flagged.sum(), recall
        precisions.append(average)
    return np.mean(precisions)


def summaries_by_definition(values, window):
    """Ten numbers of each window, one window after the other; NaN where a reading is missing."""
    table = []
    for first in range(len(values) - window + 1):
        w = np.asarray(values[first : first + window], float)
        if np.isnan(w).any():
            table.append([np.nan] * 10)
            continue
        steps = np.abs(np.diff(w))
        slope = np.polynomial.polynomial.polyfit(np.arange(window), w - w[0], 1)[1]
        table.append([w.mean(), 0.0 if (w == w[0]).all() else w.std(), w.min(), w.max(), np.median(w), slope,
                      steps.mean(), steps.max(), (steps == 0).mean(), w[-1] - w[0]])
    return np.array(table)


def strongest_period(values, default):
    """The rule that TSB-AD published, lag by lag."""
    x = np.asarray(values[:20_000], float)
    x = x - x.mean()
    likeness = [(x[: len(x) - lag] * x[lag:]).sum() for lag in range(min(400, len(x) - 1) + 1)]
    peaks = [lag for lag in range(4, len(likeness) - 1) if likeness[lag - 1] < likeness[lag] > likeness[lag + 1]]
    best = max(peaks, key=lambda lag: likeness[lag], default=0)
    return best if 6 <= best <= 303 else default


def spoken_for(scores, window):
    """The score of the nearest window that holds each reading; the earlier of two, NaN where there is none."""
    found = []
    for reading in range(len(scores) + window - 1):
        holding = [s for s in range(len(scores)) if s <= reading < s + window and not np.isnan(scores[s])]
        best = min(holding, key=lambda s: (abs(s + window // 2 - reading), s), default=None)
        found.append(np.nan if best is None else scores[best])
    return np.array(found)
# --- series ---


def naive_windows(values, window, normalise, floor=0.0):
    """The windows of a series as rows, compared by shape or as they are; which of them miss no reading."""
    rows = np.array([values[i : i + window] for i in range(len(values) - window + 1)], dtype=float)
    complete = np.array([not np.isnan(row).any() for row in rows])
    if normalise:
        for i in np.flatnonzero(complete):
            centred = rows[i] - rows[i].mean()
            flat = centred.std() <= 1e-12 * np.abs(rows[i]).max()
            rows[i] = 0.0 if flat else centred / max(centred.std(), floor)
    return rows, complete


def naive_window_squares(values, window, normalise, floor=0.0):
    """Squared distances of all pairs of windows, infinite where they overlap or one misses a reading."""
    rows, complete = naive_windows(values, window, normalise, floor)
    squares = np.full((len(rows), len(rows)), np.inf)
    for i in range(len(rows)):
        for j in range(len(rows)):
            if abs(i - j) >= window and complete[i] and complete[j]:
                squares[i, j] = ((rows[i] - rows[j]) ** 2).sum()
    return squares, complete


def naive_window_distances(values, window, k, normalise, causal, floor=0.0):
    """Distance to the k-th nearest window, and which that is, of equals the earlier; NaN and -1 where there is none."""
    squares, _ = naive_window_squares(values, window, normalise, floor)
    distance, neighbour = np.full(len(squares), np.nan), np.full(len(squares), -1)
    for i, row in enumerate(squares):
        row = row[:i] if causal else row
        order = np.argsort(row, kind="stable")
        if len(row) >= k and np.isfinite(row[order[k - 1]]):
            distance[i], neighbour[i] = np.sqrt(row[order[k - 1]]), order[k - 1]
    return distance, neighbour


def naive_window_radii(values, window, min_samples, normalise, causal, floor=0.0):
    """The least eps at which each window is core or has a core window within eps; of the windows up to it if causal."""
    squares, complete = naive_window_squares(values, window, normalise, floor)
    squares[np.diag_indices(len(squares))] = 0.0
    radius = np.full(len(squares), np.nan)
    for i in np.flatnonzero(complete):
        among = squares[: i + 1, : i + 1] if causal else squares
        core = np.sort(among, axis=1)[:, min_samples - 1] if min_samples <= len(among) else np.full(len(among), np.inf)
        radius[i] = np.sqrt(np.maximum(among[i], core).min())
    return radius


# --- streams ---

def naive_name(text):
    """A name without blanks around it; None where it is none."""
    if not isinstance(text, str) or not text.strip() or len(text) > 200:
        return None
    return None if any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in text) else text.strip()


def naive_time(given):
    """Nanoseconds since 1970 of a whole number or of a text with a time, UTC where it tells no zone; else None."""
    if isinstance(given, str) and not given.strip().lstrip("+-").isdigit():
        try:
            stamp = pd.Timestamp(given)
            stamp = stamp.tz_localize("UTC") if stamp.tz is None else stamp.tz_convert("UTC")
            time = stamp.as_unit("ns").value
        except (ValueError, OverflowError):
            return None
    elif isinstance(given, str) or type(given) is int:
        time = int(given)
        if abs(time) < 10**16:
            return None
    else:
        return None
    return time if pd.Timestamp("1678-01-01").value <= time <= pd.Timestamp("2261-12-31 23:59:59.999999999").value \
        else None


def naive_reading(pairs):
    """The reading of one object of JSON, given as its pairs of keys and values; None where there is none."""
    keys = [key for key, _ in pairs] if isinstance(pairs, tuple) else []
    if len(set(keys)) < len(keys) or not {"site", "channel", "time", "value"} <= set(keys):
        return None
    told = dict(pairs)
    site, channel, time = naive_name(told["site"]), naive_name(told["channel"]), naive_time(told["time"])
    if site is None or channel is None or time is None:
        return None
    value = told["value"]
    if value is None:
        number = math.nan
    elif isinstance(value, int | Decimal) and not isinstance(value, bool):
        number = float(Decimal(value))
    else:
        return None
    if math.isinf(number):
        return None
    quality = told.get("quality")
    if type(quality) is int and abs(quality) < 10**16:
        quality = str(quality)
    if quality not in (None, "") and naive_name(quality) is None:
        return None
    return (site, channel, time, 0.0 if number == 0 else number, naive_name(quality))


def naive_readings(body):
    """For each part of a message of JSON its reading, or None; None where the message as a whole cannot be read."""
    try:
        found = json.loads(body.decode("utf-8-sig"), object_pairs_hook=tuple, parse_float=Decimal,
                           parse_constant=lambda word: [word])
    except (ValueError, RecursionError):
        return None
    return [naive_reading(each) for each in (found if isinstance(found, list) else [found])]
