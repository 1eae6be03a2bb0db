"""A generated granule, and its Lite file."""

from __future__ import annotations

import io

import pytest

from oco2_outliers.soundings import simulate_granule, write_lite


@pytest.fixture(scope="module")
def granule():
    return simulate_granule(7, n_seconds=40)


@pytest.fixture(scope="module")
def lite_bytes(granule) -> bytes:
    buffer = io.BytesIO()
    write_lite(granule.soundings, buffer)
    return buffer.getvalue()


@pytest.fixture
def needs_geopandas(request):
    if "ending" in request.fixturenames and request.getfixturevalue("ending") in (".geoparquet", ".gpq"):
        pytest.importorskip("geopandas", reason="no geopandas (extra geo); the other endings go the same way")
