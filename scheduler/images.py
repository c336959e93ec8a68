"""The image side of the core: which embedding is made where, and who needs it.

Store room is booked for ALL images of a request at once, strictly in order of deadline, and a
request without its whole set booked holds nothing: otherwise a store fills with the first halves
of several requests and none can end. Requests in flight with the same image share one embedding.
An embedding that lost its last consumer is an orphan until `sweep`, so that a request that starts
over finds what is still there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from .commands import Command, Encode, Forget
from .media import Embedding, ItemPhase
from .queueing import OrderedQueue
from .replica import Replica
from .request import Request
from .stage import Stage
from .terms import Terms

Choose = Callable[[Iterable[Replica]], Replica | None]


class Images:
    def __init__(
        self, terms: Terms, replicas: Mapping[str, Replica], choose: Choose, runs: int = 0
    ) -> None:
        self.terms = terms
        self._replicas = replicas
        self._choose = choose
        self._runs = runs
        self.embeddings: dict[str, Embedding] = {}
        self.waiting = OrderedQueue()  # requests whose set of images is not booked
        self.orphans: set[str] = set()

    def bytes_of(self, request: Request) -> int:
        """Store bytes that the whole set of `request` takes, each content once."""
        return sum({item.key: item.rows for item in request.media}.values()) * self.terms.row_bytes

    def want(self, request: Request, now: float) -> None:
        """(Re)start the images of `request`: it waits for a booking and holds nothing."""
        self.leave(request)
        for item in request.media:
            if item.phase is not ItemPhase.WAITING:
                item.advance(ItemPhase.WAITING, now)
        if request.media:
            self.waiting.add(request.id, (request.deadline, request.order))

    def leave(self, request: Request) -> None:
        """`request` needs no image any more."""
        self.waiting.remove(request.id)
        for item in request.media:
            embedding = self.embeddings.get(item.key)
            if embedding is not None:
                embedding.consumers.discard(request.id)
                if not embedding.consumers:
                    self.orphans.add(item.key)

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
            if made is not None:
                commands += made
                booked.append(request)
                self.waiting.remove(request.id)
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

    def _book(self, request: Request) -> list[Command] | None:
        """Room for every content that is not in a store yet, or nothing at all."""
        taken: list[Embedding] = []
        commands: list[Command] = []
        for index, item in enumerate(request.media):
            if item.key in self.embeddings:
                continue
            replica = self._choose(self._with_room(item.rows * self.terms.row_bytes))
            if replica is None:
                for embedding in taken:
                    self._erase(embedding)
                return None
            embedding = self._create(item.key, item.rows, item.work, replica)
            taken.append(embedding)
            commands.append(Encode(replica.name, item.key, embedding.run, request.id, index))
        return commands

    def _with_room(self, size: int) -> Iterable[Replica]:
        return (
            one
            for one in self._replicas.values()
            if Stage.ENCODE in one.stages and one.takes_work and one.ledger.store_bytes.free >= size
        )

    def _create(self, key: str, rows: int, work: int, replica: Replica) -> Embedding:
        self._runs += 1
        size = rows * self.terms.row_bytes
        embedding = Embedding(key, rows, work, size, replica.name, self._runs)
        replica.ledger.store_bytes.book(key, size)
        replica.images.add(key)
        replica.pending_image_tokens += work
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

    def _erase(self, embedding: Embedding) -> None:
        self._settle(embedding)
        replica = self._replicas.get(embedding.replica)
        if replica is not None:
            replica.ledger.store_bytes.release(embedding.key)
        del self.embeddings[embedding.key]
        self.orphans.discard(embedding.key)

    def sweep(self) -> list[Forget]:
        """Drop every embedding that nobody needs."""
        commands: list[Forget] = []
        for key in sorted(self.orphans):
            embedding = self.embeddings[key]
            self._erase(embedding)
            commands.append(Forget(embedding.replica, key, embedding.run))
        return commands

    def discard(self, key: str) -> set[str]:
        """The embedding is no more (lost or failed); returns the requests that needed it."""
        embedding = self.embeddings[key]
        self._erase(embedding)
        return embedding.consumers
