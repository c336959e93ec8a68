"""Weights in oneDNN's own layout, beside the plain ones, for the few rows of a decode step.

On a CPU the plain float32 product of few rows reads its weight at half the speed of memory or
less; the packed one is 1.3-1.6 times as fast from 2 to 16 rows, and a wide one (the head) twice as
fast up to a hundred. Above 64 rows the plain one is as good or better in a layer, so a packed layer
keeps both and takes twice the memory of its weight, where that much is free.
"""

from __future__ import annotations

import os

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

MOST_ROWS = 64
PACKED_FOR = 24  # rows: the layout that is best from 1 to 64
MOST_OF_FREE = 0.25  # of the free memory, for packed copies


class PackedLinear(nn.Module):
    def __init__(self, plain: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = plain.weight, plain.bias
        self.packed = torch.ops.mkldnn._reorder_linear_weight(plain.weight.detach(), PACKED_FOR)

    def forward(self, rows: Tensor) -> Tensor:
        if rows.numel() > MOST_ROWS * rows.shape[-1]:
            return linear(rows, self.weight, self.bias)
        out: Tensor = torch.ops.mkldnn._linear_pointwise(
            rows, self.packed, self.bias, "none", [], ""
        )
        return out


def pack(layer: nn.Module) -> nn.Module:
    """`layer`, or in its place one with all its float32 CPU linears packed, nested ones too."""
    linears = [inner for inner in layer.modules() if isinstance(inner, nn.Linear)]
    extra = sum(linear.weight.nbytes for linear in linears if _packs(linear.weight))
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return _replace(layer) if extra <= MOST_OF_FREE * free else layer


def _replace(layer: nn.Module) -> nn.Module:
    if isinstance(layer, nn.Linear):
        return PackedLinear(layer) if _packs(layer.weight) else layer
    for name, inner in layer.named_children():
        setattr(layer, name, _replace(inner))
    return layer


def _packs(weight: Tensor) -> bool:
    return (
        weight.device.type == "cpu"
        and weight.dtype is torch.float32
        and torch._C._has_mkldnn
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )
