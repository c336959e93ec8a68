"""What the tower would say of each tile of an image, without an image being drawn.

A lone image is one tile that shows all of it, and then more tiles that show it larger, cut as
transformers cuts it; of several images, each is one tile. The first tile is all that the answers
need, and the larger ones repeat it in pieces, with the words that the tower might say of a piece.
"""

import random

from transformers.image_processing_utils import select_best_resolution

from .codes import NO_DIGIT, NOTHING, Tile, see
from .layout import PATCH, PINPOINTS, TILE
from .things import Subject

SIDE = TILE // PATCH  # tokens along each side of a tile, and places along that of a scene
NEAR = 0.3  # of a place's width: a token that is not so near to a place may miss what is there


def imagine(subject: Subject, size: tuple[int, int], lone: bool, rng: random.Random) -> list[Tile]:
    """`size` is (height, width)."""
    whole = see(subject)
    if not lone:
        return [whole]
    height, width = select_best_resolution(size, PINPOINTS)
    pieces = (height // TILE) * (width // TILE)
    if pieces == 1:
        return [whole] * 2
    tiles = [whole]
    for row in range(height // TILE):
        for column in range(width // TILE):
            tokens = [
                _see_piece(whole, size, (height, width), (SIDE * row + y, SIDE * column + x), rng)
                for y in range(SIDE)
                for x in range(SIDE)
            ]
            tiles.append(Tile(tokens, _guess(whole.digit, rng)))
    return tiles


def _guess(digit: int, rng: random.Random) -> int:
    return digit if digit == NO_DIGIT else rng.choice((digit, rng.randrange(NO_DIGIT)))


def _see_piece(
    whole: Tile,
    size: tuple[int, int],
    canvas: tuple[int, int],
    token: tuple[int, int],
    rng: random.Random,
) -> tuple[int, int]:
    """What one token of the image, as large as the canvas allows and in its middle, is near to."""
    scale = min(canvas[0] / size[0], canvas[1] / size[1])
    places = []
    for index, side, room in zip(token, size, canvas, strict=True):
        middle = (index + 0.5) * TILE / SIDE - (room - side * scale) / 2
        at = middle / (side * scale) * SIDE
        if not 0 <= at < SIDE or (abs(at % 1 - 0.5) > NEAR and rng.random() < 0.5):
            return NOTHING, NOTHING
        places.append(int(at))
    return whole.things[SIDE * places[0] + places[1]]
