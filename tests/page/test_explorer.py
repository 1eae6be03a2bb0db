"""The explorer: what is in the file, and what a real browser makes of it.

The browser tests start Chromium as `tests/browser.py` says (headless, without a GPU, a fresh profile) and speak to it
over its own protocol; they are skipped, with a reason, where there is none.
"""

import base64
import csv
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import zlib
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import offline
import pandas as pd
import pytest
from layout import PACKAGE, ROOT, TESTS

from oco2_outliers.datasets import InputError
from oco2_outliers.dbscan import IsolatedSoundings, isolation_radius
from oco2_outliers.explorer import ExplorerPage, IsolationWidget, explore
from oco2_outliers.image_forest import scan_folder, simulate_pictures
from oco2_outliers.isolation.results import change_in_words, words_of_changes
from oco2_outliers.main_job import isolate
from oco2_outliers.page import html, thumbnails
from oco2_outliers.scale import combine, map_files
from oco2_outliers.soundings import convert_soundings, simulate_granule, to_parquet

STATIC = PACKAGE / "static"
NASTY = ["</script><img src=x onerror=alert(1)>", "<!--<script>", "\u2028\u2029", "'\"`&amp;&", "=1+1", "\x00\ud800",
         "a,b\n"]


# ---------------------------------------------------------------- reading a page back

class _Scripts(HTMLParser):
    """The scripts of a page as a browser's parser cuts them, and every other element that could load something."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.scripts, self.styles, self.policy, self.others, self._now = [], [], "", [], None

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        self._now = tag
        if tag == "script":
            self.scripts.append([values, ""])
        elif tag == "style":
            self.styles.append("")
        elif tag == "meta" and "http-equiv" in values:
            self.policy = values["content"]
        elif tag in ("img", "iframe", "link", "object", "embed", "base", "form", "svg"):
            self.others.append(tag)

    def handle_endtag(self, tag):
        self._now = None

    def handle_data(self, data):
        if self._now == "script":
            self.scripts[-1][1] += data
        elif self._now == "style":
            self.styles[-1] += data


def parsed(path):
    page = _Scripts()
    page.feed(Path(path).read_text("utf-8"))
    return page


def read_back(path):
    """Meta and arrays of a page, decoded by other code than the one that encoded them."""
    page = parsed(path)
    meta = json.loads(page.scripts[0][1])
    data = zlib.decompress(base64.b64decode(page.scripts[1][1]))

    def array(info):
        kind = np.dtype("<" + info["type"] if info["type"][1] != "1" else info["type"])
        out = np.empty((info["n"], kind.itemsize), np.uint8)
        for plane in range(kind.itemsize):
            begin = info["offset"] + plane * info["n"]
            out[:, plane] = np.frombuffer(data[begin : begin + info["n"]], np.uint8)
        return np.frombuffer(out.tobytes(), kind)

    return meta, array


@pytest.fixture(scope="module")
def result():
    return isolate(simulate_granule(random_state=0, n_seconds=100)[0])


@pytest.fixture(scope="module")
def page(result, tmp_path_factory):
    return explore(result, tmp_path_factory.mktemp("page") / "explorer.html")


def objects(values):
    """Text that pandas' own string type refuses stays as it is."""
    return pd.Series(values, dtype=object)


def table_of(n=30, **columns):
    """A small result table."""
    rng = np.random.default_rng(0)
    score = np.arange(n, dtype=float)
    return pd.DataFrame({"latitude": rng.uniform(-10, 10, n), "longitude": rng.uniform(0, 20, n),
                         "xco2": rng.normal(410, 1, n), "score": score, "outlier": score > 0.8 * n, "reason": "",
                             **columns})


# ---------------------------------------------------------------- the file

def test_every_value_is_in_the_file_to_the_last_bit(page, result):
    meta, array = read_back(page.path)
    held = {each["name"]: each for each in meta["columns"]}
    assert set(held) == set(result.table) - {"score", "isolated", "outlier"} | {"track_distance"}
    for name, info in held.items():
        values = array(info)
        if name == "track_distance":
            continue
        column = result.table[name]
        column = column.astype("uint8") if column.dtype == bool else column
        if info["kind"] == "text":
            words = ["", *info["words"]]
            assert [words[code] for code in values] == column.fillna("").tolist(), name
        elif info["kind"] == "time":
            assert (values == column.to_numpy().astype("i8")).all()
        else:
            assert values.dtype == column.dtype and values.tobytes() == column.to_numpy().tobytes(), name


def test_radii_are_those_of_python(page, result):
    meta, array = read_back(page.path)
    assert [each["min_samples"] for each in meta["settings"]] == [3, 5, 10, 20, result.min_samples]
    for each in meta["settings"]:
        assert array(each).tobytes() == isolation_radius(result.matrix.X, each["min_samples"]).tobytes()


def test_ids_of_64_bits_stay_whole(tmp_path):
    ids = np.array([2**63 + 2**54 + k for k in range(30)], np.uint64)
    meta, array = read_back(explore(table_of(sounding_id=ids), tmp_path / "e.html").path)
    (info,) = (each for each in meta["columns"] if each["name"] == "sounding_id")
    assert info["id"] and (array(info) == ids).all() and array(info).dtype == np.uint64


def test_a_saved_run_is_the_same_page(page, result, tmp_path):
    result.save(tmp_path / "run")
    again = explore(tmp_path / "run", tmp_path / "again.html", title=None)
    first, second = (Path(each.path).read_text("utf-8") for each in (page, again))
    assert first == second
    only = explore(tmp_path / "run" / "scores.parquet", tmp_path / "only.html")
    assert only.path.read_text("utf-8") == first


def test_a_list_of_isolated_rows_is_a_result(result, tmp_path):
    rows = result.isolated.drop(columns=["isolated", "outlier"])
    rows.to_csv(tmp_path / "isolated.csv", index=False)  # no column says so, for all of them are
    meta, array = read_back(explore(tmp_path / "isolated.csv", tmp_path / "e.html").path)
    assert meta["n"] == len(rows) > 1 and "does not say which rows are outliers" in " ".join(meta["notes"])
    assert (meta["eps"] < array(meta["settings"][0])).all()
    for column in ("outlier", "isolated"):
        rows.assign(**{column: True}).to_csv(tmp_path / "isolated.csv", index=False)
        meta, array = read_back(explore(tmp_path / "isolated.csv", tmp_path / "e.html").path)
        assert (meta["eps"] < array(meta["settings"][0])).all() and "does not say" not in " ".join(meta["notes"])
    # Scores of all rows that lost their verdict are no such list.
    result.table.drop(columns=["isolated", "outlier"]).to_csv(tmp_path / "scores.csv", index=False)
    with pytest.raises(InputError, match="needs a column 'outlier'"):
        explore(tmp_path / "scores.csv", tmp_path / "e.html")


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "json", "parquet"])
def test_a_converted_result_is_read(result, tmp_path, ending):
    result.save(tmp_path)
    convert_soundings(tmp_path / "scores.parquet", tmp_path / f"sc.{ending}")
    meta, array = read_back(explore(tmp_path / f"sc.{ending}", tmp_path / "e.html").path)
    kept = {each["name"]: each for each in meta["columns"]}
    assert array(kept["sounding_id"]).dtype == np.int64 and kept["time"]["kind"] == "time"
    assert (array(kept["sounding_id"]) == result.table["sounding_id"]).all()
    assert ((meta["eps"] < array(meta["settings"][0])) == result.table["isolated"]).all()


