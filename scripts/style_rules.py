"""The rules of style, each as a function that finds the places that break it; `tests/project/test_style.py` holds them.

What may break a rule for now stands in `tests/project/style_exceptions.json`, under the rule's name. That list may only
shrink. Under FOREIGN stand, each with a reason, the private names of other packages that we cannot do without.
"""

from __future__ import annotations

import ast
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

from style_cells import (
    LIMITS,
    ROOT,
    Definition,
    Notebook,
    function_sizes,
    is_private,
    private_imports,
    read_notebooks,
    statements,
)

sys.path.append(str(ROOT / "docs" / "_ext"))
import nborder  # noqa: E402

NBS = ROOT / "nbs"
PACKAGE = "oco2_outliers"
EXCEPTIONS = ROOT / "tests" / "project" / "style_exceptions.json"
NAMEDTUPLE = {"_asdict", "_field_defaults", "_fields", "_make", "_replace"}  # public in spite of their underscore
FOREIGN = "private names of other packages"


@cache
def project() -> list[Notebook]:
    """The notebooks of this project that export something, in no special order."""
    return read_notebooks(NBS)


@cache
def exceptions() -> dict[str, Any]:
    """What the list of exceptions says."""
    return json.loads(EXCEPTIONS.read_text(encoding="utf-8")) if EXCEPTIONS.is_file() else {}


# ---------------------------------------------------------------- sizes

def large_cells() -> Iterator[str]:
    return (f"{notebook.name}: {cell.name}" for notebook in project() for cell in notebook.code
            if cell.n_lines > LIMITS["cell"])


def crowded_cells() -> Iterator[str]:
    return (f"{notebook.name}: {cell.name}" for notebook in project() for cell in notebook.code
            if len(cell.definitions) > LIMITS["definitions"])


def large_functions() -> Iterator[str]:
    return (name for name, size in function_sizes(project()) if size > LIMITS["function"])


def large_modules() -> Iterator[str]:
    return (notebook.module for notebook in project() if notebook.n_lines > LIMITS["module"])


def wordless_runs() -> Iterator[str]:
    return (f"{notebook.name}: {name}" for notebook in project() for name, size in notebook.runs()
            if size > LIMITS["run"])


# ---------------------------------------------------------------- private names

def own_names(tree: ast.AST) -> set[str]:
    """Every name that a module gives to something: functions, classes, variables, fields and attributes of `self`."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, Definition):
            found.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_self(node.value):
            found.add(node.attr)
    return found


def is_self(node: ast.expr) -> bool:
    """`self`, `cls` or `super()`."""
    called = node.func if isinstance(node, ast.Call) else node
    return isinstance(called, ast.Name) and called.id in {"self", "cls", "super"}


def module_aliases(tree: ast.AST) -> set[str]:
    """Names that an import binds."""
    return {(name.asname or name.name).split(".")[0] for node in statements(tree)
            if isinstance(node, ast.Import | ast.ImportFrom) for name in node.names}


def foreign_attributes(tree: ast.AST) -> Iterator[str]:
    """`thing._name` where nothing in the module bears that name, or where `thing` is imported."""
    own, imported = own_names(tree), module_aliases(tree)
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not is_private(node.attr) or is_self(node.value):
            continue
        from_import = isinstance(node.value, ast.Name) and node.value.id in imported
        if (from_import or node.attr not in own) and node.attr not in NAMEDTUPLE:
            yield ast.unparse(node)


@cache
def all_privates() -> tuple[tuple[str, str], ...]:
    """Private names that a module takes from elsewhere, and where it does."""
    found: list[tuple[str, str]] = []
    for notebook in project():
        found += ((name, f"{notebook.module}: {name} of {module}") for module, name in private_imports(notebook))
        found += ((said.split(".")[-1], f"{notebook.module}: {said}") for said in foreign_attributes(notebook.tree))
    return tuple(found)


def borrowed_privates() -> Iterator[str]:
    return (place for name, place in all_privates() if name not in exceptions().get(FOREIGN, {}))


def needless_reasons() -> set[str]:
    """Private names of other packages that have a reason in the list, but that nothing uses any more."""
    return set(exceptions().get(FOREIGN, {})) - {name for name, _ in all_privates()}


# ---------------------------------------------------------------- public names

def public_names(notebook: Notebook) -> Iterator[tuple[str, bool]]:
    """Public names that a notebook's module defines, and whether each is a function or class."""
    for cell in notebook.code:
        for node in cell.tree.body if cell.public else []:
            targets = getattr(node, "targets", [getattr(node, "target", None)])
            names = [node.name] if isinstance(node, Definition) else [getattr(each, "id", "_") for each in targets]
            yield from ((name, isinstance(node, Definition)) for name in names if name[0] != "_")


