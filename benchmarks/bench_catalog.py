"""A catalog of an album: how long 14,499 rows take to go in and to come out, in SQLite and in MariaDB.

`python -m benchmarks catalog -- --url mariadb://me@host/name` measures a server too, in an empty database of its own;
without an address, one is started on this machine where MariaDB is installed.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.harness import ROOT, machine, seconds, table
from oco2_outliers.albums.clusterings import Clustering, Fitted
from oco2_outliers.catalog import Catalog

ROWS = 14_499  # as many as the album of the original had
FLOOR = 1.0  # seconds


def clustering(version: int) -> Clustering:
    "Groups of an album, drawn at random."
    rng = np.random.default_rng(version)
    (x, y), labels = rng.normal(size=(2, ROWS)), rng.integers(0, 50, ROWS)
    ids = pd.Series([f"{20170101 + number // 96:08d}-{number % 96:06d}" for number in range(ROWS)], dtype=object)
    made = pd.DataFrame({"id": ids, "path": None, "label": labels, "x": x, "y": y, "silhouette": 0.0, "distance": 0.0})
    fitted = Fitted(labels[:1], np.zeros((1, 2)), "nearest", np.empty((0, 2)), {}, [])
    return Clustering(made, "n2d", "simple_conv", "model", version, {}, 0, fitted, np.zeros((1, 2), np.float32), 0.0)


def history(folder: Path) -> Path:
    "A place for each minute."
    times = pd.date_range("2017-01-01", periods=ROWS, freq="10min").strftime("%Y%m%d-%H%M%S")
    rng = np.random.default_rng(0)
    lines = [f"{a:.12f};{b:.12f};{name};North Pacific Ocean" for a, b, name in
             zip(rng.uniform(-51, 51, ROWS), rng.uniform(-180, 180, ROWS), times)]
    (folder / "history.txt").write_text("\n".join(lines) + "\n")
    return folder / "history.txt"


def taken(work: Callable[[], object]) -> float:
    "Seconds of one call."
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def measured(address: str, folder: Path, repeat: int) -> dict[str, float]:
    "Median seconds of each job."
    catalog, runs, places = Catalog(address), [clustering(version) for version in (1, 2, 3)], history(folder)
    catalog.init()
    for run in runs:
        catalog.add(run)
    jobs: dict[str, Callable[[], object]] = {
        f"add {ROWS:,} rows in place of as many": lambda: catalog.add(runs[0]),
        f"populate {ROWS:,} places": lambda: catalog.populate(places),
        "compare three runs": lambda: catalog.compare([1, 2, 3]),
        "the ten nearest": lambda: catalog.close_to(0.0, 0.0, 10, 1),
        "export everything": lambda: catalog.export(folder / "all.parquet")}
    return {name: statistics.median(taken(work) for _ in range(repeat)) for name, work in jobs.items()}


def main() -> int:
    "The table; 1 where writing takes longer than the floor."
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", help="a server; its tables are written to")
    parser.add_argument("--repeat", type=int, default=5)
    asked = parser.parse_args()
    print(machine(["SQLAlchemy", "PyMySQL", "pandas", "numpy"]), "\n")
    sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "catalog")]
    found, server = {}, None
    with tempfile.TemporaryDirectory() as work:
        found["SQLite"] = measured(f"sqlite:///{work}/catalog.db", Path(work), asked.repeat)
        url = asked.url
        if url is None:
            from mariadb_server import MariaServer

            try:
                server = MariaServer().start()
                server.run("CREATE DATABASE bench")
                url = server.url("bench")
            except FileNotFoundError as error:
                print(f"{error}: SQLite alone is measured\n")
        try:
            if url:
                found["MariaDB"] = measured(url, Path(work), asked.repeat)
        finally:
            if server is not None:
                server.stop()
    print(table(["", *found], [[name, *(seconds(each[name]) for each in found.values())] for name in found["SQLite"]]))
    return int(max(next(iter(each.values())) for each in found.values()) > FLOOR)


if __name__ == "__main__":
    sys.exit(main())
