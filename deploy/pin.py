"""Write requirements.txt and build-requirements.txt: what the image installs, each with its version and its hashes.

    python deploy/pin.py          after constraints.txt or settings.ini changed; asks the package index

pip resolves the requirements of settings.ini under constraints.txt for each platform of the image, and says in its
report which file it would install. Nothing is installed, and nothing else may be: the image is built with
`--require-hashes`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from configparser import ConfigParser
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PYTHON = "3.11"  # as in the Containerfile
PLATFORMS = {"x86_64": ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
             "aarch64": ("manylinux_2_28_aarch64", "manylinux_2_17_aarch64", "manylinux2014_aarch64")}


def wanted() -> dict[str, list[str]]:
    """What the image runs, and what builds the wheel, by the file that lists it."""
    settings = ConfigParser(delimiters=["="])
    settings.read(ROOT / "settings.ini", encoding="utf-8")
    named = [settings["DEFAULT"][key].splitlines() for key in ("requirements", "stream_requirements")]
    build = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["build-system"]["requires"]
    return {"requirements.txt": [line.strip() for lines in named for line in lines if line.strip()],
            "build-requirements.txt": build}


def resolved(requirements: list[str], tags: tuple[str, ...]) -> dict[str, tuple[str, str]]:
    """Version and hash of each file that pip would install on a platform, by the name of the package."""
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch, "report.json")
        command = [sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report",
                   str(report), "--target", scratch, "--only-binary", ":all:", "--python-version", PYTHON,
                   "--implementation", "cp", *(word for tag in tags for word in ("--platform", tag)),
                   "--constraint", str(ROOT / "constraints.txt"), *requirements]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            raise SystemExit(done.stderr.strip().splitlines()[-1])
        listed = json.loads(report.read_text("utf-8"))["install"]
    return {each["metadata"]["name"].lower().replace("_", "-"):
            (each["metadata"]["version"], each["download_info"]["archive_info"]["hashes"]["sha256"]) for each in listed}


def lines(requirements: list[str]) -> list[str]:
    """One requirement with the hashes of all platforms a line."""
    found = [resolved(requirements, tags) for tags in PLATFORMS.values()]
    told = []
    for name in sorted({name for each in found for name in each}):
        versions = {each[name][0] for each in found if name in each}
        if len(versions) > 1:
            raise SystemExit(f"{name} differs between the platforms: {', '.join(sorted(versions))}")
        hashes = sorted({each[name][1] for each in found if name in each})
        told.append(" ".join([f"{name}=={versions.pop()}", *(f"--hash=sha256:{each}" for each in hashes)]))
    return told


def main() -> None:
    if sys.platform != "linux" or sys.version_info[:2] != tuple(map(int, PYTHON.split("."))):
        raise SystemExit(f"run it with Python {PYTHON} on Linux: pip asks the running Python which packages it needs")
    for file, requirements in wanted().items():
        head = f"# Written by deploy/pin.py from settings.ini and constraints.txt, for {' and '.join(PLATFORMS)}.\n"
        (HERE / file).write_text(head + "\n".join(lines(requirements)) + "\n", "utf-8")
        print(f"wrote {file}")


if __name__ == "__main__":
    main()
