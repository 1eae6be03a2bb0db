"""Near duplicates beside imagededup: the same pairs, the time of prints and of pairs, recall on planted edits.

Run ``python -m benchmarks.bench_copies [FOLDER] [--prints N]``. FOLDER holds pictures in subfolders; without it, scenes
are generated. imagededup is compared where it is installed (``pip install imagededup``; it brings PyTorch along).
Times are CPU seconds of one thread, the least of three runs.
"""
from __future__ import annotations

import argparse
import logging
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from oco2_outliers.albums.copies import look_of, near_duplicates
from oco2_outliers.albums.prints import near_prints
from oco2_outliers.albums.reading import read_album
from oco2_outliers.image_forest import simulate_pictures
from oco2_outliers.pictures.reading import read_picture

EDITS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "scale 0.98": lambda p: cv2.resize(p, None, fx=0.98, fy=0.98, interpolation=cv2.INTER_AREA),
    "half the size": lambda p: cv2.resize(p, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
    "JPEG 30": lambda p: cv2.imdecode(cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, 30])[1], 1),
    "brighter by 20": lambda p: cv2.add(p, np.full_like(p, 20)),
    "crop 5 %": lambda p: p[p.shape[0] // 40 : -(p.shape[0] // 40), p.shape[1] // 40 : -(p.shape[1] // 40)],
    "crop 10 %": lambda p: p[p.shape[0] // 20 : -(p.shape[0] // 20), p.shape[1] // 20 : -(p.shape[1] // 20)],
    "mirrored": lambda p: np.ascontiguousarray(p[:, ::-1]),
}


def peer() -> Any:
    "The hashing of imagededup, or None."
    try:
        from imagededup.methods import PHash
    except ImportError:
        print("imagededup is not installed: its columns are left out")
        return None
    return PHash(verbose=False)


def cpu_seconds(job: Callable[[], Any], runs: int = 3) -> tuple[float, Any]:
    "Least CPU seconds of some runs, and what the last gave; children count."
    best, found = np.inf, None
    for _ in range(runs):
        before = time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])
        found = job()
        best = min(best, time.process_time() + sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2]) - before)
    return best, found


def naive_pairs(prints: np.ndarray, max_bits: int) -> set[tuple[int, int]]:
    "All pairs by the plain definition."
    bits = np.unpackbits(prints.view(np.uint8).reshape(len(prints), 8), axis=1)
    apart = (bits[:, None, :] != bits[None, :, :]).sum(axis=2)
    return {(int(i), int(j)) for i, j in np.argwhere(apart <= max_bits) if i < j}


def made_prints(n: int, seed: int = 0) -> np.ndarray:
    "Prints at random, a fifth of them some bits from another."
    rng = np.random.default_rng(seed)
    prints = rng.integers(0, 2**64, n, dtype=np.uint64)
    for i in rng.choice(n, n // 5, replace=False):
        flips = np.bitwise_or.reduce(np.uint64(1) << rng.choice(64, rng.integers(0, 14)).astype(np.uint64))
        prints[i] = prints[rng.integers(n)] ^ flips
    return prints


def compare_pairs(n: int, hasher: Any) -> None:
    "Time and equality of the search for all pairs of at most 10 bits."
    prints = made_prints(n)
    own_time, portions = cpu_seconds(lambda: list(near_prints(prints, 10)))
    own = {(int(i), int(j)) for portion in portions for i, j in portion}
    some = prints[:1000]
    twin = {(int(i), int(j)) for portion in near_prints(some, 10) for i, j in portion}
    print(f"\nall pairs of {n:,} prints within 10 bits: {len(own):,} pairs, {own_time:.4f} CPU s; "
          f"the naive twin agrees on 1,000: {twin == naive_pairs(some, 10)}")
    if hasher is None:
        return
    named = {str(i): f"{int(each):016x}" for i, each in enumerate(prints)}
    its_time, found = cpu_seconds(lambda: hasher.find_duplicates(
        encoding_map=named, max_distance_threshold=10, num_dist_workers=0), 1)
    theirs = {(min(int(a), int(b)), max(int(a), int(b))) for a, near in found.items() for b in near}
    print(f"imagededup: {len(theirs):,} pairs, {its_time:.2f} CPU s, {its_time / own_time:.0f} times as much; "
          f"the same pairs: {theirs == own}")


def compare_prints(folder: Path, hasher: Any) -> None:
    "Time of a print of a JPEG of 1280 x 720 pixels, reading included."
    rng = np.random.default_rng(1)
    paths = []
    for i in range(40):
        small = rng.integers(0, 255, (18, 32, 3)).astype(np.uint8)
        paths.append(folder / f"wide_{i}.jpg")
        cv2.imwrite(str(paths[-1]), cv2.resize(small, (1280, 720), interpolation=cv2.INTER_CUBIC))
    own_time, album = cpu_seconds(lambda: read_album([str(path) for path in paths], look_of, (64, 64), n_jobs=1))
    print(f"\na print of a 1280 x 720 JPEG: {own_time / 40 * 1e3:.2f} CPU ms, with its checksum, its small picture and "
          "the search for damage")
    bare_time, _ = cpu_seconds(lambda: [look_of(cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_4)) for path in paths])
    print(f"decoded and looked at alone: {bare_time / 40 * 1e3:.2f} CPU ms")
    if hasher is not None:
        its_time, _ = cpu_seconds(lambda: [hasher.encode_image(str(path)) for path in paths])
        print(f"imagededup: {its_time / 40 * 1e3:.2f} CPU ms, {its_time / own_time:.1f} and "
              f"{its_time / bare_time:.1f} times as much")


