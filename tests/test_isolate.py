"""The main job on real and generated input, as a user runs it."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import DBSCAN
from sklearn.preprocessing import StandardScaler

from oco2_outliers.cli import main
from oco2_outliers.isolate import IsolationResult, isolate
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
    assert main(["isolate", str(tmp_path / "peaks.csv"), "--eps", "1", "--min-samples", "5",
                 "--features", ",".join(features), "--out", str(tmp_path / "out")]) == 0
    expected = DBSCAN(eps=1, min_samples=5).fit(StandardScaler().fit_transform(table[features])).labels_ == -1
    scores = pd.read_parquet(tmp_path / "out" / "scores.parquet")
    assert (scores["isolated"].to_numpy() == expected).all()
    assert 0 < expected.sum() < len(table)
    isolated = pd.read_csv(tmp_path / "out" / "isolated.csv")
    assert set(isolated["sounding_id"]) == set(table.loc[expected, "sounding_id"])


@pytest.mark.parametrize("features, column, n", [(ALL_NINE, "y_class_dbscan", 775),
                                                 (GAUSSIAN, "y_class_dbscan_only_gaussian_param", 136)])
def test_published_labels_row_for_row(shared_data, tmp_path, features, column, n):
    peaks = shared_data / "peaks" / "peaks_201808_labelled.csv"
    assert main(["isolate", str(peaks), "--eps", "1", "--min-samples", "5", "--features", ",".join(features),
                 "--out", str(tmp_path)]) == 0
    scores = pd.read_parquet(tmp_path / "scores.parquet")
    assert (scores["isolated"] == (scores[column] == -1)).all() and scores["isolated"].sum() == n


def test_real_lite_files(shared_data, tmp_path):
    files = sorted((shared_data / "soundings" / "lite_v10r_ohio").glob("*.nc4"), key=lambda f: f.stat().st_size)[-5:]
    result = isolate(files, tmp_path / "out")
    assert result.matrix.features == ["xco2", "xco2_apriori", "xco2_uncertainty"]
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
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(IsolationResult.FILES)
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


def test_the_same_run_writes_the_same_bytes(granule, tmp_path):
    granule.to_csv(tmp_path / "g.csv", index=False)
    for out in ("a", "b"):
        isolate(tmp_path / "g.csv", tmp_path / out, eps=2)
    for name in IsolationResult.FILES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name


BAD = {
    "missing file": (None, [], "no such file"),
    "empty file": (b"", [], "is empty"),
    "header only": (b"sounding_id,xco2\n", [], "no rows"),
    "no numeric column": (b"name,colour\na,red\nb,blue\n", [], "no numeric feature"),
    "only identifiers": (b"sounding_id,latitude\n1,2.0\n2,3.0\n", [], "no numeric feature"),
    "all rows fill": (b"xco2,albedo\n" + b"-999999,0.5\n" * 9, [], "xco2 is a fill or missing"),
    "all rows fill, no xco2": (b"pressure,albedo\n" + b"-999999,-999999\n" * 9, [], "no complete row"),
    "too few rows": (b"xco2\n400\n401\n", [], "fewer than min_samples"),
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


def test_help_starts_fast_enough_to_be_read():
    """--help must not import the scientific stack."""
    code = ("import sys; from oco2_outliers.cli import main; main(['--help']);"
            "print([m for m in ('pandas', 'sklearn', 'cv2', 'matplotlib') if m in sys.modules])")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip().endswith("[]"), done.stdout + done.stderr


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
