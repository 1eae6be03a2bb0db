"""The page of sensor series: what is in the file, and what a real browser makes of it."""

import csv
import io
import json
import re

import numpy as np
import pandas as pd
import pytest

from oco2_outliers.page.series_content import SeriesView, series_html

NASTY = ["</script><img src=x onerror=alert(1)>", "<!--<script>", "'\"`&amp;&", "=1+1", "constructor", "__proto__",
         "a,b\n", "../../etc/passwd", "\u202egnp.exe"]
STEP = pd.Timedelta("5min")


def judged(n=2000, zone=None):
    """A velocity and a level: a spike, a flat line without p-value, a gap, a stretch of missing readings."""
    rng = np.random.default_rng(0)
    times = pd.date_range("2021-03-26", periods=n, freq=STEP, tz=zone)
    value = np.sin(np.arange(n) / 45) + rng.normal(0, 0.1, n)
    score = rng.uniform(0.2, 0.6, n)
    value[700], score[700] = 40.0, 0.9
    value[200:234] = 1.659
    value[1000:1100] = np.nan
    p = np.round(1 - score, 3)
    p[700] = 0.0005
    points = pd.DataFrame({"time": times, "site": "LRO1", "channel": "velocity", "value": value, "score": score,
                           "outlier": np.arange(n) == 700, "p_value": p, "source": "flow.csv"})
    points.loc[points["value"].isna(), ["score", "p_value"]] = np.nan
    windows = [(700, 700, "odd shape", "odd shape: 40.00 where its neighbours have 0.10", 0.9, 0.0005),
               (200, 233, "flat line", "flat line: 34 readings of exactly 1.659 m/s", 0.5, 1.0),
               (1000, 1099, "missing", "missing: 100 readings without a value", np.nan, np.nan),
               (1400, 1499, "gap", "gap: no reading for 8 h 20 min", np.nan, np.nan)]
    windows = pd.DataFrame(windows, columns=["start", "end", "kind", "reason", "score", "p_value"])
    windows = windows.assign(start=times[windows["start"]], end=times[windows["end"]], site="LRO1", channel="velocity",
                             source="flow.csv")
    points = points[(np.arange(n) < 1400) | (np.arange(n) > 1499)]
    level = points.iloc[:300].assign(channel="level", outlier=False, p_value=0.8)
    return pd.concat([points, level], ignore_index=True), windows


def view_of(points, windows, **more):
    steps = {pair: STEP for pair in zip(points["site"], points["channel"])}
    return SeriesView(points, windows, 0.01, steps=steps, thresholds={("LRO1", "velocity"): 0.7}, **more)


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    path = tmp_path_factory.mktemp("series") / "page.html"
    path.write_text(series_html(view_of(*judged()), "Velocity"), "utf-8")
    return path


def rows_of(window):
    return list(csv.DictReader(io.StringIO(window.run("series.csv()"), newline="")))


def settled(window):
    window.run("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0)))")


# ---------------------------------------------------------------- what is in the file

def test_the_page_trusts_nothing_and_fetches_nothing(page):
    text = page.read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert "default-src 'none'" in policy and "unsafe" not in policy and "connect-src" not in policy
    assert not re.search(r"""(?:src|href)\s*=\s*["']?(?:https?:|//|file:)""", text)


def test_a_channel_with_stretches_and_no_reading_is_there():
    points, windows = judged()
    alone = windows.iloc[[3]].assign(channel="rain")
    text = series_html(view_of(points, pd.concat([windows, alone])))
    told = json.loads(re.search(r'id="series-meta">(.*?)</script>', text)[1])["channels"]
    assert [(each["channel"], each["n"]) for each in told] == [("velocity", 1900), ("level", 300), ("rain", 0)]


# ---------------------------------------------------------------- in the browser

def test_alpha_shows_and_hides(tab, page):
    window = tab(page, 1400, 950)
    kinds = "series.shown.map((each) => each.kind).join()"
    assert window.run(kinds) == "flat line,odd shape,missing,gap"
    assert window.run("series.threshold()") == 0.7
    window.run("series.setAlpha(0.0004)")
    assert window.run(kinds) == "flat line,missing,gap", "what a check found stays, whatever its p"
    window.run("series.alphaBox.focus(); series.alphaBox.select()")
    window.type("0.405")
    window.key("Enter")
    settled(window)
    points, _ = judged()
    passed = points[(points["p_value"] <= 0.405) & ~points["outlier"] & ~points["time"].between(
        points["time"][200], points["time"][233])]
    grey = "series.shown.filter((each) => each.kind.startsWith('below'))"
    assert window.run(f"{grey}.reduce((sum, each) => sum + each.n, 0)") == len(passed) > 10
    assert "sought no reason" in window.run(f"series.why({grey}[0])")
    assert window.run("series.threshold()") == points["score"][points["p_value"] <= 0.405].min()
    window.run("document.querySelector('.sx-alpha button').click()")
    assert window.run(kinds) == "flat line,odd shape,missing,gap" and window.run("series.alpha") == 0.01
    assert 0 < int(window.run("series.alphaSlider.value")) < 1000
    window.run("series.alphaSlider.value = '1000'; series.alphaSlider.dispatchEvent(new Event('input'))")
    assert window.run("series.alpha") == 1


