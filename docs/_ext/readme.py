"""README.md from nbs/index.ipynb: run the notebook, write its text and pictures.

    python docs/_ext/readme.py            write README.md and docs/images/
    python docs/_ext/readme.py --check    exit 1, with one line that says why, when the two disagree

Text is compared, pictures are not: their bytes differ between versions of matplotlib and freetype. They only have to
exist.
"""

from __future__ import annotations

import argparse
import base64
import os
import re
import sys
from html.parser import HTMLParser
from pathlib import Path

import nbformat
from nbpages import Cell, Page, read_page

ROOT = Path(__file__).resolve().parents[2]
NOTE = "<!-- Made from nbs/index.ipynb by `make readme`; change that file, not this one. -->\n\n"
PICTURES = "docs/images"


class NotebookFails(Exception):
    """A cell of index.ipynb raised; the message is one line."""


# ---------------------------------------------------------------- text

def repository_links(markdown: str) -> str:
    """Links as seen from the root of the repository; in the notebook they are seen from nbs/."""
    markdown = re.sub(r"\]\((?!\w+:|#|/)(?!\.\./)([^)\s]+\.ipynb)", r"](nbs/\1", markdown)
    return re.sub(r"\]\(\.\./", "](", markdown)


class _Rows(HTMLParser):
    """The cells of an HTML table."""

    def __init__(self):
        super().__init__()
        self.rows: list[list[str]] = []
        self._text: list[str] | None = None

    def handle_starttag(self, tag, attrs):
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self._text = []

    def handle_data(self, data):
        if self._text is not None:
            self._text.append(data)

    def handle_endtag(self, tag):
        if tag in ("td", "th") and self._text is not None:
            self.rows[-1].append(" ".join("".join(self._text).split()).replace("|", "\\|"))
            self._text = None


def table(html: str) -> str:
    """A pandas table as Markdown; forges strip the style that pandas' own HTML relies on."""
    parser = _Rows()
    parser.feed(html)
    head, *rows = [row for row in parser.rows if row]
    line = ["--:" if all(re.fullmatch(r"[-+\d.,e%]*", row[i]) for row in rows) else ":--" for i in range(len(head))]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, line, *rows])


def fenced(text: str) -> str:
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text).rstrip()
    return f"```text\n{plain}\n```"


# ---------------------------------------------------------------- notebook

def as_notebook(page: Page):
    """The notebook to run: what is shown, and what runs unseen."""
    lead = f"\n\n> {page.lead}" if page.lead else ""
    cells = [nbformat.v4.new_markdown_cell(f"# {page.title}{lead}")]
    for cell in page.cells:
        if cell.kind == "markdown":
            cells.append(nbformat.v4.new_markdown_cell(repository_links(cell.source)))
        elif cell.runs:
            made = nbformat.v4.new_code_cell(cell.source)
            shown = {"no-source": cell.show_source, "no-output": cell.show_output}
            made.metadata["tags"] = [tag for tag, yes in shown.items() if not yes]
            made.metadata["page"] = vars(cell)
            cells.append(made)
        elif cell.show_source:
            cells.append(nbformat.v4.new_markdown_cell(f"```python\n{cell.source}\n```"))
    kernel = {"display_name": "python3", "language": "python", "name": "python3"}
    return nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}})


def run(notebook, folder: Path) -> None:
    """Run the notebook in its own folder, with this tree's package and plain settings."""
    from nbconvert.preprocessors import CellExecutionError, ExecutePreprocessor

    root = folder.parent
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(root), os.environ.get("PYTHONPATH")]))
    os.environ["MATPLOTLIBRC"] = str(Path(__file__).resolve().parents[1] / "matplotlibrc")
    os.environ["TQDM_DISABLE"] = "1"
    try:
        runner = ExecutePreprocessor(timeout=600, kernel_name="python3")
        runner.preprocess(notebook, {"metadata": {"path": str(folder)}})
    except CellExecutionError as error:
        raise NotebookFails(f"index.ipynb does not run: {error.ename}: {error.evalue}".splitlines()[0]) from None


