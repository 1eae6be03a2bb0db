"""Notebooks as the cells, definitions and functions that they export: what `make style` and the rules of style count.

What is counted

Code lines   lines of code: without blank lines, comment lines and docstrings. A `#|` line is a comment.
Cells        those with `#| export`, `#| exporti` or `#| exports`; a cell of nothing but imports is left out.
Definitions  functions and classes at the top level of a cell; their share is of the cells that have at least one.
Private      names with a leading underscore that `from module import _name` takes from another module; each name of
             each importing module once, lazy imports inside functions included.
A run        exported cells with no Markdown cell between them, in code lines; other code cells do not end it.
Module       all lines of its exported cells, blank ones and comments too, and three for the head of each cell.
Functions    code lines from `def` to the end, methods too. Kernels, which a compiler decorates, are left out.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LIMITS = {"cell": 40, "definitions": 3, "function": 40, "module": 900, "run": 80}
# Among the comments and blank lines that open a cell; further down it is a text like any other.
EXPORTED = re.compile(r"(?:[^\S\n]*(?:#[^\n]*)?\n)*?[^\S\n]*#\s*\|\s*export(?P<kind>[is]?)\b")
MODULE = re.compile(r"^\s*#\s*\|\s*default_exp\s+([\w.]+)", re.MULTILINE)
COMPILERS = {"cfunc", "compiled", "guvectorize", "intrinsic", "jit", "njit", "overload", "vectorize"}
Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


# ---------------------------------------------------------------- notebooks

def statements(tree: ast.AST) -> Iterator[ast.AST]:
    """A tree and every statement in it, at any depth; expressions, nine nodes of ten, are not looked at."""
    todo = [tree]
    while todo:
        node = todo.pop()
        yield node
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            todo += getattr(node, part, [])


def docstring_lines(tree: ast.AST) -> set[int]:
    """Numbers of the lines that docstrings fill."""
    found: set[int] = set()
    for node in statements(tree):
        if isinstance(node, ast.Module | Definition) and ast.get_docstring(node, clean=False) is not None:
            found |= set(range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1))
    return found


def code_lines(source: str, tree: ast.AST) -> set[int]:
    """Numbers of the lines that hold code: neither blank nor a comment nor part of a docstring."""
    lines = enumerate(source.split("\n"), 1)
    return {number for number, line in lines if line.strip() and line.strip()[0] != "#"} - docstring_lines(tree)


@dataclass(frozen=True)
class Cell:
    """An exported cell, whether its names are public, and whether words stand between it and the one above it."""

    source: str
    public: bool
    after_words: bool

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.source)

    @cached_property
    def code_lines(self) -> set[int]:
        return code_lines(self.source, self.tree)

    @property
    def n_lines(self) -> int:
        return len(self.code_lines)

    @cached_property
    def definitions(self) -> list[str]:
        return [node.name for node in self.tree.body if isinstance(node, Definition)]

    @property
    def name(self) -> str:
        """What people call the cell: the first name that it defines, or its first line of code."""
        first = min(self.code_lines, default=1)
        return self.definitions[0] if self.definitions else self.source.split("\n")[first - 1].strip()[:40]

    @property
    def only_imports(self) -> bool:
        return all(map(is_import, self.tree.body))


@dataclass(frozen=True)
class Notebook:
    """A notebook's name in its folder, the module that it makes, and the cells that it exports."""

    name: str
    module: str
    cells: list[Cell]

    @property
    def code(self) -> list[Cell]:
        """Exported cells that hold more than imports."""
        return [cell for cell in self.cells if not cell.only_imports]

    @cached_property
    def tree(self) -> ast.Module:
        """The module's syntax tree, its imports as the notebook writes them: from the package's own name."""
        return ast.Module([node for cell in self.cells for node in cell.tree.body], [])

    @property
    def n_lines(self) -> int:
        return sum(len(cell.source.strip().split("\n")) + 3 for cell in self.cells)

    def runs(self) -> Iterator[tuple[str, int]]:
        """First cell and code lines of each run of exported code."""
        name, size = "", 0
        for cell in self.code:
            if cell.after_words:
                yield name, size
                name, size = "", 0
            name, size = name or cell.name, size + cell.n_lines
        yield name, size


def is_import(node: ast.stmt) -> bool:
    """An import, or imports that only a type checker sees."""
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
        return all(map(is_import, node.body))
    return isinstance(node, ast.Import | ast.ImportFrom)


def exported_cells(cells: list[dict[str, Any]]) -> Iterator[Cell]:
    """The exported cells of a notebook; magics are left out, as nbdev leaves them out."""
    after_words = False
    for cell in cells:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            after_words = True
        elif cell["cell_type"] == "code" and (found := EXPORTED.match(source)):
            made = Cell(re.sub(r"^\s*[%!].*$", "", source, flags=re.MULTILINE), found["kind"] != "i", after_words)
            yield made
            after_words = after_words and made.only_imports


def read_notebook(path: Path, folder: Path) -> Notebook:
    """Read what a notebook exports."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    module = MODULE.search("\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"))
    return Notebook(path.relative_to(folder).with_suffix("").as_posix(),
                    module[1].removesuffix(".__init__") if module else "", list(exported_cells(cells)))


def read_notebooks(folder: Path) -> list[Notebook]:
    """The notebooks of a folder that export something; names with a leading `_` or `.` are left out."""
    paths = [path for path in sorted(folder.rglob("*.ipynb"))
             if not any(part[0] in "_." for part in path.relative_to(folder).parts)]
    return [made for path in paths if (made := read_notebook(path, folder)).cells]


# ---------------------------------------------------------------- what is measured

def is_kernel(function: Function) -> bool:
    """Whether a compiler decorates the function."""
    called = (node.func if isinstance(node, ast.Call) else node for node in function.decorator_list)
    names = (getattr(node, "attr", getattr(node, "id", "")) for node in called)
    return any(name.strip("_") in COMPILERS for name in names)


def functions(tree: ast.AST, inside: str = "") -> Iterator[tuple[str, Function]]:
    """Functions and methods with their full names; what stands inside a function is part of it."""
    for node in getattr(tree, "body", []):
        if isinstance(node, Function):
            yield inside + node.name, node
        elif isinstance(node, ast.ClassDef | ast.If | ast.Try):
            yield from functions(node, f"{inside}{node.name}." if isinstance(node, ast.ClassDef) else inside)


def function_sizes(notebooks: Iterable[Notebook]) -> Iterator[tuple[str, int]]:
    """Full name and code lines of every function that is no kernel."""
    for notebook in notebooks:
        for cell in notebook.code:
            for name, node in functions(cell.tree):
                if not is_kernel(node):
                    inside = range(node.lineno, (node.end_lineno or 0) + 1)
                    yield f"{notebook.module}.{name}", len(cell.code_lines & set(inside))


def is_private(name: str) -> bool:
    """One leading underscore; `__version__` and `_` are not meant for one module alone."""
    return name.startswith("_") and not name.startswith("__") and name != "_"


def private_imports(notebook: Notebook) -> set[tuple[str, str]]:
    """Module and private name of every import that takes one."""
    imports = (node for node in statements(notebook.tree) if isinstance(node, ast.ImportFrom))
    return {(node.module or "", name.name) for node in imports for name in node.names if is_private(name.name)}
