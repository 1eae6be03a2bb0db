"""Generated days, and what a run made of them: shared by the tests of runs."""

import contextlib
import json
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from oco2_outliers.ground.errors import InputError
from oco2_outliers.runs.steps import Shelf
from oco2_outliers.soundings import read_soundings, simulate_granule, to_parquet, write_lite


def make_days(folder, n=8, seconds=12, start="2019-06-27", kind="parquet"):
    folder.mkdir(parents=True, exist_ok=True)
    for k, day in enumerate(pd.date_range(start, periods=n)):
        granule = simulate_granule(k, n_seconds=seconds, date=str(day.date()))[0]
        path = folder / f"day_{k:03d}.{kind}"
        write_lite(granule, path) if kind == "nc4" else to_parquet(granule, path)
    return folder


def parts(out):
    """Bytes of every part, by name."""
    return {path.name: path.read_bytes() for path in sorted(Path(out, "parts").iterdir())}


def assert_same_parts(one, other):
    """The same bytes; where they differ, the message tells which cells do and by how much."""
    here, there = parts(one), parts(other)
    assert here and here.keys() == there.keys()
    for name in here:
        if here[name] != there[name]:
            tables = [pd.read_parquet(Path(out, "parts", name)) for out in (one, other)]
            pd.testing.assert_frame_equal(*tables, check_exact=True)
            raise AssertionError(f"{name}: other bytes of an equal table")


def lines_of(out):
    return [json.loads(line) for line in Path(out, "manifest.jsonl").read_text("utf-8").splitlines()]


def everything(out):
    lines = [line for line in lines_of(out) if "error" not in line]
    return pd.concat([pd.read_parquet(Path(out, "parts", f"{line['key']}.parquet")) for line in lines],
                     ignore_index=True)


def wait_for(condition, seconds=180):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def pooled(folder):
    tables = [read_soundings(path).assign(source=str(path)) for path in sorted(folder.iterdir())]
    return pd.concat(tables, ignore_index=True)


def awkward_days(folder):
    """Constant over the run but not told by one file; a copy; a column not everywhere; one empty; gaps."""
    rng = np.random.default_rng(0)
    folder.mkdir()
    for k in range(5):
        n = 60 + 10 * k
        table = pd.DataFrame({"sounding_id": 2019060100000001 + 10_000_000_000 * k + 10 * np.arange(n),
                              "xco2": rng.normal(400, 2, n), "psurf": rng.normal(980, 5, n), "flag": 1.0,
                              "mode": float(k), "void": np.nan})
        table["twin"] = -3 * table["xco2"] + 7
        if k == 1:
            table["extra"] = np.where(np.arange(n) % 3, 1.0, -999999.0)
        if k == 2:
            table.loc[::7, "psurf"] = -999999.0
        if k == 3:
            table["psurf"] = -999999.0
        table.to_csv(folder / f"{k}.csv", index=False)
    return folder


def small_table(n=60, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"sounding_id": 2015080112000001 + 10 * np.arange(n), "xco2": rng.normal(400, 1, n),
                         "psurf": rng.normal(980, 3, n)})


def parts_by_name(out):
    """Bytes of the part of each input."""
    return {line["name"]: Path(out, "parts", f"{line['key']}.parquet").read_bytes() for line in lines_of(out)}


def stopped_by_a_full_disk(run, most, times=None):
    """Run until it ends, on a disk that is full after so many arrays of a shelf; how often it was stopped.

    Every attempt does some more. After so many `times` there is room for all.
    """
    stopped, put, kept = 0, Shelf.put, []

    def failing(self, name, array):
        kept.append(name)
        if len(kept) > most:
            raise OSError(28, "No space left on device")
        put(self, name, array)

    while True:
        kept.clear()
        with pytest.MonkeyPatch.context() as patch:
            if times is None or stopped < times:
                patch.setattr(Shelf, "put", failing)
            try:
                run()
                return stopped
            except (OSError, InputError) as error:
                assert "No space left" in str(error)
                stopped += 1


@contextlib.contextmanager
def meanwhile(do):
    """Something that happens while the block runs."""
    thread = threading.Thread(target=do)
    thread.start()
    yield
    thread.join()


def lines_so_far(out):
    return len(list(Path(out, "manifest").glob("*.json"))) if Path(out, "manifest").is_dir() else 0


def alive(pid):
    with contextlib.suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return state not in "ZX"
    return False
