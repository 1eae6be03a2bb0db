"""Many files: the same result whoever does the work, nothing lost, nothing doubled, whatever dies on the way."""

import contextlib
import csv
import errno
import io
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from layout import ROOT, module_files
from scale_tasks import big_rows, gives_nothing, kills_its_worker, noted_rows, one_row
from swift_server.fixtures import server  # noqa: F401
from threadpoolctl import threadpool_info, threadpool_limits

from oco2_outliers.cli import main
from oco2_outliers.datasets import InputError, SwiftFileSystem
from oco2_outliers.dbscan import IsolatedSoundings, feature_matrix, isolation_radius
from oco2_outliers.ground import version
from oco2_outliers.ground.addresses import list_files
from oco2_outliers.image_forest import simulate_pictures, train_model
from oco2_outliers.main_job import isolate
from oco2_outliers.runs import combining, workers
from oco2_outliers.runs.folder import RunFolder, csv_bytes
from oco2_outliers.runs.locking import describe_myself, is_stale, locked
from oco2_outliers.runs.threads import one_thread
from oco2_outliers.scale import combine, map_files
from oco2_outliers.soundings import read_soundings, simulate_granule, to_parquet, write_lite

HERE = Path(__file__).resolve().parent  # of the tasks, which workers import


# ---------------------------------------------------------------- a cluster

# A cluster that has nothing to do looks at itself fifty times a second, for as long as the tests last.
QUIET = {f"DASK_DISTRIBUTED__{name}": value for name, value in
         {"WORKER__PROFILE__ENABLED": "False", "WORKER__MEMORY__MONITOR_INTERVAL": "2s", "ADMIN__TICK__INTERVAL": "1s",
          "ADMIN__SYSTEM_MONITOR__INTERVAL": "5s"}.items()}


class Cluster:
    """`dask scheduler` and `dask worker` as a user starts them: processes of their own on loopback."""

    def __init__(self, folder, n_workers=2, env=None):
        self.folder, self.processes = Path(folder), []
        self.env = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}", **QUIET, **(env or {})}
        self.scheduler = self._start("scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard",
                                     "--scheduler-file", str(self.folder / "scheduler.json"))
        file, end = self.folder / "scheduler.json", time.monotonic() + 180
        while not (file.exists() and file.read_text().strip().endswith("}")):
            assert self.scheduler.poll() is None and time.monotonic() < end, self.log()
            time.sleep(0.05)
        self.address = json.loads(file.read_text())["address"]
        self.workers = [self.add_worker() for _ in range(n_workers)]
        self.wait_for_workers(n_workers)

    def wait_for_workers(self, n):
        """On a busy machine a worker takes long to start, and a run does not wait so long for the first one."""
        from distributed import Client

        with Client(self.address, set_as_default=False, timeout=180) as client:
            client.wait_for_workers(n, timeout=300)

    def add_worker(self):
        # No nanny: the process is the worker, and its death is final.
        return self._start("worker", self.address, "--host", "127.0.0.1", "--no-nanny", "--nthreads", "1",
                           "--no-dashboard", "--local-directory", str(self.folder), "--death-timeout", "120")

    def _start(self, kind, *options):
        with open(self.folder / "log", "ab") as log:
            process = subprocess.Popen([sys.executable, "-m", "dask", kind, *options], env=self.env, stdout=log,
                                       stderr=log, cwd=self.folder)
        self.processes.append(process)
        return process

    def log(self):
        return (self.folder / "log").read_text("utf-8", "replace")[-2000:]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.kill()
        for process in self.processes:
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    pytest.importorskip("distributed", reason="no dask (extra scale); this process and local ones do the same work")
    with Cluster(tmp_path_factory.mktemp("cluster")) as running:
        yield running


# ---------------------------------------------------------------- generated days

def make_days(folder, n=8, seconds=12, start="2019-06-27", kind="parquet"):
    folder.mkdir(parents=True, exist_ok=True)
    for k, day in enumerate(pd.date_range(start, periods=n)):
        granule = simulate_granule(k, n_seconds=seconds, date=str(day.date()))[0]
        path = folder / f"day_{k:03d}.{kind}"
        write_lite(granule, path) if kind == "nc4" else to_parquet(granule, path)
    return folder


@pytest.fixture(scope="module")
def days(tmp_path_factory):
    return make_days(tmp_path_factory.mktemp("days"))


@pytest.fixture
def own_days(days, tmp_path):
    """A copy that a test may spoil."""
    shutil.copytree(days, tmp_path / "lite")
    return tmp_path / "lite"


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


def run_cli(arguments, **kwargs):
    return subprocess.Popen([sys.executable, "-m", "oco2_outliers", "run", *map(str, arguments)], cwd=ROOT,
                            env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **kwargs)


# ---------------------------------------------------------------- the same result, whoever does the work

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

    settings = {"n_surrogates": 39}
    with Client(cluster.address, set_as_default=False) as client:
        map_files(days, "peaks", out=tmp_path / "cluster", client=client, parameters=settings)
        assert client.status == "running", "a client that was given stays open"
    map_files(days, "peaks", out=tmp_path / "here", parameters=settings)
    assert_same_parts(tmp_path / "here", tmp_path / "cluster")


def test_two_threads_of_one_process_give_the_same_bytes(days, tmp_path):
    """As in a worker with two threads: what one does to the threads of linear algebra must not reach the other."""
    before = [each["num_threads"] for each in threadpool_info()]
    with ThreadPoolExecutor(2) as pool:
        settings = {"n_surrogates": 39}
        list(pool.map(lambda name: map_files(days, "peaks", out=tmp_path / name, parameters=settings), "ab"))
    map_files(days, "peaks", out=tmp_path / "alone", parameters=settings)
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