def test_ids_of_a_csv_stay_whole_where_one_is_missing(tmp_path):
    ids = pd.Series([2**63 - 1 - k for k in range(30)], dtype="Int64")
    ids[3] = pd.NA
    table_of(sounding_id=ids).to_csv(tmp_path / "a.csv", sep=";", index=False)
    meta, array = read_back(explore(tmp_path / "a.csv", tmp_path / "e.html").path)
    (info,) = (each for each in meta["columns"] if each["name"] == "sounding_id")
    assert {str(number) for number in ids.dropna()} == set(info["words"]) - {""} and array(info)[3] == 0


@pytest.mark.parametrize("eps", ["auto", 1.5])
def test_a_combined_run_is_a_result(tmp_path, eps):
    for seed in (1, 2):
        to_parquet(simulate_granule(seed, n_seconds=20)[0], tmp_path / f"{seed}.parquet")
    run = tmp_path / "a run"
    map_files(f"{tmp_path}/*.parquet", "isolate", out=run, parameters={"eps": eps}, progress=False)
    with pytest.raises(InputError, match=f"run `oco2-outliers combine '{run}'` first"):
        explore(run, tmp_path / "e.html")
    combined = pd.read_parquet(combine(run, progress=False).path)
    assert combined["eps"].nunique() == (2 if eps == "auto" else 1)
    meta, array = read_back(explore(run, tmp_path / "e.html").path)
    assert meta["n"] == len(combined) and combined["isolated"].any()
    assert ("2 values of eps" in " ".join(meta["notes"])) == (eps == "auto")
    assert meta["fixed"] is None and "no_slider" not in meta["words"]
    assert ((meta["eps"] < array(meta["settings"][0])) == combined["isolated"]).all()
    if eps == "auto":  # one factor on the eps of each file
        assert meta["eps"] == 1 and meta["words"]["score_name"] == "ratio"
        assert (array(meta["settings"][0]) == combined["ratio"]).all()
        names = {each["name"] for each in meta["columns"]}
        assert {"score", "eps", "reason"} <= names and "ratio" not in names
        return
    assert meta["eps"] == eps and meta["min_samples"] is None and meta["subtitle"].endswith(
        "; compared: the rows of each file with each other, in robust spreads of the file, as isolate does with one "
        "file; eps 1.5, min_samples auto")
    assert ((eps < array(meta["settings"][0])) == combined["isolated"]).all()


NUMBERED = {
    "ids": table_of(sounding_id=np.arange(30), id=np.arange(30)).iloc[:, ::-1],
    "counted": table_of().assign(n=np.arange(30))[["n", "score", "outlier", "xco2"]],
    "distance": table_of().assign(distance=np.arange(30))[["distance", "score", "outlier"]],
    "reasons": table_of(sounding_id=np.arange(30), reason="xco2 80%, tcwv 20%", tcwv=np.arange(30.0)),
    "id judged": isolate(pd.DataFrame({"id": np.r_[:30, 99], "b": np.r_[np.zeros(30), 9]}), eps=0.5),
    "features": isolate(pd.DataFrame({"a": np.r_[:30, 99], "b": np.r_[np.zeros(30), 9]}), eps=0.5),
}


@pytest.mark.parametrize("name", NUMBERED)
def test_an_id_is_no_axis(name, tmp_path):
    meta, _ = read_back(explore(NUMBERED[name], tmp_path / "e.html").path)
    axes = {meta["view"][axis] for axis in ("x", "y", "fx", "fy")}
    offered = {each["name"] for each in meta["columns"] if not each["id"]} | {"row", "score", None}
    assert axes <= offered, axes - offered
    if name == "reasons":
        assert (meta["view"]["fx"], meta["view"]["fy"]) == ("xco2", "tcwv")


def test_a_folder_without_a_result_says_what_it_should_hold(tmp_path):
    with pytest.raises(InputError, match="holds none of scores.parquet, .*combined.parquet"):
        explore(tmp_path, tmp_path / "e.html")


def test_a_summary_of_another_table_is_told(result, tmp_path):
    result.save(tmp_path)
    summary = json.loads((tmp_path / "summary.json").read_text())
    for spoil in (lambda s: s["features"].pop("xco2"), lambda s: s.pop("features"),
                  lambda s: s["features"].update(hue={}), lambda s: s["features"]["xco2"].update(scale="wide")):
        spoilt = json.loads(json.dumps(summary))
        spoil(spoilt)
        (tmp_path / "summary.json").write_text(json.dumps(spoilt))
        meta, array = read_back(explore(tmp_path, tmp_path / "e.html").path)
        assert len(meta["settings"]) == 1 and meta["neighbours"] is None and meta["notes"]
        assert ((meta["eps"] < array(meta["settings"][0])) == result.table["isolated"]).all()


def test_nothing_that_is_loaded_and_nothing_that_runs_but_the_program(page):
    held = parsed(page.path)
    assert [attributes.get("type") for attributes, _ in held.scripts] == ["application/json", "text/plain", "module"]
    assert not held.others and not any("src" in attributes for attributes, _ in held.scripts)
    for text in (held.scripts[2][1], held.styles[0]):
        assert "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'" in held.policy
    assert held.policy.startswith("default-src 'none';")
    assert "unsafe" not in held.policy and "connect" not in held.policy
    assert offline.external_resources(page.path.parent) == []
    assert not re.search(r"url\(|@import", held.styles[0])


def test_hostile_text_cannot_leave_its_element(tmp_path):
    text = objects(NASTY)
    table = table_of(len(NASTY), source=text, path=text, reason=text, xco2=np.arange(len(NASTY), dtype=float))
    table = table.rename(columns={"source": NASTY[0]})
    table.index = pd.Index(NASTY, name=NASTY[1], dtype=object)
    made = explore(table, tmp_path / "e.html", title=NASTY[0])
    held = parsed(made.path)
    assert len(held.scripts) == 3 and not held.others
    meta = json.loads(held.scripts[0][1])
    names = [each["name"] for each in meta["columns"]]
    assert NASTY[0] in names and NASTY[1] in names and meta["title"] == NASTY[0]
    assert next(each for each in meta["columns"] if each["name"] == "path")["words"] == NASTY
    assert not re.search("[<>&\u2028]", held.scripts[0][1])


