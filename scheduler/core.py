"""The one place where policies meet: an event goes in, commands come out.

The controller drives it with real messages and a real clock, the simulator with a heap and a
number. Nothing here waits, sends, reads the time or rolls dice. A word about a run of a request,
or about an encoding, that counts no more is ignored: it was on its way when the run ended.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping
from typing import Any

from . import events as on
from .admission import refusal
from .aging import ORDERS
from .binding import BINDINGS, Need, can_hold, fits_nowhere, need_of, place
from .commands import (
    Command,
    Decode,
    Drop,
    End,
    Forget,
    Prefill,
    Release,
    Stop,
    Supply,
    SwitchStages,
)
from .degrading import Refusal, affordable
from .events import Event
from .images import Images
from .ledger import ledger
from .media import ItemPhase, MediaItem
from .nearness import Near, Nearness
from .outlook import Outlook
from .placing import PLACINGS
from .queueing import OrderedQueue
from .replica import Replica
from .replicas import Replicas
from .request import Phase, Request
from .routing import ROUTINGS
from .slo.classes import CLASSES, SloClass
from .terms import Terms
from .waiting import Waiting

LEAST_DEADLINES = 1000  # kept of requests that have ended
BOUND = frozenset({Phase.PREFILLING, Phase.PREFILLED, Phase.DECODING})


class Core:
    """`handle` is the only way in. Ended requests leave with their `End` command."""

    def __init__(
        self,
        terms: Terms,
        bind: str = "first",
        runs: int = 0,
        *,
        admission: str = "limits",
        routing: str = "finish",
        order: str = "slack",
        placing: str = "spread",
        classes: Mapping[str, SloClass] = CLASSES,
    ) -> None:
        """`runs`: where the numbers of runs begin, such that words to another core, of a process
        that had this one's place, are about other numbers. `classes`: that requests may be degraded
        to. The policies are named in `binding.py`, `degrading.py`, `routing.py`, `aging.py` and
        `placing.py`."""
        self.terms = terms
        self.requests: dict[str, Request] = {}
        self.degraded = 0  # requests, since the start
        self._by_speed = routing == "finish"
        self.replicas = Replicas(ROUTINGS[routing], by_speed=self._by_speed)
        self.queue = OrderedQueue()  # requests that a text replica could start on
        self.images = Images(terms, self.replicas, runs, PLACINGS[placing])
        self.nearness = Nearness(self.replicas, self.images.embeddings)
        self.waiting = Waiting(ranked=admission == "predicted")
        self.outlook = Outlook(self.replicas, self.images, self.nearness, self.waiting, self.queue)
        self._predicts, self._classes = admission == "predicted", classes
        self._rank = ORDERS[order]
        self._bindable = BINDINGS["all" if terms.cross_attention else bind]
        self._deadlines: list[tuple[float, str]] = []
        self._arrivals = 0
        self._runs = runs
        self._now = 0.0
        self._out: list[Command] = []
        self._on: dict[type, Callable[[Any], None]] = {
            on.Joined: self._joined,
            on.Heard: self._heard,
            on.Lost: self._lost,
            on.DrainAsked: self._drain_asked,
            on.SwitchAsked: self._switch_asked,
            on.Arrived: self._arrived,
            on.Encoded: self._encoded,
            on.EncodeFailed: self._encode_failed,
            on.Pulled: self._pulled,
            on.PullFailed: self._pull_failed,
            on.Prefilled: self._prefilled,
            on.HandedOver: self._handed_over,
            on.Progressed: self._progressed,
            on.Stepped: self._stepped,
            on.Finished: self._finished,
            on.Preempted: self._preempted,
            on.Failed: self._failed,
            on.Cancelled: self._cancelled,
            on.Ticked: self._ticked,
        }

    def handle(self, event: Event, now: float) -> list[Command]:
        """Take in one event at time `now` (seconds, never less than before)."""
        self._now, self._out = now, []
        self._on[type(event)](event)
        return self._out

    def reckon(self, terms: Terms) -> None:
        """Change the sizes; nothing may be booked by the old ones, so no replica may be there."""
        if self.replicas:
            raise ValueError(f"expected no replica before new terms, got {len(self.replicas)}")
        self.terms = self.images.terms = terms

    # Replicas come and go.

    def _joined(self, event: on.Joined) -> None:
        if event.replica in self.replicas:
            self._remove(event.replica, "another process joined under its name")
        room = ledger(event.kv_blocks, event.store_bytes, event.staging_bytes)
        self.replicas[event.replica] = Replica(
            event.replica, event.epoch, event.stages, room, heard=self._now
        )
        for hold in event.holds:
            self._take_up(hold, self.replicas[event.replica])
        for store in event.stores:
            if not self.images.take_up(store.key, store.rows, store.run, event.replica):
                self._out.append(Forget(event.replica, store.key, store.run))
        for request in event.arrivals:
            if request.id not in self.requests:
                self._admit(request)
                self._start(request)
        self._dispatch()

    def _take_up(self, hold: on.Hold, replica: Replica) -> None:
        """It goes on where it is, if our books have the room for it; otherwise it starts over."""
        request, need = hold.request, need_of(hold.request, self.terms)
        known = request.id in self.requests
        if known or not (hold.over or can_hold(replica, need)):
            self._out.append(Release(replica.name, request.id, hold.run))
            if not known:
                self._admit(request)
                self._start(request)
            return
        self._admit(request)
        request.run, request.prefill, request.decode = hold.run, replica.name, replica.name
        replica.bound.add(request.id)
        replica.ledger.kv_blocks.book(request.id, 0 if hold.over else need.blocks)
        replica.ledger.staging_bytes.book(request.id, 0 if hold.over else need.kept)
        self.replicas.note(replica)
        for phase in (Phase.QUEUED, Phase.PREFILLING, Phase.PREFILLED, Phase.DECODING):
            request.advance(phase, self._now)
        self.waiting.follow(request)
        for item in request.media:
            item.advance(ItemPhase.GONE, self._now)

    def _heard(self, event: on.Heard) -> None:
        replica = self.replicas.get(event.replica)
        if replica is None:
            return
        replica.heard = self._now
        if event.speed is not None and replica.tell(event.speed):
            self.replicas.follow(replica)
        if replica.late:
            replica.late = False
            self.replicas.follow(replica)
            self._dispatch()

    def _lost(self, event: on.Lost) -> None:
        if event.replica in self.replicas:
            self._remove(event.replica, event.reason)
            self._dispatch()

    def _drain_asked(self, event: on.DrainAsked) -> None:
        replica = self.replicas.get(event.replica)
        if replica is not None:
            replica.becomes = None
            self._drain(replica)
            self._dispatch()

    def _switch_asked(self, event: on.SwitchAsked) -> None:
        replica = self.replicas.get(event.replica)
        if replica is None or (replica.draining and replica.becomes is None):
            return
        if event.stages == replica.stages:
            replica.draining, replica.becomes = False, None
            self.replicas.follow(replica)
        else:
            replica.becomes = event.stages
            self._drain(replica)
        self._dispatch()

    def _drain(self, replica: Replica) -> None:
        replica.draining = True
        self.replicas.follow(replica)
        self._out += self.images.empty_cache(replica)
        self._empty_if_stranded(replica)
        self._go_if_drained(replica)

    def _empty_if_stranded(self, replica: Replica) -> None:
        """What a leaving replica stores for requests that nobody else can bind would hold it."""
        for key in sorted(replica.ledger.store_bytes.owners):
            embedding = self.images.embeddings.get(key)
            if embedding is None:
                continue
            if all(self._stranded(self.requests[name]) for name in embedding.consumers):
                self._lose_embedding(key, counts=False)

    def _stranded(self, request: Request) -> bool:
        need = need_of(request, self.terms)
        return request.prefill is None and fits_nowhere(need, self.replicas, request.home)

    def _remove(self, name: str, reason: str) -> None:
        """What ran there starts over; what it stored is encoded again where it is still needed."""
        replica = self.replicas.remove(name)
        self._out.append(Drop(name, replica.epoch, reason))
        for key in sorted(replica.ledger.store_bytes.owners):
            self._lose_embedding(key)
        for request_id in sorted(replica.bound):
            request = self.requests.get(request_id)
            if request is not None and name in (request.prefill, request.decode):
                self._run_again(request, counts=True)

    def _lose_embedding(self, key: str, *, counts: bool = True) -> None:
        embedding = self.images.embeddings[key]
        if embedding.replica in self.replicas:
            self._out.append(Forget(embedding.replica, key, embedding.run))
        for request_id in sorted(self.images.discard(key)):
            request = self.requests[request_id]
            missing = [one for one in request.media if one.key == key]
            if any(one.phase is not ItemPhase.PULLED for one in missing):
                self._run_again(request, counts=counts)

    def _go_if_drained(self, replica: Replica) -> None:
        if not replica.draining or not replica.idle or replica.stopping:
            return
        replica.stopping = True
        if replica.becomes is None:
            self._out.append(Stop(replica.name))
        else:
            del self.replicas[replica.name]
            self._out.append(SwitchStages(replica.name, replica.becomes))

    # Requests begin.

    def _arrived(self, event: on.Arrived) -> None:
        request = event.request
        if request.id in self.requests:
            return  # a repeated submission is harmless
        refused = None if event.accepted else self._refusal(request, event.waited_s)
        if refused is not None:
            request.advance(Phase.REJECTED, self._now)
            self._out.append(End(request, refused.reason, refused.retry_after_s))
            return
        self._admit(request)
        self._start(request)
        self._dispatch()

    def _refusal(self, request: Request, waited_s: float) -> Refusal | None:
        """Why it is not admitted; one that is may be promised less than it asked for."""
        reason = refusal(
            request,
            len(self.requests),
            self.waiting.tokens,
            self.images,
            self.replicas,
            self.terms,
        )
        if reason is not None:
            return Refusal(reason)
        if not self._predicts:
            return None
        slo = affordable(request, self._classes, self.outlook, self._now, waited_s, self._rank)
        if isinstance(slo, Refusal):
            return slo
        self.degraded += slo is not request.slo
        request.slo = slo
        return None

    def _admit(self, request: Request) -> None:
        self._arrivals += 1
        request.order = self._arrivals
        patience_s = request.deadline - self._now
        request.rank = self._rank(self._now, request.prompt_tokens, request.slo.ttft_s, patience_s)
        self.requests[request.id] = request
        heapq.heappush(self._deadlines, (request.deadline, request.id))
        if len(self._deadlines) > 2 * len(self.requests) + LEAST_DEADLINES:
            self._forget_deadlines()
        request.advance(Phase.ADMITTED, self._now)

    def _forget_deadlines(self) -> None:
        """Those of requests that ended long before them; seldom, so that it costs each little."""
        self._deadlines = [(one.deadline, one.id) for one in self.requests.values()]
        heapq.heapify(self._deadlines)

    def _start(self, request: Request) -> None:
        if request.media:
            self.images.want(request, self._now)
        self._queue_if_ready(request)
        if request.phase is Phase.ADMITTED:
            self.waiting.follow(request)

    def _queue_if_ready(self, request: Request) -> None:
        if request.phase is Phase.ADMITTED and self._bindable(request):
            request.advance(Phase.QUEUED, self._now)
            self.queue.add(request.id, (request.rank, request.order))
            self.waiting.follow(request)

    def _run_again(self, request: Request, *, counts: bool) -> None:
        """Take the request off its replicas and start over from prompt + emitted tokens."""
        self._unbind(request)
        request.failures += counts
        if request.failures > self.terms.max_failures:
            runs = f"{request.failures} runs of it were lost"
            self._end(request, Phase.FAILED, f"gave up on the request after {runs}")
            return
        self.queue.remove(request.id)
        if request.phase is not Phase.ADMITTED:
            request.advance(Phase.ADMITTED, self._now)
        self._start(request)

    # Images.

    def _encoded(self, event: on.Encoded) -> None:
        embedding = self.images.encoded(event.key, event.replica, event.run)
        if embedding is None:
            return
        for request_id in sorted(embedding.consumers):
            request = self.requests[request_id]
            for index, item in enumerate(request.media):
                if item.key == event.key and item.phase is ItemPhase.ENCODING:
                    item.advance(ItemPhase.READY, self._now)
                    self._supply(request, index, item)
            self._queue_if_ready(request)
        self._dispatch()

    def _supply(self, request: Request, index: int, item: MediaItem) -> None:
        if request.prefill is not None:
            self._out.append(Supply(request.prefill, request.id, request.run, index, item.key))

    def _encode_failed(self, event: on.EncodeFailed) -> None:
        embedding = self.images.embeddings.get(event.key)
        if embedding is None or (embedding.replica, embedding.run) != (event.replica, event.run):
            return
        for request_id in sorted(self.images.discard(event.key)):
            request = self.requests[request_id]
            if event.fault:
                self._end(request, Phase.FAILED, event.reason)
            else:
                self._run_again(request, counts=True)
        self._dispatch()

    def _pulled(self, event: on.Pulled) -> None:
        request = self.bound(event.request, event.replica, event.run)
        if request is not None and request.media[event.index].phase is ItemPhase.READY:
            request.media[event.index].advance(ItemPhase.PULLED, self._now)

    def _pull_failed(self, event: on.PullFailed) -> None:
        request = self.bound(event.request, event.replica, event.run)
        if request is None:
            return
        item = request.media[event.index]
        if item.phase is ItemPhase.GONE:
            return  # the prefill did without it: its beginning was known
        if event.gone and item.phase is ItemPhase.READY and item.key in self.images.embeddings:
            # Others that count on it start over too. It is no fault of their runs: what nobody
            # asked for in a while may have ended its lease.
            self._lose_embedding(item.key, counts=False)
        else:
            self._run_again(request, counts=True)
        self._dispatch()

    # Text.

    def _bind(self) -> None:
        """In order; nobody overtakes a request that waits for room which others give back."""
        passed = 0
        while passed < len(self.queue):
            request = self.requests[self.queue.at(passed)]
            need = need_of(request, self.terms)
            near = self._near(request)
            found = place(need, self.replicas, self._waiting_blocks, near, request.home)
            if found is not None:
                self._bind_to(request, need, *found)
            elif fits_nowhere(need, self.replicas, request.home):
                passed += 1
            else:
                return

    def _bind_to(self, request: Request, need: Need, prefill: Replica, decode: Replica) -> None:
        self.queue.remove(request.id)
        self._runs += 1
        request.run = self._runs
        request.prefill, request.decode = prefill.name, decode.name
        prefill.pending_tokens += request.tokens
        if self.terms.prefix_cache:
            self.nearness.bound(request, prefill)
        for replica in {prefill.name: prefill, decode.name: decode}.values():
            if replica.name != request.home:
                self.replicas.given(replica)
            replica.bound.add(request.id)
            replica.ledger.kv_blocks.book(request.id, need.blocks)
            staging = need.staging if replica is prefill else need.kept
            replica.ledger.staging_bytes.book(request.id, staging)
            self.replicas.note(replica)
        request.advance(Phase.PREFILLING, self._now)
        self._out.append(Prefill(prefill.name, request.id, request.run, decode.name))
        if decode is not prefill:
            self._out.append(Decode(decode.name, request.id, request.run, prefill.name))
        for index, item in enumerate(request.media):
            if item.phase is ItemPhase.READY:
                self._supply(request, index, item)

    def _near(self, request: Request) -> Mapping[str, Near]:
        if request.home or not (self._by_speed and (request.beginnings or request.media)):
            return {}
        return self.nearness.of(request, self.terms.block_size)

    def _waiting_blocks(self, replica: Replica) -> int:
        """Blocks of the requests bound here that still miss an image."""
        owners = replica.ledger.kv_blocks.owners
        return sum(
            owners[name]
            for name in replica.bound
            if any(item.phase is ItemPhase.ENCODING for item in self.requests[name].media)
        )

    def _prefilled(self, event: on.Prefilled) -> None:
        request = self.bound(event.request, event.replica, event.run)
        if request is None or request.phase is not Phase.PREFILLING:
            return
        self._count_prefilled(request)
        self._emit(request, event.emitted)
        if request.media:
            self._leave_images(request)
        request.advance(Phase.PREFILLED, self._now)
        self.waiting.follow(request)
        if request.prefill == request.decode:
            request.advance(Phase.DECODING, self._now)
        if not self.terms.cross_attention:
            for name in (request.prefill, request.decode):
                self.replicas[name or ""].ledger.staging_bytes.release(request.id)
        self._dispatch()

    def _handed_over(self, event: on.HandedOver) -> None:
        request = self.bound(event.request, event.replica, event.run)
        if request is None or request.phase is not Phase.PREFILLED:
            return
        assert request.prefill is not None
        request.advance(Phase.DECODING, self._now)
        self._let_go(request, request.prefill)
        request.prefill = request.decode
        self._dispatch()

    def _progressed(self, event: on.Progressed) -> None:
        request = self.bound(event.request, event.replica, event.run)
        if request is not None:
            self._emit(request, event.emitted)

    def _stepped(self, event: on.Stepped) -> None:
        for name, run, emitted in event.progress:
            request = self.bound(name, event.replica, run)
            if request is not None:
                self._emit(request, emitted)

    def _emit(self, request: Request, emitted: int) -> None:
        if emitted > request.emitted:
            request.emitted = emitted
        replica, tokens = self.replicas[request.decode or ""], request.tokens
        account = replica.ledger.kv_blocks
        if account.owners[request.id] * self.terms.block_size < tokens:
            account.grow(request.id, self.terms.blocks(tokens))
            self.replicas.note(replica)

    def _finished(self, event: on.Finished) -> None:
        request = self.bound(event.request, event.replica, event.run)
        if request is not None:
            self._unbind(request)
            request.emitted = max(request.emitted, event.emitted)
            self._end(request, Phase.DONE, event.reason)
            self._dispatch()

    def _preempted(self, event: on.Preempted) -> None:
        request = self.bound(event.request, event.replica, event.run)
        if request is not None:
            self._run_again(request, counts=False)
            self._dispatch()

    def _failed(self, event: on.Failed) -> None:
        request = self.bound(event.request, event.replica, event.run)
        if request is None:
            return
        if event.fault:
            self._end(request, Phase.FAILED, event.reason)
        else:
            self._run_again(request, counts=True)
        self._dispatch()

    def _cancelled(self, event: on.Cancelled) -> None:
        request = self.requests.get(event.request)
        if request is not None:
            self._end(request, Phase.CANCELLED, event.reason)
            self._dispatch()

    # Bookkeeping.

    def bound(self, name: str, replica: str, run: int) -> Request | None:
        """The request, if this run of it, on this replica, is the one that counts."""
        request = self.requests.get(name)
        if request is None or request.run != run:
            return None
        return request if replica in (request.prefill, request.decode) else None

    def _count_prefilled(self, request: Request) -> None:
        """The prompt is no longer pending on the replica that it was bound to."""
        replica = self.replicas.get(request.prefill or "")
        if replica is not None:
            replica.pending_tokens -= request.tokens
            self.replicas.note(replica)

    def _let_go(self, request: Request, name: str) -> None:
        """Free the request's room on one replica, here and there."""
        replica = self.replicas.get(name)
        if replica is None or request.id not in replica.bound:
            return
        replica.bound.remove(request.id)
        replica.ledger.kv_blocks.release(request.id)
        replica.ledger.staging_bytes.release(request.id)
        self.replicas.note(replica)
        self._out.append(Release(name, request.id, request.run))
        self._go_if_drained(replica)

    def _unbind(self, request: Request) -> None:
        if request.prefill is None or request.decode is None:
            return
        if request.phase is Phase.PREFILLING:
            self._count_prefilled(request)
        for name in dict.fromkeys((request.prefill, request.decode)):
            self._let_go(request, name)
        request.prefill = request.decode = None

    def _leave_images(self, request: Request) -> None:
        self.images.leave(request)
        for item in request.media:
            if item.phase is not ItemPhase.GONE:
                item.advance(ItemPhase.GONE, self._now)

    def _end(self, request: Request, phase: Phase, reason: str) -> None:
        self._unbind(request)
        self.queue.remove(request.id)
        if request.media:
            self._leave_images(request)
        request.advance(phase, self._now)
        self.waiting.follow(request)
        del self.requests[request.id]
        self._out.append(End(request, reason))

    def _dispatch(self) -> None:
        """Give out what can be given out: image sets, then what nobody needs, then bindings."""
        if self.images.waiting:
            self._place_images()
        if self.images.orphans:
            orphaned = self.images.sweep()
            self._out += orphaned
            for name in sorted({forget.replica for forget in orphaned}):
                if (replica := self.replicas.get(name)) is not None:
                    self._go_if_drained(replica)
            self._place_images()
        if self.queue:
            self._bind()

    def _place_images(self) -> None:
        commands, booked = self.images.place(self.requests, self._now)
        self._out += commands
        for request in booked:
            self._queue_if_ready(request)

    # Time.

    def _ticked(self, event: on.Ticked) -> None:
        self.outlook.tick(self._now)
        for replica in list(self.replicas.values()):
            if self.replicas.get(replica.name) is not replica:
                continue  # it was drained by the loss of one before
            silent = self._now - replica.heard
            if silent > self.terms.lost_s:
                self._remove(replica.name, f"it was silent for {silent:.1f} s")
                continue
            if silent > self.terms.late_s and not replica.late:
                replica.late = True
                self.replicas.follow(replica)
            if replica.draining:
                self._empty_if_stranded(replica)
                self._go_if_drained(replica)
        while self._deadlines and self._deadlines[0][0] <= self._now:
            _, name = heapq.heappop(self._deadlines)
            request = self.requests.get(name)
            if request is not None and request.deadline <= self._now:
                waited = self._now - request.story[0][1]
                doing = request.phase.name.lower()
                self._end(request, Phase.FAILED, f"deadline passed after {waited:.1f} s {doing}")
        self._dispatch()
