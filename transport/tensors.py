"""What every way of moving tensors between processes promises; the ways are in `gloo.py`
(torch.distributed, between processes) and `loopback.py` (a fake, inside one).

    owner                                   consumer
    handle = offer(tensors)   --handle-->   await fetch(handle, into)     pull: the consumer asks
    renew()  every few seconds              when it has reserved the room
    release(handle)   when the last consumer is done, not when the bytes have arrived

    TransferError
     ├── PeerLost         the owner died, froze, or the link to it failed: ask again elsewhere
     ├── HandleGone       released, expired, never offered, or offered by another process
     ├── SizeMismatch     the two ends disagree on bytes; nothing was sent
     ├── Corrupted        the bytes arrived and their checksum is another
     └── Deadline         the caller's own patience ended

Tensors travel neither encrypted nor authenticated: the data network must be private.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from .messages import TensorHandle


class TransferError(Exception):
    """`quarantined`: the link may still write into the buffers that were given as `into`; they
    must not be reused before `stats().quarantined_bytes` is 0 again."""

    def __init__(self, text: str, *, quarantined: bool = False) -> None:
        super().__init__(text)
        self.quarantined = quarantined


class PeerLost(TransferError):
    pass


class HandleGone(TransferError):
    pass


class SizeMismatch(TransferError):
    pass


class Corrupted(TransferError):
    pass


class Deadline(TransferError):
    pass


@dataclass(frozen=True, slots=True)
class PortStats:
    offers: int
    offered_bytes: int
    links: int  # open, both directions
    threads: int  # of links, those that are ending included
    quarantined_bytes: int  # under a transfer that nobody waits for and that has not stopped yet
    sent_bytes: int
    received_bytes: int
    failed_links: int  # ended by a loss, not by idleness


class TensorPort(Protocol):
    """Used from one asyncio thread. `name` is the worker's, `epoch` the process's."""

    name: str
    epoch: int

    def offer(self, tensors: Sequence[Tensor]) -> TensorHandle:
        """Keeps the tensors, unchanged by anyone, until released or the lease ends."""

    async def fetch(
        self,
        handle: TensorHandle,
        into: Sequence[Tensor] | None = None,
        deadline_s: float = 30.0,
    ) -> list[Tensor]:
        """The tensors in the order of the handle's parts: `into`, filled, where it is given; the
        owner's own views, not copied, where the handle is this port's own.

        Raises a TransferError; the buffers are then free again unless it is `quarantined`.
        """

    def release(self, handle: TensorHandle) -> None:
        """By the owner. What is being sent is still sent; a handle already gone is no error."""

    def renew(self, handles: Iterable[int] | None = None) -> None:
        """A heartbeat: the offers with these ids, or all, live for another lease."""

    def receive(self, peer: str, body: bytes) -> None:
        """A word from that peer's port came over the control channel. Raises BadFrame."""

    def lost(self, peer: str, epoch: int | None) -> None:
        """Membership says that this process, or any of that name, is gone."""

    async def close(self) -> None: ...

    def stats(self) -> PortStats: ...
