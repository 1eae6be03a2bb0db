"""What a run says of itself: how many processes work, and what became of every column of every file."""


import pytest

from oco2_outliers.cli import main
from oco2_outliers.ground import work
from oco2_outliers.runs.workers import executor

# ---------------------------------------------------------------- processes

@pytest.mark.parametrize("cores", [1, 2, 3])
def test_no_more_processes_than_cores(monkeypatch, cores):
    monkeypatch.setattr(work, "n_cores", lambda: cores)
    for jobs in (2, 3, 100_000):
        with executor(None, jobs) as execute:
            assert execute.n == min(jobs, cores)


def test_a_run_says_that_fewer_processes_work(tmp_path, capsys):
    (tmp_path / "a.csv").write_text("sounding_id,xco2\n1,400.5\n")
    run = ["run", "convert", str(tmp_path / "a.csv"), "--out", str(tmp_path / "out"), "--jobs"]
    assert main([*run, "1"]) == 0 and "processes" not in capsys.readouterr().out
    assert main([*run, "100000"]) == 0
    assert f"100,000 processes asked for: {work.n_cores()} process" in capsys.readouterr().out
