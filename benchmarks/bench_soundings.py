"""A month of Lite files read whole, and read in part, beside xarray and a plain netCDF4 loop.

Run ``python -m benchmarks.bench_soundings`` on an otherwise idle machine (``--list`` names the cases, ``--only`` picks
some); the peers are ``pip install xarray netCDF4``. The month is generated: 30 daily files of about 100,000
soundings, the size of the full mission. Each case is one fresh process that reads all files into one table; the page
cache is warm for all, because the files have just been written. The tools take turns, round by round, so that none has
the quiet minute; processor time is there for machines that do other work meanwhile. The ids, and the sum of xco2 over
good soundings, must agree.
"""

from __future__ import annotations

import argparse
import importlib
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.harness import installed, machine, measure, seconds, table

GROUPS = ("", "Retrieval", "Sounding", "Meteorology")
FEW = ["xco2", "xco2_uncertainty", "xco2_quality_flag"]
PACKAGES = ["oco2_outliers", "numpy", "pandas", "h5py", "h5netcdf", "netCDF4", "xarray"]
TOOLS = {"oco2_outliers": ["h5py"], "xarray": ["xarray", "netCDF4"], "netCDF4": ["netCDF4"]}


# Data

def make_month(folder: str, days: int, per_day: int) -> dict:
    """Daily files tiled from a few generated granules, with ids and times of their own; the number of soundings."""
    from oco2_outliers.soundings import make_sounding_id, simulate_granule, write_lite

    tiles = [simulate_granule(seed, 1500, n_bad=0, center=(30.0, -60.0 * seed)).soundings for seed in range(3)]
    start, total = time.perf_counter(), 0
    for day in range(days):
        parts = []
        while sum(map(len, parts)) < per_day:
            k = len(parts)
            tile = tiles[k % len(tiles)].copy()
            # tiles follow each other by the hour from midnight, so that an id occurs once
            first = tile["time"].iloc[0]
            shift = pd.Timestamp("2019-07-01") + pd.Timedelta(days=day, hours=k) - first.floor("s")
            frame = (tile["time"] - (tile["footprint"].astype(float) * 26.86 - 131.86) * pd.Timedelta("1ms")) + shift
            tile["time"] = (tile["time"] + shift).astype("datetime64[ms]")
            tile["sounding_id"] = make_sounding_id(frame.to_numpy(), tile["footprint"])
            tile["orbit"] = np.int32(26_000 + 15 * day + k)
            parts.append(tile)
        soundings = pd.concat(parts, ignore_index=True).iloc[:per_day]
        write_lite(soundings, Path(folder) / f"oco2_LtCO2_1907{day + 1:02d}_B11100Ar_generated.nc4")
        total += len(soundings)
    return {"seconds": time.perf_counter() - start, "total": total}


# Cases: each reads all files of a folder into one table

def read_oco2_outliers(paths, few):
    """One call for a file."""
    from oco2_outliers.soundings import read_lite

    asked = {"columns": FEW, "quality": 0} if few else {}
    return pd.concat([read_lite(path, **asked) for path in paths], ignore_index=True)


def read_xarray(paths, few):
    """Each group opened as a dataset of its own, side by side in one table."""
    import xarray

    def one(path):
        parts = []
        for group in GROUPS:
            with xarray.open_dataset(path, group=group or None) as dataset:
                if few and not group:
                    part = dataset[["sounding_id", *FEW]].load()
                    parts.append(part.isel(sounding_id=part["xco2_quality_flag"].values == 0).to_dataframe())
                elif not few:
                    parts.append(dataset.to_dataframe().reset_index(drop=bool(group)))
        return pd.concat(parts, axis=1) if not few else parts[0].reset_index()

    return pd.concat([one(path) for path in paths], ignore_index=True)


def read_netCDF4(paths, few):  # noqa: N802
    """A plain loop over groups and variables; fills of floats to NaN."""
    import netCDF4

    def values(variable):
        array = variable[:]
        if variable.dtype.kind == "f" and np.ma.isMaskedArray(array):
            return array.filled(np.nan)
        return np.asarray(array)

    def one(path):
        with netCDF4.Dataset(path) as file:
            if few:
                columns = {name: values(file[name]) for name in ["sounding_id", *FEW]}
            else:
                columns = {name: values(v) for group in [file, *file.groups.values()]
                           for name, v in group.variables.items()}
        frame = pd.DataFrame(columns)
        return frame[frame["xco2_quality_flag"] == 0] if few else frame

    return pd.concat([one(path) for path in paths], ignore_index=True)


