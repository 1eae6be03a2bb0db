"""Sphinx extension: the notebooks of an nbdev project become pages, with the API entries where the code stands.

Before Sphinx looks for sources, every notebook of `nbsite_nbs` is written into the docs folder as a notebook that
myst-nb can show (`docs/**/*.ipynb`, ignored by git), and `api.md` as the list of all public names. Their `sidebar.yml`
says which notebooks there are, in which order and under which heads (see `nborder`). A file is written only when its
content changed, so a second build reads and runs nothing twice. The notebooks themselves are never touched.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from textwrap import shorten

import nbformat
from docutils import nodes
from nborder import disagreements, notebooks, reading, sections
from nbpages import Cell, Page, constant, face, fingerprint, origins, parse, read_page
from offline import external_resources, images_without_alt, warnings_shown
from sphinx.addnodes import desc_content, pending_xref
from sphinx.application import Sphinx
from sphinx.errors import ConfigError
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util import logging

LOG = logging.getLogger(__name__)
MADE = "made_by_nbsite"  # marks our files, so that a page whose notebook went away is removed
MADE_MARK = f"<!-- {MADE} -->\n"


# ---------------------------------------------------------------- notebook to page

def write_if_changed(path: Path, text: str) -> None:
    """Leave the file and its time alone when it already says this."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def api_entry(name: str, kind: str, cell: Cell, module: str) -> str:
    """The directive that describes one exported name."""
    if kind != "data":
        return f".. auto{kind}:: {module}.{name}"
    value, words = constant(cell.source, name)
    return f".. py:data:: {module}.{name}\n   :value: {shorten(value, 160, placeholder=' ...')}\n\n   {words}"


def api_entries(cell: Cell, page: Page, package: str) -> str:
    """What a cell exports: each function and class folded under its name and first sentence, constants as they are.

    An essay is read for its story; whoever needs the parameters opens the block, and so does a link to the entry.
    """
    parts = []
    for name, kind in cell.names.items():
        entry = f"```{{eval-rst}}\n{api_entry(name, kind, cell, f'{package}.{page.module}')}\n```"
        if kind != "data":
            called = f"{name}()" if kind == "function" else name
            entry = f":::::{{dropdown}} `{called}`: {page.summary(name)}\n:class-container: entry\n{entry}\n:::::"
        parts.append(entry)
    return "\n\n".join(parts)


def only_checks(code: str) -> bool:
    """Whether a cell asserts and does nothing else: the tests need it, and a reader may fold it away."""
    def checks(node: ast.stmt) -> bool:
        if isinstance(node, ast.With):
            return ast.unparse(node.items[0].context_expr).startswith("pytest.raises(")
        if isinstance(node, ast.For):
            return all(map(checks, node.body))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            return ast.unparse(node.value.func).startswith(("np.testing.assert_", "pd.testing.assert_", "test_"))
        return isinstance(node, ast.Assert)

    body = parse(code).body
    return bool(body) and all(map(checks, body))


def folded(what: str) -> dict:
    """The metadata of a cell whose source a reader opens."""
    return {"tags": ["hide-input"], "mystnb": {"code_prompt_show": f"Show {what}", "code_prompt_hide": f"Hide {what}"}}


def names_in_words(names: list[str]) -> str:
    """The first three names, and how many more there are."""
    more = len(names) - 3
    return " and ".join(filter(None, [", ".join(names[:3]), f"{more} more" if more > 0 else ""]))


def code_cell(cell: Cell):
    """A running cell with myst-nb's tags for what is shown of it."""
    made = nbformat.v4.new_code_cell(cell.source)
    tags = {(False, False): ["remove-cell"], (False, True): ["remove-input"], (True, False): ["remove-output"]}
    if cell.folded:
        made.metadata |= folded(f"the code of {names_in_words(cell.folded)}")
    elif hidden := tags.get((cell.show_source, cell.show_output)):
        made.metadata["tags"] = hidden
    elif only_checks(cell.source):
        made.metadata |= folded("what the tests check here")
    if alt := cell.alt or cell.caption:
        made.metadata["mystnb"] = {"image": {"alt": alt}}
        if cell.caption:
            made.metadata["mystnb"]["figure"] = {"caption": cell.caption}
    return made


