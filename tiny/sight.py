"""The first lessons: to see, before there are words.

A head on the vision tower names what stands at each of the nine places and which digit it is.
It teaches the tower some ten times as many images per second as questions would, stays beside the
questions with a falling weight, and is thrown away at the end.
"""

import random
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from . import digits, scenes
from .layout import PATCH, TILE
from .things import COLOURS, PLACES, SHAPES, Scene

NO_DIGIT = 10
GREY = (127, 127, 127)  # what the image processor pads with


@dataclass(frozen=True)
class Labels:
    colours: Tensor  # [images, 9] of each place, 0 for nothing
    shapes: Tensor  # [images, 9]
    digits: Tensor  # [images]

    @classmethod
    def of(cls, subjects: list[int | Scene]) -> "Labels":
        return cls(
            torch.tensor([_places(subject, "colour") for subject in subjects]),
            torch.tensor([_places(subject, "shape") for subject in subjects]),
            torch.tensor([s if isinstance(s, int) else NO_DIGIT for s in subjects]),
        )


@dataclass(frozen=True)
class Glimpses:
    pixels: Tensor  # [images, 3, side, side]: each image in one tile
    labels: Labels


class Sight(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        places, patches = len(PLACES), (TILE // PATCH) ** 2
        self.sizes = [places * (1 + len(COLOURS)), places * (1 + len(SHAPES)), NO_DIGIT + 1]
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(patches * width, sum(self.sizes))

    def forward(self, features: Tensor) -> list[Tensor]:
        """`features` [images, patches, width] of the tile that shows the whole image."""
        parts = self.head(self.norm(features).flatten(1)).split(self.sizes, dim=-1)
        return list(parts)

    def loss(self, features: Tensor, labels: Labels) -> Tensor:
        goals = (labels.colours, labels.shapes, labels.digits[:, None])
        losses = [
            functional.cross_entropy(
                scores.unflatten(-1, (goal.shape[1], -1)).flatten(0, 1), goal.flatten()
            )
            for scores, goal in zip(self(features), goals, strict=True)
        ]
        return torch.stack(losses).sum()


def draw_glimpses(rng: random.Random, count: int, bend: float) -> Glimpses:
    """As many digits as scenes, on training's side of the line."""
    tiles, subjects = [], []
    for index in range(count):
        subject, image = _draw_digit(rng, bend) if index % 2 else _draw_scene(rng)
        subjects.append(subject)
        tiles.append(_tile(image, rng))
    return Glimpses(_pixels(np.stack(tiles)), Labels.of(subjects))


def held_out_digits() -> Glimpses:
    rng = random.Random("held-out glimpses")
    rows = digits.scans(held_out=True)
    tiles = np.stack([_tile(digits.draw(scan, rng), rng) for scan in rows])
    labels = Labels.of([scan.digit for scan in rows])
    return Glimpses(_pixels(tiles), labels)


def _pixels(tiles: np.ndarray) -> Tensor:
    return torch.from_numpy(tiles).permute(0, 3, 1, 2).float() / 127.5 - 1


def _draw_digit(rng: random.Random, bend: float) -> tuple[int | Scene, Image.Image]:
    scan = rng.choice(digits.scans(held_out=False))
    return scan.digit, digits.draw(scan, rng, bend)


def _draw_scene(rng: random.Random) -> tuple[int | Scene, Image.Image]:
    scene = scenes.draw_scene(rng, held_out=False)
    return scene, scenes.paint(scene, rng)


def _tile(image: Image.Image, rng: random.Random) -> np.ndarray:
    """Stretched, as the first tile of a lone image, or padded, as one image of several."""
    if rng.random() < 0.4 and image.width != image.height:
        side = max(image.size)
        square = Image.new("RGB", (side, side), GREY)
        square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        image = square
    return np.asarray(image.resize((TILE, TILE), Image.Resampling.BICUBIC))


def _places(subject: int | Scene, what: str) -> list[int]:
    found = [0] * len(PLACES)
    if isinstance(subject, Scene):
        names = tuple(COLOURS) if what == "colour" else SHAPES
        for thing in subject.things:
            found[thing.cell] = 1 + names.index(getattr(thing, what))
    return found
