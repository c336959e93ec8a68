"""What one step of a text replica computes, and who gives way when its blocks run out.

A worker's engine and the simulator call the same two functions. They see numbers only: which
tokens, blocks or tensors stand behind them is the caller's business.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .aging import rank_now


@dataclass(frozen=True, slots=True)
class Runnable:
    """One request that holds its blocks on the replica.

    `ready` is how far it may be computed now: its whole prompt, or the position of the first
    image span that has not landed, or (cross-attention, images missing) 0. While decoding it is
    always one more than `computed`.
    """

    request_id: str
    rank: float  # see aging.py: lower goes first
    computed: int  # tokens whose KV is in the pool
    ready: int
    decoding: bool


@dataclass(frozen=True, slots=True)
class Grower:
    """A decoding request in front of its next token."""

    request_id: str
    order: int
    held: int  # blocks that its end would set free
    needed: int  # further blocks that its next token takes: 0 or 1


def next_batch(runnable: Iterable[Runnable], budget: int) -> list[tuple[str, int]]:
    """(request id, tokens) of the next step, in the order in which their rows are laid out.

    Every decode takes its one token, also beyond `budget`: a token already promised to a reader
    waits for nobody. What is left goes to the prefills by what they still miss, shortest first
    and older ones before younger ones (aging.py), so that mostly the ones under way go on.
    """
    order = sorted(runnable, key=_precedence)
    batch: list[tuple[str, int]] = []
    left = budget
    for request in order:
        tokens = 1 if request.decoding else min(request.ready - request.computed, left)
        if tokens > 0:
            batch.append((request.request_id, tokens))
            left -= tokens
    return batch


def preempt(growers: Sequence[Grower], free: int) -> list[str]:
    """The youngest of the decoding requests, as many as must end so that the others can grow."""
    kept = sorted(growers, key=lambda grower: grower.order)
    shortage = sum(grower.needed for grower in kept) - free
    victims: list[str] = []
    while shortage > 0:
        youngest = kept.pop()
        shortage -= youngest.held + youngest.needed
        victims.append(youngest.request_id)
    return victims


def _precedence(request: Runnable) -> tuple[bool, float]:
    return (not request.decoding, rank_now(request.rank, request.computed))
