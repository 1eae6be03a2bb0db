"""Where the project's parts are: notebooks in their declared order, modules by their dotted names."""

import os
from pathlib import Path

from nborder import notebooks

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "tests"
NBS = ROOT / "nbs"
PACKAGE = ROOT / "oco2_outliers"
NOTEBOOKS = notebooks(NBS)
# Real data lie beside the project, read in place; OCO2_SHARED_DATA says where else.
SHARED_DATA = Path(os.environ.get("OCO2_SHARED_DATA") or ROOT.parent / "shared" / "data")


def notebook_name(path: Path) -> str:
    """A notebook as people call it: `04_soundings`, `ground/00_files`."""
    return path.relative_to(NBS).with_suffix("").as_posix()


def python_files() -> list[Path]:
    """Every Python file of the package, families included."""
    return sorted(PACKAGE.rglob("*.py"))


def module_name(path: Path) -> str:
    """A Python file of the package as it is imported, without the package's name: `ground.files`, `soundings`."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


def module_files() -> dict[str, Path]:
    """Every module that a notebook makes, and its file; an empty `__init__.py` is none."""
    files = {module_name(path): path for path in python_files() if path.parent != PACKAGE or path.stem[0] != "_"}
    return {name: path for name, path in files.items() if path.read_text("utf-8").strip()}