def modules_named_as_things() -> Iterator[str]:
    things = {name for notebook in project() for name, is_thing in public_names(notebook) if is_thing}
    return (notebook.module for notebook in project() if notebook.module.split(".")[-1] in things)


def ambiguous_names() -> Iterator[str]:
    homes: dict[str, set[str]] = {}
    for notebook in project():
        for name, _ in public_names(notebook):
            homes.setdefault(name, set()).add(notebook.module)
    return (f"{name}: {', '.join(sorted(modules))}" for name, modules in homes.items() if len(modules) > 1)


# ---------------------------------------------------------------- who imports whom

def imported(tree: ast.AST) -> Iterator[str]:
    """Everything of the package that code imports, with dots; also inside a function. Not all of it is a module."""
    for node in statements(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (node.module or "", *(f"{node.module}.{name.name}" for name in node.names))


def imports() -> dict[str, set[str]]:
    """Each module of the package, and the modules of the package that it imports."""
    modules = {notebook.module for notebook in project()}
    return {notebook.module: {name.removeprefix(f"{PACKAGE}.") for name in imported(notebook.tree)} & modules
            for notebook in project()}


def circles(graph: dict[str, set[str]]) -> Iterator[str]:
    """Groups in which each reaches each other, as `a, b, c`."""
    def reached(start: str) -> set[str]:
        found: set[str] = set()
        todo = {start}
        while todo:
            todo = {after for name in todo for after in graph[name]} - found
            found |= todo
        return found

    reach = {name: reached(name) for name in graph}
    groups = {", ".join(sorted(other for other in graph if name in reach[other] and other in reach[name]))
              for name in graph if name in reach[name]}
    return iter(groups)


def circles_of_modules() -> Iterator[str]:
    return circles(imports())


def circles_of_folders() -> Iterator[str]:
    graph: dict[str, set[str]] = {}
    for module, others in imports().items():
        folder = module.split(".")[0]
        graph.setdefault(folder, set()).update({other.split(".")[0] for other in others} - {folder})
    return circles(graph)


def imports_from_below() -> Iterator[str]:
    """Imports in any cell, tests and demonstrations included; the first page alone shows what all others make."""
    order = {f"{PACKAGE}.{nborder.module_of(path)}": at for at, path in enumerate(nborder.notebooks(NBS))}
    for at, path in enumerate(nborder.notebooks(NBS)):
        if path.stem != "index":
            yield from (f"{path.relative_to(NBS).as_posix()}: {name}" for cell in all_code(path)
                        for name in imported(cell) if order.get(name, -1) >= at)


def all_code(path: Path) -> Iterator[ast.Module]:
    """The syntax trees of the code cells of a notebook that may import something."""
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code" and any("import" in line for line in cell["source"]):
            lines = "".join(cell["source"]).split("\n")
            yield ast.parse("\n".join("" if line.lstrip()[:1] in ("%", "!") else line for line in lines))


# ---------------------------------------------------------------- all of them

RULES: dict[str, Callable[[], Iterable[str]]] = {
    "cells over 40 code lines": large_cells,
    "cells with over 3 definitions": crowded_cells,
    "functions over 40 code lines": large_functions,
    "modules over 900 lines": large_modules,
    "runs over 80 code lines without a word": wordless_runs,
    "private names of another module": borrowed_privates,
    "modules named as a function or class": modules_named_as_things,
    "public names of two things": ambiguous_names,
    "circles of modules": circles_of_modules,
    "circles of folders": circles_of_folders,
    "imports from further down": imports_from_below,
}


def offenders() -> dict[str, list[str]]:
    """Every rule, and the places that break it."""
    return {rule: sorted(set(find())) for rule, find in RULES.items()}


def write(found: dict[str, list[str]]) -> None:
    """Make the list of exceptions say what is found; the reasons stay."""
    listed = {rule: places for rule, places in found.items() if places} | {FOREIGN: exceptions().get(FOREIGN, {})}
    EXCEPTIONS.write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
