"""A pool that is searched on a real cluster: a worker, the scheduler or the coordinator dies, and the bytes stay."""

import contextlib
import os
import random
import subprocess
import sys
import time

import pytest
from dask_cluster import Cluster
from layout import ROOT
from many_files import meanwhile, parts_by_name

from oco2_outliers.runs import pooling
from oco2_outliers.runs.steps import Shelf
from oco2_outliers.scale import map_files

pytest.importorskip("distributed", reason="no dask (extra scale); other test: test_pooled_blocks")
ASKED = {"scope": "all", "parameters": {"min_samples": 5}, "memory_limit": 500_000}


@pytest.fixture
def few_rows_are_worth_a_cluster(monkeypatch):
    monkeypatch.setattr(pooling, "_BLOCKS_FROM", 0)


@pytest.fixture(scope="module")
def in_memory(days, tmp_path_factory):
    """What one process gives that has room for all rows."""
    out = tmp_path_factory.mktemp("memory")
    map_files(days, "isolate", out=out, scope="all", parameters={"min_samples": 5})
    return parts_by_name(out)


@pytest.mark.heavy
def test_the_same_bytes_on_a_cluster_that_loses_a_worker(days, in_memory, tmp_path, few_rows_are_worth_a_cluster,
                                                         monkeypatch):
    with Cluster(tmp_path, 2) as cluster:
        kept = []

        def told(self, name):  # the coordinator asks for the records of a step before it begins
            if name == "done/search.json" and not kept:
                kept.append(cluster.workers[0].kill())
            return whole(self, name)

        whole = Shelf.told
        monkeypatch.setattr(Shelf, "told", told)
        result = map_files(days, "isolate", out=tmp_path / "out", client=cluster.address, **ASKED)
    assert kept and any("in blocks of up to" in note for note in result.notes)
    assert parts_by_name(tmp_path / "out") == in_memory and not (tmp_path / "out" / "pool").exists()


def _run_elsewhere(days, out, address):
    """A coordinator in a process of its own."""
    code = (f"from oco2_outliers.runs import pooling\npooling._BLOCKS_FROM = 0\n"
            f"from oco2_outliers.scale import map_files\n"
            f"map_files({str(days)!r}, 'isolate', out={str(out)!r}, client={address!r}, **{ASKED!r})\n")
    return subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
                            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["worker", "scheduler", "coordinator"])
def test_the_same_bytes_whoever_dies_at_any_moment(days, in_memory, tmp_path, few_rows_are_worth_a_cluster, victim):
    """As often as OCO2_KILLS says, five times by default, at random moments of a run."""
    moments, in_the_middle = random.Random(victim), 0
    (tmp_path / "warm").mkdir()
    with Cluster(tmp_path / "warm", 2) as cluster:
        for name in ("first", "second"):  # the first loads compiled code, which the next runs find in the page cache
            started = time.monotonic()
            map_files(days, "isolate", out=tmp_path / name, client=cluster.address, **ASKED)
            lasts = time.monotonic() - started
    for n in range(int(os.environ.get("OCO2_KILLS", "5"))):
        place, out = tmp_path / f"cluster-{n}", tmp_path / f"out-{n}"
        place.mkdir()
        with Cluster(place, 2) as cluster:
            if victim == "coordinator":
                process = _run_elsewhere(days, out, cluster.address)
            else:
                process = cluster.scheduler if victim == "scheduler" else cluster.workers[0]

            goes_on = []

            def kill(process=process, out=out, goes_on=goes_on):
                time.sleep(moments.uniform(0.1, 1.0) * (lasts + 2 * (victim == "coordinator")))
                goes_on.append(not (out / "manifest.jsonl").exists() or (out / "pool").exists())
                process.kill()

            with meanwhile(kill):
                if victim == "coordinator":
                    process.wait()
                else:
                    with contextlib.suppress(ConnectionError):
                        map_files(days, "isolate", out=out, client=cluster.address, **ASKED)
            in_the_middle += goes_on == [True]
            if victim != "scheduler":
                map_files(days, "isolate", out=out, client=cluster.address, **ASKED)
        if victim == "scheduler":
            (tmp_path / f"next-{n}").mkdir()
            with Cluster(tmp_path / f"next-{n}", 2) as cluster:
                map_files(days, "isolate", out=out, client=cluster.address, **ASKED)
        assert parts_by_name(out) == in_memory
    print(f"{victim}: killed {in_the_middle} times in the middle of a run, and always the same bytes")
