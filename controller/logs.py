"""The controller's log on stderr: a line for every request that ends, so it is to cost little.

Lines are written together, ten times a second; a warning at once, with those before it.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from contextlib import suppress
from typing import TextIO

FLUSH_S = 0.1
MOST_LINES = 1000
LINE = "%(asctime)s %(levelname)s %(name)s %(message)s"


class Lines(logging.Formatter):
    """The time of day is written out once a second."""

    def __init__(self) -> None:
        super().__init__(LINE)
        self._second, self._written = -1, ""

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        second = int(record.created)
        if second != self._second:
            self._second = second
            self._written = time.strftime(self.default_time_format, time.localtime(second))
        return f"{self._written},{record.msecs:03.0f}"


class Gathering(logging.StreamHandler[TextIO]):
    """Line by line is how stderr writes whatever it is given, so it is given many at once."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream)
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(f"{self.format(record)}{self.terminator}")
        if record.levelno >= logging.WARNING or len(self._lines) >= MOST_LINES:
            try:
                self.flush()
            except OSError:
                self.handleError(record)

    def flush(self) -> None:
        """Raises OSError; what could not be written is lost."""
        if self._lines:
            text = "".join(self._lines)
            self._lines.clear()
            self.stream.write(text)
        self.stream.flush()


async def flush_often(log: Gathering) -> None:
    while True:
        await asyncio.sleep(FLUSH_S)
        with suppress(OSError):  # nobody reads it any more, or the disk is full
            log.flush()


def begin_log() -> Gathering:
    """As logging.basicConfig, without looking up what no line tells (the caller, thread, process):
    the way in which Python's documentation of logging says so."""
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = Gathering(sys.stderr)
    handler.setFormatter(Lines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    return handler