# ---------------------------------------------------------------- what isolated is measured against

def pooled(folder):
    tables = [read_soundings(path).assign(source=str(path)) for path in sorted(folder.iterdir())]
    return pd.concat(tables, ignore_index=True)


def test_the_scale_of_the_run_is_that_of_the_pooled_table(days, tmp_path):
    result = map_files(days, "isolate", out=tmp_path / "out", scale_over="run", parameters={"preset": "original"})
    matrix, found = feature_matrix(pooled(days), missing="drop"), result.scaling
    assert found["features"] == matrix.features and found["rows"] == len(matrix.X)
    assert found["constant"] == matrix.constant and found["duplicate"] == matrix.duplicate
    # Sums of 4,000 values in another order: a few units in the last place.
    np.testing.assert_allclose(found["mean"], matrix.mean, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(found["scale"], matrix.scale, rtol=1e-11)
    got = everything(tmp_path / "out")
    eps = got["eps"].iloc[0]
    first = got[got["source"] == got["source"].iloc[0]]
    X = matrix.X.iloc[: len(first)]
    model = IsolatedSoundings(eps, 5).fit(X)
    np.testing.assert_allclose(first["score"], model.radius_, rtol=1e-9)
    assert (first["isolated"] == (model.labels_ == -1)).all()


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


@pytest.mark.parametrize("scale", ["standard", "robust"])
def test_columns_are_left_out_by_the_rule_of_the_whole_run(tmp_path, scale):
    folder = awkward_days(tmp_path / "in")
    result = map_files(folder, "isolate", out=tmp_path / "out", scale_over="run", scale=scale)
    table = pooled(folder).drop(columns="extra")
    matrix = feature_matrix(table, missing="drop", scale=scale)
    assert result.scaling["features"] == matrix.features == ["xco2", "psurf", "mode"]
    assert result.scaling["constant"] == ["flag"] and result.scaling["duplicate"] == {"twin": "xco2"}
    assert result.scaling["empty"] == ["void"] and result.scaling["partial"] == ["extra"]
    assert result.scaling["rows"] == len(matrix.X) == result.rows
    np.testing.assert_allclose(result.scaling["mean"], matrix.mean, rtol=1e-12)
    np.testing.assert_allclose(result.scaling["scale"], matrix.scale, rtol=1e-12)
    assert "not in every file, so not used: extra" in str(result)


@pytest.mark.parametrize("limit", [None, 200_000])
def test_scope_all_is_isolate_on_all_files_together(days, tmp_path, limit, capsys):
    original = {"parameters": {"preset": "original"}}
    result = map_files(days, "isolate", out=tmp_path / "out", scope="all", memory_limit=limit, **original)
    assert "rows x" in capsys.readouterr().out and any("slabs" in note for note in result.notes) == bool(limit)
    together = isolate(pooled(days), preset="original")
    got = everything(tmp_path / "out")
    np.testing.assert_allclose(got["score"], together.table["score"], rtol=1e-9)
    assert (got["isolated"] == together.table["isolated"]).all() and got["isolated"].any()
    assert (got["reason"] == together.table["reason"]).all() and (got["change"] == together.table["change"]).all()
    assert got["eps"].unique().tolist() == [together.eps]
    again = map_files(days, "isolate", out=tmp_path / "out", scope="all", memory_limit=limit, **original)
    assert (again.n_done, again.n_kept) == (0, 8)


def test_scope_orbit_is_isolate_on_each_pass(days, tmp_path):
    map_files(days, "isolate", out=tmp_path / "out", scope="orbit", parameters={"eps": 2.5, "preset": "original"})
    got = everything(tmp_path / "out")
    for name, rows in got.groupby("source"):
        alone = isolate(name, eps=2.5, preset="original").table
        assert (rows["score"].to_numpy() == alone["score"].to_numpy()).all()
        assert (rows["reason"].to_numpy() == alone["reason"].to_numpy()).all()


def test_scope_all_scale_orbit_brings_each_pass_to_its_own_scale(days, tmp_path):
    result = map_files(days, "isolate", out=tmp_path / "out", scope="all", scale_over="orbit",
                       parameters={"eps": 2.0, "min_samples": 5})
    names = result.scaling["features"]
    X = np.vstack([feature_matrix(read_soundings(path), names, scale="robust").X for path in sorted(days.iterdir())])
    np.testing.assert_allclose(everything(tmp_path / "out")["score"], isolation_radius(X, 5), rtol=1e-12)


def test_a_pass_too_short_to_judge_says_so(tmp_path):
    long, short = simulate_granule(0, n_seconds=10)[0], simulate_granule(1, n_seconds=10, center=(-20, 30))[0].head(3)
    to_parquet(pd.concat([long, short], ignore_index=True), tmp_path / "day.parquet")
    for over in ("run", "orbit"):
        map_files(tmp_path / "day.parquet", "isolate", out=tmp_path / over, scope="orbit", scale_over=over,
                  parameters={"min_samples": 5})
        got = everything(tmp_path / over)
        assert len(got) == len(long) + 3 and got["score"].isna().sum() == 3
        left = got[got["score"].isna()]
        assert not left["outlier"].any() and left["reason"].str.startswith("not judged: 3 rows").all()


@pytest.mark.parametrize("scope", ["orbit", "all"])
def test_a_pass_of_one_sounding_does_not_end_the_run(tmp_path, scope):
    long, alone = simulate_granule(0, n_seconds=10)[0], simulate_granule(1, n_seconds=10, center=(-20, 30))[0].head(1)
    to_parquet(pd.concat([long, alone], ignore_index=True), tmp_path / "day.parquet")
    result = map_files(tmp_path / "day.parquet", "isolate", out=tmp_path / "out", scope=scope, scale_over="orbit")
    got = everything(tmp_path / "out")
    assert not len(result.failures) and len(got) == len(long) + 1
    assert got["score"].isna().sum() == (scope == "orbit")  # in the pool it stands at its own mean


def test_printed_changes_of_a_pool_end_the_isolation_beside_a_large_mean(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"sounding_id": 2019071518322000 + np.arange(300), "a": 1e9 + 1e-3 * rng.normal(size=300),
                          "b": rng.normal(size=300)})
    table.loc[::15, "a"] += 2e-2 * rng.uniform(size=20)
    table.to_csv(tmp_path / "day.csv", index=False)
    result = map_files(tmp_path / "day.csv", "isolate", out=tmp_path / "out", scope="all",
                       parameters={"eps": 0.7, "min_samples": 5, "scale": "standard"})
    got, tried = everything(tmp_path / "out"), 0
    mean, scale = (np.array(result.scaling[what]) for what in ("mean", "scale"))
    values = got[result.scaling["features"]].to_numpy()
    model = IsolatedSoundings(0.7, 5).fit((values - mean) / scale)
    for row in np.flatnonzero(got["isolated"]):
        if got["change"][row]:
            name, size, *_, way = got["change"][row].split()
            moved = values[row].copy()
            moved[result.scaling["features"].index(name)] += float(size) * (1 if way == "higher" else -1)
            assert model.predict([(moved - mean) / scale])[0] == 1, got["change"][row]
            tried += 1
    assert tried >= 5


