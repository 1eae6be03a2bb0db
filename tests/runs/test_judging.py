"""What isolated is measured against in a run: a file, a pass, the scale of all files, the pool of them."""

import itertools

import numpy as np
import pandas as pd
import pytest
from many_files import awkward_days, everything, pooled, small_table

from oco2_outliers.datasets import InputError
from oco2_outliers.dbscan import IsolatedSoundings, feature_matrix, isolation_radius
from oco2_outliers.main_job import isolate
from oco2_outliers.scale import combine, map_files
from oco2_outliers.soundings import read_soundings, simulate_granule, to_parquet, track_distance


def test_the_scale_of_the_run_is_that_of_the_pooled_table(days, tmp_path):
    result = map_files(days, "isolate", out=tmp_path / "out", scale_over="run", parameters={"preset": "original"})
    matrix, found = feature_matrix(pooled(days), missing="drop"), result.scaling
    assert found["features"] == matrix.features and found["rows"] == len(matrix.X)
    assert found["constant"] == matrix.constant and found["duplicate"] == matrix.duplicate
    # Sums of 4,000 values in another order: a few units in the last place.
    np.testing.assert_allclose(found["mean"], matrix.mean, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(found["scale"], matrix.scale, rtol=1e-11)
    got = everything(tmp_path / "out")
    eps = got["eps"].iloc[0]
    first = got[got["source"] == got["source"].iloc[0]]
    X = matrix.X.iloc[: len(first)]
    model = IsolatedSoundings(eps, 5).fit(X)
    np.testing.assert_allclose(first["score"], model.radius_, rtol=1e-9)
    assert (first["isolated"] == (model.labels_ == -1)).all()


@pytest.mark.parametrize("scale", ["standard", "robust"])
def test_columns_are_left_out_by_the_rule_of_the_whole_run(tmp_path, scale):
    folder = awkward_days(tmp_path / "in")
    result = map_files(folder, "isolate", out=tmp_path / "out", scale_over="run", scale=scale)
    table = pooled(folder).drop(columns="extra")
    matrix = feature_matrix(table, missing="drop", scale=scale)
    assert result.scaling["features"] == matrix.features == ["xco2", "psurf", "mode"]
    assert result.scaling["constant"] == ["flag"] and result.scaling["duplicate"] == {"twin": "xco2"}
    assert result.scaling["empty"] == ["void"] and result.scaling["partial"] == ["extra"]
    assert result.scaling["rows"] == len(matrix.X) == result.rows
    np.testing.assert_allclose(result.scaling["mean"], matrix.mean, rtol=1e-12)
    np.testing.assert_allclose(result.scaling["scale"], matrix.scale, rtol=1e-12)
    assert "not in every file, so not used: extra" in str(result)


@pytest.mark.parametrize("limit", [None, pytest.param(200_000, marks=pytest.mark.heavy)])
def test_scope_all_is_isolate_on_all_files_together(days, tmp_path, limit, capsys):
    original = {"parameters": {"preset": "original"}}
    result = map_files(days, "isolate", out=tmp_path / "out", scope="all", memory_limit=limit, **original)
    assert "rows x" in capsys.readouterr().out and any("in blocks" in note for note in result.notes) == bool(limit)
    together = isolate(pooled(days), preset="original")
    got = everything(tmp_path / "out")
    np.testing.assert_allclose(got["score"], together.table["score"], rtol=1e-9)
    assert (got["isolated"] == together.table["isolated"]).all() and got["isolated"].any()
    assert (got["reason"] == together.table["reason"]).all() and (got["change"] == together.table["change"]).all()
    assert got["eps"].unique().tolist() == [together.eps]
    again = map_files(days, "isolate", out=tmp_path / "out", scope="all", memory_limit=limit, **original)
    assert (again.n_done, again.n_kept) == (0, 8)


def test_scope_orbit_is_isolate_on_each_pass(days, tmp_path):
    map_files(days, "isolate", out=tmp_path / "out", scope="orbit", parameters={"eps": 2.5, "preset": "original"})
    got = everything(tmp_path / "out")
    for name, rows in got.groupby("source"):
        alone = isolate(name, eps=2.5, preset="original").table
        assert (rows["score"].to_numpy() == alone["score"].to_numpy()).all()
        assert (rows["reason"].to_numpy() == alone["reason"].to_numpy()).all()


def test_scope_all_scale_orbit_brings_each_pass_to_its_own_scale(days, tmp_path):
    result = map_files(days, "isolate", out=tmp_path / "out", scope="all", scale_over="orbit",
                       parameters={"eps": 2.0, "min_samples": 5})
    names = result.scaling["features"]
    X = np.vstack([feature_matrix(read_soundings(path), names, scale="robust").X for path in sorted(days.iterdir())])
    np.testing.assert_allclose(everything(tmp_path / "out")["score"], isolation_radius(X, 5), rtol=1e-12)


def test_a_pass_too_short_to_judge_says_so(tmp_path):
    long, short = simulate_granule(0, n_seconds=10)[0], simulate_granule(1, n_seconds=10, center=(-20, 30))[0].head(3)
    to_parquet(pd.concat([long, short], ignore_index=True), tmp_path / "day.parquet")
    for over in ("run", "orbit"):
        map_files(tmp_path / "day.parquet", "isolate", out=tmp_path / over, scope="orbit", scale_over=over,
                  parameters={"min_samples": 5})
        got = everything(tmp_path / over)
        assert len(got) == len(long) + 3 and got["score"].isna().sum() == 3
        left = got[got["score"].isna()]
        assert not left["outlier"].any() and left["reason"].str.startswith("not judged: 3 rows").all()


@pytest.mark.parametrize("scope", ["orbit", "all"])
def test_a_pass_of_one_sounding_does_not_end_the_run(tmp_path, scope):
    long, alone = simulate_granule(0, n_seconds=10)[0], simulate_granule(1, n_seconds=10, center=(-20, 30))[0].head(1)
    to_parquet(pd.concat([long, alone], ignore_index=True), tmp_path / "day.parquet")
    result = map_files(tmp_path / "day.parquet", "isolate", out=tmp_path / "out", scope=scope, scale_over="orbit")
    got = everything(tmp_path / "out")
    assert not len(result.failures) and len(got) == len(long) + 1
    assert got["score"].isna().sum() == (scope == "orbit")  # in the pool it stands at its own mean


def test_printed_changes_of_a_pool_end_the_isolation_beside_a_large_mean(tmp_path):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"sounding_id": 2019071518322000 + np.arange(300), "a": 1e9 + 1e-3 * rng.normal(size=300),
                          "b": rng.normal(size=300)})
    table.loc[::15, "a"] += 2e-2 * rng.uniform(size=20)
    table.to_csv(tmp_path / "day.csv", index=False)
    result = map_files(tmp_path / "day.csv", "isolate", out=tmp_path / "out", scope="all",
                       parameters={"eps": 0.7, "min_samples": 5, "scale": "standard"})
    got, tried = everything(tmp_path / "out"), 0
    mean, scale = (np.array(result.scaling[what]) for what in ("mean", "scale"))
    values = got[result.scaling["features"]].to_numpy()
    model = IsolatedSoundings(0.7, 5).fit((values - mean) / scale)
    for row in np.flatnonzero(got["isolated"]):
        if got["change"][row]:
            name, size, *_, way = got["change"][row].split()
            moved = values[row].copy()
            moved[result.scaling["features"].index(name)] += float(size) * (1 if way == "higher" else -1)
            assert model.predict([(moved - mean) / scale])[0] == 1, got["change"][row]
            tried += 1
    assert tried >= 5


