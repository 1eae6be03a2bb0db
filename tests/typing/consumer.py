"""What a user's own code looks like to mypy: it is checked, never run. `make lint` and a test check it.

Each `expected: T = ...` fails when a public name loses its types or changes them.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from oco2_outliers.datasets import Datasets, InputError, Transfer, read_table
from oco2_outliers.dbscan import (
    FeatureMatrix,
    IsolatedSoundings,
    do_dbcluster,
    feature_matrix,
    isolation_radius,
    search_optimal,
    sweep,
)
from oco2_outliers.image_forest import (
    ImageForest,
    judge_picture,
    load_dataset,
    quantify_image,
    scan_folder,
    train_model,
)
from oco2_outliers.main_job import IsolationResult, isolate
from oco2_outliers.peaks import PeakSearch, estimate_emission, find_peaks, fit_peak, read_peaks, scan_track
from oco2_outliers.plots import isolated_along_track
from oco2_outliers.soundings import (
    Granule,
    background,
    enhancement,
    read_lite,
    read_soundings,
    simulate_granule,
    track_distance,
    write_lite,
)


def store(folder: Path) -> pd.DataFrame:
    here: Datasets = Datasets(root=folder)
    sent: Transfer = here.upload("granule.nc4")
    print(sent)
    try:
        return read_table(folder / "granule.csv")
    except InputError as error:
        raise SystemExit(str(error)) from None


def main_job(path: Path) -> pd.DataFrame:
    result: IsolationResult = isolate(path, eps=[1.0, 2.0], min_samples=5)
    print(result.eps, result)
    result.save("isolated")
    return result.isolated


def own_table(table: pd.DataFrame) -> np.ndarray:
    matrix: FeatureMatrix = feature_matrix(table)
    radii: np.ndarray = isolation_radius(matrix.X, min_samples=5)
    labels: np.ndarray = IsolatedSoundings(eps=1.0).fit(matrix.X).labels_
    print(sweep(matrix.X), do_dbcluster, search_optimal)
    odd: np.ndarray = radii[labels == -1]
    return odd


def soundings(path: Path) -> pd.DataFrame:
    granule: Granule = simulate_granule(random_state=0)
    write_lite(granule.soundings, path)
    table: pd.DataFrame = read_lite(path, columns=["xco2", "latitude", "longitude"], quality=0)
    also: pd.DataFrame = read_soundings(path)
    along: pd.Series = track_distance(table)
    axes: Axes = isolated_along_track(also.assign(isolated=False, distance=along))
    print(axes, background(table), Path(path).stat())
    return enhancement(table)


def plumes(path: Path) -> float:
    search: PeakSearch = find_peaks(path)
    peaks: pd.DataFrame = search.peaks
    emission = estimate_emission(peaks.iloc[0])
    print(scan_track, fit_peak, read_peaks("peaks.csv"))
    return float(emission["emission"])


def pictures(folder: Path) -> pd.DataFrame:
    forest: ImageForest = train_model(folder, "colours.npz")
    colours: np.ndarray = quantify_image(np.zeros((8, 8, 3), np.uint8), bins=(3, 3, 3))
    table: np.ndarray = load_dataset(str(folder), bins=(3, 3, 3))
    print(colours, table, judge_picture, scan_folder, forest.predict(str(folder)))
    return forest.result_table(str(folder))
