"""Odd pictures and groups of albums with a known answer.

Odd: one, three or seven pictures of one group among those of the others. Groups: does a clustering find them?

Run ``python -m benchmarks.bench_albums [FOLDER] [--draws N]``. FOLDER holds a subfolder per group of real pictures;
eight generated kinds are always tried. It prints, for each way to describe and judge, the mean ROC AUC with a 95 %
interval over the draws, beside scores at random; and for each clustering the adjusted Rand index, with an interval from
pictures drawn anew, beside labels of the same sizes dealt at random.
"""
from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from benchmarks.picture_kinds import draw_kind
from oco2_outliers.albums.axes import PixelAxes, small_pixels
from oco2_outliers.albums.methods import cluster_pictures
from oco2_outliers.albums.reading import read_album
from oco2_outliers.albums.vectors import picture_vectors
from oco2_outliers.image_forest import ImageForest
from oco2_outliers.isolation.radii import isolation_radius
from oco2_outliers.maps.groups import rand_interval
from oco2_outliers.pictures.features import describe_picture
from oco2_outliers.pictures.reading import read_picture
from oco2_outliers.pictures.whitening import Whitening

KINDS = ("woodland", "waves", "weave", "coast", "fields", "streets", "clouds", "dunes")
SIZE = (48, 27)
FEATURES = ("light+layout", "light+texture+patterns", "light+layout+texture+waves+patterns")


def generated(folder: Path, kinds: list[str], n: int) -> dict[str, list[str]]:
    "Files of generated kinds."
    groups: dict[str, list[str]] = {}
    for kind in kinds:
        groups[kind] = [str(folder / f"{kind}_{number:03d}.png") for number in range(n)]
        for path, picture in zip(groups[kind], draw_kind(kind, n, 96)):
            cv2.imwrite(path, picture)
    return groups


def ways(paths: list[str]) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    "Scores of the pictures of some rows, by each way."
    pictures = np.stack(read_album(paths, lambda picture: small_pixels(picture, SIZE), SIZE, "path").described)
    read = {name: ImageForest(n_jobs=1, **settings) for name, settings in
            {"picture forest, default": {}, "picture forest, tutorial": {"preset": "tutorial"}}.items()}
    described = {features: np.array([describe_picture(read_picture(path), features, (4, 6, 3)) for path in paths])
                 for features in FEATURES}
    rows_of = {name: forest.read_rows(paths) for name, forest in read.items()}

    def by_radius(rows: np.ndarray, m: int) -> np.ndarray:
        return isolation_radius(PixelAxes.learn(pictures[rows], SIZE).encode(pictures[rows]).astype(np.float64), m)

    def by_forest(rows: np.ndarray, name: str) -> np.ndarray:
        some = [rows_of[name][row] for row in rows]
        return -ImageForest(**read[name].get_params()).fit_rows(some).row_scores(some)

    def by_features(rows: np.ndarray, features: str) -> np.ndarray:
        raw = described[features][rows]
        return isolation_radius(Whitening.learn(raw, features, (4, 6, 3)).columns(raw).astype(np.float64), 10)

    rng = np.random.default_rng(5)
    return {"pixels, radius, min_samples 5": lambda rows: by_radius(rows, 5),
            "pixels, radius, min_samples 10": lambda rows: by_radius(rows, 10),
            "pixels, radius, min_samples 20": lambda rows: by_radius(rows, 20),
            **{f"{features}, radius, min_samples 10": lambda rows, features=features: by_features(rows, features)
               for features in FEATURES},
            **{name: lambda rows, name=name: by_forest(rows, name) for name in read},
            "at random": lambda rows: rng.random(len(rows))}


def areas(groups: list[np.ndarray], n: int, rank: Callable[[np.ndarray], np.ndarray], draws: int) -> list[float]:
    "ROC AUC of each draw: n pictures of a group at random among all of the other groups."
    rng, found = np.random.default_rng(n), []
    for _ in range(draws):
        odd = rng.choice(len(groups))
        chosen = [rng.permutation(each)[:n] if i == odd else each for i, each in enumerate(groups)]
        truth = np.repeat(np.arange(len(groups)) == odd, [len(each) for each in chosen])
        found.append(float(roc_auc_score(truth, rank(np.concatenate(chosen)))))
    return found


def told(found: list[float]) -> str:
    "Mean and interval of the mean."
    rng = np.random.default_rng(0)
    low, high = np.percentile(rng.choice(found, (2000, len(found))).mean(axis=1), (2.5, 97.5))
    return f"{np.mean(found):.2f} ({low:.2f} to {high:.2f})"


def report(title: str, groups: dict[str, list[str]], draws: int) -> None:
    "The table of some groups."
    paths = [path for some in groups.values() for path in some]
    rows = np.split(np.arange(len(paths)), np.cumsum([len(some) for some in groups.values()])[:-1])
    print(f"\n| {title} | one | three | seven |\n|---|---|---|---|")
    for name, rank in ways(paths).items():
        print(f"| {name} | " + " | ".join(told(areas(rows, n, rank, draws)) for n in (1, 3, 7)) + " |", flush=True)


def found_groups(paths: list[str], truth: np.ndarray) -> None:
    "Adjusted Rand index of each clustering, on pixels and on features."
    print(f"\n| {len(set(truth))} groups, {len(paths)} pictures | pixels | {FEATURES[-1]} |\n|---|---|---|")
    vectors = [picture_vectors(paths, features, ids="path") for features in ("pixels", FEATURES[-1])]
    k, rng = len(set(truth)), np.random.default_rng(0)
    for method, groups in (("ward", k), ("kmeans", k), ("classical", k), ("map", k), ("map", None), ("dbscan", None),
                           ("n2d", k), ("n2d", None), ("advanced", None)):
        cells = []
        for v in vectors:
            labels = cluster_pictures(v, method, k=groups).labels
            cells.append("{:.2f} ({:.2f} to {:.2f})".format(*rand_interval(truth, labels)))
        print(f"| {method}, k {groups or 'not given'} | " + " | ".join(cells) + " |", flush=True)
    chance = [adjusted_rand_score(truth, rng.permutation(truth)) for _ in range(200)]
    print("| at random | {:.2f} ({:.2f} to {:.2f}) | |".format(np.mean(chance), *np.percentile(chance, (2.5, 97.5))))


def both_reports(title: str, groups: dict[str, list[str]], draws: int) -> None:
    "Odd pictures and groups of one album."
    report(title, groups, draws)
    found_groups([path for some in groups.values() for path in some],
                 np.repeat(list(groups), [len(some) for some in groups.values()]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", help="subfolders are groups of real pictures")
    parser.add_argument("--draws", type=int, default=40)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        both_reports(f"{len(KINDS)} generated kinds", generated(Path(work), list(KINDS), 40), asked.draws)
        if asked.folder:
            groups = {g.name: sorted(map(str, g.iterdir())) for g in sorted(Path(asked.folder).iterdir()) if g.is_dir()}
            both_reports(f"{len(groups)} real groups", groups, asked.draws)


if __name__ == "__main__":
    main()
