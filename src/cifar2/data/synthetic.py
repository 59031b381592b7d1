"""The drawn stand-in for CIFAR-2 on a machine that can reach no copy of CIFAR-10.

Bright airplanes and birds in random pose, size and colour, before sky or leaves. The drawing uses
+ - * / and square roots of float32 alone, which IEEE 754 rounds the same way everywhere, so every
machine draws the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cifar2 import files
from cifar2.errors import FileError, first_line

FILE = "synthetic.npz"  # what it is called in data/raw
CLASSES = ("airplane", "bird")
TRAIN_PER_CLASS, VAL_PER_CLASS = 5_000, 1_000
SEED = 20_090_408

_CHUNK = 250  # images drawn at a time: their planes stay in the processor's cache

Array = NDArray[np.float32]
Number = Array | float
Uniform = Callable[..., Array]
# Images uint8 [N, 3, 32, 32], RGB, and labels int64 [N], an index into CLASSES.
Drawings = tuple[NDArray[np.uint8], NDArray[np.int64]]

# Colours [3, 1], and how rough the ground is.
_SKY = np.array([[0.5], [0.65], [0.8]], np.float32)
_LEAVES = np.array([[0.35], [0.45], [0.3]], np.float32)
_SMOOTH, _ROUGH = np.float32(0.03), np.float32(0.08)
_Y, _X = (axis.astype(np.float32) for axis in np.mgrid[:32, :32])


def write(path: Path) -> None:
    """Draw both sets and write them to one .npz file (37 MB; takes a few seconds)."""
    arrays: dict[str, Any] = {}
    for name, count, seed in (("train", TRAIN_PER_CLASS, SEED), ("val", VAL_PER_CLASS, SEED + 1)):
        arrays[f"{name}_images"], arrays[f"{name}_labels"] = draw(count, seed)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    files.write(path, buffer.getvalue())


def read(path: Path, name: str) -> Drawings:
    """Return the "train" or the "val" set that `write` wrote.

    Raises:
        FileError: if the file holds anything else.
    """
    try:
        with np.load(path, allow_pickle=False) as content:
            images, labels = content[f"{name}_images"], content[f"{name}_labels"]
        if images.shape != (len(labels), 3, 32, 32) or images.dtype != np.uint8:
            raise ValueError("images are not uint8 [N, 3, 32, 32]")
        if labels.dtype != np.int64 or not np.isin(labels, range(len(CLASSES))).all():
            raise ValueError("labels are not int64 0 or 1")
    except Exception as error:  # numpy raises many types for a damaged file
        raise FileError(path, f"not the stand-in ({first_line(error)})") from error
    return images, labels


def draw(per_class: int, seed: int) -> Drawings:
    """Draw `per_class` images of each class, airplanes and birds in turn."""
    rng = np.random.Generator(np.random.PCG64(seed))
    labels = np.arange(2 * per_class, dtype=np.int64) % 2
    images = np.empty((2 * per_class, 3, 32, 32), np.uint8)
    for start in range(0, len(labels), _CHUNK):
        chunk = slice(start, start + _CHUNK)
        images[chunk] = _draw_chunk(rng, labels[chunk] == 1)
    return images, labels


def _draw_chunk(rng: np.random.Generator, is_bird: NDArray[np.bool_]) -> NDArray[np.uint8]:
    def uniform(low: float, high: float, *shape: int) -> Array:
        """Draw float32 [chunk, *shape], by default one number an image: [chunk, 1, 1]."""
        sample = rng.random((len(is_bird), *(shape or (1, 1))), np.float32)
        return sample * np.float32(high - low) + np.float32(low)

    # Airplanes are in the sky and birds among leaves, mostly: blue and smooth, or green and rough.
    leaves = uniform(0, 1) < np.where(is_bird[:, None, None], np.float32(0.7), np.float32(0.3))
    colour = np.where(leaves, _LEAVES, _SKY)[..., None] + uniform(-0.2, 0.2, 3, 1, 1)
    texture = _noise(uniform, 3) * 0.15 + _noise(uniform, 17) * np.where(leaves, _ROUGH, _SMOOTH)
    ground = colour + texture[:, None]

    shape = np.where(is_bird[:, None, None], _bird(uniform), _airplane(uniform))
    body = colour + uniform(0.1, 0.5, 1, 1, 1) + uniform(-0.1, 0.1, 3, 1, 1)
    body = body + _noise(uniform, 5)[:, None] / 4
    image = ground + shape[:, None] * (body - ground) + uniform(-0.1, 0.1, 3, 32, 32)
    return (np.clip(image, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def _noise(uniform: Uniform, points: int) -> Array:
    """Return smooth noise in [-1, 1]: a random grid, interpolated to [chunk, 32, 32]."""
    grid = uniform(-1, 1, points, points)
    place = _X[0] * np.float32((points - 1) / 32)
    low = place.astype(np.int64)
    part = place - low.astype(np.float32)
    rows = grid[:, low] * (1 - part)[:, None] + grid[:, low + 1] * part[:, None]
    return rows[:, :, low] * (1 - part) + rows[:, :, low + 1] * part


def _pose(uniform: Uniform) -> Callable[..., Array]:
    """Choose place, size and direction; return a stroke in the body's own coordinates."""
    x, y, size = uniform(12, 19), uniform(12, 19), uniform(6, 13)
    # A rational point on the unit circle: to the right or left, at most 33 degrees up or down.
    t, turn = uniform(-0.3, 0.3), np.where(uniform(-1, 1) < 0, np.float32(-1), np.float32(1))
    cos, sin = turn * (1 - t * t) / (1 + t * t), turn * 2 * t / (1 + t * t)

    def place(along: Number, across: Number) -> tuple[Array, Array]:
        a, b = along * size, across * size
        return x + a * cos - b * sin, y + a * sin + b * cos

    def stroke(a0: Number, b0: Number, a1: Number, b1: Number, radius: Number) -> Array:
        return _stroke(*place(a0, b0), *place(a1, b1), radius * size)

    return stroke


