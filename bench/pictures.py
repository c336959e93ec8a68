"""A picture that no cache has seen: 672 × 448 pixels, seven tiles of the benchmark's checkpoint."""

from __future__ import annotations

import numpy as np
from PIL import Image

from modserve.client.load.pictures import Pictures, blots

SIZE = (672, 448)
TILES = 7  # the whole, and 3 × 2 parts


def picture(seed: int) -> Image.Image:
    return blots(*SIZE, np.random.default_rng(seed))


def jpeg(seed: int) -> bytes:
    return Pictures(seed=seed).picture(*SIZE)
