"""The shading of a table in brief follows files, days and filters: counted by cells and groups, and counted again."""

import json
import re
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_explorer import read_back

from oco2_outliers.explorer import explore
from oco2_outliers.page.grouped_cells import LEVELS, GroupedCells, group_levels, packed_groups
from oco2_outliers.page.overviews import UNKNOWN
from oco2_outliers.page.packing import Pack

STATIC = Path(__file__).parents[2] / "oco2_outliers" / "static"
N = 40_000


@pytest.fixture(scope="module")
def table():
    """Rows of eight files on ten days of three months, 150 of them odd."""
    rng = np.random.default_rng(5)
    file = np.sort(rng.integers(0, 8, N))
    day = np.array([0, 1, 1, 20, 30, 31, 33, 70])[file] + rng.integers(0, 2, N)
    score = rng.gamma(4, 0.3, N)
    return pd.DataFrame({
        "time": np.datetime64("2019-01-10", "ms") + day.astype("timedelta64[D]")
        + rng.integers(0, 86_400_000, N).astype("timedelta64[ms]"),
        "latitude": (40 + 0.5 * file + rng.normal(0, 3, N)).astype(np.float32),
        "longitude": (10 * np.cos(file) + rng.normal(0, 3, N)).astype(np.float32),
        "xco2": (410 + 0.3 * file + rng.normal(0, 1, N)).astype(np.float32), "albedo": rng.uniform(0, 1, N),
        "windspeed": rng.normal(0, 1, N), "source": pd.Series(file).map("f{}.nc4".format), "score": score,
        "outlier": score > np.sort(score)[-151], "eps": np.sort(score)[-151],
        "reason": np.where(score > np.sort(score)[-151], "albedo 80%, xco2 20%", "")})


@pytest.fixture(scope="module")
def page(table, tmp_path_factory):
    return explore(table, tmp_path_factory.mktemp("page") / "page.html", max_rows=2000).path


def units_of(meta, array):
    """Name of the file and day of each unit."""
    cells = {name: array(info) for name, info in meta["run"]["cells"].items()}
    return [(meta["run"]["files"][file], day) for file, day in zip(cells["file"], cells["day"])]


# ---------------------------------------------------------------- counts by group