def page_file(page: Page, docs: Path) -> Path:
    """Where the page is written for Sphinx."""
    return docs / f"{page.name}.ipynb"


def site_links(markdown: str, page: Page, docs: Path) -> str:
    """`../CHANGELOG.md` of the repository is the site's own page `changelog.md`, where there is such a page.

    `../docs/methods.md` is `methods.md`; both are told as seen from the page.
    """
    def own_page(match: re.Match) -> str:
        file = Path(os.path.normpath(page.path.parent / match[1]))
        own = docs / file.name.lower()
        if file.parent not in (docs, docs.parent) or not own.is_file():
            return match[0]
        return f"]({Path(os.path.relpath(own, page_file(page, docs).parent)).as_posix()}"

    return re.sub(r"\]\(((?:\.\./)+(?:docs/)?\w+\.md)", own_page, markdown)


def opening(page: Page) -> str:
    """Title and lead of a page."""
    lead = f"\n\n:::{{div}} lead\n{page.lead}\n:::" if page.lead else ""
    return f"# {page.title}{lead}"


def as_notebook(page: Page, package: Path, docs: Path, after: str = ""):
    """The notebook that myst-nb shows for a page.

    Its first cell runs unseen: it moves to the notebook's own folder, as in JupyterLab and in the tests, and names
    the state of the package, so that the cache of outputs is left when the code behind them changed.
    """
    here = os.path.relpath(page.path.parent, page_file(page, docs).parent)
    start = Cell("code", f"import os\n\nos.chdir({here!r})  # package {fingerprint(page, package)}", runs=True,
                 show_source=False, show_output=False)
    cells = [nbformat.v4.new_markdown_cell(opening(page)), code_cell(start)]
    for cell in page.cells:
        if cell.kind == "markdown":
            cells.append(nbformat.v4.new_markdown_cell(site_links(cell.source, page, docs)))
        elif cell.runs:
            cells.append(code_cell(cell))
        elif cell.show_source:
            cells.append(nbformat.v4.new_markdown_cell(f"```python\n{cell.source}\n```"))
        if cell.names:
            cells.append(nbformat.v4.new_markdown_cell(api_entries(cell, page, package.name)))
    if after:
        cells.append(nbformat.v4.new_markdown_cell(after))
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"display_name": "python3", "language": "python", "name": "python3"}
    meta = {"kernelspec": kernel, MADE: True, "myst": {"html_meta": {"description": page.lead or page.title}}}
    return nbformat.v4.new_notebook(cells=cells, metadata=meta)


def toctree(caption: str, names: list[str]) -> str:
    head = f":caption: {caption}\n" if caption else ""
    return "```{toctree}\n:hidden:\n" + head + "\n" + "\n".join(names) + "\n```"


def summaries(pages: list[Page], package: str) -> dict[str, str]:
    """Full name of each API entry -> what it does, in a line."""
    return {f"{package}.{page.module}.{name}": page.summary(name) for page in pages for name in page.names}


def entries_of(page: Page, pages: list[Page], package: str) -> dict[str, str]:
    """Names that a module exports -> the full names of their API entries, which may stand on another page."""
    passed = {f"{package}.{each.module}.{name}": full
              for each in pages for name, full in origins(each, package).items()}
    found = {name: f"{package}.{page.module}.{name}" for name in [*page.names, *origins(page, package)]}
    for name in found:
        while found[name] in passed:  # a headline may pass on what another headline passes on
            found[name] = passed[found[name]]
    return found


def face_entries(pages: list[Page], package: Path) -> dict[str, str]:
    """Names that the package itself offers -> the full names of their API entries."""
    homes = {page.module: entries_of(page, pages, package.name) for page in pages}
    return {name: homes.get(module, {}).get(name, "") for name, module in face(package).items()}


