"""Measure a function in fresh processes: seconds, peak memory, and how it ended.

A case is the name of a function, ``module:function``, and its arguments (JSON). The function does its own timing, so
that starting Python and making the data do not count, and returns ``{"seconds": ..., ...}``; the peak is that of the
whole process.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import platform
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


@dataclass
class Outcome:
    """What came of a case.

    Attributes
    ----------
    ending : str
        "ok", or how it died.
    seconds, peak_mb : float
        Median over the runs; NaN when it died.
    runs : list of float
        Seconds of every run.
    facts : dict
        What else the last run returned.
    """

    ending: str
    seconds: float = float("nan")
    peak_mb: float = float("nan")
    runs: list[float] = field(default_factory=list)
    facts: dict = field(default_factory=dict)


def measure(function: str, arguments: dict, repeat: int = 3, timeout: float = 600,
            memory_gb: float | None = None) -> Outcome:
    """Run a case `repeat` times, each in a fresh process, with a limit on time and address space."""
    runs, peaks, facts = [], [], {}
    for _ in range(repeat):
        ending, peak, facts = _once(function, arguments, timeout, memory_gb)
        if ending != "ok":
            return Outcome(ending, peak_mb=peak, runs=runs, facts=facts)
        runs.append(facts.pop("seconds"))
        peaks.append(peak)
    return Outcome("ok", statistics.median(runs), statistics.median(peaks), runs, facts)


def _once(function, arguments, timeout, memory_gb):
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = subprocess.Popen([sys.executable, "-m", "benchmarks.harness", function, json.dumps(arguments),
                                  str(memory_gb or 0)], cwd=ROOT, stdout=out, stderr=err)
        end = time.monotonic() + timeout
        while True:
            pid, status, usage = os.wait4(child.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > end:
                child.send_signal(signal.SIGKILL)
                _, _, usage = os.wait4(child.pid, 0)
                child.returncode = -9
                return f"stopped after {timeout:.0f} s", usage.ru_maxrss / 1024, {}
            time.sleep(0.02)
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        peak = usage.ru_maxrss / 1024
        if child.returncode == 0:
            return "ok", peak, json.loads(out.read().splitlines()[-1])
        if child.returncode < 0:
            return f"killed by {signal.Signals(-child.returncode).name}", peak, {}
        lines = err.read().strip().splitlines() or [f"exit {child.returncode}"]
        return lines[-1].split(":")[0].split(".")[-1], peak, {"error": "\n".join(lines[-5:])}


def spent(work: Callable[[], Any]) -> tuple[float, Any]:
    """CPU seconds of the whole process that a function takes, and its answer."""
    start = time.process_time()
    answer = work()
    return time.process_time() - start, answer


def installed(*packages: str) -> bool:
    """Whether all packages are there; a peer that is not is left out of the table."""
    try:
        for package in packages:
            importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def machine(packages: Sequence[str]) -> str:
    """One paragraph on what the figures were measured with."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":")[1].strip() if names else model
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages if installed(name))
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return (f"{model}, {cores} cores, {memory:.0f} GB; {platform.system()} {platform.release()}, "
            f"Python {platform.python_version()}; {versions}. Load average at the start: {load}.")


def table(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A markdown table."""
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    return "\n".join(lines + ["| " + " | ".join(map(str, row)) + " |" for row in rows])


def seconds(value: float) -> str:
    """Three figures, in the unit that suits."""
    if value != value:
        return ""
    return f"{value * 1e3:.3g} ms" if value < 1 else f"{value:.3g} s"


def _child(function: str, arguments: str, memory_gb: str) -> None:
    if float(memory_gb):
        limit = int(float(memory_gb) * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    module, name = function.split(":")
    print(json.dumps(getattr(importlib.import_module(module), name)(**json.loads(arguments))))


if __name__ == "__main__":
    _child(*sys.argv[1:])
