"""Llama-3.2-Vision: every image is the most tiles that the model knows, padding tiles included.

One `<|image|>` stands for it in the prompt; the text attends to the rows from the side.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .fields import Config, agree, positive, section, tile_side
from .shape import ImageShape

TILED = "tiled"


@dataclass(frozen=True, slots=True)
class MllamaGeometry:
    tiles: int
    tile_rows: int  # patches of a tile, and its class token
    side: int  # of a tile, in pixels

    cross_attention: ClassVar[bool] = True

    def image(self, width: int, height: int, images: int) -> ImageShape:
        return ImageShape(
            tiles=self.tiles,
            used_tiles=self._used(width, height),
            rows=self.tiles * self.tile_rows,
            span=1,
            mode=TILED,
        )

    def _used(self, width: int, height: int) -> int:
        """Tiles of the canvas: the least enlargement, or else the least reduction, of the picture.

        Equal scales go to the smaller canvas (transformers' get_optimal_tiled_canvas).
        """
        fits: list[tuple[bool, float, int]] = []
        for across in range(1, self.tiles + 1):
            for down in range(1, self.tiles // across + 1):
                # transformers divides in this order: the floats must be the same ones
                scale = min(down * self.side / height, across * self.side / width)
                enlarges = scale >= 1
                fits.append((not enlarges, scale if enlarges else -scale, across * down))
        return min(fits)[2]


def mllama(config: Config, processor: Config) -> MllamaGeometry:
    vision = section(config, "vision_config")
    tiles = positive(vision, "max_num_tiles", 4)
    tile = positive(vision, "image_size", 448)
    agree("number of tiles", tiles, positive(processor, "max_image_tiles", 4))
    agree("tile size", tile, tile_side(processor, 224))
    patches = tile // positive(vision, "patch_size", 14)
    return MllamaGeometry(tiles=tiles, tile_rows=patches**2 + 1, side=tile)
