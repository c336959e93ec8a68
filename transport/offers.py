"""What this process has on offer, each under a lease: an owner whose controller is gone does not
keep tensors for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import count

from torch import Tensor

from .messages import TensorHandle
from .parts import part_of
from .tensors import HandleGone


@dataclass(slots=True)
class Offer:
    tensors: list[Tensor]
    bytes: int
    until: float


class Offers:
    def __init__(self, owner: str, epoch: int, lease_s: float, clock: Callable[[], float]) -> None:
        self._owner = owner
        self._epoch = epoch
        self._lease_s = lease_s
        self._clock = clock
        self._ids = count(1)
        self._offers: dict[int, Offer] = {}

    def add(self, tensors: Sequence[Tensor]) -> TensorHandle:
        parts = tuple(part_of(tensor) for tensor in tensors)
        handle = TensorHandle(self._owner, self._epoch, next(self._ids), parts)
        bytes = sum(part.bytes for part in parts)
        self._offers[handle.id] = Offer(list(tensors), bytes, self._clock() + self._lease_s)
        return handle

    def find(self, id: int) -> list[Tensor]:
        """Raises HandleGone."""
        self.expire()
        offer = self._offers.get(id)
        if offer is None:
            raise HandleGone(f"expected an offer of {self._owner}, got {id}: released or expired")
        return offer.tensors

    def remove(self, id: int) -> None:
        self._offers.pop(id, None)

    def renew(self, ids: Iterable[int] | None) -> None:
        self.expire()  # a lease that has ended is not revived
        until = self._clock() + self._lease_s
        for id in self._offers if ids is None else ids:
            if id in self._offers:
                self._offers[id].until = until

    def expire(self) -> None:
        now = self._clock()
        for id in [id for id, offer in self._offers.items() if offer.until < now]:
            del self._offers[id]

    def clear(self) -> None:
        self._offers.clear()

    @property
    def bytes(self) -> int:
        return sum(offer.bytes for offer in self._offers.values())

    def __len__(self) -> int:
        return len(self._offers)
