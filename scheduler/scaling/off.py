"""Users scale by hand."""

from __future__ import annotations

from collections.abc import Sequence

from .decisions import Decision
from .limits import Limits
from .loads import PoolLoad


class Off:
    def decide(self, pools: Sequence[PoolLoad], limits: Limits, now: float) -> list[Decision]:
        return []
