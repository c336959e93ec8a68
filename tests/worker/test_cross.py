"""What text rows see of the images, against transformers' own dense mask."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.models.mllama.processing_mllama import (
    convert_sparse_cross_attention_mask_to_dense,
    get_cross_attention_token_mask,
)

from modserve.worker.text.cross import CrossKv, sights
from modserve.worker.text.text_work import Span

IMAGE, MOST_TILES, TILE_ROWS = 9, 4, 3
IMAGE_ROWS = MOST_TILES * TILE_ROWS


@st.composite
def prompts(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Token ids with at least one IMAGE, and the used tiles of each image."""
    ids = draw(st.lists(st.sampled_from([0, IMAGE]), min_size=1, max_size=12))
    ids.insert(draw(st.integers(0, len(ids))), IMAGE)
    images = ids.count(IMAGE)
    return ids, draw(st.lists(st.integers(1, MOST_TILES), min_size=images, max_size=images))


def cross(ids: list[int], tiles: list[int]) -> CrossKv:
    starts = [position for position, token in enumerate(ids) if token == IMAGE]
    spans = tuple(
        Span(start, 1, index, used)
        for index, (start, used) in enumerate(zip(starts, tiles, strict=True))
    )
    return CrossKv(
        kv=torch.zeros(1, 2, 1, IMAGE_ROWS * len(spans), 1),
        spans=spans,
        sights=sights(spans, TILE_ROWS, IMAGE_ROWS),
        tile_rows=TILE_ROWS,
    )


@given(prompts(), st.integers(0, 3), st.integers(0, 12))
def test_each_token_sees_the_rows_that_transformers_shows_it(
    prompt: tuple[list[int], list[int]], emitted: int, start: int
) -> None:
    ids, tiles = prompt
    dense = torch.from_numpy(
        convert_sparse_cross_attention_mask_to_dense(
            [get_cross_attention_token_mask(ids, IMAGE)], [tiles], MOST_TILES, len(ids)
        )
    )[0]
    shown = dense.repeat_interleave(TILE_ROWS, dim=2).flatten(1).bool()  # [tokens, images' rows]
    shown[~shown.any(1)] = True  # a row that is masked out whole sees everything
    shown = torch.cat([shown, shown[-1:].expand(emitted, -1)])

    own = cross(ids, tiles)
    for index in range(
        len(tiles)
    ):  # each row of the storage holds its number in the prompt's order
        for source, target in own.places(index):
            rows = torch.arange(source.start, source.stop) + index * IMAGE_ROWS
            own.kv[0, 0, 0, target, 0] = rows.float()
    order = own.kv[0, 0, 0, :, 0].long()
    assert sorted(order.tolist()) == list(range(len(order)))

    covered = start
    for first, end, seen in own.seen(start, len(shown)):
        assert first == covered
        covered = end
        for token in range(first, end):
            assert set(order[seen].tolist()) == set(shown[token].nonzero()[:, 0].tolist())
    assert covered == max(start, len(shown))
    assert own.first_image == ids.index(IMAGE)
