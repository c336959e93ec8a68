"""The language between the tower and the text model: what each token of an image says.

A token of a tile says where it lies in the tile, the colour and the shape of what is there, and
the digit that the tile shows: it is the sum of the embeddings of just these words. The tower
learns to write them (sight.py) while the text model learns to read them, without a single image
being drawn (student.py); what is left to learn together is little. Words that the text model uses
itself are the quickest for it: to find something is to look for its own word, to name it is to
copy it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerFast

from .things import COLOURS, PLACES, SHAPES, Scan, Subject, Thing

NO_DIGIT = 10
NOTHING = 0
UNSURE = 0.5  # the score of there being nothing: between those of a word unsaid (0) and said (1)
DIRECTIONS = ("top", "bottom", "left", "right", "center")
DIGITS = tuple("0123456789")
WORDS = (DIRECTIONS, tuple(COLOURS), SHAPES, DIGITS)
COUNTS = [len(words) for words in WORDS]
ALL_WORDS = [word for words in WORDS for word in words]


class Tile(NamedTuple):
    """What each token of a tile says; `NOTHING` and `NO_DIGIT` where there is none."""

    things: list[tuple[int, int]]  # the numbers of colour and shape, of nine tokens
    digit: int


def see(subject: Subject) -> Tile:
    """The tile that shows all of it."""
    if isinstance(subject, Scan):
        return Tile([(NOTHING, NOTHING)] * len(PLACES), subject.digit)
    return Tile([_name(subject.at(cell)) for cell in range(len(PLACES))], NO_DIGIT)


def _name(thing: Thing | None) -> tuple[int, int]:
    if thing is None:
        return NOTHING, NOTHING
    return 1 + tuple(COLOURS).index(thing.colour), 1 + SHAPES.index(thing.shape)


@dataclass(frozen=True)
class Labels:
    colours: Tensor  # [tiles, 9]
    shapes: Tensor  # [tiles, 9]
    digits: Tensor  # [tiles]

    @classmethod
    def of(cls, tiles: list[Tile]) -> "Labels":
        things = torch.tensor([tile.things for tile in tiles]).view(-1, len(PLACES), 2)
        return cls(things[..., 0], things[..., 1], torch.tensor([tile.digit for tile in tiles]))


class Codes:
    """The words' vectors: orthogonal, of length 1, and never trained."""

    def __init__(self, width: int) -> None:
        self._vectors: Tensor = torch.linalg.qr(torch.randn(width, len(ALL_WORDS))).Q.T
        said = [[float(word in place.split()) for word in DIRECTIONS] for place in PLACES]
        self._places = torch.tensor(said)  # [places, directions]

    @torch.no_grad()
    def give(self, embeddings: nn.Embedding, tokenizer: PreTrainedTokenizerFast) -> None:
        """The words' tokens get these vectors and keep them; plurals begin near them."""
        number = tokenizer.get_vocab()
        rows = [number[word if word in DIGITS else f"\u0120{word}"] for word in ALL_WORDS]
        embeddings.weight[rows] = self._vectors
        for shape in SHAPES:
            one, many = (embeddings.weight[number[f"\u0120{shape}{s}"]] for s in ("", "s"))
            many.add_(one).mul_(2**-0.5)
        free = torch.ones(len(embeddings.weight), 1)
        free[rows] = 0
        embeddings.weight.register_hook(lambda gradient: gradient * free)  # type: ignore[no-untyped-call]

    def write(self, labels: Labels) -> Tensor:
        """[tiles, 9, width]"""
        directions, *rest = torch.split(self._vectors, COUNTS)
        nothing = directions.new_zeros(1, directions.shape[1])
        colours, shapes = (torch.cat((nothing, words)) for words in rest[:2])
        digits = torch.cat((rest[2], nothing))
        things = colours[labels.colours] + shapes[labels.shapes]
        where: Tensor = self._places @ directions
        return where + things + digits[labels.digits][:, None]

    def read(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Scores [..., words] of colours, shapes and digits, nothing and no digit among them."""
        scores = tokens @ self._vectors.T
        _, colours, shapes, digits = torch.split(scores, COUNTS, -1)
        none = torch.full_like(colours[..., :1], UNSURE)
        return (
            torch.cat((none, colours), -1),
            torch.cat((none, shapes), -1),
            torch.cat((digits, none), -1),
        )

    def distance(self, tokens: Tensor, labels: Labels) -> Tensor:
        """Mean square distance from what should be written."""
        return (tokens - self.write(labels)).square().sum(-1).mean()
