"""One socket to one controller: the greeting, the open requests, the numbered questions.

    connect -> Greet -> Greeting -> Submit* / Ask*
                  ^                      |
                  +---- silence ---------+     after another Greeting all open Submits go again

ZeroMQ reconnects by itself, but what was under way on the old connection is lost and the
controller sees a new peer. So a silence while something is open (the controller pings at least
every 300 ms then) is answered with a new Greet, and the Greeting that follows it with the open
requests, whose ids make the repetition harmless, and the changes of stages that are under way. A
silence of `timeout_s` ends them all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from ..transport import codec
from ..transport import messages as say
from ..transport.channels import BadAddress, Dealer, Sent, is_loopback
from ..transport.security import BadKeys, PeerKeys
from .errors import (
    BadInput,
    ControllerUnreachable,
    DeadlinePassed,
    Denied,
    Misunderstood,
    ModserveError,
)
from .reception import Reception

TICK_S = 0.25
GREET_TICKS = 4  # of silence before another Greet
GAP_S = 30.0  # for the answer to a repeated Submit to close a gap: it may have to be made again
MESSAGE_ROOM = 1 << 20  # bytes of a Submit beside its images that every controller takes

Answering = (
    say.Report | say.Events | say.Tokens | say.Pieces | say.Scaled | say.Granted | say.Switched
)


class Connection:
    """Belongs to the loop that it is made in."""

    def __init__(self, endpoint: str, timeout_s: float, keys: Path | None = None) -> None:
        self.endpoint = endpoint
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        try:
            is_loopback(endpoint)  # refuses what is no address
            pair = None if keys is None else PeerKeys.read(keys)
            self._dealer = Dealer(endpoint, self._hear, keys=pair, reconnected=self._reconnected)
        except (BadAddress, BadKeys) as error:
            raise BadInput(str(error)) from error
        self._open: dict[str, Reception] = {}
        self._answers: dict[int, asyncio.Future[say.ToClient]] = {}
        self._orders: dict[int, say.SetStages] = {}  # under way: for the controller that follows
        self._asked = 0
        self._greeting: asyncio.Future[say.Greeting] = self._loop.create_future()
        self._fingerprint: str | None = None
        self._quiet_ticks = 0  # counted, not timed: a loop that was held up has heard nothing
        self._in_doubt = True  # whether the controller knows the open requests
        self._timer: asyncio.TimerHandle | None = None
        self._on: dict[type, Callable[[Any], None]] = {
            say.Greeting: self._on_greeting,
            say.Deltas: self._on_deltas,
            say.Ended: self._on_ended,
            say.Refused: self._on_refused,
            say.Report: self._on_answer,
            say.Events: self._on_answer,
            say.Tokens: self._on_answer,
            say.Pieces: self._on_answer,
            say.Scaled: self._on_answer,
            say.Granted: self._on_answer,
            say.Switched: self._on_answer,
            say.Denied: self._on_answer,
            say.Ping: lambda word: self._say(say.Pong()),
        }

    async def greeting(self) -> say.Greeting:
        """The controller's first words, waited for `timeout_s` at most."""
        self._watch()
        return await asyncio.shield(self._greeting)

    def open(self, submit: say.Submit, frames: Sequence[bytes | memoryview]) -> Reception:
        """Send a request, at once or as soon as the controller has greeted."""
        if submit.request_id in self._open:
            raise BadInput(f"expected a new request id, got {submit.request_id}, which is open")
        reception = Reception(submit, frames, opened_at=self._loop.time())
        self._open[submit.request_id] = reception
        self._watch()
        if not self._in_doubt:
            self._submit(reception)
        return reception

    def leave(self, reception: Reception) -> None:
        """Hear no more of a request, and cancel it where it still runs."""
        if self._open.pop(reception.request_id, None) is not None:
            self.cancel(reception.request_id)

    def abandon(self, reception: Reception) -> None:
        """`leave` from a destructor, which runs in any thread and at any time."""
        if not reception.over:
            with suppress(RuntimeError):  # the loop is closed, and the connection with it
                self._loop.call_soon_threadsafe(self.leave, reception)

    def cancel(self, request_id: str) -> None:
        if request_id in self._open:
            self._open[request_id].cancelled = True
        self._say(say.Cancel(request_id))

    async def ask(
        self, question: Callable[[int], say.FromClient], timeout_s: float, what: str
    ) -> say.ToClient:
        """Put a numbered question; raises DeadlinePassed with `what` did not happen, or Denied."""
        await self.greeting()
        self._asked += 1
        ask = self._asked
        self._answers[ask] = self._loop.create_future()
        word = question(ask)
        if isinstance(word, say.SetStages):  # twice is as good as once
            self._orders[ask] = word
        try:
            self._say(word)
            async with asyncio.timeout(timeout_s):
                return await self._answers[ask]
        except TimeoutError as error:
            raise DeadlinePassed(f"expected {what} within {timeout_s:g} s") from error
        finally:
            del self._answers[ask]
            self._orders.pop(ask, None)

    def close(self, error: ModserveError) -> None:
        """End what is open with `error`; words that were said still leave, within a second."""
        reachable = not self._in_doubt
        self._fail(error)
        self._dealer.close(1.0 if reachable else 0.0)

    # Speaking.

    def _say(self, word: say.FromClient, *frames: Any) -> None:
        if self._dealer.send(codec.encode(word), *frames) is not Sent.OK:
            self._fail(ControllerUnreachable(self.endpoint, self._silence_s))

    def _greet(self) -> None:
        self._say(say.Greet(say.PROTOCOL))

    def _submit(self, reception: Reception) -> None:
        """A frame over the controller's limit would end the connection: it stays here."""
        limit = self._greeting.result().max_image_bytes
        for image, frame in enumerate(reception.frames):
            if len(frame) > limit:
                reason = f"expected images of at most {limit} bytes, got {len(frame)} in {image}"
                self._refuse(reception.request_id, "image_too_large", reason)
                return
        submit = reception.repeated()
        size = len(codec.encode(submit))
        if size > max(limit, MESSAGE_ROOM):
            reason = f"expected a request of at most {limit} bytes, got {size}"
            self._refuse(reception.request_id, "too_large", reason)
            return
        self._say(submit, *reception.frames)

    # Hearing.

    def _hear(self, frames: Sequence[Any]) -> None:
        self._quiet_ticks = 0
        try:
            words = codec.to_client(frames[0].buffer)
        except codec.BadFrame as error:
            heard = f"got what it does not know: {error}"
            self._fail(
                Misunderstood(f"expected protocol {say.PROTOCOL} of {self.endpoint}, {heard}")
            )
            return
        for word in words:
            self._on[type(word)](word)

    def _on_greeting(self, word: say.Greeting) -> None:
        if self._fingerprint not in (None, word.fingerprint):
            reason = f"the controller was started anew with another model, {word.model}"
            for request_id in list(self._open):
                self._refuse(request_id, "model_changed", reason)
        self._fingerprint = word.fingerprint
        if self._greeting.done():
            self._greeting = self._loop.create_future()
        self._greeting.set_result(word)
        if self._in_doubt:
            self._in_doubt = False
            for reception in list(self._open.values()):
                self._submit(reception)
            for order in self._orders.values():
                self._say(order)

    def _on_deltas(self, word: say.Deltas) -> None:
        for delta in word.items:
            reception = self._open.get(delta.request_id)
            if reception is None:
                continue  # cancelled: these were on their way
            if delta.start > reception.received:
                self._ask_again(reception, partial(self._take, reception, delta))
            else:
                self._take(reception, delta)

    def _take(self, reception: Reception, delta: say.Delta) -> None:
        reception.take(delta)
        if reception.over:  # the answer is broken
            self.leave(reception)

    def _on_ended(self, word: say.Ended) -> None:
        reception = self._open.get(word.request_id)
        if reception is None:
            return
        finished = word.finish_reason in ("stop", "length")
        if finished and word.usage.completion_tokens > reception.received:
            self._ask_again(reception, partial(self._end, reception, word))
        else:
            self._end(reception, word)

    def _end(self, reception: Reception, word: say.Ended) -> None:
        self._open.pop(word.request_id, None)
        reception.end(word)

    def _ask_again(self, reception: Reception, take: Callable[[], None]) -> None:
        """Words were lost with a connection: a repeated Submit is answered with all of them.

        Where that brings nothing in time, `take` takes the word behind the gap as it is.
        """
        if reception.gap is None:
            reception.gap = (self._loop.time(), take)
            self._submit(reception)

    def _on_refused(self, word: say.Refused) -> None:
        self._refuse(word.request_id, word.code, word.reason, word.retry_after_s)

    def _refuse(
        self, request_id: str, code: str, reason: str, retry_after_s: float | None = None
    ) -> None:
        reception = self._open.pop(request_id, None)
        if reception is not None:
            reception.refuse(code, reason, retry_after_s)

    def _on_answer(self, word: Answering | say.Denied) -> None:
        if isinstance(word, say.Denied):
            self._on_denied(word)
        elif (answer := self._answers.get(word.ask)) is not None and not answer.done():
            answer.set_result(word)

    def _on_denied(self, word: say.Denied) -> None:
        if word.ask < 0:
            self._fail(Misunderstood(word.reason))
        elif (answer := self._answers.get(word.ask)) is not None and not answer.done():
            answer.set_exception(Denied(word.reason))

    # Silence, and broken connections.

    def _reconnected(self) -> None:
        """Whatever was said last may be lost, a Submit too."""
        self._in_doubt = True
        if self._open or self._orders:
            self._greet()

    def _watch(self) -> None:
        """Begin to measure silence, unless that is going on."""
        if self._timer is not None:
            return
        self._quiet_ticks = 0
        if self._greeting.done() and self._greeting.exception():
            self._greeting = self._loop.create_future()
        if not self._greeting.done():
            self._greet()
        self._timer = self._loop.call_later(TICK_S, self._tick)

    @property
    def _silence_s(self) -> float:
        return self._quiet_ticks * TICK_S

    def _tick(self) -> None:
        self._timer = None
        if self._greeting.done() and not self._open:
            return  # nothing is waited for that would be heard
        self._quiet_ticks += 1
        if self._silence_s >= self._timeout_s:
            self._fail(ControllerUnreachable(self.endpoint, self._timeout_s))
            return
        if self._quiet_ticks % GREET_TICKS == 0:
            self._in_doubt = True
            self._greet()
        self._end_overdue()
        self._timer = self._loop.call_later(TICK_S, self._tick)

    def _end_overdue(self) -> None:
        """The controller ends a request at its deadline; one that fails to is not waited for."""
        for reception in list(self._open.values()):
            if reception.gap is not None and self._loop.time() - reception.gap[0] > GAP_S:
                reception.gap[1]()
                continue
            limit = reception.submit.timeout_s
            if limit is None:
                continue
            limit += self._timeout_s
            if self._loop.time() - reception.opened_at > limit:
                self.leave(reception)
                reception.fail(DeadlinePassed(f"expected an end of the request in {limit:g} s"))

    def _fail(self, error: ModserveError) -> None:
        """End all that waits; the next verb begins with a new greeting."""
        self._in_doubt = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._greeting.done():
            self._greeting = self._loop.create_future()
        else:
            self._greeting.set_exception(error)
            self._greeting.exception()  # where nobody waits for it, nobody is told
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(error)
        ended, self._open = self._open, {}
        for reception in ended.values():
            reception.fail(error)
            # a Submit may still lie in the queue of a socket that will connect again
            self._dealer.send(codec.encode(say.Cancel(reception.request_id)))
