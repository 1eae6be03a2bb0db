"""The main job on real and generated input, as a user runs it."""

import json
import os
import re
import subprocess
import sys
import tempfile

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import DBSCAN
from sklearn.preprocessing import StandardScaler

from oco2_outliers.cli import main
from oco2_outliers.datasets import InputError
from oco2_outliers.isolation.company import AUTO
from oco2_outliers.isolation.paths import forced_path
from oco2_outliers.main_job import IsolationResult, isolate
from oco2_outliers.page.report_page import report
from oco2_outliers.scale import map_files
from oco2_outliers.soundings import simulate_granule, write_lite

GAUSSIAN = ["slope", "intercept", "amplitude", "sigma", "delta", "R"]
ALL_NINE = ["latitude", "longitude", *GAUSSIAN, "surf_pres"]


def peaks_like(n=400, seed=0):
    """A generated table with the columns of the published peaks."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(rng.standard_t(3, (n, 9)), columns=ALL_NINE)
    table.insert(0, "sounding_id", 2018080101035604 + np.arange(n))
    return table


def run(arguments, cwd):
    return subprocess.run([sys.executable, "-m", "oco2_outliers", *map(str, arguments)], cwd=cwd, capture_output=True,
                          text=True, timeout=300)


@pytest.mark.parametrize("features", [ALL_NINE, GAUSSIAN])
def test_labels_are_those_of_standard_scaler_and_dbscan(features, tmp_path):
    table = peaks_like()
    table.to_csv(tmp_path / "peaks.csv", index=False)
    assert main(["isolate", str(tmp_path / "peaks.csv"), "--eps", "1", "--preset", "original",
                 "--features", ",".join(features), "--out", str(tmp_path / "out")]) == 0
    expected = DBSCAN(eps=1, min_samples=5).fit(StandardScaler().fit_transform(table[features])).labels_ == -1
    scores = pd.read_parquet(tmp_path / "out" / "scores.parquet")
    assert (scores["isolated"].to_numpy() == expected).all()
    assert 0 < expected.sum() < len(table)
    isolated = pd.read_csv(tmp_path / "out" / "isolated.csv")
    assert set(isolated["sounding_id"]) == set(table.loc[expected, "sounding_id"])


@pytest.mark.parametrize("features, column, n", [
    pytest.param(ALL_NINE, "y_class_dbscan", 775, marks=pytest.mark.slow),  # test_dbscan asks for them of every path
    (GAUSSIAN, "y_class_dbscan_only_gaussian_param", 136)])
def test_published_labels_row_for_row(shared_data, tmp_path, features, column, n):
    peaks = shared_data / "peaks" / "peaks_201808_labelled.csv"
    assert main(["isolate", str(peaks), "--eps", "1", "--preset", "original", "--features", ",".join(features),
                 "--out", str(tmp_path)]) == 0
    scores = pd.read_parquet(tmp_path / "scores.parquet")
    assert (scores["isolated"] == (scores[column] == -1)).all() and scores["isolated"].sum() == n


def test_real_lite_files(shared_data, tmp_path):
    files = sorted((shared_data / "soundings" / "lite_v10r_ohio").glob("*.nc4"), key=lambda f: f.stat().st_size)[-5:]
    result = isolate(files, tmp_path / "out")
    assert result.matrix.features == ["xco2", "xco2_uncertainty"]
    assert "no measurement, not compared: xco2_apriori" in str(result)
    assert result.table["source"].nunique() == 5
    assert result.table["sounding_id"].dtype.kind in "iu" and result.table["sounding_id"].is_unique
    assert [each["name"] for each in result.summary["inputs"]] == [str(f) for f in files]


@pytest.fixture(scope="module")
def granule():
    return simulate_granule(random_state=3, n_seconds=60)[0]


@pytest.mark.parametrize("suffix", [".nc4", ".csv", ";.csv", ".csv.gz", ".csv.bz2", ".csv.xz", ".json", ".parquet"])
def test_every_input_kind_gives_the_same_answer(granule, suffix, tmp_path):
    path = tmp_path / ("granule" + suffix.lstrip(";"))
    if suffix == ".nc4":
        write_lite(granule, path)
    elif suffix == ".json":
        granule.to_json(path, orient="records", double_precision=15, date_format="iso")
    elif suffix == ".parquet":
        granule.to_parquet(path)
    else:
        granule.to_csv(path, index=False, sep=";" if suffix.startswith(";") else ",")
    columns = ["xco2", "albedo_o2a", "psurf"]
    result = isolate(path, eps=0.6, features=columns)
    expected = isolate(granule, eps=0.6, features=columns)
    assert 0 < expected.table["isolated"].sum() < len(granule)
    assert (result.table["isolated"].to_numpy() == expected.table["isolated"].to_numpy()).all()
    assert (result.table["sounding_id"].to_numpy() == granule["sounding_id"].to_numpy()).all()


def test_outputs_hold_what_the_docs_say(granule, tmp_path):
    write_lite(granule, tmp_path / "g.nc4")
    done = run(["isolate", "g.nc4", "--out", "out", "--eps", "2,3,4"], tmp_path)
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted([*IsolationResult.FILES, "run.yaml"])
    scores = pd.read_parquet(tmp_path / "out" / "scores.parquet")
    assert len(scores) == len(granule) and {"score", "isolated", "outlier", "reason", "source"} <= set(scores)
    assert (scores["reason"].str.len() > 0).equals(scores["isolated"])
    isolated = pd.read_csv(tmp_path / "out" / "isolated.csv")
    assert {*granule.columns, "score", "reason"} <= set(isolated)
    assert isolated["score"].is_monotonic_decreasing and len(isolated) == scores["isolated"].sum()
    table = pd.read_csv(tmp_path / "out" / "sweep.csv")
    assert {"eps", "min_samples", "n_clusters", "n_isolated", "silhouette"} <= set(table)
    assert all((scores["score"] > row.eps).sum() == row.n_isolated for row in table.itertuples())
    summary = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))
    assert summary["counts"]["isolated"] == len(isolated) and len(summary["inputs"][0]["sha256"]) == 64
    assert summary["parameters"]["eps"] in (2, 3, 4)
    for figure in ("isolated_along_track.png", "sweep.png"):
        assert (tmp_path / "out" / figure).read_bytes().startswith(b"\x89PNG")


@pytest.mark.figures
def test_the_same_run_writes_the_same_bytes(granule, tmp_path):
    granule.to_csv(tmp_path / "g.csv", index=False)
    for out in ("a", "b"):
        isolate(tmp_path / "g.csv", tmp_path / out, eps=2)
    for name in IsolationResult.FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


def test_without_figures_nothing_slow_is_loaded_and_earlier_figures_go(granule, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_lite(granule, tmp_path / "g.nc4")
    isolate("g.nc4", "out", eps=4)
    before = {name: (tmp_path / "out" / name).read_bytes() for name in IsolationResult.FILES}
    code = ("import sys; from oco2_outliers.cli import main\n"
            "code = main(['isolate', 'g.nc4', '--out', 'out', '--eps', '4', '--no-figures'])\n"
            "slow = {'sklearn', 'scipy', 'numba', 'matplotlib'} & set(sys.modules)\n"
            "assert code == 0 and not slow, slow")
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = done.stdout.splitlines()[-2]
    assert "png" not in told and "scores.parquet" in told
    left = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert left == sorted({*IsolationResult.FILES, "run.yaml"} - {*IsolationResult.FIGURES})
    for name in ("isolated.csv", "scores.parquet", "groups.csv"):
        assert (tmp_path / "out" / name).read_bytes() == before[name], name
    saved = isolate(tmp_path / "g.nc4", eps=4).save(tmp_path / "again", figures=False)
    assert sorted(saved) == sorted((tmp_path / "again").iterdir())


@pytest.mark.parametrize("n", [2_500, *(pytest.param(n, marks=pytest.mark.heavy) for n in (300, 3_900))])
def test_a_small_table_is_judged_the_same_with_and_without_the_compiler(n):
    rng = np.random.default_rng(n)
    table = pd.DataFrame(rng.standard_t(3, (n, 5)), columns=list("abcde"))
    table["latitude"], table["longitude"] = np.linspace(40, 43, n), np.linspace(-80, -81, n)
    table["time"] = pd.Timestamp("2020-01-01") + pd.to_timedelta(np.arange(n) // 8 * 300, "ms")
    table["xco2"] = 400 + table["a"]
    code = ("import sys, pandas as pd; from oco2_outliers.main_job import isolate\n"
            "found = isolate(pd.read_pickle(sys.argv[1]))\n"
            "assert 'numba' not in sys.modules\n"
            "found.table.to_pickle(sys.argv[2])")
    with tempfile.TemporaryDirectory() as folder:
        given, made = f"{folder}/in.pkl", f"{folder}/out.pkl"
        table.to_pickle(given)
        done = subprocess.run([sys.executable, "-c", code, given, made], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        cold = pd.read_pickle(made)
    with forced_path("serial"):
        import numba  # noqa: F401  from here on windows slide

        warm = isolate(table).table
    pd.testing.assert_frame_equal(cold, warm, check_exact=True)
    assert cold["isolated"].any() and cold["group"].max() > 1 and cold["local_score"].notna().any()


BAD = {
    "missing file": (None, [], "no such file"),
    "empty file": (b"", [], "is empty"),
    "header only": (b"sounding_id,xco2\n", [], "no rows"),
    "no numeric column": (b"name,colour\na,red\nb,blue\n", [], "no numeric feature"),
    "only identifiers": (b"sounding_id,latitude\n1,2.0\n2,3.0\n", [], "no numeric feature"),
    "all rows fill": (b"xco2,albedo\n" + b"-999999,0.5\n" * 9, [], "xco2 is a fill or missing"),
    "all rows fill, no xco2": (b"pressure,albedo\n" + b"-999999,-999999\n" * 9, [], "no complete row"),
    "too few rows": (b"xco2\n400\n401\n", ["--min-samples", "5"], "fewer than min_samples"),
    "nan": (b"xco2,albedo\n" + b"400,0.5\n401,0.4\n" * 9 + b",0.3\n", [], "column 'xco2' holds 1 missing"),
    "infinite": (b"xco2\n" + b"400\n401\n" * 9 + b"inf\n", [], "column 'xco2' holds 1 infinite"),
    "all constant": (b"xco2\n" + b"400\n" * 9, [], "constant"),
    "bad eps": (b"xco2\n" + b"400\n401\n" * 9, ["--eps", "0.5;0.6"], "bad eps list"),
    "negative eps": (b"xco2\n" + b"400\n401\n" * 9, ["--eps=-1"], "bad eps list"),
    "unknown feature": (b"xco2\n" + b"400\n401\n" * 9, ["--features", "nox"], "no column 'nox'"),
    "text feature": (b"xco2,name\n" + b"400,a\n401,b\n" * 9, ["--features", "name"], "not a numeric column"),
    "ragged csv": (b"a,b\n1,2\n1,2,3\n" * 3, [], "cannot be read"),
    "bytes": (bytes(range(256)) * 8, [], ""),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_exit_2_and_nothing_written(case, tmp_path, capfd):
    content, options, words = BAD[case]
    if content is not None:
        (tmp_path / "in.csv").write_bytes(content)
    before = {p.name for p in tmp_path.iterdir()}
    code = main(["isolate", str(tmp_path / "in.csv"), "--out", str(tmp_path / "deep" / "out"), *options])
    error = capfd.readouterr().err
    assert code == 2 and words in error and error.count("\n") == 1, error
    assert {p.name for p in tmp_path.iterdir()} == before


@pytest.mark.parametrize("broken", ["cut", "text", "nothing"])
def test_unreadable_granule(granule, broken, tmp_path, capfd):
    path = tmp_path / "bad.nc4"
    write_lite(granule, path)
    whole = path.read_bytes()
    path.write_bytes({"cut": whole[: len(whole) // 2], "text": b"sounding_id\n1\n", "nothing": b""}[broken])
    assert main(["isolate", str(path), "--out", str(tmp_path / "out")]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1 and "bad.nc4" in error and not (tmp_path / "out").exists()


@pytest.mark.parametrize("out", ["file", "file/below"])
def test_output_that_cannot_be_written(granule, out, tmp_path, capfd):
    (tmp_path / "file").write_text("not a folder")
    granule.to_csv(tmp_path / "g.csv", index=False)
    assert main(["isolate", str(tmp_path / "g.csv"), "--out", str(tmp_path / out)]) == 2
    error = capfd.readouterr().err
    assert "cannot write into" in error and error.count("\n") == 1
    assert (tmp_path / "file").read_text() == "not a folder"


def test_a_failed_run_leaves_an_earlier_result_alone(granule, tmp_path):
    granule.to_csv(tmp_path / "g.csv", index=False)
    isolate(tmp_path / "g.csv", tmp_path / "out", eps=2)
    before = {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()}
    (tmp_path / "bad.csv").write_text("xco2\n1\n")
    assert main(["isolate", str(tmp_path / "bad.csv"), "--out", str(tmp_path / "out")]) == 2
    assert {p.name: p.read_bytes() for p in (tmp_path / "out").iterdir()} == before


def test_fills_of_a_granule_are_dropped_and_counted_a_nan_is_refused(granule, tmp_path, capfd):
    """The file says which values are none; a NaN that it does not declare is somebody's mistake."""
    import h5py

    filled = granule.assign(xco2=granule["xco2"].mask(granule.index < 4))
    write_lite(filled, tmp_path / "g.nc4")
    result = isolate(tmp_path / "g.nc4", eps=3)
    assert result.summary["counts"]["dropped"] == 4 and result.summary["counts"]["fill_values"] == {"xco2": 4}
    assert "dropped 4 rows" in str(result)
    with h5py.File(tmp_path / "g.nc4", "r+") as file:
        file["xco2"][7] = np.nan
    assert main(["isolate", str(tmp_path / "g.nc4"), "--out", str(tmp_path / "out")]) == 2
    assert "column 'xco2' holds 1 missing" in capfd.readouterr().err
    assert isolate(tmp_path / "g.nc4", eps=3, drop_missing=True).summary["counts"]["dropped"] == 5


