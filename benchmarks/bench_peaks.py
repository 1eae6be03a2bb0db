"""Plumes along the track: fits per second against the published loop, false alarms, power.

Run from the project's root: `python -m benchmarks.bench_peaks` (speed, minutes), `--calibration` for false alarms
and power on generated orbits (about half an hour on one core). Prints markdown tables with machine and versions.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import OptimizeWarning, curve_fit
from scipy.stats import binomtest

from benchmarks.harness import machine, table
from oco2_outliers.peaks import WIDTHS, find_peaks, peak_model, scan_track
from oco2_outliers.soundings import simulate_granule, track_distance
from oco2_outliers.soundings.sphere import sphere_distance

SHARED = Path(os.environ.get("OCO2_SHARED_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def markdown(found: pd.DataFrame) -> str:
    """A table as markdown."""
    return table(list(found.columns), found.to_numpy().tolist())


def published_loop(track: pd.DataFrame, seconds: float) -> tuple[int, float]:
    """The published loop, table operations and all, for about `seconds`; fits done and seconds taken.

    `track` has `distance`, `xco2` and `xco2_uncertainty`, in order. For each centre: the window by a query, a copy of
    it, the fit of pandas columns, the counts on both sides by boolean indexing, R.
    """
    centres = np.random.default_rng(0).permutation(np.arange(0, len(track), 15))  # a fair sample of the orbit
    done, started = 0, time.perf_counter()
    for k in centres:
        start = track.loc[k, "distance"]
        near = track.query("distance >= (@start - 100) and distance <= (@start + 100)").copy()
        middle = np.median(near["xco2"])
        near["xco2_enhancement"] = near["xco2"] - middle
        u, done = near["distance"] - start, done + 1
        with warnings.catch_warnings(), np.errstate(all="ignore"), contextlib.suppress(RuntimeError):
            warnings.simplefilter("ignore", OptimizeWarning)
            first = (0.0, middle, 30 * near.loc[k, "xco2_enhancement"], 10.0)
            fit, _ = curve_fit(_plain_model, u, near["xco2"], p0=first, sigma=near["xco2_uncertainty"],
                               ftol=0.5, xtol=0.5, maxfev=20000)
            width = abs(fit[3])
            for low, high in ((-1, 0), (0, 1), (-3, -2), (2, 3)):
                len(near[(u >= low * width) & (u <= high * width)])
            core = near[(u >= -4 * width) & (u <= 4 * width)]
            np.corrcoef(_plain_model(core["distance"] - start, *fit), core["xco2"])
        if time.perf_counter() - started > seconds:
            break
    return done, time.perf_counter() - started


def _plain_model(x, m, b, area, s):
    return m * x + b + area / (s * (2 * np.pi) ** 0.5) * np.exp(-(x**2) / (2 * s**2))


def bare_fits(track: pd.DataFrame, seconds: float) -> tuple[int, float]:
    """The same fits on plain arrays with the window found by bisection: all that curve_fit itself costs."""
    x, y, error = (track[c].to_numpy() for c in ("distance", "xco2", "xco2_uncertainty"))
    centres = np.random.default_rng(0).permutation(np.arange(0, len(track), 15))
    done, started = 0, time.perf_counter()
    for k in centres:
        near = slice(*np.searchsorted(x, (x[k] - 100, x[k] + 100)))
        v, done = y[near], done + 1
        with warnings.catch_warnings(), np.errstate(all="ignore"), contextlib.suppress(RuntimeError):
            warnings.simplefilter("ignore", OptimizeWarning)
            curve_fit(_plain_model, x[near] - x[k], v, p0=(0.0, np.median(v), 30 * (y[k] - np.median(v)), 10.0),
                      sigma=error[near], ftol=0.5, xtol=0.5, maxfev=20000)
        if time.perf_counter() - started > seconds:
            break
    return done, time.perf_counter() - started


def speed(seconds: float) -> pd.DataFrame:
    """Candidate fits per second on generated orbits and, where it is, on real soundings."""
    tracks = {}
    for length, name in ((260, "generated, 1,770 km"), (2600, "generated, day side of an orbit")):
        rows = simulate_granule(1, length, center=(0.0, 20.0), date="2019-03-21")[0]
        tracks[name] = (track_distance(rows).to_numpy(), rows["xco2"].to_numpy(float),
                        rows["xco2_uncertainty"].to_numpy(float))
    real = SHARED / "soundings" / "orbit11522_20160831_secunda.csv"
    if real.exists():
        rows = pd.read_csv(real).sort_values("distance_rel_km")
        tracks["real, orbit 11522, 500 km"] = (rows["distance_rel_km"].to_numpy(), rows["xco2"].to_numpy(),
                                               np.ones(len(rows)))
    scan_track(np.arange(300.0), np.zeros(300))  # compile
    found = []
    for name, (x, y, error) in tracks.items():
        order = np.argsort(x, kind="stable")
        x, y, error = x[order], y[order], error[order]
        track = pd.DataFrame({"distance": x, "xco2": y, "xco2_uncertainty": error})
        rates = [done / taken for done, taken in (published_loop(track, seconds), bare_fits(track, seconds))]
        times = []
        for _ in range(3):
            started = time.perf_counter()
            scan = scan_track(x, y, error)
            times.append(time.perf_counter() - started)
        ours = scan.t.size / np.median(times)
        found.append({
            "track": name, "soundings": f"{len(x):,}", "published loop, fits/s": f"{rates[0]:,.0f}",
            "bare curve_fit, fits/s": f"{rates[1]:,.0f}", "scan_track, fits": f"{scan.t.size:,}",
            "seconds (median of 3)": f"{np.median(times):.3f}", "fits/s": f"{ours:,.0f}",
            "times the loop": f"{ours / rates[0]:,.0f}", "times bare fits": f"{ours / rates[1]:,.0f}"})
    return pd.DataFrame(found)


def agreement(n: int = 200) -> str:
    """Largest difference of an amplitude from curve_fit at the same centre and width, over its size."""
    rows = simulate_granule(2, 260)[0]
    x, y, error = (np.asarray(v, float) for v in (track_distance(rows), rows["xco2"], rows["xco2_uncertainty"]))
    scan, rng, worst = scan_track(x, y, error), np.random.default_rng(0), 0.0
    for j, m in zip(rng.integers(50, len(scan.centre) - 50, n), rng.integers(0, len(WIDTHS), n)):
        u = x - scan.centre[j]
        near = np.abs(u) <= 100

        def held(u, slope, level, area, width=WIDTHS[m]):
            return peak_model(u, slope, level, area, width)

        def slopes(u, slope, level, area, width=WIDTHS[m]):
            return np.stack([u, np.ones_like(u), peak_model(u, 0, 0, 1, width)], axis=1)

        fit = curve_fit(held, u[near], y[near], p0=(0, 400, 1), sigma=error[near], jac=slopes, xtol=1e-14, ftol=1e-14)
        worst = max(worst, abs(scan.amplitude[j, m] / fit[0][2] - 1))
    return f"Largest relative difference of {n} amplitudes from `curve_fit`: {worst:.1e}."


def false_alarms(n: int) -> pd.DataFrame:
    """Share of plume-free orbits flagged at 5 %."""
    found = []
    for name, seconds, cloud in (("1,770 km, 12 % cloud", 260, 0.12), ("610 km, 12 % cloud", 90, 0.12),
                                 ("1,770 km, 50 % cloud", 260, 0.5)):
        p = [find_peaks(simulate_granule(50_000 + k, seconds, delta=0, cloud_fraction=cloud)[0]).orbits["p_value"][0]
             for k in range(n)]
        p = np.array(p)[np.isfinite(p)]
        hit = int((p <= 0.05).sum())
        interval = binomtest(hit, len(p)).proportion_ci(0.95, method="exact")
        found.append({"orbits without a plume": name, "searched": len(p), "flagged at 5 %": hit,
                      "share": f"{hit / len(p):.1%}", "95 % interval": f"{interval.low:.1%} to {interval.high:.1%}",
                      "median p": f"{np.median(p):.2f}"})
    return pd.DataFrame(found)


def power(n: int) -> pd.DataFrame:
    """Share of plumes found at 5 %, against delta and sigma, on 1,770 km of track."""
    found = []
    for sigma in (4, 8, 12, 20, 30):
        row = {"sigma (km)": sigma}
        for delta in (0.75, 1.0, 1.5, 2.0, 3.0, 4.0):
            row[f"{delta} ppm"] = f"{np.mean([_found(k, delta, sigma) for k in range(n)]):.0%}"
        found.append(row)
    return pd.DataFrame(found)


def _found(seed: int, delta: float, sigma: float) -> bool:
    rows, truth = simulate_granule(60_000 + seed, 260, delta=delta, sigma=sigma)
    plume, found = truth.attrs["plume"], find_peaks(rows, n_surrogates=99).peaks
    apart = sphere_distance(found["latitude"].to_numpy(float), found["longitude"].to_numpy(float), plume["latitude"],
                      plume["longitude"])
    return bool((apart < 2 * sigma + 5).any())


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=5.0, help="time given to the published loop on each track")
    parser.add_argument("--calibration", action="store_true", help="false alarms and power too")
    parser.add_argument("--orbits", type=int, default=300, help="plume-free orbits per row")
    parser.add_argument("--plumes", type=int, default=40, help="plumes per cell of the power table")
    asked = parser.parse_args()
    print(machine(("numpy", "scipy", "numba", "pandas")) + "\n")
    print(markdown(speed(asked.seconds)), "\n")
    print(agreement(), "\n")
    if asked.calibration:
        print(markdown(false_alarms(asked.orbits)), "\n")
        print("Share of plumes found, p up to 0.05 over the whole orbit, by width and height:\n")
        print(markdown(power(asked.plumes)))


if __name__ == "__main__":
    main()
