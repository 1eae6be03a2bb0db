"""Two fingers on a touch screen zoom the views of a page; what lies between them stays between them."""

import numpy as np
import pandas as pd
import pytest

from oco2_outliers.explorer import explore

N = 400


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"id": np.arange(N), "a": rng.uniform(0, 100, N), "b": rng.uniform(0, 100, N),
                          "score": rng.exponential(size=N)})
    table = table.assign(outlier=table["score"] > 3, reason="")
    return explore(table, tmp_path_factory.mktemp("fingers") / "page.html").path


VIEW = "explorer.views[explorer.views.length - 1]"


def place_of(window):
    """Left, top, width and height of the view, scrolled into sight."""
    return window.run(f"""(() => {{ const area = {VIEW}.uplot.over; area.scrollIntoView({{ block: 'center' }});
      const b = area.getBoundingClientRect(); return [b.left, b.top, b.width, b.height]; }})()""")


def middle_of(window, box, x, y):
    """The values below a place of the window."""
    x0, x1, y0, y1 = window.run(f"{VIEW}.fitted()")
    return [x0 + (x - box[0]) / box[2] * (x1 - x0), y1 - (y - box[1]) / box[3] * (y1 - y0)]


def test_fingers_that_spread_zoom_in_and_fingers_that_move_pan(tab, page):
    window = tab(page, 1000, 900)
    box = place_of(window)
    x, y = box[0] + 200, box[1] + 100
    before, below = window.run(f"{VIEW}.fitted()"), middle_of(window, box, x, y)
    window.spread(x, y, 30, 40, 60)
    after = window.run(f"{VIEW}.fitted()")
    assert (before[1] - before[0]) / (after[1] - after[0]) == pytest.approx(3, rel=0.05)
    assert (before[3] - before[2]) / (after[3] - after[2]) == pytest.approx(3, rel=0.05)
    assert middle_of(window, box, x, y) == pytest.approx(below, rel=0.02)
    window.touch("touchMove", (x - 60, y + 40), (x + 60, y + 40))
    assert window.run(f"{VIEW}.fitted()")[1] - window.run(f"{VIEW}.fitted()")[0] == pytest.approx(after[1] - after[0])
    assert middle_of(window, box, x, y + 40) == pytest.approx(below, rel=0.02)
    # The finger that stays down does nothing more, and nothing was opened or scrolled.
    still = window.run(f"{VIEW}.fitted()")
    window.touch("touchEnd", (x - 60, y + 40))
    window.touch("touchMove", (x - 20, y + 80))
    window.touch("touchEnd")
    assert window.run(f"{VIEW}.fitted()") == still
    assert window.run("explorer.current") == -1 and place_of(window) == box


def test_one_finger_opens_the_row_below_it(tab, page):
    window = tab(page, 1000, 900)
    box = place_of(window)
    i, x, y = window.run(f"""(() => {{ const v = {VIEW}, i = explorer.flag.indexOf(1), {{ wide, ratio }} = v.scale;
      return [i, (v.at[i] % wide) / ratio, Math.floor(v.at[i] / wide) / ratio]; }})()""")
    window.touch("touchStart", (box[0] + x, box[1] + y))
    window.touch("touchEnd")
    window.wait(f"explorer.current === {i}")
