"""What clients say: submissions, cancellations, questions."""

from __future__ import annotations

import asyncio
import hmac
import logging
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import msgspec

from ..scheduler import events as on
from ..transport import codec
from ..transport import messages as say
from ..transport.complaints import complaint_about_scale
from ..transport.patience import Patience, TooSlow
from .clients import Session
from .crew import Member
from .drafting import Draft, Drafting
from .floor import Floor
from .office import Office
from .refusal import Refused
from .returning import Returning
from .spelling import Spelling
from .staffing import Staffing
from .status import snapshot
from .store import Kept
from .stories import MOST, story_of, told
from .switching import Switching
from .tickets import Ticket
from .titles import title_of

log = logging.getLogger(__name__)

PREPARE_S = 20.0  # for template, tokenizer and image headers of one request
AT_ONCE = 1024  # token ids that are looked at here and now
MOST_ID = 128  # characters of a request id


class Front:
    def __init__(
        self,
        office: Office,
        floor: Floor,
        drafting: Drafting,
        returning: Returning,
        switching: Switching,
        staffing: Staffing,
        close: Callable[[bool, bool], None],
    ) -> None:
        self._office, self._floor, self._drafting = office, floor, drafting
        self._returning, self._switching, self._staffing = returning, switching, staffing
        self._close = close
        self._threads = Patience(2, PREPARE_S, "prepare")
        self._asked: list[tuple[bytes, int]] = []  # who waits for the end of a shutdown
        spelling = Spelling(drafting.preparer, office.options.limits, self._threads, self._answer)
        self._on: dict[type, Callable[[bytes, Any], None]] = {
            say.Greet: self._greet,
            say.Cancel: self._cancel,
            say.AskStatus: self._status,
            say.AskEvents: self._events,
            say.AskTrace: self._trace,
            say.AskTokens: spelling.tokens,
            say.AskPieces: spelling.pieces,
            say.Remove: self._remove,
            say.Scale: self._scale,
            say.SetStages: self._set_stages,
            say.Shutdown: self._shutdown,
            say.Pong: lambda identity, word: None,
        }

    def hear(self, identity: bytes, word: say.FromClient, frames: Sequence[memoryview]) -> None:
        session = self._office.clients.session(identity)
        session.heard, session.away = self._office.now(), False
        if isinstance(word, say.Submit):
            self._submit(identity, word, frames)
        else:
            self._on[type(word)](identity, word)

    def close(self) -> None:
        self._threads.close()
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
            model=title_of(self._office.options.model),
            fingerprint=self._office.fingerprint,
            context=self._drafting.facts.context,
            max_images=limits.max_images,
            max_image_bytes=limits.max_image_bytes,
            vocabulary=self._drafting.facts.vocabulary,
        )
        self._answer(identity, greeting)

    # Requests.

    def _submit(self, identity: bytes, word: say.Submit, frames: Sequence[memoryview]) -> None:
        office = self._office
        session = office.clients.session(identity)
        known = office.tickets.get(word.request_id)
        drafted = office.preparing.get(word.request_id)
        asker = known.client if known else drafted.client if drafted else None
        if asker is not None:
            anew = self._repeated(word, known, asker, session)
            if anew is None:
                return
            word = anew
        if said := office.ended.of(identity, word.request_id):
            for frame in said:
                office.clients.send(session, frame)
            return
        refusal = self._refusal(word, frames)
        if refusal is not None:
            office.tally.rejected += 1
            office.attaining.refused(word, len(frames), refusal[0], office.now())
            self._answer(identity, say.Refused(word.request_id, *refusal))
            return
        session.open.add(word.request_id)
        draft = Draft(word, list(frames), session.number, office.now())
        office.preparing[word.request_id] = draft
        office.held_bytes += draft.image_bytes
        if not frames and 0 < len(word.token_ids) <= AT_ONCE:
            self._prepare_at_once(draft)
            return
        future = self._threads.run(partial(self._drafting.ticket, draft))
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
        self, word: say.Submit, known: Ticket | None, asker: int, session: Session
    ) -> say.Submit | None:
        """A client that asks again, perhaps on a new connection, gets what it may have missed.
        Where nobody has that any more, the Submit to begin anew with."""
        if session.number != asker:
            reason = "expected a request id of its own, got one that another client has open"
            self._answer(session.identity, say.Refused(word.request_id, "request_id", reason))
        elif known is None:
            pass  # it is being prepared
        elif word.request_id in self._returning:
            self._returning.asked(known, word)
        elif known.misses(max(word.had, len(word.emitted))):
            self._withdraw(known, session)
            seeded = msgspec.structs.replace(word.sampling, seed=known.sampling.seed)
            return msgspec.structs.replace(word, sampling=seeded)
        else:
            for frame in known.frames:
                self._office.clients.send(session, frame)
        return None

    def _prepare_at_once(self, draft: Draft) -> None:
        """Less work than to hand it to a thread."""
        try:
            ticket = self._drafting.ticket(draft)
        except Refused as error:
            self._refuse(draft, error.code, error.sentence)
        else:
            self._write_down(draft, ticket)

    def _write_down(self, draft: Draft, ticket: Ticket) -> None:
        """A request is accepted once it is in the journal."""
        if not self._office.journal.on:
            self._accept(draft, ticket, "")
            return
        kept = self._kept(draft, ticket)
        self._office.journal.keep(kept, partial(self._accept, draft, ticket))

    def _prepared(self, draft: Draft, future: asyncio.Future[Ticket]) -> None:
        error = None if future.cancelled() else future.exception()
        if future.cancelled() or not self._awaited(draft):
            self._office.held_bytes -= draft.image_bytes
        elif error is None:
            self._write_down(draft, future.result())
        elif isinstance(error, Refused):
            self._refuse(draft, error.code, error.sentence)
        elif isinstance(error, TooSlow):
            reason = f"expected a request that is prepared within {PREPARE_S:g} s"
            self._refuse(draft, "too_slow", reason)
        else:  # a bug of ours must not leave the client without an answer
            log.error("preparation failed", exc_info=error)
            self._refuse(draft, "internal", "preparation failed")

    def _kept(self, draft: Draft, ticket: Ticket) -> Kept:
        session = self._office.clients.numbered(draft.client)
        sampling = msgspec.structs.replace(draft.submit.sampling, seed=ticket.sampling.seed)
        ago = self._office.now() - draft.received
        return Kept(
            request_id=draft.submit.request_id,
            client=session.identity if session else b"",
            number=draft.client,
            received=time.time() - ago,
            submit=codec.encode(msgspec.structs.replace(draft.submit, sampling=sampling)),
            images=tuple(draft.frames),
        )

    def _accept(self, draft: Draft, ticket: Ticket, trouble: str) -> None:
        office, request_id = self._office, draft.submit.request_id
        if not self._awaited(draft):
            office.held_bytes -= draft.image_bytes
        elif trouble:
            office.journal.end(request_id)
            self._refuse(draft, "journal", f"expected a journal to write to: {trouble}")
        else:
            del office.preparing[request_id]
            office.tickets[request_id] = ticket
            waited_s = office.now() - draft.received
            office.pump(on.Arrived(ticket.request, waited_s=waited_s))
            office.demand.admitted(ticket.request, office.now())
        office.fewer.set()

    def _awaited(self, draft: Draft) -> bool:
        """Not cancelled meanwhile, and perhaps asked for anew."""
        return self._office.preparing.get(draft.submit.request_id) is draft

    def _refuse(self, draft: Draft, code: str, reason: str) -> None:
        office, request_id = self._office, draft.submit.request_id
        office.held_bytes -= draft.image_bytes
        office.fewer.set()
        del office.preparing[request_id]
        session = office.clients.numbered(draft.client)
        if session is not None:
            office.tally.rejected += 1
            office.attaining.refused(draft.submit, len(draft.frames), code, office.now())
            session.open.discard(request_id)
            refused = codec.encode(say.Refused(request_id, code, reason))
            office.clients.send(session, refused)

    def _withdraw(self, ticket: Ticket, session: Session) -> None:
        """End it without a word to its client, who asks for it anew."""
        office, request_id = self._office, ticket.request.id
        if request_id in self._returning:
            self._returning.begin(request_id)
        del office.tickets[request_id]
        session.open.discard(request_id)
        office.held_bytes -= ticket.image_bytes
        office.pump(on.Cancelled(request_id, "its client asks for it anew"))

    def _cancel(self, identity: bytes, word: say.Cancel) -> None:
        session = self._office.clients.session(identity)
        if word.request_id in session.open:
            self.cancel(word.request_id, "the client cancelled it")

    def cancel(self, request_id: str, reason: str) -> None:
        if request_id in self._returning:
            self._returning.begin(request_id)
        draft = self._office.preparing.pop(request_id, None)
        self._office.fewer.set()
        if draft is None:
            self._office.pump(on.Cancelled(request_id, reason))
            return
        self._office.journal.end(request_id)
        session = self._office.clients.numbered(draft.client)
        self._office.tally.cancelled += 1
        if session is not None:
            session.open.discard(request_id)
            refused = say.Refused(request_id, "cancelled", reason)
            self._office.clients.send(session, codec.encode(refused))

    # Questions and orders.

    def _status(self, identity: bytes, word: say.AskStatus) -> None:
        self._answer(identity, say.Report(word.ask, snapshot(self._office)))

    def _events(self, identity: bytes, word: say.AskEvents) -> None:
        chronicle = self._office.chronicle
        told = chronicle.told(word.after, word.since)
        self._answer(identity, say.Events(word.ask, told, chronicle.newest))

    def _trace(self, identity: bytes, word: say.AskTrace) -> None:
        office = self._office
        open_one = office.tickets.get(word.request_id)
        found = story_of(open_one) if open_one else office.stories.of(word.request_id)
        if found is None:
            known = f"expected a request that is open or among the last {MOST} that ended"
            got = word.request_id[:MOST_ID] or "none yet"
            self._answer(identity, say.Denied(word.ask, f"{known}, got {got}"))
            return
        self._answer(identity, say.Report(word.ask, told(found, office.now(), time.time())))

    def _scale(self, identity: bytes, word: say.Scale) -> None:
        if not self._trusted(identity, word):
            return
        after = self._office.chronicle.newest
        reason = complaint_about_scale(word.workers)
        if reason is None and self._office.closing:
            reason = "the controller is shutting down"
        if reason is not None:
            self._answer(identity, say.Denied(word.ask, reason))
            return
        steps = self._staffing.scale(word.workers)
        self._answer(identity, say.Scaled(word.ask, steps, after))

    def _trusted(
        self, identity: bytes, word: say.Remove | say.SetStages | say.Scale | say.Shutdown
    ) -> bool:
        if hmac.compare_digest(word.token.encode(), self._office.token.encode()):
            return True
        reason = "expected this controller's token, got another (see its state folder)"
        self._answer(identity, say.Denied(word.ask, reason))
        return False

    def _member(self, identity: bytes, word: say.Remove | say.SetStages) -> Member | None:
        """The worker that a word is about; None where the asker was told why not."""
        if not self._trusted(identity, word):
            return None
        member = self._office.crew.named(word.name)
        if member is None:
            names = ", ".join(sorted(one.name for one in self._office.crew)) or "no workers"
            reason = f"expected the name of a worker ({names}), got {word.name}"
            self._answer(identity, say.Denied(word.ask, reason))
        return member

    def _set_stages(self, identity: bytes, word: say.SetStages) -> None:
        if not self._returning.complete:  # others may be on their way, who let it go, or it itself
            self._returning.when_complete(partial(self._set_stages, identity, word))
            return
        member = self._member(identity, word)
        if member is not None:
            self._switching.ask(member, identity, word)

    def _remove(self, identity: bytes, word: say.Remove) -> None:
        member = self._member(identity, word)
        if member is None:
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
            self._close(word.drain, word.keep)
