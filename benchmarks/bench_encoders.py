"""Autoencoders beside themselves before training, and beside pixels: groups, odd pictures, and the time of an epoch.

Run ``python -m benchmarks.bench_encoders [FOLDER] [--epochs N] [--models strided,simple_conv] [--seeds N]`` with
PyTorch. FOLDER holds a subfolder per group of real pictures; 2,500 generated scenes of eight kinds and 800 generated
textures of eight kinds are always tried.
Every tenth picture is kept apart to validate by. It prints, for each net untrained and trained, the adjusted Rand index
of Ward's groups with an interval from halves of the pictures, and its range over the seeds; the ROC AUC of isolation
radii where one, three or seven pictures of a group lie among those of the others; beside both, pixels and chance.
"""
from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score

from benchmarks.bench_albums import KINDS, SIZE, areas, told
from benchmarks.picture_kinds import draw_kind
from oco2_outliers.albums.axes import PixelAxes, small_pixels
from oco2_outliers.albums.nets import MODELS
from oco2_outliers.albums.reading import read_album
from oco2_outliers.albums.training import train_autoencoder
from oco2_outliers.isolation.radii import isolation_radius
from oco2_outliers.maps.groups import rand_interval
from oco2_outliers.pictures.simulated import ODD_KINDS, simulate_pictures


def textures(n: int) -> tuple[np.ndarray, np.ndarray]:
    "Small pictures of eight kinds of texture, which begin anew in every picture, and their kinds."
    each = -(-n // len(KINDS))
    pictures = [small_pixels(picture, SIZE) for kind in KINDS for picture in draw_kind(kind, each, 96)]
    return np.stack(pictures)[:n], np.repeat(np.arange(len(KINDS)), each)[:n]


def scenes(n: int) -> tuple[np.ndarray, np.ndarray]:
    "Small pictures of eight kinds of scenes and faults, and their kinds."
    with tempfile.TemporaryDirectory() as folder:
        truth = simulate_pictures(folder, 1, odd_kinds=list(ODD_KINDS) * -(-n // len(ODD_KINDS)), random_state=1)
        truth = truth[truth["kind"] != "forest"][:n]
        album = read_album(truth, lambda picture: small_pixels(picture, SIZE), SIZE, "path")
    return np.stack(album.described), np.unique(truth["kind"], return_inverse=True)[1]


def real(folder: str) -> tuple[np.ndarray, np.ndarray]:
    "Small pictures of a folder, and the number of the subfolder of each."
    album = read_album(folder, lambda picture: small_pixels(picture, SIZE), SIZE, "path")
    groups = [Path(path).parent.name for path in album.table["path"]]
    return np.stack(album.described), np.unique(groups, return_inverse=True)[1]


def trained(model, pictures: np.ndarray, epochs: int) -> str:
    "Train a net on nine of ten pictures; the last losses and CPU seconds an epoch."
    last = np.arange(len(pictures)) % 10 == 9
    begin = time.process_time()
    losses = train_autoencoder(model, pictures[~last], pictures[last], epochs=epochs)
    each = (time.process_time() - begin) / epochs
    loss, judged = losses.iloc[-1][["loss", "val_loss"]]
    return f"loss {loss:.4f}, {judged:.4f} of others; {each:.2f} CPU s an epoch"


def speed(models: str) -> None:
    "CPU seconds of an epoch of 2,500 pictures, on one thread; the median of three."
    pictures = np.random.default_rng(0).integers(0, 256, (2501, 27, 48, 3), dtype=np.uint8)
    print("\n| an epoch of 2,500 pictures | CPU s |\n|---|---|")
    for name in models.split(","):
        times = []
        for _ in range(3):
            begin = time.process_time()
            train_autoencoder(MODELS[name](), pictures[:2500], pictures[2500:], epochs=1)
            times.append(time.process_time() - begin)
        print(f"| {name} | {np.median(times):.1f} |", flush=True)


def ward(vectors: np.ndarray, k: int) -> np.ndarray:
    "Labels of k groups."
    return AgglomerativeClustering(k).fit_predict(vectors)


def cell(truth: np.ndarray, vectors: list[np.ndarray]) -> str:
    "Rand index of the first seed with its interval, and the range over all seeds."
    labels = [ward(each, len(set(truth))) for each in vectors]
    every = [adjusted_rand_score(truth, each) for each in labels]
    text = "{:.2f} ({:.2f} to {:.2f})".format(*rand_interval(truth, labels[0]))
    return text if len(every) < 2 else f"{text}, seeds {' '.join(f'{each:.2f}' for each in every)}"


def odd_cells(truth: np.ndarray, encode: Callable[[np.ndarray], np.ndarray], draws: int) -> str:
    "ROC AUC of the radii, one, three and seven odd pictures; at most 40 pictures of a generated kind."
    groups = [np.flatnonzero(truth == group)[:70 if len(truth) < 1000 else 40] for group in np.unique(truth)]
    return " | ".join(told(areas(groups, n, lambda rows: isolation_radius(encode(rows).astype(float), 10), draws))
                      for n in (1, 3, 7))


def report(title: str, pictures: np.ndarray, truth: np.ndarray, asked: argparse.Namespace, epochs: int) -> None:
    "All that is asked of one album."
    print(f"\n| {title}: {len(pictures):,} pictures, {epochs} epochs | Ward | odd: one | three | seven |")
    print("|---|---|---|---|---|")
    axes = PixelAxes.learn(pictures, SIZE).encode(pictures)
    pixels = odd_cells(truth, lambda rows: PixelAxes.learn(pictures[rows], SIZE).encode(pictures[rows]), asked.draws)
    print(f"| pixels | {cell(truth, [axes])} | {pixels} |", flush=True)
    for name in asked.models.split(","):
        nets = [MODELS[name](seed=seed) for seed in range(asked.seeds)]
        for state in ("untrained", "trained"):
            notes = [trained(net, pictures, epochs) for net in nets] if state == "trained" else [""]
            vectors = [net.encode(pictures) for net in nets]
            odd = odd_cells(truth, lambda rows, found=vectors[0]: found[rows], asked.draws)
            print(f"| {name}, {state} | {cell(truth, vectors)} | {odd} | {notes[0]}", flush=True)
    rng = np.random.default_rng(0)
    chance = [adjusted_rand_score(truth, rng.permutation(truth)) for _ in range(200)]
    random = odd_cells(truth, lambda rows: rng.normal(size=(len(rows), 50)), asked.draws)
    print("| at random | {:.2f} ({:.2f} to {:.2f}) | {} |".format(np.mean(chance), *np.percentile(chance, (2.5, 97.5)),
                                                               random))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", help="subfolders are groups of real pictures")
    parser.add_argument("--epochs", type=int, default=20, help="a quarter of them for the 2,500 scenes")
    parser.add_argument("--models", default=",".join(MODELS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--scenes", type=int, default=2500)
    parser.add_argument("--textures", type=int, default=800)
    parser.add_argument("--speed", action="store_true", help="time an epoch, too")
    asked = parser.parse_args()
    albums = {"real groups": real(asked.folder)} if asked.folder else {}
    albums |= {name: draw(n) for name, draw, n in (("kinds of scenes", scenes, asked.scenes),
                                                  ("kinds of textures", textures, asked.textures)) if n}
    if asked.speed:
        speed(asked.models)
    for name, (pictures, truth) in albums.items():
        epochs = max(1, asked.epochs // 4) if len(pictures) > 1000 else asked.epochs
        report(f"{len(set(truth))} {name}", pictures, truth, asked, epochs)


if __name__ == "__main__":
    main()
