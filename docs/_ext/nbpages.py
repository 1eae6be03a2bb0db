"""Read an nbdev notebook as a page: which cells run, which are shown, and which names they export.

Nothing here needs Sphinx: the site (`nbsite`) and the README (`readme`) are both made of what this module returns.

What a directive does to a page

================================  ============================================================================
``default_exp``                   names the module; the cell is dropped
``export``, ``exporti``           runs; ``export``: API entries of its public names follow; a cell of which no
                                  definition has one is folded, any other is not shown
``exports``                       runs, shown; API entries follow
``hide``, ``include: false``      runs, not shown
``echo: false``, ``hide_input``   runs, its output alone is shown
``output: false``                 runs, its source alone is shown (``hide_output`` too)
``eval: false``, ``notest``       shown, not run (``torch`` too: the site is built without PyTorch)
``slow``                          dropped
``site``                          shown and run, as without it; ``make test`` leaves it out
``fig-alt: ...``, ``fig-cap:``    the words for the cell's picture, and its caption
``label: fig-...``                the picture's file name in the README
================================  ============================================================================

A cell that calls ``show_doc`` or ``nbdev_export`` is dropped. Any other ``#|`` line is left out of the shown source.
"""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import nbformat

DIRECTIVE = re.compile(r"^\s*#\s*\|\s*(?P<key>[\w-]+)\s*:?\s*(?P<value>.*?)\s*$")
CELL_MAGIC = re.compile(r"^\s*%%\w")
DROPPED_CALLS = {"show_doc", "nbdev_export"}
FALSE = {"false", "no", "0"}


@dataclass
class Cell:
    """One cell as a page needs it: what runs, what is shown, what it exports."""

    kind: str  # "markdown" or "code"
    source: str
    runs: bool = False
    show_source: bool = True
    show_output: bool = True
    names: dict[str, str] = field(default_factory=dict)  # public names it exports -> "function", "class" or "data"
    passed_on: list[str] = field(default_factory=list)  # names of other modules that it exports too, by `_all_`
    folded: list[str] = field(default_factory=list)  # what an exported cell defines, where none of it has an API entry
    alt: str = ""
    caption: str = ""
    label: str = ""


@dataclass
class Page:
    """A notebook read as a page."""

    path: Path
    name: str  # the page's name on the site: the path inside the folder of notebooks, `ground/00_files`
    title: str
    lead: str
    module: str | None  # as it is imported, without the package's name: `ground.files`
    cells: list[Cell]

    @property
    def names(self) -> dict[str, str]:
        """Public names of the module and their kinds, in the order in which the notebook tells them."""
        return {name: kind for cell in self.cells for name, kind in cell.names.items()}

    def summary(self, name: str) -> str:
        """The first paragraph of a public name's docstring, on one line."""
        if self.names[name] == "data":
            return next(constant(cell.source, name)[1] for cell in self.cells if name in cell.names)
        nodes = (node for cell in self.cells if name in cell.names for node in parse(cell.source).body)
        doc = next((ast.get_docstring(node) for node in nodes if getattr(node, "name", None) == name), None)
        return " ".join((doc or "").split("\n\n")[0].split())


def directives(source: str) -> tuple[dict[str, str], str]:
    """Split a code cell into its directives and its code."""
    found, lines = {}, source.splitlines()
    first = next((i for i, line in enumerate(lines)
                  if line.strip() and not DIRECTIVE.match(line) and not CELL_MAGIC.match(line)), len(lines))
    kept = []
    for line in lines[:first]:
        if match := DIRECTIVE.match(line):
            found[match["key"]] = match["value"]
        elif line.strip():
            kept.append(line)  # a cell magic stays above the code
    return found, "\n".join(kept + lines[first:]).strip("\n")


def parse(code: str) -> ast.Module:
    """The syntax tree of a cell; an empty one where the cell holds magics, which are not Python."""
    try:
        return ast.parse(code)
    except SyntaxError:
        return ast.parse("")


def _targets(node: ast.stmt) -> list[ast.expr]:
    """What a statement assigns to."""
    return [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])


def _assigned(node: ast.stmt) -> str:
    """The one name that a statement assigns to, or an empty text."""
    targets = _targets(node)
    return targets[0].id if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(targets[0], ast.Name) else ""


