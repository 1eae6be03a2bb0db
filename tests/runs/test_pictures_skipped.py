"""A run over pictures names what it could not use, with the reason; a combined table names all that it stands on."""

import json

import numpy as np
import pandas as pd
import pytest

from oco2_outliers.cli import main
from oco2_outliers.ground.errors import InputError
from oco2_outliers.ground.files import check_together
from oco2_outliers.image_forest import scan_folder, simulate_pictures
from oco2_outliers.scale import combine, map_files


@pytest.fixture
def folders(tmp_path):
    for name in "ab":
        simulate_pictures(tmp_path / "in" / name, n_pictures=6, odd_kinds=[])
        (tmp_path / "in" / name / "damaged.png").write_bytes(b"no picture")
    (tmp_path / "in" / "a" / "empty.jpg").write_bytes(b"")
    return tmp_path


def test_skipped_pictures_are_named_with_the_reason(folders, capsys):
    assert main(["run", "images", str(folders / "in"), "--out", str(folders / "out")]) == 0
    said = capsys.readouterr().out
    assert "skipped 3 pictures, see skipped.csv: " in said and "'damaged.png' and 1 more: " in said
    table = pd.read_csv(folders / "out" / "skipped.csv")
    assert table["path"].tolist() == [str(folders / "in" / name) for name in
                                      ("a/damaged.png", "a/empty.jpg", "b/damaged.png")]
    alone = scan_folder(folders / "in" / "a", folders / "scan", progress=False).attrs["skipped"]
    reasons = {path.rsplit("/", 1)[-1]: reason for path, reason in alone.itertuples(index=False)}
    assert table["reason"].tolist()[:2] == [reasons["damaged.png"], reasons["empty.jpg"]]
    assert map_files(folders / "in", "images", out=folders / "out").n_done == 0
    assert len(pd.read_csv(folders / "out" / "skipped.csv")) == 3  # kept lines tell it too
    for path in table["path"]:
        (folders / "in" / path).unlink()
    result = map_files(folders / "in", "images", out=folders / "out")
    assert "skipped" not in str(result) and not (folders / "out" / "skipped.csv").exists()


def test_a_combined_table_belongs_to_its_scale(tmp_path):
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"sounding_id": 2019071518322000 + np.arange(30), "xco2": 400 + rng.normal(size=30)})
    rows.to_csv(tmp_path / "a.csv", index=False)
    map_files(tmp_path / "a.csv", "isolate", out=tmp_path / "out", scale_over="run")
    combine(tmp_path / "out")
    assert set(json.loads((tmp_path / "out" / "combined.json").read_text())["sha256"]) >= {"run.json", "scaling.json"}
    check_together(tmp_path / "out" / "combined.parquet")
    rows.assign(xco2=rows["xco2"] * 2).to_csv(tmp_path / "a.csv", index=False)
    # another scale, and no table of it yet
    map_files(tmp_path / "a.csv", "isolate", out=tmp_path / "out", scale_over="run")
    with pytest.raises(InputError, match=r"scaling\.json is not the file that combined\.json"):
        check_together(tmp_path / "out" / "combined.parquet")
    combine(tmp_path / "out")
    check_together(tmp_path / "out" / "combined.parquet")
    map_files(tmp_path / "a.csv", "isolate", out=tmp_path / "out", resume=False)  # each file on its own scale
    assert not (tmp_path / "out" / "scaling.json").exists()
