"""The keys and values of one request's images, for the families whose text attends across.

An image is `tiles` tiles with padding tiles behind the used ones. transformers' rules, which token
equality needs:

    a row in front of the first image    attends to ALL tiles of all images, padding too
    a row behind images k..n, which      attends to the used tiles of those images: an image is
      stand side by side                 seen until the next one that text separates from it

Storage puts the used tiles of all images first, in prompt order, and all padding behind them:
so whatever a row attends to is one contiguous slice.

    | used 0 | used 1 | used 2 | padding 0 | padding 1 | padding 2 |
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from .text_work import Span


class Sight(NamedTuple):
    """From token `position` on, rows attend to `rows` of the storage."""

    position: int
    rows: slice


@dataclass(frozen=True, slots=True)
class CrossKv:
    kv: Tensor  # [cross-attention layers, 2, kv_heads, image rows, head_dim]
    spans: tuple[Span, ...]
    sights: tuple[Sight, ...]  # by position, from 0 on
    tile_rows: int

    @property
    def first_image(self) -> int:
        """The rows in front of it skip the gated MLP."""
        return self.spans[0].start

    def places(self, image_index: int) -> list[tuple[slice, slice]]:
        """(rows of the embedding, rows of the storage) to copy when the image lands."""
        image_rows = self.kv.shape[3] // len(self.spans)
        used_from, padding_from = 0, sum(span.tiles for span in self.spans) * self.tile_rows
        copies: list[tuple[slice, slice]] = []
        for span in self.spans:
            used = span.tiles * self.tile_rows
            padding = image_rows - used
            if span.image_index == image_index:
                copies.append((slice(0, used), slice(used_from, used_from + used)))
                target = slice(padding_from, padding_from + padding)
                copies.append((slice(used, image_rows), target))
            used_from, padding_from = used_from + used, padding_from + padding
        return copies

    def seen(self, start: int, end: int) -> list[tuple[int, int, slice]]:
        """(first token, token behind the last, storage rows) covering tokens start..end."""
        starts = [sight.position for sight in self.sights] + [end]
        return [
            (max(start, sight.position), min(end, after), sight.rows)
            for sight, after in zip(self.sights, starts[1:], strict=True)
            if max(start, sight.position) < min(end, after)
        ]


def sights(spans: Sequence[Span], tile_rows: int, image_rows: int) -> tuple[Sight, ...]:
    """What each token attends to; `spans` in prompt order, `image_rows` with the padding."""
    seen = [Sight(0, slice(0, len(spans) * image_rows))] if spans[0].start > 0 else []
    group_from = used_from = 0
    for before, span in zip((None, *spans), spans, strict=False):
        if before is not None and span.start != before.start + 1:
            group_from = used_from
        used_from += span.tiles * tile_rows
        seen.append(Sight(span.start, slice(group_from, used_from)))
    return tuple(seen)
