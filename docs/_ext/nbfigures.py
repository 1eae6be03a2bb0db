"""Sphinx extension: one page with every figure of the essays; a click leads to the code that draws it.

The directive `figures-of-essays` is replaced, when its page is written, by the pictures that the cells of other pages
have drawn, each with the words of its `#| fig-alt:`. Nothing is drawn twice: the pictures are those of the pages.
"""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective


class figures_of_essays(nodes.General, nodes.Element):  # noqa: N801 - docutils names its nodes so
    """Where the figures will stand."""


class FiguresOfEssays(SphinxDirective):
    """`figures-of-essays`, which takes no options."""

    def run(self) -> list[nodes.Node]:
        self.env.nbfigures_page = self.env.docname
        return [figures_of_essays()]


def _around(node: nodes.Node, name: str, value: str) -> nodes.Element | None:
    """The nearest container around a node that says so of itself."""
    while node.parent is not None:
        node = node.parent
        if isinstance(node, nodes.container) and value in (node.get(name) or ()):
            return node
    return None


def _cell_of(node: nodes.Node) -> nodes.Element | None:
    """The notebook cell around a node."""
    return _around(node, "classes", "cell")


def _drawn(document: nodes.document) -> list[nodes.image]:
    """The pictures that cells drew; one of each output, which may come as PNG and as JPEG."""
    found = {id(_around(image, "nb_element", "mime_bundle") or image): image
             for image in document.findall(nodes.image) if _cell_of(image) is not None}
    return list(found.values())


def mark_cells(app: Sphinx, document: nodes.document) -> None:
    """Give each cell that draws something an anchor."""
    number = 0
    for image in _drawn(document):
        cell = _cell_of(image)
        if not cell["ids"]:
            number += 1
            cell["ids"].append(f"drawn-{number}")


def _figure(image: nodes.image, target: str) -> nodes.Element:
    """A picture, its words below it, and the link to its cell."""
    words = image.get("alt", "")
    drawn = nodes.image("", uri=image["uri"], candidates=dict(image["candidates"]), alt=words)
    link = nodes.reference("", "", drawn, nodes.inline("", words), internal=True, refuri=target, classes=["drawn"])
    return nodes.container("", nodes.paragraph("", "", link), classes=["drawn-card"])


def fill(app: Sphinx, document: nodes.document, docname: str) -> None:
    """Put the figures of the essays where the directive stood, essay by essay."""
    for place in list(document.findall(figures_of_essays)):
        found: list[nodes.Node] = []
        for page in app.config.nbsite_essays:
            home = app.builder.get_relative_uri(docname, page)
            cards = [_figure(image, f"{home}#{_cell_of(image)['ids'][0]}")
                     for image in _drawn(app.env.get_doctree(page))]
            if cards:
                title = nodes.reference("", app.env.titles[page].astext(), internal=True, refuri=home)
                found += [nodes.rubric("", "", title), nodes.container("", *cards, classes=["drawn-cards"])]
        place.replace_self(found)


def write_again(app: Sphinx, env) -> list[str]:
    """The page of figures is written in every build, because any other page may have changed."""
    return [page] if (page := getattr(env, "nbfigures_page", None)) else []


def setup(app: Sphinx) -> dict:
    app.add_node(figures_of_essays)
    app.add_directive("figures-of-essays", FiguresOfEssays)
    app.connect("doctree-read", mark_cells)
    app.connect("doctree-resolved", fill)
    app.connect("env-updated", write_again)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
