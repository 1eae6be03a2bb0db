"""One table of all parts: ranks, months, doubles, ids that stay whole."""

import csv
import io

import numpy as np
import pandas as pd
import pytest
from many_files import awkward_days, everything, lines_of, pooled, small_table

from oco2_outliers.datasets import InputError
from oco2_outliers.runs import combining
from oco2_outliers.runs.folder import csv_bytes
from oco2_outliers.scale import combine, map_files
from oco2_outliers.soundings import read_soundings, to_parquet


def test_cells_of_the_lists_are_harmless():
    rows = list(csv.reader(io.StringIO(csv_bytes(["a"], [("=1+1",), ("@x",), ("-2",), ("a\nb\r\tc",), (-1.5,)])
                                       .decode())))
    assert rows == [["a"], ["'=1+1"], ["'@x"], ["'-2"], ["a b  c"], ["-1.5"]]


def test_combine_counts_ranks_and_finds_what_is_there_twice(own_days, tmp_path, monkeypatch):
    twin = read_soundings(own_days / "day_002.parquet").head(7)
    to_parquet(twin, own_days / "twin.parquet")
    map_files(own_days, "isolate", out=tmp_path / "out")
    for bucket in (5_000_000, 500):
        monkeypatch.setattr(combining, "_BUCKET", bucket)
        made = combine(tmp_path / "out", top=5)
        table = pd.read_parquet(tmp_path / "out" / "combined.parquet")
        pd.testing.assert_frame_equal(table, everything(tmp_path / "out"))
        month = table["time"].dt.strftime("%Y-%m")
        assert made.monthly["month"].tolist() == ["2019-06", "2019-07"]
        assert made.monthly["rows"].tolist() == month.value_counts().sort_index().tolist()
        assert made.monthly["outliers"].tolist() == table.groupby(month)["outlier"].sum().tolist()
        np.testing.assert_allclose(made.monthly["mean_score"], table.groupby(month)["score"].mean(), rtol=1e-12)
        assert made.top["ratio"].tolist() == table["ratio"].nlargest(5).tolist() and made.top["reason"].all()
        assert made.n_duplicates == 7 and (made.duplicates["n"] == 2).all()
        assert made.duplicates["sounding_id"].tolist() == sorted(twin["sounding_id"])
        assert "day_002" in made.duplicates["sources"][0] and "twin" in made.duplicates["sources"][0]
    listed = pd.read_csv(tmp_path / "out" / "duplicates.csv")
    assert listed["sounding_id"].tolist() == sorted(twin["sounding_id"])


def test_combine_ranks_by_the_ratio_and_gives_each_row_a_reason(tmp_path):
    for seed, noise in ((1, 1.0), (2, 6.0)):
        rng = np.random.default_rng(seed)
        xco2 = np.r_[400 + noise * rng.standard_t(4, 400), 460.0]
        pd.DataFrame({"sounding_id": 2019071518300001 + 10**9 * seed + 10 * np.arange(401), "xco2": xco2}).to_csv(
            tmp_path / f"{seed}.csv", index=False)
    map_files(f"{tmp_path}/*.csv", "isolate", out=tmp_path / "out", parameters={"eps": "auto"}, progress=False)
    made = combine(tmp_path / "out", top=40, progress=False)
    table = pd.read_parquet(made.path)
    assert table["eps"].nunique() == 2 and ((table["ratio"] > 1) == table["isolated"]).all()
    assert made.top["ratio"].tolist() == table["ratio"].nlargest(40).tolist()
    assert (made.top["reason"] != "").all() and not made.top["isolated"].all() and made.top["isolated"].any()
    assert made.top["isolated"].is_monotonic_decreasing  # no row that is not isolated stands above one that is
    listed = pd.read_csv(tmp_path / "out" / "top.csv")
    assert listed["reason"].notna().all() and {"isolated", "ratio", "eps"} <= set(listed)
    assert "a higher score may not be" in str(made) and " isolated " in str(made)
    assert (table.loc[~table["isolated"], "reason"] == "").all()  # the table itself says what it always said


