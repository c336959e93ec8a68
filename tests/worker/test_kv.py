from __future__ import annotations

import pytest
import torch
from torch import Tensor

from modserve.worker.text.kv import KvPool, KvShape

SHAPE = KvShape(layers=2, kv_heads=3, head_dim=4)


def pool(blocks: int = 8, block_size: int = 4) -> KvPool:
    return KvPool(
        SHAPE,
        blocks=blocks,
        block_size=block_size,
        dtype=torch.float32,
        device=torch.device("cpu"),
    )


def chunk(tokens: int) -> Tensor:
    return torch.randn(SHAPE.layers, 2, SHAPE.kv_heads, tokens, SHAPE.head_dim)


def test_what_is_loaded_chunk_by_chunk_is_exported_as_a_whole() -> None:
    source = pool()
    source.open("a", 10, 16)
    kv = chunk(10)
    source.load("a", 0, kv[:, :, :, :7])
    source.load("a", 7, kv[:, :, :, 7:])
    assert torch.equal(source.export("a", 0, 10), kv)
    assert torch.equal(source.export("a", 3, 9), kv[:, :, :, 3:9])
    assert source.export("a", 3, 9).is_contiguous()


def test_scattered_tokens_are_exported_and_read_in_order() -> None:
    source = pool(blocks=6)
    for name in "abc":
        source.open(name, 8, 8)
    source.close("a")
    source.close("c")
    source.open("d", 12, 12)
    assert len(source.slot_runs("d", 0, 12)) == 2
    kv = chunk(12)
    source.load("d", 0, kv)
    assert torch.equal(source.export("d", 0, 12), kv)
    slots = source.slots("d", 0, 12)
    assert torch.equal(source.keys[1][:, slots], kv[1, 0])
    assert torch.equal(source.values[0][:, slots], kv[0, 1])


def test_growth_into_a_neighbour_moves_the_request_and_keeps_its_kv() -> None:
    source = pool(blocks=8)
    source.open("a", 4, 4)
    source.open("b", 4, 4)
    kv = chunk(4)
    source.load("a", 0, kv)
    source.extend("a", 8)
    assert len(source.slot_runs("a", 0, 8)) == 1
    assert torch.equal(source.export("a", 0, 4), kv)
    source.tables.check()


def test_growth_is_scattered_where_no_place_for_all_is_free() -> None:
    source = pool(blocks=4)
    for name in "abcd":
        source.open(name, 4, 4)
    source.close("c")
    kv = chunk(4)
    source.load("a", 0, kv)
    source.extend("a", 8)
    assert len(source.slot_runs("a", 0, 8)) == 2
    assert torch.equal(source.export("a", 0, 4), kv)


def test_a_chunk_of_another_model_is_refused() -> None:
    target = pool()
    target.open("a", 4, 4)
    with pytest.raises(ValueError, match=r"expected a KV chunk \(2, 2, 3, 4, 4\)"):
        target.load("a", 0, torch.zeros(2, 2, 1, 4, 4))
    with pytest.raises(ValueError, match="bfloat16"):
        target.load("a", 0, chunk(4).bfloat16())


def test_tokens_beyond_the_room_of_a_request_are_an_error() -> None:
    target = pool()
    target.open("a", 4, 4)
    with pytest.raises(IndexError, match="a: expected room for 5 tokens, got 4"):
        target.load("a", 0, chunk(5))
