"""How well each description and each judge finds the odd pictures: generated ones, and real ones if they are there.

Run ``python -m benchmarks.bench_odd_pictures [FOLDER]``; it prints markdown tables of the area under the ROC curve.
FOLDER holds a subfolder per group of pictures of the ISS camera (cluster_10: no signal). Novelty detection throughout:
trained on every second picture of the usual kinds, tried on the others and the odd ones.
"""
from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

import pandas as pd

from oco2_outliers.image_forest import compare_detectors, simulate_pictures
from oco2_outliers.pictures.judges import DETECTORS
from oco2_outliers.pictures.presets import DEFAULT_FEATURES
from oco2_outliers.pictures.simulated import ODD_KINDS


def markdown(title: str, compared: pd.DataFrame, value: str = "roc_auc") -> str:
    "The comparison as a markdown table, one column per detector."
    chance = compared.set_index("detector")[value]["random"]
    wide = compared[compared.detector != "random"].pivot(index="features", columns="detector", values=value)
    wide = wide.loc[[f for f in compared.attrs["features"] if f in wide.index], list(DETECTORS)]
    rows = [f"| {row.Index} | " + " | ".join(f"{x:.3f}" for x in row[1:]) + " |" for row in wide.itertuples()]
    head = f"| {title} | " + " | ".join(wide.columns) + " |"
    return "\n".join([head, "|---" * (len(wide.columns) + 1) + "|", *rows, f"| at random | {chance:.3f} |" + " |" * 4])


def compared(train: list, test: list, odd: list) -> pd.DataFrame:
    "The comparison, with the names of the descriptions in order."
    features = ["colour", "layout", "texture", "thumbnail", "colour+layout+texture", DEFAULT_FEATURES]
    table = compare_detectors(train, test, odd, features=features)
    table.attrs["features"] = features
    return table


def generated(work: Path) -> pd.DataFrame:
    "Sixty good pictures; on trial sixty more, with five of each odd kind."
    good = simulate_pictures(work / "good", 60, [], random_state=7)
    trial = simulate_pictures(work / "trial", 60, [*ODD_KINDS] * 5, random_state=11)
    return compared(list(good.path), list(trial.path), list(trial.odd))


def held_out(groups: dict[str, list[str]], odd: str) -> pd.DataFrame:
    "One group is odd, the others are usual; the pictures without signal are usual to no one."
    usual = sum((paths for name, paths in groups.items() if name not in (odd, "cluster_10")), [])
    test = usual[1::2] + groups[odd]
    return compared(usual[::2], test, [False] * len(usual[1::2]) + [True] * len(groups[odd]))


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, help="subfolders are groups; each is held out as odd once")
    folder = parser.parse_args(argv).folder
    with tempfile.TemporaryDirectory() as work:
        table = generated(Path(work))
    print(markdown("generated: ROC AUC", table), "\n")
    print(markdown("generated: average precision", table, "average_precision"), "\n")
    if folder is None:
        return
    groups = {group.name: sorted(map(str, group.iterdir())) for group in sorted(folder.iterdir())}
    for odd in groups:
        print(markdown(f"ISS, {odd} odd ({len(groups[odd])} pictures): ROC AUC", held_out(groups, odd)), "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
