"""Each kind of pictures in turn is the usual one: how well are all other kinds told from it, without ever being seen?

Run ``python -m benchmarks.bench_picture_kinds [FOLDER] [--pictures N] [--size PIXELS] [--photographs FOLDER]``. Half
of the pictures of a kind are learnt; its other half and those of all other kinds are ranked. It prints, for each way
to describe and judge, the mean and the worst ROC AUC of the kinds with their 95 % bootstrap intervals, beside scores
at random; for the default also every kind, and the shares of new usual and of odd pictures that are called odd.
FOLDER holds a subfolder per group of the ISS camera (cluster_10: no signal, never usual). With ``--photographs`` each
picture of a folder becomes a kind of 40 cut-outs: those of its left half are learnt, those of its right half are
judged, so that none shares a pixel.
"""
from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

import cv2
import numpy as np

from benchmarks.picture_kinds import FAULTS, KINDS, draw_kind
from oco2_outliers.image_forest import ImageForest
from oco2_outliers.pictures.comparison import auc_interval

WAYS = {
    "tutorial: colour, forest": {"preset": "tutorial"},
    "texture, radius": {"features": "texture", "detector": "radius", "whiten": False},
    "colour+texture, neighbours": {"features": "colour+texture", "detector": "neighbours", "whiten": False},
    "colour+layout+texture, neighbours": {"features": "colour+layout+texture", "detector": "neighbours",
                                          "whiten": False},
    "gist, radius": {"features": "gist", "detector": "radius", "whiten": False},
    "colour+layout+texture, radius, whitened": {"features": "colour+layout+texture", "detector": "radius"},
    "light+layout+gist+patterns, radius, whitened": {"features": "light+layout+gist+patterns"},
    "the default's features, radius, not whitened": {"whiten": False},
    "the default's features, neighbours, whitened": {"detector": "neighbours"},
    "default": {},
}
Kinds = dict[str, list[str]]


def generated(folder: Path, n_pictures: int, size: int) -> Kinds:
    "Files of the generated kinds; names of files do not matter."
    kinds: Kinds = {}
    for kind in KINDS:
        kinds[kind] = [str(folder / f"{kind}_{number:03d}.png") for number in range(n_pictures)]
        for path, picture in zip(kinds[kind], draw_kind(kind, n_pictures, size)):
            cv2.imwrite(path, picture)
    return kinds


def cut_outs(folder: Path, photographs: Path, n_pictures: int, size: int) -> Kinds:
    "Cut-outs of each photograph, by turns of its left and its right half."
    rng, kinds = np.random.default_rng(0), {}
    for path in sorted(photographs.iterdir()):
        picture = cv2.imread(str(path))
        if picture is None:
            print(f"not a picture, left out: {path.name}")
            continue
        height, half = picture.shape[0], picture.shape[1] // 2
        side = min(int(0.4 * min(picture.shape[:2])), half)
        kinds[path.stem] = [str(folder / f"{path.stem}_{number:03d}.png") for number in range(n_pictures)]
        for number, out in enumerate(kinds[path.stem]):
            y, x = rng.integers(0, height - side + 1), rng.integers(0, half - side + 1) + number % 2 * half
            cut = picture[y:y + side, x:x + side]
            cv2.imwrite(out, cv2.resize(cut, (size, size), interpolation=cv2.INTER_AREA))
    return kinds


def odd_kinds(usual: str, kinds: Kinds) -> list[str]:
    "The kinds that are odd beside a usual one; scenes of any kind are odd to none, and only faults are to them."
    faults = {fault.__name__ for fault in FAULTS}
    return [kind for kind in kinds if kind not in (usual, "mixed") and (usual != "mixed" or kind in faults)]


