"""Tensors on their way: one after another from one worker to another, all pairs at once."""

from __future__ import annotations

from ..scheduler.costs.costs import LinkCost
from .agenda import PASSING, Agenda, Call


class Links:
    def __init__(self, agenda: Agenda, cost: LinkCost) -> None:
        self._agenda, self._cost = agenda, cost
        self._free_at: dict[str, dict[str, float]] = {}  # by source, then by target

    def send(self, source: str, target: str, size: int, arrived: Call) -> None:
        """Call `arrived` when so many bytes are there; within a worker nothing moves."""
        now = self._agenda.now
        if source == target:
            self._agenda.at(now, PASSING, arrived)
            return
        lanes = self._free_at.setdefault(source, {})
        lanes[target] = max(lanes.get(target, 0.0), now) + self._cost.seconds(size)
        self._agenda.at(lanes[target], PASSING, arrived)

    def forget(self, name: str) -> None:
        """The worker is no more."""
        self._free_at.pop(name, None)
        for lanes in self._free_at.values():
            lanes.pop(name, None)
