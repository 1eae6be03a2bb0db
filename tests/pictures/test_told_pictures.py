"""What is said of pictures holds: colours by names of their own, and files by what is wrong with them."""

import numpy as np
import pytest

from oco2_outliers.albums.odd_ones import _BINS
from oco2_outliers.pictures.reasons import UsualRange, column_names, reasons_of


@pytest.mark.parametrize("bins", [_BINS, (3, 3, 3), (4, 6, 3), (18, 3, 3), (16, 2, 5), (3, 3, 8)])
def test_no_two_colours_of_a_reason_bear_one_name(bins):
    names = column_names("colour", bins)
    assert len(set(names)) == len(names) == np.prod(bins)
    shares = np.zeros((60, len(names)))
    shares[:, 0] = 1
    usual = UsualRange.of(shares, "colour", bins)
    odd = np.zeros((1, len(names)))
    odd[0, -3:] = 1 / 3
    told = [part.partition(": ")[2].partition(" (")[0] for part in reasons_of(usual, odd)[0].split("; ")]
    assert len(set(told)) == len(told) > 1


def test_words_of_odd_pictures_need_no_steps():
    assert not any("[" in name for name in column_names("colour", _BINS))
