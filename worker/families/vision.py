"""What the vision half of every family offers: pictures in, rows of embedding out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from PIL import Image
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Pixels:
    """One image as the tower takes it, made on a CPU thread, not yet on the device."""

    tiles: Tensor  # float32 [tiles, 3, side, side], without padding tiles
    height: int  # of the upright picture
    width: int
    mode: str
    aspect_ratio: int = 0  # mllama's number for the arrangement of the tiles


class VisionHalf(Protocol):
    """The encode stage of one family; `preprocess` is safe in threads, `encode` owns the device."""

    def preprocess(self, image: Image.Image, mode: str) -> Pixels: ...

    def encode(self, batch: Sequence[Pixels]) -> list[Tensor]:
        """One [rows, text hidden size] tensor per image, as the text half takes it."""
        ...
