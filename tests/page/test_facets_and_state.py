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
    return window.run("[...document.querySelectorAll('.ox-facet-table .ox-cell')].map((c) => "
                      "parseInt(c.textContent.replace(',', '')))")


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
    side_by_side(window, "kind", *names[:3])
    assert window.run("document.querySelectorAll('.ox-clusterings .ox-cell').length") > 4
    for name in ("kind", *names):
        opened(window, name, "score", "kind")
        assert sum(shown(window)) == 70
        filters = window.run("explorer.facets.held.x.filters")
        assert all(window.run(f"explorer.setFilter({json.dumps(text)})") for text in filters), filters
        window.run("explorer.setFilter('')")
    assert window.run("document.querySelectorAll('main img, main script').length") == 0


# ---------------------------------------------------------------- clusterings side by side

@pytest.fixture(scope="module")
def groups():
    """Three clusterings: the second is the first with a tenth of its rows elsewhere, the third is chance."""
    rng = np.random.default_rng(1)
    first = rng.integers(0, 5, N)
    second = np.where(rng.uniform(size=N) < 0.1, rng.integers(0, 5, N), first)
    table = pd.DataFrame({"id": np.arange(N), "cluster_a": first, "cluster_b": np.where(np.arange(N) % 50, second, -1),
                          "chance": rng.choice(["x", "y", "z"], N), "many_cluster": rng.integers(0, 40, N),
                          "score": rng.exponential(size=N)})
    return table.assign(outlier=table["score"] > 2.5, reason="")


def side_by_side(window, *names):
    chosen = json.dumps([*names, "", "", "", ""][:4])
    window.run("(() => { explorer.clusterings.panel.open = true; explorer.clusterings.start(); "
               f"explorer.clusterings.chosen = {chosen}; explorer.clusterings.refresh(); }})()")


def test_clusterings_side_by_side(tab, groups, tmp_path):
    window = tab(explore(groups, tmp_path / "groups.html").path)
    window.run("explorer.clusterings.panel.open = true; explorer.clusterings.refresh()")
    assert window.run("explorer.clusterings.chosen.slice(0, 2)") == ["cluster_a", "cluster_b"], "likely first"
    side_by_side(window, "cluster_a", "cluster_b", "chance", "many_cluster")
    told = window.run("[...document.querySelectorAll('.ox-clusterings section')].map((s) => "
                      "[...s.querySelectorAll('.ox-cell')].map((c) => c.textContent.split(',')[0]))")
    sizes = groups["cluster_a"].value_counts()
    assert told[0] == [f"{name}: {n}" for name, n in sorted(sizes.items(), key=lambda each: (-each[1], each[0]))]
    assert told[1][-1] == "in no group: 12" and len(told[2]) == 3
    assert len(told[3]) == 12 and told[3][-1].startswith("29 others")
    assert sum(int(each.split(": ")[1]) for each in told[3]) == N
    # A group selects its rows, Shift adds, and the filter holds for all of them.
    window.run("document.querySelectorAll('.ox-clusterings section')[1].querySelectorAll('.ox-cell')[0].click()")
    assert window.run("explorer.nSelected") == groups["cluster_b"].value_counts().drop(-1).max()
    window.run("document.querySelectorAll('.ox-clusterings section')[3].querySelectorAll('.ox-cell')[11].click()")
    assert window.run("explorer.nSelected") == groups["many_cluster"].value_counts().iloc[11:].sum()
    window.run("explorer.setFilter('cluster_a == 0')")
    assert len(window.run("[...document.querySelectorAll('.ox-clusterings section')[0].querySelectorAll('.ox-cell')]"
                          ".map((c) => c.textContent)")) == 1
    assert window.run("document.documentElement.scrollWidth") <= 1300


def test_agreement_is_that_of_scikit_learn(tab, groups, tmp_path):
    from sklearn.metrics import adjusted_rand_score

    window = tab(explore(groups, tmp_path / "groups.html").path)
    names = ["cluster_a", "cluster_b", "chance", "many_cluster"]
    side_by_side(window, *names)
    found = window.run("explorer.clusterings.held.map((a) => explorer.clusterings.held.map((b) => "
                       "explorer.clusterings.agreementOf(a, b).index))")
    for i, a in enumerate(names):
        for j, b in enumerate(names):
            both = groups[(groups[[a, b]] != -1).all(axis=1)]
            assert found[i][j] == pytest.approx(adjusted_rand_score(both[a], both[b]), abs=1e-12)
    assert found[0][1] > 0.7 and abs(found[0][2]) < 0.02
    told = window.run("[...document.querySelectorAll('.ox-facets .ox-num')].map((c) => c.textContent)")
    assert told[0] == f"{found[0][1]:.3f}"


def test_a_table_without_groups_has_no_clusterings(tab, tmp_path):
    table = pd.DataFrame({"a": np.linspace(0, 1, 30), "score": np.arange(30.0), "outlier": np.arange(30) > 28})
    window = tab(explore(table, tmp_path / "none.html").path)
    window.run("explorer.clusterings.panel.open = true; explorer.clusterings.refresh()")
    assert "Two columns of groups are needed" in window.run("explorer.clusterings.said.textContent")


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
