"""`isolate` asked against all rows and against the surroundings on the track: columns, files, page, command line."""

import json

import numpy as np
import pandas as pd
import pytest

from oco2_outliers.cli import main
from oco2_outliers.explorer import explore
from oco2_outliers.ground.errors import InputError
from oco2_outliers.main_job import isolate
from oco2_outliers.plots import pairs
from oco2_outliers.soundings import local_scores, simulate_granule

LOCAL = ["local_score", "local_outlier", "local_reason", "local_neighbours", "local_difference"]
GLOBAL = ["global_score", "global_isolated", "global_reason"]


@pytest.fixture(scope="module")
def granule():
    names = ["sounding_id", "time", "latitude", "longitude", "xco2", "psurf"]
    soundings = simulate_granule(1, 60, n_bad=0).soundings[names]
    soundings.loc[soundings.index[700:704], "xco2"] -= 6
    return soundings


def test_both_answers_stand_in_the_table_and_the_context_says_which_leads(granule, tmp_path):
    everything, track = isolate(granule), isolate(granule, tmp_path / "out", context="track")
    for name in LOCAL:
        pd.testing.assert_series_equal(everything.table[name], track.table[name])
    for ours, theirs in zip(GLOBAL, ("score", "isolated", "reason")):
        pd.testing.assert_series_equal(track.table[ours], everything.table[theirs], check_names=False)
    table = track.table
    assert table.loc[granule.index[700:704], "isolated"].all()
    assert table["reason"].equals(table["local_reason"].rename("reason"))
    assert (table["isolated"] == (table["score"] > track.eps)).all()
    assert ((table["ratio"] > 1) == table["isolated"]).all()
    assert track.groups["size"].max() == 4 and track.context.name == "track" and everything.context.name == "all"
    assert "score, isolated and reason are those against the neighbours within 20 km" in str(track)
    told = "against its neighbours within 20 km along the track and 10 km across: 4 odd where they lie"
    assert told in str(everything)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))
    told = summary["parameters"]
    assert (told["context"], told["eps"], told["local_features"]) == ("track", 4.0, ["xco2"])
    assert told["global_eps"] == everything.eps and summary["counts"]["isolated"] == int(table["isolated"].sum())
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(track.FILES)
    again = isolate(tmp_path / "out" / "scores.parquet", context="track").table
    assert (again["isolated"].to_numpy() == table["isolated"].to_numpy()).all() and again.shape[1] == table.shape[1]


def test_results_are_no_features_of_a_figure(granule):
    for context in ("all", "track"):
        axes = pairs(isolate(granule, context=context).table)
        assert [ax.get_xlabel().split(" (")[0] for ax in axes[-1]] == ["xco2", "psurf"]


def test_the_printed_change_ends_the_local_oddness(granule):
    found = isolate(granule, context="track").table
    for row in found.index[found["isolated"]]:
        _, amount, _, where = found.loc[row, "change"].split()
        moved = granule["xco2"].astype(float)
        moved[row] += float(amount) * (1 if where == "higher" else -1)
        assert not local_scores(granule.assign(xco2=moved)).table.loc[row, "local_outlier"]


def test_the_page_of_a_local_result_moves_its_own_threshold(granule, tmp_path):
    result = isolate(granule, tmp_path / "out", context="track")
    for number, source in enumerate((result, tmp_path / "out")):
        page = explore(source, out=tmp_path / f"{number}.html")
        text = (tmp_path / f"{number}.html").read_text("utf-8")
        assert "each against its neighbours on the track" in text and "spreads off its neighbours" in text, page
        assert "do not follow from the features" not in text


def test_named_features_are_all_compared_and_eps_is_a_number_of_spreads(granule):
    both = isolate(granule, context="track", features=["xco2", "psurf"])
    assert both.eps == 5.14 and both.summary["parameters"]["local_features"] == ["xco2", "psurf"]
    asked = isolate(granule, context="track", eps=3, along=10)
    assert (asked.eps, asked.rule) == (3.0, "as asked")
    assert (asked.table["isolated"] == (asked.table["score"] > 3)).all()
    assert asked.table["local_neighbours"].max() < 80


def test_tables_without_places_or_times_have_one_answer(granule):
    bare = granule.drop(columns=["latitude", "longitude"])
    assert not {*LOCAL, *GLOBAL} & set(isolate(bare).table)
    untimed = granule.drop(columns=["time", "sounding_id"])
    assert not {*LOCAL, *GLOBAL} & set(isolate(untimed).table)
    found = isolate(untimed, context="track")
    assert any(note.startswith("no orbit and no time") for note in found.notes) and found.table["isolated"].sum() >= 4
    for wrong, told in (({"context": "tracks"}, "context must be"),
                        ({"context": "track", "eps": [1, 2]}, "takes one eps"),
                        ({"along": 0}, "along must be")):
        with pytest.raises(InputError, match=told):
            isolate(granule, **wrong)
    with pytest.raises(InputError, match="needs latitude and longitude; the table has no latitude and no longitude"):
        isolate(bare, context="track")


def test_too_little_is_said(granule):
    few = isolate(granule.head(45), context="track")
    assert not few.table["isolated"].any() and any("too few to say what is ordinary" in note for note in few.notes)
    apart = granule.assign(latitude=np.linspace(-60, 60, len(granule)))  # nobody has a neighbour
    assert "0 soundings with neighbours, too few" in str(isolate(apart, context="track"))
    assert isolate(apart).table["local_score"].isna().all()


def test_on_the_command_line(granule, tmp_path, capsys):
    granule.to_csv(tmp_path / "pass.csv", index=False)
    assert main(["isolate", str(tmp_path / "pass.csv"), "--context", "track", "--along", "15", "--across", "8",
                 "--out", str(tmp_path / "out")]) == 0
    assert "within 15 km along the track and 8 km across" in capsys.readouterr().out
    told = json.loads((tmp_path / "out" / "summary.json").read_text("utf-8"))["parameters"]
    assert (told["along_km"], told["across_km"]) == (15.0, 8.0)
    assert main(["isolate", str(tmp_path / "pass.csv"), "--context", "orbit"]) == 2
