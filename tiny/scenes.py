"""Coloured shapes on a 3x3 grid: one to four of them, drawn with some jitter.

A scene is held out by the set of kinds (colour and shape) in it: no set of kinds that is tested
was ever seen in training, whatever the places, sizes and backgrounds.
"""

import math
import random
import zlib
from collections.abc import Iterator

from PIL import Image, ImageDraw

from .canvas import Colour, draw_background, draw_size, through_jpeg
from .questions import about_scene
from .samples import Sample
from .things import COLOURS, PLACES, SHAPES, Scene, Thing

MOST = 4
HELD_OUT_MODULO = 5  # a fifth of the sets of kinds is held out


def is_held_out(scene: Scene) -> bool:
    kinds = ",".join(sorted({thing.name for thing in scene.things}))
    return zlib.crc32(kinds.encode()) % HELD_OUT_MODULO == 0


def held_out(count: int, seed: int = 0) -> Iterator[Sample]:
    """One question about each of `count` held-out scenes."""
    rng = random.Random(f"held-out scenes {seed}")
    for _ in range(count):
        scene = draw_scene(rng, held_out=True)
        pair = about_scene(scene, rng)
        yield Sample((paint(scene, rng),), pair.question, pair.answer)


def draw_scene(rng: random.Random, held_out: bool, most: int = MOST) -> Scene:
    """Half of the scenes repeat kinds, to be counted; in a third each has a shape and a colour of
    its own, to be found by it."""
    while True:
        number = rng.randint(1, most)
        cells = sorted(rng.sample(range(len(PLACES)), number))
        things = tuple(map(Thing, *_draw_kinds(number, rng), cells))
        scene = Scene(things)
        if is_held_out(scene) == held_out:
            return scene


def _draw_kinds(number: int, rng: random.Random) -> tuple[list[str], list[str]]:
    """Colours and shapes."""
    if rng.random() < 0.35:
        return rng.sample(tuple(COLOURS), number), rng.sample(SHAPES, number)
    palette = [
        (rng.choice(tuple(COLOURS)), rng.choice(SHAPES)) for _ in range(rng.choice((2, 3, 9)))
    ]
    kinds = [rng.choice(palette) for _ in range(number)]
    return [colour for colour, _ in kinds], [shape for _, shape in kinds]


def paint(scene: Scene, rng: random.Random) -> Image.Image:
    width, height = draw_size(rng)
    zoom = 1 if min(width, height) > 128 else 2  # ImageDraw has no antialiasing of its own
    background = draw_background(rng, dark=rng.random() < 0.35)
    canvas = Image.new("RGB", (width * zoom, height * zoom), background)
    paint_on(canvas, scene, rng)
    return through_jpeg(canvas.reduce(zoom) if zoom > 1 else canvas, rng)


def paint_on(canvas: Image.Image, scene: Scene, rng: random.Random) -> Image.Image:
    """Each thing somewhere in its cell, in its colour more or less."""
    pen = ImageDraw.Draw(canvas)
    cell_width, cell_height = canvas.width / 3, canvas.height / 3
    for thing in scene.things:
        radius = min(cell_width, cell_height) * rng.uniform(0.34, 0.45)
        x = (thing.cell % 3 + 0.5) * cell_width
        y = (thing.cell // 3 + 0.5) * cell_height
        x += rng.uniform(-1, 1) * (cell_width / 2 - radius) * 0.7
        y += rng.uniform(-1, 1) * (cell_height / 2 - radius) * 0.7
        _paint_thing(pen, thing.shape, _draw_shade(COLOURS[thing.colour], rng), (x, y, radius))
    return canvas


def _draw_shade(colour: Colour, rng: random.Random) -> Colour:
    red, green, blue = (min(255, max(0, value + rng.randint(-12, 12))) for value in colour)
    return red, green, blue


def _paint_thing(
    pen: ImageDraw.ImageDraw, shape: str, colour: Colour, circle: tuple[float, float, float]
) -> None:
    x, y, radius = circle
    if shape == "circle":
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), colour)
    elif shape == "square":
        half = radius * 0.86
        pen.rectangle((x - half, y - half, x + half, y + half), colour)
    elif shape == "triangle":
        pen.polygon(_corners(x, y + radius * 0.15, (radius * 1.1,) * 3), colour)
    else:
        pen.polygon(_corners(x, y, (radius * 1.12, radius * 0.46) * 5), colour)


def _corners(x: float, y: float, radii: tuple[float, ...]) -> list[tuple[float, float]]:
    """Around (x, y), the first corner straight up."""
    angles = [2 * math.pi * index / len(radii) for index in range(len(radii))]
    return [
        (x + radius * math.sin(angle), y - radius * math.cos(angle))
        for radius, angle in zip(radii, angles, strict=True)
    ]