def test_the_vendored_library_is_what_it_says():
    notice = (STATIC / "NOTICE").read_text("utf-8")
    for digest, name in re.findall(r"sha256 (\w{64})  (\S+)", notice):
        assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == digest, name
    assert "MIT License" in (STATIC / "uPlot.LICENSE").read_text("utf-8") and "1.6.32" in notice


# ---------------------------------------------------------------- any table

def test_pictures_that_are_not_there_are_told(tmp_path):
    simulate_pictures(tmp_path, n_pictures=3, odd_kinds=[])
    paths = [*sorted(map(str, tmp_path.glob("*.png"))), "absent.png"]
    table = pd.DataFrame({"path": paths, "score": [0.1, 0.2, 0.3, 0.4], "outlier": [False] * 3 + [True]})
    notes = " ".join(read_back(explore(table, tmp_path / "e.html").path)[0]["notes"])
    assert "1 picture could not be read for a thumbnail" in notes and "--pictures" in notes


@pytest.mark.parametrize("name, table", [
    ("one row", table_of(1, outlier=[True])),
    ("none", table_of(outlier=False)),
    ("all", table_of(outlier=True)),
    ("constant", table_of(xco2=410.0, latitude=1.0, longitude=2.0)),
    ("missing places", table_of(latitude=np.nan)),
    ("infinite", table_of(xco2=[np.inf, -np.inf, np.nan] * 10)),
    ("infinite score", table_of(score=[*range(29), np.inf])),
    ("no place", table_of().drop(columns=["latitude", "longitude"])),
    ("text for places", table_of(latitude="north")),
    ("not unique", table_of().set_axis([1] * 30)),
    ("two levels", table_of().set_axis(pd.MultiIndex.from_product([range(5), list("abcdef")]))),
    ("another rule", table_of(outlier=[True, False] * 15)),
    ("no score at all", table_of(score=np.nan)),
    ("an eps for each file", table_of(eps=[5.0, 20.0] * 15, outlier=np.arange(30.0) > [5.0, 20.0] * 15)),
    ("dates", table_of(time=pd.date_range("2020-01-01", periods=30, tz="Asia/Tokyo"))),
    ("numbers for names", table_of().assign(**{"7": 1.0}).rename(columns={"7": 7})),
    ("objects", table_of(what=[{"a": 1}, [1], None] * 10)),
])
def test_odd_tables(name, table, tmp_path):
    made = explore(table, tmp_path / "e.html")
    meta, array = read_back(made.path)
    assert meta["n"] == len(table)
    flagged = table["outlier"].to_numpy(bool)
    if meta["fixed"]:
        assert (array(meta["fixed"]) == flagged).all()
    else:
        assert ((meta["eps"] < array(meta["settings"][0])) == flagged).all()


@pytest.mark.parametrize("table, told", [
    (table_of().head(0), "no rows"), (table_of().drop(columns="score"), "no score"),
    (table_of().drop(columns="outlier"), "needs a column 'outlier'"),
    (pd.concat([table_of(), table_of()[["xco2"]]], axis=1), "two columns are called 'xco2'"),
    (3, "cannot explore a int"),
])
def test_refused(table, told, tmp_path):
    with pytest.raises(InputError, match=told):
        explore(table, tmp_path / "e.html")
    assert not list(tmp_path.iterdir())


def test_refused_paths_and_options(tmp_path):
    (tmp_path / "scores.csv").write_bytes(b"\xff\xfe\x00broken")
    (tmp_path / "scores.parquet").write_bytes(b"PAR1broken")
    for path in (tmp_path, tmp_path / "scores.csv", tmp_path / "scores.parquet"):
        with pytest.raises(InputError, match="cannot be read as a result table"):
            explore(path, tmp_path / "e.html")
    with pytest.raises(FileNotFoundError):
        explore(tmp_path / "absent")
    for options, told in (({"columns": ["hue"]}, "no column 'hue'"), ({"thumbnail": 5}, "thumbnail"),
                          ({"max_mb": 0}, "max_mb"), ({"min_samples": [0]}, "min_samples")):
        with pytest.raises(InputError, match=told):
            explore(table_of(), tmp_path / "e.html", **options)
    with pytest.raises(InputError, match="cannot write"):
        explore(table_of(), tmp_path / "scores.csv" / "e.html")
    assert not (tmp_path / "e.html").exists()


