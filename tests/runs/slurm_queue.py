"""A real SLURM of one node on loopback: its own munge, ports, folder and configuration."""

from __future__ import annotations

import contextlib
import getpass
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from swift_server.launch import free_ports

WHERE = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scancel", "scontrol", "squeue", "sinfo")
# No cgroups, no accounting. The node is said to have more cores than it may have, so that two jobs always run at once.
SETTINGS = """ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmdPort={ports[1]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={folder}/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MailProg=/bin/true
MpiDefault=none
SwitchType=switch/none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0
KillWait=5
NodeName=node NodeHostname=node NodeAddr=127.0.0.1 CPUs=4 RealMemory=64000
PartitionName=tests Nodes=node Default=YES MaxTime=INFINITE State=UP
"""


class Slurm:
    """`start()`, `submit()`, `jobs()`, `cancel()`, `stop()`; a job has the environment of who submits it."""

    queue = "tests"

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.conf = self.folder / "slurm.conf"
        self.processes: list[subprocess.Popen] = []

    def start(self) -> Slurm:
        """Start it, and wait until its node takes jobs."""
        found = {name: shutil.which(name, path=WHERE) for name in PROGRAMS}
        missing = [name for name, program in found.items() if program is None]
        if missing:
            raise FileNotFoundError(f"no {' and no '.join(missing)} on this machine")
        self.programs, ports = found, free_ports(2)
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        self.conf.write_text(SETTINGS.format(host=socket.gethostname().split(".")[0], ports=ports, folder=self.folder,
                                             user=getpass.getuser()), encoding="utf-8")
        key, munge = self.folder / "key", self.folder / "munge"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(256))
        self._launch("munged", "--foreground", "--force", "--num-threads=1", f"--key-file={key}", f"--socket={munge}",
                     *(f"--{name}-file={munge}.{name}" for name in ("pid", "log", "seed")))
        self._wait(munge.exists)
        self._launch("slurmctld", "-D", "-f", str(self.conf))
        self._wait(lambda: self._listens(ports[0]))  # a node that finds nobody tries again after ten seconds
        self._launch("slurmd", "-D", "-N", "node", "-f", str(self.conf))
        self._wait(lambda: self.ask("sinfo", "--noheader", "--format=%T") == ["idle"])
        return self

    def ask(self, name: str, *words: str) -> list[str]:
        """What a program of SLURM says, in lines."""
        done = subprocess.run([self.programs[name], *words], capture_output=True, text=True,
                              env={**os.environ, "SLURM_CONF": str(self.conf)})
        return done.stdout.split("\n")[:-1]

    def submit(self, *words: str) -> str:
        """Submit a job by sbatch; its number."""
        (number,) = self.ask("sbatch", "--parsable", *words)
        return number

    def jobs(self) -> list[str]:
        """Numbers of the jobs that wait, run or end."""
        return self.ask("squeue", "--noheader", "--format=%i")

    def cancel(self, *numbers: str) -> None:
        """End jobs as their walltime does, and wait until they are gone."""
        self.ask("scancel", *numbers)
        self._wait(lambda: not set(numbers) & set(self.jobs()))

    def stop(self) -> None:
        """End its jobs and itself, and remove its files."""
        if len(self.processes) == 3 and (left := self.jobs()):
            with contextlib.suppress(RuntimeError):
                self.cancel(*left)
        for process in reversed(self.processes):
            process.kill()
            process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _launch(self, name: str, *words: str) -> None:
        with open(self.folder / f"{name}.said", "wb") as said:
            self.processes.append(subprocess.Popen([self.programs[name], *words], stdout=said, stderr=said))

    def _wait(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 60
        while not condition():
            gone = [process.args[0] for process in self.processes if process.poll() is not None]
            if gone or time.monotonic() > end:
                said = "\n".join(path.read_text("utf-8", "replace")[-500:] for path in self.folder.glob("*.said"))
                why = f"{gone[0]} ended" if gone else "nothing happens in a minute"
                raise RuntimeError(f"SLURM: {why}; what its programs said:\n{said}")
            time.sleep(0.02)

    def _listens(self, port: int) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 0.2).close()
            return True
        return False
