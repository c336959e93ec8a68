"""What the core commands, carried out: words to workers, last words to clients."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from ..scheduler import commands as do
from ..scheduler.request import Phase, Request
from ..scheduler.stage import role_of
from ..transport import codec
from ..transport import messages as say
from .crew import Standing
from .floor import Floor
from .office import Office
from .switching import Switching
from .tickets import Ticket
from .timing import timing

log = logging.getLogger(__name__)

REASONS = {
    Phase.CANCELLED: "cancelled",
    Phase.FAILED: "error",
    Phase.REJECTED: "rejected",
}


class Hands:
    def __init__(self, office: Office, floor: Floor, switching: Switching) -> None:
        self._office, self._floor, self._switching = office, floor, switching
        self._on: dict[type, Callable[[Any], None]] = {
            do.Encode: self._encode,
            do.Forget: self._forget,
            do.Prefill: self._prefill,
            do.Decode: self._decode,
            do.Supply: self._supply,
            do.Release: self._release,
            do.Stop: self._stop,
            do.SwitchStages: self._switch,
            do.Drop: self._drop,
            do.End: self._end,
        }

    def carry_out(self, command: do.Command) -> None:
        self._on[type(command)](command)

    def _tell(self, replica: str, word: say.ToWorker, *frames: Any) -> None:
        member = self._office.crew.named(replica)
        if member is not None:
            self._floor.tell(member, word, *frames)

    def _encode(self, command: do.Encode) -> None:
        image = self._office.tickets[command.request].images[command.index]
        image.worker = command.replica
        word = say.Encode(command.key, command.run, image.mode, image.rows)
        self._tell(command.replica, word, image.data)
        member = self._office.crew.named(command.replica)
        if member is not None:
            self._floor.share_threads(member.hello.host)

    def _forget(self, command: do.Forget) -> None:
        if self._office.handles.get(command.key, (0,))[0] == command.run:
            del self._office.handles[command.key]
        self._tell(command.replica, say.Forget(command.key, command.run))

    def _prefill(self, command: do.Prefill) -> None:
        ticket = self._office.tickets[command.request]
        ticket.runs.append((command.replica, command.decode))
        self._tell(
            command.replica,
            say.Prefill(
                request_id=command.request,
                run=command.run,
                client=ticket.client,
                order=ticket.request.order,
                rank=ticket.request.rank,
                tpot_s=ticket.request.slo.tpot_s,
                token_ids=ticket.token_ids(),
                prompt_tokens=len(ticket.prompt_ids),
                spans=ticket.spans,
                sampling=ticket.sampling,
                hand_over=command.decode != command.replica,
            ),
        )

    def _decode(self, command: do.Decode) -> None:
        ticket = self._office.tickets[command.request]
        self._tell(
            command.replica,
            say.Decode(
                request_id=command.request,
                run=command.run,
                client=ticket.client,
                order=ticket.request.order,
                tpot_s=ticket.request.slo.tpot_s,
                token_ids=ticket.token_ids(),
                prompt_tokens=len(ticket.prompt_ids),
                spans=ticket.spans,
                sampling=ticket.sampling,
            ),
        )

    def _supply(self, command: do.Supply) -> None:
        _, handle = self._office.handles[command.key]
        word = say.Supply(command.request, command.run, command.index, handle)
        self._tell(command.replica, word)

    def _release(self, command: do.Release) -> None:
        """Who ended the run itself has freed all of it, and keeps only what it said of it."""
        member = self._office.crew.named(command.replica)
        if member is None:
            return
        word = say.Release(command.request, command.run)
        ticket = self._office.tickets.get(command.request)
        if ticket is not None and ticket.request.phase is Phase.DONE:
            self._floor.mention(member, word)
        else:
            self._floor.tell(member, word)

    def _stop(self, command: do.Stop) -> None:
        member = self._office.crew.named(command.replica)
        if member is not None:
            member.standing = Standing.LEAVING
            self._floor.tell(member, say.Stop())

    def _switch(self, command: do.SwitchStages) -> None:
        member = self._office.crew.named(command.replica)
        if member is not None:
            log.info("%s switches to %s", member.name, role_of(command.stages))
            self._floor.tell(member, self._switching.drained(member, command.stages))

    def _drop(self, command: do.Drop) -> None:
        """Its peers end their links to it; if it is still there it is told to start afresh."""
        gone = (command.replica, command.epoch)
        for key, (_, handle) in list(self._office.handles.items()):
            if (handle.owner, handle.epoch) == gone:
                del self._office.handles[key]
        member = self._office.crew.named(command.replica)
        if member is not None and member.hello.epoch == command.epoch:
            self._office.chronicle.note(
                "lost", f"{member.name} is lost: {command.reason}", worker=member.name
            )
            self._floor.dismiss(member, command.reason)
            self._floor.tell(member, say.Denied(-1, f"lost: {command.reason}", again=True))
        self._floor.tell_all(self._office.crew, say.PeerGone(command.replica, command.epoch))

    # Ends.

    def _end(self, command: do.End) -> None:
        request = command.request
        self._office.fewer.set()
        self._office.demand.prefilled(request.id)
        ticket = self._office.tickets.pop(request.id, None)
        self._office.journal.end(request.id, ticket)
        if ticket is None:
            return
        self._office.held_bytes -= ticket.image_bytes
        session = self._office.clients.numbered(ticket.client)
        self._count(request)
        self._office.attaining.ended(request, ticket.received, ticket.first_token)
        told = timing(request, ticket.received, ticket.first_token)
        self._office.measures.ended(request, told, _finish_reason(request, command.reason))
        self._office.stories.keep(ticket, command.reason)
        if session is None:
            return
        session.open.discard(request.id)
        if request.phase is Phase.REJECTED:
            code = _code_of(command.reason)
            word: say.ToClient = say.Refused(
                request.id, code, command.reason, command.retry_after_s
            )
        else:
            word = self._last_word(ticket, command.reason, told)
        frame = codec.encode(word)
        if request.phase is Phase.DONE:
            self._office.ended.keep(session.identity, request.id, [*ticket.frames, frame])
        self._office.clients.send(session, frame)

    def _last_word(self, ticket: Ticket, reason: str, told: say.Timing) -> say.Ended:
        request = ticket.request
        error = None if request.phase is Phase.DONE else reason
        log.info(
            "%s %s after %.3f s: %d + %d tokens, %d images, %d runs%s",
            request.id,
            request.phase.name.lower(),
            told.total_s,
            request.prompt_tokens,
            request.emitted,
            len(request.media),
            told.runs,
            f": {error}" if error else "",
        )
        image_tokens = sum(span.rows for span in ticket.spans) if ticket.spans else 0
        return say.Ended(
            request_id=request.id,
            finish_reason=_finish_reason(request, reason),
            usage=say.Usage(request.prompt_tokens, image_tokens, request.emitted),
            timing=told,
            error=error,
        )

    def _count(self, request: Request) -> None:
        tally = self._office.tally
        match request.phase:
            case Phase.DONE:
                tally.finished += 1
            case Phase.CANCELLED:
                tally.cancelled += 1
            case Phase.REJECTED:
                tally.rejected += 1
            case _:
                tally.failed += 1


def _code_of(reason: str) -> str:
    """Of a refusal of the core's: later it may do, its promise cannot be kept, or it never fits."""
    if reason.startswith("busy"):
        return "busy"
    return "slo" if reason.startswith("its first token") else "too_large"


def _finish_reason(request: Request, reason: str) -> str:
    """Why it finished, `stop` or `length`, or else how it ended."""
    return REASONS.get(request.phase, reason)
