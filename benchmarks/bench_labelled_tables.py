"""How well the isolation radius ranks what is known to be odd, by scale and by company, beside an isolation forest.

Run from the project's root: `python -m benchmarks.bench_labelled_tables` (some minutes on one core). The tables are the
labelled ones that come with scikit-learn: one class, or all but one, is the usual, and a few rows of the others are
put among it. Prints a markdown table: mean ROC AUC and average precision over the tables, each with a 95 % interval
from drawing tables with replacement. Random scores stand beside.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks.harness import machine, table
from oco2_outliers.dbscan import isolation_radius
from oco2_outliers.isolation.features import feature_matrix

ODD_SHARE = 0.05  # of the usual rows
_CHANCE = np.random.default_rng(0)


def mixed(values: np.ndarray, usual: np.ndarray, seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """The usual rows with a few others among them, and which those are."""
    others = np.flatnonzero(~usual)
    n_odd = max(5, round(ODD_SHARE * usual.sum()))
    drawn = np.random.default_rng(seed).choice(others, min(n_odd, len(others)), replace=False)
    rows = np.r_[np.flatnonzero(usual), drawn]
    frame = pd.DataFrame(values[rows].astype(float), columns=[f"x{k}" for k in range(values.shape[1])])
    return frame, ~usual[rows]


def labelled_tables(repeats: int) -> Iterator[tuple[str, pd.DataFrame, np.ndarray]]:
    """Name, rows and truth of every table."""
    for name, load in (("breast cancer", load_breast_cancer), ("digits", load_digits), ("iris", load_iris),
                       ("wine", load_wine)):
        values, kind = load(return_X_y=True)
        for each in np.unique(kind):
            for seed in range(repeats):
                yield f"{name}, only {each}", *mixed(values, kind == each, seed)
                if len(np.unique(kind)) > 2:
                    yield f"{name}, all but {each}", *mixed(values, kind != each, seed)


def radius(scale: str, min_samples: int | str) -> Callable[[pd.DataFrame], np.ndarray]:
    """A judge: isolation radii on this scale, in this company."""
    return lambda rows: isolation_radius(feature_matrix(rows, scale=scale).X, min_samples=min_samples)


def forest(rows: pd.DataFrame) -> np.ndarray:
    """The mean of three isolation forests."""
    return -np.mean([IsolationForest(random_state=seed).fit(rows).score_samples(rows) for seed in range(3)], axis=0)


def at_random(rows: pd.DataFrame) -> np.ndarray:
    """Scores that know nothing."""
    return _CHANCE.random(len(rows))


JUDGES: dict[str, Callable[[pd.DataFrame], np.ndarray]] = {
    f"radius, {scale} scale, min_samples {company}": radius(scale, company)
    for scale in ("robust", "standard") for company in ("auto", 20, 5)} | {
    "IsolationForest, three seeds": forest, "at random": at_random}


def with_interval(values: pd.Series, weights: np.ndarray) -> str:
    """The mean over tables, and its interval."""
    low, high = np.quantile(weights @ values.to_numpy(), [0.025, 0.975])
    return f"{values.mean():.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="draws of the odd rows")
    started, found = time.perf_counter(), []
    for name, rows, odd in labelled_tables(parser.parse_args().repeats):
        for judge, judged in JUDGES.items():
            score = np.asarray(judged(rows))
            found.append((name, judge, roc_auc_score(odd, score), average_precision_score(odd, score)))
    means = pd.DataFrame(found, columns=["table", "judge", "auc", "ap"]).groupby(["judge", "table"]).mean()
    n = means.index.get_level_values("table").nunique()
    weights = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=4000) / n
    lines = [[judge, with_interval(means.loc[judge, "auc"], weights), with_interval(means.loc[judge, "ap"], weights)]
             for judge in JUDGES]
    print(machine(("numpy", "scikit-learn", "numba")) + "\n")
    print(table(["judge", f"ROC AUC, mean of {n} tables", "average precision"], lines), "\n")
    print(f"{time.perf_counter() - started:.0f} s")


if __name__ == "__main__":
    main()
