"""LLaVA-OneVision: one image is cut into any-resolution tiles, several are one tile each.

    picture 600 × 400 ──► best pinpoint 384 × 768 ──► base tile + 1 × 2 tiles
                                                        │
      rows = base tile's patches + unpadded patches of the grid (shrunk above
             `anyres_max_N` tiles' worth) + one newline per row of the grid

The arithmetic follows transformers' packing operation by operation, floats included: another
order of the same formula rounds to another number of rows for some sizes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from .fields import BadConfig, Config, agree, positive, section, tile_side
from .shape import ImageShape

SINGLE, SEVERAL = "single", "several"

Resolution = tuple[int, int]  # height, width in pixels

STEPS = range(384, 2304 + 1, 384)
DEFAULT_PINPOINTS = tuple((height, width) for height in STEPS for width in STEPS)
TOWER_DEFAULTS = {  # transformers': image and patch side, and whether a class token comes first
    "siglip_vision_model": (224, 16, False),
    "clip_vision_model": (224, 32, True),
}


@dataclass(frozen=True, slots=True)
class LlavaOnevisionGeometry:
    pinpoints: tuple[Resolution, ...]
    tile: int  # side of a tile in pixels
    patches: int  # patches along one side of a tile
    most_tiles: int  # a grid of more tiles' worth of rows is shrunk
    square_rows: int  # rows of one tile of several, its newline included

    cross_attention: ClassVar[bool] = False

    def image(self, width: int, height: int, images: int) -> ImageShape:
        if images != 1:
            rows = self.square_rows
            return ImageShape(tiles=1, used_tiles=1, rows=rows, span=rows, mode=SEVERAL)
        grid_height, grid_width = best_resolution((height, width), self.pinpoints)
        down, across = grid_height // self.tile, grid_width // self.tile
        rows = self.patches**2 + self.grid_rows(width, height, down, across)
        tiles = 1 + down * across
        return ImageShape(tiles=tiles, used_tiles=tiles, rows=rows, span=rows, mode=SINGLE)

    def grid_rows(self, width: int, height: int, down: int, across: int) -> int:
        """Patches that show picture rather than padding, and a newline after each line."""
        full_height, full_width = down * self.patches, across * self.patches
        if width / height > full_width / full_height:
            shown = int(round(height * (full_width / width), 7))
            full_height -= (full_height - shown) // 2 * 2
        else:
            shown = int(round(width * (full_height / height), 7))
            full_width -= (full_width - shown) // 2 * 2
        ratio = math.sqrt(full_height * full_width / (self.most_tiles * self.patches**2))
        if ratio > 1.1:
            full_height, full_width = int(full_height // ratio), int(full_width // ratio)
        return full_height * full_width + full_height


def best_resolution(size: Resolution, possible: Sequence[Resolution]) -> Resolution:
    """The pinpoint that keeps the most pixels of the picture, then the one that wastes least."""
    height, width = size
    best, most_kept, least_wasted = possible[0], 0, math.inf
    for grid_height, grid_width in possible:
        scale = min(grid_width / width, grid_height / height)
        kept = min(int(width * scale) * int(height * scale), width * height)
        wasted = grid_height * grid_width - kept
        if kept > most_kept or (kept == most_kept and wasted < least_wasted):
            best, most_kept, least_wasted = (grid_height, grid_width), kept, wasted
    return best


def llava_onevision(config: Config, processor: Config) -> LlavaOnevisionGeometry:
    vision = section(config, "vision_config")
    kind = vision.get("model_type", "siglip_vision_model")
    if not isinstance(kind, str) or kind not in TOWER_DEFAULTS:
        raise BadConfig(
            f"expected a vision tower of {' or '.join(sorted(TOWER_DEFAULTS))}, got {kind!r}"
        )
    image_size, patch_size, class_token = TOWER_DEFAULTS[kind]
    tile = positive(vision, "image_size", image_size)
    patches = tile // positive(vision, "patch_size", patch_size)
    pinpoints = read_pinpoints(config, tile)
    agree("tile size", tile, tile_side(processor, 384))
    agree("image_grid_pinpoints", set(pinpoints), set(read_pinpoints(processor, tile)))
    return LlavaOnevisionGeometry(
        pinpoints=pinpoints,
        tile=tile,
        patches=patches,
        most_tiles=read_most_tiles(config),
        square_rows=tile_rows(config, patches, class_token) + 1,
    )


def read_pinpoints(config: Config, tile: int) -> tuple[Resolution, ...]:
    listed = config.get("image_grid_pinpoints")
    if listed is None:
        listed = DEFAULT_PINPOINTS
    if not isinstance(listed, Sequence) or not listed:
        raise BadConfig(f"expected a list of resolutions for image_grid_pinpoints, got {listed!r}")
    return tuple(read_pinpoint(pair, tile) for pair in listed)


def read_pinpoint(pair: object, tile: int) -> Resolution:
    match pair:
        case [int(height), int(width)] if min(height, width) > 0 == height % tile == width % tile:
            return height, width
    raise BadConfig(
        f"expected [height, width] in multiples of the tile's {tile} px in "
        f"image_grid_pinpoints, got {pair!r}"
    )


def read_most_tiles(config: Config) -> int:
    name = config.get("vision_aspect_ratio", "anyres_max_9")
    digits = name.removeprefix("anyres_max_") if isinstance(name, str) else ""
    if not digits.isdecimal() or int(digits) < 1:
        raise BadConfig(f"expected anyres_max_N for vision_aspect_ratio, got {name!r}")
    return int(digits)


def tile_rows(config: Config, patches: int, class_token: bool) -> int:
    strategy = config.get("vision_feature_select_strategy", "full")
    if strategy not in ("full", "default"):
        raise BadConfig(
            f"expected full or default for vision_feature_select_strategy, got {strategy!r}"
        )
    rows = patches**2 + class_token - (strategy == "default")
    if rows != patches**2:  # transformers refuses to pack such a grid
        raise BadConfig(
            f"expected {patches**2} rows per tile to pack, got {rows} with "
            f"vision_feature_select_strategy {strategy}"
        )
    return rows
