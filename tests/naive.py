"""Naive twins: slow and obvious versions of what the package computes quickly, for a reader to check by eye."""

from __future__ import annotations

import cv2

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
