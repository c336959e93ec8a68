"""What a picture can show: a handwritten digit, or coloured shapes on a 3x3 grid of places."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .canvas import Colour

SHAPES = ("circle", "square", "triangle", "star")
COLOURS: dict[str, Colour] = {
    "red": (220, 30, 35),
    "green": (35, 165, 60),
    "blue": (40, 80, 225),
    "yellow": (245, 215, 30),
    "purple": (150, 50, 190),
    "orange": (250, 130, 20),
}
PLACES = (
    "at the top left",
    "at the top",
    "at the top right",
    "on the left",
    "in the center",
    "on the right",
    "at the bottom left",
    "at the bottom",
    "at the bottom right",
)


@dataclass(frozen=True, eq=False)
class Scan:
    ink: NDArray[np.float64]  # [8, 8] from 0 (paper) to 1
    digit: int


@dataclass(frozen=True)
class Thing:
    colour: str
    shape: str
    cell: int  # index into PLACES, row by row

    @property
    def name(self) -> str:
        return f"{self.colour} {self.shape}"


@dataclass(frozen=True)
class Scene:
    things: tuple[Thing, ...]  # in reading order: by cell

    def count(self, word: str) -> int:
        """Of a shape ("circle"), a colour ("red") or a kind ("red circle")."""
        return sum(word in (thing.shape, thing.colour, thing.name) for thing in self.things)

    def only(self, word: str) -> Thing:
        (thing,) = (t for t in self.things if word in (t.shape, t.colour, t.name))
        return thing

    def at(self, cell: int) -> Thing | None:
        return next((thing for thing in self.things if thing.cell == cell), None)


Subject = Scan | Scene
