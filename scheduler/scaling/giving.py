"""Who gives a replica to a pool that starves: the idlest, if it would still have enough."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .loads import PoolLoad
from .needing import Need
from .room import Room
from .turns import Turns


@dataclass(frozen=True, slots=True)
class View:
    """A pool in one round of decisions."""

    load: PoolLoad
    need: Need  # now
    recent: Need  # the most of the last seconds
    wanted: int  # replicas, within the pool's limits


@dataclass(frozen=True, slots=True)
class Giving:
    views: Mapping[str, View]
    room: Room
    turns: Turns
    margin: float
    gain: float
    now: float

    def givers(self, target: str) -> list[str]:
        """The idlest first."""
        others = [name for name in self.views if name != target]
        return sorted(others, key=self._pressure_after)

    def may(self, source: str, target: str, desperate: bool) -> bool:
        """Whether one replica may be switched now."""
        return (
            self.turns.allow(source, target, self.now)
            and self.room.may_switch(source, target)
            and (self.spares(source) or (desperate and self.relieves(source, target)))
        )

    def frees(self, source: str, target: str) -> bool:
        """Whether one replica may be stopped now for the GPUs that it holds."""
        holds = self.room.limits.of(source).gpus > 0
        return holds and self.turns.allow(source, target, self.now) and self.spares(source)

    def spares(self, source: str) -> bool:
        """Whether the replicas that remain would have been enough lately, as if one were gone."""
        view, remaining = self.views[source], self.room.serving[source] - 1
        busy = (view.load.busy or 0.0) * view.load.serving
        return (
            self.room.to_give(source) > 0
            and self._pressure_after(source) <= self.margin
            and busy <= self.margin * remaining
        )

    def relieves(self, source: str, target: str) -> bool:
        """Whether the worse of two pools that both starve would be better off by far."""
        has = self.room.held[target] - self.views[target].load.overdue(self.now)
        need = self.views[target].need
        worse = max(self._pressure_after(source), need.pressure(has + 1))
        return self.room.to_give(source) > 0 and worse < self.gain * need.pressure(has)

    def reason(self, source: str, target: str) -> str:
        needed, count = self.views[source].recent.replicas, self.views[source].load.serving
        return f"{self.views[target].need.reason}; {source} needed {needed:.2f} of {count} lately"

    def _pressure_after(self, source: str) -> float:
        return self.views[source].recent.pressure(self.room.serving[source] - 1)


def starving(views: Mapping[str, View], room: Room, now: float) -> Sequence[View]:
    """Pools that have fewer replicas than they want, the latest first."""
    lacking = [view for view in views.values() if missing(view, room, now) > 0]
    return sorted(
        lacking,
        key=lambda view: (
            -view.need.lateness_s,
            -view.need.pressure(room.held[view.load.name]),
        ),
    )


def missing(view: View, room: Room, now: float) -> int:
    return view.wanted - (room.held[view.load.name] - view.load.overdue(now))
