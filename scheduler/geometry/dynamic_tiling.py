"""InternVL and NVLM-D: a grid of square tiles of the picture's own shape, and a thumbnail of it.

    picture 896 × 896 ──► grid of 2 × 2 tiles of 448 px + thumbnail = 5 tiles of 256 rows

The grid is the one of at most `most_tiles` tiles whose ratio of sides is nearest to the picture's;
of several such the larger one, if the picture has more than half of its pixels (InternVL's
`dynamic_preprocess`, which NVLM-D took over).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from .shape import ImageShape

DYNAMIC = "dynamic"


@dataclass(frozen=True, slots=True)
class DynamicTiling:
    side: int  # of a tile, in pixels
    tile_rows: int
    most_tiles: int  # of the grid; the thumbnail comes on top

    cross_attention: ClassVar[bool] = False

    def image(self, width: int, height: int, images: int) -> ImageShape:
        across, down = self.grid(width, height)
        tiles = across * down + (across * down > 1)
        rows = tiles * self.tile_rows
        return ImageShape(tiles=tiles, used_tiles=tiles, rows=rows, span=rows, mode=DYNAMIC)

    def grid(self, width: int, height: int) -> tuple[int, int]:
        """(across, down) in tiles."""
        best, least = (1, 1), float("inf")
        for across, down in self._grids():
            apart = abs(width / height - across / down)
            roomy = 2 * width * height > across * down * self.side**2
            if apart < least or (apart == least and roomy):
                best, least = (across, down), apart
        return best

    def _grids(self) -> list[tuple[int, int]]:
        """Smallest first."""
        most = range(1, self.most_tiles + 1)
        grids = [(across, down) for across in most for down in most]
        return sorted(
            (grid for grid in grids if grid[0] * grid[1] <= self.most_tiles),
            key=lambda grid: (grid[0] * grid[1], grid),
        )
