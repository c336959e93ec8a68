"""The controller's log on stderr: a line for every request that ends, so it is to cost little."""

from __future__ import annotations

import logging
import sys
import time

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


def begin_log() -> None:
    """As logging.basicConfig, without looking up what no line tells (the caller, thread, process):
    the way in which Python's documentation of logging says so."""
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
