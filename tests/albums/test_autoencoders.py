"""Autoencoders that are given bad files, are stopped, or find the disk full; and the same without PyTorch."""

import os
import resource
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pandas as pd
import pytest

from oco2_outliers.albums.net_files import told_of
from oco2_outliers.autoencoders import (
    SimpleAutoEncoder,
    StridedAutoEncoder,
    VarConvAutoEncoder,
    load_autoencoder,
    save_autoencoder,
    train_autoencoder,
)
from oco2_outliers.cli import main
from oco2_outliers.datasets import InputError
from oco2_outliers.image_clusters import odd_pictures, picture_vectors


def command(*words):
    return main(["images", *map(str, words)])


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    """Forty pictures of a blot each, and a black frame."""
    folder, rng = tmp_path_factory.mktemp("album"), np.random.default_rng(0)
    for number in range(40):
        picture = np.full((54, 96, 3), rng.integers(90, 110, 3), np.uint8)
        cv2.circle(picture, rng.integers(20, 40, 2).tolist(), int(rng.integers(5, 12)), (200, 180, 160), -1)
        cv2.imwrite(str(folder / f"{number:02d}.png"), picture)
    cv2.imwrite(str(folder / "black.png"), np.zeros((54, 96, 3), np.uint8))
    return folder


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="no PyTorch (extra torch); that nets encode without it is tested above")


# ---------------------------------------------------------------- without PyTorch

def test_a_net_encodes_and_its_vectors_find_the_odd_picture(album, tmp_path):
    save_autoencoder(StridedAutoEncoder(), tmp_path / "net.npz")
    v = picture_vectors(album, features=tmp_path / "net.npz")
    odd = odd_pictures(v, looks=False)
    assert v.features == "strided" and odd.nlargest(1, "score")["id"].tolist() == ["black"]


def promising_a_terabyte(path):
    """A file whose first bias has a head of 10**12 numbers behind it nothing."""
    import json
    import zipfile

    net = StridedAutoEncoder()
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in {"about": np.array(json.dumps(told_of(net))), **net.weights}.items():
            with archive.open(f"{name}.npy", "w") as file:
                if name == "enc_conv_1.bias":
                    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False,
                                                                "shape": (10**12,)})
                else:
                    np.lib.format.write_array(file, array, version=(1, 0))


