"""The template for a queue, filled in as its user does, on a real SLURM; and a run that is a job by itself."""

import contextlib
import os
import sys

import pytest
import yaml
from dask_cluster import HERE
from layout import ROOT
from many_files import assert_same_parts, meanwhile, parts, parts_by_name, wait_for
from scale_tasks import noted_rows
from slurm_queue import Slurm

from oco2_outliers.ground.errors import InputError
from oco2_outliers.runs import workers
from oco2_outliers.scale import map_files

# The queue, its jobs and their workers take seconds each.
pytestmark = pytest.mark.heavy
OTHER = "other test: test_workers.py::test_a_cluster_that_adapts_begins_with_no_worker"
# What makes Dask quick and quiet here; the rest is as the template has it.
LOCAL = {"jobqueue": {"slurm": {"interface": "lo", "scheduler-options": {"dashboard_address": ":0"}}},
         "distributed": {"deploy": {"lost-worker-timeout": "500ms"}}}


@pytest.fixture(scope="module")
def slurm():
    server = Slurm()
    try:
        yield server.start()
    except FileNotFoundError as error:
        pytest.skip(f"{error}; {OTHER}")
    finally:
        server.stop()


@pytest.fixture
def slurm_cluster(slurm, tmp_path, monkeypatch):
    """Start a cluster as the template says, with some words more for its workers."""
    dask = pytest.importorskip("dask", reason=f"no dask (extra scale); {OTHER}")
    monkeypatch.setattr("dask.config.PATH", str(tmp_path / "dask"))  # importing dask_jobqueue writes there
    dask_jobqueue = pytest.importorskip("dask_jobqueue", reason=f"no dask-jobqueue (extra dev); {OTHER}")
    text = (ROOT / "configs" / "dask-jobqueue.yaml").read_text("utf-8")
    for written, meant in (("directory: /tmp\n", f"directory: {tmp_path}\n"), (": QUEUE", f": {slurm.queue}"),
                           (": ACCOUNT", ": carbon"), ("/SHARED/venv/bin/python", sys.executable),
                           ("/SHARED", str(tmp_path))):
        assert written in text
        text = text.replace(written, meant)
    (tmp_path / "dask").mkdir(exist_ok=True)
    (tmp_path / "dask" / "jobqueue.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("DASK_CONFIG", str(tmp_path / "dask"))  # of the workers
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{HERE}")
    monkeypatch.setenv("SLURM_CONF", str(slurm.conf))

    with contextlib.ExitStack() as ends:
        def start(*words, **config):
            filled = yaml.safe_load(text)
            filled["jobqueue"]["slurm"]["worker-extra-args"] += ["--no-dashboard", *words]
            # As long as it lives: it reads its configuration again for every job.
            ends.enter_context(dask.config.set(dask.config.merge(dask.config.config, filled, LOCAL, config)))
            return ends.enter_context(dask_jobqueue.SLURMCluster())

        yield start


def test_jobs_come_with_the_work_and_one_that_is_cancelled_loses_nothing(slurm, slurm_cluster, days, in_one_go,
                                                                         tmp_path):
    from distributed import Client

    log, gate, cancelled = tmp_path / "log", tmp_path / "gate", []
    log.touch()
    cluster = slurm_cluster()
    cluster.adapt(maximum_jobs=1, interval="200ms", wait_count=50)
    assert not slurm.jobs(), "no work, no job"

    def cancel():
        try:
            wait_for(lambda: "day_003" in log.read_text())  # it is at work, and waits at the gate
            cancelled.extend(slurm.jobs())
            slurm.cancel(*cancelled)
        finally:
            gate.touch()

    with Client(cluster, set_as_default=False) as client:
        with meanwhile(cancel):
            result = map_files(days, noted_rows, out=tmp_path / "out", client=client,
                               parameters={"log": str(log), "gate": str(gate), "free": 3})
        assert (result.n_done, result.exit_code) == (8, 0)
        assert parts_by_name(tmp_path / "out") == in_one_go
        called = [line.split()[0] for line in log.read_text().splitlines()]
        assert called.count("day_003.parquet") == 2 and len(called) == 9, "only the file it was at is done again"
        assert len(cancelled) == 1 and not set(slurm.jobs()) & set(cancelled)

        some = sorted(days.iterdir())[:2]
        map_files(some, "isolate", out=tmp_path / "there", client=client)
    map_files(some, "isolate", out=tmp_path / "here")
    assert_same_parts(tmp_path / "here", tmp_path / "there")
    cluster.close()
    wait_for(lambda: not slurm.jobs())


@pytest.mark.slow
def test_a_worker_whose_life_ends_is_followed_by_another_and_blames_no_file(slurm, slurm_cluster, days, in_one_go,
                                                                            tmp_path):
    from distributed import Client

    log, gate = tmp_path / "log", tmp_path / "gate"
    log.touch()
    cluster = slurm_cluster("--lifetime", "5s", "--lifetime-stagger", "0s", distributed={
        "scheduler": {"allowed-failures": 0}})
    cluster.adapt(maximum_jobs=1, interval="200ms", wait_count=50)

    def open_late():
        try:  # three go through, the fourth waits until its worker's life ends, and so does one with the next worker
            wait_for(lambda: len(set(log.read_text().split()[1::2])) == 2)
        finally:
            gate.touch()

    with Client(cluster, set_as_default=False) as client, meanwhile(open_late):
        result = map_files(days, noted_rows, out=tmp_path / "out", client=client,
                           parameters={"log": str(log), "gate": str(gate), "free": 3})
    assert (result.n_done, result.exit_code) == (8, 0)
    assert parts_by_name(tmp_path / "out") == in_one_go
    assert any("worker-lifetime-reached" in path.read_text() for path in (tmp_path / "logs").iterdir())


def test_a_cluster_that_was_asked_for_no_job_is_told(slurm_cluster, days, tmp_path, monkeypatch):
    from distributed import Client

    monkeypatch.setattr(workers, "_FIRST", 0)
    with (Client(slurm_cluster(), set_as_default=False) as client,
          pytest.raises(InputError, match=r"has no worker; start some with: scale\(\) or adapt\(\) of the cluster")):
        map_files(days, "isolate", out=tmp_path / "out", client=client)


def test_a_run_says_that_it_waits_for_the_queue(slurm, slurm_cluster, days, tmp_path, monkeypatch, capsys):
    from distributed import Client

    monkeypatch.setattr(workers, "_FIRST", 0)
    cluster = slurm_cluster(jobqueue={"slurm": {"job-extra-directives": ["--hold"]}})
    cluster.scale(jobs=1)
    said = []

    def release():
        try:
            wait_for(lambda: said.append(capsys.readouterr().err) or "waiting" in said[-1])
        finally:
            slurm.ask("scontrol", "release", *slurm.jobs())

    with Client(cluster, set_as_default=False) as client, meanwhile(release):
        assert map_files(sorted(days.iterdir())[:1], "convert", out=tmp_path / "out", client=client).n_done == 1
    assert "waiting: the cluster was asked for 1 worker, and none has come in 0 s" in said[-1]


def test_a_run_is_a_job_by_itself(slurm, days, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    some = sorted(days.iterdir())[:3]
    number = slurm.submit("--job-name=carbon", "--cpus-per-task=2", f"--output={tmp_path / 'said'}", "--wrap",
                          f"exec {sys.executable} -m oco2_outliers run isolate {' '.join(map(str, some))} "
                          f"--out {tmp_path / 'out'} --jobs 2")
    wait_for(lambda: number not in slurm.jobs())
    assert "3 done now, 0 there already" in (tmp_path / "said").read_text()
    map_files(some, "isolate", out=tmp_path / "here")
    assert_same_parts(tmp_path / "here", tmp_path / "out")
    assert len(parts(tmp_path / "out")) == 3
