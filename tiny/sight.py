"""The first lessons: to see, before there are words.

A head on the projector names what stands at each of the nine places and which digit it is.
It teaches some ten times as many images per second as questions would, stays beside the
questions with a falling weight, and is thrown away at the end.
"""

import random
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from . import digits, scenes
from .layout import TILE
from .things import COLOURS, PLACES, SHAPES, Scene

NO_DIGIT = 10
HEADS = 4
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
    """One question for each place and one for the digit, asked of an image's tokens by attention.

    All tokens are read through the same matrices, as the text model will read them. (A linear
    layer over all tokens at once sees well too, but leaves features that attention cannot read.)
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(len(PLACES) + 1, width))
        self.norm = nn.RMSNorm(width)
        self.attention = nn.MultiheadAttention(width, HEADS, batch_first=True)
        self.colour = nn.Linear(width, 1 + len(COLOURS))
        self.shape = nn.Linear(width, 1 + len(SHAPES))
        self.digit = nn.Linear(width, 1 + NO_DIGIT)

    def forward(self, images: list[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Of each image's tokens [tokens, width]: scores of colours, shapes, digits."""
        tokens = self.norm(pad_sequence(images, batch_first=True))
        lengths = torch.tensor([len(image) for image in images])
        padding = torch.arange(tokens.shape[1]) >= lengths[:, None]
        queries = self.queries.expand(len(images), -1, -1)
        found, _ = self.attention(queries, tokens, tokens, padding, need_weights=False)
        places, digit = found[:, :-1], found[:, -1]
        return self.colour(places), self.shape(places), self.digit(digit)

    def loss(self, images: list[Tensor], labels: Labels) -> Tensor:
        goals = (labels.colours, labels.shapes, labels.digits)
        losses = [
            functional.cross_entropy(scores.flatten(0, -2), goal.flatten())
            for scores, goal in zip(self(images), goals, strict=True)
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
