"""The image side of the core: which embedding is made where, and who needs it.

Store room is booked for ALL images of a request at once, strictly in order of rank, and a
request without its whole set booked holds nothing: otherwise a store fills with the first halves
of several requests and none can end. Requests in flight with the same image share one embedding.
An embedding that lost its last consumer is an orphan until `sweep`, so that a request that starts
over finds what is still there. From then on it is cached: its room is given up as soon as a booking
needs it, the one that was not asked for longest first.

With `Terms.ahead_images` there is one queue for all encode replicas: images wait in it, in order of
rank, until some replica has next to nothing left.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from functools import partial
from typing import NamedTuple

from .backlog import Backlog
from .binding import need_of
from .commands import Command, Encode, Forget
from .media import Embedding, ItemPhase
from .placing import Placing, spread
from .queueing import OrderedQueue
from .replica import Replica
from .replicas import Fits, Replicas
from .request import Request
from .stage import Stage
from .terms import Terms


class Booking(NamedTuple):
    whole: bool  # the request has room for all of its images
    commands: list[Command]  # to be carried out in either case


class Images:
    def __init__(
        self, terms: Terms, replicas: Replicas, runs: int = 0, placing: Placing = spread
    ) -> None:
        self.terms = terms
        self._replicas, self._placing = replicas, placing
        self._runs = runs
        self.embeddings: dict[str, Embedding] = {}
        self.waiting = OrderedQueue()  # requests whose set of images is not booked
        self.backlog = Backlog()  # their image tokens
        self.orphans: set[str] = set()
        self.asked = 0  # contents that requests needed, since the start
        self.found = 0  # of them, those that were stored or under way

    def bytes_of(self, request: Request) -> int:
        """Store bytes that the whole set of `request` takes, each content once."""
        return sum({item.key: item.rows for item in request.media}.values()) * self.terms.row_bytes

    def want(self, request: Request, now: float) -> None:
        """(Re)start the images of `request`, which has some: it waits for a booking and holds
        nothing."""
        self.leave(request)
        request.home = None
        for item in request.media:
            if item.phase is not ItemPhase.WAITING:
                item.advance(ItemPhase.WAITING, now)
        self.waiting.add(request.id, (request.rank, request.order))
        self.backlog.add(request.rank, work_of(request))

    def leave(self, request: Request) -> None:
        """`request` needs no image any more."""
        self._wait_no_more(request)
        for item in request.media:
            embedding = self.embeddings.get(item.key)
            if embedding is not None and request.id in embedding.consumers:
                embedding.consumers.remove(request.id)
                if not embedding.consumers:
                    self.orphans.add(item.key)

    def _wait_no_more(self, request: Request) -> None:
        if request.id in self.waiting:
            self.waiting.remove(request.id)
            self.backlog.add(request.rank, -work_of(request))

    def place(
        self, requests: Mapping[str, Request], now: float
    ) -> tuple[list[Command], list[Request]]:
        """Book the sets that fit, in order; returns encode commands and the requests booked."""
        commands: list[Command] = []
        booked: list[Request] = []
        passed = 0
        while passed < len(self.waiting):
            request = requests[self.waiting.at(passed)]
            made = self._book(request)
            commands += made.commands
            if made.whole:
                booked.append(request)
                self._wait_no_more(request)
                self._join(request, now)
            elif self._fits_nowhere(request):
                passed += 1  # nobody waits behind what no store here can ever hold
            else:
                break
        return commands, booked

    def _fits_nowhere(self, request: Request) -> bool:
        stores = (
            one.ledger.store_bytes.capacity
            for one in self._replicas.values()
            if Stage.ENCODE in one.stages and one.takes_work
        )
        return self.bytes_of(request) > max(stores, default=0)

    def _book(self, request: Request) -> Booking:
        """Room for every content that is not in a store yet, or for none of them."""
        taken: list[Embedding] = []
        encodes: list[Encode] = []
        evicted: list[Command] = []
        own = {item.key for item in request.media}
        home: Replica | None = None
        if (able := self._together(request)) is not None:
            home = self._home(request, able, own)
            if home is None:
                return Booking(False, [])
        for index in _longest_first(request):
            item = request.media[index]
            if item.key in self.embeddings:
                continue
            size = item.rows * self.terms.row_bytes
            replica = home or self._replicas.first(
                Stage.ENCODE, partial(self._has_room, size=size, own=own), work=item.work
            )
            if replica is None or (not taken and self._has_enough(replica)):
                for embedding in taken:
                    self._erase(embedding)
                return Booking(False, evicted)
            evicted += self._make_room(replica, size, own)
            embedding = self._create(item.key, item.rows, item.work, replica)
            taken.append(embedding)
            encodes.append(Encode(replica.name, item.key, embedding.run, request.id, index))
        if home is not None:
            request.home = home.name
        self.asked += len(own)
        self.found += len(own) - len(taken)
        encodes.sort(key=lambda encode: encode.index)  # a prefill begins with the first image
        return Booking(True, [*evicted, *encodes])

    def _has_enough(self, replica: Replica) -> bool:
        """What waits here can still be passed by what comes later and is due before it; what a
        replica was given cannot. The images of one request are given out together."""
        ahead = self.terms.ahead_images
        return ahead is not None and len(replica.images) > ahead

    def _together(self, request: Request) -> Fits | None:
        """Who may encode all that is not in a store yet; None: each may be encoded elsewhere."""
        if self._placing is spread or all(one.key in self.embeddings for one in request.media):
            return None
        size = self.bytes_of(request)
        return self._placing(need_of(request, self.terms), size, self._replicas)

    def _home(self, request: Request, able: Fits, own: Set[str]) -> Replica | None:
        fresh = {one.key: one for one in request.media if one.key not in self.embeddings}
        size = sum(one.rows for one in fresh.values()) * self.terms.row_bytes

        def fits(one: Replica) -> bool:
            return able(one) and self._has_room(one, size, own)

        work = sum(one.work for one in fresh.values())
        return self._replicas.first(Stage.ENCODE, fits, work=work)

    def _has_room(self, one: Replica, size: int, own: Set[str]) -> bool:
        """Whether it fits if all that is cached makes way, but for the request's own."""
        if not one.takes_work:
            return False
        kept = sum(one.cached[key] for key in own & one.cached.keys())
        return one.ledger.store_bytes.free + one.cached_bytes - kept >= size

    def _make_room(self, replica: Replica, size: int, own: Set[str]) -> list[Command]:
        evicted: list[Command] = []
        while replica.ledger.store_bytes.free < size:
            evicted.append(self._evict(next(key for key in replica.cached if key not in own)))
        return evicted

    def _evict(self, key: str) -> Forget:
        embedding = self.embeddings[key]
        self._erase(embedding)
        return Forget(embedding.replica, key, embedding.run)

    def empty_cache(self, replica: Replica) -> list[Forget]:
        """It leaves: nobody is to begin to need what it stores."""
        return [self._evict(key) for key in list(replica.cached)]

    def _create(self, key: str, rows: int, work: int, replica: Replica) -> Embedding:
        self._runs += 1
        size = rows * self.terms.row_bytes
        embedding = Embedding(key, rows, work, size, replica.name, self._runs)
        replica.ledger.store_bytes.book(key, size)
        replica.images.add(key)
        replica.pending_image_tokens += work
        self._replicas.given(replica)
        self._replicas.note(replica)
        self.embeddings[key] = embedding
        return embedding

    def take_up(self, key: str, rows: int, run: int, name: str) -> bool:
        """A replica has it already; an orphan until somebody wants it. False: not counted."""
        replica, size = self._replicas[name], rows * self.terms.row_bytes
        if key in self.embeddings or size > replica.ledger.store_bytes.free:
            return False
        replica.ledger.store_bytes.book(key, size)
        self.embeddings[key] = Embedding(key, rows, 0, size, name, run, ready=True)
        self.orphans.add(key)
        return True

    def _join(self, request: Request, now: float) -> None:
        for item in request.media:
            embedding = self.embeddings[item.key]
            embedding.consumers.add(request.id)
            self.orphans.discard(item.key)
            self._uncache(embedding)
            item.advance(ItemPhase.READY if embedding.ready else ItemPhase.ENCODING, now)

    def encoded(self, key: str, replica: str, run: int) -> Embedding | None:
        """Mark it ready; None where the word is about an older attempt."""
        embedding = self.embeddings.get(key)
        if embedding is None or (embedding.replica, embedding.run) != (replica, run):
            return None
        if not embedding.ready:
            embedding.ready = True
            self._settle(embedding)
        return embedding

    def _settle(self, embedding: Embedding) -> None:
        """Its replica works on it no longer."""
        replica = self._replicas.get(embedding.replica)
        if replica is not None and embedding.key in replica.images:
            replica.images.remove(embedding.key)
            replica.pending_image_tokens -= embedding.work
            self._replicas.note(replica)

    def _uncache(self, embedding: Embedding) -> None:
        replica = self._replicas.get(embedding.replica)
        if replica is not None:
            replica.cached_bytes -= replica.cached.pop(embedding.key, 0)

    def _erase(self, embedding: Embedding) -> None:
        self._settle(embedding)
        self._uncache(embedding)
        replica = self._replicas.get(embedding.replica)
        if replica is not None:
            replica.ledger.store_bytes.release(embedding.key)
        del self.embeddings[embedding.key]
        self.orphans.discard(embedding.key)

    def sweep(self) -> list[Forget]:
        """What nobody needs is cached, where that is wanted, or dropped."""
        commands: list[Forget] = []
        for key in sorted(self.orphans):
            embedding = self.embeddings[key]
            replica = self._replicas[embedding.replica]
            most = self.terms.cache_bytes
            fits = most is None or embedding.bytes <= most
            if not (embedding.ready and fits) or replica.draining:
                commands.append(self._evict(key))
                continue
            replica.cached[key] = embedding.bytes
            replica.cached_bytes += embedding.bytes
            while most is not None and replica.cached_bytes > most:
                commands.append(self._evict(next(iter(replica.cached))))
        self.orphans.clear()
        return commands

    def discard(self, key: str) -> set[str]:
        """The embedding is no more (lost or failed); returns the requests that needed it."""
        embedding = self.embeddings[key]
        self._erase(embedding)
        return embedding.consumers


def work_of(request: Request) -> int:
    """Image tokens of its whole set, each content once."""
    return sum({item.key: item.work for item in request.media}.values())


def _longest_first(request: Request) -> list[int]:
    """Long ones first, each to where it is done first: so the last one is done early."""
    media = request.media
    return sorted(range(len(media)), key=lambda index: -media[index].work)
