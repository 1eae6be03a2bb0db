"""Pictures per second against the original loop, and against decoding alone.

Run ``python -m benchmarks.bench_images`` on an otherwise idle machine; it prints a markdown table. Each variant passes
over the folder in a process of its own, as a command does: memory that an earlier pass left behind would make the next
one faster. Imports do not count; making the table of colours does. The variants take turns and the best turn counts:
other work on the machine only ever adds time.
"""
from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

# Width, height, how many different pictures, and how often each stands in the folder.
SIZES = {"256x256": (256, 256, 300, 40), "1280x720": (1280, 720, 40, 200)}
# Name of each variant and the scale at which it decodes.
VARIANTS = {"original loop": 1, "decoding alone": 1, "features": 1, "features --fast": 4, "features at 1/8": 8,
            "default features": 1, "default features --fast": 4}
BINS = (3, 3, 3)
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def make_pictures(folder: Path, width: int, height: int, n_pictures: int) -> None:
    "Forest scenes with sensor noise, at JPEG quality 90."
    from oco2_outliers.pictures.simulated import draw_scene

    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(n_pictures):
        kind = "desert" if number % 30 == 7 else "forest"
        noisy = draw_scene(kind, height, width, rng) + rng.normal(0, 3, (height, width, 1))
        picture = np.clip(noisy, 0, 255).astype(np.uint8)
        cv2.imwrite(str(folder / f"{number:04d}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 90])


def original(path: str) -> np.ndarray:
    "What the original does with one picture."
    image = cv2.cvtColor(cv2.imread(path), cv2.COLOR_BGR2HSV)
    hist = cv2.calcHist([image], [0, 1, 2], None, BINS, [0, 180, 0, 256, 0, 256])
    return cv2.normalize(hist, hist).flatten()


def run(variant: str, folder: str) -> np.ndarray | None:
    "One pass over the folder."
    paths = sorted(str(p) for p in Path(folder).iterdir())
    if variant == "original loop":
        return np.array([original(path) for path in paths])
    if variant == "decoding alone":
        with ThreadPoolExecutor(CORES) as pool:
            for _ in pool.map(cv2.imread, paths):
                pass
        return None
    from oco2_outliers.image_forest import ImageForest

    forest = ImageForest(BINS, preset=None if variant.startswith("default") else "tutorial", scale=VARIANTS[variant])
    return np.array([row.features for row in forest.read_rows(folder)])


def peak_rss() -> int:
    "Bytes this process held at most."
    with contextlib.suppress(OSError):
        # On Linux ru_maxrss counts what the parent held before it started this process; VmHWM does not.
        return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def child(variant: str, folder: str) -> None:
    "Print what one pass in this process takes: seconds, processor seconds, added memory and peak memory."
    import oco2_outliers.image_forest  # noqa: F401  every variant carries the same imports

    before, start, start_cpu = peak_rss(), time.perf_counter(), time.process_time()
    run(variant, folder)
    print(json.dumps([time.perf_counter() - start, time.process_time() - start_cpu, peak_rss() - before, peak_rss()]))


def measure(folder: Path, turns: int) -> dict[str, np.ndarray]:
    "The least of what each variant takes, in the order of `child`."
    found = {}
    for _ in range(turns):
        for variant in VARIANTS:
            command = [sys.executable, "-m", "benchmarks.bench_images", "--child", variant, str(folder)]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            taken = np.array(json.loads(done.stdout), dtype=float)
            found[variant] = np.minimum(found.get(variant, taken), taken)
    return found


def repeated(folder: Path, times: int) -> Path:
    "A folder in which each picture stands so many times."
    many = folder.with_name(f"{folder.name}_many")
    many.mkdir()
    for at in range(times):
        for picture in folder.iterdir():
            os.link(picture, many / f"{at:03d}_{picture.name}")
    return many


def scaled_against_whole(folder: Path, scale: int) -> str:
    "How far scaled decoding changes scores and verdicts."
    from scipy.stats import spearmanr

    from oco2_outliers.image_forest import ImageForest

    words = []
    for contamination in (0.01, 0.1):
        whole, fast = (ImageForest(preset="tutorial", scale=s, contamination=contamination).fit(folder)
                       for s in (1, scale))
        changed = np.mean(whole.predict(folder) != fast.predict(folder))
        words.append(f"{changed:.1%} of verdicts change at contamination {contamination}")
    correlation = spearmanr(whole.score_samples(folder), fast.score_samples(folder)).statistic
    return f"at 1/{scale}: {'; '.join(words)}; rank correlation of the scores {correlation:.3f}"


def table(size: str, n_pictures: int, found: dict[str, np.ndarray]) -> list[str]:
    "Rows of the table for one size."
    first, decoding = found["original loop"], found["decoding alone"]
    rows = []
    for variant, taken in found.items():
        seconds, cpu, added, peak = taken
        cells = [size, variant, f"{n_pictures / seconds:,.0f}", f"{first[0] / seconds:.2f}",
                 f"{seconds / decoding[0]:.2f}", f"{cpu / n_pictures * 1e3:.2f}", f"{first[1] / cpu:.2f}",
                 f"{cpu / decoding[1]:.2f}", f"{peak / 1e6:.0f}", f"{added / 1e6:.0f}"]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args(argv)
    if options.child:
        return child(*options.child)
    import sklearn

    print(f"{CORES} cores, {platform.machine()}, Python {platform.python_version()}, OpenCV {cv2.__version__}, "
          f"numpy {np.__version__}, scikit-learn {sklearn.__version__}; load at the start {os.getloadavg()[0]:.1f}\n")
    print("| JPEG | variant | pictures/s | times the original | time against decoding alone | CPU ms a picture | "
          "original's CPU against its | its CPU against decoding's | peak RSS MB | of it for pictures |")
    print("|---" * 10 + "|")
    notes = []
    with tempfile.TemporaryDirectory() as work:
        for size, (width, height, n_pictures, times) in SIZES.items():
            folder = Path(work) / size
            make_pictures(folder, width, height, n_pictures)
            many = repeated(folder, times)
            np.testing.assert_array_equal(run("original loop", str(many)), run("features", str(many)))
            print("\n".join(table(size, n_pictures * times, measure(many, options.turns))), flush=True)
            bits = 8 * sum(p.stat().st_size for p in folder.iterdir()) / (width * height * n_pictures)
            notes.append(f"- {size}: {n_pictures * times:,} pictures of {bits:.1f} bits a pixel; features equal the "
                         f"original's to the bit.")
            notes += [f"- {size} {scaled_against_whole(folder, scale)}." for scale in (4, 8)]
    print("\n" + "\n".join(notes))


if __name__ == "__main__":
    main()
