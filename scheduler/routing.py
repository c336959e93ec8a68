"""Which replica takes a piece of work: the one with the least of the same kind pending.

Encode replicas are compared by pending image tokens, text replicas by pending prompt tokens: all
of them for decoder-only families, where an image's tokens are prompt tokens, and the text alone
for cross-attention families, where an image takes one position (ModServe, SoCC 2025, section
4.3). A tie goes to the lower name, so that runs repeat.
"""

from __future__ import annotations

from collections.abc import Iterable

from .replica import Replica


def least_image_tokens(replicas: Iterable[Replica]) -> Replica | None:
    return min(replicas, key=lambda one: (one.pending_image_tokens, one.name), default=None)


def least_tokens(replicas: Iterable[Replica]) -> Replica | None:
    return min(
        replicas, key=lambda one: (one.pending_tokens, len(one.bound), one.name), default=None
    )


def fewest_blocks(replicas: Iterable[Replica]) -> Replica | None:
    """For decode, whose step time follows the KV that it reads."""
    return min(replicas, key=lambda one: (one.ledger.kv_blocks.booked, one.name), default=None)