# What a trial found

def few(n=300):
    rng = np.random.default_rng(0)
    ids = 2019071518300001 + 10 * np.arange(n)
    return pd.DataFrame({"sounding_id": ids, "latitude": np.linspace(30, 34, n), "longitude": -80.0,
                         "xco2": 410 + rng.normal(size=n), "psurf": 990 + rng.normal(size=n)})


def test_labels_of_the_index_may_repeat_and_come_back():
    table = few()
    table.loc[7, "xco2"] = 430.0
    twice = pd.concat([table[:150], table[150:].reset_index(drop=True)])
    result = isolate(twice)
    assert len(result.table) == len(twice) and result.table.index.equals(twice.index)
    assert len(result.isolated) == result.summary["counts"]["isolated"]
    plain = isolate(table)
    np.testing.assert_array_equal(result.table["score"], plain.table["score"])
    assert result.matrix.X.index.equals(twice.index)


@pytest.mark.parametrize("bad", ["n/a?", "400,9", "410.2 ppm"])
def test_one_cell_of_text_does_not_take_the_column_out_of_the_search(tmp_path, bad):
    table = few().astype({"psurf": object, "xco2": object})
    for column in ("xco2", "psurf"):
        spoilt = table.copy()
        spoilt.loc[17, column] = bad
        spoilt.to_csv(tmp_path / "spoilt.csv", index=False)
        with pytest.raises(InputError, match=f"'{column}' holds text: '{re.escape(bad)}' in row 17"):
            isolate(tmp_path / "spoilt.csv")
        with pytest.raises(InputError, match=f"'{column}' holds text"):
            isolate(tmp_path / "spoilt.csv", features=[column])
    assert "xco2" in isolate(few().astype({"xco2": str})).matrix.features
    with pytest.raises(InputError, match="'xco2' holds bool and not numbers"):
        isolate(few().assign(xco2=few()["xco2"] > 410))


