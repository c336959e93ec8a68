"""What a controller that was killed left, on its way back to the one that took its place.

    requests from the journal ─┬─ a worker returns with a run of it: it goes on there
                               └─ all workers and its client are back, or RETURN_S passed: it
                                  starts over behind the tokens that its client has had

Clients find the new controller by themselves; until they do, their answers are kept for them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Set

import msgspec

from ..scheduler import events as on
from ..scheduler.request import Request
from ..scheduler.slo.classes import STANDARD
from ..transport import codec
from ..transport import messages as say
from .drafting import Draft, Drafting
from .office import Office
from .refusal import Refused
from .store import Kept, Left
from .tickets import Ticket

log = logging.getLogger(__name__)

RETURN_S = 2.0  # in which workers come back with what they hold


class Returning:
    def __init__(self, office: Office, drafting: Drafting) -> None:
        self._office, self._drafting = office, drafting
        self._tickets: dict[str, Ticket] = {}  # not started yet; among the office's, too
        self._asked: dict[str, int] = {}  # their clients are there, and have had so many tokens
        self._joining: list[Callable[[], None]] = []  # workers, and orders, that wait for others
        self._workers: dict[str, int] = {}  # awaited, by name -> epoch
        self._names: Set[str] = frozenset()
        self._since = 0.0

    def __len__(self) -> int:
        return len(self._tickets)

    def __contains__(self, request_id: str) -> bool:
        return request_id in self._tickets

    def restore(self, left: Left) -> None:
        """Take up what was read; a request that cannot be prepared any more is left out."""
        self._since = self._office.now()
        self._workers, self._names = dict(left.workers), left.workers.keys()
        for kept in left.requests:
            try:
                ticket = self._drafting.ticket(self._draft(kept))
            except (Refused, codec.BadFrame) as error:
                log.warning("the journal's %s is left out: %s", kept.request_id, error)
                self._office.journal.end(kept.request_id)
                continue
            self._office.clients.restore(kept.client, kept.number, self._since).open.add(
                kept.request_id
            )
            self._office.tickets[kept.request_id] = self._tickets[kept.request_id] = ticket
            self._office.held_bytes += ticket.image_bytes
        self._since = self._office.now()  # preparing them took its time
        if left.requests or left.workers:
            log.info("%d requests and %d workers are left", len(self), len(self._workers))
        self._begin_if_complete()

    def _draft(self, kept: Kept) -> Draft:
        word = codec.to_controller(kept.submit)
        if not isinstance(word, say.Submit):
            raise codec.BadFrame(f"expected a Submit, got {type(word).__name__}")
        ago = max(0.0, time.time() - kept.received)
        if word.slo not in self._office.options.slo:  # the classes have changed since
            word = msgspec.structs.replace(word, slo=STANDARD.name)
        images = [memoryview(image) for image in kept.images]
        return Draft(word, images, kept.number, self._since - ago)

    def reserved(self) -> Set[str]:
        """Names that workers which are still out there have."""
        over = self._office.now() - self._since > self._office.options.parts.rejoin_s
        return frozenset() if over else self._names

    @property
    def complete(self) -> bool:
        """Whether all who worked for the controller before us are back, or were waited for."""
        return not self._workers

    def back(self, worker: str) -> None:
        if self._workers.pop(worker, None) is not None:
            self._begin_if_complete()

    def when_complete(self, join: Callable[[], None]) -> None:
        """Once all workers are back, or were waited for; `back` or `tick` comes after this."""
        self._joining.append(join)

    def needing(self, keys: Set[str]) -> tuple[Request, ...]:
        """The requests that need one of these embeddings: they begin with it."""
        names = [
            name
            for name, one in self._tickets.items()
            if any(item.key in keys for item in one.request.media)
        ]
        for name in names:
            self._asked.pop(name, None)
        return tuple(self._tickets.pop(name).request for name in names)

    def tick(self) -> None:
        if self._tickets or self._workers or self._joining:
            self._begin_if_complete()

    def _begin_if_complete(self) -> None:
        """Start what nobody holds, as soon as all workers are back and its client has told which
        tokens it has had."""
        over = self._office.now() - self._since >= RETURN_S
        if self._workers and not over:
            return
        for name in self._workers:
            log.warning("%s did not come back within %g s", name, RETURN_S)
            self._office.journal.unseat(name)
        self._workers.clear()
        joining, self._joining = self._joining, []
        for join in joining:
            join()
        for request_id in list(self._tickets):
            if over or request_id in self._asked:
                self.begin(request_id)

    def begin(self, request_id: str) -> None:
        """Wait for nobody: it starts over behind the tokens that are known."""
        self._asked.pop(request_id, None)
        request = self._tickets.pop(request_id).request
        self._office.pump(on.Arrived(request, accepted=True))
        self._office.demand.admitted(request, self._office.now())

    def asked(self, ticket: Ticket, again: say.Submit) -> None:
        """Its client is there, and has had these tokens: it goes on behind them."""
        try:
            self._drafting.check_emitted(again, ticket.request.max_tokens)
        except Refused as error:
            log.warning("%s: %s", again.request_id, error)
        else:
            ticket.before, ticket.request.emitted = again.emitted, len(again.emitted)
        self._asked[again.request_id] = max(again.had, len(again.emitted))
        self._begin_if_complete()

    def take(self, held: say.Held) -> on.Hold | None:
        """A worker came back with this run: what the core is to be told of it, if it is wanted."""
        office, ticket = self._office, self._tickets.get(held.request_id)
        if ticket is None or ticket.client != held.client or not _in_order(held):
            return None
        session = office.clients.numbered(held.client)
        emitted = len(held.before) + sum(len(delta.token_ids) for delta in held.news)
        had, ticket.before = ticket.before, held.before
        asked = self._asked.get(held.request_id)
        missed = asked is not None and ticket.misses(asked)
        if missed or not ticket.request.emitted <= emitted <= ticket.request.max_tokens:
            ticket.before = had
            return None
        del self._tickets[held.request_id]
        self._asked.pop(held.request_id, None)
        ticket.request.emitted = emitted
        ticket.frames = [codec.encode(say.Deltas(held.news))]
        ticket.first_token = office.now()
        if session is not None:
            office.clients.send(session, ticket.frames[0])
        return on.Hold(ticket.request, held.run, bool(held.finish))


def _in_order(held: say.Held) -> bool:
    at = len(held.before)
    for delta in held.news:
        if delta.request_id != held.request_id or delta.start != at:
            return False
        at += len(delta.token_ids)
    return True
