"""Maps, clusters, strays, copies, likeness and change, against their definitions, with and without the extras."""

import sys

import numpy as np
import pandas as pd
import pytest

from oco2_outliers.explorer import explore
from oco2_outliers.ground.errors import InputError
from oco2_outliers.isolation.asking import nearest
from oco2_outliers.isolation.radii import choose_eps, isolation_radius
from oco2_outliers.maps.alikes import label_spread, similar
from oco2_outliers.maps.changing import changes
from oco2_outliers.maps.groups import clusters
from oco2_outliers.maps.layouts import layout
from oco2_outliers.maps.quality import layout_quality
from oco2_outliers.maps.reading import read_embeddings
from oco2_outliers.maps.recipes import is_there
from oco2_outliers.maps.simulated import simulate_embeddings
from oco2_outliers.maps.strays import isolate_embeddings
from oco2_outliers.maps.table import Embeddings
from oco2_outliers.maps.twins import duplicates
from oco2_outliers.maps.vectors import directions, neighbours
from oco2_outliers.page.sources import source_of

GUESTS = [417, 418, 419, 420, 421]


@pytest.fixture(scope="module")
def tiles():
    return simulate_embeddings(3, n=260, d=48, clusters=4)


@pytest.fixture(scope="module")
def real(shared_data):
    folder = shared_data / "embeddings"
    return [read_embeddings(next(folder.glob(f"{name}*.gpq"))) for name in ("03WVN", "01WCP")]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_direction_is_the_row_over_its_length(dtype):
    rows = np.random.default_rng(0).normal(size=(60, 40)).astype(dtype)
    wide = rows.astype(np.float64)
    length = np.zeros(60)
    for column in wide.T:
        length += column * column
    np.testing.assert_array_equal(directions(rows), wide / np.sqrt(length)[:, None])
    for ours, theirs in zip(neighbours(directions(rows), k=7), nearest(rows, k=7, metric="cosine")):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("scale", [1e-150, 1e-100, 1e100, 1e150])
def test_a_direction_does_not_leave_the_range(scale):
    rows = np.random.default_rng(0).normal(size=(20, 5))
    np.testing.assert_allclose(directions(rows * scale), directions(rows), rtol=1e-14)


@pytest.mark.parametrize("scale", [1e-150, 2.0**-300, 1e100, 1e150])
def test_strays_by_angle_are_those_of_the_directions_at_any_length(tiles, scale):
    wide = tiles.X.astype(np.float64)
    found = isolate_embeddings(wide * scale)
    np.testing.assert_allclose(found.table["radius"], isolation_radius(directions(wide), 10), rtol=1e-13)
    assert found.table["cluster"].tolist() == isolate_embeddings(wide).table["cluster"].tolist()
    lengths = np.random.default_rng(0).uniform(0.1, 10.0, (len(wide), 1))
    np.testing.assert_allclose(isolate_embeddings(wide * lengths).table["score"], found.table["score"], rtol=1e-13)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_one_search_gives_radii_and_nearest_tiles(metric):
    made = simulate_embeddings(5, n=2300, d=40, duplicates=0.05)
    ten, five = (isolate_embeddings(made, eps=0.5, min_samples=m, metric=metric).table for m in (10, 5))
    assert ten["neighbours"].tolist() == five["neighbours"].tolist()  # five lists too few, so these are looked for anew
    index, distance = neighbours(made.X, k=5, metric=metric)
    assert ten["neighbours"].tolist() == made.table["id"].to_numpy()[index].tolist()
    ordinary = ~ten["isolated"].to_numpy()[index[:, 0]] & ~ten["isolated"].to_numpy()
    np.testing.assert_array_equal(ten["nearest_distance"][ordinary], distance[ordinary, 0])


def test_neighbours_leave_the_asking_row_out_also_among_copies():
    rows = np.ones((30, 3))
    index, distance = neighbours(rows, rows[[0, 29]], 4, own=np.array([0, 29]))
    assert index.tolist() == [[1, 2, 3, 4], [0, 1, 2, 3]] and not distance.any()
    assert neighbours(rows[:1])[0].shape == (1, 0) and neighbours(rows, rows[:0], 3)[0].shape == (0, 3)


# ---------------------------------------------------------------- strays

def apart_of(X):
    """Distances of directions, infinite from each to itself."""
    unit = directions(X)
    apart = np.linalg.norm(unit[:, None] - unit, axis=2)
    np.fill_diagonal(apart, np.inf)
    return apart


