"""Draws the files of examples/ again: `python -m modserve.tiny.examples`.

Scans and scenes are of the held-out part; nothing here was seen in training.
"""

import random
from pathlib import Path

from PIL import Image

from . import digits, scenes
from .canvas import Colour
from .things import Scene, Thing

FOLDER = Path(__file__).parents[1] / "examples"
WHITE, BLACK, NIGHT = (255, 255, 255), (0, 0, 0), (18, 20, 40)


def main() -> None:
    save(digit_image(7, 3, WHITE, BLACK), "seven.png")
    save(digit_image(3, 0, BLACK, WHITE), "three.jpg")
    save(digit_image(7, 16, (20, 30, 110), (250, 246, 235)), "also-seven.jpg")
    save(scene_image(SHAPES, (640, 480), WHITE), "shapes.png")
    save(scene_image(CIRCLES, (480, 480), NIGHT), "circles.jpg")


SHAPES = Scene(
    (
        Thing("red", "circle", 0),
        Thing("blue", "square", 2),
        Thing("purple", "star", 4),
        Thing("red", "circle", 7),
    )
)
CIRCLES = Scene(
    (
        Thing("green", "circle", 1),
        Thing("yellow", "triangle", 3),
        Thing("green", "circle", 5),
        Thing("green", "circle", 6),
    )
)


def digit_image(digit: int, which: int, ink: Colour, paper: Colour) -> Image.Image:
    """The `which`-th held-out scan of a digit, on a 224-pixel canvas with a margin."""
    scan = [scan for scan in digits.scans(held_out=True) if scan.digit == digit][which]
    mask = Image.fromarray((scan.ink * 255).astype("uint8"))
    mask = mask.resize((192, 192), Image.Resampling.BICUBIC)
    canvas = Image.new("RGB", (224, 224), paper)
    canvas.paste(ink, (16, 16), mask)
    return canvas


def scene_image(scene: Scene, size: tuple[int, int], background: Colour) -> Image.Image:
    return scenes.paint_on(Image.new("RGB", size, background), scene, random.Random(0))


def save(image: Image.Image, name: str) -> None:
    image.save(FOLDER / name, quality=90)  # PNG ignores the quality
    print(f"{FOLDER / name}: {image.width}x{image.height}")


if __name__ == "__main__":
    main()
