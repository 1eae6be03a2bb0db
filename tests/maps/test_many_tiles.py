"""A folder of 300,000 tiles: read, kept and judged in a process that is measured."""

import json
import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from embedding_files import clay_table, replaced, write

from oco2_outliers.maps.simulated import simulate_embeddings

FILES = int(os.environ.get("OCO2_FILES", "30"))
JUDGE = """
import json, resource, sys, time
from oco2_outliers.embeddings import isolate_embeddings, read_embeddings
start = time.perf_counter()
tiles = read_embeddings(sys.argv[1], cache=sys.argv[2])
read = time.perf_counter()
found = isolate_embeddings(tiles)
print(json.dumps({"tiles": len(tiles), "strays": len(found.strays), "read_s": round(read - start, 1),
                  "judge_s": round(time.perf_counter() - read, 1),
                  "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9}))
"""


@pytest.mark.slow
def test_300_000_tiles_of_30_files_within_8_gb(tmp_path, capsys):
    """At 768 numbers a tile, 0.9 GB of vectors; time and peak are printed. OCO2_FILES says how many files."""
    for i in range(FILES):
        made = simulate_embeddings(i, n=10_000)
        table = clay_table(10_000, 1, i)
        write(tmp_path / "in", f"03WVN_20220610_20220610_v{i:03d}.gpq",
              replaced(table, "embeddings", pa.array(list(made.X), pa.list_(pa.float32()))))
    done = subprocess.run([sys.executable, "-c", JUDGE, tmp_path / "in", tmp_path / "kept"], capture_output=True,
                          text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    with capsys.disabled():
        print(told)
    assert told["tiles"] == FILES * 10_000 and told["peak_gb"] < 8 and 0 < told["strays"] < 0.05 * told["tiles"]
    assert np.load(tmp_path / "kept" / "X.npy", mmap_mode="r").shape == (FILES * 10_000, 768)
