"""The two scripts of the old project, unchanged but for their imports; and what they are told where something lacks."""

import builtins
import shutil
import subprocess
import sys

import matplotlib
import numpy as np
import pandas as pd
import pytest
from layout import ROOT

from oco2_outliers.flowworks import BiLSTMv1, LSTMv1, models, utils
from oco2_outliers.ground.errors import InputError

TRAINING = """
import oco2_outliers.flowworks
from oco2_outliers.flowworks import utils, LSTMv1

df_train, df_val, df_test = utils.read_split_data(PATH)   #split data for training and prepare dataset
raw_data = df_test.copy()[utils.T :].reset_index(drop=True)
X_train, y_train, X_test, y_test, X_val, y_val = utils.prepare_dataset(
     df_test, df_train, df_val
)

history, model = LSTMv1.create_train_model(X_train, y_train, X_val, y_val)  #train model

utils.evaluate_training(history)    #evaluate training
utils.show_results(model, X_test, raw_data)
"""
USING = """
import pandas as pd
from oco2_outliers.flowworks import utils, models

df = utils.prepare_raw_data(PATH)  #prepare dataset (raw velocity data)
raw_data = df.copy()[utils.T :].reset_index(drop=True)
X_test = utils.prepare_dataset(df, training=False)

model = models.load_model(MODEL_PATH, compile=False)  #load model
model.compile(loss="binary_crossentropy", metrics=utils.METRICS, optimizer="adam")

result = utils.show_results(model, X_test, raw_data) #show results
raw_data["pred"] = result

utils.show_random_results(raw_data, "velocity", SITE, compare=False)
"""


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="no PyTorch (extra series); what needs none of it is tested below")


@pytest.fixture
def quick(monkeypatch):
    """Few epochs, and figures that open no window."""
    matplotlib.use("Agg")
    monkeypatch.setattr(utils, "EPOCHS", 3)


def site(n=2000, seed=0):
    """A site whose velocity sensor is stuck for an hour twice a day."""
    rng, row = np.random.default_rng(seed), np.arange(n)
    level = 0.4 + 0.15 * np.sin(2 * np.pi * row / 288) + rng.normal(0, 0.01, n)
    velocity, label = 0.8 + 0.9 * level + rng.normal(0, 0.05, n), row % 144 >= 132
    velocity[label] = velocity[row[label] // 144 * 144 + 131]
    return pd.DataFrame({"time": pd.date_range("2013-03-12", periods=n, freq="5min"), "velocity": velocity,
                         "flow": velocity * level, "level": level, "label": label.astype(int)})


def run_both(path, folder):
    """Train by the one script, save, use by the other; what the second one leaves."""
    names = {"PATH": path, "SITE": path.stem, "MODEL_PATH": folder / "model.npz"}
    exec(TRAINING, names)
    names["model"].save(names["MODEL_PATH"])
    exec(USING, names)
    return names


@pytest.mark.torch
def test_the_scripts_run_on_a_generated_site(torch, quick, tmp_path, capsys):
    site().to_csv(tmp_path / "NE001CALa_17_data.csv", index=False)
    left = run_both(tmp_path / "NE001CALa_17_data.csv", tmp_path)
    assert len(left["result"]) == 2000 - utils.T and left["X_test"].shape[1:] == (60, 7)
    assert set(np.unique(left["result"])) <= {0, 1} and "average precision" in capsys.readouterr().out


@pytest.mark.torch
def test_the_scripts_run_on_the_sewer_file(torch, quick, shared_data, tmp_path, capsys, monkeypatch):
    path = shared_data / "series" / "sewer_velocity_5min.csv"
    if not path.exists():
        pytest.skip("the sewer file is not there; a generated site is tested above")
    monkeypatch.setattr(utils, "EPOCHS", 1)
    monkeypatch.setattr(utils, "STEP", 25)
    left = run_both(path, tmp_path)
    said = capsys.readouterr().out
    assert "no flow and no level in the file, so 5 of 7 features: velocity, hour, minute, day, month" in said
    assert "velocity and velocity_edited differ: 481 of 29,521" in said
    assert len(left["result"]) == 29_521 - utils.T


@pytest.mark.torch
def test_a_model_of_other_features_is_refused(torch, quick, tmp_path):
    site().to_csv(tmp_path / "all.csv", index=False)
    site().drop(columns=["flow"]).to_csv(tmp_path / "fewer.csv", index=False)
    train, val, test = utils.read_split_data(tmp_path / "all.csv")
    X_train, y_train, _, _, X_val, y_val = utils.prepare_dataset(test, train, val)  # noqa: N806
    _, model = BiLSTMv1.create_train_model(X_train, y_train, X_val, y_val)
    with pytest.raises(InputError, match="60 readings of 7 channels, not of 60 of 6"):
        model.predict(utils.prepare_dataset(utils.prepare_raw_data(tmp_path / "fewer.csv"), training=False))


def test_without_torch_training_names_the_extra(tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *rest, **more):
        if name == "torch":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without)
    rows, y = np.zeros((20, 60, 7)), np.arange(20) % 2
    with pytest.raises(InputError, match=r'pip install "oco2_outliers\[series\]", or use WindowClassifier'):
        LSTMv1.create_train_model(rows, y, rows, y)


@pytest.mark.slow
def test_nothing_imports_torch_until_a_net_is_trained():
    code = ("import sys; from oco2_outliers.flowworks import utils, LSTMv1, BiLSTMv1, LSTMv2, FCN, models; "
            "import oco2_outliers.series_learn; sys.exit('torch' in sys.modules)")
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_a_keras_file_gets_the_way_out(tmp_path):
    (tmp_path / "model.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(50))
    shutil.copy(tmp_path / "model.h5", tmp_path / "renamed.npz")
    for name in ("model.h5", "renamed.npz"):
        with pytest.raises(InputError, match="of Keras, which is not read here: train anew with create_train_model"):
            models.load_model(tmp_path / name, compile=False)


def test_a_window_over_a_gap_or_a_missing_reading_has_no_verdict(tmp_path):
    table = site(400).drop(index=range(200, 210))
    table.loc[300, "level"] = np.nan
    table.to_csv(tmp_path / "gaps.csv", index=False)
    X = utils.prepare_dataset(utils.prepare_raw_data(tmp_path / "gaps.csv"), training=False)  # noqa: N806
    silent = np.isnan(X).all(axis=(1, 2))
    assert silent.sum() == 59 + 60 and np.isfinite(X[~silent]).all()
    assert not silent[: 199 - 60].any() and silent[200 - 60 : 259 - 60].all()
