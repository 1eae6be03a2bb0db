"""A scan of the same track gives the same digits, wherever its arrays lie in memory."""

import numpy as np

from oco2_outliers.peaks import scan_track


def test_a_scan_does_not_depend_on_where_its_arrays_lie():
    """A compiled loop that writes one array and sums another may take another path when the two lie close together."""
    rng = np.random.default_rng(0)
    x = np.sort(rng.uniform(0, 80, 226))
    xco2, uncertainty = 400 + rng.normal(0, 1, len(x)), rng.uniform(0.3, 0.9, len(x))
    seen, held = set(), []
    for _ in range(600):
        scan = scan_track(x.copy(), xco2.copy(), uncertainty.copy(), centres=np.arange(30.0, 90.0, 4), widths=[2.0],
                          window=11.5)
        seen.add(scan.amplitude.tobytes() + scan.amplitude_error.tobytes())
        held = [np.empty(rng.integers(1, 400)) for _ in range(rng.integers(1, 30))][::2] + held[:20]
    assert len(seen) == 1
