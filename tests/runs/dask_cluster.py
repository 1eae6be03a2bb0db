"""A Dask cluster on this machine, as a user starts it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from layout import ROOT

HERE = Path(__file__).resolve().parent  # of the tasks, which workers import


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
