"""The largest logits of each row in one order for good: larger first, equals by lower token id.

`torch.topk` and `torch.sort` choose freely among equals, and differently for different counts;
here the order of a row depends on that row alone, whatever else is asked for in the same batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LOW = 0xFFFFFFFF  # the half of a key that holds the token id


def leading(logits: Tensor, count: int) -> Tensor:
    """[n, count] token ids of float32 `logits` [n, vocab]; the work of a top-k, not of a sort."""
    if count == logits.shape[1]:
        return _sorted(_keys(logits))
    values, ids = logits.topk(count)
    edge = values[:, -1:]
    torn = (logits == edge).sum(-1) > (values == edge).sum(-1)  # equals were left behind
    if torn.any():
        ids[torn] = _keys(logits[torn]).topk(count, largest=False).values & _LOW
    ids = ids.sort(-1).values
    order = torch.sort(logits.gather(1, ids), dim=-1, descending=True, stable=True).indices
    return ids.gather(1, order)


def _keys(logits: Tensor) -> Tensor:
    """One int64 per entry, all different: smaller for a larger logit, then for a lower id."""
    bits = (logits + 0.0).view(torch.int32)  # + 0.0 makes -0.0 and 0.0 one value
    rising = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits)  # floats order like these integers
    ids = torch.arange(logits.shape[1], device=logits.device)
    return (~rising).to(torch.int64) << 32 | ids


def _sorted(keys: Tensor) -> Tensor:
    if keys.is_cpu:
        keys.numpy().sort(axis=-1)  # three times as fast as torch's
        return keys & _LOW
    return keys.sort(-1).values & _LOW
