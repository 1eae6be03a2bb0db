"""Every row against all others of a run: on Dask workers beside memory, with memory and disk over time.

Run from the project's root: `python -m benchmarks.bench_pooled` (1 million rows of 13 features; a minute or two),
`--rows 1000000 10000000 50000000` for the growth of the cost (an hour, and 20 GB of disk below --folder). A real
`dask scheduler` and `dask worker` processes on loopback. Prints markdown tables with machine and versions, the formula
for the whole mission, and draws the memory of all processes over time.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from benchmarks.bench_dbscan import oco_like
from benchmarks.harness import ROOT, machine, measure, table
from oco2_outliers.ground.words import counted
from oco2_outliers.scale import map_files

PACKAGES = ("oco2_outliers", "dask", "distributed", "pyarrow", "pandas", "numba")
FEATURES, ROWS_OF_FILE = 13, 100_000
ASKED = {"scope": "all", "parameters": {"min_samples": 5, "scale": "standard"}}
MISSION = 1_500_000_000  # soundings in ten years


def generate(folder: str, rows: int) -> dict:
    """Files of 100,000 rows each; in a process of its own, because all rows are made at once."""
    started = time.perf_counter()
    Path(folder).mkdir(parents=True)
    names = [f"f{j}" for j in range(FEATURES)]
    X = oco_like(rows, FEATURES)
    for k, begin in enumerate(range(0, rows, ROWS_OF_FILE)):
        part = pd.DataFrame(X[begin: begin + ROWS_OF_FILE], columns=names)
        part.to_parquet(f"{folder}/{k:05}.parquet", compression=None)
    return {"seconds": time.perf_counter() - started}


def digest_of(out: str) -> str:
    """One hash of all parts of a run."""
    digest = hashlib.sha256()
    for part in sorted(Path(out, "parts").iterdir()):
        digest.update(part.read_bytes())
    return digest.hexdigest()[:16]


def in_memory(data: str, out: str, warm: str) -> dict:
    """The run in this process, which may use all cores."""
    map_files(warm, "isolate", out=f"{out}-warm", memory_limit=1e11, **ASKED)
    started, before = time.perf_counter(), time.process_time()
    result = map_files(data, "isolate", out=out, memory_limit=1e11, **ASKED)
    return {"seconds": time.perf_counter() - started, "cpu": time.process_time() - before, "rows": result.rows,
            "digest": digest_of(out), "bytes": data_bytes(data)}


def data_bytes(folder: str) -> int:
    """Bytes of all files below a folder; files may come and go."""
    found = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                found += os.stat(os.path.join(place, name)).st_size
    return found


@contextlib.contextmanager
def cluster(folder: Path, n_workers: int, memory: str) -> Iterator[tuple[str, list[int]]]:
    """The address of a scheduler, and the process numbers of its workers."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    started: list[subprocess.Popen] = []

    def start(*arguments: str) -> int:
        with open(folder / "log", "ab") as log:
            started.append(subprocess.Popen([sys.executable, "-m", "dask", *arguments, "--no-dashboard"], cwd=folder,
                                            env=environment, stdout=log, stderr=log))
        return started[-1].pid

    try:
        told = folder / "scheduler.json"
        start("scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", str(told))
        while not (told.exists() and told.read_text().strip().endswith("}")):
            if started[0].poll() is not None:
                raise RuntimeError((folder / "log").read_text()[-2000:])
            time.sleep(0.1)
        address = json.loads(told.read_text())["address"]
        yield address, [start("worker", address, "--host", "127.0.0.1", "--no-nanny", "--nthreads", "1",
                              "--memory-limit", memory, "--local-directory", str(folder)) for _ in range(n_workers)]
    finally:
        for process in reversed(started):
            process.kill()
        for process in started:
            process.wait()


def _resident(pid: int) -> float:
    """Megabytes of memory that a process alone holds; pages of mapped files belong to the system."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("RssAnon"):
                return int(line.split()[1]) / 1000
    return float("nan")


def _cpu(pid: int) -> float:
    """CPU seconds that a process took so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Watch:
    """Memory of processes, disk of a pool and the step that goes on, twice a second."""

    def __init__(self, pids: list[int], out: str):
        self.pids, self.pool, self.lines = pids, Path(out, "pool"), []
        self._stop, self._thread = threading.Event(), threading.Thread(target=self._watch, daemon=True)

    def _step(self) -> str:
        """The step whose tasks are being recorded."""
        with contextlib.suppress(OSError):
            steps = [each for each in self.pool.glob("*/done/*/")]
            return max(steps, key=lambda each: each.stat().st_mtime).name if steps else ""
        return ""

    def _watch(self) -> None:
        started, disk = time.perf_counter(), 0
        while not self._stop.wait(0.5):
            if len(self.lines) % 10 == 0:
                disk = data_bytes(str(self.pool))
            self.lines.append((time.perf_counter() - started, self._step(), disk / 1e6,
                               *(_resident(pid) for pid in self.pids)))

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def table(self) -> pd.DataFrame:
        """What was seen."""
        names = ["coordinator", *(f"worker {i}" for i in range(1, len(self.pids)))]
        return pd.DataFrame(self.lines, columns=["seconds", "step", "disk", *names])


def on_workers(data: str, out: str, warm: str, workers: int, memory: str, place: str, kept: str) -> dict:
    """The run on Dask workers, watched; the warm-up compiles in each of them."""
    with cluster(Path(place), workers, memory) as (address, pids):
        map_files(warm, "isolate", out=f"{out}-warm", client=address, **ASKED)
        before, own = [_cpu(pid) for pid in pids], time.process_time()
        started = time.perf_counter()
        with Watch([os.getpid(), *pids], out) as watch:
            result = map_files(data, "isolate", out=out, client=address, **ASKED)
        seconds = time.perf_counter() - started
        cpu = sum(_cpu(pid) for pid in pids) - sum(before)
    seen = watch.table()
    seen.to_csv(kept, index=False)
    return {"seconds": seconds, "cpu": cpu, "own": time.process_time() - own, "rows": result.rows,
            "digest": digest_of(out), "worker": float(seen.iloc[:, 4:].max().max()),
            "coordinator": float(seen["coordinator"].max()), "disk": float(seen["disk"].max()),
            "failed": len(result.failures)}


def steps_of(kept: str) -> dict[str, float]:
    """Seconds of each step, as they were seen."""
    seen = pd.read_csv(kept, keep_default_na=False)
    lasted = seen["seconds"].diff().fillna(seen["seconds"])
    return lasted.groupby(seen["step"], sort=False).sum().to_dict()