# ---------------------------------------------------------------- odd inputs of isolate

def small_table(n=60, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"sounding_id": 2015080112000001 + 10 * np.arange(n), "xco2": rng.normal(400, 1, n),
                         "psurf": rng.normal(980, 3, n)})


def test_results_of_an_earlier_run_are_replaced(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    small_table().to_csv(folder / "day.csv", index=False)
    map_files(folder, "isolate", out=tmp_path / "first")
    combine(tmp_path / "first")
    for scope in ("file", "all"):
        again = map_files(tmp_path / "first" / "combined.parquet", "isolate", out=tmp_path / scope, scope=scope)
        used = [name for name, fate in again.columns.items() if fate.became == "feature"]
        assert again.exit_code == 0 and used == ["xco2", "psurf"]
        pd.testing.assert_frame_equal(everything(tmp_path / scope), everything(tmp_path / "first"))


def test_a_foreign_column_named_as_a_result_is_refused(tmp_path):
    small_table().assign(eps=0.5).to_csv(tmp_path / "day.csv", index=False)
    result = map_files(tmp_path, "isolate", out=tmp_path / "out")
    assert "column 'eps', which the result needs" in result.failures["error"][0]


@pytest.mark.parametrize(("scope", "over"), itertools.product(("file", "orbit", "all"), ("file", "orbit", "run")))
def test_labels_that_repeat_do_not_multiply_rows(tmp_path, scope, over):
    table = small_table()
    twice = table.set_axis([*range(30), *range(30)], axis=0)
    for name, each in (("plain", table), ("labelled", twice)):
        (tmp_path / name).mkdir()
        each.to_parquet(tmp_path / name / "day.parquet")
        map_files(tmp_path / name, "isolate", out=tmp_path / f"{name}_out", scope=scope, scale_over=over)
    got, expected = everything(tmp_path / "labelled_out"), everything(tmp_path / "plain_out")
    assert got["sounding_id"].tolist() == table["sounding_id"].tolist()
    pd.testing.assert_frame_equal(got.drop(columns="source"), expected.drop(columns="source"))


@pytest.mark.parametrize("settings", [{}, {"scope": "all"}, {"scope": "all", "scale_over": "orbit"}, {"scope": "orbit"},
                                      {"scale_over": "run"}, {"scale_over": "orbit"},
                                      {"parameters": {"features": ["xco2"]}}])
def test_a_file_without_rows_has_no_say(tmp_path, settings):
    small_table().to_csv(tmp_path / "day.csv", index=False)
    alone = map_files(tmp_path / "day.csv", "isolate", out=tmp_path / "alone", **settings)
    (tmp_path / "few.csv").write_text("sounding_id,xco2,latitude\n")
    (tmp_path / "other.csv").write_text("a,b\n")
    files = [tmp_path / name for name in ("day.csv", "few.csv", "other.csv")]
    result = map_files(files, "isolate", out=tmp_path / "out", **settings)
    assert result.exit_code == 0 and result.scaling == alone.scaling and result.rows == 60
    assert sorted(result.manifest["rows"]) == [0, 0, 60]
    combine(tmp_path / "out")
    combined = pd.read_parquet(tmp_path / "out" / "combined.parquet")
    assert combined["score"].tolist() == everything(tmp_path / "alone")["score"].tolist()
    assert combined["sounding_id"].dtype == np.int64
    assert map_files(files, "isolate", out=tmp_path / "out", **settings).n_kept == 3
    nothing = map_files(files[1:], "isolate", out=tmp_path / "nothing", **settings)
    assert (nothing.exit_code, nothing.rows, len(nothing.manifest)) == (0, 0, 2)


def test_a_file_without_features_fails_and_the_rest_is_done(tmp_path):
    small_table().to_csv(tmp_path / "day.csv", index=False)
    (tmp_path / "text.csv").write_text("a,b\n" + "foo,bar\n" * 50)
    result = map_files(tmp_path, "isolate", out=tmp_path / "out")
    assert result.exit_code == 1 and result.rows == 60
    (error,) = result.failures["error"]
    assert error.startswith("no numeric feature column in the table; it has: a (text), b (text)."), error


def test_nothing_in_common_names_the_file_and_the_column(tmp_path):
    (tmp_path / "in").mkdir()
    over_run = {"scale_over": "run"}
    for k in range(3):
        table = small_table(seed=k)
        table = table if k else table.rename(columns={"xco2": "x", "psurf": "p"})
        table.to_csv(tmp_path / "in" / f"{k}.csv", index=False)
    with pytest.raises(InputError, match=r"in common: \S*0\.csv lacks 'xco2', which 2 of 3 files have"):
        map_files(tmp_path / "in", "isolate", out=tmp_path / "out", **over_run)
    result = map_files(tmp_path / "in", "isolate", out=tmp_path / "named", **over_run,
                       parameters={"features": ["xco2"]})
    assert len(result.failures) == 1 and result.rows == 120


@pytest.mark.parametrize("over", ["run", "file"])
def test_text_where_xco2_should_be_is_refused(tmp_path, over):
    (tmp_path / "in").mkdir()
    small_table().to_csv(tmp_path / "in" / "day.csv", index=False)
    bad = small_table().astype({"xco2": object})
    bad.loc[7, "xco2"] = "n/a?"
    bad.to_csv(tmp_path / "in" / "bad.csv", index=False)
    small_table().assign(xco2=True).to_csv(tmp_path / "in" / "flags.csv", index=False)
    result = map_files(tmp_path / "in", "isolate", out=tmp_path / "out", scale_over=over)
    first, second = result.failures["error"]  # by name: bad, flags
    assert result.rows == 60 and "'xco2' holds text: 'n/a?' in row 7" in first
    assert "'xco2' holds bool and not numbers, 'True' in row 0" in second
    psurf = {"features": ["psurf"]}
    result = map_files(tmp_path / "in", "isolate", out=tmp_path / "without", scale_over=over, parameters=psurf)
    # A column that is not compared is written too, and all parts of a run have the same columns.
    assert result.rows == 180 and result.failures.empty
    assert result.columns["xco2"].became != "feature"


@pytest.mark.parametrize("settings", [{}, {"scale_over": "run"}, {"scope": "orbit"}])
def test_a_number_too_large_fails_its_file_and_not_the_scale_of_the_run(tmp_path, settings):
    (tmp_path / "in").mkdir()
    small_table().to_csv(tmp_path / "in" / "day.csv", index=False)
    alone = map_files(tmp_path / "in", "isolate", out=tmp_path / "alone", **settings)
    huge = small_table()
    huge.loc[3, "psurf"] = -1e200
    huge.to_csv(tmp_path / "in" / "huge.csv", index=False)
    result = map_files(tmp_path / "in", "isolate", out=tmp_path / "out", **settings)
    assert result.scaling == alone.scaling and result.rows == 60
    assert "'psurf' holds a number too large to compare with others (1e+200)" in result.failures["error"][0]


# ---------------------------------------------------------------- resume

def test_a_second_run_does_only_what_is_missing_or_changed(own_days, tmp_path):
    log, out = tmp_path / "log", tmp_path / "out"

    def run():
        log.write_text("")
        result = map_files(own_days, noted_rows, out=out, parameters={"log": str(log)})
        return [line.split()[0] for line in log.read_text().splitlines()], result

    assert len(run()[0]) == 8
    before = parts(out)
    assert run()[0] == []
    table = read_soundings(own_days / "day_003.parquet")
    to_parquet(table.head(10), own_days / "day_003.parquet")  # other bytes
    os.utime(own_days / "day_004.parquet")  # the same bytes, another time
    done, result = run()
    assert done == ["day_003.parquet"] and result.n_kept == 7
    victim = next(Path(out, "parts").iterdir())
    victim.write_bytes(victim.read_bytes()[:-1] + b"\0")  # same size, other bytes
    assert len(run()[0]) == 1
    next(iter(sorted(Path(out, "parts").iterdir()))).unlink()
    assert len(run()[0]) == 1
    to_parquet(table, own_days / "day_003.parquet")
    assert run()[0] == ["day_003.parquet"] and parts(out) == before


def test_a_torn_or_foreign_manifest_line_does_not_count(days, tmp_path):
    map_files(days, one_row, out=tmp_path / "out")
    before = parts(tmp_path / "out")
    file = tmp_path / "out" / "manifest.jsonl"
    text = file.read_bytes()
    lines = text.splitlines(keepends=True)
    file.write_bytes(b"".join(lines[:-1]) + lines[-1][: len(lines[-1]) // 2])
    (tmp_path / "out" / "manifest" / "x.json").write_text('{"key": 3')
    assert map_files(days, one_row, out=tmp_path / "out").n_done == 1
    file.write_bytes(b'[1]\n{"key": "a"}\nnull\n\xff\xfe\n' + b'{"key": "k", "name": "n", "part": 5}\n' + text)
    assert map_files(days, one_row, out=tmp_path / "out").n_done == 0
    evil = {"key": "../../evil", "name": "evil", "rows": 1, "part": {"bytes": 1, "sha256": "0"}}
    file.write_bytes(json.dumps(evil).encode() + b"\n" + text)
    assert combine(tmp_path / "out").rows == 8 and parts(tmp_path / "out") == before
    next(Path(tmp_path, "out", "parts").iterdir()).write_bytes(b"PAR1")
    with pytest.raises(InputError, match="not as it was written"):
        combine(tmp_path / "out")


def test_another_version_does_the_work_again(days, tmp_path, monkeypatch):
    map_files(days, one_row, out=tmp_path / "out")
    monkeypatch.setattr(version, "VERSION", "999")
    assert map_files(days, one_row, out=tmp_path / "out").n_done == 8


def test_other_settings_into_the_same_folder_are_refused(days, tmp_path):
    out = tmp_path / "out"
    map_files(days, "isolate", out=out, scale="orbit")
    for more in ({"parameters": {"eps": 2}}, {"scope": "all"}, {}):
        with pytest.raises(InputError, match="other settings.*another --out"):
            map_files(days, "isolate", out=out, **more)
    with pytest.raises(InputError, match="task"):
        map_files(days, "convert", out=out)
    result = map_files(days, "isolate", out=out, resume=False, parameters={"eps": 2})
    assert result.n_done == 8 and len(parts(out)) == 8


def test_more_files_into_the_same_folder(days, tmp_path):
    files = sorted(days.iterdir())
    map_files(files[:3], "convert", out=tmp_path / "apart")
    assert map_files(files[3:], "convert", out=tmp_path / "apart").n_done == 5
    assert combine(tmp_path / "apart").rows == len(pooled(days))
    map_files(files[:3], "isolate", out=tmp_path / "together", scale_over="run")
    with pytest.raises(InputError, match="scale of the whole run"):
        map_files(files[3:], "isolate", out=tmp_path / "together", scale_over="run")
    assert map_files(files, "isolate", out=tmp_path / "together", scale_over="run").n_done == 8
    map_files(files[:3], "isolate", out=tmp_path / "by_file")
    assert map_files(files[3:], "isolate", out=tmp_path / "by_file").n_done == 5


def test_two_runs_at_once_are_refused(days, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    code = ("import time\n"
            "from oco2_outliers.runs.folder import RunFolder\n"
            "from oco2_outliers.runs.locking import locked\n"
            f"with locked(RunFolder({str(out)!r})): print('held', flush=True); time.sleep(600)")
    holder = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(InputError, match=f"in use by process {holder.pid}"):
            map_files(days, one_row, out=out)
    finally:
        holder.kill()
        holder.wait()
        holder.stdout.close()
    assert (out / ".lock").exists(), "left by the dead, and in nobody's way"
    assert map_files(days, one_row, out=out).n_done == 8 and not (out / ".lock").exists()


def test_the_lock_of_an_object_store(days):
    out = RunFolder("memory://locked-run")
    with locked(out), pytest.raises(InputError, match="in use by process"), locked(out):
        pass
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    said = describe_myself()
    for who, stale in ((said | {"pid": dead.pid}, True), (said, False), (said | {"host": "else"}, False),
                       (said | {"host": "else", "renewed": time.time() - 3600}, True)):
        assert is_stale(json.dumps(who).encode()) == stale
    out.write(".lock", json.dumps(said | {"pid": dead.pid}).encode())
    assert map_files(days, one_row, out="memory://locked-run").n_done == 8
    assert out.read_or_none(".lock") is None


# ---------------------------------------------------------------- what breaks on the way

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
        assert result.n_done == (8 if task == "isolate" else 1)
        assert [line for line in (tmp_path / task / "here" / "failures.csv").read_text().splitlines()
                if "day_004" in line] == []


def test_cells_of_the_lists_are_harmless():
    rows = list(csv.reader(io.StringIO(csv_bytes(["a"], [("=1+1",), ("@x",), ("-2",), ("a\nb\r\tc",), (-1.5,)])
                                       .decode())))
    assert rows == [["a"], ["'=1+1"], ["'@x"], ["'-2"], ["a b  c"], ["-1.5"]]


@pytest.fixture(scope="module")
def in_one_go(days, tmp_path_factory):
    """What an undisturbed run gives."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "log").touch()
    map_files(days, noted_rows, out=folder / "out", parameters={"log": str(folder / "log")})
    return parts_by_name(folder / "out")


def parts_by_name(out):
    """Bytes of the part of each input."""
    return {line["name"]: Path(out, "parts", f"{line['key']}.parquet").read_bytes() for line in lines_of(out)}


@contextlib.contextmanager
def meanwhile(do):
    """Something that happens while the block runs."""
    thread = threading.Thread(target=do)
    thread.start()
    yield
    thread.join()


def lines_so_far(out):
    return len(list(Path(out, "manifest").glob("*.json"))) if Path(out, "manifest").is_dir() else 0


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


def test_the_coordinator_killed_and_the_run_resumed(days, in_one_go, tmp_path):
    log, out, gate = tmp_path / "log", tmp_path / "out", tmp_path / "gate"
    log.touch()
    settings = {"log": str(log), "gate": str(gate), "free": 2}
    code = (f"import sys; sys.path.insert(0, {str(HERE)!r}); from scale_tasks import noted_rows\n"
            "from oco2_outliers.scale import map_files\n"
            f"if __name__ == '__main__': map_files({str(days)!r}, noted_rows, out={str(out)!r}, jobs=2, "
            f"parameters={settings!r})")
    (tmp_path / "go.py").write_text(code)
    run = subprocess.Popen([sys.executable, str(tmp_path / "go.py")], cwd=ROOT,
                           env={**os.environ, "PYTHONPATH": str(ROOT)})
    wait_for(lambda: lines_so_far(out) == 2 and len(log.read_text().splitlines()) == 4)
    run.kill()
    run.wait()
    workers = {int(line.split()[1]) for line in log.read_text().splitlines()}
    wait_for(lambda: not any(map(alive, workers)))
    assert lines_so_far(out) == 2
    log.write_text("")
    gate.touch()
    result = map_files(days, noted_rows, out=out, parameters=settings)
    assert result.n_kept == 2 and len(log.read_text().splitlines()) == 6
    assert parts_by_name(out) == in_one_go and len(lines_of(out)) == len(parts(out)) == 8
    assert not list(out.rglob("*.part"))


def alive(pid):
    with contextlib.suppress(OSError):
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        return state not in "ZX"
    return False


def test_ctrl_c_leaves_a_resumable_state_and_says_so(tmp_path):
    # Many passes, so that a quick machine is not through before the key is pressed.
    files, out = make_days(tmp_path / "lite", 2, 200), tmp_path / "out"
    for copy in range(2, 30):
        shutil.copy(files / f"day_{copy % 2:03d}.parquet", files / f"day_{copy:03d}.parquet")
    run = run_cli(["isolate", files, "--out", out, "--scale", "orbit", "--jobs", "2"], start_new_session=True,
                  # Where the tests themselves run in the background a shell may have told them to ignore Ctrl-C.
                  preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    wait_for(lambda: lines_so_far(out))
    os.killpg(run.pid, signal.SIGINT)  # as a terminal does: the workers get it too
    said, complained = run.communicate(timeout=180)
    assert run.returncode == 130, complained
    lines = complained.strip().splitlines()
    assert len(lines) == 1 and re.search(r"stopped: \d+ of 30 files are done.*run the same command again", lines[0])
    kept = len(lines_of(out))
    assert 1 <= kept < 30 and not (out / ".lock").exists()
    done = {line["name"] for line in lines_of(out)}
    others = [path for path in sorted(files.iterdir()) if not any(path.name in name for name in done)][:2]
    again = [*(path for path in files.iterdir() if any(path.name in name for name in done)), *others]
    result = map_files(again, "isolate", out=out, scale="orbit")
    assert (result.n_kept, result.n_done, len(parts(out))) == (kept, len(others), kept + len(others))
    assert len(others) == min(2, 30 - kept)


def test_ctrl_c_just_after_a_line_was_written_does_not_lose_it(days, tmp_path, monkeypatch):
    write, out = RunFolder.write, tmp_path / "out"

    def interrupted(self, name, data, durable=False):
        write(self, name, data, durable)
        if name.startswith("manifest/") and lines_so_far(out) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "write", interrupted)
    with pytest.raises(KeyboardInterrupt, match="stopped: 3 of 8 files are done and safe"):
        map_files(days, one_row, out=out)
    monkeypatch.undo()
    assert len(lines_of(out)) == 3 and not lines_so_far(out)
    assert map_files(days, one_row, out=out).n_kept == 3


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="asks Linux which signals a process gets")
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


def limited(out, days):
    """A run that may write no file above 100 kB; the exit code of the command."""
    code = (f"import resource, sys; sys.path.insert(0, {str(HERE)!r}); from scale_tasks import big_rows\n"
            "from oco2_outliers.scale import map_files\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
            "try:\n"
            f"    map_files({str(days)!r}, big_rows, out={str(out)!r})\n"
            "except OSError as error:\n"
            "    print(error.errno, error)\n")
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_a_file_too_large_for_the_output_stops_the_run_and_leaves_no_scraps(days, tmp_path):
    done = limited(tmp_path / "out", days)
    assert done.stdout.startswith(str(errno.EFBIG)) and "run the same command again" in done.stdout, done.stderr
    assert done.stdout.count("\n") == 1
    assert parts(tmp_path / "out") == {} and not list((tmp_path / "out").rglob("*.part"))
    result = map_files(days, big_rows, out=tmp_path / "out")
    assert result.n_done == 8 and result.exit_code == 0


@pytest.fixture
def small_disk(tmp_path, days):
    """A disk with room for three parts and a half, and a function that makes it larger."""
    map_files(days, big_rows, out=tmp_path / "here")
    part = max(len(data) for data in parts(tmp_path / "here").values())
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={int(3.5 * part)}", "tmpfs", str(disk)],
                             capture_output=True) if os.geteuid() == 0 and shutil.which("mount") else None
    if mounted is None or mounted.returncode:
        pytest.skip("mounting a small disk needs root; the test above fills up without")
    yield disk, lambda: subprocess.run(["mount", "-o", f"remount,size={20 * part}", str(disk)], check=True)
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_stops_the_run_and_more_room_lets_it_go_on(days, tmp_path, small_disk):
    disk, enlarge = small_disk
    with pytest.raises(OSError, match="cannot write to.*No space left.*run the same command again") as caught:
        map_files(days, big_rows, out=disk / "out")
    assert caught.value.errno == errno.ENOSPC
    assert len(lines_of(disk / "out")) == len(parts(disk / "out")) == 3, "what there is room for"
    enlarge()
    result = map_files(days, big_rows, out=disk / "out")
    assert (result.n_kept, result.n_done) == (3, 5)
    assert_same_parts(disk / "out", tmp_path / "here")


def test_parts_that_no_line_tells_of_do_not_keep_a_disk_full(days, tmp_path, small_disk):
    """Workers may fill the disk before the first line is written; the next run has the room that these parts took."""
    disk, enlarge = small_disk
    names = sorted(parts(tmp_path / "here"))[:3]
    map_files(days / "day_000.parquet", big_rows, out=disk / "out")
    for place in ("parts", "manifest"):
        for path in (disk / "out" / place).iterdir():
            path.unlink()
    (disk / "out" / "manifest.jsonl").unlink()
    for name in names:
        shutil.copy(tmp_path / "here" / "parts" / name, disk / "out" / "parts" / name)
    with pytest.raises(OSError, match="No space left"):
        map_files(days, big_rows, out=disk / "out")
    assert len(lines_of(disk / "out")) == 3
    enlarge()
    assert map_files(days, big_rows, out=disk / "out").n_kept == 3
    assert_same_parts(disk / "out", tmp_path / "here")


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


# ---------------------------------------------------------------- Swift

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


# ---------------------------------------------------------------- one table

def test_combine_counts_ranks_and_finds_what_is_there_twice(own_days, tmp_path, monkeypatch):
    twin = read_soundings(own_days / "day_002.parquet").head(7)
    to_parquet(twin, own_days / "twin.parquet")
    map_files(own_days, "isolate", out=tmp_path / "out")
    for bucket in (5_000_000, 500):
        monkeypatch.setattr(combining, "_BUCKET", bucket)
        made = combine(tmp_path / "out", top=5)
        table = pd.read_parquet(tmp_path / "out" / "combined.parquet")
        pd.testing.assert_frame_equal(table, everything(tmp_path / "out"))
        month = table["time"].dt.strftime("%Y-%m")
        assert made.monthly["month"].tolist() == ["2019-06", "2019-07"]
        assert made.monthly["rows"].tolist() == month.value_counts().sort_index().tolist()
        assert made.monthly["outliers"].tolist() == table.groupby(month)["outlier"].sum().tolist()
        np.testing.assert_allclose(made.monthly["mean_score"], table.groupby(month)["score"].mean(), rtol=1e-12)
        assert made.top["ratio"].tolist() == table["ratio"].nlargest(5).tolist() and made.top["reason"].all()
        assert made.n_duplicates == 7 and (made.duplicates["n"] == 2).all()
        assert made.duplicates["sounding_id"].tolist() == sorted(twin["sounding_id"])
        assert "day_002" in made.duplicates["sources"][0] and "twin" in made.duplicates["sources"][0]
    listed = pd.read_csv(tmp_path / "out" / "duplicates.csv")
    assert listed["sounding_id"].tolist() == sorted(twin["sounding_id"])


def test_combine_ranks_by_the_ratio_and_gives_each_row_a_reason(tmp_path):
    for seed, noise in ((1, 1.0), (2, 6.0)):
        rng = np.random.default_rng(seed)
        xco2 = np.r_[400 + noise * rng.standard_t(4, 400), 460.0]
        pd.DataFrame({"sounding_id": 2019071518300001 + 10**9 * seed + 10 * np.arange(401), "xco2": xco2}).to_csv(
            tmp_path / f"{seed}.csv", index=False)
    map_files(f"{tmp_path}/*.csv", "isolate", out=tmp_path / "out", parameters={"eps": "auto"}, progress=False)
    made = combine(tmp_path / "out", top=40, progress=False)
    table = pd.read_parquet(made.path)
    assert table["eps"].nunique() == 2 and ((table["ratio"] > 1) == table["isolated"]).all()
    assert made.top["ratio"].tolist() == table["ratio"].nlargest(40).tolist()
    assert (made.top["reason"] != "").all() and not made.top["isolated"].all() and made.top["isolated"].any()
    assert made.top["isolated"].is_monotonic_decreasing  # no row that is not isolated stands above one that is
    listed = pd.read_csv(tmp_path / "out" / "top.csv")
    assert listed["reason"].notna().all() and {"isolated", "ratio", "eps"} <= set(listed)
    assert "a higher score may not be" in str(made) and " isolated " in str(made)
    assert (table.loc[~table["isolated"], "reason"] == "").all()  # the table itself says what it always said


def test_combine_brings_unlike_parts_together(tmp_path):
    awkward_days(tmp_path / "in")
    map_files(tmp_path / "in", "convert", out=tmp_path / "out")
    assert combine(tmp_path / "out").rows == len(pooled(tmp_path / "in"))
    table = pd.read_parquet(tmp_path / "out" / "combined.parquet")
    assert table["extra"].notna().sum() == pooled(tmp_path / "in")["extra"].notna().sum()
    assert table["sounding_id"].dtype == np.int64


def test_ids_with_gaps_stay_whole(tmp_path):
    pd.DataFrame({"sounding_id": [2019071518322673, 2019071518322674], "score": [1.0, 3.0]}).to_csv(
        tmp_path / "a.csv", index=False)
    pd.DataFrame({"score": [2.0]}).to_csv(tmp_path / "b.csv", index=False)
    map_files(tmp_path, "convert", out=tmp_path / "out")
    made = combine(tmp_path / "out")
    assert made.top["sounding_id"].tolist() == [2019071518322674, pd.NA, 2019071518322673]
    assert "2019071518322674" in (tmp_path / "out" / "top.csv").read_text()
    assert made.monthly["month"].tolist() == ["2019-07", "unknown"]


def test_ids_with_gaps_are_read_back_as_whole_numbers(tmp_path):
    table = small_table()
    table.to_csv(tmp_path / "a.csv", index=False)
    table.drop(columns="sounding_id").to_csv(tmp_path / "b.csv", index=False)
    map_files(tmp_path, "isolate", out=tmp_path / "out")
    combine(tmp_path / "out")
    path = tmp_path / "out" / "combined.parquet"
    back = pd.read_parquet(path)["sounding_id"]
    assert back.dtype == "Int64" and back.tolist() == table["sounding_id"].tolist() + [pd.NA] * 60


def test_months_are_told_by_the_id_where_there_is_no_time(tmp_path):
    ids = [2019071518322673, 2019081518322674]
    pd.DataFrame({"sounding_id": ids, "time": ["2019-07-15T18:32:26Z", None], "score": 1.0}).to_csv(
        tmp_path / "with_time.csv", index=False)
    pd.DataFrame({"sounding_id": [2019091518322673, 17], "score": 1.0}).to_csv(tmp_path / "without.csv", index=False)
    map_files(tmp_path, "convert", out=tmp_path / "out")
    monthly = combine(tmp_path / "out").monthly
    assert monthly["month"].tolist() == ["2019-07", "2019-08", "2019-09", "unknown"]
    assert monthly["rows"].tolist() == [1, 1, 1, 1]


def test_q_values_of_peaks_are_those_of_the_whole_run(days, tmp_path):
    map_files(days, "peaks", out=tmp_path / "out", parameters={"n_surrogates": 39, "alpha": 0.5})
    family = np.sort([p for line in lines_of(tmp_path / "out") for p in line["counts"]["p_values"]])
    assert len(family)
    combine(tmp_path / "out")
    table = pd.read_parquet(tmp_path / "out" / "combined.parquet")
    for row in table.itertuples():
        k = np.flatnonzero(family >= row.p_value)
        q = min([len(family) * family[i] / (i + 1) for i in k] + [1.0])
        assert row.q_value <= q + 1e-12 and row.outlier == (row.q_value <= 0.5)


def test_nothing_to_combine(days, tmp_path):
    with pytest.raises(InputError, match="holds no run"):
        combine(tmp_path)
    (tmp_path / "x.csv").write_text("")
    assert map_files(tmp_path / "x.csv", "convert", out=tmp_path / "out").exit_code == 1
    with pytest.raises(InputError, match="nothing is done yet"):
        combine(tmp_path / "out")


# ---------------------------------------------------------------- units, inputs, the command

def test_units_are_files_orbits_or_folders(days, tmp_path):
    joined = pd.concat([read_soundings(days / f"day_00{k}.parquet") for k in range(3)], ignore_index=True)
    to_parquet(joined, tmp_path / "three.parquet")
    map_files(tmp_path / "three.parquet", one_row, out=tmp_path / "out", each="orbit")
    got = everything(tmp_path / "out")
    assert len(got) == 3 and got["rows"].sum() == len(joined) and got["orbit"].nunique() == 3
    simulate_pictures(tmp_path / "a", n_pictures=12, odd_kinds=["night"], random_state=0)
    simulate_pictures(tmp_path / "b", n_pictures=9, random_state=1)
    train_model(tmp_path / "b", tmp_path / "b.npz")
    for name, model in (("apart", {}), ("model", {"model": str(tmp_path / "b.npz")})):
        result = map_files([tmp_path / "a", tmp_path / "b"], "images", out=tmp_path / name, parameters=model)
        assert result.n_units == 2 and result.rows == len(list((tmp_path / "a").rglob("*.jpg"))) + \
            len(list((tmp_path / "b").rglob("*.jpg"))) or result.rows >= 21
        assert {"path", "score", "outlier", "reason"} <= set(everything(tmp_path / name))


def test_what_counts_as_input(days, tmp_path):
    one = tmp_path / "odd [name]*.parquet"
    shutil.copy(days / "day_000.parquet", one)
    assert [Path(f.name).name for f in list_files(one, None)] == [one.name]
    (tmp_path / "sub").mkdir()
    for name in ("sub/.hidden.csv", "_scratch.csv", "notes.txt", "sub/x.csv"):
        (tmp_path / name).write_text("a\n1\n")
    assert [Path(f.name).name for f in list_files(tmp_path, None)] == [one.name, "x.csv"]
    assert len(list_files([tmp_path, f"file://{tmp_path}/sub", one], None)) == 2
    for nothing in ("absent.csv", tmp_path / "*.nope", "swift://", " "):
        with pytest.raises((FileNotFoundError, InputError)):
            list_files(nothing, None)
    result = map_files(tmp_path, "convert", out=tmp_path / "out")
    assert map_files(tmp_path, "convert", out=tmp_path / "out").n_kept == result.n_units == 2


def test_bad_requests_are_refused_in_one_line(days, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "_CONNECT", 1)
    for bad, match in (({"task": "wash"}, "no task"), ({"parameters": {"epsilon": 1}}, "no parameter 'epsilon'"),
                       ({"parameters": {"eps": "1,2"}}, "one eps"), ({"scope": "x"}, "scope must be"),
                       ({"parameters": {"min_samples": 0}}, "min_samples"), ({"jobs": -1}, "jobs must be"),
                       ({"task": lambda unit: None, "jobs": 2}, "define it in a module"),
                       ({"client": "tcp://127.0.0.1:1"}, "no Dask scheduler"), ({"each": "x"}, "each must be")):
        with pytest.raises(InputError, match=match):
            map_files(days, **({"task": "isolate", "out": tmp_path / "out"} | bad))
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        map_files(days, "isolate", out=tmp_path / "file")
    result = map_files(days, "isolate", out=tmp_path / "few", parameters={"features": ["colour"]})
    assert result.exit_code == 1 and result.failures["error"].str.contains("no column 'colour'").all()


def test_without_dask_the_error_says_what_to_install(days, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert main(["run", "isolate", str(days), "--out", str(tmp_path / "out"), "--dask", "tcp://127.0.0.1:8786"]) == 2
    assert 'pip install "oco2_outliers[scale]"' in capsys.readouterr().err
    assert main(["run", "isolate", str(days), "--out", str(tmp_path / "out")]) == 0


def test_nothing_of_a_run_is_unpickled():
    code = "".join(path.read_text("utf-8") for name, path in module_files().items()
                   if name.split(".")[0] in ("scale", "runs"))
    assert not re.search(r"pickle\.loads?\b|read_pickle|allow_pickle=True|joblib", code)


def test_a_task_gives_a_table_or_its_unit_fails(days, tmp_path):
    result = map_files(days / "day_000.parquet", gives_nothing, out=tmp_path / "out")
    assert "a task returns a DataFrame, not NoneType" in result.failures["error"][0]


# ---------------------------------------------------------------- a year

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
