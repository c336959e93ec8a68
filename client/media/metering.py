"""What one picture, and one request, may still take, in bytes and time, while bytes come in."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from .errors import TOO_LARGE, TOO_LARGE_IN_ALL, TOO_MANY_PIXELS_IN_ALL, BadMedia
from .limits import Limits

MOST_HEAD = 64 * 2**10  # bytes of a response's head, further heads before it included


@dataclass(slots=True)
class Allowance:
    """Of one request; its pictures share it."""

    limits: Limits
    bytes: int = 0  # taken
    pixels: int = 0

    def take_bytes(self, count: int) -> None:
        self.bytes += count
        if self.bytes > self.limits.request_bytes:
            raise BadMedia(413, TOO_LARGE_IN_ALL.format(bytes=self.limits.request_bytes))

    def take_pixels(self, count: int) -> None:
        self.pixels += count
        if self.pixels > self.limits.request_pixels:
            raise BadMedia(413, TOO_MANY_PIXELS_IN_ALL.format(pixels=self.limits.request_pixels))


class Meter:
    """Counts what comes over the wire for one picture, all redirects included.

    The deadline moves with each byte: `grace_s`, and from then on what `least_rate` allows. A
    server that drips is left long before the deadline of the whole, which `timer` does not know.
    """

    def __init__(self, limits: Limits, timer: asyncio.Timeout) -> None:
        self._limits, self._timer = limits, timer
        self._begun = asyncio.get_running_loop().time()
        self._received = 0
        self._most = 0
        self._took(0)

    def expect_head(self) -> None:
        self._most = self._received + MOST_HEAD

    def expect_body(self) -> None:
        """An eighth more for what chunks say of themselves."""
        self._most = self._received + self._limits.bytes * 9 // 8 + MOST_HEAD

    def took(self, count: int) -> None:
        self._took(count)
        if self._received > self._most:
            raise BadMedia(413, TOO_LARGE.format(bytes=self._limits.bytes))

    def _took(self, count: int) -> None:
        self._received += count
        spent_s = self._limits.grace_s + self._received / self._limits.least_rate
        self._timer.reschedule(self._begun + spent_s)