def case(tool: str, folder: str, few: bool) -> dict:
    """Read the month with one tool."""
    paths = sorted(Path(folder).glob("*.nc4"))
    for module in ("oco2_outliers.soundings" if tool == "oco2_outliers" else tool, *TOOLS[tool]):
        importlib.import_module(module)
    start, processor = time.perf_counter(), time.process_time()
    frame = globals()[f"read_{tool}"](paths, few)
    elapsed, processor = time.perf_counter() - start, time.process_time() - processor
    good = frame["xco2_quality_flag"] == 0
    return {"seconds": elapsed, "cpu": processor, "rows": len(frame), "columns": frame.shape[1],
            "ids": int(frame["sounding_id"].to_numpy(np.int64).sum() % 1_000_003),
            "xco2": round(float(frame["xco2"][good].astype(float).sum()), 3)}


def middle(rounds: list, tool: str) -> dict:
    """Medians over the rounds of one tool; one that failed in any round has no figures."""
    outcomes = [found[tool] for found in rounds]
    failed = [outcome for outcome in outcomes if outcome.ending != "ok"]
    if failed:
        print(f"{tool}: {failed[0].facts.get('error', failed[0].ending)}", file=sys.stderr)
    nothing = float("nan")
    return {"ending": failed[0].ending if failed else "ok", "facts": outcomes[0].facts,
            "seconds": nothing if failed else statistics.median(outcome.seconds for outcome in outcomes),
            "cpu": nothing if failed else statistics.median(outcome.facts["cpu"] for outcome in outcomes),
            "peak_mb": statistics.median(outcome.peak_mb for outcome in outcomes)}


def main(argv=None) -> int:
    """Make the month, run the cases, print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--per-day", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--only", nargs="*", choices=list(TOOLS), default=list(TOOLS))
    parser.add_argument("--list", action="store_true")
    options = parser.parse_args(argv)
    tools = [tool for tool in options.only if installed(*TOOLS[tool])]
    if options.list:
        print("\n".join(tools))
        return 0
    for tool in sorted(set(options.only) - set(tools)):
        print(f"{tool} is left out: pip install {' '.join(TOOLS[tool])}", file=sys.stderr)
    print(machine(PACKAGES) + "\n")
    with tempfile.TemporaryDirectory(prefix="bench-soundings-") as folder:
        if shutil.disk_usage(folder).free < 1.5 * options.days * options.per_day * 120:
            print(f"too little room for the files in {folder}; set TMPDIR", file=sys.stderr)
            return 2
        # in a process of its own: the peak of a child begins with that of its parent
        made = measure("benchmarks.bench_soundings:make_month",
                       {"folder": folder, "days": options.days, "per_day": options.per_day}, 1)
        if made.ending != "ok":
            print(f"the files could not be made: {made.facts.get('error', made.ending)}", file=sys.stderr)
            return 2
        total = made.facts["total"]
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 2**20
        print(f"{options.days} files, {total:,} soundings, {size:,.0f} MB; median of {options.repeat}.\n")
        rows, wrong = [], False
        for few in (False, True):
            rounds = [{tool: measure("benchmarks.bench_soundings:case", {"tool": tool, "folder": folder, "few": few}, 1)
                       for tool in tools} for _ in range(options.repeat)]
            ours = middle(rounds, "oco2_outliers") if "oco2_outliers" in tools else None
            for tool in tools:
                this = middle(rounds, tool)
                same = ours and all(this["facts"].get(key) == ours["facts"].get(key) for key in ("rows", "ids", "xco2"))
                wrong |= this["ending"] == "ok" and same is False
                rows.append(["three columns, good soundings" if few else "all columns", tool,
                             seconds(this["seconds"]) or this["ending"],
                             f"{this['seconds'] / ours['seconds']:.2f}" if ours else "", seconds(this["cpu"]),
                             f"{this['cpu'] / ours['cpu']:.2f}" if ours else "", f"{this['peak_mb']:,.0f}",
                             f"{this['facts'].get('rows', 0):,}", {True: "yes", False: "no"}.get(same, "")])
    print(table(["read", "with", "time", "times ours", "processor time", "times ours", "peak, MB", "rows",
                 "same values"], rows))
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main())