def test_names_and_remarks_are_no_numbers_gone_wrong():
    table = few().assign(remark="clear", station=[f"{i:03}" for i in range(300)])
    assert set(isolate(table).matrix.features) == {"xco2", "psurf"}


def test_what_a_run_over_many_files_added_is_replaced_too():
    table = few()
    result = isolate(table).table.assign(cluster=3, eps=0.5)
    again = isolate(result)
    assert set(again.matrix.features) == {"xco2", "psurf"}
    np.testing.assert_array_equal(again.table["score"], result["score"])
    with pytest.raises(InputError, match="'score'"):
        isolate(table.assign(score=1.0))


def test_the_isolated_rows_it_writes_can_be_read_again(tmp_path):
    isolate(few(), eps=0.3, out=tmp_path)
    written = pd.read_csv(tmp_path / "isolated.csv")
    assert written["outlier"].all()
    assert set(isolate(tmp_path / "isolated.csv").matrix.features) == {"xco2", "psurf"}


def test_no_text_of_the_list_for_people_is_run_by_a_spreadsheet(tmp_path):
    table = few().assign(**{"=site": "plain", "-n": -5})
    table.loc[:, "=site"] = [f"{'=+-@'[k % 4]}cmd()" for k in range(len(table))]
    result = isolate(table, tmp_path, eps=0.3, features=["xco2", "psurf"])
    listed = pd.read_csv(tmp_path / "isolated.csv")
    assert len(listed) and listed["'=site"].tolist() == ["'" + text for text in result.isolated["=site"]]
    assert (listed["'-n"] == -5).all() and listed["xco2"].tolist() == result.isolated["xco2"].tolist()
    kept = pd.read_parquet(tmp_path / "scores.parquet")
    assert kept["=site"].tolist() == table["=site"].tolist() and "-n" in kept


