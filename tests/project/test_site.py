"""The built site as its reader has it: opened from disk, in a real browser, wide and narrow."""

import json
import os
import subprocess
import sys
from html.parser import HTMLParser
from urllib.parse import unquote, urlsplit

import pytest
from browser import Browser, find_browser

pytestmark = pytest.mark.slow
WIDTHS = {"desktop": 1300, "phone": 400}
# What reaches over the right edge without anything around it that scrolls: a reader could not see it.
CUT_OFF = """(() => {
  const scrolls = e => { for (let p = e.parentElement; p && p !== document.body; p = p.parentElement)
    if (getComputedStyle(p).overflowX !== 'visible') return true; return false };
  return [...document.querySelectorAll('body *')].filter(e => {
    const box = e.getBoundingClientRect(), style = getComputedStyle(e);
    return box.width > 1 && box.height > 1 && box.left < innerWidth && box.right > innerWidth + 1
      && style.visibility !== 'hidden' && style.position !== 'fixed' && !scrolls(e) })
    .slice(0, 5).map(e => `${e.tagName}.${e.className} ${e.textContent.trim().slice(0, 40)}`) })()"""


@pytest.fixture(scope="module")
def site(root):
    """The real site; a second build with nothing changed takes seconds."""
    pytest.importorskip("myst_nb", reason="no Sphinx (extra docs); test_docs reads the pages as they are written")
    done = subprocess.run([sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html", "docs",
                           "_build/html"], cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True,
                          text=True, timeout=1200)
    assert done.returncode == 0, done.stderr[-3000:]
    return root / "_build" / "html"


@pytest.fixture(scope="module")
def tab():
    """Chromium without a window, its own profile, started and ended here (see `browser.py`)."""
    if find_browser() is None:
        pytest.skip("no Chromium here (Debian: apt install chromium); the pages are checked without one as well")
    pytest.importorskip("websocket", reason="no websocket-client (extra dev); links and names are checked without")
    with Browser() as chromium:
        page = chromium.page()
        yield page
        page.close()


def show(tab, path, width="desktop", dark=False):
    """Open a page and wait until it is there; what it complains of from now on is its own."""
    tab.resize(WIDTHS[width], 900, dark=dark, mobile=width == "phone")
    tab.console.clear()
    tab.requests.clear()
    tab.open(path)
    tab.wait(f"location.href == {json.dumps(path.resolve().as_uri())} && document.readyState == 'complete'")


def complaints(tab):
    """What the console tells, and what was asked of the network."""
    return tab.console + [f"asks for {url}" for url in tab.requests if url.startswith(("http:", "https:", "ws"))]


def pages(site):
    return sorted(path for path in site.rglob("*.html") if path.relative_to(site).parts[0][0] != "_")


# ---------------------------------------------------------------- without a browser

class _Page(HTMLParser):
    """Where a page points to, and what it can be pointed at."""

    def __init__(self, path):
        super().__init__()
        self.links, self.anchors = [], {""}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self.anchors |= {values[key] for key in ("id", "name") if values.get(key)}
        if tag == "a" and values.get("href"):
            self.links.append(values["href"])


def test_every_link_inside_the_site_arrives(site):
    read = {path: _Page(path) for path in site.rglob("*.html")}
    broken = []
    for path, page in read.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path.resolve()
            known = read.get(target)
            if not target.is_file() or known and unquote(parts.fragment) not in known.anchors:
                broken.append(f"{path.relative_to(site)}: {link}")
    assert broken == []


def test_every_public_name_has_its_entry_and_its_source(site, package_modules):
    read = {path.relative_to(site).as_posix(): path.read_text(encoding="utf-8") for path in pages(site)}
    listed, everything = read["api.html"], "".join(read.values())
    lacking = []
    for module in package_modules:
        for name in module.__all__:
            here = getattr(getattr(module, name), "__module__", "")
            # What a headline passes on has its entry where it is defined.
            home = here if here.startswith("oco2_outliers.") else module.__name__
            full = f"{home}.{name}"
            if name.startswith(("app", "soundings_app", "images_app")) or name.endswith("_app"):
                continue  # groups of commands; 90_cli tells them
            if f'id="{full}"' not in everything or f"#{full}" not in listed:
                lacking.append(full)
            source = f"_modules/{home.replace('.', '/')}.html"
            if callable(getattr(module, name)) and source not in everything:
                lacking.append(f"{full}: source")
    assert lacking == []


# ---------------------------------------------------------------- in a browser

@pytest.mark.parametrize("width", WIDTHS)
def test_pages_are_whole_and_quiet(site, tab, width):
    """No complaint in the console, nothing asked of the network, every picture there, nothing cut off."""
    wrong = {}
    for path in pages(site):
        show(tab, path, width)
        # Pictures below the fold are loaded when somebody scrolls there.
        tab.run("document.querySelectorAll('img').forEach(i => i.loading = 'eager')")
        tab.wait("[...document.images].every(i => i.complete)")
        found = [*complaints(tab), *tab.run("[...document.images].filter(i => !i.naturalWidth).map(i => i.src)")]
        found += tab.run(CUT_OFF)
        if tab.run("document.documentElement.scrollWidth") > WIDTHS[width]:
            found.append("scrolls sideways")
        if found:
            wrong[path.relative_to(site).as_posix()] = found
    assert wrong == {}


@pytest.mark.parametrize("word, page", [("isolation radius", "01_dbscan"), ("swift", "00_datasets"),
                                        ("find_peaks", "05_peaks"), ("sondage", "glossary"), ("xarray", "coming_from")])
def test_search_works_from_disk(site, tab, word, page):
    """A word is typed into the search box of the first page, as a reader does; the site is not served."""
    show(tab, site / "index.html")
    tab.run("document.querySelector('.sidebar-search').focus()")
    tab.type(word)
    tab.key("Enter")
    tab.wait("location.pathname.endsWith('search.html') && document.querySelectorAll('#search-results li a').length")
    tab.wait("/finished/i.test(document.querySelector('#search-results').textContent)")
    found = tab.run("[...document.querySelectorAll('#search-results li a')].map(a => a.getAttribute('href'))")
    assert any(page in link for link in found), found
    tab.wait("document.querySelectorAll('#search-results li p.context').length")
    shown = tab.run("[...document.querySelectorAll('#search-results li p.context')].map(p => p.textContent).join()")
    assert word.split()[0] in shown.lower(), "an excerpt shows the word where it stands"
    assert complaints(tab) == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_text_can_be_read_in_light_and_dark(site, tab, dark):
    """Contrast of the running text at least 7 to 1, of code at least 4.5 (WCAG 2.2)."""
    show(tab, site / "index.html", dark=dark)
    contrast = """selector => {
      const light = c => { const v = c.match(/[\\d.]+/g).slice(0, 3).map(x => x / 255)
        .map(x => x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4);
        return 0.2126 * v[0] + 0.7152 * v[1] + 0.0722 * v[2] };
      const element = document.querySelector(selector);
      let behind = element;
      while (behind && /rgba\\(.*, 0\\)|transparent/.test(getComputedStyle(behind).backgroundColor))
        behind = behind.parentElement;
      const [a, b] = [light(getComputedStyle(element).color),
                      light(behind ? getComputedStyle(behind).backgroundColor : 'rgb(255, 255, 255)')];
      return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) }"""
    assert tab.run(f"({contrast})('article p:not(.lead p)')") >= 7
    assert tab.run(f"({contrast})('article pre')") >= 4.5
    assert tab.run(f"({contrast})('article a')") >= 4.5
