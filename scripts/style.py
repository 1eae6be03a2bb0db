"""How the code of a project is cut into cells, functions and modules: `make style`.

    python scripts/style.py                    the table of this project, beside its goals
    python scripts/style.py nbs ../nbdev/nbs   the same table for any folders of nbdev notebooks
    python scripts/style.py --list             every place that breaks a rule
    python scripts/style.py --write            write those places into tests/project/style_exceptions.json

`style_cells` says what is counted and how.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Iterable
from pathlib import Path

import style_rules
from style_cells import LIMITS, ROOT, function_sizes, private_imports, read_notebooks

# ---------------------------------------------------------------- the table

def percentile(sizes: list[int], share: float) -> float:
    """A percentile of whole numbers, between two of them where it falls there."""
    cuts = statistics.quantiles(sizes, n=100, method="inclusive") if len(sizes) > 1 else sizes * 99
    return cuts[round(share * 100) - 1]


def share(hits: Iterable[bool]) -> float:
    """The share of hits in percent."""
    found = list(hits)
    return 100 * sum(found) / max(len(found), 1)


def measured(folder: Path) -> list[str]:
    """The column of a folder, in the order of ROWS."""
    notebooks = read_notebooks(folder)
    cells = [cell for notebook in notebooks for cell in notebook.code]
    if not cells:
        raise SystemExit(f"{folder}: no notebook here exports code")
    sizes = [cell.n_lines for cell in cells]
    modules: dict[str, int] = {}
    for notebook in notebooks:
        modules[notebook.module] = modules.get(notebook.module, 0) + notebook.n_lines
    return [str(len(cells)), f"{statistics.median(sizes):.0f}", f"{percentile(sizes, 0.9):.0f}", str(max(sizes)),
            f"{share(size > LIMITS['cell'] for size in sizes):.0f} %",
            f"{share(len(cell.definitions) == 1 for cell in cells if cell.definitions):.0f} %",
            str(sum(len(private_imports(notebook)) for notebook in notebooks)),
            str(max(size for notebook in notebooks for _, size in notebook.runs())), str(max(modules.values())),
            str(sum(size > LIMITS["function"] for _, size in function_sizes(notebooks)))]


ROWS = [("exported cells", ""), ("code lines in a cell: median", "12"), ("  nine of ten have at most", ""),
        ("  longest", "40"), ("cells over 40 code lines", "2 %"), ("cells with one definition", "75 % or more"),
        ("private names imported", "0"), ("longest run without a word", "80"), ("longest module, lines", "900"),
        ("functions over 40 code lines", "0")]


def table(folders: list[Path]) -> str:
    """One column for each folder, and the goals beside them."""
    heads = [folder.resolve().parent.name if folder.name == "nbs" else folder.name for folder in folders]
    columns = [[row for row, _ in ROWS], *map(measured, folders), [goal for _, goal in ROWS]]
    lines = zip(["", *columns[0]], *([head, *column] for head, column in zip([*heads, "goal"], columns[1:])))
    widths = [30, *(max(12, len(head) + 2) for head in heads), 14]
    return "\n".join(first.ljust(widths[0]) + "".join(
        text.rjust(width) for text, width in zip(rest, widths[1:])) for first, *rest in lines)


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description="How the notebooks are cut, beside the goals")
    parser.add_argument("folders", nargs="*", type=Path, default=[ROOT / "nbs"], help="folders of nbdev notebooks")
    parser.add_argument("--list", action="store_true", help="every place of this project that breaks a rule")
    parser.add_argument("--write", action="store_true", help="write those places into the list of exceptions")
    args = parser.parse_args(argv)
    print(table(args.folders))
    found = style_rules.offenders()
    print("\nWhat breaks a rule (--list: where)\n")
    print("\n".join(f"{rule:40}{len(places):5}" for rule, places in found.items()))
    if args.list:
        print("\n" + "\n".join(f"{rule}: {place}" for rule, places in found.items() for place in places))
    if args.write:
        style_rules.write(found)


if __name__ == "__main__":
    main()
