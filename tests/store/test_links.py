"""Files behind links are sent under every name that they have, and a link that leads up again is told."""
import glob
import os
import warnings

import pytest

from oco2_outliers.datasets import Datasets
from oco2_outliers.store.transfers import _glob


@pytest.fixture
def tree(tmp_path):
    """Folders, two links to one of them, one to a folder elsewhere, and none that leads up."""
    for name in ("up/a/1.csv", "up/b/c/2.csv", "up/b/.h/3.csv", "elsewhere/d/4.csv", "up/[e]/5.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    for name, target in {"up/z": "b", "up/a/again": "../b", "up/far": "../elsewhere", "elsewhere/d/back": "../../up/b",
                         "up/file.csv": "a/1.csv"}.items():
        (tmp_path / name).symlink_to(target)
    return tmp_path / "up"


WHOLE = ["[e]/5.csv", "a/1.csv", "a/again/.h/3.csv", "a/again/c/2.csv", "b/.h/3.csv", "b/c/2.csv", "far/d/4.csv",
         "far/d/back/.h/3.csv", "far/d/back/c/2.csv", "file.csv", "z/.h/3.csv", "z/c/2.csv"]


def test_nothing_behind_a_link_is_dropped(tree, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert sorted(Datasets(str(tmp_path / "s")).upload(tree, "", recursive=True).sent) == WHOLE
    assert (tmp_path / "s/far/d/back/c/2.csv").read_text() == "up/b/c/2.csv"


@pytest.mark.parametrize("mask", ["", "/**", "/**/*"])
def test_links_that_lead_up_are_told(tree, tmp_path, mask):
    (tree / "b/c/up").symlink_to("../..")
    (tree / "b/self").symlink_to(".")
    (tree / "root").symlink_to("/")
    (tree / "[e]/above").symlink_to(tmp_path)
    # The folder b is met four times, with two links in it each time.
    with pytest.warns(UserWarning, match=r"^10 links to a folder above them are left out: '\w+', '\w+', '\w+', ...$"):
        sent = Datasets(str(tmp_path / "s")).upload(f"{tree}{mask}", "", recursive=True).sent
    assert sorted(sent) == [name for name in WHOLE if not mask or "/.h" not in name]
    assert sorted(os.listdir(tree)) == ["[e]", "a", "b", "far", "file.csv", "root", "z"]


def test_one_link_up_is_one(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a/1.csv").touch()
    (tmp_path / "a/up").symlink_to(tmp_path)
    for recursive in (False, True):
        with pytest.warns(UserWarning, match="^1 link to a folder above it is left out: 'up'$"):
            assert Datasets(str(tmp_path / "s")).upload(tmp_path / "a", "p/", recursive=recursive, force=True).sent == [
                "p/1.csv"]


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("mask", ["**", "**/*.csv", "b/**", "*/**/2.csv", "**/c/**", "**/**", "**/c/*", "./**/*.csv",
                                  "a*", "[[]e]/**", "none/**", "**/none", "b/**/", "*/*/*", "a**", "b/c/2.csv"])
def test_patterns_mean_what_they_mean_elsewhere(tree, monkeypatch, mask, hidden):
    monkeypatch.chdir(tree)
    theirs = glob.glob(mask, recursive=True, include_hidden=hidden)
    for lead in ("", f"{glob.escape(str(tree))}/"):
        ours = _glob(lead + mask, True, hidden, set())
        assert len(ours) == len(set(ours))
        assert sorted(os.path.relpath(path) for path in ours) == sorted(
            {os.path.relpath(path) for path in theirs if os.path.isfile(path)})
