"""The explorer's page in a real browser with software rendering, and drawing libraries that it could have used.

Run ``python -m benchmarks.bench_explorer`` on an otherwise idle machine; it needs Chromium (``BROWSER_BINARY`` names
one) and websocket-client, and starts the browser as ``tests/browser.py`` says. For each number of rows it writes a page
of generated soundings, opens it in fresh tabs, and measures the time from navigation to the first picture, and 40 moves
of eps: the time until the browser has put a frame with all views recoloured on the screen, and the part of it that is
the page's own script. ``--large N`` writes a run of N generated rows over a year as one Parquet file, and its page in
brief in a process of its own, whose peak memory is told. With ``--candidates FOLDER`` the libraries are compared, on
one scatter plot with two colours; the folder holds what ``npm pack`` gave for regl-scatterplot, regl, pub-sub-es,
deck.gl, plotly.js-gl2d-dist-min and uplot, each unpacked into a folder called NAME.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.harness import ROOT, machine, seconds, table

sys.path.insert(0, str(ROOT / "tests"))

import browser as chromium  # noqa: E402

FEATURES = ["xco2", "xco2_uncertainty", "psurf", "dp_o2a", "albedo_o2a", "aod_total", "tcwv", "altitude_stddev"]
FRAME = "const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)));"


# The page

def make_result(n: int):
    """Generated soundings all over the world, scored as `isolate` scores them (without its sweep and its reasons)."""
    from oco2_outliers.dbscan import choose_eps, feature_matrix, isolation_radius
    from oco2_outliers.main_job import IsolationResult
    from oco2_outliers.soundings import simulate_granule

    parts: list[pd.DataFrame] = []
    while sum(map(len, parts)) < n:
        k = len(parts)
        parts.append(simulate_granule(k, 2900, center=(10.0 * (k % 7 - 3), 25.0 * (k % 14) - 170),
                                      date=f"2019-07-{k % 28 + 1:02d}").soundings)
    rows = pd.concat(parts, ignore_index=True).head(n)
    matrix = feature_matrix(rows, FEATURES, missing="drop")
    radius = isolation_radius(matrix.X, 5)
    eps = float(f"{choose_eps(radius):.3g}")
    odd = eps < radius
    scored = rows.assign(source="generated", score=radius, isolated=odd, outlier=odd,
                         reason=np.where(odd, "xco2 60%, psurf 30%", ""), change=np.where(odd, "xco2 1.3 ppm lower",
                             ""))
    return IsolationResult(scored, pd.DataFrame(), eps, 5, "fence of the radii", matrix,
        {"inputs": [{"name": "generated"}], "parameters": {}})


def page_row(browser: chromium.Browser, n: int, repeat: int, folder: Path) -> list[str]:
    """Figures of a page of n rows."""
    from oco2_outliers.explorer import explore

    result = make_result(n)
    start = time.perf_counter()
    made = explore(result, folder / f"{n}.html")
    written = time.perf_counter() - start
    firsts, moves, scripts, memory = [], [], [], []
    for _ in range(repeat):
        page = browser.page(1300, 900)
        page.open(made.path).wait("window.firstPicture", 120)
        firsts.append(page.run("window.firstPicture / 1000"))
        told = page.run(f"""(async () => {{ {FRAME} const out = []; await frame();
          for (let k = 0; k < 40; k++) {{ const start = performance.now();
              explorer.setEps(explorer.atPosition(200 + 15 * k));
            const script = performance.now() - start; await frame(); out.push([performance.now() - start, script]); }}
          return out; }})()""", 300)
        moves += [move / 1000 for move, _ in told]
        scripts += [script / 1000 for _, script in told]
        memory.append(page.memory_mb())
        if page.console:
            raise RuntimeError(f"the page complained: {page.console}")
        page.close()
    return [f"{n:,}", f"{made.n_bytes / 1e6:.1f} MB", str(len(made.left_out)), seconds(written),
        seconds(float(np.median(firsts))),
            seconds(float(np.median(moves))), seconds(float(np.quantile(moves, 0.95))),
                seconds(float(np.median(scripts))),
            f"{max(memory):.0f} MB"]


# A table in brief

def large_file(n: int, path: Path, rows_a_file: int = 54_000) -> int:
    """Write a combined run of n generated rows, block by block; returns the number of files it is of."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, writer, k = np.random.default_rng(0), None, 0
    for k, first in enumerate(range(0, n, rows_a_file)):
        block = pa.Table.from_pandas(large_block(rng, k, first, min(rows_a_file, n - first)), preserve_index=False)
        writer = writer or pq.ParquetWriter(path, block.schema, compression="zstd")
        writer.write_table(block)
    if writer is not None:
        writer.close()
    return k + 1


