"""The same bytes whoever does the work, and nothing lost, whichever worker, process or scheduler dies."""

import contextlib
import csv
import functools
import os
import re
import signal
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from dask_cluster import Cluster
from many_files import assert_same_parts, lines_of, lines_so_far, meanwhile, parts, parts_by_name, pooled, wait_for
from scale_tasks import big_rows, kills_its_worker, noted_rows
from swift_server.fixtures import server  # noqa: F401
from threadpoolctl import threadpool_info, threadpool_limits

from oco2_outliers.cli import main
from oco2_outliers.datasets import SwiftFileSystem
from oco2_outliers.ground.threads import one_thread
from oco2_outliers.runs import workers
from oco2_outliers.scale import combine, map_files


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    pytest.importorskip("distributed", reason="no dask (extra scale); this process and local ones do the same work")
    with Cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


@pytest.mark.parametrize("task", ["isolate", "convert"])
def test_the_same_bytes_here_in_processes_and_on_a_cluster(days, cluster, tmp_path, task):
    here = map_files(days, task, out=tmp_path / "here")
    assert here.n_done == 8 and here.exit_code == 0 and len(parts(tmp_path / "here")) == 8
    map_files([*sorted(days.iterdir())][::-1], task, out=tmp_path / "cluster", client=cluster.address)
    others = ["cluster"]
    if task == "isolate":
        map_files(days, task, out=tmp_path / "processes", jobs=2)
        others.append("processes")
    for other in others:
        assert_same_parts(tmp_path / "here", tmp_path / other)
        here, there = ([{k: line[k] for k in ("key", "name", "inputs", "parameters", "rows", "part", "counts")}
                        for line in lines_of(tmp_path / out)] for out in ("here", other))
        assert here == there


def test_a_client_object_and_peaks(days, cluster, tmp_path):
    from distributed import Client

    settings, some = {"n_surrogates": 39}, sorted(days.iterdir())[:4]
    with Client(cluster.address, set_as_default=False) as client:
        map_files(some, "peaks", out=tmp_path / "cluster", client=client, parameters=settings)
        assert client.status == "running", "a client that was given stays open"
    map_files(some, "peaks", out=tmp_path / "here", parameters=settings)
    assert_same_parts(tmp_path / "here", tmp_path / "cluster")


def test_two_threads_of_one_process_give_the_same_bytes(days, tmp_path):
    """As in a worker with two threads: what one does to the threads of linear algebra must not reach the other."""
    before = [each["num_threads"] for each in threadpool_info()]
    with ThreadPoolExecutor(2) as pool:
        settings, some = {"n_surrogates": 39}, sorted(days.iterdir())[:4]
        list(pool.map(lambda name: map_files(some, "peaks", out=tmp_path / name, parameters=settings), "ab"))
    map_files(some, "peaks", out=tmp_path / "alone", parameters=settings)
    assert_same_parts(tmp_path / "alone", tmp_path / "a")
    assert_same_parts(tmp_path / "alone", tmp_path / "b")
    assert [each["num_threads"] for each in threadpool_info()] == before