def test_the_run_s_own_alpha_keeps_its_verdict_where_alpha_is_a_rate(tab, tmp_path):
    points, windows = judged()
    windows.loc[0, "p_value"] = -np.expm1(-0.01) * (1 + 1e-12)
    path = tmp_path / "rate.html"
    path.write_text(series_html(view_of(points, windows, is_rate=True, alpha_words="false alarms a month")), "utf-8")
    window = tab(path, 1400, 950)
    assert window.run("series.shown.length") == 4
    window.run("series.setAlpha(0.009)")
    assert window.run("series.shown.length") == 3
    window.run("series.setAlpha(0.011)")
    assert window.run("series.named.every((each) => series.shown.includes(each))")


def test_stretches_by_hand_and_by_keyboard(tab, page):
    window = tab(page, 1400, 950)
    whole = window.run("series.view")
    window.key("n")
    settled(window)
    assert window.run("series.current.kind") in ("missing", "gap")
    for _ in range(4):
        if window.run("series.current.kind") == "odd shape":
            break
        window.key("p")
    settled(window)
    points, _ = judged()
    spike = points["time"][700].value / 1e6
    left, right = window.run("series.view")
    assert left < spike < right and right - left < (whole[1] - whole[0]) / 5
    assert "40.00 where its neighbours" in window.run("series.tip.textContent")
    assert window.run("document.querySelector('.sx-entry[aria-current]').innerText").startswith("odd shape")
    window.run("series.plot.focus()")
    window.key("0")
    settled(window)
    assert window.run("series.view") == whole
    window.run("document.querySelectorAll('.sx-entry')[0].click()")
    settled(window)
    assert window.run("series.current.kind") == "flat line"
    window.run("document.querySelector('[aria-label^=\"zoom out\"]').click()")
    x, y = window.run("""(() => { const box = series.plot.getBoundingClientRect(); const [a, b] = series.view;
      return [box.left + 62 + (series.current.start - a) / (b - a) * (box.width - 72) + 2, box.top + 60]; })()""")
    window.run("series.current = null")
    window.click(x, y)
    assert window.run("series.current.kind") == "flat line"


def test_wheel_and_drag(tab, page):
    window = tab(page, 1400, 950)
    box = window.run("(() => { const b = series.plot.getBoundingClientRect(); return [b.left, b.top, b.width]; })()")
    x, y = box[0] + 300, box[1] + 80
    before = window.run("series.view")
    window.mouse("mouseWheel", x, y, deltaX=0, deltaY=-240)
    settled(window)
    after = window.run("series.view")
    under = [a + (300 - 62) / (box[2] - 72) * (b - a) for a, b in (before, after)]
    assert after[1] - after[0] < before[1] - before[0] and under[1] == pytest.approx(under[0], abs=1)
    window.mouse("mousePressed", x, y)
    window.mouse("mouseMoved", x - 50, y, buttons=1)
    window.mouse("mouseReleased", x - 50, y)
    moved = window.run("series.view")
    assert moved[0] > after[0] and moved[1] - moved[0] == pytest.approx(after[1] - after[0])
    window.mouse("mouseMoved", x, y)
    assert re.match(r"2021-03-\d\d \d\d:\d\d:\d\d: ", window.run("series.tip.textContent"))


def test_two_fingers_zoom_the_time(tab, page):
    window = tab(page, 1400, 950)
    box = window.run("(() => { const b = series.plot.getBoundingClientRect(); return [b.left, b.top, b.width]; })()")
    x, y = box[0] + 300, box[1] + 80
    before = window.run("series.view")
    window.spread(x, y, 30, 40)
    window.lift(x - 40, y)
    settled(window)
    after = window.run("series.view")
    under = [a + (300 - 62) / (box[2] - 72) * (b - a) for a, b in (before, after)]
    assert (before[1] - before[0]) / (after[1] - after[0]) == pytest.approx(2, rel=0.05)
    assert under[1] == pytest.approx(under[0], abs=0.02 * (after[1] - after[0]))


PIXELS = """(() => { const c = series.plot, w = c.width;
  const at = c.getContext('2d').getImageData(0, 0, w, c.height).data;
  const hit = (x, y) => { const k = 4 * (y * w + x); return Math.abs(at[k] - 43) + Math.abs(at[k + 1] - 108) +
    Math.abs(at[k + 2] - 153) < 60; };
  const top = Array.from({ length: w }, (_, x) => { for (let y = 22; y < c.height - 22; y++) if (hit(x, y)) return y;
    return -1; }); return { top, width: w }; })()"""


