"""A page of peaks: beside each one its track, the fit with its band, the false-alarm level and the wind."""

import json
import zlib

import numpy as np
import pandas as pd
import pytest
from test_explorer import NASTY, read_back

from oco2_outliers.explorer import explore
from oco2_outliers.page.packing import Pack, unpacked
from oco2_outliers.page.peak_tracks import packed_tracks
from oco2_outliers.page.sources import source_of
from oco2_outliers.peaks import find_peaks
from oco2_outliers.plumes.figures import covariance_of_peak, fit_error
from oco2_outliers.soundings import simulate_granule, to_parquet

FIT = ["slope", "intercept", "amplitude", "sigma"]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Three passes, searched and saved: the result, and where it is."""
    place = tmp_path_factory.mktemp("peaks")
    files = [place / f"oco2_19071{k}.parquet" for k in range(3)]
    for k, file in enumerate(files):
        to_parquet(simulate_granule(k, n_seconds=150, delta=4, date=f"2019-07-1{k}").soundings, file)
    return find_peaks(files, place / "out", n_surrogates=39, figures=False), place


@pytest.fixture(scope="module")
def search(saved):
    return saved[0]


@pytest.fixture(scope="module")
def folder(saved):
    return saved[1]


@pytest.fixture(scope="module")
def page(search, tmp_path_factory):
    return explore(search, tmp_path_factory.mktemp("page") / "peaks.html")


def points_of(path):
    """Distances and values of every track of a page."""
    meta, array = read_back(path)
    held = {name: array(info) for name, info in meta["peaks"]["points"].items()}
    return [np.split(held[name], held["starts"][1:-1]) for name in ("x", "y")]


def test_the_tracks_are_in_the_page(page, search):
    x, y = points_of(page.path)
    assert len(search.peaks) >= 3 and len(x) == len(search.slices)
    for k, around in enumerate(search.slices):
        assert (y[k] == around["xco2"].to_numpy()).all()
        assert np.abs(x[k] - around["distance"].to_numpy()).max() < 1e-5
    meta, array = read_back(page.path)
    assert (array(meta["peaks"]["fit"]).reshape(-1, 4) == search.peaks[FIT].to_numpy()).all()
    assert (array(meta["peaks"]["alarm"]) == search.peaks["false_alarm"].to_numpy()).all()
    assert "within 100 km" in meta["notes"][0]
    assert "oco2_190710.parquet and 2 more; 2019-07-10 to 2019-07-12" in meta["subtitle"]


def test_a_saved_search_is_the_same_page(page, folder, tmp_path):
    again = explore(folder / "out", tmp_path / "saved.html")
    assert all((a == b).all() for one, other in zip(points_of(page.path), points_of(again.path))
               for a, b in zip(one, other))


@pytest.mark.parametrize("spoilt", [b"no table", None])
def test_without_the_soundings_the_page_says_why(folder, tmp_path, spoilt):
    (tmp_path / "peaks.csv").write_bytes((folder / "out" / "peaks.csv").read_bytes())
    if spoilt:
        (tmp_path / "tracks.parquet").write_bytes(spoilt)
    meta, _ = read_back(explore(tmp_path, tmp_path / "page.html").path)
    assert meta["peaks"]["points"] is None and meta["peaks"]["why"] in meta["notes"][0]
    assert ("belong" if spoilt else "stands beside") in meta["notes"][0]


def test_the_strongest_peaks_keep_their_soundings(search):
    pack, source = Pack(), source_of(search)
    found = packed_tracks(source, search.peaks, pack, 7_000)
    lengths = np.diff(unpacked(zlib.decompress(pack.compressed()), found["points"]["starts"]).astype(int))
    strongest = np.argsort(-search.peaks["score"].to_numpy(), kind="stable")
    kept = np.count_nonzero(lengths)
    assert 0 < kept < len(search.peaks) and set(np.flatnonzero(lengths)) == set(strongest[:kept])
    assert f"around the {kept} strongest of {len(search.peaks)} peaks" in source.notes[-1]


# ---------------------------------------------------------------- in the browser

def test_curve_and_band_are_those_of_the_plots(tab, page, search):
    window = tab(page.path)
    u = np.linspace(-100, 100, 41)
    for k, (_, peak) in enumerate(search.peaks.iterrows()):
        fit = [float(peak[name]) for name in FIT]
        curve = fit[0] * u + fit[1] + fit[2] / (fit[3] * np.sqrt(2 * np.pi)) * np.exp(-0.5 * (u / fit[3]) ** 2)
        window.run(f"explorer.open({k})")
        told = window.run(f"{json.dumps(u.tolist())}.map((x) => {{ const f = explorer.peaks.figures[0].fit; "
                          "return [f.curve(x), f.error(x)]; })")
        assert np.allclose(np.array(told)[:, 0], curve, rtol=1e-12, atol=0)
        assert np.allclose(np.array(told)[:, 1], fit_error(u, fit, covariance_of_peak(peak, fit)), rtol=1e-9, atol=0)
        assert window.run("explorer.peaks.figures[0].fit.speed") == pytest.approx(
            np.hypot(peak["windspeed_u"], peak["windspeed_v"]))
        assert window.run("explorer.peaks.figures[0].fit.across") == pytest.approx(peak["wind_across"], rel=0.02)


def test_the_figure_names_place_time_and_file_and_says_all_in_words(tab, page, search):
    window = tab(page.path)
    peak = search.peaks.iloc[0]
    title, words = window.run("[document.querySelector('.ox-figure h3').textContent, "
                              "document.querySelector('.ox-track-area').getAttribute('aria-label')]")
    assert f"{peak['latitude']:.2f}°N" in title and str(peak["time"])[:16] in title
    assert title.endswith(str(peak["source"]).rsplit("/", 1)[-1])
    for told in ("soundings within 100 km", "sigma", "False-alarm level", "above it", "m/s from the"):
        assert told in words
    rows = window.run("document.querySelectorAll('.ox-figure details tbody tr').length")
    sums = window.run("[...document.querySelectorAll('.ox-figure details tbody tr')].map((r) => "
                      "Number(r.children[1].textContent.replace(',', '')))")
    distance = search.slices[0]["distance"]
    assert rows == 20 and sum(sums) == (distance < 100).sum()


def drawn(window):
    """How many pixels of the first figure have the colours of the curve and of the soundings."""
    return window.run("""(() => { const canvas = document.querySelector('.ox-track-area canvas');
      const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
      const part = (text, c) => parseInt(text.slice(1 + 2 * c, 3 + 2 * c), 16);
      const near = (text, k) => [0, 1, 2].every((c) => Math.abs(part(text, c) - data[k + c]) < 40);
      const count = (name) => { let n = 0;
        for (let k = 0; k < data.length; k += 4) n += data[k + 3] > 150 && near(explorer.colour(name), k);
        return n; };
      return [count('--odd'), count('--rest')]; })()""")


@pytest.mark.parametrize("width", [1300, 400])
@pytest.mark.parametrize("dark", [False, True])
def test_drawn_in_every_size_and_light(tab, page, width, dark):
    window = tab(page.path, width, 900, dark)
    curve, dots = drawn(window)
    assert curve > 200 and dots > 300
    assert window.run("document.documentElement.scrollWidth") <= width
    # The legend stands below the figure: it covers no point.
    area, legend = window.run("['.ox-track-area', '.ox-figure .ox-legend'].map((s) => { const b = "
                              "document.querySelector(s).getBoundingClientRect(); return [b.top, b.bottom]; })")
    assert legend[0] >= area[1]


def test_peaks_by_keyboard_and_several_at_once(tab, page, search):
    window = tab(page.path)
    window.run("document.querySelector('.ox-peaks button[aria-label=\"Next peak\"]').focus()")
    window.key("Enter")
    assert window.run("explorer.current") == window.run("explorer.top[1]")
    assert window.run("document.querySelector('.ox-peaks h2').textContent").startswith("Peak 2 of")
    window.run("document.querySelector('.ox-list tbody tr').focus()")
    window.key("ArrowDown")
    assert window.run("explorer.peaks.figures[0].i") == window.run("explorer.current")
    window.run("explorer.setSelected([0, 1, 2])")
    assert window.run("document.querySelectorAll('.ox-figure').length") == 3
    assert window.run("document.querySelector('.ox-peaks h2').textContent") == "3 peaks and their tracks"


def test_names_of_files_and_odd_numbers_stay_text(tab, search, tmp_path):
    n = len(NASTY)
    table = pd.concat([search.peaks.iloc[:1]] * n, ignore_index=True)
    table = table.assign(source=pd.Series(NASTY, dtype=object), suspect=pd.Series(NASTY[::-1], dtype=object),
                         false_alarm=np.nan, windspeed_u=[np.nan, np.inf, 1e9, 0, 0, -1, 2][:n])
    table.loc[1, ["sigma", "amplitude_error"]] = [0.0, np.nan]
    window = tab(explore(table, tmp_path / "nasty.html").path)
    for k in range(n):
        window.run(f"explorer.open({k})")
        assert window.run("document.querySelectorAll('main img, main script').length") == 0
    assert "no false-alarm level known" in window.run("document.querySelector('.ox-figure').textContent")
