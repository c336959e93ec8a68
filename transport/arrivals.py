"""The consumer's side of a port: the transfers it asked for, until their buffers are let go."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from itertools import count

from .links import Link, call_soon
from .messages import Grant, Refuse
from .tensors import HandleGone, PeerLost, SizeMismatch, TransferError
from .transfers import Failure, Landing

REFUSALS: dict[str, type[TransferError]] = {"gone": HandleGone, "size": SizeMismatch}


class Arrivals:
    """`late(link, reason)`: the owner gave no answer in time. `done(link)`: one transfer less."""

    def __init__(
        self,
        late: Callable[[Link, str], None],
        done: Callable[[Link], None],
        *,
        stall_s: float,
    ) -> None:
        self._late = late
        self._done = done
        self._stall_s = stall_s
        self._loop = asyncio.get_running_loop()
        self._landings: dict[int, Landing] = {}
        self._orphans: set[int] = set()  # their fetch gave up before the link let go
        self._ids = count(1)
        self.received_bytes = 0

    def expect(self, landing: Landing) -> None:
        """Numbers the transfer; the owner has `stall_s` to answer."""
        landing.id = next(self._ids)
        self._landings[landing.id] = landing
        landing.patience = self._loop.call_later(self._stall_s, self._unanswered, landing.link)

    async def freed(self, landing: Landing, *, lent: bool) -> bool:
        """Its fetch ends without the tensors: whether the buffers may be used again. Waits as long
        as gloo can need to let lent ones go."""
        landing.abandon()
        if landing.free.is_set():
            return True
        self._orphans.add(landing.id)
        if not lent:
            return True  # only the link knows them
        with suppress(TimeoutError):
            async with asyncio.timeout(self._stall_s + 0.5):
                await landing.free.wait()
        return landing.free.is_set()

    def grant(self, word: Grant) -> None:
        landing = self._landings.get(word.id)
        if landing is None or landing.granted:
            return
        if (expected := landing.link.granted) != word.before:
            # the control channel broke in between: what comes first on the link is not this
            self._late(landing.link, f"expected grant {expected} of the link, got {word.before}")
        else:
            landing.link.granted += 1
            landing.answer(True)
            landing.take_off(
                word.checked,
                lambda failure: call_soon(self._loop, self._landed, landing, failure),
            )

    def refuse(self, word: Refuse) -> None:
        if landing := self._landings.get(word.id):
            self._finish(landing, Failure(REFUSALS[word.reason], word.detail))

    def ask_again(self, link: Link) -> None:
        """The owner lives and has closed this link; what it did not grant can use another."""
        for landing in self._on(link):
            if not landing.granted:
                landing.answer(False)
                self._finish(landing, None)

    def fail(self, link: Link, reason: str) -> None:
        """The link is being dropped; its thread may still hold buffers."""
        for landing in self._on(link):
            landing.finish(Failure(PeerLost, f"{link.key.peer}: {reason}"))
            if not landing.granted:
                self._finish(landing, None)

    def link_ended(self, link: Link, reason: str) -> None:
        for landing in self._on(link):
            self._finish(landing, Failure(PeerLost, f"{link.key.peer}: {reason}"))

    @property
    def quarantined_bytes(self) -> int:
        return sum(self._landings[id].bytes for id in self._orphans)

    def _on(self, link: Link) -> list[Landing]:
        return [landing for landing in self._landings.values() if landing.link is link]

    def _unanswered(self, link: Link) -> None:
        self._late(link, f"expected an answer within {self._stall_s} s, got none")

    def _landed(self, landing: Landing, failure: Failure | None) -> None:
        if failure is None and not landing.abandoned:
            self.received_bytes += landing.bytes
        self._finish(landing, failure)

    def _finish(self, landing: Landing, failure: Failure | None) -> None:
        if self._landings.pop(landing.id, None):
            self._orphans.discard(landing.id)
            landing.settle(failure)
            self._done(landing.link)
