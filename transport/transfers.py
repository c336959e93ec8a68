"""One handle's tensors on their way: `Sending` at the owner, `Landing` at the consumer.

Both are made on the loop's thread and carried on a link's. Every part is cut into the same
messages at both ends; parts without bytes are not sent. With `checked`, one message with a
checksum per part comes last.
"""

from __future__ import annotations

import asyncio
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from threading import Lock
from typing import NamedTuple

import torch
from torch import Tensor

from .links import Link, Wire
from .parts import flat_bytes, pieces
from .tensors import Corrupted, TransferError


class Failure(NamedTuple):
    """An error not raised yet. An exception kept here would keep, by its traceback, the frames of
    the fetch that it ended, and so the buffers, until the garbage collector came round."""

    kind: type[TransferError]
    text: str


LetGo = Callable[[Failure | None], None]


class Sending:
    def __init__(
        self,
        tensors: Iterable[Tensor],
        message_bytes: int,
        checked: bool,
        sent: Callable[[int], None],
    ) -> None:
        """`sent` is called with the bytes, on the link's thread."""
        self._parts = [flat_bytes(tensor) for tensor in tensors]
        self._message_bytes = message_bytes
        self._checked = checked
        self._sent = sent

    def carry(self, wire: Wire) -> None:
        for part in self._parts:
            for message in pieces(part, self._message_bytes):
                wire.send(message)
        if self._checked:
            sums = torch.tensor(checksums(self._parts), dtype=torch.int64, device=wire.device)
            for message in pieces(flat_bytes(sums), self._message_bytes):
                wire.send(message)
        wire.then(partial(self._sent, sum(part.numel() for part in self._parts)))


class Landing:
    """The consumer's side, and what its fetch waits for.

        asked ──answered──> granted, pushed to the link ──landed──> whole, or a Failure
          └── answered with a Failure, or not granted: the link was closed, ask again

    Whoever gives up sets it `abandon`ed: what was granted still comes, is received and thrown
    away, so that the link stays in step for the transfers behind. `free` is set while no link
    writes to the targets.
    """

    def __init__(self, link: Link, targets: Sequence[Tensor], message_bytes: int) -> None:
        loop = asyncio.get_running_loop()
        self.id = 0  # among the transfers of this port, once it is asked for
        self.link = link
        self.answered: asyncio.Future[Failure | None] = loop.create_future()
        self.landed: asyncio.Future[Failure | None] = loop.create_future()
        self.free = asyncio.Event()
        self.free.set()
        self.patience: asyncio.TimerHandle | None = None  # for the answer
        self.granted = False
        self.abandoned = False
        self.bytes = sum(target.nbytes for target in targets)
        self._lengths = [target.nbytes for target in targets]
        self._targets = list(targets)
        self._message_bytes = message_bytes
        self._checked = False
        self._let_go: LetGo | None = None
        self._carried = False
        self._start = Lock()  # between abandoning and the first message posted

    # On the loop's thread.

    async def outcome(self) -> Failure | None:
        """None: all has landed; or nothing was granted, and it is to be asked for again."""
        failure = await self.answered
        if failure is None and self.granted:
            failure = await self.landed
        return failure

    def answer(self, granted: bool) -> None:
        if self.patience is not None:
            self.patience.cancel()
        self.granted = granted
        resolve(self.answered, None)

    def take_off(self, checked: bool, let_go: LetGo) -> None:
        """From here the link may write. `let_go` is called on its thread when it no longer will."""
        self._checked = checked
        self._let_go = let_go
        if not self.abandoned:
            self.free.clear()
        self.link.push(self)

    def abandon(self) -> None:
        with self._start:
            self.abandoned = True
            if not self._carried:
                self._targets = []
                self.free.set()

    def settle(self, failure: Failure | None) -> None:
        """The targets are free: all has landed, or it never will."""
        self.free.set()
        self.finish(failure)

    def finish(self, failure: Failure | None) -> None:
        """The fetch may end; whether the targets are free is another matter."""
        if self.patience is not None:
            self.patience.cancel()
        resolve(self.answered, failure)
        resolve(self.landed, failure)

    # On the link's thread.

    def carry(self, wire: Wire) -> None:
        with self._start:
            self._carried = True
            targets, self._targets = self._targets, []
        rest = deque(self._cut())
        self._receive(wire, rest, targets)
        self._discard(wire, rest)

    def _cut(self) -> Iterator[tuple[int, int, int]]:
        """(part, start, stop) of each message; the checksums come as one part more."""
        sums = [8 * len(self._lengths)] if self._checked else []
        for part, length in enumerate([*self._lengths, *sums]):
            for start in range(0, length, self._message_bytes):
                yield part, start, min(start + self._message_bytes, length)

    def _receive(
        self, wire: Wire, rest: deque[tuple[int, int, int]], targets: list[Tensor]
    ) -> None:
        """Takes from `rest` what it received: all, unless abandoned."""
        assert self._let_go is not None
        buffers = [target if target.is_contiguous() else staging(target) for target in targets]
        sums = torch.zeros(len(targets), dtype=torch.int64, device=wire.device)
        flats = [flat_bytes(buffer) for buffer in (*buffers, sums)]
        while rest and not self.abandoned:
            part, start, stop = rest.popleft()
            wire.receive(flats[part][start:stop])
        if rest:
            wire.then(partial(self._let_go, None))
        else:
            wire.then(partial(self._arrived, targets, buffers, sums))

    def _arrived(self, targets: list[Tensor], buffers: list[Tensor], sums: Tensor) -> None:
        assert self._let_go is not None
        if self._checked and (got := checksums(map(flat_bytes, buffers))) != sums.tolist():
            text = f"expected the checksums {sums.tolist()}, got {got}"
            return self._let_go(Failure(Corrupted, text))
        for target, buffer in zip(targets, buffers, strict=True):
            if buffer is not target:
                target.copy_(buffer)
        self._let_go(None)

    def _discard(self, wire: Wire, rest: deque[tuple[int, int, int]]) -> None:
        if rest:
            scratch = torch.empty(self._message_bytes, dtype=torch.uint8, device=wire.device)
            for _, start, stop in rest:
                wire.receive(scratch[: stop - start])


def resolve(future: asyncio.Future[Failure | None], outcome: Failure | None) -> None:
    """The first outcome stands; a fetch that was cancelled has cancelled its future."""
    if not future.done():
        future.set_result(outcome)


def staging(target: Tensor) -> Tensor:
    return torch.empty_like(target, memory_format=torch.contiguous_format)


def checksums(parts: Iterable[Tensor]) -> list[int]:
    """CRC-32 of each uint8 [bytes]."""
    return [zlib.crc32(part.cpu().numpy().data) for part in parts]