def api_page(pages: list[Page], package: Path) -> str:
    """All public names, module by module, each linked to its entry; first those of the package itself."""
    words = {full: said.replace("|", "\\|") for full, said in summaries(pages, package.name).items()}
    listed = [(package.name, "Loaded when first used.", face_entries(pages, package))]
    listed += [(f"{package.name}.{page.module}", f"From [{page.title}]({page.name}.ipynb).",
                entries_of(page, pages, package.name)) for page in pages]
    parts = [MADE_MARK + "# API reference\n\n:::{div} lead\nEvery public name, in the order of the notebooks\n:::"]
    for module, origin, entries in listed:
        rows = [f"| {{py:obj}}`~{full}` | {words[full]} |" for full in entries.values() if full in words]
        if rows:
            parts.append("\n".join([f"## {module}\n\n{origin}\n\n| name | what it does |", "|:--|:--|", *rows]))
    return "\n\n".join(parts) + "\n"


def link_names(pages: list[Page], package: Path) -> dict[str, str]:
    """What a backticked name in prose may be called -> the full name of its API entry."""
    short = [name for page in pages for name in page.names]
    names = {f"{page.module}.{name}": full for page in pages
             for name, full in entries_of(page, pages, package.name).items()}
    names |= {f"{package.name}.{name}": full for name, full in [*names.items(), *face_entries(pages, package).items()]}
    return names | {name: f"{package.name}.{page.module}.{name}" for page in pages for name in page.names
                    if short.count(name) == 1}


def read_pages(folder: Path) -> list[Page]:
    """The notebooks of a folder as pages, in their declared order."""
    try:
        if wrong := disagreements(folder):
            raise ConfigError("\n".join(wrong))
        return [read_page(path, folder) for path in notebooks(folder)]
    except (ValueError, FileNotFoundError) as error:
        raise ConfigError(str(error)) from None


def family_page(title: str, rooms: list[Page]) -> str:
    """The page of a family of rooms: each with its question."""
    rows = [f"| [{room.title}](../{room.name}.ipynb) | {room.lead} |" for room in rooms]
    lead = f":::{{div}} lead\n{len(rooms)} notebooks below the essays, from the ground up, each with its tests\n:::"
    table = "\n".join(["| room | what it is about |", "|:--|:--|", *rows])
    return f"{MADE_MARK}# {title}\n\n{lead}\n\n{table}\n\n" + toctree("", [f"/{room.name}" for room in rooms]) + "\n"


def family_pages(folder: Path, pages: list[Page]) -> dict[str, str]:
    """Names of the families' pages in the declared order, and their texts; headlines stand elsewhere."""
    rooms = {page.path: page for page in pages if "/" in page.name}
    families = {section.title: [rooms[path] for path in section.notebooks if path in rooms]
                for section in sections(folder)}
    return {f"rooms/{re.sub(r'[^a-z]+', '-', title.lower())}": family_page(title, inside)
            for title, inside in families.items() if inside}


def toctrees(folder: Path, pages: list[Page], families: list[str], reference: list[str]) -> str:
    """The site's sidebar: the headlines by question, what stands beside the notebooks, and the rooms by family."""
    names = {page.path: page.name for page in pages}
    parts = [(section.title, [names[path] for path in section.notebooks]) for section in reading(folder)]
    return "\n\n".join(toctree(title, inside) for title, inside in
                       [*parts, ("Reference", reference), ("Rooms", families)] if inside)


def remove_stale_pages(docs: Path, written: set[Path]) -> None:
    """Take away the pages of notebooks and families that are gone, and folders that are empty then."""
    for stale in {*docs.rglob("*.ipynb"), *docs.glob("rooms/*.md")} - written:
        text = stale.read_text(encoding="utf-8")
        if text.startswith(MADE_MARK) or stale.suffix == ".ipynb" and MADE in json.loads(text).get("metadata", {}):
            stale.unlink()
            if stale.parent != docs and not any(stale.parent.iterdir()):
                stale.parent.rmdir()


