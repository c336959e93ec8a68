"""Handwritten digits: the 8x8 scans of scikit-learn, drawn into images of any size.

The first 80 % of the rows are for training; the last rows, other writers, are held out.
"""

import random
from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from .canvas import Colour, draw_background, draw_size, through_jpeg
from .questions import READ_DIGIT
from .samples import Sample
from .things import Scan

HELD_OUT_SHARE = 0.2
FILTERS = (
    Image.Resampling.NEAREST,
    Image.Resampling.BOX,
    Image.Resampling.BILINEAR,
    Image.Resampling.BICUBIC,
    Image.Resampling.LANCZOS,
)


@cache
def scans(held_out: bool) -> tuple[Scan, ...]:
    from sklearn.datasets import load_digits  # only training and tests need scikit-learn

    images, digits = load_digits(return_X_y=True)
    rows = [
        Scan(row.reshape(8, 8) / 16, int(digit)) for row, digit in zip(images, digits, strict=True)
    ]
    first = round(len(rows) * (1 - HELD_OUT_SHARE))
    return tuple(rows[first:] if held_out else rows[:first])


def held_out(count: int | None = None, seed: int = 0) -> Iterator[Sample]:
    """Each held-out scan once, in file order, drawn as it is: no turning, no bending."""
    rng = random.Random(f"held-out digits {seed}")
    for scan in scans(held_out=True)[:count]:
        question = rng.choice(READ_DIGIT)
        yield Sample((draw(scan, rng),), question, f"This is the digit {scan.digit}.")


def draw(scan: Scan, rng: random.Random, bend: float = 0.0) -> Image.Image:
    """`bend` moves the corners by up to this share of the side, for variety in training."""
    width, height = draw_size(rng)
    dark = rng.random() < 0.5
    canvas = Image.new("RGB", (width, height), draw_background(rng, dark))
    box_width, box_height = _draw_box(width, height, rng)
    mask = _resize(scan.ink, box_width, box_height, rng, bend)
    where = _draw_corner(width - box_width, height - box_height, rng)
    canvas.paste(_draw_ink(rng, light=dark), where, mask)
    return through_jpeg(canvas, rng)


def _draw_box(width: int, height: int, rng: random.Random) -> tuple[int, int]:
    """Mostly square; at times the scan is stretched over the whole canvas."""
    if rng.random() < 0.15:
        return width, height
    side = round(min(width, height) * (1.0 if rng.random() < 0.5 else rng.uniform(0.6, 1.0)))
    return side, side


def _draw_corner(room_x: int, room_y: int, rng: random.Random) -> tuple[int, int]:
    if rng.random() < 0.7:
        return room_x // 2, room_y // 2
    return rng.randint(0, room_x), rng.randint(0, room_y)


def _resize(
    ink: NDArray[np.float64], width: int, height: int, rng: random.Random, bend: float
) -> Image.Image:
    if bend:
        ink = ink ** rng.uniform(0.6, 1.5)  # thicker or thinner strokes
    mask = Image.fromarray((ink * 255).astype(np.uint8)).resize(
        (width, height), rng.choice(FILTERS)
    )
    if not bend:
        return mask
    return mask.transform(
        (width, height),
        Image.Transform.MESH,
        _draw_mesh(width, height, rng, bend),
        Image.Resampling.BILINEAR,
    )


def _draw_mesh(
    width: int, height: int, rng: random.Random, bend: float
) -> list[tuple[tuple[int, ...], tuple[float, ...]]]:
    """Four boxes, and the quadrilateral that each is filled from: the nine corners are moved."""
    xs, ys = (0, width // 2, width), (0, height // 2, height)
    moved = {
        (column, row): (
            x + rng.uniform(-bend, bend) * width,
            y + rng.uniform(-bend, bend) * height,
        )
        for column, x in enumerate(xs)
        for row, y in enumerate(ys)
    }
    around = ((0, 0), (0, 1), (1, 1), (1, 0))  # from the upper left, counterclockwise
    mesh: list[tuple[tuple[int, ...], tuple[float, ...]]] = []
    for column, row in ((0, 0), (1, 0), (0, 1), (1, 1)):
        corners = [moved[column + x, row + y] for x, y in around]
        box = (xs[column], ys[row], xs[column + 1], ys[row + 1])
        mesh.append((box, tuple(side for corner in corners for side in corner)))
    return mesh


def _draw_ink(rng: random.Random, light: bool) -> Colour:
    if rng.random() < 0.6:
        return (255, 255, 255) if light else (0, 0, 0)
    low, high = (190, 255) if light else (0, 90)
    return rng.randint(low, high), rng.randint(low, high), rng.randint(low, high)
