"""The whole command for one file, `oco2-outliers isolate`, beside a plain script with scikit-learn.

Run ``python -m benchmarks.bench_command`` (``--file`` for a Lite file of yours). The script reads the same file, fits
DBSCAN at seven eps, takes the silhouette of each, and draws one figure; it is what an analyst would write. All run as
processes of their own, in turns; what counts is the processor time (user and system) of the whole process, which other
work on the machine disturbs less than the clock does, and the peak memory. numba has compiled before: a round that
warms up is not counted.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import machine, table

PACKAGES = ["oco2_outliers", "numpy", "pandas", "scikit-learn", "matplotlib", "numba"]
SCRIPT = '''
import sys
import h5py
import matplotlib
matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.cluster import DBSCAN
from sklearn.metrics import silhouette_score
from sklearn.preprocessing import StandardScaler

path, out = sys.argv[1:]
with h5py.File(path) as file:
    n = file["sounding_id"].size
    columns = {}
    def take(name, item):
        if isinstance(item, h5py.Dataset) and item.shape == (n,) and item.dtype.kind in "fi":
            columns[name.split("/")[-1]] = item[:]
    file.visititems(take)
table = pd.DataFrame(columns)
features = table.select_dtypes("floating").drop(columns=["latitude", "longitude", "time"], errors="ignore")
features = features.where(features > -99999).dropna(axis=1)
X = StandardScaler().fit_transform(features.loc[:, features.std() > 0])
middle = np.sqrt(X.shape[1])
best = (-2.0, None, None)
for eps in np.linspace(0.3, 1.2, 7) * middle:
    labels = DBSCAN(eps=eps, min_samples=5).fit_predict(X)
    score = silhouette_score(X, labels) if 1 < len(set(labels)) < len(X) else -1.0
    best = max(best, (score, eps, labels), key=lambda each: each[0])
score, eps, labels = best
noise = labels == -1
table[noise].to_csv(out + "/isolated.csv", index=False)
figure, ax = plt.subplots(figsize=(9, 4))
ax.scatter(table["latitude"], table["xco2"], s=4)
ax.scatter(table["latitude"][noise], table["xco2"][noise], s=20)
ax.set(xlabel="latitude", ylabel="xco2 (ppm)", title=f"{noise.sum()} isolated at eps {eps:.2f}")
figure.savefig(out + "/isolated.png", dpi=120)
'''


def run(command: list[str]) -> dict[str, float]:
    """Processor seconds, seconds and peak memory of a command."""
    start, log = time.perf_counter(), os.open(os.devnull, os.O_WRONLY)
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, log, 1)])
    _, status, usage = os.wait4(pid, 0)
    os.close(log)
    if status:
        raise SystemExit(f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return {"cpu": usage.ru_utime + usage.ru_stime, "clock": time.perf_counter() - start,
            "peak": usage.ru_maxrss / 1024}


def commands(file: Path, place: Path) -> dict[str, list[str]]:
    """What is compared, by name."""
    script, ours = place / "plain.py", [sys.executable, "-m", "oco2_outliers"]
    script.write_text(SCRIPT)
    return {"plain script with scikit-learn": [sys.executable, str(script), str(file), str(place / "plain")],
            "oco2-outliers isolate": [*ours, "isolate", str(file), "--out", str(place / "whole")],
            "oco2-outliers isolate --no-figures": [*ours, "isolate", str(file), "--out", str(place / "bare"),
                                                   "--no-figures"],
            "oco2-outliers --help": [*ours, "--help"]}


def measured(file: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Medians over the rounds; the tools take turns."""
    with tempfile.TemporaryDirectory() as folder:
        place, runs = Path(folder), {}
        asked = commands(file, place)
        for k in range(rounds + 1):
            for name, command in asked.items():
                for made in ("plain", "whole", "bare"):
                    shutil.rmtree(place / made, ignore_errors=True)
                (place / "plain").mkdir()
                found = run(command)
                if k:
                    runs.setdefault(name, []).append(found)
    return {name: {key: statistics.median(each[key] for each in found) for key in found[0]}
            for name, found in runs.items()}


def generated(place: Path) -> Path:
    """A generated granule of about 2,400 soundings."""
    from oco2_outliers.soundings import simulate_granule, write_lite

    file = place / "granule.nc4"
    write_lite(simulate_granule(0, 105).soundings, file)
    return file


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--file", type=Path, help="a Lite file; a granule is generated without it")
    parser.add_argument("--rounds", type=int, default=7)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measured(asked.file or generated(Path(folder)), asked.rounds)
    plain = found["plain script with scikit-learn"]["cpu"]
    print(machine(PACKAGES), end="\n\n")
    print(table(["", "processor s", "of the script", "clock s", "peak MB"],
                [[name, f"{each['cpu']:.2f}", f"{each['cpu'] / plain:.2f}", f"{each['clock']:.2f}",
                  f"{each['peak']:.0f}"] for name, each in found.items()]))


if __name__ == "__main__":
    main()
