"""The site: what each directive does to a page, and a whole small site built as the real one is."""

import asyncio
import functools
import json
import os
import re
import runpy
import shutil
import subprocess
import sys

import disksearch
import matplotlib.pyplot as plt
import nbformat
import nborder
import nbpages
import nbsite
import offline
import pytest
from layout import NBS, NOTEBOOKS, ROOT, notebook_name

# ---------------------------------------------------------------- small notebooks

def notebook(path, *cells):
    """Write a notebook; a cell is code, or Markdown when it is given as ("md", text)."""
    made = [nbformat.v4.new_markdown_cell(cell[1]) if isinstance(cell, tuple) else nbformat.v4.new_code_cell(cell)
            for cell in cells]
    for number, cell in enumerate(made):
        cell["id"] = f"c{number}"
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=made), path)
    return path


def order(folder, *names, **sections):
    """Write the declared order: notebooks of no section, and sections by their titles."""
    lines = [f"- {name}.ipynb" for name in names]
    for title, inside in sections.items():
        lines += [f"- section: {title}", "  contents:", *(f"  - {name}.ipynb" for name in inside)]
    indented = "\n".join("      " + line for line in lines)
    (folder / "sidebar.yml").write_text(f"website:\n  sidebar:\n    contents:\n{indented}\n", encoding="utf-8")


def page(tmp_path, *cells):
    return nbpages.read_page(notebook(tmp_path / "00_rows.ipynb", ("md", "# Rows"), *cells))


def only_cell(tmp_path, source):
    cells = page(tmp_path, source).cells
    assert len(cells) == 1
    return cells[0]


MODULE = '''
from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

LIMIT = 1.5  # standard deviations

def spread(x, *, axis=0):
    """The standard deviation along an axis.

    Parameters
    ----------
    x : ndarray of shape (n, k), float64
        Rows.

    References
    ----------
    .. [1] Ester, M. and others (1996). A density-based
       algorithm.
    """
    return np.std(x, axis=axis)

class Ruler:
    """Measures, as [1]_ says.

    Attributes
    ----------
    unit : str
        Its unit.

    References
    ----------
    .. [1] Another work.
    """

    def __init__(self, unit="km", kind=object()):
        self.unit = unit

    def along(self, x: ArrayLike | None = None) -> ArrayLike | None:
        """Itself."""
        return x

    def measure(self, a, b):
        """The distance from `a` to `b`; see ``spread``."""
        return abs(a - b)

def _private():
    """Nobody's business."""
'''.strip()


FACE = """
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tiny.rows import Ruler, depth
""".strip()

INNER = '''
def depth(x):
    """How deep it lies."""
    return x
'''.strip()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A project of three notebooks with the real `docs/`, built with warnings as errors."""
    root = tmp_path_factory.mktemp("site")
    project(root)
    done = build(root)
    assert done.returncode == 0, done.stderr[-3000:]
    return root


def project(root):
    """Everything that the real project's site is made of, but small."""
    shutil.copytree(ROOT / "docs", root / "docs",
                    ignore=shutil.ignore_patterns("*.ipynb", "api.md", "__pycache__", "methods.md", "architecture.md",
                                                  "coming_from_*.md", "gpu.md"))
    (root / "tiny" / "deep").mkdir(parents=True)
    for name, text in {"__init__": FACE, "deep/__init__": "", "deep/inner": INNER,
                       "rows": f"{MODULE}\n\nfrom .deep.inner import depth"}.items():
        (root / "tiny" / f"{name}.py").write_text(text + "\n", encoding="utf-8")
    (root / "CHANGELOG.md").write_text("# Changelog\n\n## 0.1.0\n\n- First.\n", encoding="utf-8")
    (root / "CONTRIBUTING.md").write_text("# Contributing\n\nIn [our words](docs/glossary.md).\n", encoding="utf-8")
    (root / "LICENSE").write_text("Free.\n", encoding="utf-8")
    (root / "settings.ini").write_text(
        "[DEFAULT]\nlib_path = tiny\ntitle = tiny\nauthor = The tiny authors\n"
        "copyright = 2026, The tiny authors\nversion = 0.1.0\n", encoding="utf-8")
    notebook(
        root / "nbs" / "deep" / "00_inner.ipynb",
        "#| default_exp deep.inner",
        ("md", "# Deep inside\n\n> A room of a family.\n\nUsed by [rows](../00_rows.ipynb#rows-apart), `rows.depth`; "
               "[licence](../../LICENSE), [what changed](../../CHANGELOG.md)."),
        "#| export\n" + INNER,
        "#| exporti\ndef _halved(x):\n    return x / 2",
        "import os\nprint('ran in', os.path.basename(os.getcwd()), depth(1))",
    )
    notebook(
        root / "nbs" / "00_rows.ipynb",
        "#| default_exp rows",
        "#| export\nfrom tiny.deep.inner import depth",
        "#| export\n_all_ = [depth]",
        ("md", "# Rows apart\n\n> One line of lead.\n\nUse `spread` or `Ruler.measure`, not `len`; $r^2$. "
               "All of it is in `tiny.Ruler`."),
        ("md", "A {term}`sounding`."),
        "#| export\n" + MODULE,
        "#| hide\nhidden_secret = 1",
        "import os\nprint('ran in', os.path.basename(os.getcwd()))",
        "#| echo: false\nprint('output without source')",
        "import pandas as pd\npd.DataFrame({'name': ['a', 'b'], 'value': [1.5, -2.0]})",
        "#| eval: false\nraise RuntimeError('shown, not run')",
        "#| slow\nraise RuntimeError('neither shown nor run')",
        "#| fig-alt: A falling line\n#| fig-cap: It falls\nimport matplotlib.pyplot as plt\nplt.plot([2, 1]);",
        "show_doc(Ruler)",
        "#| hide\nimport nbdev; nbdev.nbdev_export()",
    )
    notebook(root / "nbs" / "index.ipynb", ("md", "# tiny\n\n> What it is.\n\nRead [rows](00_rows.ipynb#rows-apart), "
                                            "[inside](deep/00_inner.ipynb); [licence](../LICENSE); "
                                            "[what changed](../CHANGELOG.md)."))
    order(root / "nbs", Start=["index"], Deep=["deep/00_inner"], Rows=["00_rows"])


