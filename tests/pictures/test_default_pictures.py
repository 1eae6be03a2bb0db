"""The default of `ImageForest` and the tutorial's preset: what they rank, how many they name, what their files hold."""
from __future__ import annotations

import contextlib
import json
import re

import cv2
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from typer.testing import CliRunner

from benchmarks.bench_picture_kinds import measured
from benchmarks.picture_kinds import KINDS, draw_kind
from oco2_outliers.cli import app
from oco2_outliers.ground.errors import InputError
from oco2_outliers.image_forest import ImageForest, judge_picture, scan_folder, simulate_pictures, train_model
from oco2_outliers.pictures.folders import scan_report


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    return folder, simulate_pictures(folder, n_pictures=40, odd_kinds=[], random_state=7)


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mixed")
    return folder, simulate_pictures(folder, n_pictures=40)


def test_kinds_that_share_their_colours_are_told_apart(tmp_path):
    kinds = {}
    for kind in ("woodland", "streets", "cracks", "grainy", "coast"):
        kinds[kind] = [str(tmp_path / f"{kind}_{number}.png") for number in range(24)]
        for path, picture in zip(kinds[kind], draw_kind(kind, 24, 128)):
            cv2.imwrite(path, picture)
    aucs = {name: [kind["auc"] for kind in measured(settings, kinds, tmp_path / "c.sqlite").values()]
            for name, settings in (("default", {}), ("tutorial", {"preset": "tutorial"}))}
    assert np.mean(aucs["default"]) > 0.95 and np.min(aucs["default"]) > 0.9
    assert np.mean(aucs["tutorial"]) < 0.8


def test_kinds_are_drawn_the_same_again():
    for kind in KINDS:
        first, again = draw_kind(kind, 1, 64), draw_kind(kind, 2, 64)
        assert first[0].shape == (64, 64, 3) and first[0].dtype == np.uint8
        np.testing.assert_array_equal(first[0], again[0])


def test_the_original_commands_use_the_preset_of_the_tutorial(good, mixed, tmp_path, capsys):
    trained = train_model(good[0], tmp_path / "m.npz")
    forest = ImageForest(preset="tutorial").fit(good[0])
    explicit = ImageForest(features="colour", detector="forest", contamination=0.01).fit(good[0])
    for other in (trained, explicit, ImageForest.load(tmp_path / "m.npz")):
        np.testing.assert_array_equal(other.decision_function(mixed[0]), forest.decision_function(mixed[0]))
    assert json.loads(np.load(tmp_path / "m.npz")["meta"].tobytes())["format"] == 1
    verdict = judge_picture(tmp_path / "m.npz", mixed[1].path[0])
    assert verdict.reason == forest.result_table(mixed[1].path[:1]).reason[0]
    run = CliRunner().invoke(app, ["images", "train", "-d", str(good[0]), "-m", str(tmp_path / "cli.npz")])
    assert run.exit_code == 0 and (tmp_path / "cli.npz").read_bytes() == (tmp_path / "m.npz").read_bytes()


@pytest.mark.parametrize("preset", [None, "tutorial"])
def test_models_of_both_presets_are_read_as_they_were_written(preset, good, mixed, tmp_path):
    forest = train_model(good[0], tmp_path / "m.npz", preset=preset)
    kept = ImageForest.load(tmp_path / "m.npz")
    np.testing.assert_array_equal(kept.score_samples(mixed[0]), forest.score_samples(mixed[0]))
    np.testing.assert_array_equal(kept.score_samples(good[0]), forest.score_samples(good[0]))
    assert list(kept.result_table(mixed[0]).reason) == list(forest.result_table(mixed[0]).reason)
    assert kept.chosen() == forest.chosen()
    kept.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "m.npz").read_bytes()


def test_a_model_of_distances_from_before_still_judges(good, mixed, tmp_path):
    forest = ImageForest(features="colour+layout", detector="neighbours", whiten=False, contamination=0.1).fit(good[0])
    forest.save(tmp_path / "new.npz")
    arrays = dict(np.load(tmp_path / "new.npz"))
    meta = json.loads(arrays["meta"].tobytes()) | {"format": 1}
    del arrays["marks"], arrays["held"], meta["whiten"]
    np.savez(tmp_path / "old.npz", **arrays | {"meta": np.frombuffer(json.dumps(meta).encode(), np.uint8)})
    old = ImageForest.load(tmp_path / "old.npz")
    np.testing.assert_array_equal(old.score_samples(mixed[0]), forest.score_samples(mixed[0]))
    assert old.chosen().whiten is False


def test_hostile_whitening_is_refused(good, tmp_path):
    ImageForest().fit(good[0]).save(tmp_path / "m.npz")
    arrays = dict(np.load(tmp_path / "m.npz"))

    def refused(changes, reason):
        np.savez(tmp_path / "bad.npz", **{k: v for k, v in (arrays | changes).items() if v is not None})
        with pytest.raises(InputError, match=reason):
            ImageForest.load(tmp_path / "bad.npz")

    for name in ("centre", "spread", "weight", "middle", "ways", "widths", "usual"):
        refused({name: arrays[name][:-1]}, "columns")
        refused({name: None}, "lacks")
    for name in ("spread", "weight", "widths"):
        refused({name: arrays[name] * 0}, "scales")
    refused({"ways": arrays["ways"] * 1e30}, "scales")
    refused({"middle": arrays["middle"] + 1e30}, "scales")
    for name in ("marks", "held"):
        refused({name: arrays[name][:-1]}, "held-out")
        refused({name: None}, "lacks")
    refused({"marks": arrays["marks"][::-1]}, "held-out")


