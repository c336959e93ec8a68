"""Any subject as an image."""

import random

from PIL import Image

from . import digits, scenes
from .things import Scan, Subject


def paint(subject: Subject, rng: random.Random, bend: float = 0.0) -> Image.Image:
    """`bend` is how far a scan is bent out of shape, for variety in training."""
    if isinstance(subject, Scan):
        return digits.draw(subject, rng, bend)
    return scenes.paint(subject, rng)