def measured(settings: dict, kinds: Kinds, cache: Path) -> dict[str, dict]:
    "For each usual kind the ROC AUC, its interval, and the shares of usual and odd pictures that are called odd."
    reader = ImageForest(cache=cache, n_jobs=1, **settings)
    rows = {kind: reader.read_rows(paths) for kind, paths in kinds.items()}
    found = {}
    for usual in kinds:
        if usual == "cluster_10":
            continue
        forest = ImageForest(n_jobs=1, **settings).fit_rows(rows[usual][::2])
        new = -forest.row_scores(rows[usual][1::2])
        others = -forest.row_scores([row for kind in odd_kinds(usual, kinds) for row in rows[kind][1::2]])
        odd, score = np.repeat([False, True], [len(new), len(others)]), np.concatenate([new, others])
        above = score[odd][:, None] - score[~odd][None, :]
        low, high = auc_interval(odd, score, np.random.default_rng(0))
        found[usual] = {"auc": float(((above > 0) + 0.5 * (above == 0)).mean()), "low": low, "high": high,
                        "false": float((new > -forest.offset_).mean()),
                        "named": float((others > -forest.offset_).mean())}
    return found


def at_random(kinds: Kinds) -> list[str]:
    "Mean and worst ROC AUC of scores at random: the mean of 400 draws, and what 95 % of them lie between."
    rng, draws = np.random.default_rng(0), []
    for _ in range(400):
        aucs = []
        for usual in kinds:
            if usual == "cluster_10":
                continue
            n_odd = sum(len(kinds[kind]) // 2 for kind in odd_kinds(usual, kinds))
            aucs.append(float((rng.random(n_odd)[:, None] > rng.random(len(kinds[usual]) // 2)[None]).mean()))
        draws.append((np.mean(aucs), np.min(aucs)))
    ends = zip(np.mean(draws, axis=0), *np.percentile(draws, (2.5, 97.5), axis=0))
    return ["{:.3f} ({:.2f} to {:.2f})".format(*each) for each in ends]


def line(name: str, found: dict[str, dict]) -> str:
    "One row of the table: the mean with the interval of a mean over kinds, and the worst kind with its own."
    aucs = np.array([kind["auc"] for kind in found.values()])
    rng = np.random.default_rng(0)
    means = [rng.choice(aucs, len(aucs)).mean() for _ in range(2000)]
    worst = min(found, key=lambda kind: found[kind]["auc"])
    low, high = np.percentile(means, (2.5, 97.5))
    return (f"| {name} | {aucs.mean():.3f} ({low:.2f} to {high:.2f}) | {found[worst]['auc']:.3f} "
            f"({found[worst]['low']:.2f} to {found[worst]['high']:.2f}), {worst} |")


def report(title: str, kinds: Kinds, cache: Path) -> None:
    "The tables of a set of kinds."
    print(f"\n| {title} | mean ROC AUC | worst kind |\n|---|---|---|")
    for name, settings in WAYS.items():
        found = measured(settings, kinds, cache)
        print(line(name, found), flush=True)
    mean, worst = at_random(kinds)
    print(f"| at random | {mean} | {worst} |\n")
    print("| kind (default) | ROC AUC | new usual ones called odd | odd ones called odd |\n|---|---|---|---|")
    for kind, row in found.items():
        print(f"| {kind} | {row['auc']:.3f} ({row['low']:.2f} to {row['high']:.2f}) | {row['false']:.1%} "
              f"| {row['named']:.1%} |")
    auc, false, named = (np.mean([row[name] for row in found.values()]) for name in ("auc", "false", "named"))
    print(f"| mean | {auc:.3f} | {false:.1%} | {named:.1%} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", help="subfolders are kinds of real pictures")
    parser.add_argument("--pictures", type=int, default=40, help="of each generated kind")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--photographs", help="each picture of this folder is a kind of cut-outs; nothing else is run")
    asked = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as work:
        if asked.photographs:
            kinds = cut_outs(Path(work), Path(asked.photographs), asked.pictures, asked.size)
            report(f"{len(kinds)} photographs", kinds, Path(work) / "features.sqlite")
            return
        kinds = generated(Path(work), asked.pictures, asked.size)
        report(f"{len(kinds)} generated kinds", kinds, Path(work) / "features.sqlite")
        if asked.folder:
            groups = {g.name: sorted(map(str, g.iterdir())) for g in sorted(Path(asked.folder).iterdir()) if g.is_dir()}
            report("real kinds", groups, Path(work) / "real.sqlite")


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    main()
