"""Scope reference: every row against the rows that were drawn, as the obvious way says; the same whoever does it."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layout import ROOT
from many_files import lines_of, meanwhile, parts, parts_by_name, stopped_by_a_full_disk, wait_for

from oco2_outliers.cli import main
from oco2_outliers.ground.errors import InputError
from oco2_outliers.ground.languages import language
from oco2_outliers.isolation.choosing import printable_eps
from oco2_outliers.isolation.squares import exact_root, squared_distance
from oco2_outliers.page.sources import source_of
from oco2_outliers.runs import referencing
from oco2_outliers.runs.referencing import fit_reference, judge_rows, note_of_reference, radii2_without, why_isolated
from oco2_outliers.runs.steps import Shelf
from oco2_outliers.scale import combine, map_files
from oco2_outliers.soundings import simulate_granule

ASKED = {"scope": "reference", "reference_rows": 500, "parameters": {"min_samples": 5}}


@st.composite
def clouds(draw, columns=4):
    """Lattices, copies, clumps, wide tails."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, d = draw(st.integers(9, 90)), draw(st.integers(1, columns))
    kind = draw(st.sampled_from(["lattice", "clumps", "wide"]))
    X = {"lattice": lambda: rng.integers(0, 5, (n, d)) / 2.0, "wide": lambda: rng.standard_t(1, (n, d)),
         "clumps": lambda: rng.normal(size=(n, d)) + 6 * rng.integers(0, 3, (n, 1))}[kind]()
    return np.vstack([X, X[: draw(st.integers(0, n // 2))]])


def plain_radius2(x, others, m):
    """The obvious way: all distances."""
    core2 = np.sort(squared_distance(others[:, None], others), axis=1)[:, m - 1]
    return np.maximum(core2, squared_distance(x, others)).min()


def plain_radii2(X, which, drawn, m):
    """The same for some rows, each against the drawn ones but itself."""
    squares = squared_distance(X[drawn][:, None], X[drawn])
    for i in which:
        kept = np.flatnonzero(drawn != i)
        core2 = np.partition(squares[np.ix_(kept, kept)], m - 1, axis=1)[:, m - 1]
        yield np.maximum(core2, squared_distance(X[i], X[drawn[kept]])).min()


def plain_clusters(X, eps2, m):
    """Numbers of the clusters of core rows, -1 for the others."""
    near = squared_distance(X[:, None], X) <= eps2
    core, label = near.sum(axis=1) >= m, np.full(len(X), -1)
    for i in np.flatnonzero(core):
        if label[i] < 0:
            todo, label[i] = [i], label.max() + 1
            while todo:
                for j in np.flatnonzero(near[todo.pop()] & core & (label < 0)):
                    label[j] = label[i]
                    todo.append(j)
    return label


@settings(max_examples=60)
@given(X=clouds(), m=st.integers(1, 6), share=st.integers(1, 100), eps=st.sampled_from([0.5, 1.0, 2.0, "auto"]))
def test_radii_eps_and_clusters_are_those_of_the_obvious_way(X, m, share, eps):
    drawn = np.flatnonzero(np.random.default_rng(share).random(len(X)) <= share / 100)
    if len(drawn) <= m:
        drawn = np.arange(len(X))
    fitted, reference = fit_reference(X[drawn], np.arange(len(drawn)), m, eps, 1)
    assert (fitted == np.arange(len(drawn))).all() and reference.min_samples == m
    plain = np.array([plain_radius2(x, X[drawn[drawn != i]], m) for i, x in enumerate(X)])
    radius2, cluster = judge_rows(reference, X, (drawn, np.arange(len(drawn))))
    np.testing.assert_array_equal(radius2, plain)
    chosen = printable_eps(exact_root(plain[drawn]), X.shape[1], m).eps if eps == "auto" else eps
    assert reference.eps.eps == chosen
    np.testing.assert_array_equal(cluster == -1, plain > chosen * chosen)
    label, squares = plain_clusters(X[drawn], chosen * chosen, m), squared_distance(X[:, None], X[drawn])
    squares[:, label < 0] = np.inf
    for i in np.flatnonzero(cluster >= 0):
        assert cluster[i] in label[squares[i] == squares[i].min()]
    odd = np.flatnonzero(cluster == -1)
    which = np.where(np.isin(odd, drawn), np.searchsorted(drawn, odd), -1)
    why = why_isolated(reference, X[odd], which, [f"f{j}" for j in range(X.shape[1])], np.ones(X.shape[1]))
    assert len(why) == len(odd) and (why["reason"] != "").all()
    for i, (_, feature, change, most) in zip(odd, why.itertuples(index=False)):
        for by in (change, most):
            if not pd.isna(by):
                moved = X[i].copy()
                moved[int(feature[1:])] += by
                others = X[drawn[drawn != i]]
                assert plain_radius2(moved, others, m) <= chosen * chosen


@pytest.mark.parametrize("d", [3, pytest.param(40, marks=pytest.mark.heavy)])
def test_few_and_many_columns_and_more_rows_than_are_compared_with(d, monkeypatch):
    X = np.random.default_rng(d).standard_t(3, (700, d))
    monkeypatch.setattr(referencing, "group_of", lambda rows, m: (20, True))
    monkeypatch.setattr(referencing, "DRAWN_ROWS", 200)
    numbers = np.random.default_rng(1).permutation(700)
    fitted, reference = fit_reference(X[:500], numbers[:500], "auto", "auto", 2)
    assert set(numbers[fitted]) == set(np.sort(numbers[:500])[:200]) and reference.min_samples == 20
    radius2, _ = judge_rows(reference, X, (fitted, np.arange(200)), threads=2)
    plain = np.array([plain_radius2(x, X[fitted[fitted != i]], 20) for i, x in enumerate(X)])
    np.testing.assert_array_equal(radius2, plain)
    assert reference.eps == printable_eps(exact_root(plain[:500]), d, "auto")


def test_a_copy_is_company_and_a_row_is_not_its_own():
    X = np.array([[0.0], [0.0], [5.0]])
    assert radii2_without(X, 1, 1).tolist() == [0, 0, 25]
    _, reference = fit_reference(X, np.arange(3), 1, 1.0, 1)
    radius2, cluster = judge_rows(reference, np.array([[5.0], [5.0]]), (np.array([0]), np.array([2])))
    assert radius2.tolist() == [25, 0] and cluster[0] == -1 and cluster[1] >= 0  # the drawn row, and a copy of it


def test_every_row_of_every_file_has_the_same_chance():
    drawn = np.zeros(90)
    for seed in range(900):
        numbers = np.concatenate([referencing._numbers(seed, place, n) for place, n in (("a", 20), ("b", 70))])
        drawn[np.argsort(numbers)[:30]] += 1
    assert (abs(drawn - 300) < 5 * np.sqrt(900 * 2 / 9)).all()


def table_of(out):
    """All parts of a run, by the names of the files and in the order of their rows."""
    return {line["name"].rsplit("/", 1)[1]: pd.read_parquet(out / "parts" / f"{line['key']}.parquet")
            for line in lines_of(out)}


@pytest.fixture(scope="module")
def days(days, tmp_path_factory):
    """Four of the days: twice as many rows as are drawn, and a run of each test reads every file four times."""
    place = tmp_path_factory.mktemp("four")
    for path in sorted(days.iterdir())[:4]:
        shutil.copy(path, place)
    return place


@pytest.fixture(scope="module")
def here(days, tmp_path_factory):
    """What this process gives alone."""
    out = tmp_path_factory.mktemp("reference") / "out"
    return out, map_files(days, "isolate", out=out, **ASKED)


def test_a_whole_run_is_the_obvious_way(days, here):
    """Scores and the isolated of all files, from the rows that the rule draws."""
    out, result = here
    scaling, tables = result.scaling, table_of(out)
    names, rows = scaling["features"], pd.concat(tables.values(), ignore_index=True)
    X = ((rows[names].astype(float) - scaling["mean"]) / scaling["scale"]).to_numpy()
    numbers = np.concatenate([referencing._numbers(0, name, len(each)) for name, each in tables.items()])
    drawn = np.sort(np.argsort(numbers)[:500])
    some = np.unique(np.r_[drawn[:40], np.arange(0, len(X), 40), np.flatnonzero(rows["isolated"])[:40]])
    plain = exact_root(np.array([*plain_radii2(X, some, drawn, 5)]))
    np.testing.assert_array_equal(rows["score"].to_numpy()[some], plain)
    own = exact_root(np.array([*plain_radii2(X, drawn, drawn, 5)]))
    assert rows["eps"].unique().tolist() == [printable_eps(own, len(names), 5).eps]
    assert (rows["isolated"] == (rows["score"] > rows["eps"])).all() and 0 < rows["isolated"].sum() < len(rows)
    assert ((rows["cluster"] == -1) == rows["isolated"]).all() and (rows["reason"][rows["isolated"]] != "").all()
    assert note_of_reference(500, len(rows), 5, 0) in result.notes and not (out / "pool").exists()
    assert "the rows of all files with a reference drawn from them, in robust spreads of the run" in str(result)
    told = json.loads((out / "run.json").read_text())
    assert (told["scope"], told["reference_rows"]) == ("reference", 500)


def test_the_page_of_a_run_says_what_was_compared(here, tmp_path):
    shutil.copytree(here[0], tmp_path / "out")
    combine(tmp_path / "out", progress=False)
    source = source_of(tmp_path / "out")
    assert source.compared == ("compared: the rows of all files with a reference drawn from them, in robust spreads of "
                               "the run; eps auto, min_samples 5")
    assert source.min_samples is None  # of a sample: nothing to compute again on the page
    said = language("fr")(source.compared.split(";")[0])
    assert said.startswith("comparaison\xa0: les lignes de tous les fichiers avec une référence")


@pytest.mark.heavy
def test_processes_the_order_of_files_and_their_folder_do_not_matter(days, here, own_days, tmp_path):
    map_files(sorted(days.iterdir(), reverse=True), "isolate", out=tmp_path / "processes", jobs=2, **ASKED)
    assert parts(tmp_path / "processes") == parts(here[0])
    map_files(own_days, "isolate", out=tmp_path / "moved", **ASKED)
    there, before = table_of(tmp_path / "moved"), table_of(here[0])
    for name, table in before.items():
        pd.testing.assert_frame_equal(there[name].drop(columns="source"), table.drop(columns="source"))


@pytest.mark.heavy
def test_another_seed_and_another_size_draw_others(days, here, tmp_path):
    scores = [pd.concat(table_of(here[0]).values())["score"]]
    for k, asked in enumerate(({"parameters": {"min_samples": 5, "random_state": 1}}, {"reference_rows": 400})):
        map_files(days, "isolate", out=tmp_path / str(k), **(ASKED | asked))
        scores.append(pd.concat(table_of(tmp_path / str(k)).values())["score"])
    assert all((scores[0] != other).mean() > 0.5 for other in scores[1:])


def test_incomplete_rows_are_left_out_and_counted(tmp_path):
    (tmp_path / "in").mkdir()
    for day in range(2):
        rows = simulate_granule(day, n_seconds=20)[0]
        rows["more"] = np.where(rows.index % 3 == day, np.nan, rows["xco2"] % 1)
        rows.to_csv(tmp_path / "in" / f"{day}.csv", index=False)
    asked = {"parameters": {"min_samples": 5, "drop_missing": True, "features": ["xco2", "more"]}}
    exact = map_files(tmp_path / "in", "isolate", out=tmp_path / "all", scope="all", **asked)
    result = map_files(tmp_path / "in", "isolate", out=tmp_path / "out", scope="reference", reference_rows=300, **asked)
    counts = ["name", "rows", "rows_read", "dropped"]
    pd.testing.assert_frame_equal(result.manifest[counts], exact.manifest[counts])
    assert (result.manifest["dropped"] > 0).all()


@pytest.mark.heavy
def test_a_run_that_is_stopped_goes_on_to_the_same_bytes(days, here, tmp_path):
    stopped = stopped_by_a_full_disk(lambda: map_files(days, "isolate", out=tmp_path / "out", **ASKED), 7, times=6)
    assert stopped == 6 and parts(tmp_path / "out") == parts(here[0])
    assert map_files(days, "isolate", out=tmp_path / "out", **ASKED).n_done == 0


@pytest.mark.heavy
def test_a_coordinator_that_is_killed_goes_on_to_the_same_bytes(days, here, tmp_path):
    out = tmp_path / "out"
    code = (f"from oco2_outliers.scale import map_files\n"
            f"map_files({str(days)!r}, 'isolate', out={str(out)!r}, jobs=2, **{ASKED!r})\n")
    process = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def kill():
        wait_for(lambda: any((out / "parts").glob("*.parquet")) or process.poll() is not None)
        process.kill()

    with meanwhile(kill):
        process.wait()
    map_files(days, "isolate", out=out, **ASKED)
    assert parts(out) == parts(here[0]) and not (out / "pool").exists()


@pytest.mark.heavy
@pytest.mark.parametrize("workers", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_the_same_bytes_on_a_cluster_that_loses_a_worker(days, here, tmp_path, monkeypatch, workers):
    pytest.importorskip("distributed", reason="no dask (extra scale); other test: "
                                              "test_processes_the_order_of_files_and_their_folder_do_not_matter")
    from dask_cluster import Cluster

    with Cluster(tmp_path, workers) as cluster:
        killed, whole = [], Shelf.told

        def told(self, name):  # the coordinator asks for the records of a step before it begins
            if name == "done/draw.json" and not killed:
                killed.append(cluster.workers[0].kill())
            return whole(self, name)

        monkeypatch.setattr(Shelf, "told", told)
        map_files(days, "isolate", out=tmp_path / "out", client=cluster.address, **ASKED)
    assert killed and parts_by_name(tmp_path / "out") == parts_by_name(here[0])


def test_what_does_not_fit_is_refused(days, tmp_path, capsys):
    out = {"out": tmp_path / "out"}
    for asked, why in (({"scope": "all", "reference_rows": 9}, "rows scope 'reference' draws, and scope is 'all'"),
                       ({"reference_rows": 9}, "scope is 'file': leave it out"),
                       ({"scope": "reference", "reference_rows": 1}, "reference_rows must be"),
                       ({"scope": "reference", "reference_rows": 5, "parameters": {"min_samples": 5}},
                        "5 rows in the reference, and min_samples is 5: ask for more reference_rows"),
                       ({"scope": "reference", "parameters": {"context": "track"}}, "scope 'reference' with those")):
        with pytest.raises(InputError, match=why):
            map_files(days, "isolate", **out, **asked)
    asked = ["--out", str(tmp_path / "more"), "--reference-rows", "300", "--min-samples", "5"]
    assert main(["run", "isolate", str(days), *asked]) == 2 and "leave it out" in capsys.readouterr().err
    assert main(["run", "isolate", str(days), *asked, "--scope", "reference", "--random-state", "3"]) == 0
    assert "300 of" in (told := capsys.readouterr().out) and "rows, drawn with seed 3" in told
    asked[3] = "301"
    assert main(["run", "isolate", str(days), *asked, "--scope", "reference", "--random-state", "3"]) == 2
    assert "reference_rows: '300' there, '301' asked" in capsys.readouterr().err


@pytest.mark.slow
def test_real_files_agree_with_scope_all(shared_data, tmp_path):
    files = shared_data / "soundings" / "lite_v10r_ohio"
    map_files(files, "isolate", out=tmp_path / "all", scope="all")
    map_files(files, "isolate", out=tmp_path / "some", scope="reference", reference_rows=3_000)
    exact, found = (pd.concat(table_of(tmp_path / name).values(), ignore_index=True) for name in ("all", "some"))
    both = (found["isolated"] & exact["isolated"]).sum()
    assert both > 0.8 * exact["isolated"].sum() and both > 0.8 * found["isolated"].sum()
    assert found["isolated"].mean() < 0.02 and found["score"].corr(exact["score"], method="spearman") > 0.95
    assert found["isolated"][exact["xco2"] < 380].mean() > 0.9
