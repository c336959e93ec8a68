"""Which replica takes a piece of work: the one with the least of the same kind pending.

Encode replicas are compared by pending image tokens, text replicas by pending prompt tokens: all
of them for decoder-only families, where an image's tokens are prompt tokens, and the text alone
for cross-attention families, where an image takes one position (ModServe, SoCC 2025, section
4.3). A decode's step time follows the KV that it reads, so those are compared by booked blocks. A
tie goes to the lower name, so that runs repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .replica import Replica
from .stage import Stage

Load = Callable[[Replica], tuple[float, int]]


def image_tokens(one: Replica) -> tuple[float, int]:
    return one.pending_image_tokens, 0


def prompt_tokens(one: Replica) -> tuple[float, int]:
    return one.pending_tokens, len(one.bound)


def booked_blocks(one: Replica) -> tuple[float, int]:
    return one.ledger.kv_blocks.booked, 0


LEAST_PENDING: Mapping[Stage, Load] = {
    Stage.ENCODE: image_tokens,
    Stage.PREFILL: prompt_tokens,
    Stage.DECODE: booked_blocks,
}
