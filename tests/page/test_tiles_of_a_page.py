"""Embeddings in the explorer: the map of likeness, outlines, nearest tiles, pictures; and radii among drawn rows."""

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from oco2_outliers.cli import main
from oco2_outliers.datasets import InputError
from oco2_outliers.embeddings import isolate_embeddings, layout, map_embeddings, simulate_embeddings
from oco2_outliers.explorer import explore
from oco2_outliers.main_job import isolate
from oco2_outliers.maps.polygons import rings_of
from oco2_outliers.maps.strays import EmbeddingStrays
from oco2_outliers.maps.vectors import directions, names_of
from oco2_outliers.page.content import Options, content_of
from oco2_outliers.page.packing import unpacked


@pytest.fixture(scope="module")
def tiles():
    made = simulate_embeddings(0, n=160, d=24, clusters=3)
    made.table["time"] = pd.date_range("2022-06-01", periods=20).repeat(8).astype("datetime64[ms]")
    return made


@pytest.fixture(scope="module")
def found(tiles):
    return map_embeddings(tiles, "pca", k=[3], min_samples=5)


def arrays(result, **options):
    """What is in a page, with the arrays of it."""
    meta = content_of(result, Options(**options))[1]
    data = zlib.decompress(meta.data)
    return meta.meta, lambda info: unpacked(data, info)


def nearest_five(tiles):
    unit = directions(tiles.X)
    apart = ((unit[:, None] - unit) ** 2).sum(axis=2)
    np.fill_diagonal(apart, np.inf)
    return np.sort(apart, axis=1)[:, :5], apart


def test_every_row_has_its_five_nearest_in_all_dimensions(tiles, found):
    meta, array = arrays(found)
    near = array(meta["neighbours"]["rows"])
    least, apart = nearest_five(tiles)
    assert near.dtype == np.int32 and len(near) == 5 * 160
    np.testing.assert_allclose(np.take_along_axis(apart, near.reshape(-1, 5), 1), least, rtol=1e-9)


@pytest.mark.parametrize("made", [isolate_embeddings, lambda e: map_embeddings(e, "pca", k=())])
def test_a_saved_folder_is_the_same_page(tiles, made, tmp_path):
    result = made(tiles)
    result.save(tmp_path / "out")
    (here, one), (there, two) = arrays(result), arrays(tmp_path / "out")
    for name in ("outlines", "neighbours"):
        assert [one(each).tobytes() for each in here[name].values() if isinstance(each, dict)] == \
            [two(each).tobytes() for each in there[name].values() if isinstance(each, dict)], name
    held = [{each["name"]: array(each).tobytes() for each in meta["columns"] if each["name"] in ("x", "y")}
            for meta, array in ((here, one), (there, two))]
    assert held[0] == held[1] and len(held[0]) == 2
    for key in ("title", "subtitle", "words", "view", "eps", "min_samples", "notes"):
        assert here[key] == there[key], key
    assert here["view"]["plane"]["title"] == "Embedding map (the two main directions)"
    assert main(["explore", str(tmp_path / "out"), "--out", str(tmp_path / "page.html")]) == 0
    (tmp_path / "rgbs").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "rgbs" / f"{result.table['id'][3]}.jpg")
    assert arrays(tmp_path / "out")[0]["pictures"] is None
    told = ["explore", str(tmp_path / "out"), "--pictures", str(tmp_path / "rgbs")]
    assert main([*told, "--out", str(tmp_path / "page.html")]) == 0
    assert "pictures of 1 of 160 tiles" in (tmp_path / "page.html").read_text("utf-8")


def test_tiles_have_words_of_their_own(tiles, found, tmp_path):
    meta, _ = arrays(found)
    assert meta["title"] == "Isolated tiles"
    assert meta["subtitle"].startswith("160 tiles; compared by the angle; the run used eps")
    assert meta["words"]["row"] == "tile"
    assert meta["words"]["score"] == "isolation radius at the usual spacing (chord)"
    assert arrays(isolate_embeddings(tiles.X, 0.5))[0]["words"]["score"] == "isolation radius (chord, 0 to 2)"
    plain = arrays(isolate_embeddings(tiles.X, 9.0, metric="euclidean"))[0]
    assert plain["words"]["score"] == "isolation radius (distance of vectors)" and plain["view"]["lat"] is None
    assert plain["view"]["plane"] and plain["outlines"] is None
    text = explore(found, tmp_path / "page.html").path.read_text("utf-8")
    assert "spreads" not in text.split('id="explorer-meta"')[1].split("</script>")[0] and "Unpacking 160 tiles" in text
    assert arrays(isolate(pd.DataFrame({"a": [*np.linspace(0, 1, 50), 9.0]}), eps=0.5))[0]["title"] == "Isolated rows"


def test_outlines_are_where_they_were(tiles, found):
    meta, array = arrays(found)
    row, count, dx, dy = (array(meta["outlines"][name]) for name in ("rows", "counts", "dx", "dy"))
    assert row.tolist() == list(range(160)) and set(count) == {4}
    for i in (0, 77, 159):
        ring = rings_of(tiles.geometry[i])[0][:-1]
        place = tiles.table[["longitude", "latitude"]].to_numpy()[i]
        np.testing.assert_allclose(np.column_stack([dx, dy])[4 * i : 4 * i + 4] + place, ring, atol=1e-8)
    boxes = arrays(found.table)[0]  # the table alone has no outlines, but boxes
    assert boxes["outlines"]["rows"]["n"] == 160 and boxes["view"]["plane"]["title"] == "Embedding map"
    far = arrays(found, max_mb=0.001)[0]
    assert far["outlines"] is None and any("outlines are left out" in note for note in far["notes"])


def test_a_sorted_or_cut_table_keeps_what_belongs_to_it(tiles, found):
    some = replace(found, table=found.table.sort_values("score", ascending=False).head(60))
    meta, array = arrays(some)
    names, near = names_of(some.table), array(meta["neighbours"]["rows"]).reshape(-1, 5)
    for i, listed in enumerate(some.table["neighbours"]):
        assert [names[k] if k >= 0 else None for k in near[i]] == [n if n in set(names) else None for n in listed]
    lost = replace(found, table=found.table.sort_values("score").reset_index(drop=True))
    meta, array = arrays(lost)  # by name, then
    near = array(meta["neighbours"]["rows"]).reshape(-1, 5)
    assert (names_of(lost.table)[near] == np.array(lost.table["neighbours"].tolist())).all()


def test_positions_may_be_given(tiles):
    plain = isolate_embeddings(tiles)
    plane = layout(tiles, "pca", metric="euclidean")
    meta, array = arrays(plain, xy=plane)
    held = {each["name"]: each for each in meta["columns"]}
    assert (array(held["x"]) == plane.xy[:, 0]).all() and (array(held["y"]) == plane.xy[:, 1]).all()
    table = pd.DataFrame({"score": [1.0, 2.0], "outlier": [False, True], "x": [5.0, 6.0]})
    meta, array = arrays(table, xy=[[0, 1], [2, 3]])
    assert {"x", "y", "x_of_file"} <= {each["name"] for each in meta["columns"]} and meta["view"]["plane"]
    assert meta["words"]["row"] == "row" and meta["notes"][0].endswith("with _of_file: x")
    assert not arrays(table)[0]["view"].get("plane")
    gone = np.vstack([[[np.nan, 0.0]], plane.xy[1:]])
    assert "1 row without a position on the embedding map" in arrays(plain, xy=gone)[0]["notes"]
    with pytest.raises(InputError, match="two numbers for each of 160 tiles|two numbers for each of 160 rows"):
        arrays(plain, xy=plane.xy[1:])


def test_no_vector_is_in_the_page(tmp_path):
    sizes = []
    for d in (8, 512):
        e = simulate_embeddings(0, n=120, d=d)
        page = explore(isolate_embeddings(e, eps=0.5), tmp_path / f"{d}.html")
        sizes.append(page.n_bytes)
    assert abs(sizes[0] - sizes[1]) < 20_000 < e.X.nbytes / 10


def test_areas_of_any_table_are_drawn():
    geopandas = pytest.importorskip("geopandas", reason="no geopandas; test_outlines_are_where_they_were needs none")
    shapely = pytest.importorskip("shapely", reason="no shapely; test_outlines_are_where_they_were needs none")
    areas = [shapely.box(x, 40, x + 0.9, 41) for x in range(3)]
    areas[1] = shapely.MultiPolygon([shapely.box(1, 40, 1.4, 41), shapely.box(1.5, 40, 1.9, 41)])
    scored = {"score": [1.0, 2.0, 3.0], "outlier": [False, False, True]}
    table = geopandas.GeoDataFrame(scored, geometry=areas, crs=4326)
    for each in (table, table.to_crs(3857)):
        meta, array = arrays(each)
        assert array(meta["outlines"]["rows"]).tolist() == [0, 1, 1, 2] and meta["view"]["lat"] == "latitude"
        np.testing.assert_allclose(np.abs(array(meta["outlines"]["dx"])[-4:]), 0.45, atol=1e-6)


def test_what_is_no_outline_stays_a_column():
    e = simulate_embeddings(0, n=40, d=8)
    found = isolate_embeddings(e.X)
    meta, _ = arrays(found.table.assign(geometry="round", neighbours="a b"))
    assert "geometry" in {each["name"] for each in meta["columns"]} and meta["outlines"] is None


def test_pictures_are_not_written_over(tiles, found, tmp_path):
    with pytest.raises(InputError, match="no folder of pictures"):
        arrays(found, picture_root=tmp_path / "absent")
    assert any("is called as a tile" in note for note in arrays(found, picture_root=tmp_path)[0]["notes"])
    assert not any("picture" in note for note in arrays(found, picture_root=Path())[0]["notes"])
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with pytest.raises(InputError):
        explore(found, tmp_path / "a.png", picture_root=tmp_path)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_hundred_thousand_tiles_stay_below_25_mb():
    """From a tenth of them: what does not grow with the rows is counted ten times."""
    n = 10_000
    rng = np.random.default_rng(0)
    e = simulate_embeddings(0, n=n, d=4)
    names = np.array([f"claytile_03WVN_20220610_v02_{i:06d}" for i in range(n)], object)
    near, score = rng.integers(0, n, (n, 5)).astype(np.int32), rng.gamma(9, 0.05, n)
    odd = score > np.quantile(score, 0.995)
    table = e.table.assign(
        id=names, score=score, ratio=score / 0.9, isolated=odd, outlier=odd, nearest=names[near[:, 0]],
        nearest_distance=score * 0.7, nearest_km=rng.gamma(2, 100, n), neighbours=list(names[near]),
        cluster=rng.integers(-1, 300, n), reason=np.where(odd, "nearest ordinary tile a at 0.5, 9 km away", ""),
        **{side: e.table[side] + rng.uniform(0, 1e-3, n) for side in ("west", "south", "east", "north")})
    strays = EmbeddingStrays(table, 0.9, 10, "cosine", "as asked", geometry=e.geometry, near=near)
    content = content_of(strays, Options(xy=rng.normal(size=(n, 2))))[1]
    words = sum(len(word) + 3 for each in content.meta["columns"] for word in each.get("words", ()))
    assert content.meta["left_out"] == [] and 10 * (4 / 3 * len(content.data) + words) < 25e6


def test_a_large_table_is_told_as_isolate_judged_it(tmp_path):
    table = pd.DataFrame(np.random.default_rng(0).standard_t(4, size=(10_001, 3)), columns=list("abc"))
    result = isolate(table, out=tmp_path / "out", random_state=3, eps=2.0)
    for each in (result, tmp_path / "out"):
        meta, array = arrays(each)
        assert [one["min_samples"] for one in meta["settings"]] == [3, 5, 10, 20, 100]
        own = meta["settings"][-1]
        assert own["drawn"] == 2000 and (array(own) == result.table["score"].to_numpy()).all()
        assert "core" in meta["settings"][0] and "core" not in own and meta["neighbours"]
        assert "min_samples 100 of 2,000 rows that were drawn" in meta["subtitle"]
        assert "do not follow" not in " ".join(meta["notes"]) and "count among all rows" in " ".join(meta["notes"])


# ---------------------------------------------------------------- a real browser

def lasso(window, name, rows):
    """Draw a box around rows in a view, and say which rows are in it."""
    left, top, ratio, points = window.run(f"""(() => {{ const view = explorer.views.find((v) => v.name === '{name}');
      explorer.setSelected([]); explorer.setLasso(true); view.panel.scrollIntoView({{ block: 'center' }});
      const b = view.uplot.over.getBoundingClientRect(); const {{ wide, ratio }} = view.scale;
      return [b.left, b.top, ratio, {rows}.map((i) => [view.at[i] % wide, (view.at[i] / wide) | 0])]; }})()""")
    xs, ys = np.array(points).T / ratio
    x0, x1, y0, y1 = left + xs.min() - 4, left + xs.max() + 4, top + ys.min() - 4, top + ys.max() + 4
    window.mouse("mouseMoved", x0, y0)
    window.mouse("mousePressed", x0, y0)
    for x, y in ((x1, y0), (x1, y1), (x0, y1)):
        window.mouse("mouseMoved", x, y, buttons=1)
    window.mouse("mouseReleased", x0, y1)
    window.run("explorer.setLasso(false)")
    inside = window.run(f"""(() => {{ const view = explorer.views.find((v) => v.name === '{name}'); const n = [];
      const {{ wide, ratio }} = view.scale; for (let i = 0; i < view.at.length; i++) {{
        const x = {left} + ((view.at[i] % wide) + 0.5) / ratio;
        const y = {top} + (((view.at[i] / wide) | 0) + 0.5) / ratio;
        if (x > {x0} && x < {x1} && y > {y0} && y < {y1}) n.push(i); }} return n; }})()""")
    return window.run("explorer.selectedRows()"), inside


