"""Albums that go wrong: strange files, one picture, equal pictures; and slow twins of what is quick."""

import os
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy.spatial.distance import cdist
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from oco2_outliers.albums.clusterings import Fitted, labelled_by
from oco2_outliers.albums.prints import near_prints
from oco2_outliers.cli import main
from oco2_outliers.datasets import InputError
from oco2_outliers.image_clusters import (
    cluster_pictures,
    load_clustering,
    load_vectors,
    mosaics,
    near_duplicates,
    odd_pictures,
    picture_vectors,
    split_pictures,
)
from oco2_outliers.image_forest import simulate_pictures
from oco2_outliers.maps.groups import rand_interval


@pytest.fixture(scope="session")
def album(tmp_path_factory):
    """Sixty forests and a black frame."""
    folder = tmp_path_factory.mktemp("album")
    simulate_pictures(folder, n_pictures=60, odd_kinds=["no_signal"], random_state=3)
    return folder


@pytest.fixture
def strange(album, tmp_path):
    """A copy of the album with files that are hard to read, or none at all."""
    folder = tmp_path / "strange"
    shutil.copytree(album, folder)
    picture = Image.open(sorted(folder.iterdir())[0]).convert("RGB")
    picture.convert("CMYK").save(folder / "cmyk.jpg")
    picture.convert("RGBA").save(folder / "alpha.png")
    turned = Image.Exif()
    turned[0x0112] = 6
    picture.rotate(90, expand=True).save(folder / "turned.jpg", exif=turned, quality=95)
    cv2.imwrite(str(folder / "deep.png"), cv2.imread(str(folder / "alpha.png")).astype(np.uint16) * 257)
    picture.save(folder / "a <b> & c.png")
    whole = (folder / "cmyk.jpg").read_bytes()
    (folder / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.png").write_bytes(b"")
    (folder / "wide.png").write_bytes(cv2.imencode(".png", np.zeros((4, 30_000, 3), np.uint8))[1].tobytes())
    (folder / "notes.txt").write_text("no picture")
    os.symlink(folder, folder / "round")
    shutil.copy(folder / "alpha.png", os.fsencode(folder) + b"/caf\xe9.png")
    return folder


def test_strange_files_are_read_or_named(strange):
    v = picture_vectors(strange)
    names = set(v.table["id"])
    assert {"cmyk", "alpha", "turned", "deep", "a <b> & c", "wide"} <= names and not {"cut", "empty", "notes"} & names
    assert "5 files left out" in v.notes[0] and "no UTF-8; rename it" in v.notes[0]
    for name, word in (("cut.jpg", "truncated"), ("empty.png", "empty"), ("notes.txt", "not a picture"),
                       ("round", "link")):
        assert name in v.notes[0] and word in v.notes[0], (name, v.notes[0])
    first = v.table["id"].tolist().index("alpha")
    apart = pd.Series(np.linalg.norm(v.X - v.X[first], axis=1), v.table["id"])
    assert apart[["deep", "a <b> & c"]].max() < 0.02 and apart[["turned", "cmyk"]].max() < apart.median() / 2
    assert "wide" in set(picture_vectors(strange, max_pixels=200_000).table["id"])
    assert "wide" not in set(picture_vectors(strange, max_pixels=100_000).table["id"])


def test_copies_of_strange_files_are_one_group(strange):
    found = near_duplicates(strange)
    same = {"alpha", "deep", "a <b> & c", "turned", "cmyk"}
    groups = found.groupby("group")["id"].agg(set)
    assert any(len(same & each) >= 4 for each in groups), groups.tolist()


def test_radii_are_those_of_all_distances(album):
    v = picture_vectors(album)
    found = odd_pictures(v, min_samples=10)
    apart = cdist(v.X.astype(float), v.X.astype(float))
    core = np.sort(apart, axis=1)[:, 9]
    np.testing.assert_allclose(found["radius"], np.maximum(core[None, :], apart).min(axis=1), rtol=1e-12)
    np.testing.assert_allclose(found["score"], found["radius"] * (found["spacing"].median() / found["spacing"]) ** 0.75)
    assert found["outlier"].sum() >= 1 and found.nlargest(1, "score")["reason"].str.contains("flatter than usual").all()


def test_no_album_and_one_picture(tmp_path, album):
    for work in (picture_vectors, near_duplicates, split_pictures):
        with pytest.raises(FileNotFoundError, match="no folder"):
            work(tmp_path / "absent")
        with pytest.raises(InputError, match="no usable picture"):
            work(tmp_path)
    one = picture_vectors(sorted(album.iterdir())[:1])
    assert cluster_pictures(one).labels.tolist() == [0]
    with pytest.raises(InputError, match="fewer than min_samples"):
        odd_pictures(one)
    assert split_pictures(sorted(album.iterdir())[:1])["part"].tolist() == ["train"]
    assert mosaics(cluster_pictures(one), tmp_path / "walls")["n_shown"].tolist() == [1]


def test_equal_pictures_are_one_group_and_none_is_odd(album, tmp_path):
    first = sorted(album.iterdir())[0]
    for number in range(60):
        shutil.copy(first, tmp_path / f"{number:03d}.png")
    v = picture_vectors(tmp_path)
    found = odd_pictures(v)
    assert not found["outlier"].any() and (found["score"] == 0).all() and (found["copies"] == 59).all()
    assert (cluster_pictures(v, "kmeans", k=7).labels == 0).all()
    assert near_duplicates(tmp_path)["kind"].value_counts().to_dict() == {"equal bytes": 59, "": 1}
    assert split_pictures(tmp_path)["part"].nunique() == 1


def test_a_stem_twice_is_refused_unless_paths_are_ids(album, tmp_path):
    first = sorted(album.iterdir())[0]
    for name in ("a/x.png", "b/x.png"):
        (tmp_path / name).parent.mkdir()
        shutil.copy(first, tmp_path / name)
    for work in (picture_vectors, near_duplicates, split_pictures):
        with pytest.raises(InputError, match="two pictures have the id 'x'"):
            work(tmp_path)
    assert set(near_duplicates(tmp_path, ids="path")["id"]) == {"a/x.png", "b/x.png"}
    assert split_pictures(tmp_path, ids="path", dest=tmp_path / "split")["file"].tolist() == ["a__x.png", "b__x.png"]


@pytest.mark.parametrize("limit", [0, 3, 10, 31, 64])
def test_pairs_of_prints_are_those_of_a_naive_twin(limit):
    rng = np.random.default_rng(limit)
    prints = rng.integers(0, 2**64, 150, dtype=np.uint64)
    prints[75:] = prints[:75] ^ (np.uint64(1) << rng.integers(0, 64, 75).astype(np.uint64))
    naive = [(i, j) for i in range(150) for j in range(i + 1, 150)
             if (int(prints[i]) ^ int(prints[j])).bit_count() <= limit]
    assert [tuple(pair) for part in near_prints(prints, limit) for pair in part.tolist()] == naive


def test_a_kept_clustering_labels_as_before(album, tmp_path):
    v = picture_vectors(album)
    made = cluster_pictures(v, "ward", k=3)
    v.save(tmp_path / "v")
    kept, again = load_clustering(made.save(tmp_path)), load_vectors(tmp_path / "v")
    assert np.array_equal(kept.predict(again), made.predict(v))
    new = picture_vectors(sorted(album.iterdir())[:5], features=again.encoder)
    np.testing.assert_allclose(new.X, v.X[:5], atol=1e-5)
    with pytest.raises(InputError, match="is not the file that its manifest tells of"):
        (tmp_path / "v" / "X.npy").write_bytes(b"changed")
        load_vectors(tmp_path / "v")


def test_far_pictures_join_no_dense_group():
    rows = np.random.default_rng(0).normal(size=(50, 3))
    fitted = Fitted(np.zeros(50, int), rows[:, :2], "nearest", np.empty((0, 3)), {}, [])
    assert labelled_by(fitted, rows, 1.0, np.array([[50.0, 0, 0], [0, 0, 0]])).tolist() == [-1, 0]


def test_an_interval_of_the_rand_index_holds_its_figure():
    rng = np.random.default_rng(0)
    truth, labels = rng.integers(0, 4, 180), rng.integers(0, 50, 180)
    labels[:90] = truth[:90]
    for other in (labels, rng.integers(0, 50, 180), truth):
        index, low, high = rand_interval(truth, other)
        assert low <= index <= high and index == adjusted_rand_score(truth, other)


@pytest.mark.parametrize("n", [pytest.param(1, marks=pytest.mark.heavy), pytest.param(7, marks=pytest.mark.slow)])
def test_groups_hidden_among_others_are_found_on_real_stills(shared_data, n):
    folders = sorted((shared_data / "images" / "iss_hdev").iterdir())
    groups = [sorted(folder.iterdir()) for folder in folders]
    areas = []
    for odd, own in enumerate(groups):
        chosen = [own[:n] if i == odd else each for i, each in enumerate(groups)]
        v = picture_vectors([path for each in chosen for path in each])
        truth = np.repeat(np.arange(4) == odd, [len(each) for each in chosen])
        areas.append(roc_auc_score(truth, odd_pictures(v, looks=False)["score"]))
    assert np.mean(areas) >= 0.90, (n, areas)


def test_the_program_knows_the_commands(album, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["images", "encode", str(album), "--out", "v"]) == 0
    assert main(["images", "odd", "v", "--out", "odd.parquet"]) == 0
    assert "flatter than usual" in capsys.readouterr().out
    assert pd.read_parquet("odd.parquet")["outlier"].sum() >= 1
    assert main(["images", "cluster", "v", "--method", "nonsense"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_a_folder_of_clusterings_is_told_from_one_of_them(tmp_path):
    vectors = np.repeat(np.eye(3), 4, axis=0)
    with pytest.raises(InputError, match="holds no clustering.npz: give the folder that `images cluster` wrote"):
        load_clustering(tmp_path)
    cluster_pictures(vectors, "ward", k=3).save(tmp_path)
    assert len(load_clustering(tmp_path).table) == 12
    cluster_pictures(vectors, "kmeans", k=3, version=2).save(tmp_path)
    with pytest.raises(InputError, match=r"holds 2 clusterings: give one of .*given_model_1, .*given_model_2$"):
        load_clustering(tmp_path)


@pytest.mark.parametrize("method", ["dbscan", "advanced"])
def test_a_number_of_groups_is_refused_where_it_would_do_nothing(method):
    vectors = np.repeat(np.eye(60), 2, axis=0) + np.random.default_rng(0).normal(0, 0.01, (120, 60))
    with pytest.raises(InputError, match=f"{method} finds the number of groups itself"):
        cluster_pictures(vectors, method, k=3)
