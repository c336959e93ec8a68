"""One direction of a pair: a two-rank process group and the thread that alone touches it.

What torch's gloo leaves to us, and how a link answers:
- nothing stops a pending receive but its own timeout, so tensors travel as short messages, each
  waited for under `stall_s`; the wait that times out closes the socket, and with it every message
  posted behind. So a frozen peer costs this thread `stall_s`; a killed one mostly nothing.
- one late or failed wait leaves the two ends out of step: the link has ended for good.
- a message of another size than the posted buffer kills the receiving process: both ends agree
  on bytes before a transfer is pushed, and push in the same order.
"""

from __future__ import annotations

import re
from asyncio import AbstractEventLoop
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Literal, NamedTuple, Protocol, TypeVarTuple

import torch
from torch import Tensor
from torch.distributed import Work

from .groups import Group, Network
from .rendezvous import ControlStore

Arguments = TypeVarTuple("Arguments")

Rank = Literal[0, 1]
OWNER: Rank = 0
CONSUMER: Rank = 1
WINDOW = 8  # messages posted ahead: one at a time, each costs a round trip (an eighth the speed)


class LinkKey(NamedTuple):
    rank: Rank  # ours
    peer: str
    epoch: int  # the peer's


class LinkDropped(RuntimeError):
    """The loop's thread asked for the link to end."""


class Ahead(NamedTuple):
    is_message: bool
    finish: Callable[[], object]


class Wire:
    """Messages under way on one group, oldest first, of one transfer or of several."""

    def __init__(self, link: Link, group: Group, device: torch.device, stall_s: float) -> None:
        self.device = device
        self._link = link
        self._group = group
        self._other = other_end(link.key.rank)
        self._patience = timedelta(seconds=stall_s)
        self._ahead: deque[Ahead] = deque()
        self.messages = 0

    def send(self, message: Tensor) -> None:
        self._post(self._group.send, message)

    def receive(self, message: Tensor) -> None:
        self._post(self._group.recv, message)

    def then(self, callback: Callable[[], object]) -> None:
        """Called when every message before this is over, and its buffer no longer in use."""
        if self.messages:
            self._ahead.append(Ahead(False, callback))
        else:
            callback()

    def step(self) -> None:
        """Waits for the oldest message."""
        if self._link.dropped is not None:
            raise LinkDropped(self._link.dropped)
        self._ahead.popleft().finish()
        self.messages -= 1
        while self._ahead and not self._ahead[0].is_message:
            self._ahead.popleft().finish()

    def _post(self, post: Callable[[list[Tensor], int, int], Work], message: Tensor) -> None:
        while self.messages == WINDOW:
            self.step()
        work = post([message], self._other, 0)
        self._ahead.append(Ahead(True, partial(work.wait, self._patience)))
        self.messages += 1


class Transfer(Protocol):
    def carry(self, wire: Wire) -> None:
        """On the link's thread: posts its messages, without waiting for the last ones."""


class Link:
    """Made and pushed to on the loop's thread. `ended(link, reason)` is called on the link's
    thread, as the last thing that it does: the group and all buffers are let go by then."""

    def __init__(
        self,
        key: LinkKey,
        number: int,
        *,
        network: Network,
        store: ControlStore,
        stall_s: float,
        ended: Callable[[Link, str], None],
    ) -> None:
        self.key = key
        self.number = number
        self.store = store
        self.dropped: str | None = None  # why, once the loop's thread wants it to end
        self.granted = 0  # transfers, ever: both ends must count the same
        self.wanted = 0  # the owner: id of the transfer granted last; ids grow
        self.busy = 0  # transfers asked for or under way: kept by the loop's thread
        self.used_at = 0.0
        self.failed = False  # lost, rather than closed for want of use
        self._network = network
        self._stall_s = stall_s
        self._ended = ended
        self._queue: SimpleQueue[Transfer | None] = SimpleQueue()
        direction = "to" if key.rank == OWNER else "from"
        self._thread = Thread(target=self._run, name=f"link {direction} {key.peer}", daemon=True)
        self.started = False

    def push(self, transfer: Transfer) -> None:
        self._queue.put(transfer)
        if not self.started:
            self.started = True
            self._thread.start()

    def drop(self, reason: str) -> None:
        """At once if idle, else when the message being waited for has come or failed."""
        self.dropped = self.dropped or reason
        self.store.drop(reason)
        self._queue.put(None)
        if not self.started:
            self._ended(self, reason)

    def join(self) -> None:
        if self.started:
            self._thread.join()

    def _run(self) -> None:
        reason = "its thread failed"
        try:
            reason = self._carry_all()
        finally:
            # A transfer left in the queue holds tensors.
            self._queue = SimpleQueue()
            self._ended(self, reason)

    def _carry_all(self) -> str:
        """Why it ended. The frames below hold group and buffers, and are gone on return."""
        try:
            group = self._network.connect(self.store, self.key.rank)
        except RuntimeError as error:
            return _reason(error)
        broken = True
        try:
            wire = Wire(self, group, self._network.device, self._stall_s)
            self._greet(wire)
            self.store.clear()
            while (transfer := self._next(wire)) is not None:
                transfer.carry(wire)
                del transfer  # or an idle link would keep its tensors
            broken = wire.messages > 0
            return self.dropped or "closed"
        except RuntimeError as error:  # torch raises nothing narrower
            return self.dropped or _reason(error)
        finally:
            self._network.dispose(group, broken)

    def _next(self, wire: Wire) -> Transfer | None:
        """Small transfers follow each other without a pause: their messages are posted ahead."""
        while wire.messages:
            try:
                return self._queue.get_nowait()
            except Empty:
                wire.step()
        return self._queue.get()

    def _greet(self, wire: Wire) -> None:
        """NCCL connects at the first message: let that happen under the deadline, here."""
        hello = torch.zeros(1, dtype=torch.uint8, device=wire.device)
        if self.key.rank == OWNER:
            wire.send(hello)
        else:
            wire.receive(hello)
        wire.step()


def _reason(error: RuntimeError) -> str:
    """The first sentence, without the place in gloo's sources."""
    line = str(error).partition("\n")[0].partition(". This is typically")[0]
    return re.sub(r"\[/\S+:\d+\] ", "", line)


def other_end(rank: Rank) -> Rank:
    return OWNER if rank == CONSUMER else CONSUMER


def call_soon(
    loop: AbstractEventLoop, callback: Callable[[*Arguments], object], *args: *Arguments
) -> None:
    """From a link's thread to the loop's; a loop that is closed has nobody left to tell."""
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(callback, *args)
