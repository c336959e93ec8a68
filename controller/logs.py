"""The controller's log on stderr: a line for every request that ends, so it is to cost little.

Lines are written together, ten times a second; a warning at once, with those before it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from contextlib import suppress
from typing import TextIO

FLUSH_S = 0.1
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
    def emit(self, record: logging.LogRecord) -> None:
        try:
            self.stream.write(f"{self.format(record)}{self.terminator}")
            if record.levelno >= logging.WARNING:
                self.flush()
        except OSError:
            self.handleError(record)


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
    handler = Gathering(os.fdopen(sys.stderr.fileno(), "w", encoding="utf-8", closefd=False))
    handler.setFormatter(Lines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    return handler
