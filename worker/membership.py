"""A worker's place with its controller: joining, staying, coming back, leaving.

    Hello -> Welcome -> (loading) -> Ready -> work -> Leave -> Stop -> Bye

A worker whose controller lost it says Hello again with nothing left of its work; one whose
controller was replaced says it with all that goes on here by itself. What the work is, and what
becomes of it, is the agent's: of one that computes, or of one that is emulated.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from typing import Any, Protocol

import zmq

from ..transport import codec
from ..transport import messages as say
from ..transport.channels import Dealer, Sent
from ..transport.security import PeerKeys
from .options import WorkerOptions

log = logging.getLogger(__name__)

HELLO_S = 1.0  # after which an unanswered Hello is said again
SILENT_S = 2.0  # of a controller that a leaving worker does not wait for
FIRST_BEAT_S, FIRST_REJOIN_S = 0.25, 60.0  # until the controller says how long


class Unwanted(Exception):
    """The worker cannot serve here; one sentence for whoever started it."""


class Work(Protocol):
    """What a membership asks of its agent."""

    def hear(self, word: say.ToWorker, frames: list[zmq.Frame]) -> None: ...

    def beat(self) -> say.Beat | None:
        """None: there is nothing to tell of yet."""
        ...

    def forget(self) -> None:
        """The controller has given all of the work to others."""
        ...

    async def close(self) -> None:
        """End everything; no word is said behind this but Bye."""
        ...


class Membership:
    """`ready` from Ready to the next Hello; `part` is the last Welcome."""

    def __init__(
        self,
        options: WorkerOptions,
        work: Work,
        *,
        device: str,
        name: str = "",
        threads: int = 0,
        keys: PeerKeys | None = None,
        context: zmq.Context[Any] | None = None,
    ) -> None:
        """`name` as wished, `threads` as named, 0 for a share. Needs a running loop."""
        self._options, self._work = options, work
        self._device, self._name, self._threads = device, name, threads
        self._loop = asyncio.get_running_loop()
        self._dealer = Dealer(
            options.controller,
            self._hear,
            keys=keys,
            reconnected=lambda: self.introduce("the connection broke"),
            context=context,
        )
        self.epoch = secrets.randbits(63)  # this process, whatever it is named
        self.stages = options.stages  # as it says
        self.part: say.Welcome | None = None
        self.ready = False
        self._heard = self._loop.time()
        self._said_hello: float | None = None  # when, until it is answered
        self._leaving = False
        self._over: asyncio.Future[str] = self._loop.create_future()

    async def run(self) -> None:
        """Until told to stop; raises Unwanted where the controller refused or fell silent."""
        self.hello()
        watch = self._loop.create_task(self._watch())
        try:
            reason = await self._over
            if reason:
                raise Unwanted(reason)
        finally:
            await self._work.close()  # links may take seconds: the heart beats on
            watch.cancel()
            self.send(say.Bye())  # what is said behind it would come from a stranger
            self._dealer.close()

    def leave(self) -> None:
        """Ask to be drained; asked twice, or without a controller that answers, end now."""
        silent = self._loop.time() - self._heard > SILENT_S
        if self._leaving or silent or not self.ready or self.send(say.Leave()) is not Sent.OK:
            self.end("")
        self._leaving = True

    def end(self, reason: str) -> None:
        """`reason`: a sentence where it could not serve."""
        if not self._over.done():
            self._over.set_result(reason)

    @property
    def over(self) -> bool:
        return self._over.done()

    # Speaking.

    def send(self, word: say.FromWorker, *frames: bytes) -> Sent:
        return self._dealer.send(codec.encode(word), *frames)

    def hello(self) -> None:
        self._said_hello = self._loop.time()
        self.send(
            say.Hello(
                protocol=say.PROTOCOL,
                token=self._options.token,
                epoch=self.epoch,
                name=self.part.name if self.part else self._name,
                stages=self.stages,
                host=socket.gethostname(),
                pid=os.getpid(),
                device=self._device,
                dtype=self._options.dtype,
                cores=os.cpu_count() or 1,
                threads=self._threads,
                log=self._options.log,
            )
        )

    def announce(self, ready: say.Ready) -> None:
        """It serves; its speed follows at once, since admission predicts by it."""
        self.send(ready)
        self.ready = True
        if (beat := self._work.beat()) is not None:
            self.send(beat)
        if self._leaving:  # the controller that was told is no more
            self.send(say.Leave())

    def introduce(self, why: str) -> None:
        """To a controller that was started anew: what decodes here goes on meanwhile, and what is
        stored stays. The same one gives everything to others, and says so."""
        if self.ready:
            log.warning("saying hello again: %s", why)
            self.ready = False
            self.hello()

    def start_over(self, stages: tuple[str, ...]) -> None:
        """Nothing is left of the work: say hello with these stages."""
        self.ready = False
        self._work.forget()
        self.stages = stages
        self.hello()

    async def _watch(self) -> None:
        """Heartbeats, and the controller's silence."""
        while True:
            part = self.part
            await asyncio.sleep(part.beat_s if part else FIRST_BEAT_S)
            silent = self._loop.time() - self._heard
            if silent > (part.rejoin_s if part else FIRST_REJOIN_S):
                self.end(
                    f"expected a word from {self._options.controller}, got {silent:.0f} s of "
                    "silence"
                )
            if (beat := self._work.beat()) is not None:
                self.send(beat)
            elif self._said_hello is not None and self._loop.time() - self._said_hello > HELLO_S:
                self.hello()

    # Hearing.

    def _hear(self, frames: list[zmq.Frame]) -> None:
        self._heard = self._loop.time()
        try:
            words = codec.to_worker(frames[0].buffer)
        except codec.BadFrame as error:
            log.warning("refused a message: %s", error)
            return
        for word in words:
            self._take(word, frames[1:])

    def _take(self, word: say.ToWorker, frames: list[zmq.Frame]) -> None:
        if self.over and not isinstance(word, say.Relay):
            return  # leaving: nothing is begun, only the links are still talked out of
        match word:
            case say.Welcome():
                self._said_hello = None
                self._work.hear(word, frames)
            case say.Stop():
                self.end("")
            case say.Unknown():
                self.introduce("the controller does not know us")
            case say.Denied():
                self._denied(word)
            case _:
                self._work.hear(word, frames)

    def _denied(self, word: say.Denied) -> None:
        if not word.again:
            self.end(word.reason)
        elif self.ready:
            log.warning("starting afresh: %s", word.reason)
            self.start_over(self.stages)