def test_results_of_an_earlier_run_are_replaced(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    small_table().to_csv(folder / "day.csv", index=False)
    map_files(folder, "isolate", out=tmp_path / "first")
    combine(tmp_path / "first")
    for scope in ("file", "all"):
        again = map_files(tmp_path / "first" / "combined.parquet", "isolate", out=tmp_path / scope, scope=scope)
        used = [name for name, fate in again.columns.items() if fate.became == "feature"]
        assert again.exit_code == 0 and used == ["xco2", "psurf"]
        pd.testing.assert_frame_equal(everything(tmp_path / scope), everything(tmp_path / "first"))


def test_a_foreign_column_named_as_a_result_is_refused(tmp_path):
    small_table().assign(eps=0.5).to_csv(tmp_path / "day.csv", index=False)
    result = map_files(tmp_path, "isolate", out=tmp_path / "out")
    assert "column 'eps', which the result needs" in result.failures["error"][0]


@pytest.mark.parametrize(("scope", "over"), list(itertools.product(("file", "orbit", "all"), ("file", "orbit", "run"))))
def test_labels_that_repeat_do_not_multiply_rows(tmp_path, scope, over):
    table = small_table()
    twice = table.set_axis([*range(30), *range(30)], axis=0)
    for name, each in (("plain", table), ("labelled", twice)):
        (tmp_path / name).mkdir()
        each.to_parquet(tmp_path / name / "day.parquet")
        map_files(tmp_path / name, "isolate", out=tmp_path / f"{name}_out", scope=scope, scale_over=over)
    got, expected = everything(tmp_path / "labelled_out"), everything(tmp_path / "plain_out")
    assert got["sounding_id"].tolist() == table["sounding_id"].tolist()
    pd.testing.assert_frame_equal(got.drop(columns="source"), expected.drop(columns="source"))


@pytest.mark.parametrize("settings", [{}, {"scope": "all"}, {"scope": "all", "scale_over": "orbit"}, {"scope": "orbit"},
                                      {"scale_over": "run"}, {"scale_over": "orbit"},
                                      {"parameters": {"features": ["xco2"]}}])
def test_a_file_without_rows_has_no_say(tmp_path, settings):
    small_table().to_csv(tmp_path / "day.csv", index=False)
    alone = map_files(tmp_path / "day.csv", "isolate", out=tmp_path / "alone", **settings)
    (tmp_path / "few.csv").write_text("sounding_id,xco2,latitude\n")
    (tmp_path / "other.csv").write_text("a,b\n")
    files = [tmp_path / name for name in ("day.csv", "few.csv", "other.csv")]
    result = map_files(files, "isolate", out=tmp_path / "out", **settings)
    assert result.exit_code == 0 and result.scaling == alone.scaling and result.rows == 60
    assert sorted(result.manifest["rows"]) == [0, 0, 60]
    combine(tmp_path / "out")
    combined = pd.read_parquet(tmp_path / "out" / "combined.parquet")
    assert combined["score"].tolist() == everything(tmp_path / "alone")["score"].tolist()
    assert combined["sounding_id"].dtype == np.int64
    assert map_files(files, "isolate", out=tmp_path / "out", **settings).n_kept == 3
    nothing = map_files(files[1:], "isolate", out=tmp_path / "nothing", **settings)
    assert (nothing.exit_code, nothing.rows, len(nothing.manifest)) == (0, 0, 2)


def test_a_file_without_features_fails_and_the_rest_is_done(tmp_path):
    small_table().to_csv(tmp_path / "day.csv", index=False)
    (tmp_path / "text.csv").write_text("a,b\n" + "foo,bar\n" * 50)
    result = map_files(tmp_path, "isolate", out=tmp_path / "out")
    assert result.exit_code == 1 and result.rows == 60
    (error,) = result.failures["error"]
    assert error.startswith("no numeric feature column in the table; it has: a (text), b (text)."), error


def test_nothing_in_common_names_the_file_and_the_column(tmp_path):
    (tmp_path / "in").mkdir()
    over_run = {"scale_over": "run"}
    for k in range(3):
        table = small_table(seed=k)
        table = table if k else table.rename(columns={"xco2": "x", "psurf": "p"})
        table.to_csv(tmp_path / "in" / f"{k}.csv", index=False)
    with pytest.raises(InputError, match=r"in common: \S*0\.csv lacks 'xco2', which 2 of 3 files have"):
        map_files(tmp_path / "in", "isolate", out=tmp_path / "out", **over_run)
    result = map_files(tmp_path / "in", "isolate", out=tmp_path / "named", **over_run,
                       parameters={"features": ["xco2"]})
    assert len(result.failures) == 1 and result.rows == 120


@pytest.mark.parametrize("over", ["run", "file"])
def test_text_where_xco2_should_be_is_refused(tmp_path, over):
    (tmp_path / "in").mkdir()
    small_table().to_csv(tmp_path / "in" / "day.csv", index=False)
    bad = small_table().astype({"xco2": object})
    bad.loc[7, "xco2"] = "n/a?"
    bad.to_csv(tmp_path / "in" / "bad.csv", index=False)
    small_table().assign(xco2=True).to_csv(tmp_path / "in" / "flags.csv", index=False)
    result = map_files(tmp_path / "in", "isolate", out=tmp_path / "out", scale_over=over)
    first, second = result.failures["error"]  # by name: bad, flags
    assert result.rows == 60 and "'xco2' holds text: 'n/a?' in row 7" in first
    assert "'xco2' holds bool and not numbers, 'True' in row 0" in second
    psurf = {"features": ["psurf"]}
    result = map_files(tmp_path / "in", "isolate", out=tmp_path / "without", scale_over=over, parameters=psurf)
    # A column that is not compared is written too, and all parts of a run have the same columns.
    assert result.rows == 180 and result.failures.empty
    assert result.columns["xco2"].became != "feature"


@pytest.mark.parametrize("settings", [{}, {"scale_over": "run"}, {"scope": "orbit"}])
def test_a_number_too_large_fails_its_file_and_not_the_scale_of_the_run(tmp_path, settings):
    (tmp_path / "in").mkdir()
    small_table().to_csv(tmp_path / "in" / "day.csv", index=False)
    alone = map_files(tmp_path / "in", "isolate", out=tmp_path / "alone", **settings)
    huge = small_table()
    huge.loc[3, "psurf"] = -1e200
    huge.to_csv(tmp_path / "in" / "huge.csv", index=False)
    result = map_files(tmp_path / "in", "isolate", out=tmp_path / "out", **settings)
    assert result.scaling == alone.scaling and result.rows == 60
    assert "'psurf' holds a number too large to compare with others (1e+200)" in result.failures["error"][0]


@pytest.mark.parametrize("scope", ["file", "all"])
def test_rows_that_are_dropped_are_told(tmp_path, scope):
    granule = simulate_granule(0, 20).soundings
    granule.assign(xco2=granule["xco2"].where(np.arange(len(granule)) >= 7)).to_parquet(tmp_path / "a.parquet")
    granule.to_parquet(tmp_path / "b.parquet")
    files = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    result = map_files(files, "isolate", out=tmp_path / "out", scope=scope, parameters={"drop_missing": True})
    assert "dropped 7 rows with a fill or missing feature" in result.notes
    assert result.rows == 2 * len(granule) - 7


@pytest.mark.parametrize("task", ["isolate", "convert", "peaks"])
def test_rows_that_nobody_asked_for_are_told(tmp_path, task):
    granule = simulate_granule(0, 60).soundings
    for name in ("a", "b"):
        granule.to_parquet(tmp_path / f"{name}.parquet")
    bad = int((granule["xco2_quality_flag"] != 0).sum())
    files = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    result = map_files(files, task, out=tmp_path / "out", parameters={"quality": 0})
    note = f"left out {2 * bad:,} of {2 * len(granule):,} soundings, not among those asked for"
    assert bad and note in result.notes, result.notes
    everything = map_files(files, task, out=tmp_path / "all")
    assert ("searched" in everything.manifest) == (task == "peaks")
    assert not any("not among those asked for" in each for each in everything.notes)


def test_a_run_tells_how_much_of_the_tracks_lies_too_near_a_gap(tmp_path):
    granule = simulate_granule(0, 200).soundings
    for name in ("a", "b"):
        granule[track_distance(granule) % 60 < 25].to_parquet(tmp_path / f"{name}.parquet")
    result = map_files([tmp_path / "a.parquet", tmp_path / "b.parquet"], "peaks", out=tmp_path / "out")
    covered, searched = (result.manifest[name].sum() for name in ("covered", "searched"))
    assert searched < 0.9 * covered
    assert any(each.startswith(f"plumes could be told at {searched:,} of {covered:,} km") for each in result.notes)
    granule.to_parquet(tmp_path / "whole.parquet")
    whole = map_files(tmp_path / "whole.parquet", "peaks", out=tmp_path / "whole")
    assert not any("plumes could be told" in each for each in whole.notes)


def test_the_published_search_tells_no_kilometres(tmp_path):
    simulate_granule(0, 60).soundings.to_parquet(tmp_path / "a.parquet")
    result = map_files(tmp_path / "a.parquet", "peaks", out=tmp_path / "out", parameters={"preset": "chevallier2020"})
    assert result.manifest["orbits"].tolist() == [1] and not {"searched", "covered"} & set(result.manifest)


def test_rows_without_a_verdict_are_told(tmp_path):
    simulate_granule(0, 20).soundings.iloc[:1].to_parquet(tmp_path / "one.parquet")
    result = map_files(tmp_path / "one.parquet", "isolate", out=tmp_path / "out")
    assert "1 row not judged, for the reason in the part" in result.notes
