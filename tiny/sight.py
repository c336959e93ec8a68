"""The first course: the tower learns to say what is where, in the language of codes.py."""

import random
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from . import digits, scenes
from .codes import Codes, Labels, see
from .layout import TILE
from .pictures import paint
from .things import Subject

GREY = (127, 127, 127)  # what the image processor pads with
SHARPNESS = 12.0  # of the scores as logits


@dataclass(frozen=True)
class Glimpses:
    pixels: Tensor  # [images, 3, side, side]: each image in one tile
    labels: Labels


def loss(codes: Codes, tokens: Tensor, labels: Labels) -> Tensor:
    """Of tokens [tiles, 9, width] that should say what `labels` say."""
    goals = (labels.colours, labels.shapes, labels.digits[:, None].expand(labels.colours.shape))
    unsure = [
        functional.cross_entropy(SHARPNESS * scores.flatten(0, 1), goal.flatten())
        for scores, goal in zip(codes.read(tokens), goals, strict=True)
    ]
    return torch.stack(unsure).sum() + codes.distance(tokens, labels)


def draw_glimpses(rng: random.Random, count: int, bend: float) -> Glimpses:
    """As many digits as scenes, on training's side of the line."""
    subjects: list[Subject] = [
        rng.choice(digits.scans(held_out=False)) if index % 2 else scenes.draw_scene(rng, False)
        for index in range(count)
    ]
    return _glimpses(subjects, rng, bend)


def held_out_digits() -> Glimpses:
    return _glimpses(list(digits.scans(held_out=True)), random.Random("held-out digits"), 0.0)


def _glimpses(subjects: list[Subject], rng: random.Random, bend: float) -> Glimpses:
    tiles = np.stack([_tile(paint(subject, rng, bend), rng) for subject in subjects])
    pixels = torch.from_numpy(tiles).permute(0, 3, 1, 2).float() / 127.5 - 1
    return Glimpses(pixels, Labels.of([see(subject) for subject in subjects]))


def _tile(image: Image.Image, rng: random.Random) -> np.ndarray:
    """Stretched, as the first tile of a lone image, or padded, as one image of several."""
    if rng.random() < 0.4 and image.width != image.height:
        side = max(image.size)
        square = Image.new("RGB", (side, side), GREY)
        square.paste(image, ((side - image.width) // 2, (side - image.height) // 2))
        image = square
    return np.asarray(image.resize((TILE, TILE), Image.Resampling.BICUBIC))
