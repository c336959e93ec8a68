"""What a cluster would lack if one of its replicas served other stages."""

from __future__ import annotations

from collections.abc import Iterable, Set

from .request import Request
from .stage import Stage

TEXT = frozenset({Stage.PREFILL, Stage.DECODE})


def needed(requests: Iterable[Request]) -> frozenset[Stage]:
    """What open requests go through, or may once more: a run that is lost begins anew."""
    found: frozenset[Stage] = frozenset()
    for request in requests:
        found |= TEXT
        if request.media:
            return frozenset(Stage)
    return found


def missed(
    had: Set[Stage], becomes: Set[Stage], others: Iterable[Set[Stage]], needs: Set[Stage]
) -> list[Stage]:
    """Stages that are needed, that a replica would give up, and that none of the `others` has:
    requests would wait for them until their deadlines."""
    kept = set(becomes).union(*others)
    return [stage for stage in Stage if stage in had and stage in needs and stage not in kept]