@pytest.mark.parametrize("eps", ["auto", 0.5])
def test_scores_and_neighbours_are_those_of_the_definition(tiles, eps):
    result = isolate_embeddings(tiles, eps)
    found, apart = result.table, apart_of(tiles.X)
    np.testing.assert_array_equal(found["radius"], isolation_radius(directions(tiles.X), 10))
    core = np.sort(apart, axis=1)[:, 8]
    nearest = np.argsort(apart, axis=1, kind="stable")
    spacing = [max(np.median(core[nearest[i, :20]]), np.median(core) / 2) for i in range(len(tiles))]
    np.testing.assert_allclose(found["spacing"], spacing, rtol=1e-6)
    factor = (np.median(spacing) / spacing) ** 0.75 if eps == "auto" else np.ones(len(tiles))
    np.testing.assert_allclose(found["score"], found["radius"] * factor, rtol=1e-6)
    odd, company = found["isolated"].to_numpy(), core * factor <= result.eps
    assert odd.any() and (odd == (found["score"] > result.eps)).all() and ((found["cluster"] == -1) == odd).all()
    for i in range(0, len(tiles), 13):
        order = nearest[i]
        assert found["neighbours"][i] == tiles.table["id"][order[:5]].tolist()
        best = order[company[order] if odd[i] else ~odd[order]][0]
        assert found["nearest"][i] == tiles.table["id"][best]
        assert found["nearest_distance"][i] == pytest.approx(apart[i, best])


def test_a_loose_kind_does_not_hide_strays_beside_a_dense_one():
    rng = np.random.default_rng(3)
    dense, loose = rng.normal(0, 0.3, (300, 16)), 6 + rng.normal(0, 1, (300, 16))
    strays = rng.normal(0, 0.3, (4, 16)) + rng.choice([-1.6, 1.6], (4, 16))
    rows = np.vstack([dense, loose, strays])
    found = isolate_embeddings(rows, metric="euclidean")
    assert found.table["isolated"][600:].all() and found.table["isolated"][:600].sum() <= 6
    fence = choose_eps(found.table["radius"])
    assert (found.table["radius"][600:] < fence).all(), "a fence of the radii calls none"
    assert (found.table.loc[~found.table["isolated"], "cluster"] >= 0).all()


def test_a_stray_beside_the_edge_of_a_group_names_a_tile_with_company():
    """Four tiles close together, one at their edge, and one beyond it: that at the edge has no company to lend."""
    rows = np.array([[0.0], [0.05], [0.08], [0.1], [1.09], [2.0]])
    found = isolate_embeddings(rows, eps=1.0, min_samples=4, metric="euclidean").table
    assert found["isolated"].tolist() == [False] * 5 + [True]
    assert found["nearest"][5] == "3" and found["nearest_distance"][5] == pytest.approx(1.9)
    assert found["reason"][5] == "nearest ordinary tile 3 at 1.90, 1.9 x eps"
    assert found["neighbours"][5][0] == "4", "the tile at the edge is still told among the nearest"


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("min_samples", [3, 10, "auto"])
@pytest.mark.parametrize("share", [0.5, 0.8, 0.95])
def test_reasons_fit_the_verdict(tiles, metric, min_samples, share):
    radii = isolate_embeddings(tiles, min_samples=min_samples, metric=metric).table["radius"]
    found = isolate_embeddings(tiles, float(radii.quantile(share)), min_samples, metric).strays
    assert len(found) and (found["nearest_distance"] >= found["score"] * (1 - 1e-12)).all()
    assert found["reason"].str.extract(r"([\d.]+) x eps$")[0].astype(float).min() >= 1


def test_reasons_fit_the_verdict_in_a_large_table_that_is_drawn_from(tiles, monkeypatch):
    from oco2_outliers.isolation import company

    monkeypatch.setattr(company, "EXACT_ROWS", 100)
    monkeypatch.setattr(company, "DRAWN_ROWS", 60)
    found = isolate_embeddings(tiles, min_samples="auto")
    found = isolate_embeddings(tiles, float(found.table["radius"].quantile(0.9)), "auto")
    assert len(found.strays) and (found.strays["nearest_distance"] >= found.eps).all()


def test_reasons_fit_the_verdict_on_real_tiles(shared_data):
    found = isolate_embeddings(read_embeddings(shared_data / "embeddings" / "03WVN_20220610_20220610_v001.gpq"), 0.12)
    assert len(found.strays) == 7 and (found.strays["nearest_distance"] > 0.12).all()


def test_strays_that_keep_company_name_an_ordinary_tile(tiles):
    pack = tiles.X[:1] * -1 + 0.001 * np.random.default_rng(0).normal(size=(8, 48)).astype(np.float32)
    found = isolate_embeddings(np.vstack([tiles.X, pack])).table
    assert found["isolated"][260:].all() and found["neighbours"][260][0] in {str(i) for i in range(261, 268)}
    assert found["nearest"][260:].astype(int).max() < 260 and found["reason"][260].startswith("nearest ordinary tile ")