@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.integers(2, 70), st.integers(1, 5))
def test_counts_by_group_are_those_of_counting_again(seed, most, side, parts):
    rng = np.random.default_rng(seed)
    n_units, n = rng.integers(1, 30), rng.integers(1, 2000)
    file, day = rng.integers(0, 9, n_units), np.where(rng.random(n_units) < 0.1, UNKNOWN, rng.integers(0, 99, n_units))
    size = (side, int(rng.integers(1, 70)))
    x, y, unit = rng.integers(-1, size[0], n), rng.integers(-1, size[1], n), rng.integers(0, n_units, n)
    held = GroupedCells(size, group_levels(file, day), most, fewest=8)
    for part in range(parts):
        held.add(x[part::parts], y[part::parts], unit[part::parts])
    pack = Pack()
    told = packed_groups(held, pack, room=float(rng.integers(20, 5000)))
    if told is None:
        assert held.lost
        return
    level = held.levels[LEVELS.index(told["level"])]
    rows = pd.DataFrame({"group": level[unit], "y": y >> told["shift"], "x": x >> told["shift"]})[(x >= 0) & (y >= 0)]
    again = rows.groupby(["group", "y", "x"]).size()
    sizes, steps, counts = (pack.array(told[name]) for name in ("sizes", "steps", "counts"))
    wide = -(-size[0] // 2 ** told["shift"])
    found = {}
    for group, (first, last) in enumerate(zip(sizes.cumsum(dtype=int) - sizes, sizes.cumsum(dtype=int))):
        for cell, count in zip(steps[first:last].cumsum(dtype=int), counts[first:last]):
            found[group, cell // wide, cell % wide] = count
    assert found == again.to_dict() and len(counts) <= most


def test_a_page_holds_the_counts_of_each_file_and_day(page, table):
    meta, array = read_back(page)
    assert meta["digest"]["timed"] and meta["digest"]["ranked"]
    days = table["time"].dt.strftime("%Y-%m-%d")
    expected = table.groupby(["source", (pd.to_datetime(days) - pd.Timestamp(0)).dt.days]).size()
    told = meta["digest"]["map"]["groups"]
    ends = np.append(0, array(told["sizes"]).cumsum(dtype=int))
    found = [array(told["counts"])[a:b].sum() for a, b in zip(ends, ends[1:])]
    assert told["level"] == "file" and dict(zip(units_of(meta, array), found)) == expected.to_dict()


# ---------------------------------------------------------------- what a filter says of many rows at once

def test_what_is_sure_of_many_rows_is_true_of_each(tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node to run filter.js in; other test: test_a_filter_is_followed_where_cells_can")
    rng = np.random.default_rng(0)
    rows = [{"a": a, "t": t, "b": b} for a in (0, 1, 2.5, 4, None) for t in ("x", "y z", None) for b in (True, False)]
    simple = ["a > 1", "a <= 2.5", "1 < a < 4", "a == 1", "a != 1", "a in (0, 4)", "a not in (1, 2.5)", "a is missing",
              "t is not missing", "t contains 'y'", "t not contains 'x'", "t == 'x'", "t in ('x', 'q')", "b", "not b",
              "b == true", "abs(a) > 1", "a + 1 > 2", "-1 < a", "a < -1", "a < a"]
    pick = lambda: simple[rng.integers(len(simple))]  # noqa: E731
    texts = simple + [f"{pick()} and {pick()}" for _ in range(150)] + [f"{pick()} or not ({pick()} and {pick()})"
                                                                      for _ in range(150)]
    sets = [sorted({int(k) for k in rng.integers(0, len(rows), size)}) for size in (1, 1, 1, 2, 3, 5, 12) * 8]
    script = f"""
      import {{ compileFilter }} from {json.dumps((STATIC / "filter.js").as_uri())};
      const rows = {json.dumps(rows)}, sets = {json.dumps(sets)};
      const of = (name, type) => [name, {{ type, value: (i) => rows[i][name] }}];
      const columns = new Map([of("a", "number"), of("t", "text"), of("b", "bool")]);
      const known = (some, hidden) => (name) => {{
        const values = some.map((i) => rows[i][name]);
        const there = values.filter((v) => v !== null).sort((p, q) => (p < q ? -1 : 1));
        if (name === hidden) return null;
        const gone = there.length === values.length ? 0 : there.length ? 2 : 1;
        return {{ low: there[0], high: there.at(-1), gone }}; }};
      console.log(JSON.stringify({json.dumps(texts)}.map((text) => {{
        const filter = compileFilter(text, columns);
        return sets.map((some, k) => [filter.says(known(some, [null, "a", "t", "b"][k % 4])),
          some.map((i) => filter.test(i))]); }})));"""
    done = subprocess.run([node, "--input-type=module", "-e", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    sure = 0
    for text, answers in zip(texts, json.loads(done.stdout)):
        for says, passes in answers:
            assert says == 2 or set(passes) == {says == 1}, (text, says, passes)
            sure += says != 2
    assert sure > 0.4 * len(texts) * len(sets)  # and it is of use


# ---------------------------------------------------------------- a real browser

SEEN = """explorer.views.map((v) => { const s = v.cellsSeen; return !v.cells() ? null :
  { passing: s.passing, unclear: s.unclear, drawn: s.counts.reduce((a, b) => a + b, 0), told: v.shadeNote.textContent,
    x: v.x.name, y: v.y.name, ends: [v.cells().cells.x, v.cells().cells.y] }; })"""


def inside(table, view):
    """Rows that lie within the ends of the shading of a view."""
    kept = np.ones(len(table), bool)
    for axis in view["ends"]:
        values = table[axis["name"]]
        values = values.astype("datetime64[ms]").astype(np.int64) if axis["name"] == "time" else values.astype(float)
        kept &= (values >= axis["low"]).to_numpy() & (values <= axis["high"]).to_numpy()
    return kept


def follows(window, table, mask, exact=True):
    """Every view shades the rows of a mask, those within its ends."""
    for view in window.run(SEEN):
        wanted = int((inside(table, view) & mask).sum())
        if exact:
            assert (view["passing"], view["unclear"]) == (wanted, 0) and "that pass, the fuller" in view["told"], view
            assert view["drawn"] == wanted and f"the {wanted:,} row" in view["told"]
        else:
            assert view["passing"] <= wanted <= view["passing"] + view["unclear"], view
            assert view["unclear"] == 0 or "cannot" in view["told"], view
    return window.run(SEEN)


def test_the_shading_follows_files_days_and_months(tab, page, table):
    window = tab(page)
    day = ((table["time"] - pd.Timestamp(0)) // pd.Timedelta("1D")).to_numpy()
    names = window.run("explorer.run.names")
    assert all("Shading: all 40,000 rows" in view["told"] for view in window.run(SEEN))
    for k in (0, 3, 7):
        window.run(f"explorer.run.choose({{ file: {k} }})")
        follows(window, table, (table["source"] == names[k]).to_numpy())
    first = int(day.min())
    for low, high in ((first + 1, first + 1), (first + 2, first + 31)):
        window.run(f"explorer.run.choose({{ file: -1, range: [{low}, {high}] }})")
        follows(window, table, (day >= low) & (day <= high))
    window.run(f"explorer.run.choose({{ file: 1, range: [{first + 2}, {first + 9}] }})")
    follows(window, table, (table["source"] == names[1]).to_numpy() & (day >= first + 2) & (day <= first + 9))
    window.run("""(() => { const { run } = explorer, { unit } = run.timeline;
      unit.value = 'month'; unit.dispatchEvent(new Event('change'));
      run.choose({ file: -1, range: [run.timeline.bins[1].from, run.timeline.bins[1].to] }); })()""")
    follows(window, table, (table["time"].dt.month == 2).to_numpy())
    window.run("explorer.run.choose({ file: -1, range: null })")
    assert all("Shading: all 40,000 rows" in view["told"] for view in window.run(SEEN))


EXACT = [('source == "f2.nc4"', lambda t: t["source"] == "f2.nc4"), ("outlier", lambda t: t["outlier"]),
         ('source in ("f1.nc4", "f3.nc4") and not outlier',
          lambda t: t["source"].isin(["f1.nc4", "f3.nc4"]) & ~t["outlier"]),
         ("time >= 2019-01-30 and time < 2019-02-10",
          lambda t: t["time"].between("2019-01-30", "2019-02-09 23:59:59.999")),
         ('source contains "F7" or outlier and xco2 > 411',
          lambda t: (t["source"] == "f7.nc4") | t["outlier"] & (t["xco2"] > 411)),
         ("score > 1e6", lambda t: t["score"] > 1e6), ("score > 2.9", lambda t: t["score"] > 2.9)]


def test_a_filter_is_followed_where_cells_can(tab, page, table):
    window = tab(page)
    assert window.run("explorer.floor") < 2.9
    for text, rule in EXACT:
        assert window.run(f"explorer.setFilter({json.dumps(text)})")
        follows(window, table, rule(table).to_numpy())
    window.run("explorer.setFilter('')")
    window.run("explorer.setFilter('outlier'); explorer.setEps(explorer.floor)")
    follows(window, table, (table["score"] > window.run("explorer.floor")).to_numpy())


CUT = [("xco2 > 411.03", lambda t: t["xco2"] > 411.03), ("windspeed > 1", lambda t: t["windspeed"] > 1),
       ("latitude < 41.7 and longitude > 2", lambda t: (t["latitude"] < 41.7) & (t["longitude"] > 2)),
       ('source == "f2.nc4" and xco2 < 410.9', lambda t: (t["source"] == "f2.nc4") & (t["xco2"] < 410.9)),
       ("time > 2019-01-30T05:00", lambda t: t["time"] > "2019-01-30 05:00")]


def test_a_filter_that_cuts_cells_is_bounded_and_told(tab, page, table):
    window = tab(page)
    for text, rule in CUT:
        assert window.run(f"explorer.setFilter({json.dumps(text)})")
        seen = follows(window, table, rule(table).to_numpy(), exact=False)
        assert all(view["unclear"] for view in seen if text.startswith("windspeed"))
        if text.startswith("xco2"):
            of_pair = next(view for view in seen if "xco2" in (view["x"], view["y"]))
            assert "cells that the choice cuts" in of_pair["told"] and of_pair["unclear"] < 0.05 * N
            assert "cannot follow" in seen[0]["told"]  # the map knows no xco2


def test_it_is_said_in_french_and_spanish(tab, table, tmp_path):
    for code, words in (("fr", ("retenues", "ne peut pas suivre")), ("es", ("que pasan", "no puede seguir"))):
        window = tab(explore(table, tmp_path / f"{code}.html", max_rows=2000, lang=code).path)
        for text, word in zip(("outlier", "windspeed > 1"), words):
            window.run(f"explorer.setFilter({json.dumps(text)})")
            assert all(word in view["told"] for view in window.run(SEEN))


@pytest.mark.parametrize(("numbers", "level"), [(500, "day"), (160, "month"), (3, None)])
def test_in_little_room_groups_are_larger_and_the_page_says_so(tab, table, tmp_path, monkeypatch, numbers, level):
    monkeypatch.setattr("oco2_outliers.page.shadings._NUMBERS", numbers)
    monkeypatch.setattr("oco2_outliers.page.shadings._OF_MAP", 1)
    monkeypatch.setattr("oco2_outliers.page.shadings._FEWEST", {"pair": 10, "map": 10})
    page = explore(table, tmp_path / "page.html", max_rows=2000).path
    found = {(pair["groups"] or {}).get("level") for pair in read_back(page)[0]["digest"]["pairs"]}
    assert level in found
    window = tab(page)
    names, day = window.run("explorer.run.names"), ((table["time"] - pd.Timestamp(0)) // pd.Timedelta("1D")).to_numpy()
    for k in (1, 4):
        window.run(f"explorer.run.choose({{ file: {k}, range: null }})")
        follows(window, table, (table["source"] == names[k]).to_numpy(), exact=False)
    months = table["time"].dt.month.to_numpy()
    low, high = int(day[months == 2].min()), int(day[months == 2].max())
    window.run(f"explorer.run.choose({{ file: -1, range: [{low}, {high}] }})")
    follows(window, table, months == 2, exact=level is not None)
    window.run(f"explorer.run.choose({{ file: -1, range: [{low + 1}, {high}] }})")
    follows(window, table, (months == 2) & (day > low), exact=False)


def test_canvases_are_kept_in_memory():
    """What is drawn pixel by pixel must not lie with a graphics card that is played in software.

    There a choice of a file among a million rows took twenty seconds, and half a second in memory.
    """
    folder = files("oco2_outliers").joinpath("static")
    drawn = {script.name: re.findall(r"getContext\([^)]*\)", script.read_text("utf-8")) for script in folder.iterdir()
             if script.name.endswith(".js") and "uPlot" not in script.name}
    assert sum(map(len, drawn.values())) > 10
    assert [(name, call) for name, calls in drawn.items() for call in calls if "IN_MEMORY" not in call] == []