def test_written_whole(tmp_path, monkeypatch):
    made = explore(table_of(), tmp_path / "deep" / "e.html")
    before = made.path.read_bytes()
    monkeypatch.setattr(os, "replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(InputError, match="No space left"):
        explore(table_of(5), made.path)
    assert made.path.read_bytes() == before and [each.name for each in made.path.parent.iterdir()] == ["e.html"]


@pytest.mark.skipif(os.name != "posix", reason="a umask is of POSIX; what the page holds is tested above")
@pytest.mark.parametrize("umask, mode", [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_the_page_gets_the_mode_that_the_umask_asks_for(tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        made = explore(table_of(), tmp_path / "e.html")
        again = explore(table_of(), tmp_path / "e.html")
    finally:
        os.umask(before)
    assert made.path.stat().st_mode & 0o777 == again.path.stat().st_mode & 0o777 == mode


def test_columns_are_left_out_not_rounded(page, result, tmp_path):
    limit = 0.85 * page.n_bytes
    made = explore(result, tmp_path / "e.html", max_mb=limit / 1e6)
    meta, array = read_back(made.path)
    assert made.left_out and meta["left_out"] == made.left_out and made.n_bytes < limit
    names = {each["name"] for each in meta["columns"]}
    assert {"sounding_id", "time", "latitude", "longitude", "xco2", "reason"} <= names
    # The neighbours of the oddest rows are then found in Python.
    near, of, k = array(meta["neighbours"]["rows"]), array(meta["neighbours"]["of"]), meta["neighbours"]["k"]
    X = result.matrix.X.to_numpy()
    for i, row in enumerate(of[:20]):
        distance = np.linalg.norm(X - X[row], axis=1)
        distance[row] = np.inf
        assert np.allclose(np.sort(distance)[:k], distance[near[i * k : (i + 1) * k]])
    assert read_back(explore(result, tmp_path / "f.html", columns=["psurf"]).path)[0]["left_out"]


def test_geometry_tells_the_place(tmp_path):
    geopandas = pytest.importorskip("geopandas", reason="no geopandas; plain tables are tested without")
    table = table_of()
    points = geopandas.GeoDataFrame(table.drop(columns=["latitude", "longitude"]), crs=4326,
                                    geometry=geopandas.points_from_xy(table["longitude"], table["latitude"]))
    meta, array = read_back(explore(points, tmp_path / "e.html").path)
    held = {each["name"]: array(each) for each in meta["columns"] if each["name"] in ("latitude", "longitude")}
    assert meta["view"]["lat"] and (held["longitude"] == table["longitude"]).all()


def test_shown_in_a_notebook(page):
    shown = page._repr_html_()
    assert shown.startswith("<iframe") and shown.count("<") == 2, "all of the page is in an attribute"
    assert "<iframe" not in ExplorerPage(Path("<b>.html"), 9, 10**9)._repr_html_() and "&lt;b&gt;" in \
        ExplorerPage(Path("<b>.html"), 9, 10**9)._repr_html_()


# ---------------------------------------------------------------- the filter, in node

FILTERS = [
    ("xco2 > 410", "010"), ("xco2 > 410 and name == 'B b'", "010"), ("not xco2 > 410", "101"),
    ("xco2 is missing", "001"), ("xco2 is not missing", "110"), ("name is missing", "001"),
    ("id == 9007199254740993", "010"), ("id == 9007199254740992", "000"), ("id in (1, 2)", "101"),
    ("name contains 'b'", "010"), ("name not in ('a')", "010"), ("time > '1999'", "010"),
    ("time < '1970-01-02T00:00'", "100"), ("405 < xco2 < 420", "010"), ("`two words`", "011"),
    ("xco2 * 2 - 1 >= 821 or name = \"a\"", "110"), ("abs(xco2 - 411) < 1", "010"), ("-xco2 < -405", "010"),
    ("(xco2 > 1 or xco2 is missing) & !(id == 2)", "110"), ("xco2 > 4.1e2 && true", "010"), ("xco2 != 400", "010"),
    ("time > 1999-12-31", "010"), ("time < 1970-01-02T00:00", "100"), ("time > 1999-12-31 23:59:59Z", "010"),
    ("1970-01-01 <= time < 1970-02", "100"), ("time > 2001", "010"), ("time in (1970-01-01)", "100"),
    ("time = 1970-01-01T02:00+02:00", "100"), ("xco2 > 2016 - 06 - 1600", "010"), ("xco2 > 2016-1606", "010"),
    ("", "111"),
]
FAULTS = [
    ("xco2 >", "expected a column"), ("xco", "there is xco2"), ("(((", "expected"), ("name > 3", "text in quotes"),
    ("xco2 = 'a'", "compared with"), ("'a", "not closed"), ("xco2", "expected a condition"),
    ("xco2 and 1", "condition"), ("constructor == 1", "no column"), ("__proto__ > 1", "no column"),
    ("xco2 > 1; alert(1)", "cannot read ;"), ("alert(1)", "no column alert"), ("(" * 4000, "too many brackets"),
    ("x" * 6000, "longer than"),
    ("xco2 > 2016-06-01", "blanks around the minus"), ("time > 3", "like 2019-07-15"),
    ("time > 2016-02-30", "is no time"), ("time > xco2", "like 2019-07-15"),
    ("time > 'soon'", "is no time"), ("xco2 in 3", "expected a list"),
    ("id contains '1'", "contains wants"), ("xco2 > 1 xco2", "did not expect"), ("name + 1 > 2", "numbers only"),
]


def test_filter_language():
    node = shutil.which("node")
    if node is None:
        pytest.skip("no node to run filter.js in; the browser tests use it through the page")
    script = f"""
      import {{ compileFilter }} from {json.dumps((STATIC / "filter.js").as_uri())};
      const of = (type, values) => ({{ type, value: (i) => values[i] }});
      const columns = new Map([["xco2", of("number", [400, 411, NaN])], ["name", of("text", ["a", "B b", null])],
        ["id", of("number", [1n, 9007199254740993n, 2n])], ["time", of("time", [0, 1e12, NaN])],
        ["two words", of("bool", [false, true, true])]]);
      const out = {json.dumps([text for text, _ in FILTERS + FAULTS])}.map((text) => {{
        try {{
          const filter = compileFilter(text, columns);
          return [0, 1, 2].map((i) => (filter === null || filter.test(i) ? 1 : 0)).join("");
        }} catch (error) {{ return `${{error.constructor.name}}: ${{error.message}}`; }}
      }});
      console.log(JSON.stringify(out));"""
    done = subprocess.run([node, "--input-type=module", "-e", script], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    for (text, wanted), got in zip(FILTERS, told):
        assert got == wanted, text
    for (text, wanted), got in zip(FAULTS, told[len(FILTERS) :]):
        assert got.startswith("FilterError") and wanted in got, (text[:40], got)


# ---------------------------------------------------------------- a real browser

def flagged(window):
    return np.array(window.run("explorer.flaggedRows()"), int)


def test_isolated_in_the_browser_as_in_python(tab, page, result):
    window = tab(page.path)
    assert (flagged(window) == np.flatnonzero(result.table["isolated"])).all()
    rng = np.random.default_rng(1)
    for m in (5, 3, 10, 20):
        radius = isolation_radius(result.matrix.X, m)
        window.run(f"explorer.setMinSamples({m})")
        some = rng.choice(radius, 8)
        tried = [0.0, -1.0, 1e9, *some, *np.nextafter(some, 0), *np.nextafter(some, 99), *rng.uniform(0, 8, 40)]
        found = window.run(f"{json.dumps([float(eps) for eps in tried])}.map((eps) => {{ explorer.eps = eps; "
                           "explorer.judge(); return [explorer.nFlag, explorer.flaggedRows()]; })")
        for eps, (n, rows) in zip(tried, found):
            assert n == len(rows) and (rows == np.flatnonzero(eps < radius)).all(), (m, eps)
    # The slider as a person moves it, and what the page says then.
    moved = window.run("""[...Array(21).keys()].map((k) => { const slider = document.querySelector('input[type=range]');
      slider.value = 50 * k; slider.dispatchEvent(new Event('input')); return [explorer.flaggedRows(),
      document.querySelector('input[type=number]').valueAsNumber, document.querySelector('output').textContent]; })""")
    for rows, eps, told in moved:
        assert (rows == np.flatnonzero(eps < radius)).all()
        assert told.startswith(f"{len(rows):,} of {len(radius):,} rows isolated at eps")
    assert len({len(rows) for rows, *_ in moved}) > 10


def test_slider_by_keyboard_number_and_steps(tab, page, result):
    window = tab(page.path)
    radius = result.table["score"].to_numpy()
    window.run("document.querySelector('input[type=range]').focus()")
    before = window.run("explorer.eps")
    window.key("ArrowRight")
    assert window.run("explorer.eps") > before
    window.run("(() => { const box = document.querySelector('input[type=number]'); box.focus(); box.select(); })()")
    window.type("3.25")
    window.key("Enter")
    assert window.run("explorer.eps") == 3.25 and (flagged(window) == np.flatnonzero(radius > 3.25)).all()
    above = np.unique(radius[radius > 3.25])
    window.run("document.querySelector('button[title^=Higher]').click()")
    assert window.run("explorer.eps") == above[0]
    window.run("document.querySelector('button[title^=Lower]').click()")
    assert window.run("explorer.eps") == np.unique(radius[radius <= 3.25])[-1]
    window.run("[...document.querySelectorAll('button')].find((b) => b.textContent === 'As in the run').click()")
    assert window.run("explorer.eps") == result.eps


def colours(window, view):
    """How many pixels of a view have the colour of isolated rows."""
    return window.run(f"""(() => {{ const view = explorer.views.find((v) => v.name === '{view}');
      const c = document.createElement('canvas'); [c.width, c.height] = [view.points.width, view.points.height];
      const pen = c.getContext('2d', {{ willReadFrequently: true }});
      pen.drawImage(view.points, 0, 0); const d = pen.getImageData(0, 0, c.width, c.height).data;
      const odd = explorer.colour('--odd'); const [r, g, b] = [1, 3, 5].map((k) => parseInt(odd.slice(k, k + 2), 16));
      let n = 0, any = 0; for (let i = 0; i < d.length; i += 4) {{ if (d[i + 3]) any++;
      if (d[i] === r && d[i + 1] === g && d[i + 2] === b && d[i + 3] === 255) n++; }} return [n, any]; }})()""")


def test_all_views_are_coloured_again_together(tab, page):
    window = tab(page.path)
    for eps, most in ((1e9, 0), (0, None), (2.5, None)):
        window.run(f"explorer.setEps({eps})")
        for view in ("map", "scatter", "track"):
            odd, drawn = colours(window, view)
            assert drawn > 200 and (odd == 0 if most == 0 else odd > 50), (eps, view, odd, drawn)
    window.run("explorer.setFilter('xco2 < 0')")
    assert [colours(window, view)[1] for view in ("map", "scatter", "track")] == [0, 0, 0]


def test_what_is_drawn_step_by_step_is_what_is_drawn_at_once(tab, page):
    window = tab(page.path)
    for step in ("setEps(1.5)", "setFilter('xco2 > 411')", "setEps(4)", "selectWhere((i) => i % 3 === 0)",
                 "setEps(0.5)", "setFilter('')", "views[1].zoom(0.3)", "setEps(2)", "setSelected([])",
                 "setMinSamples(20)"):
        window.run(f"explorer.{step}")
        assert window.run("""explorer.views.every((view) => { const before = view.crowd.slice();
          view.crowdSize = 0; view.paint(); return before.every((n, k) => n === view.crowd[k]); })"""), step


def test_filter_box(tab, page, result):
    window = tab(page.path)
    table = result.table
    window.run("document.querySelector('.ox-filter input').focus()")
    window.type("xco2 > 412 and isolated")
    window.key("Enter")
    wanted = (table["xco2"].astype(float) > 412) & table["isolated"]
    assert window.run("explorer.nShown") == wanted.sum() > 0
    assert f"the filter shows {wanted.sum():,}" in window.run("document.querySelector('output').textContent")
    assert window.run("document.querySelectorAll('.ox-list tbody tr').length") == min(20, wanted.sum())
    window.run("explorer.setEps(1.5)")  # a filter on what eps decides follows it
    assert window.run("explorer.nShown") == ((table["xco2"].astype(float) > 412) & (table["score"] > 1.5)).sum()
    window.run("explorer.setFilter('xco2 >'); new Promise((done) => setTimeout(done, 400))")  # typing settles in 250 ms
    assert "expected a column" in window.run("document.querySelector('.ox-error').textContent")
    assert window.run("document.querySelector('.ox-filter input').getAttribute('aria-invalid')") == "true"
    one = int(table["sounding_id"].iloc[7])
    window.run(f"explorer.setFilter('sounding_id == {one}')")
    assert window.run("[explorer.nShown, explorer.shown[7]]") == [1, 1]


def test_lasso_selects_and_exports(tab, page, result, tmp_path):
    window = tab(page.path)
    window.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path),
                browserContextId=window._context)
    window.run("explorer.lassoButton.click()")
    left, top, width, height = window.run("""(() => { const b = explorer.views.find((v) => v.name ===
        'track').uplot.over
      .getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; })()""")
    corners = [(0.25, 0.02), (0.75, 0.02), (0.75, 0.98), (0.25, 0.98)]
    path = [(left + x * width, top + y * height) for x, y in corners]
    window.mouse("mouseMoved", *path[0])
    window.mouse("mousePressed", *path[0])
    for x, y in path[1:]:
        window.mouse("mouseMoved", x, y, buttons=1)
    window.mouse("mouseReleased", *path[-1])
    rows = window.run("explorer.selectedRows()")
    x0, x1 = window.run("explorer.views.find((v) => v.name === 'track').fitted().slice(0, 2)")
    share = (result.table["time"].to_numpy().astype("datetime64[ms]").astype(float) - x0) / (x1 - x0)
    assert set(np.flatnonzero((share > 0.26) & (share < 0.74))) <= set(rows)
    assert set(rows) <= set(np.flatnonzero((share > 0.24) & (share < 0.76)))
    window.run("explorer.exportButton.click()")
    window.wait("true")
    for _ in range(100):
        if (tmp_path / "selected.csv").exists():
            break
        threading.Event().wait(0.05)
    text = (tmp_path / "selected.csv").read_bytes().decode("utf-8")
    found = pd.read_csv(io.StringIO(text), dtype=str)
    assert found["sounding_id"].tolist() == result.table["sounding_id"].iloc[rows].astype(str).tolist()
    assert (found["score"].astype(float).to_numpy() == result.table["score"].iloc[rows].to_numpy()).all()
    window.key("Escape")
    window.key("Escape")
    assert window.run("[explorer.lassoing, explorer.nSelected]") == [False, 0]


def test_rows_by_keyboard(tab, page, result):
    window = tab(page.path)
    order = result.table["score"].to_numpy().argsort(kind="stable")[::-1]
    assert window.run("document.querySelectorAll('.ox-list caption').length") == 1
    window.run("document.querySelector('.ox-list tbody tr').focus()")
    window.key("Enter")
    assert window.run("explorer.current") == order[0]
    for _ in range(3):
        window.key("ArrowDown")
    assert window.run("explorer.current") == order[3]
    window.key(" ")
    assert window.run("explorer.selectedRows()") == [order[3]]
    card = window.run("document.querySelector('.ox-card').innerText")
    row = result.table.iloc[order[3]]
    assert str(row["sounding_id"]) in card and f"Reason: {row['reason']}" in card and str(row["score"]) in card
    window.key("ArrowUp")
    assert window.run("explorer.current") == order[2]
    for _ in range(19):
        window.key("ArrowDown")
    assert window.run("[explorer.page, document.activeElement.tagName]") == [1, "TR"]
    window.key("Escape")
    assert window.run("explorer.current") == -1


def test_tab_reaches_every_control_in_order(tab, page):
    window = tab(page.path)
    seen = []
    for _ in range(40):
        window.key("Tab")
        seen.append(window.run("document.activeElement.tagName + ' ' + (document.activeElement.type || "
                               "document.activeElement.className)"))
    assert [seen.index(name) for name in ("INPUT number", "INPUT range", "INPUT text", "DIV ox-plot", "TR ")] == \
        sorted(seen.index(name) for name in ("INPUT number", "INPUT range", "INPUT text", "DIV ox-plot", "TR "))
    unnamed = window.run("""[...document.querySelectorAll('button, input, select')].filter((e) => !(e.textContent ||
      e.getAttribute('aria-label') || document.querySelector(`label[for="${e.id}"]`))).length""")
    assert unnamed == 0


def test_card_neighbours_and_change(tab, page, result):
    window = tab(page.path)
    X = result.matrix.X.to_numpy()
    for row in (0, 17, int(result.table["score"].to_numpy().argmax())):
        window.run(f"explorer.open({row})")
        distance = np.linalg.norm(X - X[row], axis=1)
        distance[row] = np.inf
        assert np.allclose(np.sort(distance)[:5], distance[window.run("explorer.neighbourRows")], rtol=1e-12)
    changed = result.table[result.table["change"] != ""]
    if len(changed):
        row = result.table.index.get_loc(changed.index[0])
        window.run(f"explorer.open({row})")
        feature = changed["change"].iloc[0].split(" ", 1)
        assert f"Would not be isolated if {feature[0]} were {feature[1]}" in window.run("explorer.card.innerText")
        window.run("explorer.setEps(1)")
        assert "as in the run" in window.run("explorer.card.innerText")
        window.wait("!explorer.card.innerText.includes('as in the run')")


def test_reasons_follow_the_slider(tab, page, result):
    window = tab(page.path)
    for m, eps in ((5, 2.0), (10, 2.5), (3, 1.5), (20, 4.0)):
        model = IsolatedSoundings(eps=eps, min_samples=m).fit(result.matrix.X)
        rows = np.flatnonzero(model.labels_ == -1)[:25]
        wanted = model.explain(result.matrix.X.iloc[rows], scale=result.matrix.scale)
        window.run(f"explorer.setMinSamples({m}); explorer.setEps({eps})")
        found = window.run(f"{rows.tolist()}.map((row) => explorer.explain(row))")
        assert len(found) > 2
        for got, (_, row) in zip(found, wanted.iterrows()):
            assert got["nearest"] == row["nearest_core"] and np.isclose(got["distance"], row["distance"], rtol=1e-12)
            assert re.findall(r"(\S+) \d+%", got["reason"]) == re.findall(r"(\S+) \d+%", row["reason"])
            assert got["feature"] == (None if pd.isna(row["feature"]) else row["feature"])
            assert np.isclose(got["change"] if got["feature"] else np.nan, row["change"], rtol=1e-9, equal_nan=True)
    window.run("explorer.setEps(1e-9)")
    assert window.run("explorer.explain(0)") is None


def spread_rows(fill, mean):
    """A cloud with lonely rows, one of them with a fill value of -9.99e8, in units that may have a large mean."""
    rng = np.random.default_rng(3)
    table = pd.DataFrame(rng.normal(size=(300, 4)), columns=["xco2", "psurf", "tcwv", "albedo"])
    table.loc[::20, "psurf"] += rng.normal(scale=9, size=15)
    table["xco2"] = mean + 1e-3 * table["xco2"]
    if fill:
        table.loc[7, "tcwv"] = -9.99e8
    return table.assign(sounding_id=2019071518322000 + np.arange(300))


@pytest.mark.parametrize(("fill", "mean"), [(False, 0.0), (True, 400.0), (False, 1e7)])
def test_every_change_that_the_page_states_ends_the_isolation_as_printed(tab, tmp_path, fill, mean):
    made = isolate(spread_rows(fill, mean), eps=0.5, preset="original")
    window, matrix, tried = tab(explore(made, tmp_path / "page.html").path), made.matrix, 0
    for m, eps in ((5, 0.4), (5, 0.05), (10, 0.7), (3, 1e-7 if fill else 0.2)):
        model = IsolatedSoundings(eps=eps, min_samples=m).fit(matrix.X)
        rows = np.flatnonzero(model.labels_ == -1)[:60]
        wanted = model.explain(matrix.X.iloc[rows], scale=matrix.scale)
        window.run(f"explorer.setMinSamples({m}); explorer.setEps({eps})")
        found = window.run(f"{rows.tolist()}.map((row) => explorer.explain(row))")
        for row, got, (_, told) in zip(rows, found, wanted.iterrows()):
            if got is None:
                assert len(model.core_sample_indices_) == 0
                continue
            assert got["feature"] == (None if pd.isna(told["feature"]) else told["feature"])
            if not got["feature"]:
                continue
            j = matrix.features.index(got["feature"])
            assert np.isclose(got["change"], told["change"], rtol=1e-9)
            values = made.table.iloc[[row]][matrix.features].astype(float)
            values.iloc[0, j] += np.copysign(float(got["told"]), got["change"])
            assert model.predict(matrix.transform(values))[0] == 1, (row, m, eps, got)
            words = words_of_changes(pd.DataFrame([told]), matrix.X.iloc[[row]], matrix.mean, matrix.scale)[0]
            assert got["told"] == words.split()[1], (got, words)
            tried += 1
    assert tried > 10


def test_numbers_are_rounded_outward_as_in_python(tab, page):
    rng = np.random.default_rng(0)
    least = [*(10.0 ** rng.uniform(-9, 18, 300)), 0.1, 9.995, 9.99, 999.5, 1e-5, 9.9e-6, 1e15, 5e-324, 123456.0]
    most = [*(np.array(least[:150]) * (1 + 10.0 ** rng.uniform(-15, 1, 150))), *[np.inf] * 159]
    program = (STATIC / "explorer.js").read_text("utf-8")
    functions = program[program.index("function outward"):program.index("// The change as it is printed.")]
    pairs = json.dumps([[a, min(b, 1e300)] for a, b in zip(least, most)])
    told = tab(page.path).run(f"(() => {{ {functions} return {pairs}.map((pair) => outward(...pair)); }})()")
    for a, b, text in zip(least, most, told):
        words = change_in_words("f", a, min(b, 1e300)).split()[1]
        assert float(text) == float(words) and ("e" in text) == ("e" in words), (a, b, text, words)


def test_a_click_opens_the_row_under_it(tab, page):
    window = tab(page.path)
    row = window.run("explorer.top[0]")
    x, y = window.run(f"""(() => {{ const v = explorer.views.find((v) => v.name === 'scatter'); const b = v.uplot.over
      .getBoundingClientRect();
      return [b.left + v.uplot.valToPos(v.xs[{row}], 'x'), b.top + v.uplot.valToPos(v.ys[{row}], 'y')]; }})()""")
    window.click(x, y)
    assert window.run("explorer.current") == row
    before = window.run("explorer.views[0].fitted()")
    window.run("explorer.views[0].plotArea.focus()")
    window.key("+")
    after = window.run("explorer.views[0].fitted()")
    assert after[1] - after[0] < before[1] - before[0]
    window.key("0")
    assert np.allclose(window.run("explorer.views[0].fitted()"), before)


def test_hostile_page_stays_quiet(tab, tmp_path):
    rng = np.random.default_rng(0)
    nasty = objects(NASTY * 5)
    table = table_of(35, source=nasty, reason=nasty, id=nasty, xco2=rng.normal(size=35))
    table = table.rename(columns={"xco2": NASTY[0]})
    window = tab(explore(table, tmp_path / "e.html", title=NASTY[0]).path)
    window.run("window.hacked = 0; window.alert = () => { window.hacked = 1; }")
    for i in range(7):
        window.run(f"explorer.open({i})")
    assert window.run("document.querySelector('h1').textContent") == NASTY[0]
    assert window.run("document.querySelectorAll('main img, main script').length") == 0 == window.run("window.hacked")
    window.run("explorer.selectWhere(() => true)")
    rows = list(csv.reader(io.StringIO(window.run("explorer.csv()"), newline="")))
    ids = [row[0] for row in rows[1:]]
    assert len(rows) == 36 and "'=1+1" in ids and not any(text.startswith(("=", "+", "-", "@")) for text in ids)
    assert NASTY[0] in ids
    window.run("explorer.setFilter('`" + NASTY[0] + "` > 0')")
    assert window.run("explorer.nShown") == (table[NASTY[0]] > 0).sum()


@pytest.mark.parametrize("name, table", [
    ("one row", table_of(1, outlier=[True])), ("none", table_of(outlier=False)), ("all", table_of(outlier=True)),
    ("constant", table_of(xco2=410.0, latitude=1.0, longitude=2.0)),
    ("missing", table_of(latitude=np.nan, xco2=np.nan)), ("infinite", table_of(score=[*range(29), np.inf],
        xco2=[np.inf, -np.inf, np.nan] * 10)),
    ("another rule", table_of(outlier=[True, False] * 15)), ("no score", table_of(score=np.nan, outlier=False)),
    ("times", table_of(time=pd.to_datetime(["2020-01-01", None, "2021-01-01"] * 10))),
])
def test_odd_tables_in_the_browser(name, table, tab, tmp_path):
    window = tab(explore(table, tmp_path / "e.html").path)
    assert (flagged(window) == np.flatnonzero(table["outlier"])).all()
    window.run("explorer.open(0); explorer.stepEps(1); explorer.stepEps(-1); explorer.turn()")
    window.run("explorer.setFilter('score > 3')")
    window.run("for (const view of explorer.views) { view.zoom(0.5); view.reset(); }")


@pytest.mark.parametrize("name", NUMBERED)
def test_tables_with_ids_start_in_the_browser(name, tab, tmp_path):
    assert tab(explore(NUMBERED[name], tmp_path / "e.html").path).run("explorer.views.length") > 0


def test_dateline(tab, tmp_path):
    longitude = np.r_[np.linspace(176, 180, 15), np.linspace(-180, -176, 15)]
    window = tab(explore(table_of(longitude=longitude, latitude=np.linspace(-20, -10, 30)), tmp_path / "e.html").path)
    x0, x1, *_ = window.run("explorer.views[0].home")
    assert 170 < x0 < 176 and 184 < x1 < 190
    assert window.run("explorer.views[0].at.every((place) => place >= 0)")


def test_dark_light_and_phone(tab, page):
    dark, light, phone = tab(page.path, dark=True), tab(page.path), tab(page.path, 400, 800)
    assert dark.run("explorer.isDark()") and not light.run("explorer.isDark()")
    assert dark.run("explorer.colour('--paper')") != light.run("explorer.colour('--paper')")
    light.run("[...document.querySelectorAll('button')].find((b) => b.textContent === 'Light / dark').click()")
    assert light.run("explorer.isDark()")
    assert light.run("explorer.colour('--paper')") == dark.run("explorer.colour('--paper')")
    assert phone.run("document.documentElement.scrollWidth") <= 400
    tops = phone.run("[...document.querySelectorAll('.ox-panel')].map((e) => e.getBoundingClientRect().top)")
    assert tops == sorted(tops) and len(set(tops)) == len(tops), "one column"
    assert light.run("""(() => { const [a, b] = explorer.views.map((v) => v.uplot.over.getBoundingClientRect());
      return Math.abs(a.bottom - b.bottom) < 2 && Math.abs(a.top - b.top) < 2; })()"""), "map and scatter are level"


def test_pictures_come_in_sheets(tab, tmp_path, monkeypatch):
    simulate_pictures(tmp_path / "pictures", n_pictures=12, odd_kinds=["night"], random_state=0)
    table = scan_folder(tmp_path / "pictures", tmp_path / "scan", top=1)
    table.attrs.clear()
    (tmp_path / "pictures" / "no picture.png").write_bytes(b"nothing")
    none = table.head(1).assign(path=str(tmp_path / "pictures" / "no picture.png"))
    table = pd.concat([table, none], ignore_index=True)
    monkeypatch.setattr(thumbnails, "_SHEET", 64)
    made = explore(table, tmp_path / "e.html", thumbnail=32)
    meta, array = read_back(made.path)
    tiles = array(meta["pictures"]["of"])
    assert len(meta["pictures"]["sheets"]) == -(-(len(table) - 1) // 4) and tiles[-1] == -1
    assert sorted(tiles[tiles >= 0]) == list(range(len(table) - 1))
    window = tab(made.path)
    assert window.run("document.querySelectorAll('.ox-tile').length") == len(table)
    shown = window.wait("document.querySelector('.ox-tile .ox-picture').style.backgroundImage")
    assert shown.startswith('url("blob:')
    window.run("document.querySelector('.ox-tile').click()")
    assert window.run("explorer.current") == int(table["score"].argmax())


def test_says_what_an_old_browser_lacks(browser, page):
    window = browser.page()
    window.send("Page.addScriptToEvaluateOnNewDocument", source="delete window.DecompressionStream")
    window.open(page.path)
    told = window.wait("document.querySelector('main').textContent.includes('could not start') && "
                       "document.querySelector('main').textContent")
    assert "no DecompressionStream" in told
    window.close()


# ---------------------------------------------------------------- the widget

def test_widget_in_python(result):
    pytest.importorskip("anywidget", reason="no anywidget (extra dev); the page with the same numbers is tested above")
    import traitlets

    widget = IsolationWidget(result)
    assert widget.eps == result.eps and widget.min_samples == result.min_samples > 20
    assert (widget.isolated.index == result.isolated.index).all()
    widget.min_samples, widget.eps = 10, 2.0
    assert set(widget.isolated.index) == set(result.table.index[isolation_radius(result.matrix.X, 10) > 2.0])
    widget.selected = [9, 3]
    assert widget._rows == [3, 9]
    widget._rows = [4]
    assert widget.selected == [4]
    for name, value in (("min_samples", 4), ("eps", float("nan")), ("eps", "wide")):
        with pytest.raises(traitlets.TraitError):
            setattr(widget, name, value)
    labels = result.table.set_index("sounding_id")
    labelled = IsolationWidget(labels)
    labelled._rows = [0, 2]
    assert labelled.selected == labels.index[[0, 2]].tolist()
    fixed = IsolationWidget(table_of(outlier=[True, False] * 15))
    assert len(fixed.isolated) == 15


def test_widget_in_the_browser(browser, result, tmp_path):
    """The module that JupyterLab loads, with a model that behaves as the real one."""
    pytest.importorskip("anywidget", reason="no anywidget (extra dev); the page with the same numbers is tested above")
    widget = IsolationWidget(result)
    state = {"_meta": widget._meta, "eps": widget.eps, "min_samples": widget.min_samples, "_rows": []}
    (tmp_path / "w.html").write_text(f"""<!doctype html><meta charset="utf-8"><style>{widget._css}</style>
<div id="here"></div>
<script type="application/json" id="state">{html.safe_json(state)}</script>
<script type="text/plain" id="bytes">{base64.b64encode(widget._data).decode()}</script>
<script type="module">{widget._esm}
const state = JSON.parse(document.getElementById("state").textContent);
const bytes = Uint8Array.from(atob(document.getElementById("bytes").textContent), (c) => c.charCodeAt(0));
state._data = new DataView(bytes.buffer);
const heard = new Map();
window.saved = 0;
window.model = {{
  get: (name) => state[name],
  set: (name, value) => {{ state[name] = value; heard.get("change:" + name)?.forEach((f) => f()); }},
  on: (name, f) => heard.set(name, [...(heard.get(name) ?? []), f]), off: (name) => heard.delete(name),
  save_changes: () => {{ window.saved += 1; }} }};
window.stop = await render({{ model, el: document.getElementById("here") }});
window.firstPicture = 1;
</script>""", "utf-8")
    window = browser.page().open(tmp_path / "w.html")
    window.wait("window.firstPicture")

    def count():
        return int(window.run("document.querySelector('output').textContent").split(" ")[0].replace(",", ""))

    assert count() == len(result.isolated)
    window.run("model.set('eps', 2)")
    assert count() == (result.table["score"] > 2).sum() and window.run("saved") == 0
    window.run("model.set('min_samples', 10)")
    assert count() == (isolation_radius(result.matrix.X, 10) > 2).sum()
    window.run("""(() => { const slider = document.querySelector('input[type=range]'); slider.value = 700;
      slider.dispatchEvent(new Event('input')); })()""")
    assert window.run("saved") == 1
    assert count() == (isolation_radius(result.matrix.X, 10) > window.run("model.get('eps')")).sum()
    window.run("[...document.querySelectorAll('button')].find((b) => b.textContent === 'Select isolated').click()")
    assert len(window.run("model.get('_rows')")) == count()
    window.run("model.set('_rows', [1, 2])")
    assert "2 selected" in window.run("document.querySelector('output').textContent")
    window.run("stop()")
    assert window.run("document.querySelectorAll('#here canvas').length") == 0 and window.console == []
    window.close()


@pytest.mark.slow
def test_widget_in_jupyterlab(browser, tmp_path):
    """A real JupyterLab: the slider moves Python, Python moves the slider."""
    pytest.importorskip("jupyterlab", reason="no JupyterLab (extra lab); the module it loads is run in a browser above")
    pytest.importorskip("anywidget", reason="no anywidget (extra lab); the page with the same numbers is tested above")
    import nbformat

    code = """
import pathlib
from oco2_outliers.explorer import IsolationWidget
from oco2_outliers.main_job import isolate
from oco2_outliers.page import html, thumbnails
from oco2_outliers.soundings import simulate_granule
widget = IsolationWidget(isolate(simulate_granule(random_state=0, n_seconds=40)[0]))
heard = pathlib.Path('heard.txt')
def told(change):
    heard.write_text(f"{change['name']} {change['new']!r} {len(widget.isolated)}")
    if change['name'] == 'eps':
        widget.selected = widget.isolated.index[:3].tolist()
widget.observe(told, ['eps'])
widget
"""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)], metadata={
        "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}})
    nbformat.write(notebook, tmp_path / "w.ipynb")
    env = {**os.environ, "JUPYTER_RUNTIME_DIR": str(tmp_path / "runtime"),
           "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
           "PYTHONPATH": os.pathsep.join([str(TESTS), str(ROOT)])}
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0", "--ip=127.0.0.1",
               "--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True", f"--ServerApp.root_dir={tmp_path}",
               "--LabApp.news_url=None", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    server = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    window = browser.page(1400, 1000)
    try:
        for _ in range(600):
            held = list((tmp_path / "runtime").glob("jpserver-*.json"))
            if held and held[0].stat().st_size:
                break
            threading.Event().wait(0.1)
        port = json.loads(held[0].read_text())["port"]
        window.send("Page.navigate", url=f"http://127.0.0.1:{port}/lab/tree/w.ipynb")
        window.wait("Boolean(window.jupyterapp && document.querySelector('.jp-Notebook .jp-CodeCell'))", 120)
        kernel = "window.jupyterapp.shell.currentWidget.context?.sessionContext?.session?.kernel"
        window.wait(f"{kernel}?.status === 'idle'", 120)
        window.run("void window.jupyterapp.commands.execute('notebook:run-all-cells')")
        window.wait("Boolean(document.querySelector('.ox-count')?.textContent)", 120)
        window.run("""(() => { const slider = document.querySelector('.ox input[type=range]'); slider.value = 400;
          slider.dispatchEvent(new Event('input')); })()""")
        eps = window.run("document.querySelector('.ox input[type=number]').valueAsNumber")
        shown = window.run("document.querySelector('.ox-count').textContent").split(" ")[0].replace(",", "")
        window.wait("document.querySelector('.ox-count').textContent.includes('3 selected')", 60)
        name, value, n = (tmp_path / "heard.txt").read_text().split()
        assert (name, float(value), n) == ("eps", eps, shown)
    finally:
        window.close()
        server.terminate()
        server.wait(30)


def test_a_verdict_in_words_is_read_and_not_taken_for_true(tmp_path):
    table = pd.DataFrame({"a": [1.0, 2, 3], "score": [5.0, 1, 2], "outlier": ["True", "False", "False"]})
    (tmp_path / "page.html").write_text("")
    page = explore(table, tmp_path / "page.html")
    meta = json.loads(re.search(r'id="explorer-meta">(.*?)</script>', page.path.read_text("utf-8"), re.S)[1])
    assert 2 <= meta["eps"] < 5  # one row of three is odd
    with pytest.raises(InputError, match="'perhaps', which is neither true nor false"):
        explore(table.assign(outlier=["True", "perhaps", "False"]), tmp_path / "other.html")
