"""The search in many columns gives the bits of the definition, whatever the numbers, threads and processor."""

import os
import subprocess
import sys

import numpy as np
import pytest

from oco2_outliers.dbscan import IsolatedSoundings, isolation_radius, nearest, sweep
from oco2_outliers.ground.errors import InputError
from oco2_outliers.isolation.many_columns import ManyColumns
from oco2_outliers.isolation.paths import forced_path
from oco2_outliers.isolation.squares import exact_root, in_metric
from naive import clusters_by_definition


def embeddings(seed, n, d, k=6, strays=0.02):
    """Clusters of intrinsic dimension 10, strays, and copies."""
    rng = np.random.default_rng(seed)
    X = np.empty((n, d))
    for rows in np.array_split(np.arange(n), k):
        X[rows] = rng.normal(size=d) + rng.normal(size=(len(rows), 10)) @ rng.normal(size=(10, d)) * 0.3
    X += rng.normal(size=X.shape) * 0.05
    X[rng.random(n) < strays] *= 3
    copies = rng.choice(n, n // 20, replace=False)
    X[copies] = X[rng.choice(n, n // 20)]
