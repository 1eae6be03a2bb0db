"""Pictures per second against the original loop, and against decoding alone.

Run ``python -m benchmarks.bench_images`` on an otherwise idle machine; it prints a markdown table. The variants take
turns and the best of many turns counts: other work on the machine only ever adds time. Peak memory is that of a process
of its own.
"""
from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

SIZES = {"256x256": (256, 256, 300), "1280x720": (1280, 720, 40)}
# Name of each variant and the scale at which it decodes.
VARIANTS = {"original loop": 1, "decoding alone": 1, "features": 1, "features --fast": 4, "features at 1/8": 8}
BINS = (3, 3, 3)
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def make_pictures(folder: Path, width: int, height: int, n_pictures: int) -> None:
    "Forest scenes with sensor noise, at JPEG quality 90."
    from oco2_outliers.image_forest import _scene

    rng = np.random.default_rng(0)
    folder.mkdir(parents=True)
    for number in range(n_pictures):
        kind = "desert" if number % 30 == 7 else "forest"
        noisy = _scene(kind, height, width, rng) + rng.normal(0, 3, (height, width, 1))
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

    forest = ImageForest(BINS, scale=VARIANTS[variant])
    return np.array([row.features for row in forest._rows(folder)])


def peak_rss() -> int:
    "Bytes this process held at most."
    with contextlib.suppress(OSError):
        # On Linux ru_maxrss counts what the parent held before it started this process; VmHWM does not.
        return int(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def child(variant: str, folder: str) -> None:
    "Print what one pass in this process adds to its peak memory, and the peak."
    import oco2_outliers.image_forest  # noqa: F401  every variant carries the same imports

    before = peak_rss()
    run(variant, folder)
    print(json.dumps([peak_rss() - before, peak_rss()]))


def memory(variant: str, folder: Path) -> list[int]:
    "Peak memory of a variant in a process of its own: what the pictures add, and all of it."
    command = [sys.executable, "-m", "benchmarks.bench_images", "--child", variant, str(folder)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def measure(folder: Path, turns: int) -> dict[str, dict]:
    "Least time, processor time and memory of each variant; the variants take turns."
    found = {variant: {"seconds": np.inf, "cpu": np.inf} for variant in VARIANTS}
    for _ in range(turns):
        for variant, best in found.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            run(variant, str(folder))
            best["seconds"] = min(best["seconds"], time.perf_counter() - start)
            best["cpu"] = min(best["cpu"], time.process_time() - start_cpu)
    for variant, best in found.items():
        best["added"], best["rss"] = memory(variant, folder)
    return found


def from_cold(folder: Path, n_pictures: int) -> dict[str, tuple[float, float]]:
    "Seconds and processor seconds of each variant over so many pictures, each in a process of its own."
    many = folder.with_name(f"{folder.name}_many")
    many.mkdir()
    pictures = sorted(folder.iterdir())
    for number in range(n_pictures):
        os.link(pictures[number % len(pictures)], many / f"{number:06d}.jpg")
    command = [sys.executable, "-m", "benchmarks.bench_images", "--cold"]
    found = {}
    for variant in ("original loop", "decoding alone", "features", "features --fast"):
        done = subprocess.run([*command, variant, str(many)], check=True, capture_output=True, text=True)
        found[variant] = tuple(json.loads(done.stdout))
    shutil.rmtree(many)
    return found


def cold(variant: str, folder: str) -> None:
    "Print the seconds and processor seconds of one pass in this process, imports apart."
    import oco2_outliers.image_forest  # noqa: F401  every variant carries the same imports

    start, start_cpu = time.perf_counter(), time.process_time()
    run(variant, folder)
    print(json.dumps([time.perf_counter() - start, time.process_time() - start_cpu]))


def scaled_against_whole(folder: Path, scale: int) -> str:
    "How far scaled decoding changes scores and verdicts."
    from scipy.stats import spearmanr

    from oco2_outliers.image_forest import ImageForest

    words = []
    for contamination in (0.01, 0.1):
        whole, fast = (ImageForest(scale=s, contamination=contamination).fit(folder) for s in (1, scale))
        changed = np.mean(whole.predict(folder) != fast.predict(folder))
        words.append(f"{changed:.1%} of verdicts change at contamination {contamination}")
    correlation = spearmanr(whole.score_samples(folder), fast.score_samples(folder)).statistic
    return f"at 1/{scale}: {'; '.join(words)}; rank correlation of the scores {correlation:.3f}"


def table(size: str, n_pictures: int, found: dict[str, dict]) -> list[str]:
    "Rows of the table for one size."
    first, decoding = found["original loop"]["seconds"], found["decoding alone"]["seconds"]
    rows = []
    for variant, f in found.items():
        cells = [size, variant, f"{n_pictures / f['seconds']:,.0f}", f"{first / f['seconds']:.2f}",
                 f"{f['seconds'] / decoding:.2f}", f"{f['cpu'] / n_pictures * 1e3:.2f}", f"{f['rss'] / 1e6:.0f}",
                 f"{f['added'] / 1e6:.0f}"]
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--cold", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--turns", type=int, default=20)
    options = parser.parse_args(argv)
    if options.child:
        return child(*options.child)
    if options.cold:
        return cold(*options.cold)
    import sklearn

    print(f"{CORES} cores, {platform.machine()}, Python {platform.python_version()}, OpenCV {cv2.__version__}, "
          f"numpy {np.__version__}, scikit-learn {sklearn.__version__}; load at the start {os.getloadavg()[0]:.1f}\n")
    print("| JPEG | variant | pictures/s | times the original | time against decoding alone | CPU ms a picture | "
          "peak RSS MB | of it for pictures |")
    print("|---|---|---|---|---|---|---|---|")
    notes = []
    with tempfile.TemporaryDirectory() as work:
        for size, (width, height, n_pictures) in SIZES.items():
            folder = Path(work) / size
            make_pictures(folder, width, height, n_pictures)
            np.testing.assert_array_equal(run("original loop", str(folder)), run("features", str(folder)))
            print("\n".join(table(size, n_pictures, measure(folder, options.turns))), flush=True)
            bits = 8 * sum(p.stat().st_size for p in folder.iterdir()) / (width * height * n_pictures)
            notes.append(f"- {size}: {n_pictures} pictures of {bits:.1f} bits a pixel; features equal the original's "
                         f"to the bit.")
            notes += [f"- {size} {scaled_against_whole(folder, scale)}." for scale in (4, 8)]
            many = n_pictures * 25
            for variant, (seconds, cpu) in from_cold(folder, many).items():
                notes.append(f"- {size}, {many:,} pictures in a process of its own: {variant} {seconds:.2f} s, "
                             f"{cpu:.2f} s of processor.")
    print("\n" + "\n".join(notes))


if __name__ == "__main__":
    main()
