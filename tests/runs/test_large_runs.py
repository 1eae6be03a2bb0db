"""A year of soundings, and the memory that a run needs."""

import shutil
import subprocess
import sys

import pandas as pd
import pytest
from dask_cluster import Cluster
from layout import ROOT

from oco2_outliers.scale import combine, map_files
from oco2_outliers.soundings import simulate_granule, to_parquet, write_lite


def generate_year(folder, n_days=365, seconds=680, kind="nc4"):
    """A year of days in two processes; the number of soundings."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    folder.mkdir(parents=True, exist_ok=True)
    jobs = [(folder, k, str(day.date()), seconds, kind) for k, day in
            enumerate(pd.date_range("2019-01-01", periods=n_days))]
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        return sum(pool.map(_one_day, jobs, chunksize=8))


def _one_day(job):
    folder, k, day, seconds, kind = job
    granule = simulate_granule(k, n_seconds=seconds, center=(20.0, -90 + k % 180), date=day)[0]
    path = folder / f"{day}.{kind}"
    write_lite(granule, path) if kind == "nc4" else to_parquet(granule, path)
    return len(granule)


@pytest.mark.slow
def test_a_year_of_five_million_soundings_on_a_cluster(tmp_path):
    pytest.importorskip("distributed", reason="no dask (extra scale); this process and local ones do the same work")
    try:
        n = generate_year(tmp_path / "lite")
        assert n >= 5_000_000
        with Cluster(tmp_path) as cluster:
            there = map_files(tmp_path / "lite", "isolate", out=tmp_path / "there", client=cluster.address)
        here = map_files(tmp_path / "lite", "isolate", out=tmp_path / "here")
        print(f"{n:,} soundings: cluster {there.seconds:.0f} s, here {here.seconds:.0f} s")
        assert here.rows == there.rows == n and not there.exit_code
        assert sorted(here.manifest["part_sha256"]) == sorted(there.manifest["part_sha256"])
        assert (here.manifest["rows"] == there.manifest["rows"]).all()
        for name in ("here", "there"):
            made = combine(tmp_path / name)
            assert made.rows == n and made.n_duplicates == 0 and len(made.monthly) == 12
    finally:
        shutil.rmtree(tmp_path, ignore_errors=True)


@pytest.mark.slow
def test_memory_is_that_of_a_unit_not_of_the_run(tmp_path):
    generate_year(tmp_path / "lite", 300, 60)
    peak = {}
    for n in (10, 300):
        files = [str(path) for path in sorted((tmp_path / "lite").iterdir())[:n]]
        code = (f"from oco2_outliers.scale import map_files\nimport resource, json\n"
                f"map_files({files!r}, 'isolate', out={str(tmp_path / str(n))!r})\n"
                "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)")
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
        peak[n] = int(done.stdout.split()[-1])
    print(peak)
    assert peak[300] < 1.2 * peak[10]
