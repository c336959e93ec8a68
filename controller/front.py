"""What clients say: submissions, cancellations, questions."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from ..scheduler import events as on
from ..transport import codec
from ..transport import messages as say
from .clients import Session
from .drafting import Draft, Drafting
from .floor import Floor
from .office import Office
from .refusal import Refused
from .status import snapshot
from .tickets import Ticket

log = logging.getLogger(__name__)

MOST_ID = 128  # characters of a request id


class Front:
    def __init__(
        self, office: Office, floor: Floor, drafting: Drafting, close: Callable[[bool], None]
    ) -> None:
        self._office, self._floor, self._drafting, self._close = office, floor, drafting, close
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="prepare")
        self._asked: list[tuple[bytes, int]] = []  # who waits for the end of a shutdown
        self._on: dict[type, Callable[[bytes, Any], None]] = {
            say.Greet: self._greet,
            say.Cancel: self._cancel,
            say.AskStatus: self._status,
            say.Remove: self._remove,
            say.Shutdown: self._shutdown,
            say.Pong: lambda identity, word: None,
        }

    def hear(self, identity: bytes, word: say.FromClient, frames: Sequence[memoryview]) -> None:
        self._office.clients.session(identity).heard = self._office.now()
        if isinstance(word, say.Submit):
            self._submit(identity, word, frames)
        else:
            self._on[type(word)](identity, word)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)
        for identity, ask in self._asked:
            self._answer(identity, say.Granted(ask))

    def _answer(self, identity: bytes, word: say.ToClient) -> None:
        self._office.router.send(identity, codec.encode(word))

    def _greet(self, identity: bytes, word: say.Greet) -> None:
        if word.protocol != say.PROTOCOL:
            reason = f"expected protocol {say.PROTOCOL}, got {word.protocol}"
            self._answer(identity, say.Denied(-1, reason))
            return
        limits = self._office.options.limits
        greeting = say.Greeting(
            model=self._office.options.model.name,
            fingerprint=self._office.fingerprint,
            context=self._drafting.facts.context,
            max_images=limits.max_images,
            max_image_bytes=limits.max_image_bytes,
        )
        self._answer(identity, greeting)

    # Requests.

    def _submit(self, identity: bytes, word: say.Submit, frames: Sequence[memoryview]) -> None:
        office = self._office
        session = office.clients.session(identity)
        known = office.tickets.get(word.request_id)
        asker = known.client if known else office.preparing.get(word.request_id)
        if asker is not None:
            self._repeated(word.request_id, known, asker, session)
            return
        if said := office.ended.of(identity, word.request_id):
            for frame in said:
                office.clients.send(session, frame, office.now())
            return
        refusal = self._refusal(word, frames)
        if refusal is not None:
            office.tally.rejected += 1
            self._answer(identity, say.Refused(word.request_id, *refusal))
            return
        session.open.add(word.request_id)
        office.preparing[word.request_id] = session.number
        office.held_bytes += sum(frame.nbytes for frame in frames)
        draft = Draft(word, list(frames), session.number, office.now())
        future = asyncio.get_running_loop().run_in_executor(
            self._threads, self._drafting.ticket, draft
        )
        future.add_done_callback(partial(self._prepared, draft))

    def _refusal(self, word: say.Submit, frames: Sequence[memoryview]) -> tuple[str, str] | None:
        office, limits = self._office, self._office.options.limits
        if not (1 <= len(word.request_id) <= MOST_ID and word.request_id.isprintable()):
            return "request_id", f"expected 1 to {MOST_ID} printable characters of request_id"
        if office.closing:
            return "closing", "the controller is shutting down"
        if len(office.tickets) + len(office.preparing) >= limits.max_open:
            return "busy", f"busy: {limits.max_open} requests are open, which is the limit"
        held = office.held_bytes + sum(frame.nbytes for frame in frames)
        if held > limits.max_held_bytes:
            most = limits.max_held_bytes
            return "busy", f"busy: images of open requests would take {held} bytes, limit {most}"
        return None

    def _repeated(
        self, request_id: str, known: Ticket | None, asker: int, session: Session
    ) -> None:
        """A client that asks again, perhaps on a new connection, gets what it may have missed."""
        if session.number != asker:
            reason = "expected a request id of its own, got one that another client has open"
            self._answer(session.identity, say.Refused(request_id, "request_id", reason))
            return
        for frame in known.frames if known else ():
            self._office.clients.send(session, frame, self._office.now())

    def _prepared(self, draft: Draft, future: asyncio.Future[Ticket]) -> None:
        office = self._office
        number = office.preparing.pop(draft.submit.request_id, None)
        office.fewer.set()
        error = None if future.cancelled() else future.exception()
        if number is None or error is not None or future.cancelled():
            office.held_bytes -= sum(frame.nbytes for frame in draft.frames)
        if number is None or future.cancelled():
            return  # cancelled meanwhile
        if error is None:
            ticket = future.result()
            office.tickets[ticket.request.id] = ticket
            office.pump(on.Arrived(ticket.request))
            return
        office.tally.rejected += 1
        if isinstance(error, Refused):
            refused = say.Refused(draft.submit.request_id, error.code, error.sentence)
        else:  # a bug of ours must not leave the client without an answer
            log.error("preparation failed", exc_info=error)
            refused = say.Refused(draft.submit.request_id, "internal", "preparation failed")
        session = office.clients.numbered(number)
        if session is not None:
            session.open.discard(draft.submit.request_id)
            office.clients.send(session, codec.encode(refused), office.now())

    def _cancel(self, identity: bytes, word: say.Cancel) -> None:
        session = self._office.clients.session(identity)
        if word.request_id in session.open:
            self.cancel(word.request_id, "the client cancelled it")

    def cancel(self, request_id: str, reason: str) -> None:
        number = self._office.preparing.pop(request_id, None)
        self._office.fewer.set()
        if number is None:
            self._office.pump(on.Cancelled(request_id, reason))
            return
        session = self._office.clients.numbered(number)
        self._office.tally.cancelled += 1
        if session is not None:
            session.open.discard(request_id)
            refused = say.Refused(request_id, "cancelled", reason)
            self._office.clients.send(session, codec.encode(refused), self._office.now())

    # Questions and orders.

    def _status(self, identity: bytes, word: say.AskStatus) -> None:
        self._answer(identity, say.Report(word.ask, snapshot(self._office)))

    def _trusted(self, identity: bytes, word: say.Remove | say.Shutdown) -> bool:
        if hmac.compare_digest(word.token.encode(), self._office.token.encode()):
            return True
        reason = "expected this controller's token, got another (see its state folder)"
        self._answer(identity, say.Denied(word.ask, reason))
        return False

    def _remove(self, identity: bytes, word: say.Remove) -> None:
        if not self._trusted(identity, word):
            return
        member = self._office.crew.named(word.name)
        if member is None:
            names = ", ".join(sorted(one.name for one in self._office.crew)) or "no workers"
            reason = f"expected the name of a worker ({names}), got {word.name}"
            self._answer(identity, say.Denied(word.ask, reason))
            return
        member.waiting.append((identity, word.ask))
        if word.now:
            self._floor.tell(member, say.Stop())
            self._floor.gone(member, "it was removed")
        else:
            self._floor.drain(member)

    def _shutdown(self, identity: bytes, word: say.Shutdown) -> None:
        if self._trusted(identity, word):
            self._asked.append((identity, word.ask))
            self._close(word.drain)