def test_tiles_in_the_browser(tab, tiles, found, tmp_path):
    odd = int(found.table["score"].to_numpy().argmax())
    Image.new("RGB", (64, 64), (10, 120, 40)).save(tmp_path / f"{found.table['id'][odd]}.png")
    window = tab(explore(found, tmp_path / "page.html", picture_root=tmp_path).path, 1400, 1000)
    assert window.run("explorer.views.map((v) => v.name)") == ["map", "plane", "track"]

    # The slider, on the radius in all dimensions.
    score = found.table["score"].to_numpy()
    for eps in (0.0, *np.quantile(score, [0.2, 0.7, 0.95]), 9.0):
        window.run(f"explorer.setEps({eps!r})".replace("np.float64", ""))
        assert window.run("explorer.flaggedRows()") == np.flatnonzero(eps < score).tolist()
    assert "0 of 160 tiles isolated" in window.run("document.querySelector('output').textContent")
    window.run(f"explorer.setEps({found.eps!r})")

    # A click on a point of the embedding map: card, picture, the five nearest, each of which can be clicked.
    x, y = window.run(f"""(() => {{ const v = explorer.views[1]; const b = v.uplot.over.getBoundingClientRect();
      const {{ wide, ratio }} = v.scale; return [b.left + (v.at[{odd}] % wide) / ratio,
      b.top + ((v.at[{odd}] / wide) | 0) / ratio]; }})()""")
    window.click(x, y)
    assert window.run("explorer.current") == odd
    links = window.run("[...document.querySelectorAll('.ox-card ol button')].map((b) => b.textContent)")
    assert links == found.table["neighbours"][odd]
    assert window.run("document.querySelector('.ox-card .ox-picture').style.backgroundImage").startswith('url("blob:')
    window.run("document.querySelector('.ox-card ol button').click()")
    assert window.run("explorer.current") == names_of(found.table).tolist().index(links[0])
    assert "No picture of this tile" in window.run("document.querySelector('.ox-card').innerText")

    # Outlines from a certain zoom; a click into one, away from its middle, opens its row.
    assert window.run("explorer.views[0].drawn") == 160
    window.run("explorer.views[0].zoom(40); new Promise((done) => setTimeout(done, 50))")
    assert window.run("explorer.views[0].drawn") == 0
    window.run("explorer.open(-1); explorer.views[0].reset(); explorer.views[0].zoom(0.12); "
               "new Promise((done) => setTimeout(done, 50))")
    seen = window.run("explorer.views[0].drawn")
    assert 0 < seen < 160
    row, x, y = window.run("""(() => { const v = explorer.views[0]; v.panel.scrollIntoView({ block: 'center' });
      const b = v.uplot.over.getBoundingClientRect(); const { x0, kx, y1, ky, ratio, w, h } = v.scale;
      const o = explorer.table.outlines; for (let i = 0; i < v.xs.length; i++) {
        const [x, y] = [(v.xs[i] + 0.4 * o.width - x0) * kx, (y1 - v.ys[i]) * ky];
        if (x > 5 && x < w - 5 && y > 5 && y < h - 5) return [i, b.left + x / ratio, b.top + y / ratio]; } })()""")
    window.click(x, y)
    assert (tiles.table.loc[window.run("explorer.current"), ["latitude", "longitude"]].tolist()
            == tiles.table.loc[row, ["latitude", "longitude"]].tolist())
    window.run("explorer.views[0].reset(); new Promise((done) => setTimeout(done, 50))")

    # The lasso in both maps.
    for view in ("map", "plane"):
        chosen, inside = lasso(window, view, [odd, int(window.run("explorer.current"))])
        assert chosen == inside and odd in chosen, view
    window.run("explorer.setSelected([])")

    # Colours: kinds, a number, dates; in all views, and back.
    window.run("""(() => { const s = explorer.colourChoice; s.value = '3_clusters';
      s.dispatchEvent(new Event('change')); })()""")
    sizes = found.table["3_clusters"].value_counts()
    told = window.run("document.querySelector('.ox-legend').innerText")
    assert all(f"{kind} ({n})" in told for kind, n in sizes.items())
    blue = window.run("""explorer.views.map((v) => { const c = new Uint32Array(v.image.data.buffer); let n = 0;
      const [r, g, b] = explorer.tint.colours[1]; const ink = ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;
      for (const p of c) if (p === ink) n++; return n; })""")
    assert all(n > 50 for n in blue)
    of = window.run("[...explorer.tint.of]")
    assert len({(a, b) for a, b in zip(of, found.table["3_clusters"])}) == 3
    for name, low in (("score", None), ("time", "2022-06-01")):
        window.run(f"explorer.setColour('{name}')")
        assert window.run("document.querySelectorAll('.ox-bar').length") == 1
        assert low is None or low in window.run("document.querySelector('.ox-legend').innerText")
    window.run("explorer.setColour('')")
    assert window.run("document.querySelector('.ox-legend').innerText") == "isolated\nthe others"
    window.resize(390, 844, mobile=True)
    assert window.run("document.documentElement.scrollWidth") <= 390
