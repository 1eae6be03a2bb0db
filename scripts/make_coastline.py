"""Make the coastlines and borders that `plots.isolated_map` draws, from Natural Earth.

Needs no package but numpy. The source is the npm package `world-atlas`, version 2.0.2: Natural Earth 4.1.0 (public
domain) as TopoJSON, whose borders are shared arcs. Fetched once, checked by its SHA-256, never at run time:

    npm pack world-atlas@2.0.2
    python scripts/make_coastline.py world-atlas-2.0.2.tgz

writes `oco2_outliers/data/coastline-110m.npz` and `coastline-50m.npz`. The same input gives the same arrays.

Layout of a file, read with allow_pickle=False:

    unit            float64 scalar, degrees per step
    coast, border   int32 (n, 2): longitude and latitude as differences from point to point, in units (the first point
                    differs from 0, 0), so that they pack well
    coast_sizes, border_sizes   int32 (n_lines,): points in each line
"""

import argparse
import hashlib
import json
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np

SOURCE_SHA256 = "032e7765f2ce00edaeafec23ff22bc3b77e42987c257da944cc585b452c05b97"
UNITS = {"110m": 0.01, "50m": 0.005}  # degrees: 1.1 and 0.6 km, finer than the points stand apart
DATA = Path(__file__).resolve().parent.parent / "oco2_outliers" / "data"


def decoded_arcs(topology: dict) -> list[np.ndarray]:
    """Arcs in degrees: TopoJSON holds them as differences on an integer grid."""
    scale, translate = (np.array(topology["transform"][name]) for name in ("scale", "translate"))
    return [np.cumsum(arc, axis=0) * scale + translate for arc in topology["arcs"]]


def rings(geometry: dict) -> list[list[int]]:
    """Rings of a (nested) geometry, each a list of arc numbers; ~k means arc k backwards."""
    if geometry["type"] == "GeometryCollection":
        return [ring for part in geometry["geometries"] for ring in rings(part)]
    if geometry["type"] == "MultiPolygon":
        return [ring for polygon in geometry["arcs"] for ring in polygon]
    return list(geometry.get("arcs", []))


def joined(ring: list[int], arcs: list[np.ndarray]) -> np.ndarray:
    """The line of a ring; neighbouring arcs share a point."""
    parts = [arcs[k] if k >= 0 else arcs[~k][::-1] for k in ring]
    return np.concatenate([parts[0], *(part[1:] for part in parts[1:])])


def shared_arcs(countries: dict) -> list[int]:
    """Arcs between two countries: those used twice."""
    used = Counter(k if k >= 0 else ~k for ring in rings(countries) for k in ring)
    return sorted(k for k, times in used.items() if times > 1)


def cut(line: np.ndarray) -> list[np.ndarray]:
    """Pieces of a line that stay within -180 to 180 and never jump from one edge to the other.

    Edges that are there only because the source was cut at the dateline, or closed at the south pole, are left out.
    """
    pieces, piece = [], [line[0]]
    for a, b in zip(line[:-1], line[1:]):
        along_edge = abs(a[0]) > 179.995 and abs(b[0]) > 179.995
        if along_edge or max(a[1], b[1]) < -89.9:
            pieces, piece = [*pieces, piece], [b]
        elif abs(b[0] - a[0]) > 180:
            side = 180.0 if a[0] > 0 else -180.0
            share = (side - a[0]) / (b[0] + 2 * side - a[0])  # where the straight line meets the dateline
            latitude = a[1] + share * (b[1] - a[1])
            pieces, piece = [*pieces, [*piece, (side, latitude)]], [(-side, latitude), b]
        else:
            piece.append(b)
    return [np.array(p, np.float64) for p in [*pieces, piece]]


def on_grid(lines: list[np.ndarray], unit: float) -> list[np.ndarray]:
    """Whole numbers of the unit, without repeated points; lines of one point are dropped."""
    whole = [np.round(line / unit).astype(np.int64) for line in lines]
    whole = [line[np.r_[True, (np.diff(line, axis=0) != 0).any(axis=1)]] for line in whole]
    return [line for line in whole if len(line) > 1]


def packed(lines: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    points = np.concatenate(lines)
    return np.diff(points, axis=0, prepend=0).astype(np.int32), np.array([len(line) for line in lines], np.int32)


def make(topology: dict, unit: float) -> dict[str, np.ndarray]:
    arcs = decoded_arcs(topology)
    kinds = {"coast": [joined(ring, arcs) for ring in rings(topology["objects"]["land"])],
             "border": [arcs[k] for k in shared_arcs(topology["objects"]["countries"])]}
    found = {"unit": np.float64(unit)}
    for kind, lines in kinds.items():
        found[kind], found[f"{kind}_sizes"] = packed(on_grid([p for line in lines for p in cut(line)], unit))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archive", type=Path, help="world-atlas-2.0.2.tgz, as `npm pack` leaves it")
    parser.add_argument("--out", type=Path, default=DATA)
    arguments = parser.parse_args()
    if hashlib.sha256(arguments.archive.read_bytes()).hexdigest() != SOURCE_SHA256:
        parser.error(f"{arguments.archive} is not world-atlas 2.0.2 (its SHA-256 differs)")
    with tarfile.open(arguments.archive) as archive:
        for resolution, unit in UNITS.items():
            topology = json.load(archive.extractfile(f"package/countries-{resolution}.json"))
            path = arguments.out / f"coastline-{resolution}.npz"
            arrays = make(topology, unit)
            np.savez_compressed(path, **arrays)
            print(f"{path.name}: {len(arrays['coast_sizes']):,} coastlines, {len(arrays['border_sizes']):,} borders, "
                  f"{len(arrays['coast']) + len(arrays['border']):,} points, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
