"""Which replica takes a piece of work: the one where it would be done first.

Replicas are compared by what is pending there and by the work itself, times the seconds that they
take for one unit of it. Encode replicas have pending image tokens; text replicas pending prompt
tokens: all of them for decoder-only families, where an image's tokens are prompt tokens, and the
text alone for cross-attention families, where an image takes one position (ModServe, SoCC 2025,
section 4.3). A decode's step time follows the KV that it reads, so those are compared by booked
blocks, times the shortest step that they ever took: how long steps take now says how much they
have to do. A tie goes to less pending, then to the lower name, so that runs repeat. Replicas that
encode may have text stages as well: of those with as many image tokens the one with the fewest
requests is chosen, since their decodes wait for an image; else most would go to the first name.

Who has not told a speed is taken to be as fast as the fastest that has, so it gets work soon and
tells; where nobody has, or by the policy `pending`, what is pending decides alone. By `round-robin`
the next is whose last turn is the longest ago, whatever is pending there: what most servers did in
2024, and a baseline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import log2

from .replica import Replica
from .stage import Stage

Load = Callable[[Replica], tuple[float, int]]


def image_tokens(one: Replica) -> tuple[float, int]:
    return one.pending_image_tokens, len(one.bound)


def prompt_tokens(one: Replica) -> tuple[float, int]:
    return one.pending_tokens, len(one.bound)


def booked_blocks(one: Replica) -> tuple[float, int]:
    return one.ledger.kv_blocks.booked, 0


def turn(one: Replica) -> tuple[float, int]:
    return one.turn, 0


LEAST_PENDING: Mapping[Stage, Load] = {
    Stage.ENCODE: image_tokens,
    Stage.PREFILL: prompt_tokens,
    Stage.DECODE: booked_blocks,
}
ROUTINGS: Mapping[str, Mapping[Stage, Load]] = {
    "finish": LEAST_PENDING,
    "pending": LEAST_PENDING,
    "round-robin": dict.fromkeys(Stage, turn),
}

UNIT_S: Mapping[Stage, Callable[[Replica], float]] = {
    Stage.ENCODE: lambda one: one.speed.image_token_s,
    Stage.PREFILL: lambda one: one.speed.compared_s,
    Stage.DECODE: lambda one: one.shortest_step_s,
}

ALIKE = 2.0  # steps, a factor of 2: what is measured of two that are alike differs by less
LINK_BYTES_S = 1e9  # of embeddings on their way: about what gloo does on one host
LINK_S = 0.005  # for a transfer to begin


def transfer_s(size: int) -> float:
    """Of so many bytes between two workers; none take no time."""
    return LINK_S + size / LINK_BYTES_S if size else 0.0


def pace(unit_s: float, before: int | None = None, there: Iterable[int] = ()) -> int | None:
    """The class of speeds that one is in, in steps of the root of two; None for 0.

    `before`: the one that it is in, and leaves only for a speed that is more than `ALIKE` away;
    `there`: those of others, of which the nearest is taken within as much. So neither noise nor
    the border of a class tells those apart that are alike.
    """
    if not unit_s:
        return None
    exact = 2 * log2(unit_s)
    if before is not None and abs(exact - before) <= ALIKE:
        return before
    nearest = min(there, key=lambda one: (abs(exact - one), one), default=None)
    if nearest is not None and abs(exact - nearest) <= ALIKE:
        return nearest
    return round(exact)


def seconds_of(pace: int) -> float:
    """For a unit of work, of those in this class."""
    return float(2.0 ** (pace / 2))
