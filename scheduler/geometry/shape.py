"""What a picture's size says about the work that it makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ImageShape:
    """One image as the model will see it, known from its width and height alone."""

    tiles: int  # square crops that pass through the vision tower, padding tiles included
    used_tiles: int  # of them, those that show the picture
    rows: int  # rows of the embedding that the encode stage hands over
    span: int  # positions it takes in the prompt (1 for cross-attention families)
    mode: str  # how it is cut; part of the content key, since it changes the embedding


class Geometry(Protocol):
    """A model family's arithmetic; `images` is the number of images in the whole request."""

    @property
    def cross_attention(self) -> bool: ...

    def image(self, width: int, height: int, images: int) -> ImageShape: ...
