"""From a file of readings to a table of verdicts, by way of a historian and a broker, all on this machine.

    python scripts/stream_demo.py [OUT] [FILE]

Each step is a command that is shown before it runs. At the end the stored table is compared with `series judge`.
"""
from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd

from oco2_outliers.series import load_series_result, read_series, simulate_series
from oco2_outliers.streams import open_historian, open_store

SHARE = 0.8  # of the readings that are history


def run(*words: str) -> None:
    """Run a command of this package, and show it."""
    print(f"\n$ oco2-outliers {shlex.join(words)}", flush=True)
    subprocess.run([sys.executable, "-m", "oco2_outliers", *words], check=True)


def with_faults(value: np.ndarray, begin: int) -> np.ndarray:
    """Hours that are stuck, a spike, hours that are noisy, and hours whose level is too high."""
    value[begin + 250:begin + 270] = value[begin + 250]
    value[begin + 420] += 1.5
    value[begin + 600:begin + 640] += np.random.default_rng(1).normal(0, 0.3, 40)
    value[begin + 800:begin + 830] += 0.7
    return value


def readings(path: str | None) -> pd.DataFrame:
    """The readings of a file, or generated ones; the first column of numbers of each site."""
    if path is None:
        print("Ten weeks of a generated sewer, with four faults in the last two; DATA=path takes your file.")
        made = simulate_series(n_sites=1, days=70, step="15 min", faults=[], random_state=1)
        made = made.loc[made["channel"] == "velocity", ["time", "site", "channel", "value"]]
        return made.assign(value=with_faults(made["value"].to_numpy(copy=True), int(SHARE * len(made))))
    series = read_series(path)
    site, channel = series.channels()[0]
    print(f"{path}: {channel} of {site}")
    table = series.table
    table = table[(table["site"] == site) & (table["channel"] == channel) & table["time"].notna()]
    return table.loc[~table["time"].duplicated(), ["time", "site", "channel", "value"]]


def differences(stored: pd.DataFrame, judged: pd.DataFrame) -> int:
    """How many cells of the verdicts differ between the stream and the whole table."""
    n = abs(len(stored) - len(judged))
    for name in ("score", "p_value"):
        one, other = stored[name].to_numpy(float), judged[name].to_numpy(float)
        n += int((~((one == other) | (np.isnan(one) & np.isnan(other)))).sum())
    for name in ("outlier", "kind", "reason"):
        n += int((stored[name].to_numpy(object) != judged[name].to_numpy(object)).sum())
    return n


def main(out: str = "_stream", path: str | None = None) -> int:
    """Run the demo; gives the exit code."""
    folder = Path(out)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    table = readings(path).sort_values("time")
    cut = int(SHARE * len(table))
    table[:cut].to_csv(folder / "history.csv", index=False)
    table[cut:].to_csv(folder / "coming.csv", index=False)
    historian, broker = f"sqlite:///{folder}/historian.db", f"file://{folder.resolve()}/topics"
    with open_historian(historian) as kept:
        stored = table[cut:].assign(time=pd.DatetimeIndex(table["time"][cut:]).tz_localize("UTC"))
        print(f"{kept.write(stored):,} readings written to {historian}")
    channel = f"{table['site'].iloc[0]}/{table['channel'].iloc[0]}"
    run("series", "freeze", f"{folder}/history.csv", "-o", f"{folder}/model.npz", "--alpha", "1")
    run("series", "fetch", historian, channel, "-o", f"{folder}/fetched.csv")
    run("series", "send", historian, broker, "--topic", "sewers", "--create")
    run("series", "listen", broker, "--topic", "sewers", "--model", f"{folder}/model.npz", "--store",
        f"{folder}/results.db", "--until", "end", "--final")
    run("series", "judge", f"{folder}/coming.csv", "--model", f"{folder}/model.npz", "--out", f"{folder}/judged")
    with open_store(folder / "results.db") as store:
        store.result().save(folder / "streamed")
        stored = store.points()
    run("explore", f"{folder}/streamed", "--out", f"{folder}/page.html")
    n = differences(stored, load_series_result(folder / "judged").points)
    print(f"\n{len(stored):,} readings in the stream's table; cells that differ from `series judge`: {n}")
    print(f"The page: {folder}/page.html")
    return 1 if n else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
