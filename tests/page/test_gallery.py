"""The gallery: what is in its two pages, and what a real browser makes of them."""

import base64
import csv
import html
import io
import json
import re
import shutil
import zlib
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
from layout import SHARED_DATA
from PIL import Image

from oco2_outliers.datasets import InputError
from oco2_outliers.ground.languages import language
from oco2_outliers.image_clusters import cluster_pictures, odd_pictures, picture_vectors
from oco2_outliers.image_forest import simulate_pictures
from oco2_outliers.page.album_sheets import Tiling
from oco2_outliers.picture_gallery import describe_fields, gallery

NASTY = ["</script><img src=x onerror=alert(1)>", "<!--<script>", "\u2028\u2029", "'\"`&amp;&", "=1+1", "\x00\ud800",
         "a,b\n", "../../etc/passwd", "\u202egnp.exe"]
REAL = SHARED_DATA / "images" / "iss_hdev"


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """Forty forests, twenty deserts, a night; with verdict, two versions of groups, and a place."""
    folder = tmp_path_factory.mktemp("gallery") / "album"
    truth = simulate_pictures(folder, n_pictures=40, odd_kinds=["desert"] * 20 + ["night"], random_state=2)
    v = picture_vectors(folder)
    table = odd_pictures(v)
    table["latitude"] = np.linspace(-50, 50, len(table))
    table["longitude"] = np.linspace(170, -170, len(table))
    table["kind"] = table["path"].map(dict(zip(truth["path"].map(str), truth["kind"]))).astype(object)
    versions = [cluster_pictures(v, "ward", k=2, version=1), cluster_pictures(v, "kmeans", k=3, version=2)]
    return table, versions


@pytest.fixture(scope="module")
def pages(album, tmp_path_factory):
    return gallery(album[0], tmp_path_factory.mktemp("pages") / "out", clusterings=album[1], title="An album")


def part(path, name):
    """What stands in an element of a page."""
    text = Path(path).read_text("utf-8")
    return html.unescape(re.search(rf'<script type="[^"]*" id="{name}">(.*?)</script>', text, re.S)[1])