def build(root):
    pytest.importorskip("myst_nb", reason="no Sphinx (extra docs); the code and the names of a page are tried below")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "docs", "_build/html"]
    env = {**os.environ, "PYTHONPATH": "", "MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    return subprocess.run(command, cwd=root, env=env, capture_output=True, text=True, timeout=300)


def html(root, name="00_rows"):
    return (root / "_build" / "html" / f"{name}.html").read_text(encoding="utf-8")


# ---------------------------------------------------------------- directives

@pytest.mark.parametrize("head, runs, source, output", [
    ("", True, True, True),
    ("#| hide", True, False, False),
    ("#|hide", True, False, False),
    ("# | hide:", True, False, False),
    ("#| include: false", True, False, False),
    ("#| export", True, False, False),
    ("#| exporti", True, False, False),
    ("#| exports", True, True, True),
    ("#| echo: false", True, False, True),
    ("#| hide_input", True, False, True),
    ("#| output: false", True, True, False),
    ("#| hide_output", True, True, False),
    ("#| eval: false", False, True, True),
    ("#| eval: true", True, True, True),
    ("#| notest", False, True, True),
    ("#| torch", False, True, True),
    ("#| torch\n#| hide", False, False, False),
    ("#| unheard-of: 3", True, True, True),
])
def test_directive(tmp_path, head, runs, source, output):
    cell = only_cell(tmp_path, f"{head}\nx = 1  # one")
    assert (cell.runs, cell.show_source, cell.show_output) == (runs, source, output)
    assert cell.source == "x = 1  # one"


@pytest.mark.parametrize("source", [
    "#| default_exp rows", "#| slow\nlong()", "show_doc(Ruler)", "nbdev.show_doc(Ruler.measure)",
    "#| hide\nimport nbdev; nbdev.nbdev_export()", "#| hide\nfrom nbdev import nbdev_export\nnbdev_export()", "",
])
def test_dropped(tmp_path, source):
    assert page(tmp_path, source).cells == []


def test_two_directives_and_an_ordinary_comment(tmp_path):
    cell = only_cell(tmp_path, "#| eval: false\n#| fig-alt: 'A line: it falls'\n# why\ny = 2\n#| late\nz = 3")
    assert not cell.runs and cell.alt == "A line: it falls"
    assert cell.source == "# why\ny = 2\n#| late\nz = 3"  # nbdev too reads directives above the code alone


def test_cell_magic_stays_on_top(tmp_path):
    assert only_cell(tmp_path, "%%time\n#| echo: false\nx = 1").source == "%%time\nx = 1"
    assert only_cell(tmp_path, "%matplotlib inline\nx = 1").names == {}


def test_title_lead_and_module(tmp_path):
    opening = ("md", "# Rows\n\n> one\n> line\n\ntext")
    made = nbpages.read_page(notebook(tmp_path / "n.ipynb", "#| default_exp rows", opening))
    assert (made.title, made.lead, made.module) == ("Rows", "one line", "rows")
    assert [cell.source for cell in made.cells] == ["text"]


def test_no_title_is_told(tmp_path):
    with pytest.raises(ValueError, match="n.ipynb: the first markdown cell must open with '# Title'"):
        nbpages.read_page(notebook(tmp_path / "n.ipynb", ("md", "text")))


def test_public_names_of_exported_cells_alone(tmp_path):
    made = page(tmp_path, "#| export\n" + MODULE, "def helper(): pass", "#| exporti\ndef inner(): pass")
    assert made.names == {"LIMIT": "data", "spread": "function", "Ruler": "class"}
    assert made.summary("spread") == "The standard deviation along an axis."
    assert made.summary("LIMIT") == "standard deviations"
    assert nbpages.constant("# One,\n# two.\nA = 'x # y'", "A") == ("'x # y'", "One, two.")


def test_order_is_what_the_list_says(tmp_path):
    for name in ["90_cli", "04a_isolate", "ground/00_files", "index", "_draft", "ground/.ipynb_checkpoints/00_files"]:
        notebook(tmp_path / f"{name}.ipynb", ("md", "# T"))
    order(tmp_path, "index", Ground=["ground/00_files"], Shell=["90_cli", "04a_isolate"], Later=[])
    assert [path.stem for path in nborder.notebooks(tmp_path)] == ["index", "00_files", "90_cli", "04a_isolate"]
    assert [section.title for section in nborder.sections(tmp_path)] == ["Notebooks", "Ground", "Shell"]
    assert nborder.disagreements(tmp_path) == []


def test_a_list_that_lacks_a_notebook_is_told(tmp_path):
    for name in ["a", "b/c"]:
        notebook(tmp_path / f"{name}.ipynb", ("md", "# T"))
    order(tmp_path, "a", "a", "gone")
    told = nborder.disagreements(tmp_path)
    assert [line.split(",")[0].split(":")[0] for line in told] == [
        "b/c.ipynb is not in sidebar.yml", "gone.ipynb is in sidebar.yml", "a.ipynb is in sidebar.yml twice"]


def test_a_headline_stands_where_a_reader_meets_it(tmp_path):
    for name in ["index", "a", "b", "c/d"]:
        notebook(tmp_path / f"{name}.ipynb", ("md", "# T"))
    order(tmp_path, "index", "a", "b", C=["c/d"])
    assert [(each.title, [path.stem for path in each.notebooks]) for each in nborder.reading(tmp_path)] == [
        ("Essays", ["a", "b"])]
    with (tmp_path / "sidebar.yml").open("a") as file:
        file.write("\nreading:\n  - section: Odd rows\n    contents: [b.ipynb, c/d.ipynb]\n")
    told = nborder.disagreements(tmp_path)
    assert [line.split(":")[0] for line in told] == [
        "a.ipynb is not under `reading` of sidebar.yml",
        "c/d.ipynb is under `reading` of sidebar.yml, but it is no headline"]


@pytest.mark.parametrize("said, module", [("#| default_exp ground.files", "ground.files"), ("x = 1", None),
                                          ("#|default_exp soundings.__init__", "soundings")])
def test_module_of_a_notebook(tmp_path, said, module):
    path = notebook(tmp_path / "n.ipynb", ("md", "# T"), said)
    assert nborder.module_of(path) == nbpages.read_page(path).module == module


def test_what_a_headline_passes_on(tmp_path):
    made = page(tmp_path, "#| export\nfrom tiny.deep.inner import depth, deeper as far\nfrom os import path",
                "#| export\n_all_ = [depth, 'far', path]", "_all_ = [mine]")
    assert nbpages.origins(made, "tiny") == {"depth": "tiny.deep.inner.depth", "far": "tiny.deep.inner.deeper"}


def test_fingerprint_follows_imports(tmp_path):
    """A page's outputs are made anew when a module it runs changed, also through another one, and not otherwise."""
    package = tmp_path / "tiny"
    (package / "deep").mkdir(parents=True)
    for name, text in {"rows": "", "a": "from tiny.b import f", "b": "from .deep import d", "c": "g = 1",
                       "deep/__init__": "", "deep/d": "from ..e import f\nfrom .h import i", "deep/h": "",
                       "e": ""}.items():
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    (package / "__init__.py").write_text(FACE + "\n    from tiny.a import f\n", encoding="utf-8")
    made = page(tmp_path, "from tiny import f")
    seen = [nbpages.fingerprint(made, package)]
    for name in ["c", "rows", "a", "b", "deep/__init__", "deep/d", "e", "deep/h"]:
        with (package / f"{name}.py").open("a", encoding="utf-8") as file:
            file.write("\n# changed")
        seen.append(nbpages.fingerprint(made, package))
    assert seen[0] == seen[1] == seen[2], "nothing imports c, and rows is for the type checker alone"
    assert len(set(seen[2:])) == 7, "each of the others is imported, by its name or by its folder"


def test_fingerprint_follows_names_that_a_family_loads_late(tmp_path):
    """`from tiny.deep import d` runs `deep/room`, and `from tiny import d`, which `deep` passes on, does, too."""
    package = tmp_path / "tiny"
    (package / "deep").mkdir(parents=True)
    late = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from tiny.deep{} import d\n"
    for name, text in {"__init__": late.format(""), "deep/__init__": late.format(".room"),
                       "deep/room": "from .below import f", "deep/below": "", "deep/other": ""}.items():
        (package / f"{name}.py").write_text(text, encoding="utf-8")
    for code in ("from tiny.deep import d", "from tiny import d"):
        made, seen = page(tmp_path, code), []
        for name in ("deep/other", "deep/room", "deep/below"):
            seen.append(nbpages.fingerprint(made, package))
            (package / f"{name}.py").write_text(f"from .below import f\n# after {code}", encoding="utf-8")
        seen.append(nbpages.fingerprint(made, package))
        assert seen[0] == seen[1] and len(set(seen)) == 3, code


@functools.cache
def pages_of_this_project():
    """Every notebook as a page; to read them takes seconds."""
    return [nbpages.read_page(path) for path in NOTEBOOKS]


def test_notebooks_of_this_project_are_pages():
    pages = pages_of_this_project()
    assert all(made.lead for made in pages), "each notebook has a `> subtitle` under its title"
    assert len({made.title for made in pages}) == len(pages)


def test_a_cell_that_draws_says_what_it_draws():
    """The site refuses a picture without words; most are found here, without building it."""
    draws = re.compile(r"\bplt\.(show|subplots|figure|plot|imshow|gca|hist|scatter)\(")
    cells = [(page.path.name, cell) for page in pages_of_this_project() for cell in page.cells
             if cell.kind == "code" and cell.runs and cell.show_output and draws.search(cell.source)]
    assert len(cells) > 30 and [name for name, cell in cells if not (cell.alt or cell.caption)] == []


def test_the_first_page_names_every_headline():
    """The notebooks of the folder itself; those of a family are named by its headline and by the sidebar."""
    index = (NBS / "index.ipynb").read_text(encoding="utf-8")
    others = [path.name for path in NOTEBOOKS if path.parent == NBS and notebook_name(path) != "index"]
    assert [name for name in others if f"]({name})" not in index] == []


# ---------------------------------------------------------------- the site

@pytest.mark.slow
def test_hidden_cells_run_unseen(site):
    text = html(site)
    assert "hidden_secret" not in text and "default_exp" not in text and "nbdev_export" not in text
    assert "output without source" in text and "echo" not in text
    assert "shown, not run" in text and "neither shown nor run" not in text
    assert "#|" not in text and "show_doc" not in text


@pytest.mark.heavy
def test_runs_where_the_notebook_lies(site):
    assert "ran in nbs" in html(site) and "ran in deep 1" in html(site, "deep/00_inner")


def test_title_and_lead_on_the_page(site):
    text = html(site)
    assert "<title>Rows apart" in text
    assert re.search(r'<div class="[^"]*\blead\b[^"]*">\s*<p>One line of lead.</p>', text)
    assert '<meta content="One line of lead." name="description"' in text


def test_api_entries_and_links(site):
    text = html(site)
    for name in ["LIMIT", "spread", "Ruler", "Ruler.measure"]:
        assert f'id="tiny.rows.{name}"' in text
    assert "_private" not in text
    assert 'href="#tiny.rows.spread"' in text and 'href="#tiny.rows.Ruler.measure"' in text
    assert re.search(r"not <code [^>]*><span [^>]*>len</span></code>", text)  # not ours: no link
    assert 'href="00_rows.html#tiny.rows.spread"' in html(site, "api")
    inner = html(site, "deep/00_inner")
    assert 'id="tiny.deep.inner.depth"' in inner
    opened = re.search(r'<details class="[^"]*\bhide\b.*?</details>', inner, re.S)[0]
    assert "Show the code of _halved" in opened and inner.count("_halved") == opened.count("_halved")
    twice = html(site, "api").count('href="deep/00_inner.html#tiny.deep.inner.depth"')
    assert twice == 3, "under the package itself, the room, and the headline"
    assert len(re.findall('href="00_rows.html#tiny.rows.Ruler"', html(site, "api"))) == 2
    assert 'href="#tiny.rows.Ruler"' in text, "tiny.Ruler leads to the entry"
    assert 'href="#tiny.deep.inner.depth"' in html(site, "deep/00_inner"), "rows.depth leads to the room's entry"
    assert "Variables" not in text and "Bases: object" not in text
    assert "ArrayLike" in text and "ForwardRef" not in text


def test_references_of_two_docstrings_live_on_one_page(site):
    text = " ".join(re.sub(r"<[^>]+>", "", html(site)).split())
    assert "[1] Ester, M. and others (1996). A density-based algorithm." in text and "[1] Another work." in text


def test_landing_page(site):
    text = html(site, "index")
    assert "<h1>tiny" in text and 'href="00_rows.html#rows-apart"' in text
    assert 'href="changelog.html"' in text and 'href="deep/00_inner.html"' in text
    heads = re.findall(r'<p class="caption"[^>]*><span class="caption-text">(.*?)</span>', text)
    assert heads == ["Essays", "Reference", "Rooms"], "first what is read, then what is looked up, last what is below"
    assert re.search(r'href="rooms/deep.html">Deep</a>.*?href="deep/00_inner.html">Deep inside</a>', text, re.S)


def test_a_family_of_rooms_has_a_page(site):
    text = html(site, "rooms/deep")
    assert "<h1>Deep" in text and "A room of a family." in text and 'href="../deep/00_inner.html"' in text
    assert not (site / "docs" / "rooms" / "rows.md").exists(), "a headline is no room"


def test_entries_are_folded_and_constants_are_not(site):
    text = html(site)
    fold = r'<details class="[^"]*entry[^"]*">\s*<summary.*?>(.*?)</summary>(.*?)</details>'
    folds = dict(re.findall(fold, text, re.S))
    told = [" ".join(re.sub("<[^>]+>", "", title).split()) for title in folds]
    assert "spread(): The standard deviation along an axis." in told and len(told) == 2
    names = zip(("spread", "Ruler"), folds.values(), strict=True)
    assert all(f'id="tiny.rows.{name}"' in inside for name, inside in names)
    assert 'id="tiny.rows.LIMIT"' in text and 'id="tiny.rows.LIMIT"' not in "".join(folds.values())
    assert "site.js" in text, "a link to an entry opens it"


@pytest.mark.parametrize("code, yes", [
    ("assert 1", True), ("for i in (1, 2):\n    assert i", True), ("x = 1\nassert x", False), ("1 + 1", False),
    ("with pytest.raises(InputError):\n    isolate(3)", True), ("with open('a') as f:\n    f.read()", False),
    ("np.testing.assert_allclose(1, 1)\nassert 1", True), ("print(1)", False), ("", False), ("%time assert 1", False)])
def test_a_cell_that_only_checks_is_folded(code, yes):
    assert nbsite.only_checks(code) is yes


@pytest.mark.parametrize("head, code, folded", [
    ("#| exporti", "def one(): pass\nclass _Two: pass", ["one", "_Two"]),
    ("#| export", "_LEAST, _MOST = 1, 2\n_kept: dict = {}", ["_LEAST", "_MOST", "_kept"]),
    ("#| export", "def _one(): pass\ndef spread(): pass", []), ("#| export", "import os", []),
    ("#| export", "_all_ = [spread]", []), ("", "def _one(): pass", []), ("#| hide", "def _one(): pass", [])])
def test_definitions_without_an_api_entry(tmp_path, head, code, folded):
    assert only_cell(tmp_path, f"{head}\n{code}").folded == folded


def test_a_room_shows_such_code_folded(tmp_path):
    nbsite = pytest.importorskip("nbsite", reason="no Sphinx (extra docs); the names are tested above")
    made = nbsite.code_cell(only_cell(tmp_path, "#| exporti\ndef _a(): pass\ndef _b(): pass\n_C = 1\n_D = 2\n_E = 3"))
    assert made.metadata["tags"] == ["hide-input"]
    assert made.metadata["mystnb"]["code_prompt_show"] == "Show the code of _a, _b, _C and 2 more"


def test_every_figure_stands_on_one_page(site):
    text = html(site, "figures")
    [card] = re.findall(r'<a class="[^"]*drawn[^"]*" href="([^"]*)">(.*?)</a>', text, re.S)
    page, _, anchor = card[0].partition("#")
    assert page == "00_rows.html" and f'id="{anchor}"' in html(site) and "A falling line" in card[1]
    assert (site / "_build" / "html" / re.search('src="([^"]*)"', card[1])[1]).is_file()


def test_links_of_a_page_that_lies_outside_the_docs(site):
    assert re.search(r'href="glossary.html">(<[^>]*>)*our words', html(site, "contributing"))


def test_links_of_a_page_in_a_folder(site):
    text = html(site, "deep/00_inner")
    assert 'href="../00_rows.html#rows-apart"' in text and 'href="../changelog.html"' in text
    assert re.search(r'href="\.\./_downloads/\w+/LICENSE"', text)


def test_words_of_a_table_stand_left(site):
    text = html(site)
    assert '<th class="words">name</th>' in text and '<td class="words">a</td>' in text
    assert "<th>value</th>" in text and "<td>1.5</td>" in text


def test_sentences_of_a_table_wrap():
    """A name or a number stays on one line; a reason is read to its end without moving the table."""
    why = "xco2 14.5 ppm above its 140 neighbours within 20 km of its own pass"
    rows = "".join(f"<tr><th>{k}</th><td>near</td><td>{why}</td><td>1.5</td></tr>" for k in range(2))
    head = "<tr><th></th><th>kind</th><th>reason</th><th>score</th></tr>"
    told = nbsite.words_left(f'<table class="dataframe">{head}{rows}</table>')
    assert f'<td class="words long">{why}</td>' in told and '<td class="words">near</td>' in told
    assert "<td>1.5</td>" in told and '<th class="words">reason</th>' in told


def test_picture_has_words(site):
    text = html(site)
    assert 'alt="A falling line"' in text and "It falls" in text
    assert offline.images_without_alt(site / "_build" / "html") == []


def test_needs_no_network(site):
    built = site / "_build" / "html"
    assert offline.external_resources(built) == []
    assert (built / "_static/mathjax/tex-chtml.js").is_file() and "_static/mathjax/tex-chtml.js" in html(site)
    assert len(list((built / "_static/mathjax/output/chtml/fonts/woff-v2").glob("*.woff"))) > 20
    assert (built / ".nojekyll").is_file()  # else a forge hides the folders that begin with _


def test_no_local_path_on_any_page(site):
    assert [path for path in (site / "_build/html").rglob("*.html") if str(site) in path.read_text("utf-8")] == []


def test_notebooks_are_not_touched(site):
    made = json.loads((site / "nbs/00_rows.ipynb").read_text(encoding="utf-8"))
    assert all(cell["cell_type"] == "markdown" or not cell["outputs"] for cell in made["cells"])


@pytest.mark.slow
def test_second_build_runs_nothing_and_sees_a_change(site):
    def executions():
        return len(list((site / "_build/.jupyter_cache/executed").iterdir()))

    before, page_time = executions(), (site / "_build/html/00_rows.html").stat().st_mtime_ns
    assert build(site).returncode == 0
    assert executions() == before and (site / "_build/html/00_rows.html").stat().st_mtime_ns == page_time
    (site / "tiny/rows.py").write_text(MODULE.replace("an axis", "one axis") + "\n", encoding="utf-8")
    path = site / "nbs/00_rows.ipynb"
    told = path.read_text(encoding="utf-8")
    path.write_text(told.replace("output without", "a new output without"), encoding="utf-8")
    done = build(site)
    assert done.returncode == 0, done.stderr
    assert "a new output without source" in html(site) and "deviation along one axis" in html(site)


def test_pages_run_in_copies_of_one_process(tmp_path):
    """Each in its own copy and its folder, with what was imported before; a page that fails is left to myst-nb."""
    nbahead = pytest.importorskip("nbahead", reason="no Sphinx (extra docs); the notebooks are run as tests")
    say = "import os, sys\nprint('wave' in sys.modules, os.getcwd(), os.getppid(), os.getpid())"
    child = "import subprocess\nsubprocess.run(['true']).returncode"
    cells = {"one": [say, "x = 1"], "two": [say, "x"], "three": [child]}
    books = {}
    for name, sources in cells.items():
        path = notebook(tmp_path / name / "page.ipynb", *sources)
        books[name] = path, nbformat.read(path, as_version=4)

    async def run_all():
        return await asyncio.gather(*(nbahead.run_page(*book, 120) for book in books.values()))

    with nbahead.running_nursery(["wave", "no_such_module"]):
        seconds = dict(zip(books, asyncio.run(run_all())))
    assert seconds["one"] and seconds["three"] and seconds["two"] is None, "x is the other page's"
    told = [books[name][1].cells[0].outputs[0].text.split() for name in ("one", "two")]
    assert [each[:2] for each in told] == [["True", str(tmp_path / name)] for name in ("one", "two")]
    assert told[0][2] == told[1][2] and told[0][3] != told[1][3]
    assert books["three"][1].cells[0].outputs[0].data["text/plain"] == "0"


@pytest.mark.parametrize("cells, told", [
    pytest.param(["1 / 0"], ["ZeroDivisionError"], marks=pytest.mark.slow),
    pytest.param(["#| hide\nassert 1 == 2, 'a hidden test fails'"], ["a hidden test fails"], marks=pytest.mark.slow),
    (["import matplotlib.pyplot as plt\nplt.plot([2, 1]);", ("md", "See [nothing](01_absent.ipynb)."),
      ("md", "![a mark](https://example.org/mark.svg)"), "import warnings\nwarnings.warn('a column is constant')"],
     ["a warning stands on a page: 00_rows.html: UserWarning: a column is constant", "01_absent.ipynb",
      "no words for a picture: 00_rows.html: picture 1, after 'plt.plot([2, 1]);'",
      "fetched from another host: 00_rows.html: https://example.org/mark.svg"]),
])
def test_failing_page_fails_the_build(site, tmp_path, cells, told):
    for part in ["docs", "tiny", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "settings.ini", "nbs"]:
        (shutil.copytree if (site / part).is_dir() else shutil.copy)(site / part, tmp_path / part)
    notebook(tmp_path / "nbs/00_rows.ipynb", ("md", "# Rows apart\n\n> Lead."), *cells)
    done = build(tmp_path)
    assert done.returncode != 0
    assert [words for words in told if words not in done.stderr + done.stdout] == []


def test_removed_notebook_takes_its_page_away(tmp_path):
    nbsite = pytest.importorskip("nbsite", reason="no Sphinx (extra docs); the list of notebooks is checked above")
    project(tmp_path)

    class Config:
        nbsite_nbs, nbsite_package, nbsite_pages, nbsite_names = "../nbs", "../tiny", [], {}

    class App:
        srcdir = tmp_path / "docs"

    nbsite.write_pages(App, Config)
    assert Config.nbsite_names["Ruler"] == "tiny.rows.Ruler"
    notebook(tmp_path / "docs/by_hand.ipynb", ("md", "# Kept"))
    shutil.rmtree(tmp_path / "nbs/deep")
    with pytest.raises(nbsite.ConfigError, match="deep/00_inner.ipynb is in sidebar.yml, but there is no such"):
        nbsite.write_pages(App, Config)
    order(tmp_path / "nbs", "index", "00_rows")
    nbsite.write_pages(App, Config)
    made = {path.relative_to(App.srcdir).as_posix() for path in App.srcdir.rglob("*")}
    assert {name for name in made if name.endswith("ipynb")} == {"index.ipynb", "00_rows.ipynb", "by_hand.ipynb"}
    assert "deep" not in made


# ---------------------------------------------------------------- search from disk

def test_words_of_a_page():
    page = ('<html><nav>menu</nav><article role="main"><section id="a"><h1>Rows &lt;x&gt;<a class="headerlink" '
            'href="#a">¶</a></h1><img alt="no"><p>one<br>two <b>three</b></p><script>code()</script></section>'
            '<dt id="t.f">f</dt></article><footer>end</footer></html>')
    assert disksearch.words_of(page) == ('<div role="main"><div id="a"> Rows &lt;x&gt; one two three</div>'
                                         ' <div id="t.f">f</div></div>')


def test_the_words_come_along_as_a_script(site):
    text = (site / "_build/html/_static/search_texts.js").read_text(encoding="utf-8")
    pages = json.loads(text.removeprefix("window.SEARCH_TEXTS = ").rstrip(";\n"))
    assert "ran in deep" in pages["deep/00_inner.html"]
    assert "ran in nbs" in pages["00_rows.html"] and 'id="tiny.rows.spread"' in pages["00_rows.html"]
    assert "search_texts.js" in html(site, "search") and "search_texts.js" not in html(site, "00_rows")


# ---------------------------------------------------------------- what a page fetches

@pytest.mark.parametrize("text, found", [
    ('<script src="https://cdn.example.org/a.js"></script>', ["https://cdn.example.org/a.js"]),
    ('<link rel="stylesheet" href="//fonts.example.org/c.css">', ["//fonts.example.org/c.css"]),
    ('<link rel="preconnect" href="https://fonts.example.org">', ["https://fonts.example.org"]),
    ('<img alt="x" src=" http://example.org/i.png">', ["http://example.org/i.png"]),
    ('<style>@import "https://example.org/a.css";</style>', ["https://example.org/a.css"]),
    ('<p style="background: url(https://example.org/b.png)">', ["https://example.org/b.png"]),
    ('<a href="https://example.org">a link is for the reader</a><link rel="canonical" href="https://example.org">', []),
    ('<script src="_static/a.js"></script><img alt="" src="data:image/png;base64,AA//">', []),
])
def test_external_resources(tmp_path, text, found):
    (tmp_path / "a.html").write_text(text, encoding="utf-8")
    assert offline.external_resources(tmp_path) == [f"a.html: {url}" for url in found]


def test_external_resources_in_stylesheets(tmp_path):
    (tmp_path / "a.css").write_text("@font-face { src: url('https://example.org/f.woff') } i { src: url(x.png) }")
    assert offline.external_resources(tmp_path) == ["a.css: https://example.org/f.woff"]


# ---------------------------------------------------------------- the pages beside the notebooks

TEXT_PAGES = sorted((ROOT / "docs").glob("coming_from_*.md"))


def code_cells(page):
    """The code of a MyST notebook's cells, without their options."""
    found = re.findall(r"^```\{code-cell\}[^\n]*\n(.*?)^```", page.read_text(encoding="utf-8"), re.S | re.M)
    return [re.sub(r"^:.*\n", "", source, flags=re.M).strip() for source in found]


@pytest.mark.parametrize("page", TEXT_PAGES, ids=lambda path: path.stem)
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    script = tmp_path / "page.py"
    script.write_text("\n\n".join(code_cells(page)), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(script))
    plt.close("all")
    assert [path.name for path in tmp_path.iterdir()] == ["page.py"], "a page leaves nothing behind"


@pytest.mark.parametrize("page", [*TEXT_PAGES, ROOT / "docs/methods.md"], ids=lambda path: path.stem)
def test_a_page_names_what_there_is(page, package_modules):
    """Every function and method of ours that a table or a card names exists."""
    ours = {name: getattr(module, name) for module in package_modules for name in module.__all__}
    text = page.read_text(encoding="utf-8")
    methods = re.findall(r"`(Datasets|ImageForest|IsolatedSoundings)\.(\w+)", text)
    now = "".join(row.split("|")[2] for row in re.findall(r"^\|.*\|$", text, re.M))  # the second column
    if page.stem == "coming_from_notebooks":
        methods += [("Datasets", name) for name in re.findall(r"`\.(\w+)", now)]
    assert [(name, method) for name, method in methods if not hasattr(ours[name], method)] == []
    assert set(re.findall(r"`([a-z]+_\w+)\(", now)) - {"fit_predict"} <= ours.keys()


CARD = ["Question", "Use it when", "It fails when", "Input", "Output", "Parameters that matter", "Score", "Cost",
        "Where it is explained", "References"]


def test_method_cards_share_one_layout():
    """Every card answers the same questions in the same order."""
    text = (ROOT / "docs/methods.md").read_text(encoding="utf-8")
    cards = text.split("\n## ")[1:]
    assert len(cards) >= 4
    for card in cards:
        assert re.findall(r"^(\S.*)\n: ", card, re.M) == CARD, card.split("\n")[0]


def glossary_entries():
    """Each term of the glossary with its words."""
    text = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^:::\{glossary\}\n(.*?)^:::", text, re.S | re.M)
    return dict(re.findall(r"^(\S.*)\n((?:(?:  .*)?\n)+)", "\n".join(blocks) + "\n", re.M))


def test_glossary_speaks_three_languages():
    entries = glossary_entries()
    assert len(entries) > 60
    assert [term for term, words in entries.items() if not re.search(r"\*fr\* \S.* · \*es\* \S", words)] == []


def test_glossary_has_the_words_of_the_pages():
    """The columns of every result table, the parameters of the detectors, the words of the design."""
    text = " ".join(glossary_entries()).lower()
    wanted = ["sounding", "sounding_id", "xco2", "xco2_uncertainty", "enhancement", "background", "isolated", "score",
              "isolation radius", "core distance", "eps", "min_samples", "reason", "outlier", "peak", "sigma",
              "amplitude", "delta", "p-value", "q-value", "surrogate", "suspect", "contamination", "silhouette",
              "sweep", "store", "container", "dry run", "unit", "manifest", "explorer"]
    assert [word for word in wanted if word not in text] == []


# ---------------------------------------------------------------- this project's own site

@pytest.mark.slow
def test_the_real_site_builds():
    done = build(ROOT)
    assert done.returncode == 0, done.stderr[-3000:]
    assert offline.external_resources(ROOT / "_build/html") == []
