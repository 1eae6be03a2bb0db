"""Rows that are searched in blocks: the same radii, labels and reasons as in memory, whoever does the work."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from many_files import stopped_by_a_full_disk

from oco2_outliers.dbscan import IsolatedSoundings
from oco2_outliers.ground.addresses import list_files
from oco2_outliers.ground.errors import InputError
from oco2_outliers.runs import pooling
from oco2_outliers.runs.folder import Manifest, RunFolder
from oco2_outliers.runs.pooling import _search_in_blocks, _TaskOnShelf
from oco2_outliers.runs.resuming import Site
from oco2_outliers.runs.steps import Shelf
from oco2_outliers.runs.workers import in_this_process
from oco2_outliers.runs.working import Item
from oco2_outliers.scale import map_files
from oco2_outliers.soundings import simulate_granule


@st.composite
def clouds(draw):
    """Lattices, copies, clumps; few rows and more."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, d = draw(st.integers(2, 300)), draw(st.integers(1, 5))
    kind = draw(st.sampled_from(["lattice", "clumps", "wide", "halves"]))
    X = {"lattice": lambda: rng.integers(0, 5, (n, d)).astype(float),
         "halves": lambda: rng.integers(-4, 5, (n, d)) / 2,
         "clumps": lambda: rng.normal(size=(n, d)) + 6 * rng.integers(0, 3, (n, 1)),
         "wide": lambda: rng.standard_t(1, (n, d))}[kind]()
    return np.vstack([X, X[: draw(st.integers(0, n // 2))]])


class Written(_TaskOnShelf):
    """A task whose files hold the features as they are."""

    def features(self, unit):
        table = unit.table()
        return table, table.drop(columns=["sounding_id", "source"], errors="ignore").astype(float)


def blocks_of_cloud(X, place, n_files, block_rows, eps, m):
    """What the search in blocks tells of every row: score, cluster, and why."""
    names = [f"f{j}" for j in range(X.shape[1])]
    (place / "in").mkdir(parents=True, exist_ok=True)
    for i, rows in enumerate(np.array_split(X, n_files)):
        pd.DataFrame(rows, columns=names).to_parquet(place / "in" / f"{i}.parquet")
    items = [Item(str(i), file.name, (file,)) for i, file in enumerate(list_files(place / "in"))]
    out = RunFolder(str(place / "out"))
    out.make()
    site, shelf = Site(out, Manifest(out), in_this_process, None, False), Shelf(f"{out.address}/pool/x")
    task = Written({"eps": eps, "min_samples": m}, {"features": names, "rows": len(X), "scale": [1.0] * len(names)},
                   "run")
    _search_in_blocks(site, shelf, items, task, block_rows)
    found = [task.found(item.name, 0) for item in items]
    shelf.clear()
    why = pd.concat([each.why for each in found], ignore_index=True)
    return np.concatenate([each.score for each in found]), np.concatenate([each.cluster for each in found]), why, task


of_clouds = given(X=clouds(), m=st.integers(1, 6), block_rows=st.integers(1, 120), n_files=st.integers(1, 4),
                  eps=st.sampled_from([0.3, 0.5, 1.0, 2**0.5, 2.0, 50.0, "auto"]))


@settings(max_examples=12)
@of_clouds
def test_blocks_are_the_method_in_memory(tmp_path_factory, X, m, block_rows, n_files, eps):
    assert_blocks_are_the_method(tmp_path_factory, X, m, block_rows, n_files, eps)


@pytest.mark.slow
@settings(max_examples=50)
@of_clouds
def test_blocks_are_the_method_in_memory_on_more_clouds(tmp_path_factory, X, m, block_rows, n_files, eps):
    assert_blocks_are_the_method(tmp_path_factory, X, m, block_rows, n_files, eps)


def assert_blocks_are_the_method(tmp_path_factory, X, m, block_rows, n_files, eps):
    """Blocks of a row where there are few rows; a dozen blocks meet each other as hundreds would."""
    m, block_rows = min(m, len(X)), max(block_rows, len(X) // 12)
    score, cluster, _, task = blocks_of_cloud(X, tmp_path_factory.mktemp("blocks"), n_files, block_rows, eps, m)
    asked = eps
    if eps == "auto":
        radius = IsolatedSoundings(1.0, m).fit(X).radius_
        asked = pooling.printable_eps(radius, X.shape[1], m).eps
    model = IsolatedSoundings(asked, m).fit(X)
    assert (score == model.radius_).all() and (cluster == model.labels_).all() and task.eps.eps == asked


def test_reasons_are_those_of_memory(tmp_path):
    rng = np.random.default_rng(1)
    X = np.vstack([rng.normal(size=(3000, 5)), [[40, 0, 0, 0, 0], [0, -90, 3, 0, 0]], rng.normal(5, 1, (2000, 5))])
    frame = pd.DataFrame(X, columns=[f"f{j}" for j in range(5)])
    score, cluster, why, _ = blocks_of_cloud(X, tmp_path, 3, 700, 1.5, 5)
    model = IsolatedSoundings(1.5, 5).fit(frame)
    assert (score == model.radius_).all() and (cluster == model.labels_).all()
    told = model.explain(frame[model.labels_ == -1])
    assert why["reason"].tolist() == told["reason"].tolist()
    np.testing.assert_array_equal(why["change"], told["change"])


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1), block_rows=st.integers(60, 300))
def test_reasons_are_those_of_memory_where_many_changes_are_equal(tmp_path_factory, seed, block_rows):
    """Whole numbers: several rows at one distance, several changes of one size, in several blocks."""
    rng = np.random.default_rng(seed)
    X = np.vstack([rng.integers(0, 4, (600, 3)), rng.integers(-8, 12, (60, 3))]).astype(float)
    frame = pd.DataFrame(X, columns=["f0", "f1", "f2"])
    _, cluster, why, _ = blocks_of_cloud(X, tmp_path_factory.mktemp("blocks"), 3, block_rows, 1.2, 5)
    model = IsolatedSoundings(1.2, 5).fit(frame)
    told = model.explain(frame[model.labels_ == -1])
    assert (cluster == model.labels_).all() and why["reason"].tolist() == told["reason"].tolist()
    for name in ("change", "change_most"):
        np.testing.assert_array_equal(why[name].astype(float), told[name])


def test_twenty_features_in_which_every_block_meets_every_other(tmp_path):
    X = np.random.default_rng(2).normal(size=(1500, 20))
    score, cluster, _, _ = blocks_of_cloud(X, tmp_path, 2, 200, 4.5, 5)
    model = IsolatedSoundings(4.5, 5).fit(X)
    assert (score == model.radius_).all() and (cluster == model.labels_).all()
    assert 0 < (model.labels_ == -1).sum() < len(X)


ASKED = {"scope": "all", "parameters": {"min_samples": 5}}
IN_BLOCKS = ASKED | {"memory_limit": 400_000}


@pytest.fixture(scope="module")
def days(tmp_path_factory):
    """Five files of soundings."""
    place = tmp_path_factory.mktemp("days")
    for day in range(5):
        simulate_granule(day, n_seconds=16)[0].to_csv(place / f"{day}.csv", index=False)
    return place


@pytest.fixture(scope="module")
def whole(days, tmp_path_factory):
    """A run in blocks that nothing befell, and where it is."""
    out = tmp_path_factory.mktemp("whole") / "out"
    return map_files(days, "isolate", out=out, **IN_BLOCKS), out


def parts_of(out):
    return {path.name: path.read_bytes() for path in sorted((out / "parts").iterdir())}


def test_a_run_in_blocks_writes_the_parts_of_memory(days, whole, tmp_path):
    map_files(days, "isolate", out=tmp_path / "memory", **ASKED)
    result, out = whole
    assert any("in blocks of up to" in note for note in result.notes), result.notes
    assert parts_of(tmp_path / "memory") == parts_of(out)
    assert not (out / "pool").exists()


@pytest.mark.heavy
def test_a_run_in_blocks_goes_on_where_it_was_stopped(days, whole, tmp_path):
    stopped = stopped_by_a_full_disk(lambda: map_files(days, "isolate", out=tmp_path / "stopped", **IN_BLOCKS), 25)
    assert stopped > 3 and parts_of(whole[1]) == parts_of(tmp_path / "stopped")


@pytest.mark.heavy
def test_who_starts_over_uses_nothing_of_the_run_that_was_stopped(days, whole, tmp_path, monkeypatch):
    out = tmp_path / "out"

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pooling, "label_blocks", full)
        with pytest.raises(OSError, match="No space left"):
            map_files(days, "isolate", out=out, **IN_BLOCKS)
    (records,) = (out / "pool").glob("*/done/search.json")
    records.write_text("not what was found")
    for path in (out / "pool").glob("*/core2/*.npy"):
        np.save(path, np.zeros(len(np.load(path))))
    map_files(days, "isolate", out=out, resume=False, **IN_BLOCKS)
    assert parts_of(out) == parts_of(whole[1])


def test_too_little_room_is_told(days, tmp_path):
    with pytest.raises(InputError, match="too few to search; give more"):
        map_files(days, "isolate", out=tmp_path / "out", memory_limit=10_000, **ASKED)
