"""Image files of given sizes: soft blots, so that a file is about as long as a photograph's."""

from __future__ import annotations

from io import BytesIO
from typing import Literal

import numpy as np
from PIL import Image

BLOT = 16  # pixels
QUALITY = 90  # of a JPEG file

Kind = Literal["JPEG", "PNG"]


class Pictures:
    """No two are alike; with `same` there are only so many, used in turn whatever their size."""

    def __init__(self, *, seed: int, kind: Kind = "JPEG", same: int = 0) -> None:
        self._seed = seed
        self._kind = kind
        self._same = same
        self._given = 0
        self._kept: list[bytes] = []

    def picture(self, width: int, height: int) -> bytes:
        number, self._given = self._given, self._given + 1
        if not self._same:
            return self._make(number, width, height)
        if len(self._kept) < self._same:
            self._kept.append(self._make(number, width, height))
        return self._kept[number % self._same]

    def _make(self, number: int, width: int, height: int) -> bytes:
        picture = blots(width, height, np.random.default_rng((self._seed, number)))
        file = BytesIO()
        picture.save(file, self._kind, quality=QUALITY, compress_level=1)
        return file.getvalue()


def blots(width: int, height: int, dice: np.random.Generator) -> Image.Image:
    grid = (2 + height // BLOT, 2 + width // BLOT, 3)
    small = Image.fromarray(dice.integers(0, 256, grid, dtype=np.uint8))
    return small.resize((width, height), Image.Resampling.BICUBIC)
