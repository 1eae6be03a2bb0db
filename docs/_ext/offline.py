"""Find what a built site would fetch from the network: `python docs/_ext/offline.py _build/html`."""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

# Attributes that a browser follows by itself; a link that a reader clicks (`a href`) is not one.
FETCHED = {("script", "src"), ("link", "href"), ("img", "src"), ("img", "srcset"), ("source", "src"),
           ("source", "srcset"), ("iframe", "src"), ("embed", "src"), ("object", "data"), ("video", "src"),
           ("video", "poster"), ("audio", "src"), ("track", "src"), ("input", "src"), ("image", "href"),
           ("use", "href"), ("use", "xlink:href"), ("image", "xlink:href")}
INERT_LINKS = {"canonical", "author", "license", "next", "prev", "search", "index", "help"}
FILE_NAME = re.compile(r"^\S+\.(png|svg|jpe?g|gif|webp)$", re.I)  # what docutils says where nobody said anything
REMOTE = re.compile(r"^\s*(?:https?:)?//", re.I)
CSS_REMOTE = re.compile(r"""(?:url\(\s*["']?|@import\s+["'])\s*((?:https?:)?//[^"')\s]+)""", re.I)
ERRORS_OF_A_CELL = re.compile(r'<div class="output stderr.*?</pre>', re.S)
WARNING, TAG = re.compile(r"\b\w*Warning: [^\n<]*"), re.compile(r"<[^>]+>")


class _Fetches(HTMLParser):
    def __init__(self):
        super().__init__()
        self.found: list[str] = []
        self.images_without_alt: list[str] = []
        self._images = 0
        self._code: list[str] | None = None  # text of the `pre` we are in
        self._last_line = ""  # of the last `pre` before a picture, which tells the author where it is
        self._style = False

    def handle_starttag(self, tag, attrs):
        values = {key: value or "" for key, value in attrs}
        self._style = tag == "style"
        if tag == "pre":
            self._code = []
        self.found += CSS_REMOTE.findall(values.get("style", ""))
        if tag == "img" and "sidebar-logo" not in values.get("class", ""):
            self._images += 1
            alt = values.get("alt", "").strip()
            if not alt or FILE_NAME.match(alt):
                after = f", after {self._last_line!r}" if self._last_line else ""
                self.images_without_alt.append(f"picture {self._images}{after}")
        if tag == "link" and set(values.get("rel", "").lower().split()) & INERT_LINKS:
            return
        self.found += [values[key].strip() for key in values if (tag, key) in FETCHED and REMOTE.match(values[key])]

    def handle_data(self, data):
        if self._code is not None:
            self._code.append(data)
        if self._style:
            self.found += CSS_REMOTE.findall(data)

    def handle_endtag(self, tag):
        self._style = False
        if tag == "pre" and self._code is not None:
            self._last_line = "".join(self._code).strip().split("\n")[-1][:80]
            self._code = None


def _read(page: Path) -> _Fetches:
    parser = _Fetches()
    parser.feed(page.read_text(encoding="utf-8"))
    return parser


def external_resources(folder: str | Path) -> list[str]:
    """Every script, stylesheet, font or picture from another host, as `file: address`."""
    folder, found = Path(folder), []
    for page in sorted(folder.rglob("*.html")):
        found += [f"{page.relative_to(folder)}: {url}" for url in _read(page).found]
    for sheet in sorted(folder.rglob("*.css")):
        urls = CSS_REMOTE.findall(sheet.read_text(encoding="utf-8", errors="replace"))
        found += [f"{sheet.relative_to(folder)}: {url}" for url in urls]
    return found


def images_without_alt(folder: str | Path) -> list[str]:
    """Every picture that says nothing to a reader who cannot see it, as `file: picture 3, after 'plt.show()'`."""
    folder = Path(folder)
    return [f"{page.relative_to(folder)}: {src}"
            for page in sorted(folder.rglob("*.html")) for src in _read(page).images_without_alt]


def warnings_shown(folder: str | Path) -> list[str]:
    """Every warning that a cell printed onto a page, as `file: RuntimeWarning: overflow`."""
    folder, found = Path(folder), []
    for page in sorted(folder.rglob("*.html")):
        for printed in ERRORS_OF_A_CELL.findall(page.read_text(encoding="utf-8")):
            found += [f"{page.relative_to(folder)}: {told}" for told in WARNING.findall(TAG.sub("", printed))]
    return found


if __name__ == "__main__":
    problems = external_resources(sys.argv[1])
    print("\n".join(problems) or "Nothing is fetched from another host.")
    sys.exit(bool(problems))
