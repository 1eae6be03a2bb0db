"""The gallery of many pictures: how long and how much memory its maker takes, and what a real browser makes of it.

Run ``python -m benchmarks.bench_gallery`` on an otherwise idle machine; it needs Chromium (``BROWSER_BINARY`` names
one) and websocket-client, and starts the browser as ``tests/browser.py`` says, with rendering in software. The album is
generated: views of a bent horizon with noise, 160 x 90 pixels, so that no tile is like another.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd

from benchmarks.harness import ROOT, machine, measure, table

sys.path.insert(0, str(ROOT / "tests"))

import browser as chromium  # noqa: E402

FRAME = "const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));"


def make_picture(random: np.random.Generator, kind: int) -> np.ndarray:
    """A horizon with clouds below it, in the colours of its kind."""
    y, x = np.mgrid[0:90, 0:160]
    clouds = cv2.resize(random.random((9, 16)).astype(np.float32), (160, 90), interpolation=cv2.INTER_CUBIC)
    edge = random.uniform(10, 60) + random.uniform(-30, 30) * ((x - 80) / 80) ** 2
    light = np.where(y > edge, 80 + 120 * clouds, 8)
    colour = np.array([1.0, 0.3 + 0.1 * (kind % 5), 0.2 + 0.15 * (kind % 7)])
    return np.clip(light[..., None] * colour + random.normal(0, 4, (90, 160, 1)), 0, 255).astype(np.uint8)


def make_album(folder: Path, n: int) -> pd.DataFrame:
    """A table as `odd_pictures` and two clusterings give it, and the pictures that it names."""
    random = np.random.default_rng(0)
    folder.mkdir(parents=True, exist_ok=True)
    kinds = random.integers(0, 50, n)
    paths = [str(folder / f"{k:05d}.jpg") for k in range(n)]
    for path, kind in zip(paths, kinds):
        cv2.imwrite(path, make_picture(random, kind))
    score = random.gamma(3, 1, n)
    near = [[f"{k:05d}" for k in random.integers(0, n, 5)] for _ in range(n)]
    return pd.DataFrame({"id": [f"{k:05d}" for k in range(n)], "path": paths, "score": score, "ratio": score / 9,
                         "outlier": score > 9, "reason": np.where(score > 9, "far from all others", ""),
                         "neighbours": near, "copies": random.integers(0, 3, n), "v1_label": kinds,
                         "v1_x": random.normal(kinds % 7, 0.3), "v1_y": random.normal(kinds // 7, 0.3),
                         "latitude": random.uniform(-51, 51, n), "longitude": random.uniform(-180, 180, n)})


def write_pages(album: str, out: str) -> dict:
    """Write the pages of an album whose table was kept; for `measure`."""
    from oco2_outliers.picture_gallery import gallery

    told = pd.read_parquet(album)
    begun = time.perf_counter()
    pages = gallery(told, out)
    return {"seconds": time.perf_counter() - begun, "mb": pages.n_bytes / 1e6}


def opened(browser: chromium.Browser, path: Path, repeat: int) -> dict[str, float]:
    """Milliseconds to the first picture and of a redraw of all tiles, and the memory of the page."""
    first, drawn, own, layouts, memory = [], [], [], [], 0.0
    for _ in range(repeat):
        page = browser.page(1400, 950)
        first.append(page.open(path).wait("window.firstPicture", timeout=120))
        times = page.run(f"""(async () => {{ {FRAME} const out = []; for (let k = 0; k < 12; k++) {{
          await frame(); const begun = performance.now(); gallery.stage.paint(); await frame();
          out.push([performance.now() - begun, gallery.stage.took]); }} return out; }})()""")
        drawn += [each[0] for each in times[2:]]
        own += [each[1] for each in times[2:]]
        layouts.append(page.run(f"""(async () => {{ {FRAME} const begun = performance.now();
          gallery.setFilter('score > 1 and latitude < 40'); await frame(); return performance.now() - begun; }})()"""))
        memory = page.memory_mb()
        page.close()
    return {"first": statistics.median(first), "drawn": statistics.median(drawn), "own": statistics.median(own),
            "worst": max(drawn), "filter": statistics.median(layouts), "memory": memory}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--pictures", type=int, nargs="*", default=[2000, 14_500])
    parser.add_argument("--repeat", type=int, default=5)
    args = parser.parse_args()
    print(machine(["opencv-python-headless", "numpy"]))
    rows = []
    with tempfile.TemporaryDirectory() as place, chromium.Browser(flags=chromium.GPU_IN_SOFTWARE) as browser:
        for n in args.pictures:
            folder = Path(place) / str(n)
            make_album(folder / "album", n).to_parquet(folder / "table.parquet")
            made = measure("benchmarks.bench_gallery:write_pages", {"album": str(folder / "table.parquet"),
                                                                    "out": str(folder / "pages")}, repeat=1)
            told = opened(browser, folder / "pages" / "facets-dive.html", args.repeat)
            rows.append([f"{n:,}", f"{made.seconds:.1f}", f"{made.peak_mb:.0f}", f"{made.facts['mb']:.1f}",
                         f"{told['first']:.0f}", f"{told['drawn']:.0f}", f"{told['worst']:.0f}", f"{told['own']:.0f}",
                         f"{told['filter']:.0f}", f"{told['memory']:.0f}"])
    print(table(["pictures", "written, s", "peak, MB", "page, MB", "first picture, ms", "redraw, ms", "slowest",
                 "own script", "filter, ms", "JavaScript, MB"], rows))


if __name__ == "__main__":
    main()
