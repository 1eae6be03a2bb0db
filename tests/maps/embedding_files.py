"""Files of embeddings as their makers write them, small."""

import datetime
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from oco2_outliers.maps.polygons import box_wkb

CLAY = "03WVN_20220610_20220610_v001.gpq"


def clay_table(n=5, d=8, seed=0, square="03WVN", west=-167.0, south=65.0):
    """Rows of Clay: a link, a day, a vector, an outline."""
    X = np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)
    return pa.table({
        "index": np.arange(n), "source_url": [f"s3://t/{square}/claytile_{square}_{i:04d}.tif" for i in range(n)],
        "date": [datetime.date(2022, 6, 10)] * n, "embeddings": pa.array(list(X), pa.list_(pa.float32())),
        "geometry": [box_wkb(west + i / 10, south, west + (i + 1) / 10, south + 0.05) for i in range(n)]})


def with_notes(table, **notes):
    """The table with notes as JSON beside its columns."""
    return table.replace_schema_metadata({key: json.dumps(value) for key, value in notes.items()})


def replaced(table, name, values):
    """The table with another column of that name."""
    return table.set_column(table.column_names.index(name), name, values)


def write(folder, name, table, **how):
    """Write a table into a folder; returns the path."""
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / name, **how)
    return folder / name
