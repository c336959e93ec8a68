"""A picture that no cache has seen: 672 × 448 pixels, seven tiles of the benchmark's checkpoint."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from PIL import Image

SIZE = (672, 448)
TILES = 7  # the whole, and 3 × 2 parts


def picture(seed: int) -> Image.Image:
    """Soft blots, so that a JPEG file of it is as large as one of a photograph."""
    blots = np.random.default_rng(seed).integers(0, 256, (32, 48, 3), dtype=np.uint8)
    return Image.fromarray(blots).resize(SIZE, Image.Resampling.BICUBIC)


def jpeg(seed: int) -> bytes:
    file = BytesIO()
    picture(seed).save(file, "JPEG", quality=90)
    return file.getvalue()
