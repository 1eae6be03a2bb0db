"""A report holds what a run wrote of itself, runs nothing, and prints."""

import html
import json
import subprocess

import browser as chromium
import numpy as np
import pandas as pd
import pytest

from oco2_outliers.cli import main
from oco2_outliers.embeddings import isolate_embeddings, map_embeddings
from oco2_outliers.main_job import isolate
from oco2_outliers.maps.simulated import simulate_embeddings
from oco2_outliers.page.report_page import report
from oco2_outliers.peaks import find_peaks
from oco2_outliers.scale import combine, map_files
from oco2_outliers.series.judging import judge
from oco2_outliers.soundings import simulate_granule

FEATURES = ["xco2", "psurf", "tcwv"]
HOSTILE = "<script>alert(1)</script><img src=http://x/y onerror=f()>"
SECTIONS = ("What was asked", "Data", "Method", "Figures", "The oddest", "Counted and left out", "When it fails",
            "Notes of the run", "Versions")


@pytest.fixture(scope="module")
def granule():
    return simulate_granule(0, 40).soundings


@pytest.fixture(scope="module")
def isolated(granule):
    return isolate(granule, eps=4.0, min_samples=5, features=FEATURES)


@pytest.fixture(scope="module")
def peaks():
    return find_peaks(simulate_granule(0).soundings, n_surrogates=39)


@pytest.fixture(scope="module")
def strays():
    return isolate_embeddings(simulate_embeddings(0, n=200, d=16))


@pytest.fixture(scope="module")
def series():
    hours = pd.date_range("2013-03-01", periods=1500, freq="1h")
    wave = np.sin(np.arange(1500) * 2 * np.pi / 24) + np.random.default_rng(0).normal(0, 0.1, 1500)
    wave[600:620] = 0.5
    return judge(pd.Series(wave, hours, name="flow"), "energy", n_surrogates=5)


def page_of(result, place, **options):
    page = report(result, place / "report.html", **options)
    text = page.path.read_text("utf-8")
    assert page.n_bytes == len(text.encode()) < 5e6 and "<script" not in text
    assert all(f"<h2>{name}</h2>" in text for name in SECTIONS)
    assert "http" not in text.replace("http-equiv", "")
    assert text.count(' alt="') == text.count("<img ") == page.n_figures
    return text


@pytest.mark.figures
def test_every_kind_of_result_in_memory_and_from_its_folder(isolated, peaks, strays, series, tmp_path):
    for kind, result, said in (("isolated", isolated, "Isolation radius"), ("peaks", peaks, "1 peak found"),
                               ("strays", strays, "Strays among embeddings"),
                               ("series", series, "Readings of sensors")):
        result.save(tmp_path / kind)
        held, saved = page_of(result, tmp_path), page_of(tmp_path / kind, tmp_path)
        assert said in held and said in saved and "<figure>" in held
        for name, digits in json.loads((tmp_path / kind / "summary.json").read_text())["sha256"].items():
            assert name in saved and digits in saved


def test_inputs_with_rows_and_hashes(granule, tmp_path):
    granule.to_parquet(tmp_path / "a.parquet")
    result = isolate(tmp_path / "a.parquet", tmp_path / "out", eps=4.0, min_samples=5, features=FEATURES)
    text = page_of(tmp_path / "out", tmp_path)
    one = result.summary["inputs"][0]
    assert one["sha256"] in text and f"{one['rows']:,}" in text and "a.parquet" in text
    for ident in result.isolated["sounding_id"].head(50):
        assert str(ident) in text
    assert text.count("<td class=\"id\">") == min(len(result.isolated), 50)


def test_a_run_of_months_is_drawn_by_month(granule, tmp_path):
    for number, day in enumerate(("2019-01-05", "2019-03-01")):
        moved = granule.assign(time=granule["time"] + (pd.Timestamp(day) - granule["time"].iloc[0].normalize()))
        moved.to_parquet(tmp_path / f"{number}.parquet")
    assert main(["run", "isolate", str(tmp_path / "*.parquet"), "--out", str(tmp_path / "run"), "--eps", "4",
                 "--min-samples", "5", "--features", "xco2,psurf", "--combine"]) == 0
    text = page_of(tmp_path / "run", tmp_path)
    assert "Odd soundings by month, 2019-01 to 2019-03" in text and "0.parquet" in text and "1.parquet" in text


def test_nothing_from_outside_becomes_html(tmp_path):
    table = pd.DataFrame({"id": [HOSTILE, "b"], "score": [9.0, 1.0], "isolated": [True, False], "reason": [HOSTILE, ""],
                          "site": [HOSTILE, HOSTILE]})
    table.to_parquet(tmp_path / "scores.parquet")
    (tmp_path / "summary.json").write_text(json.dumps({
        "parameters": {HOSTILE: HOSTILE}, "counts": {HOSTILE: HOSTILE}, "version": HOSTILE, "notes": [HOSTILE],
        "inputs": [{"name": HOSTILE, "sha256": HOSTILE, "rows": HOSTILE}, HOSTILE], "left_out": {HOSTILE: [HOSTILE]}}))
    (tmp_path / "left_out.csv").write_text(f"why\n{HOSTILE}\n")
    text = report(tmp_path, tmp_path / "report.html", title=HOSTILE).path.read_text("utf-8")
    assert "<script" not in text and "<img src=http" not in text and text.count("&lt;script&gt;") > 8


