"""A page of many files: timeline, passes, files one after the other; and a table in brief, with shading for points."""

import datetime
import json

import numpy as np
import pandas as pd
import pytest
from test_explorer import NASTY, read_back, table_of

from oco2_outliers.explorer import explore
from oco2_outliers.ground.errors import InputError
from oco2_outliers.scale import combine, map_files
from oco2_outliers.soundings import simulate_granule, to_parquet

DAYS = ["2019-07-03", "2019-07-05", "2019-07-05", "2019-08-20"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A combined run over four files of three days."""
    place = tmp_path_factory.mktemp("run")
    for k, day in enumerate(DAYS):
        soundings = simulate_granule(k, 30, center=(12.0 * k, 176.0 + 3 * k if k < 2 else -100.0), date=day).soundings
        to_parquet(soundings, place / f"oco2_{k}.parquet")
    map_files(str(place / "*.parquet"), "isolate", out=str(place / "out"))
    combine(str(place / "out"))
    return place / "out"


@pytest.fixture(scope="module")
def table(folder):
    return pd.read_parquet(folder / "combined.parquet")


@pytest.fixture(scope="module")
def page(folder, tmp_path_factory):
    return explore(folder, tmp_path_factory.mktemp("page") / "run.html")


@pytest.fixture(scope="module")
def brief(folder, table, tmp_path_factory):
    return explore(folder, tmp_path_factory.mktemp("page") / "brief.html", max_rows=len(table) // 4)


def day_number(text):
    return (datetime.date.fromisoformat(str(text)[:10]) - datetime.date(1970, 1, 1)).days


# ---------------------------------------------------------------- the file

def test_files_and_days_are_counted(page, brief, table):
    expected = table.groupby(["source", table["time"].dt.strftime("%Y-%m-%d")]).size()
    for made in (page, brief):
        meta, array = read_back(made.path)
        run = meta["run"]
        cells = {name: array(info) for name, info in run["cells"].items()}
        found = {(run["files"][file], day): rows for file, day, rows in zip(cells["file"], cells["day"], cells["rows"])}
        assert found == {(name, day_number(day)): n for (name, day), n in expected.items()}
    meta, array = read_back(page.path)
    assert meta["digest"] is None and meta["n"] == len(table)
    assert [meta["run"]["files"][k] for k in array(meta["run"]["of"]["file"])] == table["source"].tolist()


def test_in_brief_every_odd_row_and_all_above_the_floor_are_points(brief, table):
    meta, array = read_back(brief.path)
    floor = meta["digest"]["floor"]
    ids = array(next(each for each in meta["columns"] if each["name"] == "sounding_id"))
    assert set(ids) == set(table.loc[table["isolated"] | (table["ratio"] > floor), "sounding_id"])
    assert (array(meta["settings"][0]) > 1).sum() == table["isolated"].sum() == meta["digest"]["odd"]
    assert floor < 1 and meta["digest"]["total"] == len(table) == brief.n_rows + brief.n_summed
    assert f"{len(table):,} rows are too many for points" in meta["notes"][0] and "left out" in meta["notes"][0]
    assert meta["subtitle"].startswith(f"{len(table):,} rows of oco2_0.parquet and 3 more; 2019-07-03 to 2019-08-20")


def test_the_shading_counts_every_row(brief, table):
    meta, array = read_back(brief.path)
    pair = next(each for each in meta["digest"]["pairs"] if {each["x"]["name"], each["y"]["name"]} == {"xco2", "ratio"})
    ends = [np.linspace(pair[a]["low"], pair[a]["high"], pair[a]["n"] + 1) for a in "yx"]
    counts, *_ = np.histogram2d(*(table[pair[a]["name"]].astype(float) for a in "yx"), bins=ends)
    held = np.zeros(counts.size)
    held[np.cumsum(array(pair["steps"]))] = array(pair["counts"])
    assert held.sum() == counts.sum() > 0.99 * len(table)
    # A value on the border of two cells may fall to either side.
    assert np.abs(held.reshape(counts.shape) - counts).sum() <= 4
    assert array(meta["digest"]["map"]["counts"]).sum() > 0.99 * len(table)


def test_too_many_odd_rows_are_refused_and_one_threshold_has_a_score_floor(table, tmp_path):
    with pytest.raises(InputError, match="rows are odd, and a page holds each odd row"):
        explore(table, tmp_path / "page.html", max_rows=10)
    with pytest.raises(InputError, match="max_rows"):
        explore(table, tmp_path / "page.html", max_rows=0)
    one = table.assign(eps=2.0, isolated=table["score"] > 2.0, outlier=table["score"] > 2.0).drop(columns="ratio")
    one = one.loc[one["score"].rank(ascending=False) > 50]
    meta, array = read_back(explore(one, tmp_path / "page.html", max_rows=int(0.95 * len(one))).path)
    assert meta["digest"]["floor"] < meta["eps"] <= 2.0
    assert (array(meta["settings"][0]) > meta["eps"]).sum() == (one["score"] > 2.0).sum()


ODD = [("none", {"outlier": False}), ("constant", {"xco2": 410.0, "latitude": 1.0, "longitude": 2.0}),
       ("missing places", {"latitude": np.nan}), ("infinite", {"xco2": [np.inf, -np.inf, np.nan] * 10}),
       ("infinite score", {"score": [*range(29), np.inf]}), ("text for places", {"latitude": "north"}),
       ("another rule", {"outlier": [True, False] * 15}), ("no score at all", {"score": np.nan}),
       ("dates", {"time": pd.date_range("2020-01-01", periods=30, tz="Asia/Tokyo")}),
       ("text for files", {"source": pd.Series(["a", None, ""] * 10, dtype=object)})]


@pytest.mark.parametrize(("name", "columns"), ODD)
def test_odd_tables_in_brief(name, columns, tmp_path):
    table = table_of(**columns)
    table.to_parquet(tmp_path / "scores.parquet")
    for given in (table, tmp_path / "scores.parquet"):
        meta, array = read_back(explore(given, tmp_path / "page.html", max_rows=20).path)
        assert meta["digest"]["total"] == 30 and meta["digest"]["odd"] == table["outlier"].sum()
        flagged = array(meta["fixed"]) if meta["fixed"] else array(meta["settings"][0]) > meta["eps"]
        assert flagged.sum() == table["outlier"].sum()
        assert meta["digest"]["floor"] is None or meta["digest"]["floor"] <= meta["eps"]


def test_as_many_odd_rows_as_may_be(table, tmp_path):
    n = int(table["isolated"].sum())
    meta, array = read_back(explore(table, tmp_path / "page.html", max_rows=n).path)
    assert meta["n"] == n == meta["digest"]["odd"] and meta["digest"]["floor"] <= 1


def test_a_single_granule_has_no_timeline(tmp_path):
    table = simulate_granule(0, 20).soundings.assign(score=1.0, outlier=False)
    meta, _ = read_back(explore(table, tmp_path / "one.html").path)
    assert meta["run"] is None and meta["digest"] is None


# ---------------------------------------------------------------- in the browser

def odd_by_day(table):
    return table.loc[table["isolated"]].groupby(table["time"].dt.strftime("%Y-%m-%d")).size().to_dict()


def bins(window, what):
    return window.run(f"Object.fromEntries(explorer.run.timeline.bins.map((b, k) => [explorer.run.timeline.text(b), "
                      f"explorer.run.timeline.{what}[k]]).filter((pair) => pair[1]))")


@pytest.mark.parametrize("in_brief", [False, True])
def test_timeline_follows_eps_and_filters(tab, page, brief, table, in_brief):
    window = tab((brief if in_brief else page).path)
    rows = table.groupby(table["time"].dt.strftime("%Y-%m-%d")).size().to_dict()
    assert bins(window, "rows") == rows and bins(window, "odd") == odd_by_day(table)
    window.run("explorer.setEps(1.5)")
    assert bins(window, "odd") == odd_by_day(table.assign(isolated=table["ratio"] > 1.5))
    window.run("explorer.setEps(1)")
    box = window.run("(() => { const b = explorer.run.timeline.canvas.getBoundingClientRect(); "
                     "return [b.left, b.top, explorer.run.timeline.slot]; })()")
    window.click(box[0] + 4 + 2.5 * box[2], box[1] + 60)  # the third day, 2019-07-05
    chosen = table["time"].dt.strftime("%Y-%m-%d") == "2019-07-05"
    told = window.run("explorer.run.said.textContent")
    assert told == f"2019-07-05: {chosen.sum():,} rows, {(chosen & table['isolated']).sum():,} isolated"
    assert window.run("explorer.nFlagShown") == (chosen & table["isolated"]).sum()
    listed = window.run("[...document.querySelectorAll('.ox-list tbody tr')].map((r) => r.textContent)")
    assert listed and all("2019-07-05" in line for line in listed)
    window.click(box[0] + 4 + 2.5 * box[2], box[1] + 60)
    assert window.run("explorer.nShown === explorer.table.n && explorer.run.range === null")


def test_timeline_by_keyboard_and_by_month(tab, page, table):
    window = tab(page.path)
    window.run("explorer.run.timeline.canvas.focus()")
    for key in ("Home", "ArrowRight", "ArrowRight", "Enter"):
        window.key(key)
    assert window.run("explorer.run.range") == [day_number("2019-07-05")] * 2
    window.key("Escape")
    assert window.run("explorer.run.range") is None
    window.run("(() => { const unit = explorer.run.timeline.unit; unit.value = 'month'; "
               "unit.dispatchEvent(new Event('change')); })()")
    assert bins(window, "rows") == table.groupby(table["time"].dt.strftime("%Y-%m")).size().to_dict()


def test_files_one_after_the_other(tab, page, table):
    window = tab(page.path)
    seen = []
    for _ in range(4):
        window.key("n")
        name = window.run("explorer.run.names[explorer.run.file]")
        own = table[table["source"] == name]
        assert window.run("explorer.nShown") == len(own) and window.run("explorer.nFlagShown") == own["isolated"].sum()
        told = window.run("explorer.run.said.textContent")
        assert name.rsplit("/", 1)[-1] in told and str(own["time"].iloc[0])[:10] in told
        # The map shows the file.
        x0, x1, y0, y1 = window.run("explorer.views[0].fitted()")
        assert y0 < own["latitude"].min() and own["latitude"].max() < y1
        seen.append(own["time"].iloc[0])
    assert seen == sorted(seen)
    window.key("n")
    assert window.run("explorer.run.file") == -1 and window.run("explorer.nShown") == len(table)
    window.key("p")
    assert window.run("explorer.run.file") == window.run("explorer.run.order[3]")
    window.run("explorer.filterBox.focus()")
    window.key("n")
    assert window.run("explorer.run.file") == window.run("explorer.run.order[3]"), "typed, not stepped"


def test_a_click_on_a_pass_chooses_its_file(tab, page):
    window = tab(page.path)
    x, y, file = window.run("""(() => { const { ways } = explorer.run, k = ways.file.length - 2;
      ways.canvas.scrollIntoView({ block: 'center' }); const box = ways.canvas.getBoundingClientRect();
      return [box.left + ways.px(ways.x[k]), box.top + ways.py(ways.y[k]), ways.file[k]]; })()""")
    window.click(x, y)
    assert window.run("explorer.run.file") == file


def test_tables_say_what_the_canvases_show(tab, page, table):
    window = tab(page.path)
    window.run("document.querySelector('.ox-run details').open = true")
    window.wait("document.querySelectorAll('.ox-run details tbody').length === 2")
    files, days = window.run("[...document.querySelectorAll('.ox-run details tbody')].map((b) => "
                             "[...b.rows].map((r) => [...r.cells].map((c) => c.textContent)))")
    own = table.groupby("source")["isolated"].agg(["size", "sum"])
    assert {row[0]: (int(row[2].replace(",", "")), int(row[3])) for row in files} == {
        name.rsplit("/", 1)[-1]: (n, odd) for name, n, odd in own.itertuples()}
    assert [row[0] for row in days] == sorted(set(DAYS))


def test_the_slider_ends_at_the_floor(tab, brief, table):
    window = tab(brief.path)
    floor = window.run("explorer.floor")
    window.run("explorer.setEps(0)")
    assert window.run("explorer.eps") == floor
    assert window.run("explorer.nFlag") == (table["ratio"] > floor).sum()
    for eps in np.linspace(floor, 3, 9):
        window.run(f"explorer.setEps({json.dumps(eps)})")
        assert window.run("explorer.nFlag") == (table["ratio"] > eps).sum()
    assert f"of {len(table):,} rows isolated" in window.run("explorer.counted.textContent")


@pytest.mark.parametrize(("width", "dark"), [(1300, False), (400, True)])
def test_shading_is_drawn(tab, brief, width, dark):
    window = tab(brief.path, width, 900, dark)
    shaded = window.run("""explorer.views.map((v) => { const c = v.shadow;
      const { data } = c.getContext('2d').getImageData(0, 0, c.width, c.height); let n = 0;
      for (let k = 3; k < data.length; k += 4) n += data[k] > 0; return n; })""")
    assert shaded[0] > 8 and min(shaded[1:]) > 50  # on the map four short passes of a world
    assert window.run("document.documentElement.scrollWidth") <= width
    told = window.run("(() => { const v = explorer.views.at(-1); v.axes(explorer.table.columns.get('footprint'), v.y); "
                      "return v.shadeNote.textContent; })()")
    assert told.startswith("No shading")


@pytest.mark.filterwarnings("ignore:.* have no time")
def test_names_of_files_stay_text(tab, tmp_path):
    n = 20 * len(NASTY)
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"source": pd.Series(NASTY * 20, dtype=object), "score": rng.uniform(size=n),
                          "time": pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(n) % 9, "D"),
                          "latitude": rng.uniform(-50, 50, n), "longitude": rng.uniform(-180, 180, n)})
    table = table.assign(outlier=table["score"] > 0.8)
    table.loc[:2, "time"] = pd.NaT
    window = tab(explore(table, tmp_path / "nasty.html").path)
    window.run("document.querySelector('.ox-run details').open = true")
    window.run("explorer.run.choice.focus()")
    for _ in range(len(NASTY) + 1):
        window.run("explorer.run.step(1)")
    assert window.run("document.querySelectorAll('main img, main script').length") == 0
    assert "3 rows without a day" in window.run("explorer.run.said.textContent")
