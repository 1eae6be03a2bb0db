"""Groups of isolated soundings against a slow twin, the ratio of score and eps, and both in results and reports."""

import numpy as np
import pandas as pd
import pytest

from oco2_outliers.cli import main
from oco2_outliers.datasets import InputError
from oco2_outliers.isolation import grouping
from oco2_outliers.isolation.results import ratio_of
from oco2_outliers.main_job import IsolationResult, group_isolated, isolate
from oco2_outliers.soundings import simulate_granule
from oco2_outliers.soundings.sphere import sphere_distance


def naive_groups(latitude, longitude, passes, isolated, km):
    """Walk from row to row over all pairs."""
    rows, number, found = np.flatnonzero(isolated), np.zeros(len(isolated), int), 0
    for start in rows:
        if number[start]:
            continue
        found += 1
        number[start], waiting = found, [start]
        while waiting:
            one = waiting.pop()
            near = (sphere_distance(latitude[one], longitude[one], latitude[rows], longitude[rows]) <= km)
            for other in rows[near & (passes[rows] == passes[one]) & (number[rows] == 0)]:
                number[other] = found
                waiting.append(other)
    return number


def same_partition(first, second):
    pairs = set(zip(first.tolist(), second.tolist()))
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def scattered(seed=0, n=600, centre=(41.0, -81.0), size=0.8):
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"latitude": np.clip(centre[0] + size * rng.normal(size=n), -90, 90),
                         "longitude": (centre[1] + size * rng.normal(size=n) + 180) % 360 - 180,
                         "orbit": rng.integers(1, 4, n), "xco2": 400 + rng.normal(size=n),
                         "score": rng.random(n), "isolated": rng.random(n) < 0.4})


@pytest.mark.parametrize("pairs", [50, 4_000_000])
@pytest.mark.parametrize("centre", [(41.0, -81.0), (0.0, 180.0), (89.9, 0.0), (-89.7, 100.0)])
@pytest.mark.parametrize("km", [1.0, 5.0, 60.0])
def test_groups_are_those_of_the_slow_twin(centre, km, pairs, monkeypatch):
    monkeypatch.setattr(grouping, "_PAIRS", pairs)
    table = scattered(centre=centre)
    groups = group_isolated(table, km)
    naive = naive_groups(*(table[name].to_numpy() for name in ("latitude", "longitude", "orbit", "isolated")), km)
    assert same_partition(groups.number.to_numpy(), naive)
    assert ((groups.number > 0) == table["isolated"]).all()
    assert groups.table["size"].is_monotonic_decreasing and groups.table["size"].sum() == table["isolated"].sum()
    assert groups.table["group"].tolist() == list(range(1, naive.max() + 1))


def test_size_place_span_and_difference_are_those_of_the_members():
    table = scattered()
    groups = group_isolated(table, 20.0)
    for line in groups.table.head(5).itertuples():
        members = table[groups.number == line.group]
        lat, lon = members["latitude"].to_numpy(), members["longitude"].to_numpy()
        assert line.span_km == pytest.approx(sphere_distance(lat[:, None], lon[:, None], lat, lon).max(), abs=1e-6)
        assert (line.latitude, line.longitude) == pytest.approx((lat.mean(), lon.mean()), abs=0.01)
        rest = table[~table["isolated"] & (table["orbit"] == members["orbit"].iloc[0])]
        near = sphere_distance(line.latitude, line.longitude, rest["latitude"], rest["longitude"]) \
            <= 25 + line.span_km / 2
        assert line.xco2_difference == pytest.approx(members["xco2"].mean() - rest["xco2"][near].median(), abs=1e-6)
        assert line.score == members["score"].max()


def test_a_crowd_is_one_group_with_the_span_of_its_ends():
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"latitude": rng.uniform(10, 10.2, 3000), "longitude": rng.uniform(20, 20.2, 3000),
                          "isolated": True})
    line = group_isolated(table).table.iloc[0]
    ends = sphere_distance(10, 20, 10.2, 20.2)
    assert line["size"] == 3000 and 0.97 * ends < line["span_km"] <= ends


