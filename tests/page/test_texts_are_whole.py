"""What the pages write into their pictures ends within them: no date, head or number is cut at an edge."""

import numpy as np
import pandas as pd
import pytest

from oco2_outliers.explorer import explore
from oco2_outliers.image_clusters import cluster_pictures, odd_pictures, picture_vectors
from oco2_outliers.picture_gallery import gallery
from oco2_outliers.pictures.simulated import simulate_pictures
from oco2_outliers.series.judging import judge
from oco2_outliers.series.simulated import FAULTS, simulate_series
from oco2_outliers.soundings import simulate_granule

# Every text from now on: where it begins and ends, and how wide its picture is.
LISTEN = """(() => { window.texts = []; const draw = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (text, x, y, ...more) {
    const wide = this.measureText(text).width, at = { center: 0.5, right: 1, end: 1 }[this.textAlign] ?? 0;
    const { a, b, e } = this.getTransform();
    if (b === 0) texts.push([String(text), (x - at * wide) * a + e, (x + (1 - at) * wide) * a + e, this.canvas.width]);
    return draw.call(this, text, x, y, ...more); }; })()"""
AGAIN = "new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))"


def cut(window):
    """Texts that reach over an edge of their picture, of those that were drawn."""
    drawn = window.run("texts")
    assert drawn
    return {text for text, left, right, wide in drawn if left < -1.5 or right > wide + 1.5}


@pytest.fixture(scope="module")
def judged():
    readings = simulate_series(days=12, faults=FAULTS, random_state=3).drop(columns="fault")
    return judge(readings, "energy", "3 h", n_surrogates=9)


@pytest.mark.parametrize("width", [1300, 400])
def test_dates_of_a_series(tab, tmp_path, width, judged):
    window = tab(explore(judged, tmp_path / "page.html").path, width, 900)
    window.run(LISTEN)
    for move in ("+", "›", "›", "−", "all"):  # any tick may be the last
        window.run(f"[...document.querySelectorAll('button')].find((b) => b.textContent === '{move}').click()")
        window.run(AGAIN)
    assert cut(window) == set()
    assert window.run("texts.some(([text]) => text.startsWith('2013-'))")


@pytest.mark.parametrize("width", [1300, 400])
def test_heads_of_a_gallery(tab, tmp_path, width):
    simulate_pictures(tmp_path / "album", n_pictures=40, odd_kinds=["desert"], random_state=4)
    vectors = picture_vectors(tmp_path / "album")
    table, rng = odd_pictures(vectors), np.random.default_rng(0)
    table = table.assign(latitude=rng.uniform(-60, 60, len(table)), when=pd.Timestamp("2019-01-01")
                         + pd.to_timedelta(rng.integers(0, 400, len(table)), "D"))
    made = gallery(table, tmp_path / "gallery", clusterings=[cluster_pictures(vectors, "ward", k=6, version=1)])
    window = tab(made.dive, width, 900)
    window.run(LISTEN)
    for bins in (("v1_label", ""), ("when", ""), ("latitude", "v1_label"), ("v1_label", "when"), ("score", "")):
        window.run(f"gallery.setBins('{bins[0]}', '{bins[1]}')")
        window.run(AGAIN)
    assert cut(window) == set()
    heads = window.run("texts.filter(([text]) => / to /.test(text) || text.endsWith('…')).map(([text]) => text)")
    assert heads and not [text for text in heads if text.endswith("…")]


@pytest.mark.parametrize("width", [1300, 400])
def test_ticks_of_an_explorer(tab, tmp_path, width):
    table = pd.concat([simulate_granule(k, 40, date=day).soundings.assign(source=f"{day}.nc4")
                       for k, day in enumerate(("2019-07-03", "2019-08-20", "2019-12-31"))], ignore_index=True)
    table = table.assign(score=np.arange(len(table)) % 97 / 10.0, outlier=np.arange(len(table)) % 97 > 95)
    window = tab(explore(table, tmp_path / "page.html").path, width, 900)
    window.run(LISTEN)
    window.run("explorer.views.at(-1).axes(explorer.table.columns.get('time'), explorer.views.at(-1).y)")
    window.run("for (const view of explorer.views) { view.zoom(0.7); view.reset(); } explorer.run.draw()")
    window.run(AGAIN)
    assert cut(window) == set()