@pytest.mark.parametrize("summary", ["[]", "{", '{"inputs": 3, "counts": [], "notes": {}, "parameters": 7}', "null"])
def test_a_summary_that_is_none(summary, tmp_path):
    pd.DataFrame({"score": [9.0, 1.0], "outlier": [True, False]}).to_csv(tmp_path / "scores.csv", index=False)
    (tmp_path / "summary.json").write_text(summary)
    assert "1 of 2 rows is odd" in report(tmp_path, tmp_path / "report.html").path.read_text("utf-8")


# ---------------------------------------------------------------- results in notebooks

def test_the_verdict_at_another_eps_is_that_of_a_new_run(granule, isolated):
    for eps in (0.5, 2.0, float(isolated.table["score"].median()), 4.0, 50.0):
        anew = isolate(granule, eps=eps, min_samples=5, features=FEATURES).table
        moved = isolated.at(eps)
        for name in ("score", "ratio", "isolated", "outlier"):
            pd.testing.assert_series_equal(moved[name], anew[name])
    assert not {"reason", "change", "group"} & set(moved)


def test_the_verdict_of_tiles_at_another_eps(strays):
    for eps in (0.3, float(strays.table["radius"].median()), 1.5):
        anew = isolate_embeddings(simulate_embeddings(0, n=200, d=16), eps=eps).table
        pd.testing.assert_frame_equal(strays.at(eps)[["ratio", "isolated"]], anew[["ratio", "isolated"]])
    with pytest.raises(ValueError, match="eps"):
        strays.at(-1)


def test_results_show_themselves_and_lead_on(isolated, peaks, strays, series, tmp_path):
    mapped = map_embeddings(simulate_embeddings(0, n=200, d=16), method="pca")
    for result in (isolated, peaks, strays, mapped, series):
        shown = result._repr_html_()
        assert "<table" in shown and "Next:" in shown and "<script" not in shown
        assert result.plot().get_figure() is not None
        assert result.explore(tmp_path / "explorer.html").path.is_file()
        assert result.report(tmp_path / "report.html").path.is_file()


def test_a_hostile_result_in_a_notebook(strays):
    from dataclasses import replace

    bad = replace(strays, table=strays.table.assign(id=HOSTILE, reason=HOSTILE), notes=[HOSTILE])
    assert "<script" not in bad._repr_html_() and "&lt;script" in bad._repr_html_()


# ---------------------------------------------------------------- in a browser

@pytest.mark.figures
def test_print_makes_a_pdf(tmp_path):
    if chromium.find_browser() is None:
        pytest.skip("no Chromium (set OCO2_CHROMIUM to one); other test: test_nothing_from_outside_becomes_html")
    table = pd.DataFrame({"sounding_id": np.arange(60) + 2019071518321774, "score": np.arange(60.0),
                          "outlier": np.arange(60) > 4, "reason": "far " * 30})
    report(table, tmp_path / "report.html")
    subprocess.run([chromium.find_browser(), *chromium.FLAGS, *chromium.NO_GPU, f"--user-data-dir={tmp_path}/profile",
                    "--no-pdf-header-footer", f"--print-to-pdf={tmp_path}/report.pdf",
                    (tmp_path / "report.html").as_uri()], check=True, capture_output=True, timeout=120)
    made = (tmp_path / "report.pdf").read_bytes()
    assert made.startswith(b"%PDF") and made.count(b"/Type /Page\n") + made.count(b"/Type /Page ") >= 1


@pytest.mark.figures
def test_the_page_asks_for_nothing_and_fits(browser, strays, tmp_path):
    report(strays, tmp_path / "report.html")
    for width in (1300, 400):
        window = browser.page(width, 900)
        window.open(tmp_path / "report.html").wait("document.readyState === 'complete' && document.images.length > 0")
        assert window.run("document.documentElement.scrollWidth") <= width
        assert window.run("[...document.images].every(each => each.naturalWidth > 0)")
        assert window.console == [] and all(url.startswith(("file:", "data:")) for url in window.requests)
        window.close()


def test_a_report_of_a_run_has_the_notes_of_the_run(granule, tmp_path):
    granule.to_parquet(tmp_path / "day.parquet")
    run = map_files(tmp_path / "day.parquet", "isolate", out=tmp_path / "run")
    combine(tmp_path / "run")
    report(tmp_path / "run", tmp_path / "run.html")
    text = html.unescape((tmp_path / "run.html").read_text())
    assert len(run.notes) > 2 and all(note in text for note in run.notes)
    for wrong in (b"[", b"5", b'[1, ["a"]]', bytes(range(200, 250))):  # from outside, and no list of texts
        (tmp_path / "run" / "notes.json").write_bytes(wrong)
        assert combine(tmp_path / "run").rows == len(granule)