def write_pages(app: Sphinx, config) -> None:
    """Write the notebooks and the API page where Sphinx finds them."""
    docs = Path(app.srcdir)
    folder, package = (Path(os.path.normpath(docs / name)) for name in (config.nbsite_nbs, config.nbsite_package))
    pages = read_pages(folder)
    if not any(page.name == "index" for page in pages):
        raise ConfigError(f"No index.ipynb in {config.nbsite_nbs}: it is the site's first page.")
    rest = [page for page in pages if page.name != "index"]
    families = family_pages(folder, pages)
    after = toctrees(folder, pages, list(families), ["figures", "api", *config.nbsite_pages])
    for page in pages:
        made = as_notebook(page, package, docs, after if page.name == "index" else "")
        write_if_changed(page_file(page, docs), json.dumps(made, indent=1, ensure_ascii=False, sort_keys=True) + "\n")
    write_if_changed(docs / "api.md", api_page(rest, package))
    for name, text in families.items():
        write_if_changed(docs / f"{name}.md", text)
    remove_stale_pages(docs, {page_file(page, docs) for page in pages} | {docs / f"{name}.md" for name in families})
    config.nbsite_names = link_names(rest, package)
    config.nbsite_essays = [path.stem for section in reading(folder) for path in section.notebooks]


# ---------------------------------------------------------------- names in prose

class LinkNames(SphinxPostTransform):
    """Link a name in backticks to its API entry, unless it stands in a heading (of a block too) or is a link."""

    default_priority = 5  # before pending references are resolved

    def run(self, **kwargs) -> None:
        names = self.config.nbsite_names
        apart = (nodes.reference, pending_xref, nodes.title, nodes.rubric, nodes.term)
        for literal in list(self.document.findall(nodes.literal)):
            called = literal.astext().removesuffix("()")
            head = called if called in names else called.rpartition(".")[0]  # a method is linked by its class's name
            if head not in names or _inside(literal, apart):
                continue
            target = names[head] + called[len(head):]
            link = pending_xref("", refdomain="py", reftype="obj", reftarget=target, refexplicit=True,
                                refwarn=False, refdoc=self.env.docname)
            literal.replace_self(link)
            link += literal


class TidyEntries(SphinxPostTransform):
    """Small corrections of what autodoc, napoleon and pandas wrote."""

    default_priority = 6

    def run(self, **kwargs) -> None:
        for label in self.document.findall(nodes.field_name):
            if label.astext() == "Variables":  # napoleon's word for what numpydoc calls Attributes
                label.children = [nodes.Text("Attributes")]
        for line in list(self.document.findall(nodes.paragraph)):
            if line.astext() == "Bases: object" and isinstance(line.parent, desc_content):
                line.parent.remove(line)
        for link in list(self.document.findall(pending_xref)):
            # The n of a shape (n, d) is not the attribute n of a class.
            if link.get("refspecific") and len(link.get("reftarget", "")) == 1:
                link.replace_self(nodes.emphasis("", link["reftarget"]))
        for raw in self.document.findall(nodes.raw):
            if 'class="dataframe"' in raw.astext():
                raw.children = [nodes.Text(words_left(raw.astext()))]


NUMBER = re.compile(r"[-+\d.,:%]*|-?inf|NaN|NaT|True|False|None|<NA>|&lt;NA&gt;|[-+\d.]+e[-+]?\d+", re.I)

LONG = 50  # letters of a cell that may wrap


def words_left(html: str) -> str:
    """Mark the columns of a pandas table that hold words, which read better from the left; numbers stay right.

    Sentences are marked as long: they wrap, where names and numbers stay on one line.
    """
    if "span=" in html:
        return html  # merged cells: the place in the row does not tell the column
    rows = [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S) for row in re.findall(r"<tr.*?</tr>", html, re.S)]
    words = {i for row in rows[1:] for i, cell in enumerate(row) if not NUMBER.fullmatch(cell.strip())}

    def mark_row(row: re.Match) -> str:
        place = count()

        def mark(cell: re.Match) -> str:
            tag, text = cell[1], cell[2]
            long = " long" if len(text) > LONG else ""
            return f'<{tag} class="words{long}">{text}</{tag}>' if next(place) in words else cell[0]

        return re.sub(r"<(t[hd])>(.*?)</\1>", mark, row[0], flags=re.S)

    return re.sub(r"<tr.*?</tr>", mark_row, html, flags=re.S)


