"""Answers that ended a moment ago: a repeated Submit may cross the last word on its way."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

MOST, MOST_BYTES = 1_000, 32 * 2**20


class Ended:
    """The oldest are forgotten first. Only the client that asked hears its answer again."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[bytes, str], tuple[bytes, ...]] = OrderedDict()
        self._bytes = 0

    def keep(self, identity: bytes, request_id: str, frames: Sequence[bytes]) -> None:
        """`frames`: everything that was said about the request, the last word too."""
        self._kept[identity, request_id] = tuple(frames)
        self._bytes += sum(map(len, frames))
        while len(self._kept) > MOST or self._bytes > MOST_BYTES:
            _, forgotten = self._kept.popitem(last=False)
            self._bytes -= sum(map(len, forgotten))

    def of(self, identity: bytes, request_id: str) -> tuple[bytes, ...]:
        """Nothing where it is not known, or not any more."""
        return self._kept.get((identity, request_id), ())
