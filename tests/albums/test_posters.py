"""Posters that go wrong: strange pictures, copies, turned cameras; and slow twins of what is quick."""

import itertools
import os
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from oco2_outliers.albums.targets import assigned_tiles
from oco2_outliers.datasets import InputError
from oco2_outliers.image_clusters import near_duplicates
from oco2_outliers.image_forest import simulate_pictures
from oco2_outliers.posters import check_template, poster, write_posters
from oco2_outliers.shell.boundary import within_boundary
from oco2_outliers.shell.poster_commands import poster_commands


def plan_of(columns, rows, tile=(60, 40), border=10, **more):
    """A template of equal positions in a grid, for any picture."""
    places = [{"number": 1 + i + j * columns, "origin": [border + i * (tile[0] + 4), border + j * (tile[1] + 4)],
               "size": list(tile), **more} for j in range(rows) for i in range(columns)]
    size = [2 * border + columns * (tile[0] + 4) - 4, 2 * border + rows * (tile[1] + 4) - 4]
    return check_template({"version": "grid", "size": size, "border": border, "positions": places})


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """Twenty-four views, and three of them once more: smaller, pressed harder, and as the same bytes."""
    folder = tmp_path_factory.mktemp("views")
    kinds = ["coast"] * 6 + ["desert"] * 6
    truth = simulate_pictures(folder, n_pictures=12, odd_kinds=kinds, size=(120, 80), random_state=2)
    for number, path in enumerate(truth["path"][:3]):
        picture = cv2.imread(path)
        copy = [cv2.resize(picture, (60, 40), interpolation=cv2.INTER_AREA), picture, None][number]
        if copy is None:
            shutil.copy(path, folder / "copy_2.png")
        else:
            cv2.imwrite(str(folder / f"copy_{number}.jpg"), copy, [cv2.IMWRITE_JPEG_QUALITY, 40])
    return folder


def test_a_printed_sheet_has_its_size_its_dots_and_its_border(album, tmp_path):
    rows = write_posters("default", album, tmp_path, seed=1)
    with Image.open(tmp_path / "version_default_seed_1.jpg") as sheet:
        assert sheet.size == (2880, 4320) and sheet.info["dpi"] == (150, 150) and sheet.mode == "RGB"
        pixels = np.asarray(sheet)
    assert pixels[:56].min() >= 250 and pixels[-56:].min() >= 250  # blocks of eight
    assert pixels[:, :56].min() >= 250 and pixels[:, -56:].min() >= 250 and pixels[66:120, 66:700].mean() < 250
    with Image.open(tmp_path / "version_default_template.jpg") as plan:
        assert plan.size == (2880, 4320) and plan.info["dpi"] == (150, 150)
    assert rows["position"].tolist() == list(range(1, 23)) and rows["pictures_id"].is_unique
    assert list(pd.read_csv(tmp_path / "posters.csv"))[:4] == ["poster_id", "version", "position", "pictures_id"]


def test_no_picture_and_no_near_copy_hangs_twice(album):
    copies = near_duplicates(album)
    assert copies["group"].nunique() == 3
    group = copies.set_index("id")["group"]
    full = plan_of(6, 4)  # as many positions as there are different pictures
    for seed in range(6):
        names = poster(full, album, seed=seed).rows["pictures_id"]
        assert names.is_unique and not names.map(group).dropna().duplicated().any()
    with pytest.raises(InputError, match="too few pictures: 25 positions, at most 24 pictures .near copies"):
        poster(plan_of(5, 5), album)


def test_strange_pictures_hang_upright_or_are_named(album, tmp_path):
    left, right = (np.full((80, 60, 3), colour, np.uint8) for colour in ((20, 30, 200), (200, 120, 20)))
    flag = Image.fromarray(np.hstack([left, right])[:, :, ::-1].copy())
    turned = Image.Exif()
    turned[0x0112] = 6
    flag.rotate(90, expand=True).save(tmp_path / "turned <b>.jpg", exif=turned, quality=95)
    flag.convert("CMYK").save(tmp_path / "cmyk.jpg")
    flag.convert("RGBA").save(tmp_path / "alpha.png")
    cv2.imwrite(str(tmp_path / "deep.png"), np.asarray(flag)[:, :, ::-1].astype(np.uint16) * 257)
    (tmp_path / "wide.png").write_bytes(cv2.imencode(".png", np.full((4, 30_000, 3), 90, np.uint8))[1].tobytes())
    whole = (tmp_path / "cmyk.jpg").read_bytes()
    (tmp_path / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "empty.png").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("no picture")
    os.symlink(tmp_path, tmp_path / "round")
    one = plan_of(1, 1)
    for name in ("turned <b>.jpg", "cmyk.jpg", "alpha.png", "deep.png"):
        made = poster(one, [tmp_path / name])
        part = made.picture[10:-10, 10:-10].astype(int)
        assert part[10:, 5:25, 2].mean() > 90 > part[10:, 5:25, 0].mean(), name  # red at the left
        assert part[10:, -25:-5, 0].mean() > 90 > part[10:, -25:-5, 2].mean(), name
        assert made.rows["pictures_id"].tolist() == [name.rpartition(".")[0]]
    assert poster(one, [tmp_path / "wide.png"]).rows["enlargement"].tolist() == [10.0]
    many = poster(plan_of(2, 1), tmp_path, seed=0)
    assert not {"cut", "empty", "notes", "round"} & set(many.rows["pictures_id"])
    bad = [tmp_path / name for name in ("cut.jpg", "empty.png", "notes.txt", "round", "gone.png")]
    with pytest.raises(InputError, match="5 pictures cannot be read") as caught:
        poster(plan_of(6, 1), [*bad, *sorted(album.iterdir())[-1:]])
    assert all(word in str(caught.value) for word in ("truncated", "empty file", "not a picture", "link to a folder"))
    with pytest.raises(InputError, match="30000 x 4 pixels; the limit is 100,000"):
        poster(one, [tmp_path / "wide.png"], max_pixels=100_000)


