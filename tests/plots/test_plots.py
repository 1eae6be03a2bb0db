"""Pictures by what they draw: artists, data, labels, units; no traces left behind; a few against stored images.

`OCO2_WRITE_BASELINES=1 pytest tests/plots/test_plots.py -k baseline` draws the stored images again: look at them before
you commit them. They hold no text, so that the version of a font does not matter.
"""

import importlib.util
import io
import os
import warnings
from pathlib import Path
from types import SimpleNamespace

import cv2
import matplotlib
import matplotlib.colors as mcolors
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.testing.compare import compare_images
from sklearn.metrics import silhouette_samples

import oco2_outliers.plots as plots
from oco2_outliers.albums.axes import PixelAxes
from oco2_outliers.datasets import InputError
from oco2_outliers.dbscan import bench_kmeans, isolation_radius
from oco2_outliers.image_clusters import cluster_pictures
from oco2_outliers.image_forest import draw_verdict
from oco2_outliers.isolation.reporting import drawable_rows
from oco2_outliers.main_job import isolate
from oco2_outliers.peaks import peak_model, plot_peak, plot_scan, scan_track
from oco2_outliers.plumes import figures
from oco2_outliers.soundings import maps, simulate_area

pytestmark = pytest.mark.figures

BASELINE = Path(__file__).resolve().parent / "baseline"
RNG = np.random.default_rng(11)


@pytest.fixture(autouse=True)
def close_figures():
    plt.close("all")  # a test of another file, in the same process, may have left some
    yield
    plt.close("all")


# ---------------------------------------------------------------- small inputs, one for every picture

def track(n=300, south=-27.0, west=29.0, lean=-0.24, seed=0):
    rng = np.random.default_rng(seed)
    latitude = south + np.linspace(0, 2.7, n)
    table = pd.DataFrame({"sounding_id": 2016083111560000 + np.arange(n), "latitude": latitude,
                          "longitude": west + lean * (latitude - south), "xco2": rng.normal(402, 0.6, n),
                          "albedo": rng.normal(0.24, 0.02, n)})
    table["isolated"] = np.arange(n) % 60 == 7
    table.loc[table["isolated"], "xco2"] += 5
    table["score"] = np.where(table["isolated"], 3.0, 1.0) + rng.random(n)
    table["reason"] = np.where(table["isolated"], "xco2 80%, albedo 20%", "")
    return table


TABLE = track()
SWEEP = pd.DataFrame([{"eps": eps, "min_samples": m, "n_isolated": int(300 / eps**2 + m), "silhouette": eps - 1}
                      for eps in (0.5, 0.7, 1.1, 1.6) for m in (3, 5, 10)])
SWEEP.loc[2, "silhouette"] = np.nan
LABELS = np.repeat([-1, 0, 1, 2], [10, 60, 40, 20])
POINTS = np.array([[0, 0], [-4, 0], [4, 0], [0, 5]])[LABELS + 1] + np.random.default_rng(1).normal(
    0, np.where(LABELS < 0, 4, 0.7)[:, None], (len(LABELS), 2))
PEAK = {"slope": 0.002, "intercept": 402.0, "amplitude": 90.0, "sigma": 12.0, "slope_error": 0.001,
        "intercept_error": 0.1, "amplitude_error": 10.0, "sigma_error": 1.2, "centre_error": 1.0, "delta": 2.99,
        "delta_error": 0.25, "latitude": -26.0, "longitude": 28.8, "windspeed_u": 3.0, "windspeed_v": -4.0}
AROUND = pd.DataFrame({"distance": np.linspace(-100, 100, 400)})
AROUND["xco2"] = peak_model(AROUND["distance"], 0.002, 402, 90, 12) + np.random.default_rng(2).normal(0, 0.5, 400)
SCAN = scan_track(AROUND["distance"] + 100, AROUND["xco2"], centres=np.arange(0, 201, 4.0))
PICTURE = np.zeros((60, 80, 3), np.uint8) + np.arange(80, dtype=np.uint8)[None, :, None] * np.uint8([1, 2, 3])

# Each draws on the axes it is given, or on its own.
MAPS = pd.DataFrame({name + end: value for name, values in {
    "kept": ([0.7, 0.4, 0.02], [0.68, 0.38, 0.01], [0.72, 0.42, 0.03]),
    "trustworthiness": ([0.98, 0.9, 0.5], [0.97, 0.88, 0.48], [0.99, 0.92, 0.52]),
    "correlation": ([0.5, 0.8, 0.0], [0.45, 0.78, -0.05], [0.55, 0.82, 0.05])}.items()
    for end, value in zip(("", "_low", "_high"), values)}, index=["map", "pca", "random"])
