"""Files of one result belong together: a writer that is killed between two renames leaves no mixture that opens."""

import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from oco2_outliers import main_job
from oco2_outliers.cli import main
from oco2_outliers.ground import files
from oco2_outliers.ground.errors import InputError
from oco2_outliers.ground.files import check_together
from oco2_outliers.image_forest import scan_folder, simulate_pictures
from oco2_outliers.main_job import isolate
from oco2_outliers.page.sources import source_of
from oco2_outliers.peaks import find_peaks, read_peaks
from oco2_outliers.scale import combine, map_files
from oco2_outliers.soundings import simulate_granule

RESULTS = {}


def result(writer):
    """A writer takes a folder and the number of a result; another number, other files."""
    RESULTS[writer.__name__] = writer
    return writer


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """What the writers need, made once."""
    place = tmp_path_factory.mktemp("made")
    tables = [pd.DataFrame({"xco2": [*np.linspace(400, 402, 50), 420.0 + k]}) for k in (0, 1)]
    simulate_pictures(place / "pictures", n_pictures=8)
    granule = simulate_granule(0, n_seconds=120, delta=5).soundings
    for k, rows in enumerate((granule.head(300), granule.iloc[300:600])):
        (place / f"days_{k}").mkdir()
        rows.to_csv(place / f"days_{k}" / "a.csv", index=False)
    searches = [find_peaks(granule.iloc[k:], n_surrogates=39) for k in (0, 7)]
    results = [isolate(table, eps=0.5) for table in tables]
    written = {id(each): {path.name: path.read_bytes() for path in each.save(place / f"isolated_{k}")}
               for k, each in enumerate(results)}
    with pytest.MonkeyPatch.context() as patch:  # figures are drawn once
        patch.setattr(main_job, "_write", lambda one, folder, figures: [
            (folder / name).write_bytes(data) for name, data in written[id(one)].items()])
        yield {"place": place, "isolated": results, "searches": searches}


@result
def isolated(made, out, k):
    made["isolated"][k].save(out)


@result
def searched(made, out, k):
    made["searches"][k].save(out, figures=False)


@result
def scanned(made, out, k):
    scan_folder(made["place"] / "pictures", out, contamination=(0.1, 0.4)[k])


@result
def combined(made, out, k):
    if not (out / "parts").exists() or k:
        map_files(made["place"] / f"days_{k}", "isolate", out=out)
    combine(out)


def stopping_after(n, monkeypatch, names):
    """From now on the renames to final names end after `n` of them."""
    real, done = os.replace, []

    def replace(source, target):
        if Path(target).name in names:
            if len(done) == n:
                raise KeyboardInterrupt
            done.append(target)
        real(source, target)

    monkeypatch.setattr(files.os, "replace", replace)


@pytest.mark.parametrize("kind", RESULTS)
def test_no_mixture_opens_wherever_the_writer_is_killed(made, tmp_path, monkeypatch, kind):
    write, first, second = RESULTS[kind], tmp_path / "first", tmp_path / "second"
    write(made, first, 0)
    shutil.copytree(first, second)
    if kind == "combined":
        map_files(made["place"] / "days_1", "isolate", out=second)
        shutil.rmtree(first)
        shutil.copytree(second, first)
    write(made, second, 1)
    last = next(name for name in files.LISTS if (second / name).exists())
    names = [*(name for name in files._named_hashes(second / last) if name != "run.json"), last]
    changed = [name for name in names if (first / name).read_bytes() != (second / name).read_bytes()]
    assert len(changed) > 2 and last in changed
    for n in range(len(names)):
        out = tmp_path / f"killed_{n}"
        shutil.copytree(first, out)
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            stopping_after(n, patch, names)
            write(made, out, 1)
        mixed = any((out / name).read_bytes() != (first / name).read_bytes() for name in names)
        if not mixed:
            source_of(out)
            continue
        with pytest.raises(InputError, match=f"is not the file that {last} beside it names"):
            source_of(out)
        write(made, out, 1)
        source_of(out)
    with pytest.raises(InputError, match="beside it names"):
        shutil.copytree(first, tmp_path / "crossed")
        shutil.copyfile(second / last, tmp_path / "crossed" / last)
        source_of(tmp_path / "crossed")


def test_explore_refuses_a_mixture_in_one_line_and_takes_what_is_merely_incomplete(made, tmp_path, capsys):
    isolated(made, tmp_path / "out", 0)
    (tmp_path / "out" / "sweep.png").unlink()
    page = str(tmp_path / "page.html")
    assert main(["explore", str(tmp_path / "out"), "--out", page]) == 0
    made["isolated"][1].table.to_parquet(tmp_path / "out" / "scores.parquet")
    capsys.readouterr()
    for path in (tmp_path / "out", tmp_path / "out" / "scores.parquet"):
        assert main(["explore", str(path), "--out", page]) == 2
        said = capsys.readouterr().err
        assert "scores.parquet is not the file that summary.json beside it names" in said and said.count("\n") == 1


def test_a_table_of_another_run_does_not_pass_for_that_of_the_settings(made, tmp_path):
    combined(made, tmp_path / "out", 0)
    source_of(tmp_path / "out")
    map_files(made["place"] / "days_0", "isolate", out=tmp_path / "out", resume=False,
              parameters={"min_samples": 7})
    with pytest.raises(InputError, match=r"run\.json is not the file that combined\.json"):
        source_of(tmp_path / "out")
    combine(tmp_path / "out")
    assert source_of(tmp_path / "out").min_samples in (7, None)


def test_peaks_are_read_only_as_they_were_written(made, tmp_path):
    searched(made, tmp_path / "out", 0)
    read_peaks(tmp_path / "out" / "peaks.csv")
    (tmp_path / "out" / "orbits.csv").write_text("of another run\n")
    with pytest.raises(InputError, match="orbits.csv is not the file"):
        read_peaks(tmp_path / "out" / "peaks.csv")


def test_a_list_that_anyone_wrote_names_nothing_outside(tmp_path):
    (tmp_path / "a.csv").write_text("x\n")
    for text in ('{"sha256": {"a.csv": 3, "../b": "x"}}', '{"sha256": []}', "[" * 100_000, "null", ""):
        (tmp_path / "summary.json").write_text(text)
        check_together(tmp_path / "a.csv")
