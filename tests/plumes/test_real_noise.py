"""Mirror test, a given wind, what was left out, and doubts about peaks."""

import json

import numpy as np
import pytest

from oco2_outliers.ground.errors import InputError
from oco2_outliers.peaks import find_peaks
from oco2_outliers.soundings import simulate_granule


def test_mirror_wind_and_left_out_are_in_the_results(tmp_path):
    soundings = simulate_granule(0, n_seconds=60, delta=5)[0]
    soundings = soundings.drop(columns=["windspeed_u_met", "windspeed_v_met"], errors="ignore")
    soundings.loc[soundings.index[50], "xco2"] = np.nan
    found = find_peaks(soundings, tmp_path, n_surrogates=39, mirror=True, wind=(3, -4), figures=False)
    mirror = json.loads((tmp_path / "summary.json").read_text("utf-8"))["mirror"]
    assert mirror["orbits"] == 1 and mirror["interval"][0] <= mirror["share"] <= mirror["interval"][1]
    assert found.peaks[["windspeed_u", "windspeed_v"]].eq([3, -4]).all(axis=None)
    assert (tmp_path / "left_out.csv").exists() and 50 in set(found.left_out["row"])
    assert any("mirrored" in note for note in found.notes)


@pytest.mark.parametrize("wind", ["3,4", (1,), (1, np.nan), ("a", 2)])
def test_a_wind_is_two_numbers(wind):
    with pytest.raises(InputError, match="two numbers"):
        find_peaks(simulate_granule(0, n_seconds=10)[0], wind=wind)
