"""How well odd pictures are found."""
from __future__ import annotations

import pytest

from oco2_outliers.image_forest import (
    compare_detectors,
    simulate_pictures,
)


def test_a_bunch_of_the_same_odd_picture_does_not_hide_itself(tmp_path):
    truth = simulate_pictures(tmp_path, n_pictures=120, odd_kinds=["no_signal"] * 4 + ["night"] * 4)
    table = compare_detectors(truth.path, truth.path, truth.odd, features=["colour"])
    quality = table.set_index("detector").roc_auc
    assert quality.drop("random").min() > 0.9 > quality["random"]


@pytest.fixture(scope="module")
def iss(request):
    folder = request.getfixturevalue("shared_data") / "images" / "iss_hdev"
    if not folder.is_dir():
        pytest.skip(f"no ISS pictures at {folder}; the same path is tested on generated pictures")
    return {group.name: sorted(map(str, group.iterdir())) for group in sorted(folder.iterdir())}


def test_pictures_without_signal_stand_out_among_pictures_of_earth(iss):
    paths = sum(iss.values(), [])
    odd = [path in iss["cluster_10"] for path in paths]
    table = compare_detectors(paths, paths, odd, features=["colour"], detectors=["forest"]).set_index("detector")
    assert table.roc_auc["forest"] > 0.95
    train, test = paths[::2], paths[1::2]
    assert sum(path in iss["cluster_10"] for path in train) > 0
    clean = [path for path in train if path not in iss["cluster_10"]]
    table = compare_detectors(clean, test, [path in iss["cluster_10"] for path in test], features=["colour"])
    assert table.set_index("detector").roc_auc.drop("random").min() > 0.9


@pytest.mark.slow
@pytest.mark.parametrize("group", ["cluster_35", "cluster_01", "cluster_39"])
def test_a_group_never_seen_is_odder_than_a_guess(iss, group):
    other = sum((paths for name, paths in iss.items() if name != group), [])
    train, test = other[::2], other[1::2] + iss[group]
    table = compare_detectors(train, test, [path in iss[group] for path in test], detectors=["forest"])
    assert table.set_index("features").roc_auc["colour"] > 0.5