DAY = pd.date_range("2013-03-12", periods=288, freq="5min")
READINGS = pd.DataFrame({"time": DAY, "site": "A", "channel": "flow", "value": np.sin(np.arange(288) / 20),
                         "score": 0.1,
                         "outlier": np.arange(288) // 20 == 4, "kind": "", "reason": "", "start": DAY, "end": DAY})
JUDGED = SimpleNamespace(points=READINGS, windows=READINGS.iloc[[80]].assign(kind="spike", reason="spike: high"),
                         summary={"channels": [{"site": "A", "channel": "flow", "threshold": 0.5}]})
SMALL = np.random.default_rng(0).integers(0, 255, (5, 3, 4, 3), np.uint8)
GROUPED = cluster_pictures(POINTS, "ward", k=3)
AREA = simulate_area(0, 1).soundings.assign(isolated=lambda table: table["footprint"] == 3)
CASES = {
    "isolated_along_track": lambda ax: plots.isolated_along_track(TABLE, ax=ax),
    "surroundings_along_track": lambda ax: plots.surroundings_along_track(
        TABLE.assign(local_difference=0.5, local_outlier=TABLE["isolated"]), ax=ax),
    "isolated_map": lambda ax: plots.isolated_map(TABLE, ax=ax),
    "footprint_map": lambda ax: plots.footprint_map(AREA, ax=ax),
    "eps_curve": lambda ax: plots.eps_curve(
        TABLE["score"], SWEEP.assign(n_isolated=[(TABLE["score"] > eps).sum() for eps in SWEEP["eps"]]), 1.1, ax=ax),
    "silhouette_curve": lambda ax: plots.silhouette_curve(SWEEP, 1.1, ax=ax),
    "sweep_table": lambda ax: plots.sweep_table(SWEEP, eps=1.1, min_samples=5, ax=ax),
    "silhouette_plot": lambda ax: plots.silhouette_plot(LABELS, X=POINTS, ax=ax),
    "k_selection": lambda ax: plots.k_selection(pd.DataFrame({"k": [2, 3, 4], "silhouette": [0.3, 0.6, 0.2]}), ax=ax),
    "embedding_scatter": lambda ax: plots.embedding_scatter(POINTS, LABELS, ax=ax),
    "feature_reasons": lambda ax: plots.feature_reasons(TABLE, ax=ax),
    "layout_plot": lambda ax: plots.layout_plot(POINTS, LABELS, np.arange(len(POINTS)) < 3, ax=ax),
    "layout_quality_plot": lambda ax: plots.layout_quality_plot(MAPS, ax=ax),
    "groups_plot": lambda ax: plots.groups_plot(GROUPED, ax=ax),
    "group_silhouettes_plot": lambda ax: plots.group_silhouettes_plot(GROUPED, ax=ax),
    "group_tree_plot": lambda ax: plots.group_tree_plot(GROUPED, ax=ax),
    "drawn_again_plot": lambda ax: plots.drawn_again_plot(SMALL, {"axes": PixelAxes.learn(SMALL, (4, 3))}, ax),
    "score_histogram": lambda ax: plots.score_histogram(TABLE["score"], 2.5, ax=ax),
    "evaluation_curve": lambda ax: plots.evaluation_curve(TABLE.rename(columns={"isolated": "odd"}), share=0.1, ax=ax),
    "peak_fit": lambda ax: plots.peak_fit(AROUND, PEAK, ax=ax, false_alarm=1.2),
    "track_scan": lambda ax: plots.track_scan(SCAN, pd.DataFrame({"centre": [100.0], "sigma": [12.0]}), ax=ax),
    "plume_map": lambda ax: plots.plume_map(TABLE, PEAK, TABLE.iloc[[3]], ax=ax),
    "annotate_image": lambda ax: plots.annotate_image(PICTURE, "anomaly", ax=ax),
    "series_plot": lambda ax: plots.series_plot(JUDGED, ax=ax),
    "image_grid": lambda ax: plots.image_grid([PICTURE, "none.png", PICTURE[:, :40]], [0.9, 0.8, 0.1],
                                              [True, True, False], columns=3, ax=ax),
}


def texts(legend):
    return [text.get_text() for text in legend.get_texts()]


# ---------------------------------------------------------------- what holds for all

def test_every_picture_has_a_case():
    drawing = {name for name in plots.__all__ if callable(getattr(plots, name))} - {"axis_label", "coastlines"}
    assert drawing == CASES.keys() | {"pairs", "mosaic"}  # pairs takes an array of axes, mosaic draws an image_grid


@pytest.mark.parametrize("name", CASES)
def test_draws_on_the_axes_given_and_leaves_no_trace(name):
    before, figures = plt.rcParams.copy(), plt.get_fignums()
    figure = Figure(figsize=(6, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    assert CASES[name](left) is left
    figure.canvas.draw()
    assert plt.rcParams == before and plt.get_fignums() == figures
    assert not right.has_data() and not right.get_xlabel()


@pytest.mark.parametrize("name", CASES)
def test_makes_one_figure_when_none_is_given(name):
    ax = CASES[name](None)
    assert isinstance(ax, Axes) and len(plt.get_fignums()) == 1
    ax.figure.canvas.draw()


@pytest.mark.parametrize("name", sorted(CASES.keys() - {"annotate_image", "image_grid", "layout_plot", "groups_plot",
                                                        "drawn_again_plot"}))
def test_both_axes_are_named(name):
    ax = CASES[name](None)
    assert ax.get_xlabel() and (ax.get_ylabel() or name in {"feature_reasons", "silhouette_plot"})
    assert name in {"k_selection", "feature_reasons", "silhouette_plot", "silhouette_curve", "score_histogram",
                    "embedding_scatter", "evaluation_curve", "layout_quality_plot",
                    "group_silhouettes_plot"} or "(" in ax.get_xlabel(), "no unit"


def test_the_two_colours_differ_in_lightness():
    """A black-and-white print keeps them apart, and so does any of the common forms of colour blindness."""
    def luminance(colour):
        linear = np.array(mcolors.to_rgb(colour))
        linear = np.where(linear <= 0.04045, linear / 12.92, ((linear + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    pale, dark = luminance(plots.REST_COLOUR), luminance(plots.ISOLATED_COLOUR)
    assert (pale + 0.05) / (dark + 0.05) > 1.5


BAD = {
    "no such column": lambda: plots.isolated_along_track(TABLE, y="nothing"),
    "no table": lambda: plots.isolated_along_track([1, 2]),
    "empty table": lambda: plots.isolated_along_track(TABLE.head(0)),
    "missing value": lambda: plots.isolated_along_track(TABLE.assign(xco2=np.nan)),
    "isolated is no flag": lambda: plots.isolated_along_track(TABLE.assign(isolated=0.5)),
    "isolated is missing": lambda: plots.isolated_map(TABLE.assign(isolated=None)),
    "no numeric column": lambda: plots.isolated_along_track(pd.DataFrame({"a": ["x"], "isolated": [True]})),
    "off the globe": lambda: plots.isolated_map(TABLE.assign(latitude=91.0)),
    "no longitude": lambda: plots.isolated_map(TABLE.drop(columns="longitude")),
    "position missing": lambda: plots.isolated_map(TABLE.assign(longitude=np.nan)),
    "resolution": lambda: plots.isolated_map(TABLE, resolution="10m"),
    "margin": lambda: plots.isolated_map(TABLE, margin=-1),
    "margin is no number": lambda: plots.isolated_map(TABLE, margin=float("nan")),
    "no radius": lambda: plots.eps_curve([]),
    "radius below 0": lambda: plots.eps_curve([1.0, -1.0]),
    "radius missing": lambda: plots.eps_curve([1.0, np.nan]),
    "radius of two dimensions": lambda: plots.eps_curve([[1.0]]),
    "sweep without counts": lambda: plots.eps_curve([1.0], SWEEP[["eps"]]),
    "sweep without silhouettes": lambda: plots.silhouette_curve(SWEEP[["eps", "min_samples"]]),
    "setting twice": lambda: plots.sweep_table(pd.concat([SWEEP, SWEEP])),
    "setting not swept": lambda: plots.sweep_table(SWEEP, eps=0.51, min_samples=5),
    "half a setting": lambda: plots.sweep_table(SWEEP, eps=0.5),
    "labels are no integers": lambda: plots.silhouette_plot([0.5, 1.5], [0, 0]),
    "one label": lambda: plots.silhouette_plot([1, 1], [0, 0]),
    "noise alone": lambda: plots.silhouette_plot([-1, -2], [0, 0]),
    "neither values nor rows": lambda: plots.silhouette_plot([0, 1]),
    "both values and rows": lambda: plots.silhouette_plot([0, 1], [0, 0], X=[[1], [2]]),
    "every row a cluster": lambda: plots.silhouette_plot([0, 1], X=[[1.0], [2.0]]),
    "lengths": lambda: plots.silhouette_plot([0, 1, 1], [0.1, 0.2]),
    "silhouette beyond 1": lambda: plots.silhouette_plot([0, 1], [0.1, 2.0]),
    "too many pairs": lambda: plots.silhouette_plot(np.arange(10_001) % 2, X=np.zeros((10_001, 2))),
    "no k": lambda: plots.k_selection(pd.DataFrame({"k": [2], "silhouette": [np.nan]})),
    "three columns": lambda: plots.embedding_scatter(np.zeros((4, 3))),
    "no points": lambda: plots.embedding_scatter(np.zeros((0, 2))),
    "points are words": lambda: plots.embedding_scatter([["a", "b"]]),
    "labels too few": lambda: plots.embedding_scatter(np.zeros((4, 2)), [1]),
    "strays are no flags": lambda: plots.embedding_scatter(np.zeros((2, 2)), [1, 1], [0, 1]),
    "reason without shares": lambda: plots.feature_reasons(pd.DataFrame({"reason": ["far from all"]})),
    "no reason": lambda: plots.feature_reasons(pd.DataFrame({"reason": [""]})),
    "shares above 1": lambda: plots.feature_reasons(pd.DataFrame({"a": [0.9], "b": [0.8]})),
    "shares below 0": lambda: plots.feature_reasons(pd.DataFrame({"a": [-0.1], "b": [0.8]})),
    "top": lambda: plots.feature_reasons(TABLE, top=0),
    "one feature": lambda: plots.pairs(TABLE, ["xco2"]),
    "a feature twice": lambda: plots.pairs(TABLE, ["xco2", "xco2"]),
    "axes of another shape": lambda: plots.pairs(TABLE, ["xco2", "albedo"], axes=np.empty((1, 2), object)),
    "max_rows": lambda: plots.pairs(TABLE, max_rows=0),
    "no score": lambda: plots.score_histogram([]),
    "score missing": lambda: plots.score_histogram([1.0, np.nan]),
    "bins": lambda: plots.score_histogram([1.0], bins=0),
    "peak without sigma": lambda: plots.peak_fit(AROUND, {**PEAK, "sigma": None}),
    "sigma 0": lambda: plots.peak_fit(AROUND, {**PEAK, "sigma": 0.0}),
    "covariance of another shape": lambda: plots.peak_fit(AROUND, PEAK, covariance=np.eye(3)),
    "no distance": lambda: plots.peak_fit(AROUND[["xco2"]], PEAK),
    "scan of another shape": lambda: plots.track_scan(SimpleNamespace(centre=[1.0], width=[2.0], t=[[1.0, 2.0]],
                                                                      support=[[1.0, 2.0]])),
    "peak without place": lambda: plots.plume_map(TABLE, {"latitude": 1.0}),
    "another verdict": lambda: plots.annotate_image(PICTURE, "odd"),
    "no picture file": lambda: plots.annotate_image("none.png", "normal"),
    "picture of floats": lambda: plots.image_grid([PICTURE / 255]),
    "picture of four channels": lambda: plots.image_grid([np.zeros((2, 2, 4), np.uint8)]),
    "picture of no pixels": lambda: plots.image_grid([np.zeros((0, 2), np.uint8)]),
    "no pictures": lambda: plots.image_grid([]),
    "scores too few": lambda: plots.image_grid([PICTURE, PICTURE], [1.0]),
    "titles too few": lambda: plots.image_grid([PICTURE, PICTURE], titles=["a"]),
    "odd is no flag": lambda: plots.image_grid([PICTURE], odd=[1]),
    "columns": lambda: plots.image_grid([PICTURE], columns=0),
    "no such channel": lambda: plots.series_plot(JUDGED, channel="level"),
    "series without scores": lambda: plots.series_plot(SimpleNamespace(points=READINGS.drop(columns="score"))),
    "mosaic without path": lambda: plots.mosaic(pd.DataFrame({"score": [1.0], "outlier": [True]})),
    "mosaic of nothing": lambda: plots.mosaic(pd.DataFrame({"path": [], "score": [], "outlier": []})),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_in_one_line_and_draws_nothing(case):
    with pytest.raises((InputError, FileNotFoundError)) as refused:
        BAD[case]()
    assert "\n" not in str(refused.value) and len(str(refused.value)) < 400
    assert not plt.get_fignums()


def test_names_from_outside_are_drawn_as_they_stand():
    """Matplotlib reads $ as a formula, and a legend leaves out what begins with an underscore."""
    evil = ["$\\frac{$", "_hidden", "</script>$"]
    table = pd.DataFrame(RNG.random((20, 3)) / 3, columns=evil).assign(isolated=False)
    plots.isolated_along_track(table, y=evil[0], x=evil[1]).figure.canvas.draw()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of a layout that does not work out
        plots.pairs(table, evil)[0, 0].figure.canvas.draw()
    ax = plots.feature_reasons(table[evil])
    ax.figure.canvas.draw()
    assert len(texts(ax.get_legend())) == 4
    ax = plots.image_grid([PICTURE, "a\n$\\frac{\x00.png"], titles=["$\\frac{", "x\ty" * 40])
    ax.figure.canvas.draw()
    assert len(max(ax.texts[1].get_text().split("\n"), key=len)) < 40


@pytest.mark.parametrize("draw", [
    lambda n: plots.isolated_along_track(track(n)), lambda n: plots.isolated_map(track(n)),
    lambda n: plots.embedding_scatter(RNG.normal(size=(n, 2)), RNG.integers(0, 9, n)),
    lambda n: plots.plume_map(track(n), PEAK), lambda n: plots.pairs(track(n), max_rows=n)[0, 0]])
def test_many_points_are_drawn_as_pixels(draw):
    file = io.BytesIO()
    draw(40_000).figure.savefig(file, format="svg", dpi=72)
    assert len(file.getvalue()) < 1_000_000


# ---------------------------------------------------------------- maps

def unrolled(ax):
    return np.concatenate([points.get_offsets()[:, 0] for points in ax.collections[2:4]])


@pytest.mark.parametrize("centre", [-180, -179.5, -90, 0, 90, 179, 180])
def test_a_track_stays_in_one_piece_wherever_it_is(centre):
    table = track(west=centre)
    for turned in ((table["longitude"] + 180) % 360 - 180, table["longitude"] % 360):
        x = unrolled(plots.isolated_map(table.assign(longitude=turned)))
        assert np.ptp(x) == pytest.approx(np.ptp(table["longitude"]), abs=1e-9)
        plt.close("all")


def test_no_coast_is_drawn_across_the_map():
    for centre, resolution in ((180, "110m"), (-150, "50m"), (100, "110m")):
        table = pd.DataFrame({"latitude": [-80.0, 80.0], "longitude": [centre - 1.0, centre + 1.0], "isolated": False})
        table["longitude"] = (table["longitude"] + 180) % 360 - 180
        ax = plots.isolated_map(table, resolution=resolution, central_longitude=centre)
        for kind in ax.collections[:2]:
            assert kind.get_gid() in ("borders", "coastlines")
            assert all(np.abs(np.diff(line[:, 0])).max() < 60 for line in kind.get_segments())
        west, east = ax.get_xlim()
        assert 0 < east - west <= 360 + 1e-9


def test_maps_of_nothing_of_one_point_of_the_pole_and_of_all():
    assert plots.isolated_map(TABLE.head(0)).get_xlim() == (-180, 180)
    one = plots.isolated_map(TABLE.head(1))
    assert np.ptp(one.get_ylim()) == pytest.approx(7) and len(unrolled(one)) == 1
    tight = plots.isolated_map(TABLE.head(1), margin=0)
    assert 0 < np.ptp(tight.get_ylim()) < 1
    for latitude in (90.0, -90.0):
        pole = plots.isolated_map(pd.DataFrame({"latitude": [latitude], "longitude": [10.0], "isolated": [True]}))
        assert -90 <= pole.get_ylim()[0] < pole.get_ylim()[1] <= 90
        pole.figure.canvas.draw()
    ring = pd.DataFrame({"latitude": 80.0, "longitude": np.arange(-180, 180, 5.0), "isolated": False})
    assert plots.isolated_map(ring).get_xlim() == (-180, 180)
    globe = pd.DataFrame({"latitude": RNG.uniform(-90, 90, 500), "longitude": RNG.uniform(0, 360, 500)})
    ax = plots.isolated_map(globe.assign(isolated=False))
    assert ax.get_xlim() == (-180, 180) and ax.get_ylim() == (-90, 90) and np.abs(unrolled(ax)).max() <= 180


def test_a_degree_east_is_as_long_as_on_the_ground():
    ax = plots.isolated_map(track(south=58.65))
    assert ax.get_aspect() == pytest.approx(2.0, rel=1e-3)  # 1 / cos(60 degrees)


def test_ticks_say_east_and_west():
    shown = [maps._degrees(value, ends="EW") for value in (-180, -1.5, 0, 175, 180, 185, 360)]
    assert shown == ["180°", "1.5°W", "0°", "175°E", "180°", "175°W", "0°"]
    assert [maps._degrees(value, ends="NS") for value in (-30, 0, 0.25)] == ["30°S", "0°", "0.25°N"]


def test_coastlines_go_through_known_places():
    for resolution, off in (("110m", 0.6), ("50m", 0.15)):
        points = np.concatenate(plots.coastlines(resolution))
        for place in ((20.0, -34.82), (-9.5, 38.78), (-5.6, 36.0), (25.78, 71.17), (-68.0, -55.0)):  # capes
            assert np.hypot(*(points - place).T).min() < 3 * off
        assert len(plots.coastlines(resolution, borders=True)) > len(plots.coastlines(resolution)) + 300


def test_lines_are_read_only_and_the_list_is_ones_own():
    lines = plots.coastlines()
    with pytest.raises(ValueError, match="read-only"):
        lines[0][0] = 0
    n = len(lines)
    lines.clear()
    assert len(plots.coastlines()) == n


@pytest.mark.parametrize("resolution", ["../../secret", "110m\0", "", None, 110, ["110m"], {}, "x" * 10_000])
def test_unknown_resolutions_are_refused(resolution):
    with pytest.raises(InputError, match="'110m' or '50m'") as refused:
        plots.coastlines(resolution)
    assert len(str(refused.value)) < 120


def test_the_script_cuts_lines_at_the_dateline(root):
    spec = importlib.util.spec_from_file_location("make_coastline", root / "scripts" / "make_coastline.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    west, east = script.cut(np.array([[170.0, 10.0], [179.0, 10.0], [-179.0, 12.0], [-170.0, 12.0]]))
    assert west[-1].tolist() == [180, 11] and east[0].tolist() == [-180, 11]
    edge = script.cut(np.array([[179.0, 0.0], [180.0, 0.0], [180.0, 5.0], [179.0, 5.0]]))
    assert [len(piece) for piece in edge] == [2, 2]  # the edge of the source is no coast
    grid = script.on_grid([np.array([[0.0, 0.0], [0.001, 0.0], [1.0, 1.0]]), np.array([[3.0, 3.0]])], 0.01)
    assert [line.tolist() for line in grid] == [[[0, 0], [100, 100]]]


def test_the_wind_arrow_ends_at_the_peak_in_its_true_direction():
    for latitude in (-26.0, 60.0):
        table = track(south=latitude - 1)
        peak = {**PEAK, "latitude": latitude}
        ax = plots.plume_map(table, peak)
        ax.figure.canvas.draw()
        arrow = [artist for artist in ax.collections if hasattr(artist, "U")][0]
        tail = np.array([arrow.X[0], arrow.Y[0]])
        tip = tail + [arrow.U[0], arrow.V[0]]
        assert tip == pytest.approx([peak["longitude"], peak["latitude"]])
        on_paper = np.subtract(*ax.transData.transform([tip, tail]))
        assert np.degrees(np.arctan2(on_paper[1], on_paper[0])) == pytest.approx(np.degrees(np.arctan2(-4, 3)), abs=0.5)
        assert texts(ax.get_legend())[-1] == "wind 5.0 m s-1"
    calm = plots.plume_map(TABLE, {**PEAK, "windspeed_u": 0.0, "windspeed_v": 0.0})
    assert calm.get_title(loc="left") == "no wind"
    across = plots.plume_map(track(west=180.1), {**PEAK, "longitude": -179.9})
    assert np.ptp(across.get_xlim()) < 10


# ---------------------------------------------------------------- eps, clusters

def test_the_profile_is_exact_at_every_eps():
    radius = isolation_radius(RNG.normal(size=(200, 2)), 5)
    line = plots.eps_curve(np.append(radius, np.inf)).lines[0]
    for eps in RNG.uniform(0, radius.max() * 1.1, 50):
        assert line.get_ydata()[line.get_xdata() <= eps][-1] == (radius > eps).sum() + 1


def test_the_table_of_a_sweep_holds_its_numbers():
    ax = plots.sweep_table(SWEEP, eps=1.1, min_samples=5)
    cells = ax.images[0].get_array()
    assert cells.shape == (3, 4) and cells[1, 2] == SWEEP.query("eps == 1.1 and min_samples == 5")["n_isolated"].iloc[0]
    assert ax.patches[0].get_xy() == (1.5, 0.5) and [t.get_text() for t in ax.get_xticklabels()][0] == "0.5"
    assert [t.get_text() for t in plots.sweep_table(SWEEP, "silhouette").texts].count("–") == 1
    same = plots.sweep_table(SWEEP.assign(n_isolated=0))
    same.figure.canvas.draw()
    nothing = plots.sweep_table(SWEEP.assign(silhouette=np.nan), "silhouette")
    nothing.figure.canvas.draw()
    assert {t.get_text() for t in nothing.texts} == {"–"}


def test_numbers_of_a_sweep_fit_their_cells_or_are_left_out():
    def numbers(n, value):
        table = pd.DataFrame([{"eps": k, "min_samples": m, "n_isolated": value} for k in range(1, n) for m in (3, 5)])
        ax = plots.sweep_table(table)
        ax.figure.canvas.draw()
        cell = ax.get_window_extent().width / (n - 1)
        return [text.get_window_extent().width / cell for text in ax.texts]

    assert len(numbers(6, 25)) == 10 and max(numbers(6, 25)) < 1
    assert max(numbers(12, 123_456)) < 1.05 and not numbers(40, 123_456_789)


def test_silhouettes_are_those_of_scikit_learn():
    expected = silhouette_samples(POINTS, LABELS)
    for ax in (plots.silhouette_plot(LABELS, X=POINTS), plots.silhouette_plot(LABELS, expected)):
        assert texts(ax.get_legend()) == [f"mean {expected.mean():.2f}"] and len(ax.collections) == 4
        reach = [shape.get_paths()[0].vertices[:, 0].max() for shape in ax.collections]
        assert reach[1:] == pytest.approx([expected[k == LABELS].max() for k in (0, 1, 2)])


def test_many_clusters_are_cut_and_said():
    labels = np.repeat(np.arange(40), 5)
    ax = plots.silhouette_plot(labels, RNG.uniform(-1, 1, 200))
    assert len(ax.collections) == 15 and ax.get_title(loc="left") == "the 15 largest of 40 clusters"
    ax = plots.embedding_scatter(RNG.normal(size=(200, 2)), labels)
    assert texts(ax.get_legend())[0] == "33 more clusters (165)"
    assert sum(len(each.get_offsets()) for each in ax.collections) == 200


def test_strays_of_ones_own_and_no_labels():
    stray = np.arange(len(POINTS)) < 3
    ax = plots.embedding_scatter(pd.DataFrame(POINTS, columns=["u1", "u2"]), stray=stray)
    assert texts(ax.get_legend()) == ["rows (127)", "stray (3)"] and ax.get_ylabel() == "u2"
    ax = plots.embedding_scatter(POINTS, LABELS, stray)
    assert "noise (7)" in texts(ax.get_legend())


def test_k_selection_takes_the_table_of_bench_kmeans():
    table = bench_kmeans(POINTS[LABELS >= 0], k=range(2, 7))
    ax = plots.k_selection(table)
    assert ax.lines[0].get_xdata().tolist() == [2, 3, 4, 5, 6] and "k = 3" in texts(ax.get_legend())[0]


# ---------------------------------------------------------------- why

def test_reasons_are_drawn_oddest_first():
    table = TABLE.assign(reason=np.where(TABLE["isolated"], "xco2 70%, a, b (c) 25%", ""))
    ax = plots.feature_reasons(table, top=3)
    expected = table[table["isolated"]].sort_values("score", ascending=False)["sounding_id"].head(3)
    assert [t.get_text() for t in ax.get_yticklabels()] == list(map(str, expected))
    assert texts(ax.get_legend()) == ["xco2", "a, b (c)", "the rest"]
    assert [bar.get_width() for bar in ax.containers[1]] == pytest.approx([0.25] * 3)
    assert ax.get_ylim()[0] > ax.get_ylim()[1]  # the first on top


def test_many_features_share_the_grey():
    shares = pd.DataFrame(np.full((4, 12), 1 / 12), columns=list("abcdefghijkl"))
    ax = plots.feature_reasons(shares)
    widths = [[bar.get_width() for bar in bars] for bars in ax.containers]
    assert widths == [pytest.approx([1 / 12] * 4)] * 10 + [pytest.approx([2 / 12] * 4)]
    assert [text.get_text() for text in ax.texts[:4]] == ["g"] * 4  # named in the bar, the legend has no room
    assert texts(ax.get_legend())[6:] == ["another feature", "the rest"]
    one = plots.feature_reasons(shares.head(1))
    assert len(one.patches) == 12 and one.get_title() == "row 0"


def test_pairs_draw_all_isolated_rows_and_a_stated_draw_of_the_rest():
    axes = plots.pairs(TABLE, ["xco2", "albedo"], max_rows=50, random_state=3)
    again = plots.pairs(TABLE, ["xco2", "albedo"], max_rows=50, random_state=3)
    rest, odd = axes[1, 0].collections
    assert len(rest.get_offsets()) == 50 and len(odd.get_offsets()) == TABLE["isolated"].sum()
    assert np.array_equal(rest.get_offsets(), again[1, 0].collections[0].get_offsets())
    assert texts(axes[0, 1].get_legend())[0] == "the rest (50 of 295 drawn,\nrandom_state 3)"
    assert axes[1, 0].get_xlabel() == "xco2 (ppm)" and not axes[0, 1].axison
    figure = Figure()
    mine = figure.subplots(2, 2)
    assert plots.pairs(TABLE, axes=mine) is mine


@pytest.mark.parametrize("seed", range(20))
def test_no_bar_of_the_histogram_has_both_kinds(seed):
    rng = np.random.default_rng(seed)
    score = np.round(rng.gamma(2, 1, 200), rng.integers(0, 4))
    threshold = float(rng.choice([*score[:3], score.min(), score.max(), score.max() + 1, 1.7]))
    ax = plots.score_histogram(score, threshold, bins=int(rng.integers(1, 60)))
    rest, odd = ax.containers
    assert sum(bar.get_height() for bar in rest) == (score <= threshold).sum()
    assert sum(bar.get_height() for bar in odd) == (score > threshold).sum()
    assert not any(a.get_height() and b.get_height() for a, b in zip(rest, odd))


def test_histograms_of_one_value_and_of_infinite_ones():
    assert texts(plots.score_histogram([1.0, 1.0]).get_legend()) == ["rows (2)"]
    assert texts(plots.score_histogram([1.0, np.inf], 2.0).get_legend())[1] == "odd (1, 1 of them infinite)"
    plots.score_histogram([np.inf, np.inf], 2.0).figure.canvas.draw()
    plots.score_histogram(RNG.random(10), np.inf).figure.canvas.draw()


def test_the_figure_of_isolate_says_what_it_cannot_draw(tmp_path, monkeypatch):
    draw = Figure.savefig  # of the two figures of a result the other one says the same for every table
    monkeypatch.setattr(Figure, "savefig", lambda self, file, **options: (
        draw(self, file, **options) if "along" in Path(file).name else Path(file).touch()))
    far = TABLE["longitude"].mask(TABLE.index % 3 == 0, -999.0)
    for name, table in (("all", TABLE), ("nowhere", TABLE.drop(columns=["latitude", "longitude"])),
                        ("row", TABLE.assign(latitude=np.nan)), ("gaps", TABLE.assign(longitude=far)),
                        ("no_xco2", TABLE.drop(columns="xco2")), ("words", TABLE.assign(longitude="east"))):
        given = table.drop(columns=["isolated", "score", "reason"])
        isolate(given, out=tmp_path / name, eps=2.0, features=["albedo"], progress=False)
        picture = cv2.imread(str(tmp_path / name / "isolated_along_track.png"))
        assert picture.shape[1] == (1440 if name in ("all", "gaps", "no_xco2") else 1080)
    y, shown = drawable_rows(TABLE.assign(longitude=far), "albedo")
    assert y == "xco2" and len(shown) == (TABLE.index % 3 != 0).sum()
    nothing = TABLE.assign(latitude=TABLE["latitude"].where(TABLE.index < 9), xco2=TABLE["xco2"].where(TABLE.index > 9))
    y, shown = drawable_rows(nothing, "albedo")
    assert y == "albedo" and len(shown) == len(TABLE)


# ---------------------------------------------------------------- plumes

def test_the_shape_is_that_of_the_search():
    x = np.linspace(-50, 50, 11)
    assert figures._gaussian_on_line(x, 0.1, 400, 50, 7) == pytest.approx(peak_model(x, 0.1, 400, 50, 7), rel=1e-15)


def test_the_old_names_are_the_new_pictures():
    assert plot_peak is plots.peak_fit and plot_scan is plots.track_scan


def test_the_band_is_the_error_of_the_curve():
    """Against curves drawn from the covariance by chance."""
    factor = RNG.normal(size=(5, 5)) * [[0.0005], [0.05], [2.0], [0.3], [0.3]]
    covariance = factor @ factor.T
    fit = [PEAK[name] for name in ("slope", "intercept", "amplitude", "sigma")]
    x = np.linspace(-60, 60, 31)
    drawn = RNG.multivariate_normal([*fit, 0.0], covariance, 20_000)
    curves = [peak_model(x - centre, *others) for *others, centre in drawn]
    assert figures.fit_error(x, fit, covariance) == pytest.approx(np.std(curves, axis=0), rel=0.1)


def test_errors_of_a_row_know_that_amplitude_and_sigma_go_together():
    fit = [PEAK[name] for name in ("slope", "intercept", "amplitude", "sigma")]
    matrix = figures.covariance_of_peak(PEAK, fit)
    alone = {**PEAK, "slope_error": 0, "intercept_error": 0, "centre_error": 0}
    assert figures.fit_error(np.zeros(1), fit, figures.covariance_of_peak(alone, fit)) == pytest.approx(0.25, rel=0.01)
    assert np.linalg.eigvalsh(matrix).min() > -1e-9
    held = figures.covariance_of_peak({**PEAK, "sigma_error": np.nan, "centre_error": None}, fit)
    assert held[3, 3] == held[4, 4] == 0
    assert figures.covariance_of_peak({"amplitude_error": np.nan}, fit) is None
    words = texts(plots.peak_fit(AROUND, PEAK).get_legend())
    assert "fit: sigma 12.0 ± 1.2 km, delta 2.99 ± 0.25 ppm" in words


def test_the_false_alarm_level_stands_on_the_background():
    lines = plots.peak_fit(AROUND, PEAK, false_alarm=1.2).lines
    assert np.allclose(lines[3].get_ydata() - lines[1].get_ydata(), 1.2)
    assert len(plots.peak_fit(AROUND, PEAK).lines) == 3


def test_a_scan_without_a_place_to_trust_is_white():
    none = SCAN._replace(support=np.zeros_like(SCAN.support))
    ax = plots.track_scan(none)
    assert np.ma.getmaskarray(np.ma.masked_invalid(ax.collections[0].get_array())).all()
    assert not plots.track_scan(scan_track([], [])).collections


# ---------------------------------------------------------------- pictures

def test_verdicts_are_those_of_the_command():
    for label, word in (("anomaly", "anomaly"), (False, "normal"), (np.True_, "anomaly")):
        shown = plots.annotate_image(PICTURE, label).images[0].get_array()
        assert np.array_equal(shown, draw_verdict(PICTURE, word)[:, :, ::-1])
    red = (plots.annotate_image(PICTURE, "anomaly").images[0].get_array() == (255, 0, 0)).all(axis=2)
    assert red[10:26, 10:].any() and not red[40:].any()


def test_a_sheet_keeps_the_place_of_what_it_cannot_read(tmp_path):
    cv2.imwrite(str(tmp_path / "good.png"), np.full((400, 1200, 3), (255, 0, 0), np.uint8))
    (tmp_path / "cut.png").write_bytes((tmp_path / "good.png").read_bytes()[:60])
    (tmp_path / "words.txt").write_text("no picture")
    paths = [tmp_path / "good.png", tmp_path / "cut.png", tmp_path / "words.txt", tmp_path, tmp_path / "absent.png"]
    ax = plots.image_grid(paths, odd=[True] + [False] * 4, columns=3)
    assert [t.get_text() for t in ax.texts] == [""] + ["unreadable"] * 4
    (shown,) = ax.images
    assert shown.get_array().shape == (85, 256, 3) and (shown.get_array()[0, 0] == (0, 0, 255)).all()
    left, right, bottom, top = shown.get_extent()
    assert (right - left) / (bottom - top) == pytest.approx(3, rel=0.01) and 0 <= left < right <= 1
    assert [patch.get_gid() for patch in ax.patches].count("frame") == 1


def test_grey_pictures_and_thin_ones():
    ax = plots.image_grid([np.full((50, 50), 7, np.uint8), np.zeros((1, 5000, 3), np.uint8)])
    assert [image.get_array().shape for image in ax.images] == [(50, 50, 3), (1, 256, 3)]
    ax.figure.canvas.draw()


def test_the_mosaic_ranks_and_frames():
    table = pd.DataFrame({"path": [f"p{k}.png" for k in range(9)], "score": np.arange(9) / 10, "outlier": [False] * 9})
    table.loc[8, "outlier"] = True
    ax = plots.mosaic(table, top=4)
    assert [t.get_text().split("\n")[0] for t in ax.texts] == ["0.80 p8.png", "0.70 p7.png", "0.60 p6.png",
                                                               "0.50 p5.png"]
    assert len([p for p in ax.patches if p.get_gid() == "frame"]) == 1


# ---------------------------------------------------------------- stored images

def without_text(figure):
    for ax in figure.findobj(Axes):
        ax.set_title("")
        ax.set_title("", loc="left")
        ax.set(xlabel="", ylabel="")
        ax.set_xticks([])
        ax.set_yticks([])
        ax.minorticks_off()
        for artist in [*ax.texts, *filter(None, [ax.get_legend()])]:
            artist.remove()


@pytest.mark.parametrize("name", ["isolated_along_track", "isolated_map", "isolated_map_dateline", "eps_curve",
                                  "sweep_table", "silhouette_plot", "embedding_scatter", "feature_reasons", "peak_fit",
                                  "track_scan", "plume_map", "image_grid"])
def test_looks_like_its_baseline(name, tmp_path):
    with matplotlib.rc_context(matplotlib.rcParamsDefault):
        figure = Figure(figsize=(4, 3), dpi=60)
        ax = figure.add_axes((0.05, 0.05, 0.8, 0.9))
        if name == "isolated_map_dateline":
            plots.isolated_map(track(south=64, west=180.4, lean=-1.0).assign(
                longitude=lambda t: (t["longitude"] + 180) % 360 - 180), ax=ax)
        else:
            CASES[name](ax)
        without_text(figure)
        actual, expected = tmp_path / f"{name}.png", BASELINE / f"{name}.png"
        if os.environ.get("OCO2_WRITE_BASELINES"):
            figure.savefig(expected, metadata={"Software": None})
        figure.savefig(actual, metadata={"Software": None})
    assert expected.exists(), f"no stored image; draw it with OCO2_WRITE_BASELINES=1: {expected.name}"
    difference = compare_images(str(expected), str(actual), tol=2)
    assert difference is None, difference
