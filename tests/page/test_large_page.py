"""Ten million generated rows: the page is small, memory does not grow with the table, and each odd row is there."""

import numpy as np
import pyarrow.parquet as pq
import pytest
from test_explorer import read_back

from benchmarks.bench_explorer import large_page


def checked(n, folder, tab):
    """Figures of a page of n rows, after what it holds was compared with the file and a browser has opened it."""
    made = large_page(n, folder)
    meta, array = read_back(folder / "large.html")
    table = pq.read_table(folder / "large" / "combined.parquet", columns=["sounding_id", "ratio", "isolated"])
    ids, ratio, odd = (table[name].to_numpy() for name in table.column_names)
    held = array(next(each for each in meta["columns"] if each["name"] == "sounding_id"))
    assert np.array_equal(np.sort(held), np.sort(ids[odd | (ratio > meta["digest"]["floor"])]))
    assert made["points"] + made["summed"] == n == meta["digest"]["total"] and "left out" in meta["notes"][0]
    window = tab(folder / "large.html")
    assert window.run("explorer.nFlag") == odd.sum() and window.run("explorer.total") == n
    window.key("n")
    assert window.run("explorer.run.file") >= 0
    return made


@pytest.mark.slow
def test_ten_million_rows(tab, tmp_path):
    made = checked(10_000_000, tmp_path, tab)
    assert made["bytes"] < 40e6 and made["peak_mb"] < 1200


@pytest.mark.slow
def test_memory_does_not_grow_with_the_table(tmp_path):
    peaks = []
    for n in (1_500_000, 6_000_000):
        (folder := tmp_path / str(n)).mkdir()
        peaks.append(large_page(n, folder)["peak_mb"])
    assert peaks[1] < peaks[0] + 250