def public_names(code: str) -> dict[str, str]:
    """Public functions, classes and CONSTANTS that a cell defines at its top level, with their kinds."""
    kinds = {ast.FunctionDef: "function", ast.AsyncFunctionDef: "function", ast.ClassDef: "class"}
    names = {}
    for node in parse(code).body:
        if name := getattr(node, "name", "") if type(node) in kinds else _assigned(node):
            names[name] = kinds.get(type(node), "data")
    return {name: kind for name, kind in names.items()
            if not name.startswith("_") and (kind != "data" or name.isupper())}


def told_nowhere(code: str, shared: bool) -> list[str]:
    """What an exported cell defines that has no API entry: nothing where it defines a name that has one, too.

    `shared` cells (``exporti``) have names for other rooms, and none for users.
    """
    names = []
    for node in parse(code).body:
        names += [node.name] if hasattr(node, "name") else [part.id for target in _targets(node)
                                                            for part in ast.walk(target) if isinstance(part, ast.Name)]
    names = [name for name in names if not name.startswith("__") and name != "_all_"]
    return names if shared or all(name.startswith("_") for name in names) else []


def passed_on(code: str) -> list[str]:
    """Names in nbdev's `_all_`: what a module exports although another one defines it."""
    found = [node.value for node in parse(code).body if _assigned(node) == "_all_"]
    entries = found[0].elts if found and isinstance(found[0], (ast.List, ast.Tuple)) else []
    return [getattr(entry, "id", getattr(entry, "value", "")) for entry in entries]


@cache  # every page asks every other one
def _imports(code: str, package: str) -> dict[str, str]:
    """Names that a cell imports from the package -> their full names."""
    imported = {}
    for node in ast.walk(parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}."):
            imported |= {name.asname or name.name: f"{node.module}.{name.name}" for name in node.names}
    return imported


def origins(page: Page, package: str) -> dict[str, str]:
    """Names that a page passes on -> their full names in the modules that it imports them from."""
    if not any(cell.passed_on for cell in page.cells):
        return {}
    imported = {name: full for cell in page.cells if cell.runs for name, full in _imports(cell.source, package).items()}
    return {name: imported[name] for cell in page.cells for name in cell.passed_on if name in imported}


def constant(code: str, name: str) -> tuple[str, str]:
    """The value of a CONSTANT as source, and the words about it: the comment behind it, or the comment lines above."""
    node = next(node for node in parse(code).body if _assigned(node) == name)
    lines = code.splitlines()
    if behind := re.search(r"\s#:?\s+(.*)$", lines[node.end_lineno - 1][node.end_col_offset:]):
        return ast.unparse(node.value), behind[1]
    above, at = [], node.lineno - 2
    while at >= 0 and lines[at].startswith("#"):
        above.insert(0, lines[at].lstrip("#: "))
        at -= 1
    return ast.unparse(node.value), " ".join(above)


def calls_dropped(code: str) -> bool:
    """Whether a cell is there for nbdev alone (`show_doc(...)`, `nbdev_export()`)."""
    calls = [node.func for node in ast.walk(parse(code)) if isinstance(node, ast.Call)]
    return any(getattr(func, "id", getattr(func, "attr", None)) in DROPPED_CALLS for func in calls)


def _is_false(found: dict[str, str], key: str) -> bool:
    return found.get(key, "").lower() in FALSE and key in found


def read_code(source: str) -> Cell | None:
    """A code cell as the page needs it, or None where it has no place there."""
    found, code = directives(source)
    if not code.strip() or "slow" in found or calls_dropped(code):
        return None
    hidden = {"export", "exporti", "hide"} & found.keys() or _is_false(found, "include")
    return Cell(
        kind="code",
        source=code,
        runs=not ({"notest", "torch"} & found.keys() or _is_false(found, "eval")),
        show_source=not (hidden or _is_false(found, "echo") or "hide_input" in found),
        show_output=not (hidden or _is_false(found, "output") or "hide_output" in found),
        names=public_names(code) if {"export", "exports"} & found.keys() else {},
        folded=told_nowhere(code, "exporti" in found) if {"export", "exporti"} & found.keys() else [],
        passed_on=passed_on(code) if {"export", "exports"} & found.keys() else [],
        alt=found.get("fig-alt", "").strip("\"'"),
        caption=found.get("fig-cap", "").strip("\"'"),
        label=found.get("label", ""),
    )