def _airplane(uniform: Uniform) -> Array:
    """Return how much of each pixel an airplane covers, [chunk, 32, 32]."""
    stroke = _pose(uniform)
    root, sweep = uniform(-0.05, 0.3), uniform(0, 0.6)
    shape = stroke(-1, 0, 1, 0, uniform(0.08, 0.15))
    for side in (-1, 1):
        span = side * uniform(0.35, 1.05)  # drawn for each side: the far wing may be half hidden
        shape = np.maximum(shape, stroke(root, 0, root - sweep, span, 0.1))
        shape = np.maximum(shape, stroke(-0.85, 0, -1.05, span * 0.4, 0.07))
    return shape


def _bird(uniform: Uniform) -> Array:
    """Return how much of each pixel a bird covers, [chunk, 32, 32]."""
    stroke = _pose(uniform)
    width, head = uniform(0.14, 0.26), uniform(-0.15, 0.15)
    shape = stroke(-0.4, 0, 0.35, 0, width)
    shape = np.maximum(shape, stroke(0.6, head, 0.7, head, width * 0.7))
    shape = np.maximum(shape, stroke(-0.5, 0, -1, uniform(-0.2, 0.2), width * 0.5))
    for side in (-1, 1):
        elbow, tip, span = uniform(-0.1, 0.35), uniform(-0.6, 0.1), side * uniform(0.2, 1.05)
        shape = np.maximum(shape, stroke(0.1, 0, elbow, span * 0.5, 0.11))
        shape = np.maximum(shape, stroke(elbow, span * 0.5, tip, span, 0.07))
    return shape


def _stroke(x0: Array, y0: Array, x1: Array, y1: Array, radius: Array) -> Array:
    """Return how much of each pixel a round-ended line covers, [chunk, 32, 32]; in pixels."""
    dx, dy = x1 - x0, y1 - y0
    along = np.clip(((_X - x0) * dx + (_Y - y0) * dy) / (dx * dx + dy * dy), 0, 1)
    off_x, off_y = _X - x0 - along * dx, _Y - y0 - along * dy
    return np.clip(radius + np.float32(0.5) - np.sqrt(off_x * off_x + off_y * off_y), 0, 1)
