"""Several results on one page: what is selected in one is selected, where it lies near, in the others."""

import numpy as np
import pandas as pd
import pytest

from oco2_outliers.cli import main
from oco2_outliers.explorer import explore
from oco2_outliers.ground.errors import InputError
from oco2_outliers.ground.verdicts import row_names
from oco2_outliers.links import match
from oco2_outliers.soundings.sphere import sphere_distance

NASTY = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def tables():
    """Rows along a track across the dateline, and fires, some of them beside the track."""
    rng = np.random.default_rng(5)
    n = 400
    track = pd.DataFrame({"id": [f"s{k}" for k in range(n)], "latitude": np.linspace(-10, 10, n),
                          "longitude": (179 + np.linspace(0, 2, n) + 180) % 360 - 180, "score": rng.uniform(0, 2, n),
                          "time": pd.Timestamp("2020-06-01") + pd.to_timedelta(np.arange(n), "s")})
    track["outlier"] = track["score"] > 1.9
    track["reason"] = np.where(track["outlier"], NASTY, "")
    fires = track.iloc[::40][["latitude", "longitude", "time"]].assign(score=1.0, outlier=True, reason="hot")
    return track, fires.reset_index(drop=True)


def near(track, fires, km):
    return sphere_distance(track["latitude"].to_numpy()[:, None], track["longitude"].to_numpy()[:, None],
                           fires["latitude"].to_numpy(), fires["longitude"].to_numpy()) <= km


def test_a_selection_in_one_selects_what_is_near_in_the_others(tables, tab, tmp_path):
    track, fires = tables
    page = explore([track, fires], tmp_path / "page.html", within_km=30, within_hours=None)
    assert page.n_rows == len(track) + len(fires)
    window, told = tab(page.path), near(track, fires, 30)
    window.run("linked.explorers[1].setSelected([3])")
    assert window.run("linked.explorers[0].selectedRows()") == np.flatnonzero(told[:, 3]).tolist()
    window.run("linked.explorers[0].setSelected([200, 7])")
    assert window.run("linked.explorers[1].selectedRows()") == np.flatnonzero(told[[200, 7]].any(axis=0)).tolist()
    window.run("linked.explorers[0].setSelected([])")
    assert window.run("linked.explorers[1].selectedRows()") == []
    assert window.run("document.querySelectorAll('img').length") == 0  # names from outside are shown, and do nothing


def test_the_list_of_pairs_shows_both_rows(tables, tab, tmp_path):
    track, fires = tables
    page = explore([track, fires], tmp_path / "page.html", within_km=30, within_hours=1)
    window, found = tab(page.path), match(track, fires, 30, 1)
    assert window.run("document.querySelector('.lk-list p').textContent").startswith(
        f"Of the odd rows of the first, {found.n_matched} of {int(track['outlier'].sum())} rows have a match within "
        "30 km and 1 h")
    assert window.run("document.querySelectorAll('.lk-list tbody tr').length") == min(len(found.pairs), 20)
    window.run("document.querySelector('.lk-list tbody button').click()")
    nearest = found.pairs.sort_values("distance_km", kind="stable").iloc[0]
    for number, (table, name) in enumerate(((track, nearest["a"]), (fires, nearest["b"]))):
        [row] = window.run(f"linked.explorers[{number}].selectedRows()")
        assert row_names(table)[row] == name


@pytest.mark.parametrize("width", [1300, 400])
def test_nothing_reaches_over_the_side(tables, tab, tmp_path, width):
    page = explore(list(tables), tmp_path / "page.html", within_km=30)
    window = tab(page.path, width, 900)
    assert window.run("document.documentElement.scrollWidth") <= width


def test_the_command_and_what_it_refuses(tables, tmp_path, capsys):
    for table, name in zip(tables, ("track.csv", "fires.csv")):
        table.to_csv(tmp_path / name, index=False)
    both = [str(tmp_path / name) for name in ("track.csv", "fires.csv")]
    assert main(["explore", *both, "--within-hours", "any", "--out", str(tmp_path / "page.html")]) == 0
    assert "linked-meta" in (tmp_path / "page.html").read_text("utf-8")
    assert main(["explore", *both, "--within-hours", "soon", "--out", str(tmp_path / "no.html")]) == 2
    assert main(["explore", *both, "--out", both[0]]) == 2  # never over an input
    assert not (tmp_path / "no.html").exists() and pd.read_csv(both[0]).shape == (400, 7)
    with pytest.raises(InputError, match="no column latitude"):
        explore([tables[0], tables[1].drop(columns="latitude")], tmp_path / "no.html")
    with pytest.raises(InputError, match="two to six"):
        explore([tables[0]], tmp_path / "no.html")


def test_where_too_much_is_near_only_odd_rows_are_linked(tables, tab, tmp_path, monkeypatch):
    monkeypatch.setattr("oco2_outliers.links.linked_page._MOST_LINKS", 50)
    track, fires = tables
    window = tab(explore([track, fires], tmp_path / "page.html", within_km=300, within_hours=None).path)
    assert "so only odd rows are linked" in window.run("document.querySelector('header').textContent")
    window.run("linked.explorers[1].setSelected([3])")
    wanted = near(track, fires, 300)[:, 3] & track["outlier"].to_numpy()
    assert window.run("linked.explorers[0].selectedRows()") == np.flatnonzero(wanted).tolist()


def test_the_pictures_of_a_linked_page_are_not_written_over(tables, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.png").write_bytes(b"a picture")
    shown = tables[1].assign(path="a.png")
    with pytest.raises(InputError, match="a.png"):
        explore([shown, tables[0]], "a.png")
    assert (tmp_path / "a.png").read_bytes() == b"a picture"


def test_each_link_says_what_counts_as_near(tables, tab, tmp_path):
    track, fires = tables
    window = tab(explore([fires.drop(columns="time"), track, fires], tmp_path / "page.html", within_km=30,
                         within_hours=1).path)
    told = window.run("document.querySelector('header').textContent")
    assert told.count("place alone counts") == 2  # of the two links with the table that has no times
    window.run("linked.explorers[2].setSelected([3])")
    said = window.run("linked.said.textContent")
    assert "(within 30 km)" in said and "(within 30 km and 1 h)" in said