def _inside(node: nodes.Node, kinds: tuple) -> bool:
    while node.parent is not None:
        node = node.parent
        if isinstance(node, kinds):
            return True
    return False


# ---------------------------------------------------------------- docstrings

FOOTNOTE = re.compile(r"^(?P<indent>\s*)\.\. \[(?P<mark>[\w-]+)\]\s+(?P<text>.*)$")


def plain_references(app, what, name, obj, options, lines) -> None:
    """numpydoc's `.. [1]` as a list: several entries on one page would otherwise all own footnote 1."""
    out, indent = [], None
    for line in lines:
        if match := FOOTNOTE.match(line):
            indent = len(match["indent"])
            out.append(f"{match['indent']}- [{match['mark']}] {match['text']}")
        elif indent is not None and line.strip() and len(line) - len(line.lstrip()) > indent:
            out.append(" " * (indent + 2) + line.strip())
        else:
            indent = None if line.strip() else indent
            out.append(re.sub(r"\[(\w+)\]_(?!\w)", r"[\1]", line))
    lines[:] = out


def skip_inherited(app, what, name, obj, skip, options):
    """Leave out what others put on our classes: scikit-learn's `set_fit_request`..., a NamedTuple's field numbers."""
    routing = re.fullmatch(r"set_\w+_request|get_metadata_routing", name)
    return True if routing or str(getattr(obj, "__doc__", "")).startswith("Alias for field number") else skip


def readable_defaults(app, what, name, obj, options, signature, returns):
    """A default without a source form (`<factory>`, `<object at ...>`) would keep Sphinx from reading the signature.

    And an alias that is kept by its name (`autodoc_type_aliases`) is told by its name alone, also inside a union.
    """
    def plain(text):
        return text and re.sub(r"TypeAliasForwardRef\('([\w.]+)'\)", r"\1", re.sub(r"= ?<[^<>]*>", "= ...", text))

    return plain(signature), plain(returns)


# ---------------------------------------------------------------- what the built site needs

def copy_mathjax(app: Sphinx) -> None:
    """Formulas without the network: the part of MathJax that a page needs (2 of 24 MB), and `conf.py` points there."""
    if app.builder.format != "html":
        return
    spec = find_spec("sphinx-mathjax-offline")
    if spec is None:
        raise ConfigError("sphinx-mathjax-offline is missing: pip install -e '.[docs]'")
    source, target = Path(spec.origin).parent / "static" / "mathjax", Path(app.outdir) / "_static" / "mathjax"
    for part in ("tex-chtml.js", "input/tex/extensions", "output/chtml/fonts"):
        if not (target / part).exists():
            (target / part).parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if (source / part).is_dir() else shutil.copy)(source / part, target / part)


def check_site(app: Sphinx, exception: Exception | None) -> None:
    """The last word of a build: nothing from another host, no picture without words, no warning of a library."""
    if exception or app.builder.format != "html":
        return
    for found in external_resources(app.outdir):
        LOG.warning("fetched from another host: %s", found)
    for found in images_without_alt(app.outdir):
        LOG.warning("no words for a picture: %s (add `#| fig-alt: what it shows` to the cell that draws it)", found)
    for found in warnings_shown(app.outdir):
        LOG.warning("a warning stands on a page: %s (mend its cause, or expect it in the cell)", found)


def setup(app: Sphinx) -> dict:
    app.add_config_value("nbsite_nbs", "../nbs", "env")
    app.add_config_value("nbsite_package", "", "env")
    app.add_config_value("nbsite_pages", [], "env")
    app.add_config_value("nbsite_names", {}, "env")
    app.add_config_value("nbsite_essays", [], "env")
    app.connect("config-inited", write_pages)
    app.connect("builder-inited", copy_mathjax)
    app.connect("autodoc-process-docstring", plain_references, priority=900)
    app.connect("autodoc-skip-member", skip_inherited)
    app.connect("autodoc-process-signature", readable_defaults)
    app.connect("build-finished", check_site)
    app.add_post_transform(LinkNames)
    app.add_post_transform(TidyEntries)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
