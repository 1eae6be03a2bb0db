"""Pictures made of pictures: the exact assignment beside the nearest free picture and beside chance.

Each of some targets, which are not in the album themselves, is cut into tiles, and the pictures of the album are put
onto them in four ways: assigned with the least sum of colour distances; the nearest picture that is still free, tile by
tile in the order of reading, and in an order at random; and at random. Told is the mean colour distance of a tile
(CIE L*a*b*, 3 x 3 cells), its mean over the targets with a 95 % interval (targets drawn anew, 2,000 times), how much
the other ways are above the assignment on the same target, and the mean of the worst twentieth of the tiles.

Run ``python -m benchmarks.bench_posters [FOLDER] [--targets N]``. FOLDER holds real pictures, in subfolders or not; an
album of generated kinds is always tried.
"""
from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from benchmarks.harness import table
from benchmarks.picture_kinds import draw_kind
from oco2_outliers.albums.filling import best_of_groups, candidates_of
from oco2_outliers.albums.targets import (
    assigned_tiles,
    colour_distances,
    nearest_free,
    read_cells,
    target_cells,
    tile_template,
    usual_shape,
)
from oco2_outliers.albums.templates import PosterTemplate
from oco2_outliers.pictures.kinds import list_files
from oco2_outliers.pictures.reading import MAX_PIXELS, read_picture

KINDS = ("woodland", "waves", "weave", "coast", "fields", "streets", "clouds", "dunes")
WAYS = ("assigned", "nearest free, in the order of reading", "nearest free, in an order at random", "at random")


def generated(folder: Path, n: int) -> list[str]:
    "Files of generated kinds, n of each."
    paths = []
    for kind in KINDS:
        for number, picture in enumerate(draw_kind(kind, n, 96)):
            paths.append(str(folder / f"{kind}_{number:03d}.png"))
            cv2.imwrite(paths[-1], picture)
    return paths


def at_random(cost: np.ndarray, uses: int, rng: np.random.Generator) -> np.ndarray:
    "A column for each row, each at most so many times."
    return rng.permutation(np.repeat(np.arange(cost.shape[1]), uses))[: len(cost)]


def ways_of(cost: np.ndarray, rng: np.random.Generator) -> list[tuple[float, float]]:
    "Mean distance of all tiles and of the worst twentieth, for each way on one target."
    uses = -(-len(cost) // cost.shape[1])
    order = rng.permutation(len(cost))
    shuffled = np.empty(len(cost), np.int64)
    shuffled[order] = nearest_free(cost[order], uses)
    rows = np.arange(len(cost))
    found = []
    for each in (assigned_tiles(cost, uses), nearest_free(cost, uses), shuffled, at_random(cost, uses, rng)):
        apart = np.sort(cost[rows, each])
        found.append((float(apart.mean()), float(apart[-max(1, len(apart) // 20) :].mean())))
    return found


def costs(target: str, others: list[str], cells: dict[str, np.ndarray], group: dict[str, int],
          plan: PosterTemplate) -> np.ndarray:
    "Distances of the tiles of a target to the groups of copies among the other pictures, its own group left out."
    others = [path for path in others if path in group and group[path] != group.get(target)]
    apart = colour_distances(target_cells(read_picture(target), plan), np.stack([cells[path] for path in others]))
    numbers = pd.factorize(np.array([group[path] for path in others]))[0]
    return best_of_groups(apart, numbers)[0]


def told(values: np.ndarray) -> str:
    "Mean and 95 % interval of the mean over targets."
    rng = np.random.default_rng(0)
    low, high = np.percentile(rng.choice(values, (2000, len(values))).mean(axis=1), (2.5, 97.5))
    return f"{values.mean():.1f} ({low:.1f} to {high:.1f})"


def report(title: str, paths: list[str], columns: int, n_targets: int, sheet: tuple[int, int]) -> None:
    "The table of one album."
    album, rng = candidates_of(paths), np.random.default_rng(1)
    all_paths = album["path"].tolist()
    targets = [all_paths[at] for at in rng.permutation(len(all_paths))[:n_targets]]
    empty = PosterTemplate("bench", sheet, 0, ())
    shape = usual_shape(all_paths, MAX_PIXELS)
    plan = tile_template(empty, read_picture(targets[0]), columns, shape)
    rows, cells, group, _ = read_cells(album, plan.positions[0].size, -1, False, MAX_PIXELS)
    of_path = {all_paths[row]: at for at, row in enumerate(rows)}
    start, found, sizes = time.perf_counter(), [], set()
    for target in targets:
        cost = costs(target, all_paths, {path: cells[at] for path, at in of_path.items()},
                     {path: int(group[at]) for path, at in of_path.items()}, plan)
        sizes.add(cost.shape[1])
        found.append(ways_of(cost, rng))
    seconds, each = time.perf_counter() - start, np.array(found)
    n_tiles = len(plan.positions)
    print(f"\n{title}: {n_targets} targets, {n_tiles:,} tiles, {min(sizes)} to {max(sizes)} pictures (copies counted "
          f"once, the target left out), each at most {-(-n_tiles // min(sizes))} times; {seconds:.0f} s\n")
    mean, worst = each[:, :, 0], each[:, :, 1]
    print(table(["", "mean colour distance", "above the assignment", "of the worst twentieth of the tiles"],
                [[way, told(mean[:, at]), told(mean[:, at] - mean[:, 0]) if at else "", told(worst[:, at])]
                 for at, way in enumerate(WAYS)]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", help="real pictures")
    parser.add_argument("--targets", type=int, default=40)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        paths = generated(Path(work), 40)
        report("320 generated pictures of 8 kinds", paths, 16, asked.targets, (960, 960))
        report("the same, more tiles than pictures", paths, 30, asked.targets, (960, 960))
    if asked.folder:
        paths = list_files(asked.folder)
        report(f"{len(paths)} real pictures", paths, 12, asked.targets, (1600, 900))
        report("the same, more tiles than pictures", paths, 30, asked.targets, (1600, 900))


if __name__ == "__main__":
    main()
