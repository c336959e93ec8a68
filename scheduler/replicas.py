"""All replicas, in the order of their load, so that routing need not look at each of them.

Whoever changes what a load looks at says so with `note`; the place in the order is found anew when
somebody asks for it. So a request costs the logarithm of their number, not their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice, takewhile

from .queueing import OrderedQueue
from .replica import Replica
from .routing import LEAST_PENDING, Load
from .stage import Stage

FEW = 8  # that are asked one by one


class Replicas(dict[str, Replica]):
    """By name. One is put in by its name and taken out by `remove`, or `del`."""

    def __init__(self, loads: Mapping[Stage, Load] = LEAST_PENDING) -> None:
        super().__init__()
        self._loads = loads
        self._by_load = {stage: OrderedQueue() for stage in loads}
        self._by_room = OrderedQueue()  # the ones with most blocks first
        self._by_stage: dict[Stage, dict[str, Replica]] = {stage: {} for stage in Stage}
        self._noted: dict[str, None] = {}  # in the order in which they were

    def __setitem__(self, name: str, replica: Replica) -> None:
        super().__setitem__(name, replica)
        for stage in replica.stages:
            self._by_stage[stage][name] = replica
        self.note(replica)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        self._noted.pop(name, None)
        for able in self._by_stage.values():
            able.pop(name, None)
        for queue in (*self._by_load.values(), self._by_room):
            queue.remove(name)

    def remove(self, name: str) -> Replica:
        replica = self[name]
        del self[name]
        return replica

    def note(self, replica: Replica) -> None:
        """What it holds or has pending is another amount than before."""
        if replica.name in self:
            self._noted[replica.name] = None

    def having(self, stage: Stage) -> Iterable[Replica]:
        """Those with the stage, in the order in which they came."""
        return self._by_stage[stage].values()

    def first(
        self, stage: Stage, fits: Callable[[Replica], bool], most: int | None = None
    ) -> Replica | None:
        """Of those with the stage that `fits` allows, the one with the least load; `most`: so many
        are asked."""
        self._settle()
        order = islice(self._named(self._by_load[stage]), most)
        return next((one for one in order if fits(one)), None)

    def least(self, stage: Stage, blocks: int, fits: Callable[[Replica], bool]) -> Replica | None:
        """As `first`, for what takes so many KV blocks: where the ones with the least load have no
        room, and few others have, those few are asked."""
        if (found := self.first(stage, fits, most=FEW)) is not None:
            return found
        able = takewhile(lambda one: room(one) >= blocks, self._named(self._by_room))
        roomy = list(islice(able, FEW + 1))
        if len(roomy) > FEW:
            return self.first(stage, fits)
        load = self._loads[stage]
        return min(
            (one for one in roomy if stage in one.stages and fits(one)),
            key=lambda one: (load(one), one.name),
            default=None,
        )

    def check(self) -> None:
        """Raise AssertionError where an order is not that of the loads."""
        self._settle()
        for stage, load in self._loads.items():
            able = [one for one in self.values() if stage in one.stages]
            assert list(self.having(stage)) == able, stage
            expected = [one.name for one in sorted(able, key=lambda one: (load(one), one.name))]
            assert list(self._by_load[stage]) == expected, stage
        roomy = sorted(self.values(), key=lambda one: (-room(one), one.name))
        assert list(self._by_room) == [one.name for one in roomy]

    def _named(self, queue: OrderedQueue) -> Iterator[Replica]:
        return (self[name] for name in queue)

    def _settle(self) -> None:
        for name in self._noted:
            replica = self[name]
            for stage, load in self._loads.items():
                if stage in replica.stages:
                    self._by_load[stage].move(name, load(replica))
            self._by_room.move(name, (-room(replica), 0))
        self._noted.clear()


def room(replica: Replica) -> int:
    """Free KV blocks above the watermark: each request that is bound there may ask for one more
    before we hear of it."""
    return replica.ledger.kv_blocks.free - len(replica.bound)
