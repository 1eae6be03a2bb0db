"""The walk of the original project of pictures, by its make targets, on generated pictures and without a network."""

import os
import shlex
import sqlite3
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from oco2_outliers.cli import main
from oco2_outliers.image_forest import simulate_pictures

CONFIG = """
directory:
  project_dir: ${PROJECT_DIR}
  data_dir: ${PROJECT_DIR}/data
  collections: ${PROJECT_DIR}/data/raw/collections
sampling:
  autoencoder:
    seed: 37672
    proportions: {train: 0.7, test: 0.2, valid: 0.1}
    directory: {from: collections, base: "${PROJECT_DIR}/data/processed/models/autoencoder"}
models:
  simple_conv:
    save_directory: ${PROJECT_DIR}/models/simple_conv
    model_name: model_dev
    epochs: 1
    batch_size: 32
    learning_rate: 0.001
    callbacks: {checkpoint: {period: 20}, floyd: true}
clustering:
  classical:
    version: 2
    model: {type: simple_conv, name: model_dev}
    CAH: {n_clusters: 3}
    save_directory: ${PROJECT_DIR}/models/clustering/classical
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a configuration, a history, and a camera that has pictures."""
    monkeypatch.delenv("MODE", raising=False)
    folder = tmp_path / "work"
    (folder / "config").mkdir(parents=True)
    (folder / ".env").write_text(f'MODE=dev\nPROJECT_DIR="{folder}"\n')
    (folder / "config" / "config_dev.yaml").write_text(CONFIG)
    (folder / "data" / "raw" / "history").mkdir(parents=True)
    kinds = ["desert"] * 16 + ["snow"] * 13 + ["no_signal"]
    made = simulate_pictures(tmp_path / "camera", n_pictures=30, odd_kinds=kinds, size=(96, 54), random_state=5)
    lines = [f"{i - 20}.5;{3 * i}.25;20180513-{10 + i // 60:02d}{i % 60:02d}01;Sea" for i in range(len(made))]
    (folder / "data" / "raw" / "history" / "history.txt").write_text("\n".join(lines) + "\n")
    return folder


def walk(root: Path, target: str, project: Path, **more: str) -> None:
    """Run the commands that a target of the Makefile runs, in this process."""
    asked = [f"{name}={value}" for name, value in {"PROJECT_DIR": project, **more}.items()]
    own = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MFLAGS", "ARGS")}
    told = subprocess.run(["make", "-n", target, *asked], cwd=root, capture_output=True, text=True, check=True,
                          env=own).stdout  # not what the make of these tests was given
    lines = [shlex.split(line) for line in told.splitlines() if "bin/oco2-outliers " in line]
    assert lines, told
    for words in lines:
        assert main(words[1:]) == 0, words


def test_the_walk_of_the_original_without_torch(project, root, capsys):
    walk(root, "sync_collections", project, SOURCE=project.parent / "camera")
    assert len(list((project / "data/raw/collections").iterdir())) == 60
    walk(root, "populate_db", project)
    walk(root, "sampling", project)
    parts = [len(list((project / "data/processed/models/autoencoder" / part / "k").iterdir()))
             for part in ("train", "test", "valid")]
    assert sum(parts) == 60 and parts[0] > 25 and min(parts) >= 3
    walk(root, "exec_clustering", project)
    groups = project / "models/clustering/classical/pixels_model_dev_2"
    assert {"clustering.npz", "silhouettes_score.png", "dendograms.png", "tsne_clusters.png", "tsne_map.html",
            "cluster_00.png", "cluster_02.png", "mosaics.csv"} <= {path.name for path in groups.iterdir()}
    odd = pd.read_parquet(project / "data/processed/odd.parquet")
    assert odd.loc[odd["score"].idxmax(), "outlier"] and len(odd) == 60
    walk(root, "facets", project)
    assert "v2_label" in (project / "reports/facets.html").read_text("utf-8")
    walk(root, "posters", project)
    posters = project / "reports/posters"
    with Image.open(next(path for path in posters.glob("version_*.jpg") if "template" not in path.name)) as poster:
        assert poster.size == (2880, 4320)
    assert main(["catalog", "add", str(posters / "posters.csv"), "--project-dir", str(project)]) == 0
    walk(root, "config_template", project)
    assert "XXX" in (project / "config/config.template.yaml").read_text()
    with sqlite3.connect(project / "data/catalog.db") as database:
        count = {name: database.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
                 for name in ("pictures_location", "pictures_embedding", "posters")}
    assert count == {"pictures_location": 60, "pictures_embedding": 60, "posters": 22}
    assert "callbacks.floyd is ignored" in "".join(capsys.readouterr())


@pytest.mark.torch
def test_the_walk_trains_and_encodes_by_the_net(project, root):
    walk(root, "sync_collections", project, SOURCE=project.parent / "camera")
    walk(root, "populate_db", project)
    walk(root, "sampling", project)
    walk(root, "training", project, MODEL="simple_conv")
    assert len(pd.read_csv(project / "models/simple_conv/model_dev_training.log")) == 1
    walk(root, "exec_clustering", project, MODEL="simple_conv", METHOD="classical")
    assert (project / "models/clustering/classical/simple_conv_model_dev_2/clustering.npz").exists()


def test_what_the_configuration_lacks_is_told(project, capsys):
    (project / "config" / "config_dev.yaml").write_text("directory: {colections: x}\n")
    assert main(["images", "sample", "--project-dir", str(project)]) == 2
    assert "unknown key directory.colections (nearest: directory.collections)" in capsys.readouterr().err
    (project / "config" / "config_dev.yaml").write_text("directory: {data_dir: x}\n")
    assert main(["images", "sample", "--project-dir", str(project)]) == 2
    assert "FOLDER" in capsys.readouterr().err
    assert main(["images", "sample", "--project-dir", str(project), "--mode", "prod"]) == 2
    assert "config_prod.yaml" in capsys.readouterr().err
