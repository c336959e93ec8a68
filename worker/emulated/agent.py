"""An emulated worker: every word that a real one says, in its order, and sleep between them.

Its membership is a real one (../membership.py); many of them share a loop and a ZeroMQ context.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from typing import Any

import zmq

from ...scheduler.stage import stages_of
from ...transport import messages as say
from ...transport.checkpoint import BadCheckpoint
from ...transport.security import PeerKeys
from ..membership import Membership
from .options import EmulatedOptions
from .profile import Emulation
from .work import Work


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
        self._emulation, self._tell = emulation, tell
        self._loop = asyncio.get_running_loop()
        self._member = Membership(
            options,
            self,
            device="emulated",
            name=name,
            threads=1,  # of its own: nobody else's cores are shared with it
            keys=keys,
            context=context,
        )
        self.work: Work | None = None  # made when the controller has named us
        self._loaded = False
        self._on: dict[type, Callable[[Any], None]] = {
            say.Welcome: self._welcome,
            say.Switch: self._switch,
            say.Share: lambda word: None,
            say.PeerGone: lambda word: None,
            say.Relay: lambda word: None,
            say.Ping: lambda word: None,
        }

    async def run(self) -> None:
        """Until told to stop; raises Unwanted where the controller refused or fell silent."""
        await self._member.run()

    def leave(self) -> None:
        """Ask to be drained; asked twice, or without a controller that answers, end now."""
        self._member.leave()

    # What its membership asks for.

    def hear(self, word: say.ToWorker, frames: list[zmq.Frame]) -> None:
        if (hear := self._on.get(type(word))) is not None:
            hear(word)
        elif self.work is not None:
            self.work.hear(word, frames)

    def beat(self) -> say.Beat | None:
        return self.work.beat() if self.work is not None and self._member.ready else None

    def forget(self) -> None:
        if self.work is not None:
            self.work.clear()

    async def close(self) -> None:
        if self.work is not None:
            self.work.stop()

    # Loading.

    def _switch(self, word: say.Switch) -> None:
        """Nothing is left of the old stages: come back with others, under the same name."""
        if self.work is not None and word.stages != self._member.stages:  # it may come twice
            self.work.stop()
            self.work, self._loaded = None, False
            self._member.start_over(word.stages)

    def _welcome(self, part: say.Welcome) -> None:
        mine = self._member.part or part
        if (part.model, part.fingerprint) != (mine.model, mine.fingerprint):
            self._member.end("the controller serves another model now")
        elif self.work is None:
            self._begin(part)
        elif self._loaded:
            self._announce()

    def _begin(self, part: say.Welcome) -> None:
        member = self._member
        member.part = part
        stages = stages_of(list(member.stages))
        try:
            self.work = Work(part, stages, self._emulation, member.epoch, member.send)
        except BadCheckpoint as error:
            member.send(say.Unable(str(error)))
            member.end(str(error))
        else:
            self._loop.call_later(self._emulation.load_s, self._announce)

    def _announce(self) -> None:
        if self._member.over or self.work is None:
            return
        self._loaded = True
        self._member.announce(self.work.ready())
        self._tell("ready", name=self.work.part.name, pid=os.getpid())
