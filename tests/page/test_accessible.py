"""What a person who cannot see, or cannot point, could not use: every kind of page, asked of axe-core in a browser."""

from importlib.resources import files

import numpy as np
import pytest
from test_series_page import judged, view_of

from oco2_outliers.embeddings import isolate_embeddings
from oco2_outliers.explorer import explore
from oco2_outliers.image_clusters import cluster_pictures, odd_pictures, picture_vectors
from oco2_outliers.image_forest import simulate_pictures
from oco2_outliers.main_job import isolate
from oco2_outliers.maps.simulated import simulate_embeddings
from oco2_outliers.page.report_page import report
from oco2_outliers.page.series_content import series_html
from oco2_outliers.peaks import find_peaks
from oco2_outliers.picture_gallery import gallery
from oco2_outliers.scale import combine, map_files
from oco2_outliers.soundings import simulate_granule, to_parquet

pytestmark = pytest.mark.slow
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@pytest.fixture(scope="module")
def axe():
    """The program that looks for faults in a page."""
    pytest.importorskip("axe_core_python", reason="no axe-core-python (extra dev); other test: test_contrast.py")
    return files("axe_core_python").joinpath("axe.min.js").read_text("utf-8")


@pytest.fixture(scope="module")
def granule():
    return isolate(simulate_granule(0, 60).soundings, eps=4.0, min_samples=5, features=["xco2", "psurf", "tcwv"])


@pytest.fixture(scope="module")
def passes(tmp_path_factory):
    place = tmp_path_factory.mktemp("passes")
    for k in range(2):
        soundings = simulate_granule(k, n_seconds=150, delta=4, date=f"2019-07-1{k}").soundings
        to_parquet(soundings, place / f"oco2_19071{k}.parquet")
    return sorted(place.glob("*.parquet"))


@pytest.fixture(scope="module")
def search(passes):
    return find_peaks(passes, passes[0].parent / "peaks", n_surrogates=39, figures=False)


@pytest.fixture(scope="module")
def run(passes):
    out = passes[0].parent / "run"
    map_files(str(passes[0].parent / "*.parquet"), "isolate", out=str(out))
    combine(str(out))
    return out


@pytest.fixture(scope="module")
def album(tmp_path_factory):
    folder = tmp_path_factory.mktemp("album") / "pictures"
    simulate_pictures(folder, n_pictures=12, odd_kinds=["desert"] * 6 + ["night"], random_state=2)
    vectors = picture_vectors(folder)
    table = odd_pictures(vectors)
    versions = [cluster_pictures(vectors, "ward", k=2, version=1), cluster_pictures(vectors, "kmeans", k=3, version=2)]
    return table, versions


@pytest.fixture(scope="module")
def pages(granule, search, run, album, tmp_path_factory):
    """One page of each kind, by name."""
    place = tmp_path_factory.mktemp("pages")
    pictures = album[0].assign(cluster_a=np.arange(len(album[0])) % 4, cluster_b=np.arange(len(album[0])) % 3)
    strays = isolate_embeddings(simulate_embeddings(0, n=200, d=16))
    shown = {"granule": granule, "peaks": search, "run": run, "pictures": pictures, "strays": strays}
    made = {name: explore(result, place / f"{name}.html").path for name, result in shown.items()}
    made["linked"] = explore([granule, search], place / "linked.html", within_km=30, within_hours=None).path
    for name, result in (("granule", granule), ("peaks", search), ("run", run)):
        made[f"report of {name}"] = report(result, place / f"report_{name}.html").path
    both = gallery(album[0], place / "gallery", clusterings=album[1], title="An album")
    made["gallery"], made["fields"] = both.dive, both.fields
    made["series"] = place / "series.html"
    made["series"].write_text(series_html(view_of(*judged()), "Velocity"), "utf-8")
    return made


KINDS = ["granule", "peaks", "run", "pictures", "strays", "linked", "report of granule", "report of peaks",
         "report of run", "gallery", "fields", "series"]


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("kind", KINDS)
def test_axe_finds_nothing(kind, dark, pages, axe, browser):
    window = browser.page(1300, 900, dark)
    try:
        window.open(pages[kind])
        window.wait("document.readyState === 'complete' && (window.firstPicture || !document.scripts.length)")
        window.run("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
        window.run("new Promise((done) => setTimeout(done, 500))")
        window.run(f"{axe}; true")
        found = window.run(f"axe.run({{ runOnly: {RULES} }})", 120)
    finally:
        window.close()
    assert len(found["passes"]) > 20
    assert [(each["id"], each["nodes"][0]["html"]) for each in found["violations"]] == []