def split_title(source: str) -> tuple[str, str, str]:
    """Title, lead (the `> subtitle` under it) and the rest of a notebook's first markdown cell."""
    match = re.match(r"\s*# +(?P<title>.+?) *\n(?P<lead>(?:\s*>.*(?:\n|$))*)", source + "\n")
    if not match:
        return "", "", source
    lead = " ".join(line.strip().lstrip(">").strip() for line in match["lead"].splitlines())
    return match["title"], lead.strip(), source[match.end():].strip("\n")


def read_page(path: str | Path, folder: str | Path | None = None) -> Page:
    """Read a notebook as a page of a folder of notebooks, by default its own. The file is not changed."""
    notebook, path = nbformat.read(path, as_version=4), Path(path)
    name = path.relative_to(folder or path.parent).with_suffix("").as_posix()
    page = Page(path, name, "", "", None, [])
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            source = cell.source
            if not page.title:
                page.title, page.lead, source = split_title(source)
            if source.strip():
                page.cells.append(Cell("markdown", source))
        elif cell.cell_type == "code":
            if module := directives(cell.source)[0].get("default_exp"):
                page.module = module.removesuffix(".__init__")
            if made := read_code(cell.source):
                page.cells.append(made)
    if not page.title:
        raise ValueError(f"{page.path.name}: the first markdown cell must open with '# Title'")
    return page


def _for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"


def _what_runs(node: ast.AST) -> Iterator[ast.AST]:
    """Every part of a syntax tree, without what only a type checker sees."""
    yield node
    for child in ast.iter_child_nodes(node):
        if not _for_types(child):
            yield from _what_runs(child)


def face(package: Path, family: str = "") -> dict[str, str]:
    """Names that the package itself (or a family of its modules) loads when they are first used, and their modules.

    The imports stand where only a type checker sees them.
    """
    blocks = filter(_for_types, ast.parse((package / family / "__init__.py").read_text(encoding="utf-8")).body)
    nodes = (node for block in blocks for node in block.body if isinstance(node, ast.ImportFrom))
    return {name.name: (node.module or "").removeprefix(f"{package.name}.") for node in nodes for name in node.names}


def loaded_late(package: Path) -> dict[str, str]:
    """The same names of the package and of all families, as they are imported (`series.judge`), and their modules."""
    families = ["", *(file.parent.name for file in package.glob("*/__init__.py"))]
    homes = {".".join(filter(None, [family, name])): f"{home}.{name}"
             for family in families for name, home in face(package, family).items()}
    for name in homes:
        while homes[name] in homes:  # the package passes on what a family passes on
            homes[name] = homes[homes[name]]
    return {name: home.rpartition(".")[0] for name, home in homes.items()}


def imported_modules(source: str, package: str, within: str = "") -> set[str]:
    """What Python source imports from the package when it runs, as dotted names without the package's own.

    `within` is the package that holds the source, for relative imports. `from tiny.rows import Ruler` gives `rows` and
    `rows.Ruler`: only the files tell which of the two is a module.
    """
    found = set()
    for node in _what_runs(parse(source)):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = within.split(".")[:len(within.split(".")) - node.level + 1] if node.level else []
            base = ".".join(filter(None, [*above, node.module]))
            found |= {base} | {f"{base}.{name.name}" for name in node.names}
    return {name.removeprefix(f"{package}.") for name in found if name.startswith(f"{package}.")}


def module_file(package: Path, name: str) -> Path | None:
    """The file of a module of the package; None where there is no such module."""
    path = package.joinpath(*filter(None, name.split(".")))
    return next((file for file in (path / "__init__.py", path.parent / f"{path.name}.py") if file.is_file()), None)


def fingerprint(page: Page, package: Path) -> str:
    """A short hash of the package's modules a page runs, so that its outputs are made anew when one of them changes."""
    todo = {""}.union(*(imported_modules(cell.source, package.name) for cell in page.cells if cell.runs))
    seen: dict[str, bytes] = {}
    homes = loaded_late(package)
    while todo:
        name = todo.pop()
        name = homes.get(name, name)
        file = module_file(package, name)
        if file and name not in seen:
            seen[name] = file.read_bytes()
            within = ".".join(file.parent.relative_to(package.parent).parts)
            # Python runs the `__init__.py` of a module's folder first.
            todo |= imported_modules(seen[name].decode("utf-8"), package.name, within) | {name.rpartition(".")[0]}
    return hashlib.sha256(b"".join(seen[name] for name in sorted(seen))).hexdigest()[:12]