def test_combine_brings_unlike_parts_together(tmp_path):
    awkward_days(tmp_path / "in")
    map_files(tmp_path / "in", "convert", out=tmp_path / "out")
    assert combine(tmp_path / "out").rows == len(pooled(tmp_path / "in"))
    table = pd.read_parquet(tmp_path / "out" / "combined.parquet")
    assert table["extra"].notna().sum() == pooled(tmp_path / "in")["extra"].notna().sum()
    assert table["sounding_id"].dtype == np.int64


def test_ids_with_gaps_stay_whole(tmp_path):
    pd.DataFrame({"sounding_id": [2019071518322673, 2019071518322674], "score": [1.0, 3.0]}).to_csv(
        tmp_path / "a.csv", index=False)
    pd.DataFrame({"score": [2.0]}).to_csv(tmp_path / "b.csv", index=False)
    map_files(tmp_path, "convert", out=tmp_path / "out")
    made = combine(tmp_path / "out")
    assert made.top["sounding_id"].tolist() == [2019071518322674, pd.NA, 2019071518322673]
    assert "2019071518322674" in (tmp_path / "out" / "top.csv").read_text()
    assert made.monthly["month"].tolist() == ["2019-07", "unknown"]


def test_ids_with_gaps_are_read_back_as_whole_numbers(tmp_path):
    table = small_table()
    table.to_csv(tmp_path / "a.csv", index=False)
    table.drop(columns="sounding_id").to_csv(tmp_path / "b.csv", index=False)
    map_files(tmp_path, "isolate", out=tmp_path / "out")
    combine(tmp_path / "out")
    path = tmp_path / "out" / "combined.parquet"
    back = pd.read_parquet(path)["sounding_id"]
    assert back.dtype == "Int64" and back.tolist() == table["sounding_id"].tolist() + [pd.NA] * 60


def test_months_are_told_by_the_id_where_there_is_no_time(tmp_path):
    ids = [2019071518322673, 2019081518322674]
    pd.DataFrame({"sounding_id": ids, "time": ["2019-07-15T18:32:26Z", None], "score": 1.0}).to_csv(
        tmp_path / "with_time.csv", index=False)
    pd.DataFrame({"sounding_id": [2019091518322673, 17], "score": 1.0}).to_csv(tmp_path / "without.csv", index=False)
    map_files(tmp_path, "convert", out=tmp_path / "out")
    monthly = combine(tmp_path / "out").monthly
    assert monthly["month"].tolist() == ["2019-07", "2019-08", "2019-09", "unknown"]
    assert monthly["rows"].tolist() == [1, 1, 1, 1]


def test_q_values_of_peaks_are_those_of_the_whole_run(days, tmp_path):
    map_files(days, "peaks", out=tmp_path / "out", parameters={"n_surrogates": 39, "alpha": 0.5})
    family = np.sort([p for line in lines_of(tmp_path / "out") for p in line["counts"]["p_values"]])
    assert len(family)
    combine(tmp_path / "out")
    table = pd.read_parquet(tmp_path / "out" / "combined.parquet")
    for row in table.itertuples():
        k = np.flatnonzero(family >= row.p_value)
        q = min([len(family) * family[i] / (i + 1) for i in k] + [1.0])
        assert row.q_value <= q + 1e-12 and row.outlier == (row.q_value <= 0.5)


def test_nothing_to_combine(days, tmp_path):
    with pytest.raises(InputError, match="holds no run"):
        combine(tmp_path)
    (tmp_path / "x.csv").write_text("")
    assert map_files(tmp_path / "x.csv", "convert", out=tmp_path / "out").exit_code == 1
    with pytest.raises(InputError, match="nothing is done yet"):
        combine(tmp_path / "out")