def test_a_picture_that_was_learnt_from_is_judged_without_itself(mixed):
    folder, truth = mixed
    forest = ImageForest().fit(folder)
    learnt = -forest.score_samples(folder)
    assert roc_auc_score(truth.odd, learnt) > 0.9
    np.testing.assert_array_equal(forest.score_samples(truth.path[::-1]), -learnt[::-1])
    np.testing.assert_array_equal(forest.score_samples([cv2.imread(p) for p in truth.path]), -learnt)
    itself = ImageForest(random_state=1).fit(folder)
    assert (itself.score_samples(folder) != -learnt).any()  # other hands


def test_new_pictures_of_the_same_kind_are_seldom_called_odd(good, tmp_path):
    new = simulate_pictures(tmp_path / "new", n_pictures=60, odd_kinds=[], random_state=99)
    assert (ImageForest().fit(good[0]).predict(new.path) == -1).mean() <= 0.1


@pytest.mark.parametrize(("settings", "said"), [
    ({}, r"^(\d+) of 48 called odd: those beyond the fence"),
    ({"contamination": 0.05}, r"^(\d+) of 48 called odd: the oddest 0.05 of the pictures \(contamination\)"),
    ({"preset": "tutorial"}, r"^(\d+) of 48 called odd: the oddest 0.01 of the pictures \(contamination\)"),
    ({"detector": "forest", "contamination": "auto"}, r"^(\d+) of 48 called odd: their score is above 0.5"),
])
def test_a_scan_says_how_many_are_odd_and_why(mixed, tmp_path, settings, said):
    table = scan_folder(mixed[0], tmp_path / "out", **settings)
    found = re.search(said, table.attrs["why_so_many"])
    assert found and int(found.group(1)) == table.outlier.sum() and table.attrs["why_so_many"] in scan_report(
        table, tmp_path, 5)
    if "contamination" in settings and not isinstance(settings["contamination"], str):
        assert table.outlier.sum() == np.ceil(0.05 * 48)


def test_alike_pictures_hold_no_odd_one(good, tmp_path):
    table = scan_folder(good[0], tmp_path / "out")
    assert table.outlier.sum() <= 1
    shares = [scan_folder(good[0], tmp_path / "share", contamination=share).outlier.sum() for share in (0.05, 0.1)]
    assert shares == [2, 4]


def test_few_pictures_and_copies(tmp_path):
    rng = np.random.default_rng(0)
    one = rng.integers(0, 256, (40, 50, 3), dtype=np.uint8)
    for pictures in ([one], [one] * 5, [one, one[::-1]], [np.zeros((8, 8, 3), np.uint8)] * 3, [one] * 20):
        forest = ImageForest().fit(pictures)
        assert np.isfinite(forest.score_samples(pictures)).all()
        assert (forest.predict(pictures) == 1).all()
        if len({picture.tobytes() for picture in pictures}) == 1:
            assert forest.score_samples([255 - one])[0] < forest.score_samples(pictures).min()
        assert "fewer than 10 different pictures" in forest.result_table(pictures).attrs["why_so_many"]
        forest.save(tmp_path / "m.npz")
        np.testing.assert_array_equal(ImageForest.load(tmp_path / "m.npz").score_samples(pictures),
                                      forest.score_samples(pictures))


def test_a_picture_is_no_company_to_its_copies(good):
    odd = np.random.default_rng(0).integers(0, 256, (96, 128, 3), dtype=np.uint8)
    pictures = [cv2.imread(path) for path in good[1].path] + [odd] * 12
    assert (ImageForest().fit(pictures).predict(pictures)[-12:] == -1).all()


def test_reasons_are_told_in_colours_and_in_other_words(good, mixed):
    forest = ImageForest().fit(good[0])
    table = forest.result_table(mixed[0]).set_index(mixed[1].kind)
    assert "too much: " in table.reason["desert"] and "missing: " in table.reason["desert"]
    assert "than usual: " in table.reason["stripes"]
    shown = forest.explain(mixed[1].path[mixed[1].kind == "desert"].iloc[0])
    assert len(shown.table) == 27 + 6 + 48 + 48 + 64 + 30 and shown.words == table.reason["desert"]


def test_commands_take_a_preset(good, mixed, tmp_path):
    def run(*words):
        with contextlib.chdir(tmp_path):
            return CliRunner().invoke(app, ["images", *map(str, words)])

    assert run("train", "-d", good[0], "-m", "d.npz", "--preset", "default").exit_code == 0
    assert ImageForest.load(tmp_path / "d.npz").chosen() == ImageForest().chosen()
    scan = run("scan", mixed[0], "--out", "a")
    assert scan.exit_code == 0 and "called odd: those beyond the fence of the scores of the pictures" in scan.output
    scan = run("scan", mixed[0], "--out", "b", "--preset", "tutorial")
    assert scan.exit_code == 0 and "called odd: the oddest 0.01 of the pictures" in scan.output
    scan = run("scan", mixed[0], "--out", "c", "--model", "d.npz")
    assert scan.exit_code == 0 and "the fence of the scores of the training pictures" in scan.output
    for wrong in (("--preset", "x"), ("--contamination", "x"), ("--contamination", "0.7")):
        failed = run("scan", mixed[0], "--out", "e", *wrong)
        assert isinstance(failed.exception, InputError) and wrong[0].strip("-") in str(failed.exception)
