"""Which points are measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from .pictures import Size
from .stepping import StepShape


@dataclass(frozen=True, slots=True)
class Grid:
    budget_s: float  # for each component, if three rounds take no longer
    pictures: Sequence[Size]  # to preprocess
    cuts: Sequence[Size]  # to encode
    batches: Sequence[int]  # of images
    starts: Sequence[int]  # tokens before a chunk
    chunks: Sequence[int]  # its tokens
    decodes: Sequence[int]
    contexts: Sequence[int]

    def steps(self) -> Iterator[StepShape]:
        """Prefills alone, decodes alone, and some of both."""
        for start, tokens in product(self.starts, self.chunks):
            yield StepShape((start, tokens))
        for decodes, context in product(self.decodes, self.contexts):
            yield StepShape(None, decodes, context)
        for tokens, decodes in product(self.chunks[1::2], self.decodes[1::2]):
            yield StepShape((0, tokens), decodes, self.contexts[len(self.contexts) // 2])


FULL = Grid(
    budget_s=120.0,
    pictures=(
        *((64, 64), (128, 96), (256, 192), (320, 320), (448, 448), (640, 480)),
        *((800, 600), (1024, 768), (1280, 720), (1280, 960), (1600, 1200), (2048, 1536)),
    ),
    cuts=((64, 64), (60, 120), (320, 240), (384, 768), (640, 640), (1000, 750), (1536, 1024)),
    batches=(1, 2, 3, 4, 6, 8),
    starts=(0, 256, 1024, 2048),
    chunks=(16, 32, 64, 128, 256, 512),
    decodes=(1, 2, 4, 8, 16, 32),
    contexts=(16, 128, 512, 1024, 2048),
)
QUICK = Grid(
    budget_s=2.0,
    pictures=(
        *((64, 64), (128, 96), (256, 192), (320, 320), (448, 448), (640, 480)),
        *((800, 600), (1024, 768), (1600, 1200)),
    ),
    cuts=((64, 64), (60, 120), (384, 768), (1000, 750)),
    batches=(1, 2, 4, 8),
    starts=(0, 512),
    chunks=(16, 64, 256, 512),
    decodes=(1, 4, 8, 16),
    contexts=(16, 256, 1024),
)