@pytest.mark.parametrize("dtype", ["int64", "uint64"])
def test_ids_in_the_index_are_kept(tmp_path, dtype):
    table = few().astype({"sounding_id": dtype}).set_index("sounding_id")
    result = isolate(table, out=tmp_path)
    assert (result.table["sounding_id"] == table.index).all() and result.table.index.equals(table.index)
    assert pd.read_parquet(tmp_path / "scores.parquet")["sounding_id"].tolist() == table.index.tolist()


def test_ids_of_pooled_inputs_stay_whole_numbers():
    first, second = few(), few().astype({"sounding_id": "uint64"})
    assert isolate([first, second]).table["sounding_id"].dtype == np.int64
    with pytest.raises(InputError, match="some inputs have a sounding_id and some have none"):
        isolate([first, second.drop(columns="sounding_id")])
    with pytest.raises(InputError, match="2\\*\\*63"):
        isolate([first, second.assign(sounding_id=np.uint64(2**63 + 1))])
    as_text = isolate(first.astype({"sounding_id": str})).table["sounding_id"]
    assert as_text.dtype == np.int64 and as_text.tolist() == first["sounding_id"].tolist()


def test_input_of_another_kind_gets_one_clear_line():
    table = few()
    for bad, words in ((table.to_numpy(), "cannot read a ndarray"), (table.iloc[:0], "no rows"),
                       (table.assign(took=pd.Timedelta(1, "s")).rename(columns={"psurf": 3}), "some are not"),
                       (table.assign(xco2=table["xco2"].where(table.index != 5, 1e308)), "too large")):
        with pytest.raises(InputError, match=words):
            isolate(bad)
    with pytest.raises(InputError, match="bad eps None"):
        isolate(table, eps=None)
    assert "took" not in isolate(table.assign(took=pd.to_timedelta(np.arange(300), "s"))).matrix.features