def test_a_spike_stays_and_a_gap_stays_a_gap(tab, tmp_path):
    points, windows = judged(n=60_000)
    path = tmp_path / "long.html"
    path.write_text(series_html(view_of(points, windows.iloc[:0])), "utf-8")
    window = tab(path, 1400, 950)
    settled(window)
    top = np.array(window.run(PIXELS)["top"])
    assert 0 < top[top > 0].min() < 50 < np.median(top[top > 0]), "one reading of 60,000 reaches up"
    window.run("series.look(series.channels[0].x[1350], series.channels[0].x[1450])")
    settled(window)
    drawn = np.array(window.run(PIXELS)["top"]) > 0
    inside = drawn[62:-10]
    empty = np.flatnonzero(np.diff(np.flatnonzero(inside)) > 100)
    assert len(empty) == 1, "nothing is drawn across the gap of 100 readings"


def test_the_export_is_what_is_shown(tab, page):
    window = tab(page, 1400, 950)
    window.run("series.legend.querySelectorAll('input')[0].click()")
    hidden = window.run("[...series.hidden][0]")
    rows = rows_of(window)
    _, windows = judged()
    wanted = windows[windows["kind"] != hidden].sort_values("start")
    assert [row["kind"] for row in rows] == wanted["kind"].tolist() and {row["alpha"] for row in rows} == {"0.01"}
    assert [row["start"] for row in rows] == wanted["start"].map(str).tolist()
    assert window.run("series.exportButton.textContent") == f"Export CSV ({len(wanted)})"
    window.run("series.setChannel(1)")
    assert rows_of(window) == [] and window.run("series.exportButton.disabled")
    window.run("document.querySelector('section:nth-child(2) .ox-item input').click()")
    assert len(rows_of(window)) == len(wanted)


def test_the_axis_shows_the_clock_of_the_place(tab, tmp_path):
    points, windows = judged(zone="Europe/Paris")
    path = tmp_path / "zone.html"
    path.write_text(series_html(view_of(points, windows)), "utf-8")
    window = tab(path, 1400, 950)
    assert window.run("series.when(series.named[1])") == "2021-03-26 16:40 – 19:25"
    assert window.run("series.clock.text(series.channels[0].x[700])") == str(points["time"][700])[:19]
    late = int(np.flatnonzero(points["time"] > pd.Timestamp("2021-03-28 12:00", tz="Europe/Paris"))[0])
    assert window.run(f"series.clock.text(series.channels[0].x[{late}])") == str(points["time"][late])[:19]
    assert "Europe/Paris" in window.run("series.caption.textContent")


def test_hostile_names_stay_text(tab, tmp_path):
    points, windows = judged()
    points, windows = points.head(300), windows.iloc[[0] * len(NASTY)]
    windows = windows.assign(site=NASTY, channel=NASTY, kind=NASTY, reason=NASTY, source=NASTY)
    path = tmp_path / "nasty.html"
    view = view_of(pd.concat([points.assign(site=name, channel=name) for name in NASTY]), windows, notes=NASTY)
    path.write_text(series_html(view, NASTY[0]), "utf-8")
    window = tab(path, 1400, 950)
    window.run("window.hacked = 0; window.alert = () => { window.hacked = 1; }")
    for k in range(len(NASTY)):
        window.run(f"series.setChannel({k}); series.step(1)")
        assert window.run("series.current.kind") == NASTY[k]
        settled(window)
    assert window.run("document.querySelectorAll('main img, main script, main iframe').length") == 0
    assert window.run("document.querySelector('h1').textContent") == NASTY[0] and window.run("window.hacked") == 0
    window.run("series.setEverywhere(true)")
    rows = rows_of(window)
    assert len(rows) == len(NASTY) and not any(row["reason"].startswith(("=", "+", "-", "@")) for row in rows)


def test_no_scores_and_no_p_values(tab, tmp_path):
    points, windows = judged()
    points["score"] = points["p_value"] = np.nan
    path = tmp_path / "checks.html"
    path.write_text(series_html(view_of(points, windows.drop(columns=["score", "p_value"]))), "utf-8")
    window = tab(path, 1400, 950)
    assert window.run("series.alphaBox.disabled") and window.run("series.scores.hidden")
    window.run("series.setAlpha(0.5); series.step(1)")
    assert window.run("series.shown.length") == 4


def test_dark_light_and_phone(tab, page):
    window = tab(page, 390, 844, dark=True)
    assert window.run("series.isDark()") and window.run("document.documentElement.scrollWidth") <= 390
    window.run("document.querySelector('.ox-top button').click()")
    assert not window.run("series.isDark()")


@pytest.mark.slow
def test_three_hundred_thousand_readings(tab, tmp_path):
    points, windows = judged(300_000)
    path = tmp_path / "large.html"
    path.write_text(series_html(view_of(points, windows)), "utf-8")
    assert path.stat().st_size < 10e6
    window = tab(path, 1400, 950)
    # Seconds of the processor, not of the clock: a machine may have other work.
    window.send("Performance.enable", timeDomain="threadTicks")

    def worked():
        told = window.send("Performance.getMetrics")["metrics"]
        return {each["name"]: each["value"] for each in told}["TaskDuration"]

    window.run("series.paint()")
    before = worked()
    window.run("for (let k = 0; k < 20; k++) { series.setAlpha(0.0004 + 0.001 * k); series.paint(); }")
    assert (worked() - before) / 20 < 0.1
