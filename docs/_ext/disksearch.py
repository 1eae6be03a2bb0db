"""Sphinx extension: search that shows excerpts also when the site is opened from disk.

The index is a script, so a page finds its words anywhere. For the excerpt under a result, though, Sphinx fetches the
page, and a browser lets no page fetch its neighbours from disk. So the words of all pages come along as one
more script, `_static/search_texts.js`, which only the search page loads, and only from disk.
"""

from __future__ import annotations

import html
import json
from html.parser import HTMLParser
from pathlib import Path

from sphinx.application import Sphinx

LOADER = """"use strict";
// A browser lets no page fetch its neighbours from disk; their words come along as a script instead.
if (location.protocol === "file:") {
  const texts = new Promise((done) => {
    const script = document.createElement("script");
    script.src = "_static/search_texts.js";
    script.onload = () => done(window.SEARCH_TEXTS);
    document.head.append(script);
  });
  window.fetch = (address) => texts.then((pages) => {
    const here = new URL(".", location.href).href;  // the search page lies at the site's root
    const name = new URL(address, location.href).href.split(/[?#]/)[0].slice(here.length);
    return new Response(pages[name] ?? '<div role="main"></div>');
  });
}
"""
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
UNSEEN = {"script", "style"}
APART = {"br", "p", "li", "td", "th", "dt", "dd", "pre", "h1", "h2", "h3", "h4"}  # their words do not run together


class _Words(HTMLParser):
    """The words of a page's main part, and the anchors that a result may point to; no other markup."""

    def __init__(self):
        super().__init__()
        self.out: list[str] = []
        self._open: list[tuple[str, bool]] = []  # tag, and whether it was kept
        self._main = 0  # how many tags were open when the main part began; 0 outside it
        self._unseen = 0

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        begins = not self._main and values.get("role") == "main"
        if begins:
            self._main = len(self._open) + 1
        self._unseen += self._unseen > 0 or tag in UNSEEN or "headerlink" in (values.get("class") or "")
        if tag in APART and self._main and not self._unseen:
            self.out.append(" ")
        if tag in VOID:
            self._unseen -= self._unseen > 0
            return
        kept = bool(self._main) and not self._unseen and (begins or bool(values.get("id")))
        if kept:
            where = 'role="main"' if begins else f'id="{html.escape(values["id"], quote=True)}"'
            self.out.append(f"<div {where}>")
        self._open.append((tag, kept))

    def handle_endtag(self, tag):
        if tag in VOID or not any(name == tag for name, _ in self._open):
            return
        while self._open:
            name, kept = self._open.pop()
            self._unseen -= self._unseen > 0
            if kept:
                self.out.append("</div>")
            if self._main > len(self._open):
                self._main = 0
            if name == tag:
                return

    def handle_data(self, data):
        if self._main and not self._unseen:
            words = " ".join(data.split())
            lead = " " if data[:1].isspace() else ""
            self.out.append(lead + html.escape(words, quote=False) + (" " if words and data[-1:].isspace() else ""))


def words_of(page: str) -> str:
    """A page as `<div role="main">`, its words, and a `<div id>` for each anchor.

    Examples
    --------
    >>> words_of('<nav>menu</nav><div role="main"><h1 id="a">Rows<a class="headerlink">#</a></h1><p>two</p></div>')
    '<div role="main"> <div id="a">Rows</div> two</div>'
    """
    parser = _Words()
    parser.feed(page)
    parser.close()
    return "".join(parser.out)


def add_loader(app: Sphinx, pagename: str, templatename: str, context: dict, doctree) -> None:
    if pagename == "search":
        app.add_js_file(None, body=LOADER, priority=100)


def write_texts(app: Sphinx, exception: Exception | None) -> None:
    if exception or app.builder.format != "html":
        return
    out = Path(app.outdir)
    pages = [path for path in sorted(out.rglob("*.html")) if path.relative_to(out).parts[0][0] != "_"]
    texts = {path.relative_to(out).as_posix(): words_of(path.read_text(encoding="utf-8")) for path in pages}
    (out / "_static" / "search_texts.js").write_text(f"window.SEARCH_TEXTS = {json.dumps(texts, ensure_ascii=True)};\n",
                                                     encoding="utf-8")


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", add_loader)
    app.connect("build-finished", write_texts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
