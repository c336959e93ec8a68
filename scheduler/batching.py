"""What one step of a text replica computes, and who gives way when its blocks run out.

A worker's engine and the simulator call the same two functions. They see numbers only: which
tokens, blocks or tensors stand behind them is the caller's business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

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
    gap_s: float = inf  # see pacing.py: the longest that it should wait for a token


@dataclass(frozen=True, slots=True)
class Grower:
    """A decoding request in front of its next token."""

    request_id: str
    order: int
    held: int  # blocks that its end would set free
    needed: int  # further blocks that its next token takes: 0 or 1


def tightest(runnable: Iterable[Runnable]) -> float:
    """The shortest gap of those that decode; inf where nobody does."""
    return min((one.gap_s for one in runnable if one.decoding), default=inf)


def next_batch(
    runnable: Iterable[Runnable], budget: int, order: str = "slack"
) -> list[tuple[str, int]]:
    """(request id, tokens) of the next step, in the order in which their rows are laid out.

    Every decode takes its one token, also beyond `budget`: a token already promised to a reader
    waits for nobody. What is left goes to the prefills by what they still miss, shortest first
    and older ones before younger ones (aging.py), so that mostly the ones under way go on. Where
    age put a long one first, the shorter ones may take all but a quarter: it is not kept from
    going on, and they need not wait for all of it. By the order `fifo` they do.
    """
    everybody = list(runnable)
    taken = {one.request_id: 1 for one in everybody if one.decoding}
    prefills = sorted(
        (one for one in everybody if _missing(one) > 0 and not one.decoding), key=_rank
    )
    left = budget - len(taken)
    for request, most in TURNS[order](prefills, left):
        tokens = min(_missing(request) - taken.get(request.request_id, 0), most, left)
        if tokens > 0:
            taken[request.request_id] = taken.get(request.request_id, 0) + tokens
            left -= tokens
    return list(taken.items())


def _turns(prefills: Sequence[Runnable], budget: int) -> Iterator[tuple[Runnable, int]]:
    """Who may take how many tokens, one after another; the first one's turn comes twice."""
    if not prefills:
        return
    first = prefills[0]
    shorter = [one for one in prefills if _missing(one) < _missing(first)]
    yield first, -(-budget // 4) if shorter else budget
    yield from ((one, budget) for one in sorted(shorter, key=_missing))
    yield from ((one, budget) for one in prefills)


def _in_order(prefills: Sequence[Runnable], budget: int) -> Iterator[tuple[Runnable, int]]:
    yield from ((one, budget) for one in prefills)


Turns = Callable[[Sequence[Runnable], int], Iterator[tuple[Runnable, int]]]

TURNS: Mapping[str, Turns] = {"slack": _turns, "fifo": _in_order}  # by the names in aging.py


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


def _missing(request: Runnable) -> int:
    return request.ready - request.computed


def _rank(request: Runnable) -> float:
    return rank_now(request.rank, request.computed)
