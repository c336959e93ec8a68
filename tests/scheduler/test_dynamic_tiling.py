"""InternVL's grid of tiles, by pictures whose grid is known."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from modserve.scheduler.geometry.dynamic_tiling import DynamicTiling

INTERNVL = DynamicTiling(448, 256, most_tiles=12)
NVLM = DynamicTiling(448, 256, most_tiles=6)
SIDES = some.integers(1, 5000)


@pytest.mark.parametrize(
    ("size", "grid"),
    [
        ((448, 448), (1, 1)),
        ((500, 500), (1, 1)),  # less than half of 2 × 2 tiles' pixels
        ((896, 896), (2, 2)),
        ((1200, 1200), (3, 3)),
        ((1344, 448), (3, 1)),
        ((800, 600), (4, 3)),
        ((10, 5000), (1, 12)),
    ],
)
def test_the_grid_has_the_shape_of_the_picture(
    size: tuple[int, int], grid: tuple[int, int]
) -> None:
    assert INTERNVL.grid(*size) == grid


def test_a_square_of_896_pixels_is_five_tiles_as_in_the_papers_table() -> None:
    for geometry in (INTERNVL, NVLM):
        shape = geometry.image(896, 896, 1)
        assert (shape.tiles, shape.rows, shape.span) == (5, 1280, 1280)


def test_a_single_tile_has_no_thumbnail() -> None:
    assert INTERNVL.image(448, 448, 1).tiles == 1


@given(SIDES, SIDES, some.integers(1, 12))
def test_no_picture_has_more_tiles_than_allowed_and_a_thumbnail(
    width: int, height: int, most: int
) -> None:
    shape = DynamicTiling(448, 256, most).image(width, height, 1)
    assert 1 <= shape.tiles <= most + 1
    assert shape.rows == 256 * shape.tiles


@given(some.integers(1, 4), some.integers(1, 3))
def test_a_picture_of_whole_tiles_is_cut_into_those(across: int, down: int) -> None:
    grid = INTERNVL.grid(448 * across, 448 * down)
    assert grid[0] * down == grid[1] * across
    assert grid[0] * grid[1] >= across * down