def wilson(hits: int, n: int) -> str:
    "A share with its 95 % interval."
    z, share = 1.96, hits / n
    middle = (share + z * z / 2 / n) / (1 + z * z / n)
    half = z * np.sqrt(share * (1 - share) / n + z * z / 4 / n / n) / (1 + z * z / n)
    return f"{share:.2f} ({max(0, middle - half):.2f} to {min(1, middle + half):.2f})"


def pairs_of_peer(hasher: Any, folder: Path) -> set[frozenset[str]]:
    "Pairs of file stems that imagededup finds."
    found = hasher.find_duplicates(image_dir=str(folder), max_distance_threshold=10, num_enc_workers=0,
                                   num_dist_workers=0)
    return {frozenset((Path(a).stem, Path(b).stem)) for a, near in found.items() for b in near}


def recall(paths: list[Path], hasher: Any) -> None:
    "Of each sort of edit, the share found with its original; pairs of other scenes that are called copies."
    names = ["ours", "false groups", *(["imagededup", "false pairs"] if hasher is not None else [])]
    print(f"\n{len(paths)} pictures and one edit of each\n\n| edit | " + " | ".join(names) + " |")
    print("|---" * (len(names) + 1) + "|")
    for name, edit in EDITS.items():
        with tempfile.TemporaryDirectory() as folder:
            for i, path in enumerate(paths):
                picture = cv2.resize(read_picture(path), (384, 216), interpolation=cv2.INTER_CUBIC)
                cv2.imwrite(f"{folder}/s{i}.png", picture)
                cv2.imwrite(f"{folder}/s{i}-edit.png", edit(picture))
            found = near_duplicates(folder)
            group = dict(zip(found["id"], found["group"]))
            hits = sum(group.get(f"s{i}", -1) == group.get(f"s{i}-edit", -2) for i in range(len(paths)))
            mixed = found.assign(scene=found["id"].str.split("-").str[0]).groupby("group")["scene"].nunique()
            cells = [wilson(hits, len(paths)), f"{int((mixed > 1).sum())} of {len(mixed)}"]
            if hasher is not None:
                pairs = pairs_of_peer(hasher, Path(folder))
                hits = sum(frozenset((f"s{i}", f"s{i}-edit")) in pairs for i in range(len(paths)))
                false = sum(len({each.split("-")[0] for each in pair}) > 1 for pair in pairs)
                cells += [wilson(hits, len(paths)), f"{false:,} of {len(pairs):,}"]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def distinct(paths: list[Path]) -> list[Path]:
    "Pictures that are not copies of one another already."
    found = near_duplicates([str(path) for path in paths], ids="path")
    gone = set(found.loc[~found["kept"], "path"].map(str))
    return [path for path in paths if str(path) not in gone]


def main() -> None:
    "Compare."
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("folder", nargs="?", help="real pictures in subfolders")
    asked.add_argument("--prints", type=int, default=5000)
    chosen = asked.parse_args()
    cv2.setNumThreads(1)
    logging.disable(logging.INFO)  # imagededup tells of every step
    hasher = peer()
    with tempfile.TemporaryDirectory() as place:
        compare_pairs(chosen.prints, hasher)
        compare_prints(Path(place), hasher)
        if chosen.folder:
            paths = sorted(path for path in Path(chosen.folder).rglob("*") if path.suffix in (".png", ".jpg"))
        else:
            paths = simulate_pictures(Path(place) / "scenes", n_pictures=60, odd_kinds=[])["path"].map(Path).tolist()
        recall(distinct(paths), hasher)


if __name__ == "__main__":
    main()