def test_a_folder_in_the_way_of_a_file_leaves_the_earlier_result_alone(tmp_path):
    (tmp_path / "summary.json").mkdir()
    (tmp_path / "isolated.csv").write_text("earlier")
    with pytest.raises(InputError, match=r"summary.json: a folder of that name"):
        isolate(few(), out=tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["isolated.csv", "summary.json"]
    assert (tmp_path / "isolated.csv").read_text() == "earlier"


def test_printing_eps_in_three_digits_isolates_nothing_more():
    table = pd.DataFrame({"xco2": np.arange(101.0) / 3})
    assert len(isolate(table, min_samples=2).isolated) == 0


def test_rows_that_are_compared_with_drawn_ones_are_told(tmp_path):
    """Above 10,000 rows "auto" compares with 2,000: neither the line nor the report may say "all others"."""
    rng = np.random.default_rng(0)
    large = pd.DataFrame(rng.normal(size=(10_001, 2)), columns=["a", "b"])
    drawn = isolate(large, out=tmp_path / "drawn", figures=False)
    said = "so each was compared with 2,000 that were drawn, and min_samples 100 counts among these"
    assert any(said in note for note in drawn.notes) and "with some that were drawn, in" in str(drawn)
    report(tmp_path / "drawn", tmp_path / "report.html")
    assert said in (tmp_path / "report.html").read_text("utf-8")
    for exact in (isolate(large, min_samples=5), isolate(large.iloc[:10_000])):
        assert not any("drawn" in note for note in exact.notes) and "with each other, in" in str(exact)
    for name in ("one", "two"):
        large.to_parquet(tmp_path / f"{name}.parquet")
    files = [tmp_path / "one.parquet", tmp_path / "two.parquet"]
    for asked, many in ((AUTO, True), (5, False)):
        run = map_files(files, "isolate", out=tmp_path / str(asked), parameters={"min_samples": asked})
        assert any("each is compared with 2,000 of them that are drawn" in note for note in run.notes) == many


@pytest.mark.parametrize("options, expected", [([], (5, "standard")), (["--scale", "robust"], (5, "robust")),
                                               (["--min-samples", "9"], (9, "standard"))])
def test_what_is_asked_for_beside_a_preset_holds(options, expected, tmp_path):
    table = tmp_path / "table.csv"
    peaks_like().to_csv(table, index=False)
    assert main(["isolate", str(table), "--preset", "original", *options, "--out", str(tmp_path / "out")]) == 0
    told = json.loads((tmp_path / "out" / "summary.json").read_text())["parameters"]
    assert (told["min_samples"], told["scale"]) == expected
    assert main(["isolate", str(table), "--config", str(tmp_path / "out" / "run.yaml"),
                 "--out", str(tmp_path / "again")]) == 0
    assert json.loads((tmp_path / "again" / "summary.json").read_text())["parameters"] == told