def tiles_of(path):
    """The tiles of a page as pictures, in the order of its rows."""
    meta = json.loads(part(path, "gallery-meta"))
    size = meta["sheets"]
    found = []
    for k in range(-(-meta["n"] // size["per_sheet"])):
        sheet = cv2.imdecode(np.frombuffer(base64.b64decode(part(path, f"gallery-sheet-{k}")), np.uint8), 1)
        assert max(sheet.shape) <= 4096
        for j in range(min(size["per_sheet"], meta["n"] - len(found))):
            top, left = j // size["across"] * size["height"], j % size["across"] * size["width"]
            found.append(sheet[top : top + size["height"], left : left + size["width"]])
    return found


# ---------------------------------------------------------------- what is in the files

def test_every_picture_is_its_own_tile(album, pages):
    table, _ = album
    tiles = tiles_of(pages.dive)
    assert len(tiles) == len(table) == pages.n_pictures
    for path, tile in zip(table["path"], tiles):
        small = cv2.resize(cv2.imread(path), tile.shape[1::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(small.astype(int) - tile).mean() < 12, path
    assert tiles[0].shape[1] / tiles[0].shape[0] == pytest.approx(128 / 96, rel=0.02)


def test_tiles_are_right_on_many_sheets(album, tmp_path, monkeypatch):
    monkeypatch.setattr("oco2_outliers.page.album_sheets.SHEET", 128)
    made = gallery(album[0], tmp_path / "out", tile=(32, 24))
    assert json.loads(part(made.dive, "gallery-meta"))["sheets"]["per_sheet"] == 20
    for path, tile in zip(album[0]["path"], tiles_of(made.dive), strict=True):
        small = cv2.resize(cv2.imread(path), (32, 24), interpolation=cv2.INTER_AREA)
        assert np.abs(small.astype(int) - tile).mean() < 16, path


def test_both_pages_trust_nothing_and_fetch_nothing(pages):
    for page in (pages.dive, pages.fields):
        text = page.read_text("utf-8")
        policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "connect-src" not in policy
        assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:|//|file:)""", text)
    assert sorted(path.name for path in pages.dive.parent.iterdir()) == ["facets-dive.html", "facets.html"]


def test_no_picture_is_lost_by_a_version_that_does_not_know_it(album, tmp_path):
    table, versions = album
    few = cluster_pictures(picture_vectors(table["path"].tolist()[:45]), "ward", k=2, version=3)
    made = gallery(table, tmp_path, clusterings=[*versions, few])
    meta = json.loads(part(made.dive, "gallery-meta"))
    names = [column["name"] for column in meta["columns"]]
    assert meta["n"] == len(table) and {"v1_label", "v2_x", "v3_label", "v3_silhouette"} <= set(names)
    assert "16 pictures not in clustering v3: their labels are missing" in made.notes
    fewer = gallery(table.head(50), tmp_path / "fewer", clusterings=versions[:1])
    assert "11 pictures of clustering v1 not in the table" in fewer.notes


def strange_pictures(folder, source):
    """Files that are hard to read, and two that are none."""
    picture = Image.open(source).convert("RGB")
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    picture.convert("RGBA").save(folder / "alpha.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    picture.rotate(90, expand=True).save(folder / "turned.jpg", exif=turned, quality=95)
    cv2.imwrite(str(folder / "deep.png"), cv2.imread(str(folder / "alpha.png")).astype(np.uint16) * 257)
    picture.save(folder / "a <b> & c.png")
    (folder / "cut.jpg").write_bytes((folder / "cmyk.jpg").read_bytes()[:900])
    (folder / "empty.png").write_bytes(b"")
    (folder / "wide.png").write_bytes(cv2.imencode(".png", np.zeros((4, 30_000, 3), np.uint8))[1].tobytes())
    (folder / "notes.txt").write_text("no picture")


def test_a_folder_with_strange_pictures(album, tmp_path):
    folder = tmp_path / "strange"
    folder.mkdir()
    for path in album[0]["path"].head(12):
        shutil.copy(path, folder)
    strange_pictures(folder, album[0]["path"].iloc[0])
    made = gallery(folder, tmp_path / "out", max_pixels=100_000)
    assert {Path(path).name for path in made.not_read} == {"cut.jpg", "empty.png", "wide.png"}
    assert made.n_pictures == 12 + 8 and "such as notes.txt" in " ".join(made.notes)
    table = json.loads(part(made.fields, "fields-meta"))
    (told,) = [field for field in table["fields"] if field["name"] == "not_read"]
    assert told["remarks"] == ["3 pictures could not be read"]
    (note,) = [note for note in made.notes if "grey tiles" in note]
    english = re.findall(r"[\w.]+ \((.+?)\)(?:, |$)", note)
    assert len(english) == 3, "each with its reason"
    for lang in ("fr", "es"):
        assert not [why for why in english if why in language(lang)(note)], language(lang)(note)
    tiles = dict(zip(ids_of(made.dive), tiles_of(made.dive)))
    for name in ("turned", "cmyk", "deep", "a <b> & c"):
        assert np.abs(tiles[name].astype(int) - tiles["alpha"]).mean() < (30 if name == "cmyk" else 8), name


def ids_of(path):
    """The ids of a page, in the order of its rows."""
    (column,) = [each for each in json.loads(part(path, "gallery-meta"))["columns"] if each["name"] == "id"]
    data = zlib.decompress(base64.b64decode(part(path, "gallery-data")))
    codes = np.frombuffer(data[column["offset"] : column["offset"] + column["n"]], np.uint8)
    return [column["words"][code - 1] for code in codes]


@pytest.mark.parametrize("number", [1, 2, 5])
def test_few_and_equal_pictures(number, album, tmp_path):
    folder = tmp_path / "few"
    folder.mkdir()
    for k in range(number):
        shutil.copy(album[0]["path"].iloc[0], folder / f"{k}.png")
    made = gallery(folder, tmp_path / "out")
    assert made.n_pictures == number and "shown without a verdict" in " ".join(made.notes)


def test_what_cannot_be_is_refused_and_leaves_nothing(album, tmp_path):
    table, versions = album
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    others = cluster_pictures(np.eye(9), "ward", k=2)
    for given, more, told in [
            (table.head(0), {}, "no rows"), (table.drop(columns="path"), {}, "no column path"),
            (tmp_path / "empty", {}, "no usable picture"),
            (table.assign(path="gone.png"), {}, "none of the 61 pictures"),
            (3, {}, "give a table"), (table, {"tile": (4, 4)}, "tile width"), (table, {"quality": 0}, "quality"),
            (table, {"clusterings": [others]}, "no picture of the table is in the clustering"),
            (table, {"clusterings": [versions[0], versions[0]]}, "another version"),
            (table.assign(outlier="perhaps"), {}, "outlier holds"), (table, {"source": tmp_path / "no"}, "no folder")]:
        with pytest.raises((InputError, FileNotFoundError), match=told):
            gallery(given, out, **more)
        assert not out.exists(), told
    with pytest.raises(FileNotFoundError):
        gallery(tmp_path / "absent.csv", out)


def test_an_input_is_never_replaced(album, tmp_path):
    shutil.copy(album[0]["path"].iloc[0], tmp_path / "facets.html")
    with pytest.raises(InputError, match="is the input itself"):
        gallery(pd.DataFrame({"path": [str(tmp_path / "facets.html")]}), tmp_path)
    assert cv2.imread(str(tmp_path / "facets.html")) is not None


def test_moved_pictures_are_found_by_name(album, tmp_path):
    table, _ = album
    shutil.copytree(Path(table["path"].iloc[0]).parent, tmp_path / "moved")
    gone = table.assign(path=[f"/nowhere/{Path(path).name}" for path in table["path"]])
    assert gallery(gone, tmp_path / "out", tmp_path / "moved").not_read == []
    assert gallery(gone.drop(columns="path"), tmp_path / "out", tmp_path / "moved").not_read == []


def test_a_table_from_a_file_keeps_its_nearest_pictures(album, tmp_path):
    table = album[0].assign(neighbours=album[0]["neighbours"].map(" ".join))
    table.to_csv(tmp_path / "odd.csv", index=False)
    meta = json.loads(part(gallery(tmp_path / "odd.csv", tmp_path / "out").dive, "gallery-meta"))
    assert meta["near"]["k"] == 5 and "neighbours" not in [column["name"] for column in meta["columns"]]
    assert meta["subtitle"] == f"61 pictures, {int(album[0]['outlier'].sum())} odd"


def test_tiles_shrink_as_pictures_grow_in_number():
    assert Tiling(80, 45, 14_500).per_sheet * 8 >= 8 * 25 * 45 and Tiling(512, 512, 3).across == 3


@pytest.mark.skipif(not REAL.is_dir(), reason="no real pictures beside the project; the tests above use generated ones")
def test_real_pictures(tab, tmp_path):
    paths = sorted(map(str, REAL.rglob("*.png")))
    table = pd.DataFrame({"id": [Path(path).name for path in paths], "path": paths,
                          "group": [Path(path).parent.name for path in paths]})
    made = gallery(table, tmp_path)
    window = tab(made.dive)
    window.run("gallery.setBins('group', '')")
    assert window.run("gallery.stage.layout.columns.map((each) => [each.name, each.size])") == [
        [name, int(n)] for name, n in sorted(table["group"].value_counts().items())]
    assert made.n_pictures == 177 and not made.not_read and made.n_bytes < 1e6


# ---------------------------------------------------------------- in the browser

def shown_ids(window):
    return {row[1] for row in csv.reader(io.StringIO(window.run("gallery.csv()"), newline=""))} - {"id"}


def test_filter(tab, album, pages):
    table, _ = album
    window = tab(pages.dive, 1400, 950)
    window.run("gallery.filterBox.focus()")
    window.type("latitude > 10 and not outlier")
    window.key("Enter")
    wanted = table[(table["latitude"] > 10) & ~table["outlier"]]
    assert shown_ids(window) == set(wanted["id"]) and window.run("gallery.stage.rows.length") == len(wanted)
    assert f"{len(wanted)} of 61 pictures shown, 0 odd" in window.run("gallery.counted.textContent")
    window.run("gallery.setFilter('kind contains \"des\" and v1_label >= 0')")
    assert shown_ids(window) == set(table["id"][table["kind"] == "desert"])
    window.run("gallery.setFilter('nonsense >')")
    assert "at character" in window.run("gallery.filterError.textContent")
    assert shown_ids(window) == set(table["id"][table["kind"] == "desert"]), "a filter that is wrong changes nothing"
    window.run("gallery.setFilter('')")
    assert window.run("gallery.nShown") == len(table)


def test_bins_of_two_fields(tab, album, pages):
    table, versions = album
    window = tab(pages.dive, 1400, 950)
    assert window.run("gallery.columnField") == "v1_label"
    window.run("gallery.setBins('v2_label', 'kind')")
    wanted = pd.crosstab(table["kind"], versions[1].table["label"].to_numpy())
    layout = window.run("""(({ columns, lines, sizes, nx }) => ({ columns, lines, sizes: [...sizes], nx }))(
      gallery.stage.layout)""")
    assert [line["name"] for line in layout["lines"]] == wanted.index.tolist()
    assert [column["name"] for column in layout["columns"]] == [str(each) for each in wanted.columns]
    assert np.reshape(layout["sizes"], (-1, layout["nx"])).tolist() == wanted.to_numpy().tolist()
    overlap = window.run("""(() => { const { xs, ys } = gallery.stage.layout; const seen = new Set();
      xs.forEach((x, j) => seen.add(`${x.toFixed(3)} ${ys[j].toFixed(3)}`)); return xs.length - seen.size; })()""")
    assert overlap == 0
    window.run("gallery.setBins('latitude', '')")
    sizes = window.run("gallery.stage.layout.columns.map((each) => each.size)")
    assert sum(sizes) == len(table) and len(sizes) > 5


def test_lasso_selects_and_exports(tab, album, pages):
    window = tab(pages.dive, 1400, 950)
    window.run("gallery.setBins('v1_label', '')")
    window.run("gallery.lassoButton.click()")
    box = window.run("""(() => { const box = gallery.stage.area.getBoundingClientRect(); const s = gallery.stage;
      const [a, b] = s.layout.columns; const x = (u) => box.left + s.x + u * s.scale;
      return [[x(a.from) - 2, x(a.to) + 2], [x(b.from) - 2, x(b.to) + 2], box.top + 2, box.bottom - 2]; })()""")
    first, second, top, bottom = box

    def lasso(ends, modifiers=0):
        window.mouse("mousePressed", ends[0], top, modifiers)
        for x, y in ((ends[0], bottom), (ends[1], bottom), (ends[1], top), (ends[0], top)):
            window.mouse("mouseMoved", x, y, modifiers)
        window.mouse("mouseReleased", ends[0], top, modifiers)

    table, versions = album
    groups = versions[0].table.set_index("id")["label"]
    lasso(first)
    assert shown_ids(window) == set(groups.index[groups == 0])
    assert window.run("gallery.exportButton.textContent") == f"Export {(groups == 0).sum()} ids"
    lasso(second, modifiers=8)
    assert shown_ids(window) == set(groups.index)
    lasso(first, modifiers=1)
    assert shown_ids(window) == set(groups.index[groups == 1])
    rows = list(csv.DictReader(io.StringIO(window.run("gallery.csv()"), newline="")))
    assert all(table["id"].iloc[int(row["row"])] == row["id"] and table["path"].iloc[int(row["row"])] == row["path"]
               for row in rows)
    window.run("gallery.setFilter('selected')")
    assert window.run("gallery.nShown") == (groups == 1).sum()
    window.run("document.querySelector('.gx-stage').focus()")
    window.key("Escape")
    window.key("Escape")
    assert window.run("gallery.nSelected") == 0


def test_a_click_tells_what_is_known(tab, album, pages):
    table, versions = album
    window = tab(pages.dive, 1400, 950)
    odd = table["id"][table["outlier"]].iloc[0]
    row = table.index[table["id"] == odd][0]
    x, y = window.run(f"""(() => {{ const s = gallery.stage, box = s.area.getBoundingClientRect();
      const [x, y] = s.place(s.at[{row}]); return [box.left + x + s.tile / 2, box.top + y + 5]; }})()""")
    window.click(x, y)
    assert window.run("gallery.current") == row
    said = window.run("gallery.card.innerText")
    first = table.iloc[row]
    assert odd in said and "odd: radius" in said and first["reason"].split(";")[0] in said and "cop" in said
    for made in versions:
        assert re.search(rf"v{made.version}_label\s+group {made.table['label'].iloc[row]}\b", said)
    near = window.run("[...gallery.card.querySelectorAll('.gx-near button')].map((each) => each.title)")
    assert near == list(first["neighbours"])
    window.run("gallery.card.querySelector('.gx-near button').click()")
    assert window.run("gallery.nameOf(gallery.current)") == near[0]


def test_map_zoom_and_keys(tab, album, pages):
    table, versions = album
    window = tab(pages.dive, 1400, 950)
    assert [each["name"] for each in window.run("gallery.meta.maps")] == ["v1_x", "v2_x", "longitude"]
    window.run("gallery.setMap('v1_x')")
    xs = window.run("""(() => { const s = gallery.stage;
      return [...gallery.columns.get('id').raw].map((_, i) => s.layout.xs[s.at[i]]); })()""")
    assert np.corrcoef(xs, versions[0].xy[:, 0])[0, 1] > 0.9999
    window.run("document.querySelector('.gx-stage').focus()")
    before = window.run("[gallery.stage.scale, gallery.stage.tile]")
    window.key("+")
    after = window.run("[gallery.stage.scale, gallery.stage.tile]")
    assert after[0] > before[0] and 1 < after[1] / before[1] < after[0] / before[0], "crowds come apart"
    window.key("0")
    window.run("gallery.setMap('')")
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "Enter"):
        window.key(key)
    assert window.run("gallery.nSelected") == 1 and window.run("gallery.selected[gallery.current]") == 1
    window.key("l")
    assert window.run("gallery.lassoing")


def test_hostile_names_stay_text(tab, album, tmp_path):
    n = len(NASTY)
    table = album[0].head(n).drop(columns=["neighbours"]).reset_index(drop=True)
    table = table.assign(id=pd.Series(NASTY, dtype=object), reason=pd.Series(NASTY, dtype=object), outlier=True,
                         place=pd.Series(NASTY, dtype=object)).rename(columns={"latitude": NASTY[0]})
    table.loc[n - 1, "path"] = "/nowhere/" + NASTY[0]
    made = gallery(table, tmp_path, title=NASTY[0])
    window = tab(made.dive, 1400, 950)
    window.run("window.hacked = 0; window.alert = () => { window.hacked = 1; }")
    for i in range(n):
        window.run(f"gallery.open({i})")
        assert window.run("gallery.card.querySelector('h2').textContent") == window.run(f"gallery.nameOf({i})")
    assert window.run("document.querySelector('h1').textContent") == NASTY[0]
    window.run(f"gallery.setBins('place', {json.dumps(NASTY[0])}); gallery.setColour('place')")
    window.run("gallery.setFilter('`" + NASTY[0] + "` > -1000')")
    assert window.run("gallery.nShown") == n
    rows = list(csv.reader(io.StringIO(window.run("gallery.csv()"), newline="")))
    assert len(rows) == n + 1 and NASTY[0] in [row[1] for row in rows]
    assert not any(row[1].startswith(("=", "+", "-", "@")) for row in rows)
    overview = tab(made.fields, 1400, 950)
    assert NASTY[0] in overview.run("document.body.innerText")
    for page in (window, overview):
        assert page.run("document.querySelectorAll('main img, main script, main iframe').length") == 0
    assert window.run("window.hacked") == 0


def test_dark_light_and_phone(tab, pages):
    for page, name in ((pages.dive, "gallery"), (pages.fields, "fields")):
        window = tab(page, 390, 844, dark=True)
        assert window.run(f"{name}.isDark()") and window.run("document.documentElement.scrollWidth") <= 390
        window.run("document.querySelector('.ox-top button').click()")
        assert not window.run(f"{name}.isDark()")


def test_grey_tiles_have_names(tab, album, tmp_path):
    table = album[0].head(6).copy()
    table.loc[[1, 4], "path"] = ["/nowhere/gone.png", None]
    made = gallery(table, tmp_path)
    window = tab(made.dive, 1400, 950)
    assert len(made.not_read) == 2 and window.run("[...gallery.unread]") == [0, 1, 0, 0, 1, 0]
    assert "2 that could not be read" in window.run("document.querySelector('.ox-sub').textContent")
    window.run("gallery.setFilter('not_read is not missing')")
    assert shown_ids(window) == set(table["id"].iloc[[1, 4]])
    window.run("gallery.open(1)")
    assert "Could not be read: No such file" in window.run("gallery.card.innerText")


ODD_COLUMNS = {
    "nothing": np.nan, "infinite": [np.inf, -np.inf, np.nan] * 20 + [1.0], "constant": 3.0, "tags": [[1, "a"]] * 61,
    "time": pd.to_datetime(["2018-05-13T15:40:01", None, "2019-01-02T00:00:00"] * 20 + [None]), "true": True,
    "number": np.arange(61, dtype=np.uint64) + 2**60, "texts": [f"text {k}" for k in range(61)],
    "outlier": pd.array([True, None, False] * 20 + [None], "boolean"), "few": pd.array([1, None] * 30 + [2], "Int64"),
    "zone": pd.to_datetime(["2018-05-13"] * 61).tz_localize("Europe/Paris"),
    "kinds": pd.Categorical(["a", None] * 30 + ["b"])}


@pytest.mark.parametrize("change", [ODD_COLUMNS, {"score": np.nan, "outlier": None, "neighbours": None}],
                         ids=["odd columns", "no verdict"])
def test_odd_tables_in_the_browser(change, tab, album, tmp_path):
    table = album[0].drop(columns=[key for key, value in change.items() if value is None])
    table = table.assign(**{key: value for key, value in change.items() if value is not None})
    made = gallery(table, tmp_path, tile=(32, 24))
    window, overview = tab(made.dive, 1400, 950), tab(made.fields, 1400, 950)
    for column in table.columns.drop("neighbours", errors="ignore"):
        window.run(f"gallery.setBins({json.dumps(column)}, 'kind'); gallery.setBins('', {json.dumps(column)});"
                   f"gallery.setColour({json.dumps(column)}); gallery.orderField = {json.dumps('+' + column)};"
                   "gallery.arrange()")
        assert window.run("gallery.stage.rows.length") == len(table), column
    window.run("gallery.open(0); gallery.setMap('longitude')")
    assert overview.run("document.querySelectorAll('.gx-field').length") == len(table.columns.drop(
        "neighbours", errors="ignore"))


def test_overview_of_fields(tab, album, tmp_path):
    table = album[0].copy()
    table.loc[3, "latitude"] = -999
    made = gallery(table, tmp_path)
    window = tab(made.fields, 1400, 950)
    assert "1 time -999: a mark for missing?" in window.run("document.body.innerText")
    assert describe_fields(table).loc["latitude", "odd_values"] == 1
    window.run("fields.setSorting('remarks')")
    first = window.run("document.querySelector('.gx-field h2').textContent")
    assert window.run("fields.meta.fields").count({}) == 0 and describe_fields(table).loc[first, "remarks"]
    window.run("fields.search.focus()")
    window.type("latit")
    assert window.run("[...document.querySelectorAll('.gx-field h2')].map((each) => each.textContent)") == ["latitude"]
    window.run("fields.setMark('flag'); fields.setSteep(true); fields.turn()")


@pytest.mark.slow
def test_fourteen_thousand_pictures(tab, tmp_path):
    from benchmarks.bench_gallery import make_album  # which measures how quick it is

    made = gallery(make_album(tmp_path / "album", 14_500), tmp_path / "out")
    assert made.n_bytes < 25e6 and made.n_pictures == 14_500
    window = tab(made.dive, 1400, 950)
    assert window.run("window.firstPicture") > 0 and window.run("gallery.stage.nInSight") == 14_500
    window.run("gallery.stage.paint()")


def test_two_fingers_zoom_the_stage(tab, pages):
    window = tab(pages.dive, 1400, 950)
    box = window.run("(() => { const b = gallery.stage.area.getBoundingClientRect(); return [b.left, b.top]; })()")
    x, y = box[0] + 300, box[1] + 200
    before = window.run("gallery.stage.scale")
    window.spread(x, y, 30, 40)
    window.lift(x - 40, y)
    assert window.run("gallery.stage.scale") == pytest.approx(2 * before, rel=0.05)
    assert window.run("[gallery.current, gallery.nSelected]") == [-1, 0]
