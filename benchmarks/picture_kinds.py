"""Generated scenes of 32 kinds, for choosing how pictures are described and judged: textures, layouts, faults.

Pictures of one kind differ in palette, light, grain, size and place of what they show, and kinds share their palettes,
so that no kind is known by a colour of its own.
"""
from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

Scene = Callable[[np.random.Generator, int], np.ndarray]
# Blue, green, red of what is dark, what is in between and what is bright; most kinds draw from all of them.
PALETTES = np.array([
    [[30, 60, 35], [50, 100, 65], [110, 160, 140]],
    [[40, 70, 95], [85, 130, 165], [160, 195, 215]],
    [[70, 45, 20], [140, 95, 45], [215, 190, 165]],
    [[45, 45, 45], [110, 110, 108], [200, 200, 195]],
    [[25, 50, 75], [60, 115, 110], [170, 190, 180]],
], dtype=float)


def noise(rng: np.random.Generator, size: int, slope: float = 1.4, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """Noise of unit variance, its amplitude frequency**-slope between two frequencies (cycles a pixel)."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None, :])
    frequency[0, 0] = 1.0
    spectrum = rng.normal(size=frequency.shape) + 1j * rng.normal(size=frequency.shape)
    spectrum *= ((frequency >= low) & (frequency <= high)) / frequency**slope
    wave = np.fft.irfft2(spectrum, (size, size))
    return (wave - wave.mean()) / (wave.std() + 1e-12)


def grid(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of each pixel, as shares of the side."""
    axis = (np.arange(size) + 0.5) / size
    return np.meshgrid(axis, axis, indexing="ij")


def paint(rng: np.random.Generator, level: np.ndarray, palette: int | None = None) -> np.ndarray:
    """A picture of levels 0 (dark) to 1 (bright) in one of the palettes, moved a little; with light and fine grain."""
    colours = PALETTES[rng.integers(len(PALETTES)) if palette is None else palette] + rng.normal(0, 6, (3, 3))
    level = np.clip(level, 0, 1)[..., None]
    picture = np.where(level < 0.5, colours[0] + 2 * level * (colours[1] - colours[0]),
                       colours[1] + (2 * level - 1) * (colours[2] - colours[1]))
    picture = picture * rng.uniform(0.85, 1.15) + rng.normal(0, 1.5, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8)


def turned(rng: np.random.Generator, size: int, spread: float = np.pi) -> np.ndarray:
    """Distance along a direction within `spread` of the horizontal."""
    rows, columns = grid(size)
    angle = rng.uniform(-spread / 2, spread / 2)
    return columns * np.cos(angle) + rows * np.sin(angle)


# --- textures ---
def woodland(rng, size):
    return paint(rng, 0.45 + 0.14 * noise(rng, size, 0.9) + 0.05 * noise(rng, size, 2))


def grassland(rng, size):
    return paint(rng, 0.5 + 0.06 * noise(rng, size, 0.5) + 0.1 * noise(rng, size, 2))


def sand(rng, size):
    return paint(rng, 0.6 + 0.05 * noise(rng, size, 0.0))


def haze(rng, size):
    return paint(rng, 0.6 + 0.12 * noise(rng, size, 2.6))


def pebbles(rng, size):
    width = rng.uniform(0.05, 0.08)
    return paint(rng, 0.5 + 0.2 * np.tanh(noise(rng, size, 0, width, 1.6 * width)))


def waves(rng, size):
    phase = turned(rng, size, 0.8) * size * rng.uniform(0.06, 0.1) + 0.35 * noise(rng, size, 2)
    return paint(rng, 0.45 + 0.15 * np.sin(2 * np.pi * phase) + 0.03 * noise(rng, size, 0.5))


def dunes(rng, size):
    phase = turned(rng, size, 1.2) * rng.uniform(5, 9) + 0.5 * noise(rng, size, 2.4)
    return paint(rng, 0.3 + 0.5 * (phase % 1) + 0.03 * noise(rng, size, 0.3))


def cracks(rng, size):
    points = rng.uniform(0, 1, (rng.integers(40, 80), 2))
    rows, columns = grid(size)
    away = np.sort(np.hypot(rows[..., None] - points[:, 0], columns[..., None] - points[:, 1]), axis=-1)[..., :2]
    edge = (away[..., 1] - away[..., 0]) < rng.uniform(0.008, 0.014)
    return paint(rng, 0.6 + 0.08 * noise(rng, size, 1.2) - 0.45 * edge)


def scratches(rng, size):
    board = np.full((size, size), 0.5, np.float32)
    for _ in range(rng.integers(120, 250)):
        start, turn = rng.uniform(0, size, 2), rng.uniform(0, np.pi)
        end = start + size * rng.uniform(0.05, 0.2) * np.array([np.cos(turn), np.sin(turn)])
        cv2.line(board, start.astype(int).tolist(), end.astype(int).tolist(), float(rng.uniform(0.1, 0.95)), 1)
    return paint(rng, board + 0.03 * noise(rng, size, 1))


def bubbles(rng, size):
    board = np.full((size, size), 0.35, np.float32)
    for _ in range(rng.integers(50, 100)):
        at, radius = rng.uniform(0, size, 2).astype(int).tolist(), int(rng.uniform(0.015, 0.06) * size)
        cv2.circle(board, at, radius, float(rng.uniform(0.5, 0.95)), 1 + radius // 4)
    return paint(rng, board + 0.04 * noise(rng, size, 1.2))


def weave(rng, size):
    a, n = turned(rng, size, 0.3), rng.uniform(14, 22)
    b = turned(rng, size, 0.3).T
    return paint(rng, 0.5 + 0.13 * (np.sin(2 * np.pi * n * a) + np.sin(2 * np.pi * n * b)) + 0.04 * noise(rng, size, 1))


# --- layouts ---
def coast(rng, size):
    side = turned(rng, size, 2 * np.pi) - rng.uniform(-0.2, 0.2)
    land = side - side.mean() + 0.12 * noise(rng, size, 2.2) > 0
    ground = 0.55 + 0.12 * noise(rng, size, 1.1)
    return np.where(land[..., None], paint(rng, ground, rng.choice([0, 1, 4])),
                    paint(rng, 0.25 + 0.03 * noise(rng, size, 0.8), 2))


def islands(rng, size):
    height = noise(rng, size, 2.0)
    land = height > np.quantile(height, rng.uniform(0.8, 0.92))
    return np.where(land[..., None], paint(rng, 0.55 + 0.12 * noise(rng, size, 1.1), rng.choice([0, 1, 4])),
                    paint(rng, 0.25 + 0.03 * noise(rng, size, 0.8), 2))


def fields(rng, size):
    board = np.zeros((size, size), np.float32)
    rows, columns = (np.concatenate([[0], np.sort(rng.uniform(0.08, 0.92, rng.integers(2, 5))), [1]]) * size
                     for _ in range(2))
    for top, bottom in zip(rows[:-1].astype(int), rows[1:].astype(int)):
        for left, right in zip(columns[:-1].astype(int), columns[1:].astype(int)):
            line = turned(rng, size)[top:bottom, left:right] * rng.uniform(20, 40)
            board[top:bottom, left:right] = rng.uniform(0.15, 0.85) + 0.06 * np.sin(2 * np.pi * line)
    return paint(rng, board + 0.03 * noise(rng, size, 1))


def streets(rng, size):
    pitch = rng.uniform(0.1, 0.16)
    rows, columns = grid(size)
    turn = rng.uniform(-0.45, 0.45)
    along, across = columns * np.cos(turn) + rows * np.sin(turn), rows * np.cos(turn) - columns * np.sin(turn)
    road = (along / pitch % 1 < 0.16) | (across / (pitch * rng.uniform(0.8, 1.3)) % 1 < 0.16)
    blocks = 0.4 + 0.15 * np.sign(noise(rng, size, 0.6, 0, 0.12)) + 0.05 * noise(rng, size, 0.4)
    return paint(rng, np.where(road, 0.8, blocks))


def river(rng, size):
    rows, columns = grid(size)
    middle = 0.12 * np.sin(2 * np.pi * (rows * rng.uniform(1, 2) + rng.uniform())) + rng.uniform(0.35, 0.65)
    water = np.abs((columns if rng.random() < 0.5 else columns[:, ::-1]) - middle) < rng.uniform(0.03, 0.06)
    if rng.random() < 0.5:
        water = water.T
    return paint(rng, np.where(water, 0.1, 0.55 + 0.12 * noise(rng, size, 1.2)))


def road(rng, size):
    line = turned(rng, size, 2 * np.pi)
    line -= np.median(line) + rng.uniform(-0.15, 0.15)
    return paint(rng, np.where(np.abs(line) < rng.uniform(0.012, 0.03), 0.95, 0.4 + 0.1 * noise(rng, size, 1.2)))


def horizon(rng, size):
    rows, _ = grid(size)
    at = rng.uniform(0.3, 0.6) + 0.02 * noise(rng, size, 2)[:1]
    sky = paint(rng, 0.6 + 0.3 * rows + 0.04 * noise(rng, size, 2.2), 2)
    return np.where((rows < at)[..., None], sky, paint(rng, 0.4 + 0.15 * noise(rng, size, 1.2)))


def clouds(rng, size):
    cover = np.clip(0.6 * noise(rng, size, 1.9) - rng.uniform(0.0, 0.5), 0, 1)[..., None]
    ground = paint(rng, 0.3 + 0.05 * noise(rng, size, 1.2), rng.choice([0, 2, 4]))
    return (ground * (1 - cover) + cover * rng.uniform(225, 250)).astype(np.uint8)


def lights(rng, size):
    board = np.abs(rng.normal(0, 3, (size, size, 3)))
    near = noise(rng, size, 1.6)
    for _ in range(rng.integers(150, 500)):
        row, column = rng.integers(1, size - 1, 2)
        if near[row, column] > 0.3:
            cv2.circle(board, (int(column), int(row)), int(rng.integers(0, 3)), (90, 190, 250), -1)
    return np.clip(board * rng.uniform(0.7, 1), 0, 255).astype(np.uint8)


def mountains(rng, size):
    ridges = -np.abs(noise(rng, size, 1.9))
    slope = np.gradient(ridges)[int(rng.integers(2))] * size / 60
    return paint(rng, 0.45 + 0.35 * ridges + 0.3 * slope + 0.25)


def pivots(rng, size):
    board = np.full((size, size), 0.75, np.float32)
    pitch, start = rng.uniform(0.2, 0.27) * size, rng.uniform(0, 0.2, 2) * size
    for row in np.arange(start[0], size + pitch, pitch):
        for column in np.arange(start[1], size + pitch, pitch):
            cv2.circle(board, (int(column), int(row)), int(0.44 * pitch), float(rng.uniform(0.15, 0.6)), -1)
    return paint(rng, board + 0.04 * noise(rng, size, 1))


def parking(rng, size):
    board = np.full((size, size), 0.4, np.float32)
    high, wide = rng.uniform(0.06, 0.08) * size, rng.uniform(0.025, 0.035) * size
    for row in np.arange(0, size, 1.6 * high):
        for column in np.arange(0, size, 1.5 * wide):
            if rng.random() < 0.75:
                cv2.rectangle(board, (int(column), int(row)), (int(column + wide), int(row + high)),
                              float(rng.choice([0.1, 0.6, 0.95])), -1)
    picture = paint(rng, board + 0.02 * noise(rng, size, 1))
    return picture if rng.random() < 0.5 else np.ascontiguousarray(picture.transpose(1, 0, 2))


# --- faults, each of a scene of any of four kinds ---
def _any_scene(rng: np.random.Generator, size: int) -> np.ndarray:
    return (woodland, fields, mountains, coast)[rng.integers(4)](rng, size)


def mixed(rng, size):
    return _any_scene(rng, size)


def blurred(rng, size):
    return cv2.GaussianBlur(_any_scene(rng, size), (0, 0), size * rng.uniform(0.02, 0.04))


def overexposed(rng, size):
    return np.clip(_any_scene(rng, size) * rng.uniform(1.7, 2.3) + 40, 0, 255).astype(np.uint8)


def underexposed(rng, size):
    return (_any_scene(rng, size) * rng.uniform(0.15, 0.3)).astype(np.uint8)


def striped(rng, size):
    gain = 1 + rng.uniform(0.15, 0.3) * rng.choice([-1, 1], size)[:, None, None]
    picture = np.clip(_any_scene(rng, size) * gain, 0, 255).astype(np.uint8)
    return picture if rng.random() < 0.5 else np.ascontiguousarray(picture.transpose(1, 0, 2))


def grainy(rng, size):
    return np.clip(_any_scene(rng, size) + rng.normal(0, rng.uniform(20, 40), (size, size, 1)), 0, 255).astype(np.uint8)


def torn(rng, size):
    picture, step = _any_scene(rng, size), size // 16
    for top in range(0, size, step):
        picture[top : top + step] = np.roll(picture[top : top + step], int(rng.integers(size)), axis=1)
    return picture


def half_lost(rng, size):
    picture = _any_scene(rng, size)
    picture[int(size * rng.uniform(0.35, 0.65)) :] = rng.choice([0, 128, 255])
    return picture


def dead_sensor(rng, size):
    level = rng.choice([0, 60, 128, 255]) + rng.normal(0, rng.uniform(0, 3), (size, size, 3))
    return np.clip(level, 0, 255).astype(np.uint8)


TEXTURES: tuple[Scene, ...] = (woodland, grassland, sand, haze, pebbles, waves, dunes, cracks, scratches, bubbles,
                               weave)
LAYOUTS: tuple[Scene, ...] = (coast, islands, fields, streets, river, road, horizon, clouds, lights, mountains, pivots,
                              parking)
FAULTS: tuple[Scene, ...] = (blurred, overexposed, underexposed, striped, grainy, torn, half_lost, dead_sensor)
KINDS: dict[str, Scene] = {scene.__name__: scene for scene in (*TEXTURES, *LAYOUTS, *FAULTS, mixed)}


def draw_kind(kind: str, n_pictures: int, size: int = 256, random_state: int = 0) -> list[np.ndarray]:
    """Pictures of one kind, (size, size, 3) BGR uint8; the same seed, the same pictures, whatever else is drawn."""
    rng = np.random.default_rng([random_state, *kind.encode()])
    return [KINDS[kind](rng, size) for _ in range(n_pictures)]
