"""Who asks: client sessions, and what they have not read yet.

What is said to a client leaves with the loop's next turn, all of it in one message: under load a
turn ends several requests of each client, and even a lone one has its last token and its end.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from ..transport import codec
from ..transport.channels import LARGE, Router, Sent

MOST = 1000  # words of a message


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
        self._loop = asyncio.get_running_loop()
        self._due: list[Session] = []  # to be told something with the next turn

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

    def send(self, session: Session, word: bytes) -> None:
        """Say it with the next turn, or keep it in order behind what could not be sent."""
        if session.away:
            return  # it will ask again
        if not session.backlog:
            if not self._due:
                self._loop.call_soon(self.flush)
            self._due.append(session)
        session.backlog.append(word)

    def flush(self) -> None:
        """Say now what is due."""
        due, self._due = self._due, []
        for session in due:
            self.catch_up(session)

    def catch_up(self, session: Session) -> None:
        """Send what can be sent; a vanished peer is marked."""
        while session.backlog:
            words = _some(session.backlog)
            sent = self._router.send(session.identity, codec.joined(words))
            if sent is Sent.FULL:
                session.stalled = session.stalled or time.monotonic()
                return
            session.gone = session.gone or sent is Sent.GONE
            for _ in words:
                session.backlog.popleft()
        session.stalled = None


def _some(backlog: Iterable[bytes]) -> list[bytes]:
    """What goes into one message: its first word, and others that are not large."""
    words: list[bytes] = []
    room = LARGE
    for word in backlog:
        room -= len(word)
        if words and (room < 0 or len(words) == MOST):
            break
        words.append(word)
    return words