def test_all_strays_and_few_tiles():
    found = isolate_embeddings(np.eye(12), eps=0.5, min_samples=2)
    assert found.table["isolated"].all() and (found.table["reason"] == "no ordinary tile to compare with").all()
    assert (isolate_embeddings(np.eye(3), eps=1.5, min_samples=9).table["cluster"] == -1).all()
    with pytest.raises(InputError, match="3 tiles: fewer than min_samples 10"):
        isolate_embeddings(np.eye(3))


@pytest.mark.parametrize(("m", "who"), [(5, []), (10, GUESTS), *(pytest.param(m, GUESTS, marks=pytest.mark.slow)
                                                                 for m in (6, 20, "auto"))])
def test_five_guests_among_417_tiles(real, m, who):
    home, guests = real
    at_home = set(isolate_embeddings(home, min_samples=m).strays.index)
    assert len(at_home) <= 4
    found = isolate_embeddings(np.vstack([home.X, guests.X]), min_samples=m)
    assert sorted(set(found.strays.index) - at_home) == who
    assert m == 5 or sorted(found.strays.index[:5]) == GUESTS, "the five rank first"
    times = found.strays["reason"].str.extract(r"([\d.]+) x eps$")[0].astype(float)
    assert (times >= (found.strays["ratio"] - 0.05)).all() and times.min() >= 1


def test_one_guest_and_the_eps_of_the_home(real):
    home, guests = real
    assert round(isolate_embeddings(home, min_samples=5).eps, 4) == 0.0923
    found = isolate_embeddings(np.vstack([home.X, guests.X[:1]]), min_samples=5).table
    assert found["score"].idxmax() == found["radius"].idxmax() == 417 and round(found["radius"][417], 4) == 0.5126


# ---------------------------------------------------------------- maps

@pytest.mark.parametrize("method", ["pca", "tsne", "clay"])
def test_a_map_is_the_same_twice_and_stays_where_it_is(tiles, method):
    if method != "pca" and not is_there("openTSNE"):
        pytest.skip("no openTSNE (extra embeddings); pca shows the same")
    some = tiles.X[:90]
    first, second = layout(some, method), layout(some, method)
    np.testing.assert_array_equal(first.xy, second.xy)
    assert first.settings == second.settings and np.isfinite(first.xy).all()
    near, _ = neighbours(directions(some), directions(tiles.X[90:95]), 3)
    np.testing.assert_array_equal(first.place(tiles.X[90:95]), np.median(first.xy[near], axis=1))


@pytest.mark.parametrize("name, method", [("openTSNE", "tsne"), ("openTSNE", "clay"), ("umap", "umap")])
def test_a_missing_extra_is_named(tiles, monkeypatch, name, method):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=rf"needs {name}: pip install 'oco2_outliers\["):
        layout(tiles, method)
    if name == "openTSNE":
        assert layout(tiles).method == "pca" and "embeddings" in layout(tiles).notes[0]


@pytest.mark.slow
def test_umap_is_the_same_twice(tiles):
    pytest.importorskip("umap", reason="no umap-learn (extra umap); the other maps are the same twice above")
    np.testing.assert_array_equal(layout(tiles, "umap").xy, layout(tiles, "umap").xy)


def test_equal_tiles_have_a_map():
    same = np.ones((40, 6))
    for method in ("pca", *(("tsne", "clay") if is_there("openTSNE") else ())):
        assert np.isfinite(layout(same, method).xy).all()


def test_quality_by_brute_force(tiles):
    xy = layout(tiles, "pca").xy
    found = layout_quality(tiles, xy)
    unit = directions(tiles.X)
    near = [[set(np.argsort(np.linalg.norm(each - row, axis=1), kind="stable")[1:11]) for row in each]
            for each in (unit, xy)]
    ordinary = tiles.table["copy_of"].to_numpy() < 0
    kept = np.mean([len(a & b) / 10 for a, b, plain in zip(*near, ordinary) if plain])
    assert found.loc["map", "kept"] == pytest.approx(kept, abs=0.02)
    assert found.index.tolist() == ["map", "pca", "random"]
    np.testing.assert_array_equal(found.loc["map"], found.loc["pca"])


@pytest.mark.slow
def test_kept_neighbours_on_real_tiles(real):
    home, _ = real
    pytest.importorskip("openTSNE", reason="no openTSNE (extra embeddings); the quality of pca is measured above")
    kept = layout_quality(home, {name: layout(home, name) for name in ("tsne", "clay")})["kept"]
    assert kept["tsne"] >= 0.65 and round(kept["pca"], 2) == 0.43 and kept["random"] < 0.04 < kept["clay"]


# ---------------------------------------------------------------- clusters

