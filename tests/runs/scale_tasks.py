"""Tasks of the tests, apart from them, so that a worker that imports them starts fast."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pandas as pd


def slow_rows(unit, log, seconds=0.15):
    """Takes its time, and notes that it was called."""
    with open(log, "a") as file:
        file.write(f"{Path(unit.name).name} {os.getpid()}\n")
    time.sleep(seconds)
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
