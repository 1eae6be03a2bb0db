"""The one declared order of the notebooks: `nbs/sidebar.yml`, section by section.

A notebook imports only from notebooks above it in that list. The site's sidebar, its API page and the tests are made
from it too. An entry is the path of a notebook inside the folder (`ground/00_files.ipynb`), or a section:

    - section: Ground
      contents:
        - ground/00_files.ipynb

The same file says under `reading` how a reader meets the headlines, which are the notebooks of the folder itself: by
question, and not in the order in which they import each other. The sidebar shows these first, and the rooms below.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

ORDER_FILE = "sidebar.yml"


@dataclass
class Section:
    """A part of the list: its title, and its notebooks from top to bottom."""

    title: str
    notebooks: list[Path] = field(default_factory=list)


def _read(entries: list[Any], section: Section, folder: Path) -> Iterator[Section]:
    """Sections of a list of entries; what stands in no section of its own belongs to `section`."""
    yield section
    for entry in entries or []:
        if isinstance(entry, dict) and "section" in entry:
            own = [entry["href"]] if "href" in entry else []
            yield from _read([*own, *(entry.get("contents") or [])], Section(entry["section"]), folder)
        else:
            section.notebooks.append(folder / (entry["href"] if isinstance(entry, dict) else entry))


def _said(folder: Path) -> dict[str, Any]:
    return yaml.safe_load((folder / ORDER_FILE).read_text(encoding="utf-8"))


def sections(folder: str | Path) -> list[Section]:
    """The sections of a folder of notebooks, in their order; one without notebooks is left out."""
    folder = Path(folder)
    found = _read(_said(folder)["website"]["sidebar"]["contents"], Section("Notebooks"), folder)
    return [section for section in list(found) if section.notebooks]


def reading(folder: str | Path) -> list[Section]:
    """The headlines by question, as a reader meets them; where nothing is said, in the declared order."""
    folder = Path(folder)
    if entries := _said(folder).get("reading"):
        return [section for section in list(_read(entries, Section("Essays"), folder)) if section.notebooks]
    return [Section("Essays", headlines(folder))]


def headlines(folder: str | Path) -> list[Path]:
    """The notebooks of the folder itself without its first page, in the declared order."""
    folder = Path(folder)
    return [path for path in notebooks(folder) if path.parent == folder and path.stem != "index"]


def notebooks(folder: str | Path) -> list[Path]:
    """The notebooks of a folder, in the declared order."""
    return [path for section in sections(folder) for path in section.notebooks]


def notebook_files(folder: str | Path) -> list[Path]:
    """The notebooks that lie in a folder and below it; names with a leading `_` or `.` are nobody's page."""
    folder = Path(folder)
    return sorted(path for path in folder.rglob("*.ipynb")
                  if not any(part[0] in "_." for part in path.relative_to(folder).parts))


def disagreements(folder: str | Path) -> list[str]:
    """What the list and the folder do not agree on, one line each."""
    folder, listed = Path(folder), notebooks(folder)
    there = notebook_files(folder)
    names = {path: path.relative_to(folder).as_posix() for path in [*listed, *there]}
    twice = sorted({path for path in listed if listed.count(path) > 1})
    read = [path for section in reading(folder) for path in section.notebooks]
    heads = headlines(folder)
    return [*(f"{names[path]} is not in {ORDER_FILE}: add it to a section, below what it imports"
              for path in there if path not in listed),
            *(f"{names[path]} is in {ORDER_FILE}, but there is no such notebook" for path in listed
              if path not in there),
            *(f"{names[path]} is in {ORDER_FILE} twice" for path in twice),
            *(f"{path.name} is not under `reading` of {ORDER_FILE}: add it to the question that it answers"
              for path in dict.fromkeys(heads) if path not in read),
            *(f"{path.relative_to(folder).as_posix()} is under `reading` of {ORDER_FILE}, but it is no headline"
              for path in read if path not in heads)]


def module_of(notebook: str | Path) -> str | None:
    """The module that a notebook makes, as it is imported (`soundings`, not `soundings.__init__`); None for none."""
    cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    found = re.search(r"^\s*#\s*\|\s*default_exp\s+([\w.]+)", code, re.MULTILINE)
    return found[1].removesuffix(".__init__") if found else None
