"""A TensorPort inside one process, for tests and simulations: the same promises, no links.

Bytes are really copied, in messages, the loop running in between, so that a test can lose the
owner in the middle. The conformance suite holds it and the real port to one contract.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

import torch
from torch import Tensor

from .codec import BadFrame
from .messages import TensorHandle
from .offers import Offers
from .parts import check_fits, empty_like_part, flat_bytes, pieces
from .tensors import Deadline, HandleGone, PeerLost, PortStats, SizeMismatch


class Loopback:
    """Knows the ports of one process by name, and which of them are dead or frozen."""

    def __init__(self) -> None:
        self._ports: dict[str, LoopbackPort] = {}
        self._silent: set[str] = set()

    def join(self, port: LoopbackPort) -> None:
        """A port of a name already there takes its place, as a restarted process does."""
        self._silent.discard(port.name)
        self._ports[port.name] = port

    def kill(self, name: str) -> None:
        del self._ports[name]

    def freeze(self, name: str) -> None:
        self._silent.add(name)

    def find(self, name: str) -> LoopbackPort | None:
        return self._ports.get(name)

    def silent(self, name: str) -> bool:
        return name in self._silent


class LoopbackPort:
    def __init__(
        self,
        name: str,
        loopback: Loopback,
        *,
        message_bytes: int = 1 << 20,
        stall_s: float = 2.0,
        lease_s: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.epoch = secrets.randbits(63)
        self._loopback = loopback
        self._message_bytes = message_bytes
        self._stall_s = stall_s
        self._offers = Offers(name, self.epoch, lease_s, clock)
        self._fetches: dict[asyncio.Event, tuple[str, int]] = {}  # each set when its owner is lost
        self._sent_bytes = self._received_bytes = 0
        self._closed = False
        loopback.join(self)

    def offer(self, tensors: Sequence[Tensor]) -> TensorHandle:
        return self._offers.add([tensor.detach().contiguous() for tensor in tensors])

    async def fetch(
        self,
        handle: TensorHandle,
        into: Sequence[Tensor] | None = None,
        deadline_s: float = 30.0,
    ) -> list[Tensor]:
        if into is not None:
            check_fits(handle, into)
        lost = asyncio.Event()
        self._fetches[lost] = (handle.owner, handle.epoch)
        try:
            async with asyncio.timeout(deadline_s):
                return await self._pull(handle, into, lost)
        except TimeoutError as error:
            raise Deadline(
                f"expected all from {handle.owner} within {deadline_s} s, got less"
            ) from error
        finally:
            del self._fetches[lost]

    def release(self, handle: TensorHandle) -> None:
        if handle.epoch == self.epoch:
            self._offers.remove(handle.id)

    def renew(self, handles: Iterable[int] | None = None) -> None:
        self._offers.renew(handles)

    def receive(self, peer: str, body: bytes) -> None:
        raise BadFrame(f"expected no word for a loopback port, got {len(body)} bytes from {peer}")

    def lost(self, peer: str, epoch: int | None) -> None:
        for event, (owner, owner_epoch) in self._fetches.items():
            if owner == peer and epoch in (None, owner_epoch):
                event.set()

    async def close(self) -> None:
        self._closed = True
        self._offers.clear()
        for event in self._fetches:
            event.set()

    def stats(self) -> PortStats:
        self._offers.expire()
        return PortStats(
            offers=len(self._offers),
            offered_bytes=self._offers.bytes,
            links=0,
            threads=0,
            quarantined_bytes=0,
            sent_bytes=self._sent_bytes,
            received_bytes=self._received_bytes,
            failed_links=0,
        )

    async def _pull(
        self, handle: TensorHandle, into: Sequence[Tensor] | None, lost: asyncio.Event
    ) -> list[Tensor]:
        owner = await self._owner(handle, lost)
        tensors = owner._wanted(handle)
        if owner is self and into is None:
            return list(tensors)
        if into is None:
            into = [empty_like_part(part, torch.device("cpu")) for part in handle.parts]
        for source, target in zip(tensors, into, strict=True):
            staged = target if target.is_contiguous() else torch.empty_like(source)
            messages = zip(
                pieces(flat_bytes(source), self._message_bytes),
                pieces(flat_bytes(staged), self._message_bytes),
                strict=True,
            )
            for here, there in messages:
                there.copy_(here)
                await asyncio.sleep(0)  # the loop runs: the owner may be lost in the middle
                await self._owner(handle, lost)
            if staged is not target:
                target.copy_(staged.view(target.shape))
            owner._sent_bytes += source.nbytes
            self._received_bytes += source.nbytes
        return list(into)

    async def _owner(self, handle: TensorHandle, lost: asyncio.Event) -> LoopbackPort:
        if self._loopback.silent(handle.owner):
            with suppress(TimeoutError):
                async with asyncio.timeout(self._stall_s):
                    await lost.wait()
            raise PeerLost(f"{handle.owner}: expected a message within {self._stall_s} s, got none")
        owner = self._loopback.find(handle.owner)
        if owner is None or owner._closed or self._closed or lost.is_set():
            raise PeerLost(f"{handle.owner}: expected a live owner, got a lost one")
        return owner

    def _wanted(self, handle: TensorHandle) -> list[Tensor]:
        if handle.epoch != self.epoch:
            raise HandleGone(f"expected epoch {self.epoch} of {self.name}, got {handle.epoch}")
        tensors = self._offers.find(handle.id)
        offered = [tensor.nbytes for tensor in tensors]
        wanted = [part.bytes for part in handle.parts]
        if offered != wanted:
            raise SizeMismatch(f"expected parts of {offered} bytes, got {wanted}")
        return tensors
