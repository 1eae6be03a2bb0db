"""Tasks of the tests, apart from them, so that a worker that imports them starts fast."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd


def noted_rows(unit, log, gate="", free=0):
    """Notes that it was called. Where there is a gate, only the first `free` days pass before that file is there."""
    with open(log, "a") as file:
        file.write(f"{Path(unit.name).name} {os.getpid()}\n")
    number = int(Path(unit.name).stem.split("_")[1])
    end = time.monotonic() + 600
    while gate and number >= free and not Path(gate).exists():
        assert time.monotonic() < end, "nobody opened the gate"
        time.sleep(0.02)
    return unit.table()[["sounding_id", "xco2"]]


def kills_its_worker(unit):
    if "002" in unit.name:
        os.kill(os.getpid(), signal.SIGKILL)
    return unit.table()[["sounding_id", "xco2"]]


def one_row(unit):
    return pd.DataFrame({"name": [Path(unit.name).name], "orbit": [unit.orbit], "rows": [len(unit.table())]})


def big_rows(unit):
    """Half a megabyte that no packing makes smaller."""
    rng = np.random.default_rng(len(unit.name))
    return pd.DataFrame({"noise": rng.random(60_000)})


def gives_nothing(unit):
    """No table."""


def spread_rows(unit, column, times, only, robust, hidden):
    """One row that tells what it was given."""
    return pd.DataFrame([{"column": column, "times": times, "only": " ".join(only or []), "robust": robust,
                          "hidden": hidden, "rows": len(unit.table())}])
