"""An emulated worker: every word that a real one says, in its order, and sleep between them.

    Hello -> Welcome -> (loading) -> Ready -> work -> Leave -> Stop -> Bye

It stays, leaves and comes back as ../agent.py does; many of them share a loop and a ZeroMQ context.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Callable
from typing import Any

import zmq

from ...scheduler.stage import stages_of
from ...transport import codec
from ...transport import messages as say
from ...transport.channels import Dealer, Sent
from ...transport.checkpoint import BadCheckpoint
from ...transport.security import PeerKeys
from .options import EmulatedOptions
from .profile import Emulation
from .work import Work

log = logging.getLogger(__name__)

HELLO_S = 1.0  # after which an unanswered Hello is said again
SILENT_S = 2.0  # of a controller that a leaving worker does not wait for
FIRST_BEAT_S = 0.25  # until the controller says how often


class Unwanted(Exception):
    """The worker cannot serve here; one sentence for whoever started it."""


class Agent:
    def __init__(
        self,
        options: EmulatedOptions,
        emulation: Emulation,
        tell: Callable[..., None],
        *,
        name: str = "",
        keys: PeerKeys | None = None,
        context: zmq.Context[Any] | None = None,
    ) -> None:
        """`tell(event, **fields)` reports to whoever started the process. Needs a running loop."""
        self._options, self._emulation, self._tell = options, emulation, tell
        self._loop = asyncio.get_running_loop()
        self._name = name
        self._stages = options.stages
        self._epoch = secrets.randbits(63)
        self._dealer = Dealer(
            options.controller,
            self._hear,
            keys=keys,
            reconnected=self._reconnected,
            context=context,
        )
        self.work: Work | None = None  # made when the controller has named us
        self._heard = self._loop.time()
        self._said_hello: float | None = None  # when, until it is answered
        self._loaded = self._ready = self._leaving = False
        self._over: asyncio.Future[str] = self._loop.create_future()
        self._on: dict[type, Callable[[Any], None]] = {
            say.Welcome: self._welcome,
            say.Share: lambda word: None,
            say.Switch: self._switch,
            say.Stop: lambda word: self._end(""),
            say.PeerGone: lambda word: None,
            say.Relay: lambda word: None,
            say.Unknown: lambda word: self._introduce(),
            say.Denied: self._denied,
            say.Ping: lambda word: None,
        }

    async def run(self) -> None:
        """Until told to stop; raises Unwanted where the controller refused or fell silent."""
        self._hello()
        watch = self._loop.create_task(self._watch())
        try:
            reason = await self._over
            if reason:
                raise Unwanted(reason)
        finally:
            watch.cancel()
            self._close()

    def leave(self) -> None:
        """Ask to be drained; asked twice, or without a controller that answers, end now."""
        silent = self._loop.time() - self._heard > SILENT_S
        if self._leaving or silent or not self._ready or self._send(say.Leave()) is not Sent.OK:
            self._end("")
        self._leaving = True

    def _end(self, reason: str) -> None:
        if not self._over.done():
            self._over.set_result(reason)

    def _close(self) -> None:
        if self.work is not None:
            self.work.stop()
        self._send(say.Bye())
        self._dealer.close()

    # Speaking.

    def _send(self, word: say.FromWorker, *frames: bytes) -> Sent:
        return self._dealer.send(codec.encode(word), *frames)

    def _hello(self) -> None:
        options = self._options
        self._said_hello = self._loop.time()
        self._send(
            say.Hello(
                protocol=say.PROTOCOL,
                token=options.token,
                epoch=self._epoch,
                name=self.work.part.name if self.work else self._name,
                stages=self._stages,
                host=socket.gethostname(),
                pid=os.getpid(),
                device="emulated",
                dtype=options.dtype,
                cores=os.cpu_count() or 1,
                threads=1,  # of its own: nobody else's cores are shared with it
                log=options.log,
            )
        )

    async def _watch(self) -> None:
        """Heartbeats, and the controller's silence."""
        while True:
            part = self.work.part if self.work else None
            await asyncio.sleep(part.beat_s if part else FIRST_BEAT_S)
            silent = self._loop.time() - self._heard
            if silent > (part.rejoin_s if part else 60.0):
                self._end(
                    f"expected a word from {self._options.controller}, got {silent:.0f} s of "
                    "silence"
                )
            if self._ready and self.work is not None:
                self._send(self.work.beat())
            elif self._said_hello is not None and self._loop.time() - self._said_hello > HELLO_S:
                self._hello()

    # Hearing.

    def _hear(self, frames: list[zmq.Frame]) -> None:
        self._heard = self._loop.time()
        try:
            word = codec.to_worker(frames[0].buffer)
        except codec.BadFrame as error:
            log.warning("refused a message: %s", error)
            return
        if self._over.done():
            return  # leaving: nothing is begun
        if (hear := self._on.get(type(word))) is not None:
            hear(word)
        elif self.work is not None:
            self.work.hear(word, frames[1:])

    def _denied(self, word: say.Denied) -> None:
        if not word.again:
            self._end(word.reason)
        elif self._ready and self.work is not None:
            self._ready = False
            self.work.clear()
            self._hello()

    def _switch(self, word: say.Switch) -> None:
        """Nothing is left to do here as what we were."""
        if word.stages == self._stages or self.work is None:
            return  # the word came twice
        self._name, self._stages = self.work.part.name, word.stages
        self.work.stop()
        self.work, self._ready = None, False
        self._hello()

    def _reconnected(self) -> None:
        """Words may be lost, on both sides: ours, or of the one that took its place."""
        self._introduce()

    def _introduce(self) -> None:
        """To a controller that was started anew: what decodes here goes on meanwhile."""
        if self._ready:
            self._ready = False
            self._hello()

    # Loading.

    def _welcome(self, part: say.Welcome) -> None:
        self._said_hello = None
        if self.work is None:
            try:
                self.work = Work(
                    part, stages_of(list(self._stages)), self._emulation, self._epoch, self._send
                )
            except BadCheckpoint as error:
                self._send(say.Unable(str(error)))
                self._end(str(error))
            else:
                load_s = 0.0 if self._loaded else self._emulation.load_s
                self._loop.call_later(load_s, self._announce)
        elif (part.model, part.fingerprint) != (self.work.part.model, self.work.part.fingerprint):
            self._end("the controller serves another model now")
        elif self._loaded:
            self._announce()

    def _announce(self) -> None:
        if self._over.done() or self.work is None:
            return
        self._loaded = self._ready = True
        self._send(self.work.ready())
        self._send(self.work.beat())  # with its speed: admission predicts by it
        if self._leaving:  # the controller that was told is no more
            self._send(say.Leave())
        self._tell("ready", name=self.work.part.name, pid=os.getpid())
