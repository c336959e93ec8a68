"""All replicas, in the order of their load, so that routing need not look at each of them.

Whoever changes what a load looks at says so with `note`; the place in an order is found anew when
somebody asks for that order, so those that nobody asks for cost nothing. So a request costs the
logarithm of the replicas' number, not their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice, takewhile

from .queueing import Key, OrderedQueue
from .replica import Replica
from .routing import LEAST_PENDING, Load
from .stage import Stage

FEW = 8  # that are asked one by one


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


class Replicas(dict[str, Replica]):
    """By name. One is put in by its name and taken out by `remove`, or `del`."""

    def __init__(self, loads: Mapping[Stage, Load] = LEAST_PENDING) -> None:
        super().__init__()
        self._by_load = {stage: Order(load) for stage, load in loads.items()}
        self._by_room = Order(lambda one: (-room(one), 0))  # the ones with most blocks first
        self._orders: dict[str, list[Order]] = {}  # that each is in

    def __setitem__(self, name: str, replica: Replica) -> None:
        super().__setitem__(name, replica)
        able = [order for stage, order in self._by_load.items() if stage in replica.stages]
        self._orders[name] = [*able, self._by_room]
        self.note(replica)

    def __delitem__(self, name: str) -> None:
        super().__delitem__(name)
        for order in self._orders.pop(name):
            order.remove(name)

    def remove(self, name: str) -> Replica:
        replica = self[name]
        del self[name]
        return replica

    def note(self, replica: Replica) -> None:
        """What it holds or has pending is another amount than before."""
        for order in self._orders.get(replica.name, ()):
            order.note(replica)

    def first(
        self, stage: Stage, fits: Callable[[Replica], bool], most: int | None = None
    ) -> Replica | None:
        """Of those with the stage that `fits` allows, the one with the least load; `most`: so many
        are asked."""
        for name in islice(self._by_load[stage], most):
            if fits(self[name]):
                return self[name]
        return None

    def least(self, stage: Stage, blocks: int, fits: Callable[[Replica], bool]) -> Replica | None:
        """As `first`, for what takes so many KV blocks: where the ones with the least load have no
        room, and few others have, those few are asked."""
        if (found := self.first(stage, fits, most=FEW)) is not None:
            return found
        by_room = (self[name] for name in self._by_room)
        roomy = list(islice(takewhile(lambda one: room(one) >= blocks, by_room), FEW + 1))
        if len(roomy) > FEW:
            return self.first(stage, fits)
        load = self._by_load[stage].load
        return min(
            (one for one in roomy if stage in one.stages and fits(one)),
            key=lambda one: (load(one), one.name),
            default=None,
        )

    def check(self) -> None:
        """Raise AssertionError where an order is not that of the loads."""
        for stage, order in self._by_load.items():
            able = [one for one in self.values() if stage in one.stages]
            assert list(order) == _sorted(able, order.load), stage
        assert list(self._by_room) == _sorted(self.values(), self._by_room.load)


def _sorted(replicas: Iterable[Replica], load: Callable[[Replica], Key]) -> list[str]:
    return [one.name for one in sorted(replicas, key=lambda one: (load(one), one.name))]


def room(replica: Replica) -> int:
    """Free KV blocks above the watermark: each request that is bound there may ask for one more
    before we hear of it."""
    return replica.ledger.kv_blocks.free - len(replica.bound)
