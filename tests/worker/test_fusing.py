"""One product in place of three says what the three say."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from modserve.worker.text.fusing import Part, fuse
from modserve.worker.text.packing import pack


class Layer(nn.Module):
    def __init__(self, *, bias: bool) -> None:
        super().__init__()
        self.self_attn = nn.Module()
        self.cross_attn = nn.Module()
        for attention in (self.self_attn, self.cross_attn):
            for name, width in (("q_proj", 48), ("k_proj", 16), ("v_proj", 16)):
                attention.add_module(name, nn.Linear(32, width, bias=bias).requires_grad_(False))


def projected(attention: Any, rows: torch.Tensor) -> list[torch.Tensor]:
    return [attention.q_proj(rows), attention.k_proj(rows), attention.v_proj(rows)]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_the_parts_are_what_the_three_would_say(bias: bool, packed: bool) -> None:
    layer = Layer(bias=bias)
    rows = [torch.randn(1, count, 32) for count in (1, 5, 100)]
    expected = [projected(layer.self_attn, one) for one in rows]
    fuse(layer)
    if packed:
        pack(layer)
    assert isinstance(layer.self_attn.q_proj, Part)
    for one, want in zip(rows, expected, strict=True):
        for got, part in zip(projected(layer.self_attn, one), want, strict=True):
            torch.testing.assert_close(got, part, rtol=1e-5, atol=1e-5)


def test_rows_that_change_in_place_are_multiplied_anew() -> None:
    layer = Layer(bias=False)
    fuse(layer)
    rows = torch.ones(1, 2, 32)
    before = projected(layer.self_attn, rows)
    rows.zero_()
    assert all(not part.any() for part in projected(layer.self_attn, rows))
    assert all(part.any() for part in before)


def test_attention_to_something_else_stays_as_it_is() -> None:
    layer = Layer(bias=False)
    fuse(layer)
    assert type(layer.cross_attn.q_proj) is nn.Linear


def test_no_weight_is_kept_twice() -> None:
    layer = Layer(bias=True)
    count = sum(weight.numel() for weight in layer.parameters())
    fuse(layer)
    assert sum(weight.numel() for weight in layer.parameters()) == count
