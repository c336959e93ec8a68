from __future__ import annotations

import pytest
import torch
from torch import nn

from modserve.worker.text.packing import MOST_ROWS, PackedLinear, pack


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, 2, MOST_ROWS, MOST_ROWS + 1])
def test_a_packed_layer_says_what_the_plain_one_says(rows: int, bias: bool) -> None:
    plain = nn.Linear(48, 80, bias=bias).requires_grad_(False)
    packed = pack(plain)
    assert isinstance(packed, PackedLinear)
    for shape in ((rows, 48), (1, rows, 48)):
        x = torch.randn(shape)
        torch.testing.assert_close(packed(x), plain(x), rtol=1e-5, atol=1e-5)


def test_nested_layers_are_packed_where_they_stand() -> None:
    model = nn.Sequential(nn.Linear(4, 8), nn.ModuleDict({"inner": nn.Linear(8, 4)}))
    assert pack(model) is model
    assert [type(layer) for layer in model.modules()].count(PackedLinear) == 2


def test_other_dtypes_stay_as_they_are() -> None:
    layer = nn.Linear(4, 8, dtype=torch.bfloat16)
    assert pack(layer) is layer
