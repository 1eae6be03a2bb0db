"""The list of rooms in docs/architecture.md, from the first lines of the notebooks: `make architecture`."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "docs" / "_ext"))
import nborder  # noqa: E402

PAGE = ROOT / "docs" / "architecture.md"
BLOCK = re.compile(r"(?<=<!-- rooms -->\n).*(?=<!-- end of rooms -->)", re.DOTALL)


def subtitle(notebook: Path) -> str:
    """The `> subtitle` under a notebook's title, on one line."""
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    first = next("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    found = re.match(r"\s*# .+\n\s*((?:>.*(?:\n|$))+)", first)
    if not found:
        raise ValueError(f"{notebook.name}: a line '> what it is about' must follow the title")
    return " ".join(line.lstrip("> ").strip() for line in found[1].splitlines())


def row(notebook: Path, folder: Path) -> str:
    """A notebook as a row of its section's table; one that makes no module is called by its file's name."""
    name = nborder.module_of(notebook) or notebook.name
    words = subtitle(notebook).replace("|", "\\|")
    return f"| [`{name}`]({notebook.relative_to(folder).as_posix()}) | {words} |"


def rooms(folder: Path) -> str:
    """A table for each section of the declared order."""
    tables = [[f"### {section.title}", "", "| room | what it does |", "|:--|:--|",
               *(row(notebook, folder) for notebook in section.notebooks)] for section in nborder.sections(folder)]
    return "".join("\n" + "\n".join(table) + "\n" for table in tables) + "\n"


def renewed(page: str, folder: Path = ROOT / "nbs") -> str:
    """The page with the list of rooms as the notebooks tell it now."""
    made, n_blocks = BLOCK.subn(lambda _: rooms(folder), page)
    if n_blocks != 1:
        raise ValueError(f"{PAGE.name} must hold the lines '<!-- rooms -->' and '<!-- end of rooms -->' once")
    return made


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