def test_the_limit_of_threads_holds_until_the_last_unit_is_done():
    """Whoever comes and goes, there is one thread while anybody is at work, and as many as before afterwards."""
    def blas():
        return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]

    with threadpool_limits(1):  # this thread has control of OpenBLAS from now on, as far as threadpoolctl knows
        pass
    before, rng = blas(), np.random.default_rng(0)
    barrier, seen = threading.Barrier(4), []

    def come_and_go(seed):
        for wait in np.random.default_rng(seed).uniform(0, 0.002, 50):
            with one_thread():
                time.sleep(wait)
                seen.append(max(blas()))
        barrier.wait(60)

    threads = [threading.Thread(target=come_and_go, args=(seed,)) for seed in rng.integers(0, 2**31, 4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(seen) == {1} and len(seen) == 200 and blas() == before


@pytest.mark.slow
@pytest.mark.parametrize("over", ["file", "run"])
def test_all_real_files_on_a_cluster(shared_data, cluster, tmp_path, over):
    files = shared_data / "soundings" / "lite_v10r_ohio"
    here = map_files(files, "isolate", out=tmp_path / "here", scale_over=over)
    there = map_files(f"{files}/*.nc4", "isolate", out=tmp_path / "there", client=cluster.address, scale_over=over)
    assert here.n_units == there.n_done == 187 and not there.exit_code
    assert_same_parts(tmp_path / "here", tmp_path / "there")
    assert here.rows == there.rows == there.manifest["rows_read"].sum()
    table = combine(tmp_path / "there")
    assert table.rows == there.rows and table.n_duplicates == 0


def test_a_cluster_that_adapts_begins_with_no_worker(days, in_one_go, tmp_path):
    """It starts none before there is work, and ends them when there is none: also between two looks at the files."""
    distributed = pytest.importorskip("distributed", reason="no dask (extra scale); this process does the same work")
    (tmp_path / "log").touch()
    with distributed.LocalCluster(n_workers=0, threads_per_worker=1, processes=False, dashboard_address=":0") as local:
        local.adapt(maximum=2, interval="50ms")
        with distributed.Client(local, set_as_default=False) as client:
            assert not client.nthreads()
            result = map_files(days, noted_rows, out=tmp_path / "out", client=client,
                               parameters={"log": str(tmp_path / "log")})
            wait_for(lambda: not client.nthreads())
            assert workers.room_of(functools.partial(workers.on_cluster, client)).bytes, "a worker came to be asked"
    assert (result.n_done, result.exit_code) == (8, 0)
    assert parts_by_name(tmp_path / "out") == in_one_go


def test_a_corrupt_file_in_the_middle_is_listed_and_the_rest_is_done(own_days, cluster, tmp_path):
    whole = (own_days / "day_004.parquet").read_bytes()
    (own_days / "day_004.parquet").write_bytes(whole[:3000])
    (own_days / "=cmd()|x\n,\".parquet").write_bytes(b"")
    for out, client in (("here", None), ("there", cluster.address)):
        for task in ("isolate", "convert"):
            result = map_files(own_days, task, out=tmp_path / task / out, client=client)
            assert result.exit_code == 1 and result.n_units == 9 and len(result.manifest) == 7
            with open(tmp_path / task / out / "failures.csv", newline="", encoding="utf-8") as file:
                header, *rows = csv.reader(file)
            assert header == ["name", "error"] and len(rows) == 2 and all(len(row) == 2 for row in rows)
            assert "\n" not in "".join(map("".join, rows))
            assert any("day_004" in row[0] and "cannot be read" in row[1] for row in rows)
    (own_days / "day_004.parquet").write_bytes(whole)
    next(own_days.glob("=*")).unlink()
    for task in ("isolate", "convert"):
        result = map_files(own_days, task, out=tmp_path / task / "here")
        assert (result.exit_code, len(result.manifest)) == (0, 8)
        assert result.n_done == 1, "each file is judged by itself"
        assert [line for line in (tmp_path / task / "here" / "failures.csv").read_text().splitlines()
                if "day_004" in line] == []


def test_a_worker_killed_in_the_middle_loses_nothing(days, cluster, in_one_go, tmp_path):
    log, gate = tmp_path / "log", tmp_path / "gate"
    log.touch()
    victim = cluster.add_worker()
    cluster.wait_for_workers(3)

    def kill():
        wait_for(lambda: f" {victim.pid}\n" in log.read_text())  # it is at work, and waits at the gate
        victim.kill()
        victim.wait()
        gate.touch()

    with meanwhile(kill):
        result = map_files(days, noted_rows, out=tmp_path / "out", client=cluster.address,
                           parameters={"log": str(log), "gate": str(gate)})
    assert victim.returncode == -signal.SIGKILL
    assert result.exit_code == 0 and parts_by_name(tmp_path / "out") == in_one_go
    assert len(lines_of(tmp_path / "out")) == 8 and len(log.read_text().splitlines()) >= 9, "one was done twice"


def test_a_process_killed_in_the_middle_loses_nothing(days, in_one_go, tmp_path):
    log, gate = tmp_path / "log", tmp_path / "gate"
    log.touch()

    def kill():
        wait_for(lambda: log.read_text().endswith("\n"))
        os.kill(int(log.read_text().split()[1]), signal.SIGKILL)
        gate.touch()

    with meanwhile(kill):
        result = map_files(days, noted_rows, out=tmp_path / "out", jobs=2,
                           parameters={"log": str(log), "gate": str(gate)})
    assert result.exit_code == 0 and parts_by_name(tmp_path / "out") == in_one_go


@pytest.mark.slow
def test_a_file_that_kills_every_process_is_listed(days, tmp_path):
    result = map_files(days, kills_its_worker, out=tmp_path / "out", jobs=2)
    assert result.failures["name"].map(lambda name: Path(name).name).tolist() == ["day_002.parquet"]
    assert "died twice" in result.failures["error"][0] and len(result.manifest) == 7


@pytest.mark.heavy
def test_the_scheduler_killed_and_the_run_resumed(days, cluster, in_one_go, tmp_path):
    log, out, gate = tmp_path / "log", tmp_path / "out", tmp_path / "gate"
    log.touch()
    settings = {"log": str(log), "gate": str(gate), "free": 2}
    with Cluster(tmp_path, 1) as mortal:
        def kill():
            wait_for(lambda: lines_so_far(out) == 2)  # the third waits at the gate
            mortal.scheduler.kill()

        with meanwhile(kill), pytest.raises(ConnectionError, match="scheduler.*is gone.*run the same command again"):
            map_files(days, noted_rows, out=out, client=mortal.address, parameters=settings)
    assert len(lines_of(out)) == 2
    log.write_text("")
    gate.touch()
    result = map_files(days, noted_rows, out=out, client=cluster.address, parameters=settings)
    assert (result.n_kept, result.n_done) == (2, 6) and len(log.read_text().splitlines()) == 6
    assert parts_by_name(out) == in_one_go and len(parts(out)) == 8


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="no /proc; test_resuming stops runs by Ctrl-C")
def test_no_process_of_a_run_ever_gets_ctrl_c():
    """Not even one that has just been started, and could not yet say that it wants none."""
    processes = workers.Processes(2)
    try:
        waiting = [processes.submit(time.sleep, 0.5) for _ in range(2)]
        for pid in processes.pool._processes:
            status = Path(f"/proc/{pid}/status").read_text()
            shut = [int(re.search(rf"{kind}:\s*(\w+)", status)[1], 16) for kind in ("SigBlk", "SigIgn")]
            assert (shut[0] | shut[1]) & 1 << signal.SIGINT - 1, "neither blocked nor ignored"
        for each in waiting:
            each.result(180)
    finally:
        processes.stop()
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


@pytest.mark.heavy
def test_a_full_disk_stops_a_cluster(days, cluster, tmp_path, small_disk):
    """How many parts have a line then depends on who was quicker; what has one is kept."""
    disk, enlarge = small_disk
    with pytest.raises(OSError, match="cannot write to.*No space left.*run the same command again"):
        map_files(days, big_rows, out=disk / "out", client=cluster.address)
    kept = lines_so_far(disk / "out") or len(lines_of(disk / "out"))
    assert kept <= len(parts(disk / "out")) < 8
    enlarge()
    result = map_files(days, big_rows, out=disk / "out", client=cluster.address)
    assert (result.n_kept, result.n_done) == (kept, 8 - kept)
    assert_same_parts(disk / "out", tmp_path / "here")


@pytest.fixture
def swift_env(server, monkeypatch):  # noqa: F811
    """Credentials in the environment, as workers have them."""
    settings = server.settings["swift_storage"]
    variables = {"ST_AUTH": settings["auth_url"], "ST_USER": settings["user"], "ST_KEY": settings["key"]}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    SwiftFileSystem.clear_instance_cache()
    yield variables
    SwiftFileSystem.clear_instance_cache()


@contextlib.contextmanager
def knowing(cluster, variables):
    """Workers that have these variables in their environment, as if they had been started with them."""
    from distributed import Client

    with Client(cluster.address, set_as_default=False) as client:
        client.run(lambda: os.environ.update(variables))
        try:
            yield
        finally:
            client.run(lambda names: [os.environ.pop(name, None) for name in names] and None, [*variables])


@pytest.mark.heavy
def test_from_swift_to_swift(days, swift_env, cluster, tmp_path):
    fs = SwiftFileSystem(skip_instance_cache=True)
    fs.makedirs("scale-in")
    for path in days.iterdir():
        fs.put_file(str(path), f"scale-in/lite/{path.name}")
    out = f"swift://scale-out-{os.getpid()}/run"
    with knowing(cluster, swift_env):
        first = map_files("swift://scale-in/lite/day_00[0-4]*", "convert", out=out, client=cluster.address)
        assert first.n_done == 5
        result = map_files("swift://scale-in/lite", "convert", out=out, client=cluster.address)
        assert (result.n_kept, result.n_done, result.exit_code) == (5, 3, 0)
        scaled = map_files("swift://scale-in/lite", "isolate", out=out + "2", client=cluster.address)
    assert scaled.n_done == 8
    assert map_files("swift://scale-in/lite", "isolate", out=out + "2").n_kept == 8
    here = map_files("swift://scale-in/lite", "isolate", out=tmp_path / "here")
    assert sorted(here.manifest["part_sha256"]) == sorted(scaled.manifest["part_sha256"])
    made = combine(out, top=3)
    assert made.rows == len(pooled(days))
    names = {name.rsplit("/", 1)[1] for name in fs.find(out)}
    assert {"combined.parquet", "failures.csv", "manifest.jsonl", "run.json", "monthly.csv"} <= names
    assert ".lock" not in names and len([n for n in names if n.endswith(".parquet")]) == 9
    fs.put_file(str(days / "day_000.parquet"), "scale-in/lite/day_007.parquet")
    assert map_files("swift://scale-in/lite", "convert", out=out).n_done == 1
    text = fs.cat_file(f"{out}/manifest.jsonl").decode() + fs.cat_file(f"{out}/run.json").decode()
    assert swift_env["ST_KEY"] not in text


def test_without_dask_the_error_says_what_to_install(days, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["run", "isolate", str(days), "--out", str(tmp_path / "out"), "--dask", "tcp://127.0.0.1:8786"]) == 2
    assert 'pip install "oco2_outliers[scale]"' in capsys.readouterr().err
    assert main(["run", "isolate", str(days), "--out", str(tmp_path / "out")]) == 0


class GoneScheduler:
    """Stands for a client whose scheduler is gone: a real one is missed after 15 seconds, in `test_pooled_kills`."""

    status, scheduler = "connecting", None

    def submit(self, function, pure):
        raise OSError("Timed out trying to connect to tcp://127.0.0.1:8786 after 15 s")

    def scheduler_info(self):
        return self.submit(bool, False)


def test_a_scheduler_that_went_between_two_looks_is_told_in_one_line():
    with pytest.raises(ConnectionError, match="the Dask scheduler at its address is gone. What is done is safe"):
        list(workers.on_cluster(GoneScheduler(), len, []))
    with pytest.raises(ConnectionError, match="is gone"):
        workers.room_of(functools.partial(workers.on_cluster, GoneScheduler()))
