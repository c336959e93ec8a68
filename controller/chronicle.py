"""What happened to the workers, and what was decided about them: the last events, for people.

`msctl events` shows it. Requests are not among them: their stories are their own.
"""

from __future__ import annotations

import logging
import time
from collections import Counter, deque
from collections.abc import Callable

from ..transport.messages import Event

log = logging.getLogger(__name__)

MOST_EVENTS = 10_000
MOST_TOLD = 1_000  # in one answer
MOST_SENTENCE = 2_000  # characters: a worker's last words may be long


class Chronicle:
    """A ring: what is older than the last MOST_EVENTS is forgotten."""

    def __init__(self, most: int = MOST_EVENTS, clock: Callable[[], float] = time.time) -> None:
        """`clock`: seconds of Unix time, since people ask when something was."""
        self._events: deque[Event] = deque(maxlen=most)
        self._clock = clock
        self.newest = 0  # number of the last event
        self.counts: Counter[str] = Counter()  # by kind, since the start

    def note(self, kind: str, sentence: str, **fields: str | int | float) -> None:
        """`kind` is one word for programs; `fields` has the numbers and names of the sentence."""
        self.newest += 1
        self.counts[kind] += 1
        event = Event(self.newest, self._clock(), kind, sentence[:MOST_SENTENCE], fields)
        self._events.append(event)
        log.info("%s: %s", event.kind, event.sentence)

    def told(self, after: int = 0, since: float = 0.0) -> tuple[Event, ...]:
        """The first events behind number `after`, none before `since`; at most MOST_TOLD.

        A number that is still to come is another controller's: then all are told.
        """
        behind = after if after <= self.newest else 0
        skip = max(0, len(self._events) - (self.newest - behind))
        found = []
        for index in range(skip, len(self._events)):
            event = self._events[index]
            if event.time >= since:
                found.append(event)
            if len(found) == MOST_TOLD:
                break
        return tuple(found)