@pytest.mark.parametrize("extra", [False, True])
def test_clusters_with_and_without_the_quick_library(tiles, monkeypatch, extra):
    if not extra:
        monkeypatch.setitem(sys.modules, "fast_hdbscan", None)
    found = clusters(tiles)  # so few rows that the library's start would take longer than the work
    assert found["density_clusters"].nunique() >= 4 and "(scikit-learn)" in found.attrs["notes"][1]
    sizes = found["density_clusters"][found["density_clusters"] >= 0].value_counts().sort_index()
    assert sizes.is_monotonic_decreasing


def test_k_means_on_vectors_and_on_the_map(tiles):
    xy = layout(tiles, "pca")
    for on in ("vectors", "map"):
        found = clusters(tiles, (3, 5), on=on, xy=xy)
        assert found.equals(clusters(tiles, (3, 5), on=on, xy=xy)) and found["3_clusters"].nunique() == 3
        assert found.columns.tolist() == ["3_clusters", "5_clusters"]
    assert clusters(tiles.X[:5], 9).attrs["notes"][1].startswith("9 clusters asked for, but there are only 5 distinct")


# ---------------------------------------------------------------- twice, alike, changed

@pytest.mark.parametrize("within", [0.0, 0.3, 0.7])
def test_copies_by_the_definition(tiles, within):
    found = duplicates(tiles, within)
    unit = directions(tiles.X)
    kept, expected = [], {}
    for i, row in enumerate(unit):
        lead = next((j for j in kept if np.linalg.norm(row - unit[j]) <= within), None)
        if lead is None:
            kept.append(i)
        expected[i] = i if lead is None else lead
    sizes = pd.Series(expected).value_counts()
    grouped = found.groupby("group")["row"].apply(list).tolist()
    assert grouped == [[i for i in expected if expected[i] == j] for j in sorted(sizes[sizes > 1].index)]
    assert (found["distance"] <= within).all() and found.loc[found["kept"], "distance"].eq(0).all()


def test_copies_whatever_the_sign_of_zero_and_the_length():
    rows = np.array([[0.0, 1.0], [-0.0, 2.0], [1.0, 0.0]])
    assert duplicates(rows)["row"].tolist() == [0, 1] and duplicates(rows, metric="euclidean").empty


def test_what_is_looked_for_may_come_in_any_shape(tiles):
    by_row, names = similar(tiles, [4, 5], k=3), tiles.table["id"]
    for asked in (np.array([4, 5]), names[[4, 5]].tolist(), names[[4, 5]], (4, names[5]), [np.int64(4), 5]):
        assert similar(tiles, asked, k=3).equals(by_row)
    for asked in (tiles.X[4], tiles.X[4].tolist(), tiles.X[4:5], [tiles.X[4].tolist()], tiles.take([4])):
        assert similar(tiles, asked, k=2)["row"].tolist() == [4, by_row["row"][0]]
    assert similar(tiles, -1, k=2).equals(similar(tiles, 259, k=2)) and by_row["km"].notna().all()


def test_a_label_stops_at_eps(tiles):
    labels = np.where(np.arange(260) % 3 == 0, tiles.table["label"].astype(str), None)
    found = label_spread(tiles, labels, eps=0.6)
    unit, given = directions(tiles.X), np.arange(0, 260, 3)
    for i in np.flatnonzero(~found["given"]):
        apart = np.linalg.norm(unit[given] - unit[i], axis=1)
        assert found["abstained"][i] == (apart.min() > 0.6)
        if not found["abstained"][i]:
            assert found["label"][i] == labels[given[apart.argmin()]]
    check = found.attrs["check"]
    assert check["low"] <= check["right"] <= check["high"] and check["random"] < check["right"]


def test_places_without_a_partner_are_counted(tiles):
    first = tiles.take(range(100))
    north = np.where(np.arange(100) < 10, np.nan, first.table["latitude"])
    second = Embeddings(first.X, first.table.assign(latitude=north))
    found = changes(first, second)
    copies = int(first.table.duplicated(["latitude", "longitude"]).sum())
    assert 90 - copies <= len(found) <= 90 and "without a partner, not compared" in found.attrs["notes"][0]
    assert found["above"].between(0, 1).all()


def test_a_page_knows_the_threshold_of_strays_in_memory_and_saved(tmp_path):
    found = isolate_embeddings(simulate_embeddings(0, n=120, d=16), eps=0.5)
    found.save(tmp_path / "out")
    for result in (found, tmp_path / "out"):
        source = source_of(result)
        assert (source.eps, source.rule, source.notes) == (0.5, found.rule, [])
        page = explore(result, tmp_path / "page.html")
        assert page.n_rows == 120 and "does not belong" not in page.path.read_text("utf-8")
