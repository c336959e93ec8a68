"""Several workers on a few cores: who goes first, and how many threads each may start.

Workers of one urgency divide the cores of their host among themselves. Those of lower urgency get
threads for all cores, too, and yield: an encoder fills what decodes leave, instead of a fixed part
that it cannot use or cannot do with.
"""

from __future__ import annotations

from collections.abc import Iterable, Set

from .stage import Stage

URGENT, SOON, LATER = 0, 5, 10  # as the operating system counts niceness


def niceness(stages: Set[Stage]) -> int:
    """Decodes keep readers waiting, prefills a request, encodes what is prefilled later."""
    if Stage.DECODE in stages:
        return URGENT
    return SOON if Stage.PREFILL in stages else LATER


def threads(cores: int, stages: Set[Stage], others: Iterable[Set[Stage]]) -> int:
    """For a worker beside `others` on a host, none of which named a number."""
    alike = sum(niceness(one) == niceness(stages) for one in others)
    return max(1, cores // (1 + alike))


def few_threads(threads: int, *, beside: bool) -> int:
    """Of a worker's threads; `beside`: somebody who yields to it has work, and gets the other half
    of the cores. Of cores that both want it would get next to nothing, and the threads of a step
    would wait for the one that it takes a core from."""
    return max(1, threads // 2) if beside else threads
