"""Uploads to one real Swift server on loopback: ours, `swift upload --object-threads 10`, rclone.

Every tool starts as a process of its own, sends the same files to a fresh container, and is timed by the wall clock.
The tools take turns, round by round, so that none has the quiet hour; the median over the rounds is printed, with the
spread. Run it with `python benchmarks/bench_store.py`.
"""
from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from swift_server import SwiftServer  # noqa: E402

OURS = """import json, sys
from oco2_outliers.datasets import Datasets
print(Datasets(json.loads(sys.argv[1]), container=sys.argv[2]).upload(sys.argv[3], "", recursive=True).bytes)"""


def commands(server: SwiftServer, container: str, folder: Path) -> dict[str, tuple[list[str], dict]]:
    """The command of each tool that is installed, and its environment."""
    swift = [str(Path(sys.executable).with_name("swift")), "-A", server.auth_url, "-U", server.user, "-K", server.key]
    tools = {
        "oco2_outliers": ([sys.executable, "-c", OURS, json.dumps(server.settings), container, "."], {}),
        "swift": ([*swift, "--quiet", "upload", "--object-threads", "10", "--skip-identical", container, "."], {}),
    }
    if shutil.which("rclone"):
        tools["rclone"] = (["rclone", "copy", "--transfers", "10", "--checkers", "10", ".", f"s:{container}"], {
            "RCLONE_CONFIG": os.devnull, "RCLONE_CONFIG_S_TYPE": "swift", "RCLONE_CONFIG_S_USER": server.user,
            "RCLONE_CONFIG_S_KEY": server.key, "RCLONE_CONFIG_S_AUTH": server.auth_url})
    else:
        print("rclone is not installed (Debian package rclone): left out")
    return tools


def timed(command: list[str], env: dict, folder: Path) -> float:
    """Seconds of one run, started in `folder`; its failure is an error."""
    root = str(Path(__file__).parents[1])
    start = time.perf_counter()
    env = {**os.environ, "PYTHONPATH": root, **env}
    subprocess.run(command, cwd=folder, env=env, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def make_files(folder: Path, small: int, megabytes: int) -> dict[str, Path]:
    """The two loads: many small files, one large file; random, so that nothing compresses."""
    loads = {"small": folder / "small", "large": folder / "large"}
    for i in range(small):
        path = loads["small"] / f"{i % 20:02d}" / f"{i:05d}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(os.urandom(2048))
    loads["large"].mkdir()
    with open(loads["large"] / "granule.nc4", "wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(10**6))
    return loads


def main(argv: list[str] | None = None) -> dict:
    """Run the comparison and print a table; returns seconds by (load, tool, first or again)."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--small", type=int, default=2000)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args(argv)
    seconds: dict[tuple[str, str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, SwiftServer(10000, 5 * 2**30, node_timeout=60) as server:
        loads = make_files(Path(folder), args.small, args.megabytes)
        for i in range(args.rounds):
            for load, path in loads.items():
                tools = list(commands(server, "", path))
                for tool in tools[i % len(tools):] + tools[:i % len(tools)]:
                    command, env = commands(server, f"{load}{i}{tool.replace('_', '')}", path)[tool]
                    for run in ("first", "again"):
                        seconds.setdefault((load, tool, run), []).append(timed(command, env, path))
    print(f"{args.small} files of 2 kB; one file of {args.megabytes} MB; {os.cpu_count()} cores; seconds, median of "
          f"{args.rounds} (least to most)")
    for key, values in seconds.items():
        spread = f"({min(values):.2f} to {max(values):.2f})"
        print(f"{key[0]:6} {key[1]:14} {key[2]:6} {statistics.median(values):8.2f}  {spread}")
    return seconds


if __name__ == "__main__":
    main()
