"""The search in many columns gives the bits of the definition, whatever the numbers, threads and processor."""


import numpy as np


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