def settle(notebook) -> dict[str, bytes]:
    """Replace every output with Markdown that stays the same from run to run; return the pictures by path."""
    pictures: dict[str, bytes] = {}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        about, texts = Cell(**cell.metadata["page"]), []
        for output in cell.outputs if about.show_output else []:
            data = output.get("data", {})
            if output.output_type == "stream":
                texts += [fenced(output.text)] if output.name == "stdout" else []  # stderr: progress, local paths
            elif "image/png" in data:
                name = f"{PICTURES}/{about.label or f'index-{len(pictures) + 1}'}.png"
                pictures[name] = base64.b64decode(data["image/png"])
                texts.append(f"![{about.alt or about.caption}]({name})")
                texts += [f"*{about.caption}*"] if about.caption else []
            elif "<iframe" in data.get("text/html", ""):
                continue  # a live page stands on the site alone
            elif 'class="dataframe"' in data.get("text/html", ""):
                texts.append(table(data["text/html"]))
            elif "text/markdown" in data:
                texts.append(repository_links(data["text/markdown"]))
            elif "text/plain" in data:
                texts.append(fenced(data["text/plain"]))
        cell.outputs = [nbformat.v4.new_output("display_data", {"text/markdown": text}) for text in texts]
    return pictures


def made_readme(root: Path = ROOT) -> tuple[str, dict[str, bytes]]:
    """README.md and its pictures, as index.ipynb says them now."""
    from nbconvert import MarkdownExporter
    from traitlets.config import Config

    page = read_page(root / "nbs" / "index.ipynb")
    notebook = as_notebook(page)
    run(notebook, root / "nbs")
    pictures = settle(notebook)
    config = Config()
    config.TagRemovePreprocessor.enabled = True
    config.TagRemovePreprocessor.remove_input_tags = {"no-source"}
    config.TagRemovePreprocessor.remove_all_outputs_tags = {"no-output"}
    config.MarkdownExporter.preprocessors = ["nbconvert.preprocessors.TagRemovePreprocessor"]
    body, _ = MarkdownExporter(config=config).from_notebook_node(notebook)
    lines = "\n".join(line.rstrip() for line in body.splitlines())
    return NOTE + re.sub(r"\n{3,}", "\n\n", lines).strip() + "\n", pictures


# ---------------------------------------------------------------- file

def disagreement(root: Path = ROOT, now: tuple[str, dict[str, bytes]] | None = None) -> str | None:
    """Why README.md is not what index.ipynb says (`now`, when it ran already), in one line; None when it is."""
    made, pictures = now or made_readme(root)
    readme = root / "README.md"
    said = readme.read_text(encoding="utf-8") if readme.is_file() else ""
    if missing := [name for name in pictures if not (root / name).is_file()]:
        return f"{missing[0]} is missing: run `make readme`"
    pairs = list(zip(made.splitlines() + [""], said.splitlines() + [""], strict=False))
    if made != said:
        number = next((i for i, (new, old) in enumerate(pairs, 1) if new != old), len(pairs))
        new, old = pairs[number - 1]
        return f"README.md line {number} says {old[:70]!r}, nbs/index.ipynb makes it {new[:70]!r}: run `make readme`"
    return None


def write(root: Path = ROOT) -> None:
    """Write README.md and its pictures, each as a whole file."""
    text, pictures = made_readme(root)
    for name, content in {**pictures, "README.md": text.encode("utf-8")}.items():
        target = root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(target.name + ".part")
        part.write_bytes(content)
        part.replace(target)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make README.md from nbs/index.ipynb")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 when they disagree")
    parser.add_argument("--root", type=Path, default=ROOT, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    try:
        if not args.check:
            write(args.root)
        elif why := disagreement(args.root):
            print(why)
            return 1
    except (NotebookFails, FileNotFoundError, ValueError) as error:
        print(str(error).splitlines()[0])
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