def test_hostile_files_are_refused_in_one_line_and_nothing_is_written(album, tmp_path, capsys):
    whole = save_autoencoder(StridedAutoEncoder(), tmp_path / "net.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[:60_000])
    (tmp_path / "keras.hdf5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(40))
    promising_a_terabyte(tmp_path / "large.npz")
    np.savez(tmp_path / "pickle.npz", about=np.array([{"a": 1}], object))
    for name, words in (("cut.npz", "holds no autoencoder"), ("keras.hdf5", "which is not read here: train a net anew"),
                        ("large.npz", "is float32 of shape (1000000000000,), not float32 of shape (16,)"),
                        ("pickle.npz", "holds no autoencoder"), ("absent.npz", "absent.npz")):
        assert command("encode", album, "--load", tmp_path / name, "--out", tmp_path / "v") == 2
        told = capsys.readouterr().err
        assert words in told and told.count("\n") == 1 and not (tmp_path / "v").exists(), told


def test_what_cannot_be_trained_is_refused_before_torch_is_asked_for(album, tmp_path):
    pictures = np.random.default_rng(0).integers(0, 256, (9, 27, 48, 3), dtype=np.uint8)
    (tmp_path / "final_model.npz").write_bytes(b"of somebody")
    with pytest.raises(InputError, match="is there already"):
        train_autoencoder(StridedAutoEncoder(), pictures, pictures, out=tmp_path)
    assert (tmp_path / "final_model.npz").read_bytes() == b"of somebody"


# ---------------------------------------------------------------- with PyTorch

@pytest.mark.torch
def test_pictures_that_teach_nothing_are_refused(torch, album, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    same = tmp_path / "same"
    same.mkdir()
    for number in range(12):
        (same / f"{number}.png").write_bytes((album / "00.png").read_bytes())
    one = tmp_path / "one"
    one.mkdir()
    (one / "0.png").write_bytes((album / "00.png").read_bytes())
    for folder, words in (("empty", "no usable picture"), ("same", "cannot be split"), ("one", "cannot be split")):
        assert command("train-encoder", tmp_path / folder, "--out", tmp_path / "models") == 2
        told = capsys.readouterr().err
        assert words in told.splitlines()[-1] and not (tmp_path / "models").exists(), told
    with pytest.raises(InputError, match="12 pictures, all equal"):
        train_autoencoder(StridedAutoEncoder(), same, album)
    with pytest.raises(InputError, match="keep some apart"):
        train_autoencoder(StridedAutoEncoder(), album, album)


TRAIN = """
import signal, sys
from oco2_outliers.cli import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background is started with Ctrl-C ignored
sys.exit(main(["images", *sys.argv[1:]]))
"""


@pytest.mark.torch
def test_ctrl_c_keeps_what_was_learnt_and_resume_goes_on_exactly(torch, album, tmp_path):
    words = ["train-encoder", str(album), "--epochs", "12", "--batch-size", "4", "--period", "100", "--out"]
    start = [sys.executable, "-c", TRAIN, *words, "cut"]
    run = subprocess.Popen(start, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    log = tmp_path / "cut" / "model_training.log"
    while not log.exists() and run.poll() is None:
        time.sleep(0.01)
    run.send_signal(signal.SIGINT)
    told, _ = run.communicate(timeout=60)
    assert run.returncode == 130 and "--resume goes on" in told
    assert {"final_model.npz", "model_state.npz", "model_training.log"} == set(os.listdir(tmp_path / "cut"))
    assert len(pd.read_csv(log)) < 12 and load_autoencoder(tmp_path / "cut").type == "strided"
    assert command(*words, tmp_path / "cut", "--resume") == 0
    assert command(*words, tmp_path / "through") == 0
    assert log.read_bytes() == (tmp_path / "through" / "model_training.log").read_bytes()
    ends = [load_autoencoder(tmp_path / name).weights for name in ("cut", "through")]
    assert all(np.array_equal(ends[0][name], ends[1][name]) for name in ends[0])


@pytest.mark.torch
def test_a_full_disk_leaves_what_was_whole(torch, tmp_path):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (24, 27, 48, 3), dtype=np.uint8)
    net = StridedAutoEncoder()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OSError, match="model-0001.npz"):
            train_autoencoder(net, pictures[:20], pictures[20:], epochs=2, out=tmp_path, period=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert os.listdir(tmp_path) == ["model_training.log"] and len(pd.read_csv(tmp_path / "model_training.log")) == 1
    assert not np.array_equal(net.weights["enc_conv_1.weight"], StridedAutoEncoder().weights["enc_conv_1.weight"])


@pytest.mark.torch
@pytest.mark.parametrize("kind", [StridedAutoEncoder, SimpleAutoEncoder, VarConvAutoEncoder])
def test_numpy_encodes_as_torch_does_after_training(torch, kind, tmp_path):
    from oco2_outliers.albums.losses import tensor_layers
    from oco2_outliers.albums.nets import as_planes

    pictures = np.random.default_rng(1).integers(0, 256, (40, 16, 24, 3), dtype=np.uint8)
    net = kind((24, 16))
    train_autoencoder(net, pictures[:32], pictures[32:], epochs=3)
    kept = load_autoencoder(save_autoencoder(net, tmp_path / "net.npz"))
    tensors = {name: torch.from_numpy(each) for name, each in kept.weights.items()}
    by_torch = tensor_layers(torch, torch.from_numpy(as_planes(pictures)), kept.encoder, tensors, False)
    by_torch = by_torch.reshape(40, -1)[:, : kept.latent].numpy()
    np.testing.assert_allclose(kept.encode(pictures), by_torch, rtol=1e-3, atol=1e-4 * np.abs(by_torch).max())


@pytest.mark.torch
def test_radii_and_groups_of_real_stills_by_a_trained_net(torch, shared_data, tmp_path):
    """The twins on generated pictures: the test of Ctrl-C, and that of the odd picture."""
    folders = sorted((shared_data / "images" / "iss_hdev").iterdir())
    paths = [path for folder in folders for path in sorted(folder.iterdir())]
    net = StridedAutoEncoder()
    losses = train_autoencoder(net, paths[1::2], paths[::2], epochs=10, out=tmp_path)
    assert losses["val_loss"].iloc[-1] < losses["val_loss"].iloc[0]
    odd = odd_pictures(picture_vectors(paths, features=tmp_path, ids="path"), looks=False)
    assert len(odd) == len(paths) and np.isfinite(odd["score"]).all() and odd["outlier"].mean() < 0.2
