"""All replicas, in the order of their load, so that routing need not look at each of them.

Whoever changes what a load looks at says so with `note`; the place in an order is found anew when
somebody asks for that order, so those that nobody asks for cost nothing. So a request costs the
logarithm of the replicas' number, not their number. Those
that are about as fast as each other are in one order, and the first ones of all orders are
compared by when they would be done: mostly there is one order, and never are there many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice, takewhile

from .queueing import Key, OrderedQueue
from .rates import Rates
from .replica import Replica
from .routing import LEAST_PENDING, UNIT_S, Load, pace, seconds_of
from .stage import Stage

FEW = 8  # that are asked one by one

Fits = Callable[[Replica], bool]
Done = tuple[float, tuple[float, int], str]  # seconds from now; then how ties are broken


class Order:
    """Some replicas by their load; a tie goes to the lower name."""

    def __init__(self, load: Callable[[Replica], Key]) -> None:
        self.load = load
        self._queue = OrderedQueue()
        self._noted: dict[str, Replica] = {}  # whose load may be another than their place says

    def __iter__(self) -> Iterator[str]:
        self._settle()
        return iter(self._queue)

    def note(self, replica: Replica) -> None:
        self._noted[replica.name] = replica

    def remove(self, name: str) -> None:
        self._noted.pop(name, None)
        self._queue.remove(name)

    def _settle(self) -> None:
        for name, replica in self._noted.items():
            self._queue.move(name, self.load(replica))
        self._noted.clear()


@dataclass(slots=True, eq=False)
class Group:
    """Replicas of a stage that are about as fast as each other."""

    stage: Stage
    pace: int | None  # None: not known
    order: Order
    members: int = 0


class Replicas(dict[str, Replica]):
    """By name. One is put in by its name and taken out by `remove`, or `del`."""

    def __init__(
        self, loads: Mapping[Stage, Load] = LEAST_PENDING, *, by_speed: bool = True
    ) -> None:
        """`by_speed`: fast ones are given more."""
        super().__init__()
        self.rates = Rates()
        self._loads, self._by_speed = loads, by_speed
        self._groups: dict[Stage, dict[int | None, Group]] = {stage: {} for stage in loads}
        self._of: dict[str, list[Group]] = {}
        self._by_stage: dict[Stage, dict[str, Replica]] = {stage: {} for stage in Stage}
        self._by_room = Order(lambda one: (-room(one), 0))  # the ones with most blocks first
        self._turns = 0

    def __setitem__(self, name: str, replica: Replica) -> None:
        super().__setitem__(name, replica)
        for stage in replica.stages:
            self._by_stage[stage][name] = replica
        self.follow(replica)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self.rates.leave(name)
        self._leave(name)
        for able in self._by_stage.values():
            able.pop(name, None)
        self._by_room.remove(name)

    def remove(self, name: str) -> Replica:
        replica = self[name]
        del self[name]
        return replica

    def note(self, replica: Replica) -> None:
        """What it holds or has pending is another amount than before."""
        if replica.name in self:
            for group in self._of[replica.name]:
                group.order.note(replica)
            self._by_room.note(replica)

    def given(self, replica: Replica) -> None:
        """It was its turn; whoever gives it the work notes that."""
        self._turns += 1
        replica.turn = self._turns

    def follow(self, replica: Replica) -> None:
        """Its speed is another one, or it takes work no more, or again."""
        self.rates.follow(replica)
        before = {group.stage: group.pace for group in self._of.get(replica.name, ())}
        now = {
            stage: self._pace(stage, replica, before.get(stage)) if self._by_speed else None
            for stage in self._loads
            if stage in replica.stages
        }
        if now != before:
            self._leave(replica.name)
            self._of[replica.name] = [self._join(stage, one) for stage, one in now.items()]
        self.note(replica)

    def _pace(self, stage: Stage, replica: Replica, before: int | None) -> int | None:
        there = (one for one in self._groups[stage] if one is not None)
        return pace(UNIT_S[stage](replica), before, there)

    def _join(self, stage: Stage, pace: int | None) -> Group:
        groups = self._groups[stage]
        group = groups.get(pace)
        if group is None:
            group = groups[pace] = Group(stage, pace, Order(self._loads[stage]))
        group.members += 1
        return group

    def _leave(self, name: str) -> None:
        for group in self._of.pop(name, ()):
            group.order.remove(name)
            group.members -= 1
            if not group.members:
                del self._groups[group.stage][group.pace]

    def having(self, stage: Stage) -> Iterable[Replica]:
        """Those with the stage, in the order in which they came."""
        return self._by_stage[stage].values()

    def first(
        self, stage: Stage, fits: Fits, most: int | None = None, work: float = 0.0
    ) -> Replica | None:
        """Of those with the stage that `fits` allows, the one that would have done so much `work`
        first; `most`: so many of each speed are asked."""
        groups = self._groups[stage].values()
        if len(groups) == 1:
            return self._fitting(next(iter(groups)), fits, most)
        found = [one for group in groups if (one := self._fitting(group, fits, most)) is not None]
        return self._soonest(stage, found, work)

    def _fitting(self, group: Group, fits: Fits, most: int | None) -> Replica | None:
        order = islice(self._named(group.order), most)
        return next((one for one in order if fits(one)), None)

    def _soonest(self, stage: Stage, some: list[Replica], work: float) -> Replica | None:
        return min(some, key=lambda one: self.done(stage, one, work), default=None)

    def done(self, stage: Stage, one: Replica, work: float, more_s: float = 0.0) -> Done:
        """When it would have done so much `work` more, and `more_s` behind it. Where nobody told a
        speed a unit of work takes a second: it is the order that counts."""
        pending = self._loads[stage](one)
        unit_s = self._unit_s(stage, one.name, self._usual_s(stage))
        return (pending[0] + work) * unit_s + more_s, pending, one.name

    def _usual_s(self, stage: Stage) -> float:
        """For a unit of work, of those who have not told."""
        return seconds_of(min((one for one in self._groups[stage] if one is not None), default=0))

    def _unit_s(self, stage: Stage, name: str, usual_s: float) -> float:
        its = next(group.pace for group in self._of[name] if group.stage is stage)
        return usual_s if its is None else seconds_of(its)

    def least(self, stage: Stage, blocks: int, fits: Fits, work: float = 0.0) -> Replica | None:
        """As `first`, for what takes so many KV blocks: where the ones with the least load have no
        room, and few others have, those few are asked."""
        if (found := self.first(stage, fits, FEW, work)) is not None:
            return found
        able = takewhile(lambda one: room(one) >= blocks, self._named(self._by_room))
        roomy = list(islice(able, FEW + 1))
        if len(roomy) > FEW:
            return self.first(stage, fits, None, work)
        return self._soonest(
            stage, [one for one in roomy if stage in one.stages and fits(one)], work
        )

    def likely(self, stage: Stage, pieces: int) -> list[Replica]:
        """Those among which so many pieces of work would be: of each speed the ones with the
        least load."""
        found: list[Replica] = []
        for group in self._groups[stage].values():
            able = (one for one in self._named(group.order) if one.takes_work)
            found += islice(able, pieces)
        return found

    def check(self) -> None:
        """Raise AssertionError where an order is not that of the loads, or a sum no recount."""
        for stage, load in self._loads.items():
            able = [one for one in self.values() if stage in one.stages]
            assert list(self.having(stage)) == able, stage
            expected = _sorted(able, load)
            told = {name for group in self._groups[stage].values() for name in group.order}
            assert told == set(expected), stage
            for group in self._groups[stage].values():
                members = [name for name in expected if group in self._of[name]]
                assert list(group.order) == members, group
                assert group.members == len(members) > 0, group
        assert list(self._by_room) == _sorted(self.values(), self._by_room.load)
        counted = Rates()
        for one in self.values():
            counted.follow(one)
        assert counted.of == self.rates.of

    def _named(self, order: Order) -> Iterator[Replica]:
        return (self[name] for name in order)


def _sorted(replicas: Iterable[Replica], load: Callable[[Replica], Key]) -> list[str]:
    return [one.name for one in sorted(replicas, key=lambda one: (load(one), one.name))]


def room(replica: Replica) -> int:
    """Free KV blocks above the watermark: each request that is bound there may ask for one more
    before we hear of it."""
    return replica.ledger.kv_blocks.free - len(replica.bound)