def test_soundings_without_a_place_are_in_no_group():
    table = scattered(n=40).assign(isolated=True)
    table.loc[[1, 5], "latitude"] = [np.nan, 999.0]
    groups = group_isolated(table)
    assert groups.number[[1, 5]].tolist() == [0, 0] and (groups.number.drop([1, 5]) > 0).all()
    assert "2 without a place in none" in "\n".join(grouping.groups_text(groups.table, 40))


def test_what_cannot_be_grouped():
    with pytest.raises(InputError, match="no column 'latitude', 'longitude' in the table"):
        group_isolated(pd.DataFrame({"isolated": [True]}))
    with pytest.raises(InputError, match="km must be"):
        group_isolated(scattered(), -1)
    empty = group_isolated(scattered().assign(isolated=False))
    assert empty.table.empty and "sentence" in empty.table and (empty.number == 0).all()


def test_isolate_tells_groups_and_ratio(tmp_path, capsys):
    granule = simulate_granule(0)[0]
    granule.loc[500:507, "xco2"] -= 16
    granule.to_csv(tmp_path / "granule.csv", index=False)
    assert main(["isolate", str(tmp_path / "granule.csv"), "--out", str(tmp_path / "run")]) == 0
    said = capsys.readouterr().out
    scores, groups = pd.read_parquet(tmp_path / "run" / "scores.parquet"), pd.read_csv(tmp_path / "run" / "groups.csv")
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == sorted([*IsolationResult.FILES, "run.yaml"])
    assert f"{scores['isolated'].sum()} isolated soundings in {len(groups)} groups:" in said
    assert groups["sentence"][0] in said and "ppm below its surroundings" in groups["sentence"][0]
    assert scores["group"].dtype.kind == "i" and ((scores["group"] > 0) == scores["isolated"]).all()
    assert scores["group"].value_counts().drop(0).sort_index().tolist() == groups["size"].tolist()
    assert ((scores["ratio"] > 1) == scores["isolated"]).all()
    again = isolate(tmp_path / "run" / "scores.parquet")  # an earlier result is replaced, its new columns too
    assert again.table["group"].tolist() == scores["group"].tolist() and again.groups["size"].tolist() == groups[
        "size"].tolist()


def test_a_table_without_places_has_no_groups_and_keeps_a_column_of_that_name(tmp_path):
    table = pd.DataFrame({"xco2": [*np.linspace(400, 402, 50), 420.0], "group": np.r_[np.zeros(25), np.ones(26)]})
    result = isolate(table, tmp_path / "run")
    assert result.table["group"].tolist() == table["group"].tolist() and result.groups.empty
    assert "isolated soundings in" not in str(result) and pd.read_csv(tmp_path / "run" / "groups.csv").empty
    with pytest.raises(InputError, match="'group', which the result needs: rename it"):
        isolate(table.assign(latitude=41.0, longitude=2.0))


def test_impossible_places_do_not_stop_the_main_job():
    table = scattered().drop(columns=["score", "isolated"])
    table.loc[3, ["latitude", "xco2"]] = [999.0, 500.0]
    result = isolate(table, features=["xco2"])
    assert result.table.loc[3, "isolated"] and result.table.loc[3, "group"] == 0


def test_the_oddest_of_a_clean_table_come_with_a_reason():
    table = pd.DataFrame({"xco2": np.linspace(400, 402, 60)})
    said = str(isolate(table, eps=2.0))
    assert "none is isolated" in said and said.count("not isolated: score") == 3


def test_the_ratio_is_above_one_where_the_score_is_above_eps():
    rng = np.random.default_rng(0)
    eps = np.exp(rng.normal(size=20_000) * 50)
    for score in (eps, np.nextafter(eps, np.inf), np.nextafter(eps, 0), eps * rng.random(20_000) * 2):
        assert ((ratio_of(score, eps) > 1) == (score > eps)).all()
    assert np.isnan(ratio_of([np.nan, 1.0], [1.0, np.nan])).all()
    assert ratio_of(5e-324, 1e-310) <= 1 < ratio_of(1e308, 1e-300)
