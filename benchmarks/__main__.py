"""Run the suites, each in a process of its own: `python -m benchmarks [suite ...] [-- options of the suite]`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

SUITES = sorted(path.stem.removeprefix("bench_") for path in Path(__file__).parent.glob("bench_*.py"))


def main(arguments: list[str]) -> int:
    """Run the named suites, or all; the number of those that failed."""
    if "--" in arguments:
        at = arguments.index("--")
        arguments, options = arguments[:at], arguments[at + 1 :]
    else:
        options = []
    if {"-h", "--help"} & set(arguments):
        print(f"{__doc__}\n\nSuites: {', '.join(SUITES)}.\n`-- --help` after a suite tells its options.")
        return 0
    unknown = set(arguments) - set(SUITES)
    if unknown:
        print(f"no suite {', '.join(sorted(unknown))}; there are: {', '.join(SUITES)}", file=sys.stderr)
        return 2
    failed = 0
    for suite in arguments or SUITES:
        print(f"\n## {suite}\n", flush=True)
        failed += subprocess.run([sys.executable, "-m", f"benchmarks.bench_{suite}", *options]).returncode != 0
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
