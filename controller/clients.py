"""Who asks: client sessions, and what they have not read yet."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

from ..transport.channels import Router, Sent


@dataclass(slots=True)
class Session:
    """`number` stands for the client in words to workers, which group a step's news by it."""

    number: int
    identity: bytes
    open: set[str] = field(default_factory=set)
    backlog: deque[bytes] = field(default_factory=deque)
    stalled: float | None = None  # since when its queue is full
    gone: bool = False
    away: bool = False  # known from the journal, not heard of yet: its answers are kept
    heard: float = 0.0  # when it said something last


class Clients:
    def __init__(self, router: Router, numbers: int = 0) -> None:
        """`numbers`: where they begin."""
        self._router = router
        self._by_identity: dict[bytes, Session] = {}
        self._by_number: dict[int, Session] = {}
        self._count = numbers

    def __iter__(self) -> Iterator[Session]:
        return iter(list(self._by_number.values()))

    def session(self, identity: bytes) -> Session:
        """The session of a peer, begun with its first word."""
        session = self._by_identity.get(identity)
        if session is None:
            self._count += 1
            session = Session(self._count, identity)
            self._by_identity[identity] = self._by_number[session.number] = session
        return session

    def restore(self, identity: bytes, number: int, now: float) -> Session:
        """The session that a client had with the controller before."""
        session = self._by_identity.get(identity)
        if session is None:
            session = Session(number, identity, away=True, heard=now)
            self._by_identity[identity] = session
        self._by_number[number] = session
        return session

    def numbered(self, number: int) -> Session | None:
        return self._by_number.get(number)

    def end(self, session: Session) -> None:
        self._by_identity.pop(session.identity, None)
        self._by_number.pop(session.number, None)

    def send(self, session: Session, frame: bytes, now: float) -> None:
        """Send, or keep in order behind what could not be sent; a vanished peer is marked."""
        if session.away:
            return  # it will ask again
        if session.backlog or not self._try(session, frame):
            session.backlog.append(frame)
            if session.stalled is None:
                session.stalled = now

    def catch_up(self, session: Session) -> None:
        while session.backlog and self._try(session, session.backlog[0]):
            session.backlog.popleft()
        if not session.backlog:
            session.stalled = None

    def _try(self, session: Session, frame: bytes) -> bool:
        sent = self._router.send(session.identity, frame)
        session.gone = session.gone or sent is Sent.GONE
        return sent is not Sent.FULL
