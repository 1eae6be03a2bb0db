"""What a user of `pip install` gets: the wheel alone, in an empty environment, away from the source tree."""

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile

import pytest

SOURCES = ("settings.ini", "setup.py", "pyproject.toml", "README.md", "LICENSE", "constraints.txt")


@pytest.fixture(scope="module")
def wheel(root, tmp_path_factory):
    """Built from a copy: setuptools leaves folders behind where it builds."""
    source = tmp_path_factory.mktemp("source")
    for name in SOURCES:
        shutil.copy(root / name, source)
    shutil.copytree(root / "oco2_outliers", source / "oco2_outliers", ignore=shutil.ignore_patterns("__pycache__"))
    environment = {**os.environ, "PIP_CONSTRAINT": str(source / "constraints.txt")}
    subprocess.run([sys.executable, "-m", "build", "--wheel", "--sdist", "--outdir", "dist", "."], cwd=source,
                   env=environment, check=True, capture_output=True, timeout=300)
    (archive,) = (source / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as inside:
        assert any(name.endswith("oco2_outliers/data/coastline-110m.npz") for name in inside.getnames())
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.mark.slow
def test_wheel_holds_package_types_and_commands(root, wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        modules = {path.name for path in (root / "oco2_outliers").glob("*.py")}
        data = {f"data/{path.name}" for path in (root / "oco2_outliers" / "data").iterdir()}
        assert {"data/NOTICE", "data/coastline-110m.npz", "data/coastline-50m.npz"} == data
        page = {f"static/{path.name}" for path in (root / "oco2_outliers" / "static").iterdir()}
        assert {"static/uPlot.LICENSE", "static/NOTICE", "static/explorer.js", "static/filter.js"} <= page
        assert {name.split("/", 1)[1] for name in names if name.startswith("oco2_outliers/")} == \
            modules | data | page | {"py.typed"}
        entries = archive.read(next(n for n in names if n.endswith("entry_points.txt"))).decode()
        assert "oco2-outliers = oco2_outliers.cli:main" in entries and "SwiftFileSystem" in entries
        assert not [name for name in names if name.startswith(("tests", "nbs", "benchmarks", "docs"))]


@pytest.mark.slow
def test_wheel_runs_in_an_empty_environment(root, wheel, tmp_path):
    subprocess.run([sys.executable, "-m", "venv", "env"], cwd=tmp_path, check=True, timeout=120)
    python = tmp_path / "env" / "bin" / "python"
    environment = {**os.environ, "PIP_CONSTRAINT": str(root / "constraints.txt"), "OCO2_STORE": str(tmp_path / "store")}
    environment.pop("PYTHONPATH", None)
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], cwd=tmp_path, env=environment, check=True,
                   timeout=900)
    subprocess.run([python, "-m", "pip", "check"], cwd=tmp_path, check=True, timeout=60)
    command = tmp_path / "env" / "bin" / "oco2-outliers"
    subprocess.run([command, "soundings", "simulate", "g.nc4"], cwd=tmp_path, env=environment, check=True, timeout=120)
    done = subprocess.run([python, "-m", "oco2_outliers", "isolate", "g.nc4", "--store", str(tmp_path / "store")],
                          cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "rows isolated" in done.stdout and (tmp_path / "isolated" / "scores.parquet").exists()
