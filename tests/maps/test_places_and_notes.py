"""What is said of tiles holds: outlines that lie nowhere."""

import re

import numpy as np
import pandas as pd
import pytest
from embedding_files import CLAY, clay_table, replaced, write

from oco2_outliers.ground.errors import InputError
from oco2_outliers.ground.languages import language
from oco2_outliers.image_clusters import odd_pictures
from oco2_outliers.maps.grid_names import check_places
from oco2_outliers.maps.polygons import box_wkb
from oco2_outliers.maps.reading import read_embeddings
from oco2_outliers.maps.strays import isolate_embeddings
from oco2_outliers.maps.table import Embeddings


def test_outlines_in_metres_have_no_place_and_no_kilometres():
    X = np.random.default_rng(0).normal(size=(60, 8)).astype(np.float32)
    metres = np.array([box_wkb(5e5 + 1e3 * i, 4.5e6, 5.01e5 + 1e3 * i, 4.501e6) for i in range(60)], object)
    e = Embeddings(X, pd.DataFrame(index=range(60)), metres)
    assert e.table[["latitude", "longitude"]].isna().all(axis=None) and e.table["west"].notna().all()
    assert set(check_places(e)["reason"]) == {"off the globe"}
    found = isolate_embeddings(e, eps=0.1)
    assert found.table["nearest_km"].isna().all() and not found.strays["reason"].str.contains("km away").any()


def test_outlines_off_the_globe_and_empty_ones_are_counted(tmp_path):
    table = clay_table(n=6)
    outlines = table["geometry"].to_pylist()
    outlines[:3] = box_wkb(5e5, 4.5e6, 5.01e5, 4.501e6), None, bytes.fromhex("010300000000000000")
    write(tmp_path, CLAY, replaced(table, "geometry", [outlines]))
    notes = read_embeddings(tmp_path).notes
    assert "2 rows without an outline" in notes
    assert any(note.startswith("1 outline off the globe, so without a place") for note in notes)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int16])
def test_a_masked_number_is_a_missing_one(dtype):
    X = (100 * np.random.default_rng(0).normal(size=(60, 8))).astype(dtype)
    held = np.ma.array(X, mask=False)
    np.testing.assert_array_equal(isolate_embeddings(held).table["score"], isolate_embeddings(X).table["score"])
    held[7, 3] = np.ma.masked
    for given in (held, Embeddings(held, pd.DataFrame(index=range(60)))):
        with pytest.raises(InputError, match="row 7 of the embeddings holds a number that is missing"):
            isolate_embeddings(given)


@pytest.mark.parametrize("find", [isolate_embeddings, odd_pictures])
def test_a_kind_that_is_called_as_a_whole_gets_a_word(find):
    rng = np.random.default_rng(0)
    dense, loose = rng.normal(0, 0.02, (400, 32)) + np.eye(32)[0], rng.normal(0, 0.3, (200, 32)) + np.eye(32)[1]
    told = {}
    for name, X in (("both", np.vstack([dense, loose])), ("dense", dense), ("loose", loose)):
        found = find(X)
        notes = found.notes if find is isolate_embeddings else found.attrs["notes"]
        told[name] = [note for note in notes if "stand alone" in note]
    assert told["dense"] == told["loose"] == []
    share = re.match(r"(\d+)% of the " + ("tiles" if find is isolate_embeddings else "pictures"), told["both"][0])
    assert share is not None and 8 < int(share[1]) <= 33
    for code in ("fr", "es"):
        assert share[1] in language(code)(told["both"][0]) and "stand alone" not in language(code)(told["both"][0])
