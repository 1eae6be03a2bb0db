"""Small Lite files of every layout, and where the real ones are."""

from __future__ import annotations

import io

import h5netcdf
import h5py
import numpy as np
import pytest
from layout import SHARED_DATA

LITE = SHARED_DATA / "soundings" / "lite_v10r_ohio"
SECUNDA = SHARED_DATA / "soundings" / "orbit11522_20160831_secunda.csv"
needs_real = pytest.mark.skipif(not LITE.is_dir(), reason="no real Lite files; generated ones take the same path")
IDS = np.array([2016083112023031, 2016083112023032, 2016083112023033], np.uint64)


def lite_file(variables: dict, dimension: str = "sounding_id", n: int | None = None) -> io.BytesIO:
    """A netCDF file from {path: (values, attrs)}; 2-D values get a second dimension `levels`."""
    buffer = io.BytesIO()
    with h5netcdf.File(buffer, "w") as file:
        n = len(next(iter(variables.values()))[0]) if n is None else n
        file.dimensions = {dimension: n, "levels": 20}
        for path, (values, attrs) in variables.items():
            group, _, name = path.rpartition("/")
            where = file if not group else file.groups.get(group) or file.create_group(group)
            values = np.asarray(values)
            dims = (dimension, "levels")[: values.ndim]
            dtype = h5py.string_dtype() if values.dtype.kind in "UO" else values.dtype
            variable = where.create_variable(name, dims, dtype=dtype)
            variable[...] = values.astype(object) if values.dtype.kind in "UO" else values
            variable.attrs.update(attrs)
    buffer.seek(0)
    return buffer


# The products of V9 and V11, and a subset without groups.
V9 = {"sounding_id": IDS.astype("i8"), "xco2": [400.0, 401, 402], "warn_level": np.array([1, 2, 127], "i1"),
      "Meteorology/psurf_apriori": [1000.0, 1001, -999999], "Sounding/footprint": np.array([1, 2, 3], "i1")}
V11 = {"sounding_id": IDS, "xco2": [400.0, 401, 402], "xco2_x2019": [400.2, 401.2, 402.2],
       "Retrieval/psurf_apriori_o2a": [1000.0, 1001, 1002], "Sounding/operation_mode": np.array([4, 4, 4], "i1"),
       "Sounding/target_id": ["fossil0001", "fossil0001", ""]}
SUBSET = {"sounding_id": IDS, "xco2": [400.0, 401, -999999]}
