"""Canvases as people send them: all sizes and aspect ratios, light or dark, PNG or JPEG."""

import random
from io import BytesIO

from PIL import Image

Colour = tuple[int, int, int]

ASPECTS = (4 / 3, 5 / 4, 6 / 5, 3 / 4, 4 / 5)
PHOTO = (640, 480)


def draw_size(rng: random.Random) -> tuple[int, int]:
    """(width, height); mostly small, because drawing and resizing large ones costs the time."""
    kind = rng.random()
    if kind < 0.02:
        return PHOTO
    side = rng.choice((64, 72, 80, 96, 112, 128, 128, 160, 224))
    if kind < 0.5:
        return side, side
    aspect = rng.choice(ASPECTS)
    return (round(side * aspect), side) if aspect > 1 else (side, round(side / aspect))


def draw_background(rng: random.Random, dark: bool) -> Colour:
    """Plain white and plain black half of the time, else any pale or deep tint."""
    if rng.random() < 0.5:
        return (0, 0, 0) if dark else (255, 255, 255)
    low, high = (0, 60) if dark else (215, 255)
    if rng.random() < 0.5:
        grey = rng.randint(low, high)
        return grey, grey, grey
    return rng.randint(low, high), rng.randint(low, high), rng.randint(low, high)


def through_jpeg(image: Image.Image, rng: random.Random) -> Image.Image:
    """The same picture with JPEG artefacts, or untouched a little more often than not."""
    if rng.random() < 0.6:
        return image
    file = BytesIO()
    image.save(file, "JPEG", quality=rng.randint(60, 95))
    return Image.open(file).convert("RGB")
