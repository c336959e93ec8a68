"""Pictures to measure with, and their preprocessing: a JPEG file's bytes to tiles, one thread."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from io import BytesIO

import torch
from PIL import Image

from ...scheduler.costs.profile import PictureWork
from ...scheduler.geometry.shape import Geometry
from ..families.vision import VisionHalf
from ..preprocessing import preprocess
from .timing import Trial, timed

BLOT = 16  # pixels
QUALITY = 90
CPU = torch.device("cpu")

Size = tuple[int, int]  # width, height


def picture(size: Size) -> Image.Image:
    """Soft blots, which a JPEG file takes about as many bytes for as for a photograph."""
    width, height = size
    small = (2 + width // BLOT, 2 + height // BLOT)
    bands = [Image.effect_noise(small, 80) for _ in "RGB"]
    return Image.merge("RGB", bands).resize(size, Image.Resampling.BICUBIC)


def trials(half: VisionHalf, geometry: Geometry, sizes: Sequence[Size]) -> Iterator[Trial]:
    for width, height in sizes:
        file = BytesIO()
        picture((width, height)).save(file, "JPEG", quality=QUALITY)
        mode = geometry.image(width, height, 1).mode
        cut = partial(preprocess, file.getvalue(), mode, half)
        yield Trial(PictureWork(width * height), partial(timed, cut, CPU))