def test_a_damaged_picture_gives_its_place_to_the_next_and_is_named(album, tmp_path):
    shutil.copytree(album, tmp_path / "views")
    for number in range(20):
        (tmp_path / "views" / f"bad_{number:02d}.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    made = poster(plan_of(6, 4), tmp_path / "views", seed=5)
    assert not made.rows["pictures_id"].str.startswith("bad").any() and len(made.rows) == 24
    told = " ".join(made.notes)
    assert "could not be read, others took their places" in told and "bad_" in told and "near copies" in told


def test_tiles_are_those_of_a_twin_that_tries_every_way():
    rng = np.random.default_rng(3)
    for _ in range(20):
        cost = rng.random((5, 6))
        best = min(itertools.permutations(range(6), 5), key=lambda way: cost[range(5), way].sum())
        assert assigned_tiles(cost).tolist() == list(best)
        twice = min((way for way in itertools.product(range(3), repeat=5) if max(map(way.count, way)) <= 2),
                    key=lambda way: cost[range(5), way].sum())
        assert assigned_tiles(cost[:, :3], 2).tolist() == list(twice)


def test_a_target_of_its_own_pieces_comes_out_as_itself(tmp_path):
    rng = np.random.default_rng(0)
    target = cv2.resize(rng.integers(0, 255, (12, 16, 3), np.uint8), (320, 240), interpolation=cv2.INTER_CUBIC)
    for i, j in itertools.product(range(6), range(8)):
        cv2.imwrite(str(tmp_path / f"{i}{j}.png"), target[i * 40 : i * 40 + 40, j * 40 : j * 40 + 40])
    sheet = check_template({"version": "own", "size": [320, 240], "border": 0, "positions": [
        {"number": 1, "origin": [0, 0], "size": [40, 40]}]})
    made = poster(sheet, tmp_path, target=target, columns=8)
    assert np.array_equal(made.picture, target) and made.rows["distance"].max() < 0.01
    assert made.rows["pictures_id"].tolist() == [f"{i}{j}" for i in range(6) for j in range(8)]


@pytest.mark.parametrize("kind", ["generated", "real"])
def test_clusters_hang_where_the_plan_wants_them(kind, album, request, tmp_path):
    if kind == "real":
        folder = request.getfixturevalue("shared_data") / "images" / "iss_hdev"
        paths = sorted(folder.glob("cluster_*/*.png"))
        table = pd.DataFrame({"path": paths, "label": [int(path.parent.name[-2:]) for path in paths]})
    else:
        paths = sorted(album.glob("picture*"))
        table = pd.DataFrame({"path": paths, "label": np.arange(len(paths)) % 4})
    there = sorted(set(table["label"]))
    places = plan_of(4, 2).positions
    plan = {"version": "each", "size": [272, 104], "border": 10, "positions": [
        {"number": each.number, "origin": each.origin, "size": each.size, "cluster": there[at % 4]}
        for at, each in enumerate(places) if at < 4 or there[at % 4] != 10]}  # 10: all black, copies of each other
    rows = write_posters(plan, table, tmp_path, n=2, poster_id="wall")
    assert rows["cluster"].tolist() == 2 * [each["cluster"] for each in plan["positions"]]
    assert not rows.duplicated(["poster_id", "version", "position"]).any()
    assert set(rows["poster_id"]) == {"wall-1", "wall-2"}
    wrong = {**plan, "positions": [{**plan["positions"][0], "cluster": there[-1] + 2}]}
    with pytest.raises(InputError, match=f"no picture is in cluster {there[-1] + 2}; the nearest .* {there[-1]}"):
        poster(wrong, table)


def test_what_cannot_be_leaves_no_file_behind(album, tmp_path, capsys):
    out = tmp_path / "out"
    (tmp_path / "hostile.yaml").write_text("version: ../x\nsize: [600, 300]\npositions: [{number: 1, origin: [60, 60], "
                                           "size: [90, 90], picture_ids: ['../../etc/passwd']}]")
    (tmp_path / "named.yaml").write_text((tmp_path / "hostile.yaml").read_text().replace("../x", "x"))
    for words in (["--config-id", "1"], ["--config-id", tmp_path / "hostile.yaml"],
                  ["--config-id", tmp_path / "named.yaml"], ["--poster-id", "a/b"], ["--target", tmp_path / "no.png"],
                  ["--target", album / "copy_2.png", "--columns", "3", "--uses", "0"]):
        code = within_boundary(lambda words=words: poster_commands(
            args=[str(album), "--out", str(out), *map(str, words)], standalone_mode=False))
        said = capsys.readouterr()
        assert code == 2 and said.err.count("\n") == 1 and not out.exists(), (words, said.err)
