"""The kill matrix at many random moments: `python -m benchmarks.bench_stream_kills --times 20 [--broker file]`.

Each cell of the table is a way to die. At each moment, drawn from a fixed seed, workers judge a stream full of faults,
something dies, others go on, and the store is compared row by row with that of a run which nothing befell.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.harness import ROOT, machine, table

sys.path[:0] = [str(ROOT / "tests" / "streams"), str(ROOT / "tests")]

import stream_kills  # noqa: E402


def row_of(scene: stream_kills.Scene, name: str, times: int) -> tuple[list[object], list[str]]:
    """A row of the table, and what went wrong."""
    begin, outcome = time.monotonic(), stream_kills.Outcome()
    for moment in range(times):
        outcome.add(stream_kills.moment_of(scene, name, moment))
    happened = ", ".join(f"{what} {n}" for what, n in outcome.happened.items() if n)
    print(f"{scene.kind}: {name}: {outcome.equal} of {outcome.runs} equal; {happened}; "
          f"{time.monotonic() - begin:.0f} s", *outcome.odd, sep="\n    ", file=sys.stderr, flush=True)
    row = [scene.kind, name, outcome.runs, happened, f"{outcome.equal} of {outcome.runs}"]
    return row, outcome.odd


def main() -> int:
    """Print the matrix; 1 where a store was another."""
    asked = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    asked.add_argument("--times", type=int, default=20, help="moments of each cell")
    asked.add_argument("--broker", action="append", choices=sorted(stream_kills.SCENES), help="only this one")
    asked.add_argument("--cell", default="", help="only cells with this in their name")
    chosen = asked.parse_args()
    rows, odd = [], []
    messages = stream_kills.messages_of(0)
    print(f"{len(messages):,} messages of three channels in two partitions, batches of 60. {machine(['redis'])}\n")
    for kind in chosen.broker or sorted(stream_kills.SCENES):
        with tempfile.TemporaryDirectory() as folder, stream_kills.scene_of(kind, Path(folder), messages) as scene:
            if scene is None:
                print(f"{kind}: its server is not installed here", file=sys.stderr)
                continue
            for name in scene.cells():
                if chosen.cell in name:
                    row, wrong = row_of(scene, name, chosen.times)
                    rows.append(row)
                    odd += wrong
    print(table(["broker", "what befell", "runs", "happened", "stores equal to the undisturbed one"], rows))
    return bool(odd)


if __name__ == "__main__":
    sys.exit(main())