def large_block(rng: np.random.Generator, k: int, first: int, n: int) -> pd.DataFrame:
    """The rows of one day: 14 orbits, one row in a hundred odd."""
    day = np.datetime64("2019-01-01") + 2 * k
    seconds = np.sort(rng.uniform(0, 86400, n))
    phase = (seconds % 5933) / 5933 * 2 * np.pi
    west = -seconds / 240 - 10 * k + 8 * np.cos(phase) + rng.normal(0, 0.04, n)
    eps, score = 4 + 0.5 * np.sin(k), rng.gamma(6, 0.25, n)
    odd = rng.choice(n, n // 100, replace=False)
    score[odd] = eps * (1 + rng.exponential(0.5, len(odd)))
    isolated = score > eps
    features = {name: (rng.normal(0, 1, n) + isolated * rng.normal(0, 3, n)).astype(np.float32)
                for name in FEATURES[1:]}
    reasons = np.array(["aod_total 60%, xco2 30%", "dp_o2a 80%", "tcwv 55%, xco2 20%"])[rng.integers(0, 3, n)]
    return pd.DataFrame({
        "sounding_id": 20190101_00000000 + np.arange(first, first + n),
        "time": day.astype("datetime64[ms]") + (1000 * seconds).astype("timedelta64[ms]"),
        "latitude": (82 * np.sin(phase) + rng.normal(0, 0.04, n)).astype(np.float32),
        "longitude": ((west + 180) % 360 - 180).astype(np.float32),
        "xco2": (410 + rng.normal(0, 1, n) + isolated * rng.normal(0, 4, n)).astype(np.float32), **features,
        "source": f"oco2_LtCO2_{str(day)[2:].replace('-', '')}.nc4", "score": score, "eps": eps, "ratio": score / eps,
        "isolated": isolated, "outlier": isolated, "reason": np.where(isolated, reasons, "")})


def large_page(n: int, folder: Path) -> dict[str, float]:
    """The page of n rows, written in a process of its own: seconds, peak memory, sizes."""
    (folder / "large").mkdir()
    n_files = large_file(n, folder / "large" / "combined.parquet")
    script = ("import json, resource, sys, time; from oco2_outliers.explorer import explore; start = time.time(); "
              "page = explore(sys.argv[1], sys.argv[2]); print(json.dumps({'seconds': time.time() - start, "
              "'peak_mb': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 'bytes': page.n_bytes, "
              "'points': page.n_rows, 'summed': page.n_summed}))")
    done = subprocess.run([sys.executable, "-c", script, str(folder / "large"), str(folder / "large.html")],
                          capture_output=True, text=True, check=True)
    return {"files": n_files, "table_bytes": (folder / "large" / "combined.parquet").stat().st_size,
            **json.loads(done.stdout)}


def large_row(browser: chromium.Browser, n: int, repeat: int, folder: Path) -> list[str]:
    """Figures of a page of n rows in brief."""
    made = large_page(n, folder)
    firsts, moves = [], []
    for _ in range(repeat):
        page = browser.page(1300, 900)
        page.open(folder / "large.html").wait("window.firstPicture", 120)
        firsts.append(page.run("window.firstPicture / 1000"))
        moves += page.run(f"""(async () => {{ {FRAME} const out = []; await frame();
          for (let k = 0; k < 20; k++) {{ const start = performance.now();
            explorer.setEps(explorer.atPosition(200 + 30 * k)); await frame();
            out.push((performance.now() - start) / 1000); }} return out; }})()""", 300)
        page.close()
    return [f"{n:,}", f"{made['files']:,}", f"{made['table_bytes'] / 1e6:.0f} MB", f"{made['bytes'] / 1e6:.1f} MB",
            f"{made['points']:,.0f}", seconds(made["seconds"]), f"{made['peak_mb']:.0f} MB",
            seconds(float(np.median(firsts))), seconds(float(np.median(moves)))]


# The candidates: each defines start() and move(eps), which resolve when the picture is there

DATA = """const N = %d, W = 600, H = 400; let seed = 1; const random = () => (seed = (seed * 16807) %% 2147483647) /
    2147483647;
const X = new Float64Array(N), Y = new Float64Array(N), R = new Float64Array(N), box = document.getElementById("box");
for (let i = 0; i < N; i++) { X[i] = random(); Y[i] = (random() + random() + random()) / 3; R[i] = random(); }
X.sort();
""" + FRAME

CANDIDATES = {
    "own, canvas 2D": ([], """
const canvas = document.createElement("canvas"); [canvas.width, canvas.height] = [W, H]; box.append(canvas);
const context = canvas.getContext("2d"), image = context.createImageData(W, H),
    pixels = new Uint32Array(image.data.buffer);
const at = Int32Array.from(X, (x, i) => Math.floor(Y[i] * (H - 3)) * W + Math.floor(x * (W - 3)));
const draw = async (eps) => { pixels.fill(0);
  for (const [odd, colour] of [[false, 0xffe9b456], [true, 0xff005ed5]]) for (let i = 0; i < N;
      i++) if (eps < R[i] === odd)
    for (let r = 0, p = at[i]; r < 3; r++, p += W) pixels[p] = pixels[p + 1] = pixels[p + 2] = colour;
  context.putImageData(image, 0, 0); await frame(); };
window.start = () => draw(0.9); window.move = draw;"""),
    "uPlot": (["uplot/dist/uPlot.iife.min.js"], """
const split = (eps) => { const a = new Array(N).fill(null), b = new Array(N).fill(null);
  for (let i = 0; i < N; i++) (eps < R[i] ? b : a)[i] = Y[i]; return [X, a, b]; };
let plot; const dots = (fill) => ({ paths: () => null, points: { show: true, size: 3, fill, width: 0 } });
window.start = async () => { plot = new uPlot({ width: W, height: H, scales: { x: { time: false } },
    legend: { show: false },
  series: [{}, dots("#56B4E9"), dots("#D55E00")] }, split(0.9), box); await frame(); await frame(); };
window.move = async (eps) => { plot.setData(split(eps)); await frame(); await frame(); };"""),
    "plotly.js scattergl": (["plotly.js-gl2d-dist-min/plotly-gl2d.min.js"], """
const colour = (eps) => Array.from(R, (r) => (eps < r ? 1 : 0));
window.start = async () => { await Plotly.newPlot(box, [{ type: "scattergl", mode: "markers", x: X, y: Y,
    marker: { size: 3,
  color: colour(0.9), colorscale: [[0, "#56B4E9"], [1, "#D55E00"]] } }], { width: W, height: H }); await frame(); };
window.move = async (eps) => { await Plotly.restyle(box, { "marker.color": [colour(eps)] }); await frame(); };"""),
    "deck.gl": (["deck.gl/dist.min.js"], """
const place = new Float32Array(2 * N); for (let i = 0; i < N; i++) place.set([X[i] * W - W / 2, Y[i] * H - H / 2],
    2 * i);
const layer = (eps) => { const c = new Uint8Array(3 * N); for (let i = 0; i < N; i++) c.set(eps < R[i] ? [213, 94,
    0] : [86, 180, 233], 3 * i);
  return new deck.ScatterplotLayer({ id: "a", data: { length: N, attributes: { getPosition: { value: place, size: 2 },
    getFillColor: { value: c, size: 3 } } }, getRadius: 1.5, radiusUnits: "pixels" }); };
let view, done; const shown = (eps) => new Promise((resolve) => { done = resolve;
  if (view) view.setProps({ layers: [layer(eps)] });
  else view = new deck.Deck({ parent: box, width: W, height: H, views: new deck.OrthographicView(), controller: true,
    initialViewState: { target: [0, 0, 0], zoom: 0 }, layers: [layer(eps)], onAfterRender: () => { done?.();
        done = null; } }); });
window.start = async () => { await shown(0.9); await frame(); }; window.move = async (eps) => { await shown(eps);
    await frame(); };"""),
    "regl-scatterplot": (["pub-sub-es/dist/index.js", "regl/dist/regl.min.js",
        "regl-scatterplot/dist/regl-scatterplot.min.js"], """
const canvas = document.createElement("canvas"); box.append(canvas); let plot;
const points = (eps) => ({ x: Float32Array.from(X, (v) => 2 * v - 1), y: Float32Array.from(Y, (v) => 2 * v - 1),
  z: Float32Array.from(R, (r) => (eps < r ? 1 : 0)) });
window.start = async () => { plot = createScatterplot.default({ canvas, width: W, height: H, pointSize: 3,
    colorBy: "valueA",
  pointColor: ["#56B4E9", "#D55E00"] }); await plot.draw(points(0.9)); await frame(); };
window.move = async (eps) => { await plot.draw(points(eps)); await frame(); };"""),
}


def candidate_page(name: str, n: int, libraries: Path, folder: Path, strict: bool) -> tuple[Path, int]:
    """A page with one library in it; `strict` forbids code made from text, as the explorer does."""
    needed, script = CANDIDATES[name]
    texts = [(libraries / path).read_text("utf-8") for path in needed]
    # pub-sub-es comes as an ES module alone; regl-scatterplot looks for a global function.
    texts = [text.replace("export default createPubSub", "window.createPubSub = createPubSub")
             .replace("export {", "var unused = {") if "pub-sub-es" in path else text for path, text in zip(needed,
                 texts)]
    policy = ('<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; script-src \'unsafe-inline\'; '
              "style-src 'unsafe-inline'; img-src data: blob:\">") if strict else ""
    path = folder / f"{name}-{n}.html"
    path.write_text(f"<!doctype html><meta charset=utf-8>{policy}<div id=box style='width: 600px; height: 400px'></div>"
                    + "".join(f"<script>{text}</script>" for text in texts) + f"<script>{DATA % n}{script}</script>",
                        "utf-8")
    return path, sum(map(len, texts))


def candidate_row(browser: chromium.Browser, name: str, n: int, libraries: Path, folder: Path) -> list[str]:
    """Figures of one library with n points, and whether it runs under a strict policy."""
    path, size = candidate_page(name, n, libraries, folder, strict=False)
    page = browser.page(800, 600)
    told = [name, f"{size / 1024:.0f} KB", f"{n:,}"]
    try:
        page.open(path).wait("Boolean(window.start)", 30)
        first = page.run("""(async () => { const t = performance.now(); await start();
          return (performance.now() - t) / 1000; })()""", 110)
        moves = page.run("""(async () => { const out = []; for (let k = 0; k < 12; k++) { const t = performance.now();
          await move(0.5 + 0.04 * k); out.push((performance.now() - t) / 1000); } return out; })()""", 110)
        told += [seconds(first), seconds(float(np.median(moves))), seconds(max(moves))]
    except Exception as error:  # one that gives up is a result, too
        told += [f"failed: {' '.join(str(error).split())[:60]}", "", ""]
    strict, _ = candidate_page(name, 1000, libraries, folder, strict=True)
    try:
        page = browser.page(800, 600)
        page.open(strict).wait("Boolean(window.start)", 10)
        page.run("start()", 20)
        told.append("yes")
    except Exception as error:
        told.append(f"no: {str(error).splitlines()[0][:70]}")
    return told


def main(argv: list[str] | None = None) -> int:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="*", default=[100_000, 500_000])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--large", type=int, help="rows of a page in brief, such as 10000000")
    parser.add_argument("--candidates", type=Path, help="folder of unpacked npm packages")
    options = parser.parse_args(argv)
    if chromium.find_browser() is None:
        print("no Chromium: set BROWSER_BINARY to one", file=sys.stderr)
        return 0
    print(machine(["oco2_outliers", "numpy", "pandas"]))
    with chromium.Browser(flags=chromium.GPU_IN_SOFTWARE) as browser, tempfile.TemporaryDirectory() as scratch:
        print(browser.version(), " ".join(chromium.FLAGS), "\n")
        if options.rows:
            head = ["rows", "file", "columns left out", "written in", "first picture", "eps move", "95 %", "script",
                "JavaScript memory"]
            print(table(head, [page_row(browser, n, options.repeat, Path(scratch)) for n in options.rows]), "\n")
        if options.large:
            head = ["rows", "files", "table", "page", "points", "written in", "peak memory", "first picture",
                    "eps move"]
            print(table(head, [large_row(browser, options.large, options.repeat, Path(scratch))]), "\n")
        if options.candidates:
            head = ["library", "size", "points", "first picture", "recolour", "longest", "runs without eval"]
            print(table(head, [candidate_row(browser, name, n, options.candidates, Path(scratch))
                               for n in (100_000, 500_000) for name in CANDIDATES]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
