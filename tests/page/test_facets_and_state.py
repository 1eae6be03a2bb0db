"""Facets, which bin rows by two columns and colour them by a third; and the state of a page in its address."""

import json

import numpy as np
import pandas as pd
import pytest
from test_explorer import NASTY

from oco2_outliers.explorer import explore

N = 600


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({
        "id": np.arange(N), "kind": rng.choice(["land", "water", "ice"], N), "xco2": rng.normal(410, 2, N),
        "aod": np.where(rng.uniform(size=N) < 0.05, np.nan, rng.gamma(2, 0.1, N)), "good": rng.uniform(size=N) < 0.5,
        "time": pd.Timestamp("2020-03-01") + pd.to_timedelta(rng.uniform(0, 40, N), "D"),
        "latitude": rng.uniform(-50, 50, N), "longitude": rng.uniform(0, 90, N), "score": rng.exponential(size=N)})
    return table.assign(outlier=table["score"] > 2.5, reason="")


@pytest.fixture(scope="module")
def page(table, tmp_path_factory):
    return explore(table, tmp_path_factory.mktemp("page") / "facets.html")


def opened(window, x, y, colour=""):
    chosen = json.dumps({"x": x, "y": y, "colour": colour})
    window.run("(() => { explorer.facets.panel.open = true; explorer.facets.start(); "
               f"explorer.facets.chosen = {chosen}; explorer.facets.refresh(); }})()")


def cells(window):
    """Counts of all cells, by the names of their bins."""
    return window.run("""(() => { const { x, y } = explorer.facets.held, found = {};
      for (let i = 0; i < x.of.length; i++) if (explorer.shown[i]) {
        const key = x.names[x.of[i]] + '|' + y.names[y.of[i]]; found[key] = (found[key] ?? 0) + 1; }
      return found; })()""")


def shown(window):
    """Counts as the table shows them."""
    return window.run("[...document.querySelectorAll('.ox-cell')].map((c) => parseInt(c.textContent.replace(',', '')))")


def test_kinds_are_counted_as_in_python(tab, page, table):
    window = tab(page.path)
    opened(window, "kind", "good")
    expected = table.groupby(["kind", table["good"].map({True: "yes", False: "no"})]).size()
    assert cells(window) == {f"{kind}|{good}": n for (kind, good), n in expected.items()}
    assert sorted(shown(window)) == sorted(expected)


@pytest.mark.parametrize("x", ["xco2", "aod", "time", "score", "latitude"])
def test_a_heading_filters_by_its_bin_and_every_row_is_in_one(tab, page, table, x):
    window = tab(page.path)
    opened(window, x, "kind")
    assert sum(shown(window)) == N
    names, filters, sizes = window.run("""(() => { const { x } = explorer.facets.held;
      return [x.names, x.filters, x.names.map((_, k) => x.of.filter((bin) => bin === k).length)]; })()""")
    assert 3 <= len(names) <= 8 and ("missing" in names) == (x == "aod") and sum(sizes) == N
    for text, n in zip(filters, sizes):
        assert window.run(f"explorer.setFilter({json.dumps(text)})") and window.run("explorer.nShown") == n, text
    window.run("explorer.setFilter('')")
    window.run("document.querySelector('.ox-facets thead .ox-link').click()")
    assert window.run("explorer.filterBox.value").startswith("(")
    assert window.run("explorer.nShown") == sizes[window.run("explorer.facets.held.x.of[explorer.shown.indexOf(1)]")]
    window.run("document.querySelector('.ox-facets thead .ox-link').click()")
    assert window.run("explorer.filterBox.value") == "" and window.run("explorer.nShown") == N


def test_a_cell_selects_its_rows_by_mouse_and_keyboard(tab, page):
    window = tab(page.path)
    opened(window, "kind", "good", "xco2")
    n = shown(window)
    window.run("document.querySelectorAll('.ox-cell')[1].focus()")
    window.key("Enter")
    assert window.run("explorer.nSelected") == n[1]
    window.run("document.querySelectorAll('.ox-cell')[2].dispatchEvent(new MouseEvent('click', { shiftKey: true }))")
    assert window.run("explorer.nSelected") == n[1] + n[2]
    # Each bar has the colours of the third column, and its parts add up to the cell.
    parts = window.run("[...document.querySelectorAll('.ox-stack')].map((s) => "
                       "[...s.children].reduce((sum, part) => sum + Number(part.style.flexGrow), 0))")
    assert parts == n


@pytest.mark.parametrize(("width", "dark"), [(1300, True), (400, False)])
def test_facets_fit_the_window(tab, page, width, dark):
    window = tab(page.path, width, 900, dark)
    opened(window, "xco2", "aod", "time")
    assert window.run("document.documentElement.scrollWidth") <= width
    assert window.run("document.querySelectorAll('.ox-facets .ox-legend .ox-item').length") >= 1


def test_hostile_names_in_facets(tab, tmp_path):
    names = [each for each in NASTY if "`" not in each and "\ud800" not in each]
    table = pd.DataFrame({"score": np.arange(70.0), "outlier": np.arange(70) > 60,
                          "kind": pd.Series((NASTY * 70)[:70], dtype=object),
                          **{name: pd.Series((NASTY * 70)[:70], dtype=object) for name in names}})
    window = tab(explore(table, tmp_path / "nasty.html").path)
    for name in ("kind", *names):
        opened(window, name, "score", "kind")
        assert sum(shown(window)) == 70
        filters = window.run("explorer.facets.held.x.filters")
        assert all(window.run(f"explorer.setFilter({json.dumps(text)})") for text in filters), filters
        window.run("explorer.setFilter('')")
    assert window.run("document.querySelectorAll('main img, main script').length") == 0


# ---------------------------------------------------------------- the state in the address

def test_the_address_keeps_the_view(tab, page):
    window = tab(page.path)
    window.run("explorer.setEps(1.25); explorer.filterBox.value = 'xco2 > 410 & kind == \"ice\"'; "
               "explorer.setFilter(explorer.filterBox.value); explorer.run.choose({ range: [18330, 18340] }); "
               "explorer.open(7)")
    window.wait("location.hash.includes('row=7')")
    state = window.run("[location.hash.slice(1), explorer.nShown, explorer.nFlag]")
    other = tab(page.path)
    other.run(f"location.hash = {json.dumps(state[0])}")
    other.wait("explorer.current === 7")
    assert other.run("[explorer.eps, explorer.nShown, explorer.nFlag]") == [1.25, state[1], state[2]]
    assert other.run("explorer.run.range") == [18330, 18340]
    other.wait(f"location.hash.slice(1) === {json.dumps(state[0])}")


@pytest.mark.parametrize("text", ["eps=NaN&row=-1&file=9999&days=x~y", "row=1e9&filter=%3Cscript%3E&min_samples=%00",
                                  "eps=Infinity&days=2020-01-02~2020-01-01", "%E0%A4%A", "filter=" + "(" * 200])
def test_an_address_that_anyone_wrote(tab, page, text):
    window = tab(page.path)
    window.run(f"location.hash = {json.dumps(text)}")
    window.run("new Promise((done) => setTimeout(done, 500))")
    assert window.run("explorer.current") == -1 and window.run("explorer.run.file") == -1
    assert window.run("document.querySelectorAll('main img, main script').length") == 0
