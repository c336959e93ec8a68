"""Weights in oneDNN's own layout, beside the plain ones, for the few rows of a decode step.

On a CPU the plain float32 product with 2 to 32 rows reads its weight at half the speed of memory
or less; the packed one is 1.3-2 times as fast there. With more rows the plain one wins, so a
packed layer keeps both, and with them twice the memory of its weight.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

MOST_ROWS = 32


class PackedLinear(nn.Module):
    def __init__(self, plain: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = plain.weight, plain.bias
        self.packed = torch.ops.mkldnn._reorder_linear_weight(plain.weight.detach(), MOST_ROWS)

    def forward(self, rows: Tensor) -> Tensor:
        if rows.numel() > MOST_ROWS * rows.shape[-1]:
            return linear(rows, self.weight, self.bias)
        out: Tensor = torch.ops.mkldnn._linear_pointwise(
            rows, self.packed, self.bias, "none", [], ""
        )
        return out


def pack(layer: nn.Module) -> nn.Module:
    """`layer`, or in its place one with all its float32 CPU linears packed, nested ones too."""
    if isinstance(layer, nn.Linear):
        return PackedLinear(layer) if _packs(layer.weight) else layer
    for name, inner in layer.named_children():
        setattr(layer, name, pack(inner))
    return layer


def _packs(weight: Tensor) -> bool:
    return (
        weight.device.type == "cpu"
        and weight.dtype is torch.float32
        and torch.backends.mkldnn.is_available()
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )
