"""`run isolate` says of a file what `isolate` says of it, row for row; with other scopes, of a pass or of all files."""

import json

import numpy as np
import pandas as pd
import pytest

from oco2_outliers.cli import main
from oco2_outliers.ground.errors import InputError
from oco2_outliers.isolation import company
from oco2_outliers.isolation.features import feature_matrix
from oco2_outliers.isolation.preparing import GLOBAL_COLUMNS, LOCAL_COLUMNS
from oco2_outliers.main_job import isolate
from oco2_outliers.page.sources import source_of
from oco2_outliers.runs import pooling, scaling
from oco2_outliers.scale import combine, map_files
from oco2_outliers.soundings import read_soundings, simulate_granule, to_parquet, write_lite

TOLD = ["score", "ratio", "isolated", "outlier", "reason", "change"]


def part_of(result, name):
    (line,) = (line for _, line in result.manifest.iterrows() if line["name"].endswith(name))
    return pd.read_parquet(f"{result.out.removeprefix('file://')}/{line['part']}")


def assert_same(part, alone):
    told = [*TOLD, *(["group"] if "group" in alone.table else [])]
    expected = alone.table[told].reset_index(drop=True)
    pd.testing.assert_frame_equal(part[told], expected, check_dtype=False, check_exact=True)
    assert (part["eps"] == alone.eps).all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files that are unlike: two passes, many rows, gaps, copies, numbers as text, a bad group, few rows."""
    place = tmp_path_factory.mktemp("unlike")
    first, second = simulate_granule(0, n_seconds=20)[0], simulate_granule(1, n_seconds=20, center=(-20, 30))[0]
    to_parquet(pd.concat([first, second], ignore_index=True), place / "granule.parquet")
    rng = np.random.default_rng(0)

    def table(n, k):
        return pd.DataFrame({"sounding_id": 2019060100000001 + 10_000_000_000 * k + 10 * np.arange(n),
                             "latitude": 40 + np.arange(n) / 100, "longitude": 5.0,
                             "xco2": rng.normal(400, 2, n), "psurf": rng.normal(980, 5, n)})

    gaps = table(200, 1).assign(flat=7.0, twin=lambda rows: 3 - 2 * rows["xco2"], site="paris",
                                half=np.arange(200) // 100)
    gaps.loc[::9, "psurf"] = -999999.0
    gaps.to_csv(place / "gaps.csv", index=False)
    bad = table(300, 2)
    bad.loc[100:108, "xco2"] = 380 + rng.normal(size=9)
    bad["psurf"] = bad["psurf"].map("{:.3f} ".format)
    bad.to_csv(place / "group.csv", index=False)
    table(30, 3).drop(columns=["latitude", "longitude"]).to_csv(place / "few.csv", index=False)
    table(2, 4).to_csv(place / "two.csv", index=False)
    to_parquet(table(10_500, 5), place / "large.parquet")  # compared with rows that are drawn
    return place


FILES = ("granule.parquet", "gaps.csv", "group.csv", "few.csv", "two.csv", "large.parquet")


@pytest.mark.parametrize("settings", [{}, {"preset": "original"}, {"scale": "standard", "random_state": 3},
                                      {"preset": "original", "scale": "robust"},
                                      {"features": ["xco2", "psurf"], "eps": 2.0, "min_samples": 7}], ids=str)
def test_every_row_of_a_part_is_that_of_isolate(folder, tmp_path, settings):
    result = map_files(folder, "isolate", out=tmp_path / "out", parameters=settings)
    assert not len(result.failures) and len(result.manifest) == len(FILES)
    for name in FILES:
        if name == "two.csv" and settings.get("min_samples", 5 if "preset" in settings else "auto") != "auto":
            assert part_of(result, name)["reason"].str.startswith("not judged: 2 rows in this file, fewer than").all()
            continue
        assert_same(part_of(result, name), isolate(folder / name, **settings))
    line = next(json.loads(one) for one in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()
                if "group.csv" in one)
    alone = isolate(folder / "group.csv", **settings)
    assert line["columns"] == alone.summary["columns"]
    assert line["counts"]["min_samples"] == alone.min_samples and line["counts"]["eps"] == alone.eps
    if not settings:
        assert alone.table["isolated"].iloc[100:109].all()  # a group of nine, which five rows would not find


def test_the_report_says_what_was_compared_and_what_could_not_be_called(folder, tmp_path, capsys):
    assert main(["run", "isolate", f"{folder}/*.csv", "--out", str(tmp_path / "out")]) == 0
    said = capsys.readouterr().out
    assert ("compared: the rows of each file with each other, in robust spreads of the file, as isolate does with one "
            "file; eps auto (") in said and "min_samples auto (2 to 15)" in said or "min_samples auto (1 to 15)" in said
    assert "eps is the largest radius in 2 files, such as " in said and "none is called isolated" in said
    assert main(["isolate", str(folder / "group.csv"), "--out", str(tmp_path / "one")]) == 0
    assert "compared: the rows of the file with each other, in robust spreads of the file" in capsys.readouterr().out


def test_each_pass_by_itself_is_isolate_on_the_pass(folder, tmp_path):
    result = map_files(folder / "granule.parquet", "isolate", out=tmp_path / "out", scope="orbit")
    part = part_of(result, "granule.parquet")
    for _, rows in part.groupby("orbit"):
        alone = isolate(rows.drop(columns=[*TOLD, "cluster", "eps", "group", "source"]))
        pd.testing.assert_frame_equal(rows[TOLD].reset_index(drop=True), alone.table[TOLD].reset_index(drop=True))
    assert part["orbit"].nunique() == 2 and part["eps"].nunique() == 2
    assert "the rows of each pass with each other, in robust spreads of the pass" in str(result)


def test_former_values_of_scale_are_understood_and_named_anew(folder, tmp_path, capsys):
    file = folder / "granule.parquet"
    for former, now in (("orbit", {"scope": "orbit"}), ("run", {"scope": "orbit", "scale_over": "run"})):
        by_name = map_files(file, "isolate", out=tmp_path / f"{former}_now", **now)
        old = map_files(file, "isolate", out=tmp_path / f"{former}_old", scale=former)
        assert old.manifest["part_sha256"].tolist() == by_name.manifest["part_sha256"].tolist()
        assert main(["run", "isolate", str(file), "--out", str(tmp_path / f"{former}_cli"), "--scale", former]) == 0
        said = capsys.readouterr().out
        assert said.count(f"--scale {former} is now called --scale-over {former}") == 1
    wrong = ["run", "isolate", str(file), "--out", str(tmp_path / "wrong")]
    for options, why in ((["--scale", "wide"], "scale must be auto, robust or standard, not 'wide'"),
                         (["--scale", "run", "--scale-over", "file"], "give scale_over alone"),
                         (["--scale-over", "pass"], "scale_over must be file, orbit or run"),
                         (["--scope", "run"], "scope must be file, orbit, all or reference"),
                         (["--min-samples", "0"], "min_samples must be"),
                         (["--min-samples", "few"], "or auto, not 'few'"),
                         (["--preset", "chevallier2020"], "preset must be 'original'")):
        assert main([*wrong, *options]) == 2
        line = capsys.readouterr().err
        assert why in line and line.count("\n") == 1
    assert not (tmp_path / "wrong").exists()


def test_a_folder_of_the_former_defaults_is_refused_in_a_clear_line(folder, tmp_path):
    out = tmp_path / "out"
    map_files(folder / "few.csv", "isolate", out=out)
    now = json.loads((out / "run.json").read_text())
    parameters = {k: v for k, v in now["parameters"].items() if k not in ("scale", "random_state")} | {"min_samples": 5}
    before = {k: v for k, v in now.items() if k != "scale_over"} | {"scope": "orbit", "scale": "run"}
    (out / "run.json").write_text(json.dumps(before | {"parameters": parameters}))
    with pytest.raises(Exception, match=r"other settings \(min_samples: '5' there, 'auto' asked\).*--no-resume"):
        map_files(folder / "few.csv", "isolate", out=out)
    assert map_files(folder / "few.csv", "isolate", out=out, resume=False).n_done == 1


@pytest.mark.parametrize(("most", "limit"), [(10_000, None), (1_000, None), (1_000, 150_000)])
def test_all_files_together_are_isolate_on_all_of_them(tmp_path, monkeypatch, most, limit):
    (tmp_path / "in").mkdir()
    for k in range(3):
        rows = simulate_granule(k, n_seconds=20, date=f"2019-07-0{k + 1}")[0]
        to_parquet(rows, tmp_path / "in" / f"{k}.parquet")
    for room in (company, pooling):
        monkeypatch.setattr(room, "EXACT_ROWS", most)
        monkeypatch.setattr(room, "DRAWN_ROWS", 400)
    result = map_files(tmp_path / "in", "isolate", out=tmp_path / "out", scope="all", memory_limit=limit)
    together = isolate(sorted((tmp_path / "in").iterdir()))
    got = pd.concat([part_of(result, f"{k}.parquet") for k in range(3)], ignore_index=True)
    np.testing.assert_allclose(got["score"], together.table["score"], rtol=1e-9)
    assert (got["isolated"] == together.table["isolated"].to_numpy()).all() and got["isolated"].any()
    assert (got["reason"] == together.table["reason"].to_numpy()).all() and (got["eps"] == together.eps).all()
    assert result.manifest["min_samples"].unique().tolist() == [together.min_samples]
    assert "the rows of all files with each other, in robust spreads of the run, as isolate does with several" in str(
        result)


@pytest.mark.heavy
def test_the_robust_scale_of_a_run_is_exact_however_many_columns_fit(folder, tmp_path, monkeypatch):
    files = [folder / name for name in ("gaps.csv", "group.csv", "two.csv")]
    features = {"features": ["xco2", "psurf"]}
    whole = feature_matrix(pd.concat([read_soundings(name) for name in files], ignore_index=True), ["xco2", "psurf"],
                           "drop", "robust")
    for at_once, jobs in ((500_000_000, 1), (1, 1), (1, 2)):  # in memory, asked here, asked in processes
        monkeypatch.setattr(scaling, "_AT_ONCE", at_once)
        result = map_files(files, "isolate", out=tmp_path / f"{at_once}-{jobs}", scale_over="run", jobs=jobs,
                           parameters=features)
        assert result.scaling["mean"] == whole.mean.tolist() and result.scaling["scale"] == whole.scale.tolist()
    assert "in robust spreads of the run; eps auto" in str(result)


def test_the_oddest_of_a_run_have_a_verdict_and_a_reason(folder, tmp_path):
    map_files(folder, "isolate", out=tmp_path / "out")
    made = combine(tmp_path / "out", top=400)
    assert made.top["ratio"].is_monotonic_decreasing and made.top["isolated"].is_monotonic_decreasing
    assert made.top["isolated"].any() and not made.top["isolated"].all()
    told = made.top["reason"].to_numpy(str)
    assert (told != "").all() and all(text.startswith("not isolated: score ") for text in told[~made.top["isolated"]])
    assert "a higher score may not be" in str(made)


TOLD_BOTH = [*TOLD, *LOCAL_COLUMNS, *GLOBAL_COLUMNS.values()]


@pytest.fixture(scope="module")
def passes(tmp_path_factory):
    """Lite granules and a table with a few odd soundings, and a file in which no row can be compared."""
    place = tmp_path_factory.mktemp("passes")
    for seed in (0, 1):
        write_lite(simulate_granule(seed, n_seconds=20)[0], place / f"pass_{seed}.nc4")
    late = simulate_granule(3, n_seconds=20)[0].assign(orbit=7)
    late.loc[::50, "psurf"] = np.nan
    late.loc[300, "xco2"] -= 15
    to_parquet(pd.concat([simulate_granule(2, n_seconds=20)[0].assign(orbit=6), late], ignore_index=True),
               place / "two.parquet")
    return place


@pytest.mark.parametrize("settings", [{}, {"eps": 5.0, "along": 40.0, "across": 5.0, "preset": "original",
                                           "features": ["psurf", "xco2"]}], ids=str)
def test_on_the_track_every_row_of_a_part_is_that_of_isolate(passes, tmp_path, settings):
    asked = settings | {"context": "track", "drop_missing": True}
    result = map_files(passes, "isolate", out=tmp_path / "out", parameters=asked)
    assert not len(result.failures) and "neighbours within " in str(result)
    for file in sorted(passes.iterdir()):
        alone = isolate(file, **asked)
        expected = alone.table[[*TOLD_BOTH, "group"]].reset_index(drop=True)
        part = part_of(result, file.name)
        pd.testing.assert_frame_equal(part[list(expected)], expected, check_dtype=False, check_exact=True)
        assert (part["eps"] == alone.eps).all() and (part["isolated"] == (part["score"] > alone.eps)).all()
        line = result.manifest[result.manifest["name"].str.endswith(file.name)].iloc[0]
        assert line["isolated"] == alone.table["isolated"].sum() and line["eps"] == alone.eps


def test_on_the_track_by_command_and_in_one_table(passes, tmp_path, capsys):
    out = tmp_path / "out"
    assert main(["run", "isolate", str(passes / "*.nc4"), "--context", "track", "--along", "30", "--across", "8",
                 "--out", str(out), "--combine"]) == 0
    said = capsys.readouterr().out
    assert "score, isolated and reason are those against the neighbours within 30 km along the track and 8 km" in said
    together = pd.read_parquet(out / "combined.parquet")
    alone = pd.concat([isolate(passes / f"pass_{seed}.nc4", context="track", along=30, across=8).table
                       for seed in (0, 1)], ignore_index=True)
    key = ["sounding_id"]
    pd.testing.assert_frame_equal(together.sort_values(key)[TOLD_BOTH].reset_index(drop=True),
                                  alone.sort_values(key)[TOLD_BOTH].reset_index(drop=True), check_dtype=False)
    page = source_of(out)
    assert page.compared.startswith("each sounding with those of its pass around it") and page.min_samples is None


def test_on_the_track_by_pass_on_one_scale_and_where_nothing_is_compared(passes, tmp_path):
    for seed, (scope, over) in enumerate((("orbit", None), ("file", "run"))):
        usual, track = (map_files(passes / "two.parquet", "isolate", out=tmp_path / f"{seed}{context}", scope=scope,
                                  scale_over=over, parameters={"context": context, "drop_missing": True})
                        for context in ("all", "track"))
        usual, track = part_of(usual, "two.parquet"), part_of(track, "two.parquet")
        for name, beside in GLOBAL_COLUMNS.items():
            assert track[beside].equals(usual[name].rename(beside))
        assert track["isolated"].sum() and not track["isolated"].equals(usual["isolated"])
    pd.DataFrame({"latitude": [1.0, 2], "longitude": 5.0, "xco2": 400.0, "time": "2020-01-01"}).to_csv(
        tmp_path / "flat.csv", index=False)
    pd.DataFrame({"xco2": np.arange(60.0), "psurf": np.arange(60.0) ** 2}).to_csv(tmp_path / "bare.csv", index=False)
    result = map_files([tmp_path / "flat.csv", tmp_path / "bare.csv"], "isolate", out=tmp_path / "out",
                       parameters={"context": "track"})
    assert result.failures["error"].str.contains("context='track' needs latitude and longitude").tolist() == [True]
    part = part_of(result, "flat.csv")
    assert set(TOLD_BOTH) <= set(part) and part["global_reason"].str.startswith("not judged: ").all()
    with pytest.raises(InputError, match="leave one of them out"):
        map_files(passes, "isolate", out=tmp_path / "all", scope="all", parameters={"context": "track"})
    with pytest.raises(InputError, match="context must be 'all' or 'track', not 'orbit'"):
        map_files(passes, "isolate", out=tmp_path / "all", parameters={"context": "orbit"})
