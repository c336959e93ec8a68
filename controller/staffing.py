"""How many workers each role has: launches and drains that bring the number about.

A number is reached once and then forgotten: a worker that is lost later, added or removed by hand
is nobody's business here. Whoever wants it replaced asks again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set

from ..scheduler.stage import ROLES
from .crew import Member, Standing
from .floor import Floor
from .launching.failures import Failures
from .launching.launcher import Advised, Launched, LaunchFailed, News, Order, WorkerEnded
from .launching.launches import Launches
from .office import Office


class Staffing:
    launches: Launches  # set by whoever makes both, since each speaks to the other

    def __init__(self, office: Office, floor: Floor, reserved: Callable[[], Set[str]]) -> None:
        """`reserved`: names that are kept for workers on their way back."""
        self._office, self._floor, self._reserved = office, floor, reserved
        self.failures = Failures()

    def scale(self, workers: Mapping[str, int]) -> tuple[str, ...]:
        """Set about having so many workers of each role; what is done for it, in sentences."""
        steps = [step for role, count in workers.items() for step in self._reach(role, count)]
        for step in steps:
            self._office.chronicle.note("scale", step)
        return tuple(steps)

    def _reach(self, role: str, count: int) -> list[str]:
        members = self._members(role)
        seated = {member.name for member in members}
        waiting = [order for order in self._orders(role) if order.name not in seated]
        missing = count - len(members) - len(waiting)
        if missing > 0:
            return [self._launch(role) for _ in range(missing)]
        cancelled = waiting[missing:] if missing else []
        steps = [self._cancel(order) for order in cancelled]
        steps += [self._drain(member) for member in members[: -missing - len(cancelled)]]
        return steps or [f"{role}: nothing to do, {count} are there or on their way"]

    def grow(self, role: str, count: int) -> None:
        for _ in range(count):
            self._office.chronicle.note("scale", self._launch(role))

    def shrink(self, role: str, count: int) -> None:
        """Drains; what is launched still is not touched."""
        for member in self.idlest(role)[:count]:
            self._office.chronicle.note("scale", self._drain(member))

    def abandon(self, role: str, count: int) -> None:
        """Of the launches under way, those that have failed before, then the oldest ones."""
        orders = sorted(self._orders(role), key=lambda order: order.name not in self.failures)
        for order in orders[:count]:
            self.failures.failed(order.name, self._office.now())
            self._office.chronicle.note("scale", self._cancel(order))

    def coming(self, role: str) -> list[str]:
        """The names of those that are launched, or load; the oldest launches first."""
        loading = (m.name for m in self._members(role) if m.standing is Standing.LOADING)
        return list(dict.fromkeys((*(order.name for order in self._orders(role)), *loading)))

    def idlest(self, role: str) -> list[Member]:
        """Those that serve, whoever is to leave first in front."""
        return [m for m in self._members(role) if m.standing is Standing.SERVING]

    def hear(self, news: News) -> None:
        """What became of a launch."""
        if isinstance(news, LaunchFailed | Advised):  # nobody comes by an advice alone
            self.failures.failed(news.name, self._office.now())
        if _settles(news):
            self._office.promised.discard(news.name)
            self.failures.forget(news.name)
        kind, sentence, fields = _told(news)
        if sentence:
            self._office.chronicle.note(kind, sentence, worker=news.name, **fields)

    def _members(self, role: str) -> list[Member]:
        """Those that load or work, whoever is to leave first in front."""
        found = [
            member
            for member in self._office.crew
            if member.stages == ROLES[role] and member.standing is not Standing.LEAVING
        ]
        return sorted(found, key=self._leaving_order)

    def _leaving_order(self, member: Member) -> tuple[bool, bool, int, float]:
        """Loading ones go first, then idle ones, then the least busy; the youngest among equals."""
        replica = self._office.core.replicas.get(member.name)
        serving = member.standing is Standing.SERVING
        if replica is None:
            return serving, False, 0, -member.joined
        load = len(replica.bound) + len(replica.images)
        return serving, not replica.idle, load, -member.joined

    def _orders(self, role: str) -> list[Order]:
        return [order for order in self.launches.orders if order.stages == ROLES[role]]

    def _launch(self, role: str) -> str:
        stages = ROLES[role]
        name = self._office.crew.free_name(stages, self._reserved() | self._office.promised)
        self._office.promised.add(name)
        self.failures.begun(name, role)
        self.launches.begin(Order(name, stages))
        return f"launch {name} ({self.launches.kind})"

    def _cancel(self, order: Order) -> str:
        self._office.promised.discard(order.name)
        self.failures.forget(order.name)
        self.launches.cancel(order.name)
        return f"cancel the launch of {order.name}"

    def _drain(self, member: Member) -> str:
        busy = self._leaving_order(member)[1]
        self.launches.cancel(member.name)  # it may be loading still
        self._floor.drain(member)
        return f"drain {member.name}{', which is at work' if busy else ''}"


def _settles(news: News) -> bool:
    return not isinstance(news, LaunchFailed) or news.again_s is None


def _told(news: News) -> tuple[str, str, dict[str, str | int | float]]:
    """Kind, sentence and numbers for the chronicle; no sentence where there is nothing to tell."""
    match news:
        case Launched(name, where):
            return "launched", f"{name} was launched: {where}", {}
        case Advised(_, advice):
            return "advice", advice, {}
        case LaunchFailed(name, reason, None):
            return "given-up", f"{name} could not be launched, and is given up: {reason}", {}
        case LaunchFailed(name, reason, float(again_s)):
            sentence = f"{name} could not be launched, again in {again_s:.1f} s: {reason}"
            return "launch-failed", sentence, {"again_s": again_s}
        case WorkerEnded(name, reason) if reason:
            return "ended", f"the process of {name} ended: {reason}", {}
    return "", "", {}
