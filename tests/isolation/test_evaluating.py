"""A result against labels: how rows are matched, the figures against scikit-learn, and what is left over."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, precision_score, recall_score, roc_auc_score
from sklearn.utils import resample

from oco2_outliers import evaluate, isolate
from oco2_outliers.cli import main
from oco2_outliers.datasets import InputError
from oco2_outliers.main_job import Evaluation

N = 400
RNG = np.random.default_rng(4)
ODD = RNG.random(N) < 0.08
SCORE = np.round(RNG.normal(size=N) + 1.5 * ODD, 1)  # with ties
IDS = 2019071518300001 + 10 * np.arange(N)


def result(**columns):
    return pd.DataFrame({"sounding_id": IDS, "score": SCORE, "isolated": SCORE > 1.4, **columns})


def labels(**columns):
    return pd.DataFrame({"sounding_id": IDS, "label": ODD.astype(int), **columns})


def values(evaluation):
    return evaluation.table.set_index("metric")["value"].to_dict()


def test_the_figures_are_those_of_scikit_learn():
    flagged = SCORE > 1.4
    assert values(evaluate(result(), labels())) == pytest.approx({
        "roc_auc": roc_auc_score(ODD, SCORE), "average_precision": average_precision_score(ODD, SCORE),
        "recall": recall_score(ODD, flagged), "precision": precision_score(ODD, flagged)}, abs=1e-12)


def test_intervals_are_those_of_rows_drawn_anew():
    """The slow, obvious twin: draw rows, odd and ordinary apart, and ask scikit-learn each time."""
    found = evaluate(result(), labels(), n_bootstrap=2000, share=0.1).table.set_index("metric")
    rows, drawn = np.arange(N), []
    for seed in range(200):
        again = resample(rows, stratify=ODD, random_state=seed)
        top = np.argsort(-SCORE[again], kind="stable")[:N // 10]
        drawn.append([roc_auc_score(ODD[again], SCORE[again]), average_precision_score(ODD[again], SCORE[again]),
                      ODD[again][top].sum() / ODD.sum()])
    for name, one in zip(("roc_auc", "average_precision", "recall"), np.transpose(drawn)):
        low, high = np.quantile(one, [0.025, 0.975])
        assert found.loc[name, ["low", "high"]].tolist() == pytest.approx([low, high], abs=0.06)


def test_a_random_order_stands_beside():
    found = evaluate(result(score=RNG.random(N)), labels(), share=0.1).table
    assert ((found["low"] < found["random"]) & (found["random"] < found["high"])).all()
    assert ((found["random_low"] < found["value"]) & (found["value"] < found["random_high"])).all()
    assert found["random"][0] == 0.5 and found["random"][3] == pytest.approx(ODD.mean())


@pytest.mark.parametrize("given", [
    labels().sample(frac=1, random_state=0),
    labels(sounding_id=IDS.astype(str)),
    labels().rename(columns={"sounding_id": "Sounding ID", "label": "Anomaly"}).replace({0: "ok", 1: "BAD"}),
    labels(label=np.where(ODD, -1, 1)),
    labels(label=ODD),
    pd.concat([labels(), labels().head(9)]),
    pd.DataFrame({"row": np.arange(N)[::-1], "what": np.where(ODD, "bad", "good")[::-1]}),
    pd.Series(ODD.astype(float)),
])
def test_labels_of_every_kind_meet_their_rows(given):
    assert values(evaluate(result(), given)) == values(evaluate(result(), labels()))


def test_a_shared_column_names_the_rows():
    paths = [f"{i:03}.png" for i in range(N)]
    scored = result(path=paths).drop(columns="sounding_id").iloc[::-1]
    found = evaluate(scored, pd.DataFrame({"path": paths, "kind": np.where(ODD, "odd", "normal")}))
    assert found.summary["matched_by"] == "path" and values(found) == values(evaluate(result(), labels()))


def test_rows_that_were_dropped_keep_their_numbers(tmp_path):
    table = pd.DataFrame({"xco2": np.r_[RNG.normal(400, 1, 99), 440.0], "psurf": RNG.normal(990, 1, 100)})
    table.loc[:4, "xco2"] = np.nan
    isolate(table, tmp_path / "run", drop_missing=True, eps=1.0)
    pd.DataFrame({"label": np.arange(100) == 99}).to_csv(tmp_path / "labels.csv", index=False)
    found = evaluate(tmp_path / "run", tmp_path / "labels.csv")
    assert found.rows.loc[found.rows["odd"], "key"].tolist() == [99]
    assert values(found)["roc_auc"] == pytest.approx(1)
    assert found.summary["counts"]["labels_without_row"] == 5


def test_what_has_no_partner_is_counted_and_named():
    scored = result(score=np.where(np.arange(N) < 3, np.nan, SCORE))
    some = labels(sounding_id=np.r_[IDS[:-2], 7, 8]).assign(label=ODD.astype(int)).iloc[1:]
    some.loc[N - 1, "label"] = 1
    found = evaluate(scored, some)
    counts = found.summary["counts"]
    assert (counts["labels_without_row"], counts["odd_labels_without_row"]) == (2, 1 + ODD[-2])
    assert counts["rows_without_label"] == 3 and counts["rows_without_score"] == 2
    assert counts["matched"] == N - 5 == len(found.rows)
    assert "7, 8" in found.notes[0] and str(IDS[0]) in found.notes[1] and str(IDS[1]) in found.notes[2]


def test_a_run_with_an_eps_for_each_file_is_ranked_by_the_ratio():
    eps = np.where(np.arange(N) < N // 2, 1.0, 10.0)
    scored = result(score=SCORE * eps, eps=eps, ratio=SCORE)
    found = evaluate(scored, labels())
    assert found.summary["ranked_by"] == "ratio" and values(found) == values(evaluate(result(), labels()))
    assert evaluate(scored, labels(), score="score").summary["ranked_by"] == "score"


@pytest.mark.parametrize("change, told", [
    (dict(label=2), "say which values mean odd"),
    (dict(label=0), "no labelled row"),
    (dict(label=1), "every labelled row"),
    (dict(sounding_id=np.arange(N)), "no label meets a row"),
    (dict(sounding_id=IDS[0]), "contradict each other"),
    (dict(other=1, label=2), "say which values mean odd"),
])
def test_labels_that_cannot_be_used_are_one_line(change, told):
    with pytest.raises(InputError, match=told):
        evaluate(result(), labels(**change))


@pytest.mark.parametrize("options, told", [
    (dict(share=0), "share must be"), (dict(share=1.5), "at most 1"), (dict(n_bootstrap=0), "n_bootstrap"),
    (dict(random_state="x"), "random_state"), (dict(on="hue"), "no column 'hue' in the result"),
    (dict(label="hue"), "no column 'hue' in the labels"), (dict(score="hue"), "no column 'hue'"),
    (dict(positive="blue"), "no label is blue"),
])
def test_options_that_cannot_be_meant(options, told):
    with pytest.raises(InputError, match=told):
        evaluate(result(), labels(), **options)


def test_infinite_scores_and_no_verdict():
    scored = result(score=np.where(ODD, np.inf, SCORE)).drop(columns="isolated")
    found = evaluate(scored, labels())
    assert set(values(found).values()) == {1.0} and "no verdict" in found.summary["share_rule"]


def test_a_thousand_draws_of_many_rows_are_quick():
    rng = np.random.default_rng(0)
    odd = rng.random(300_000) < 0.001
    found = evaluate(pd.DataFrame({"score": rng.normal(size=len(odd)) + odd}), pd.Series(odd))
    assert found.table["value"].between(found.table["low"], found.table["high"]).all()


def test_the_command_writes_three_files_and_never_over_its_input(tmp_path, capsys):
    result().to_csv(tmp_path / "scores.csv", index=False)
    labels().to_csv(tmp_path / "evaluation.csv", index=False)
    asked = ["evaluate", str(tmp_path), "--labels", str(tmp_path / "evaluation.csv")]
    assert main([*asked, "--out", str(tmp_path)]) == 2 and "written over" in capsys.readouterr().err
    assert main([*asked, "--out", str(tmp_path / "out"), "--share", "0.05"]) == 0
    said = capsys.readouterr().out
    assert "roc_auc" in said and "random" in said and "(5.00% of the rows)" in said
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*Evaluation.FILES, "run.yaml"])
    told = json.loads((tmp_path / "out" / "evaluation.json").read_text("utf-8"))
    assert told["counts"]["matched"] == N and [each["metric"] for each in told["metrics"]][0] == "roc_auc"


@pytest.mark.parametrize("column, twin", [("y_class_lof", 49)])
def test_published_labels_beside_radii(shared_data, tmp_path, column, twin):
    file = shared_data / "peaks" / "peaks_201808_labelled.csv"
    table = pd.read_csv(file)
    found = isolate(table, features=["slope", "intercept", "amplitude", "sigma", "delta", "R"], eps=1.0)
    evaluation = evaluate(found, table[[column]], on="row", positive=-1)
    assert evaluation.summary["counts"]["odd"] == twin and values(evaluation)["roc_auc"] > 0.5