def draw(kept: list[tuple[int, str]], to: Path) -> None:
    """Memory of all processes over time, one panel for each number of rows."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 2.6 * len(kept)), layout="constrained")
    for ax, (rows, file) in zip(figure.subplots(len(kept), 1, squeeze=False)[:, 0], kept):
        seen = pd.read_csv(file)
        for name in seen.columns[3:]:
            ax.plot(seen["seconds"], seen[name], label=name, color="0.3" if name == "coordinator" else None)
        ax.set(title=f"{rows:,} rows", xlabel="seconds", ylabel="MB", ylim=(0, None))
        ax.legend(loc="upper right", frameon=False)
    figure.savefig(to, dpi=120)


def mission(rows: int, cpu: float, workers: tuple[int, ...] = (1, 10, 100)) -> str:
    """What the whole mission would take at the measured rate."""
    per_row = cpu / rows
    told = ", ".join(f"{counted(n, 'worker')} {MISSION * per_row / n / 3600:,.1f} h" for n in workers)
    return (f"seconds = rows x {per_row * 1e6:.1f} µs / workers, so for {MISSION:,} rows: {told}. This takes the cost "
            "of a row for constant, and disk and network for no limit.")


def compared(sizes: list[int], asked: argparse.Namespace, folder: Path) -> None:
    """Print a line for each size, and the steps below."""
    rows, kept, steps = [], [], {}
    warm = str(folder / "warm")
    if not Path(warm).exists():
        measure("benchmarks.bench_pooled:generate", {"folder": warm, "rows": 300_000}, 1, timeout=600)
    for n in sizes:
        data, out = folder / f"rows{n}", folder / "out"
        if not data.exists():
            measure("benchmarks.bench_pooled:generate", {"folder": str(data), "rows": n}, 1, timeout=3600)
        place = folder / "cluster"
        for each in (out, place, Path(f"{out}-warm")):
            shutil.rmtree(each, ignore_errors=True)
        place.mkdir()
        file = str(folder / f"memory{n}.csv")
        far = measure("benchmarks.bench_pooled:on_workers",
                      {"data": str(data), "out": str(out), "warm": warm, "workers": asked.workers,
                       "memory": asked.memory, "place": str(place), "kept": file}, 1, timeout=6 * 3600)
        shutil.rmtree(out, ignore_errors=True)
        shutil.rmtree(f"{out}-warm", ignore_errors=True)
        near = None
        if n <= asked.in_memory:
            near = measure("benchmarks.bench_pooled:in_memory", {"data": str(data), "out": str(out), "warm": warm}, 1,
                           timeout=6 * 3600)
        if far.ending != "ok":
            print(f"{n:,} rows: {far.ending} {far.facts.get('error', '')}", flush=True)
            continue
        got = far.facts
        beside = ["", "", "", ""] if near is None or near.ending != "ok" else [
            f"{near.seconds:.0f} s", f"{near.peak_mb / 1000:.1f} GB", f"{far.seconds / near.seconds:.2f}",
            "same" if near.facts["digest"] == got["digest"] else "OTHER"]
        rows.append([f"{n:,}", f"{far.seconds:.0f} s", f"{got['cpu']:.0f} s", f"{got['cpu'] / n * 1e6:.1f} µs",
                     f"{got['worker']:.0f} MB", f"{got['coordinator']:.0f} MB", f"{got['disk'] * 1e6 / n:.0f}",
                     *beside])
        kept.append((n, file))
        steps[f"{n:,}"] = steps_of(file)
        print(table(["rows", f"{asked.workers} workers", "their CPU", "a row", "worker", "coordinator",
                     "disk, bytes a row", "in memory", "its peak", "workers / memory", "parts"], rows), flush=True)
        names = list(dict.fromkeys(step for each in steps.values() for step in each))
        print("\nSeconds by step (the last that kept a record):\n")
        print(table(["rows", *(name or "scale" for name in names)],
                    [[size, *(f"{each.get(name, 0):.0f}" for name in names)] for size, each in steps.items()]))
        print("\n" + mission(n, got["cpu"]) + "\n", flush=True)
        draw(kept, Path(asked.figure))
        if not asked.keep:
            shutil.rmtree(data)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--memory", default="4GB", help="limit of a worker")
    parser.add_argument("--in-memory", type=int, default=10_000_000, help="rows up to which memory is measured beside")
    parser.add_argument("--folder", help="where files and runs lie; a temporary folder by default")
    parser.add_argument("--keep", action="store_true", help="leave the generated files in --folder")
    parser.add_argument("--figure", default="pooled_memory.png", help="where the memory curves are drawn")
    asked = parser.parse_args()
    print(machine(PACKAGES) + f" {os.cpu_count()} CPUs.\n", flush=True)
    if asked.folder:
        Path(asked.folder).mkdir(parents=True, exist_ok=True)
        compared(asked.rows, asked, Path(asked.folder))
        return
    with tempfile.TemporaryDirectory() as place:
        compared(asked.rows, asked, Path(place))


if __name__ == "__main__":
    main()
