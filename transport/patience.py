"""Threads for work on what strangers sent, which may take for ever: nobody waits for it that long.

A thread cannot be stopped. Work that is over its time fails for whoever waits, and another thread
takes the place of the one that still has it, which ends when the work does. So a file that hangs a
library costs a thread, and not the service.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

log = logging.getLogger(__name__)

MOST_HUNG = 16  # threads that are over their time and have been replaced

T = TypeVar("T")


class TooSlow(Exception):
    """The work was given up after its time; one sentence."""


@dataclass(eq=False, slots=True)
class _Job(Generic[T]):
    work: Callable[[], T]
    future: asyncio.Future[T]
    begun: float | None = None  # on the loop's clock
    given_up: bool = False
    replaced: bool = False  # its thread, by another
    timer: asyncio.TimerHandle | None = None


class Patience:
    """`count` threads, each with `limit_s` for a piece of work; belongs to the running loop."""

    def __init__(self, count: int, limit_s: float, name: str) -> None:
        self._limit_s, self._name = limit_s, name
        self._loop = asyncio.get_running_loop()
        self._jobs: SimpleQueue[_Job[Any] | None] = SimpleQueue()
        self._count = count
        self._hung = 0
        self._closed = False
        for _ in range(count):
            self._begin()

    def run(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """The future of the result. It fails with TooSlow, and may be cancelled."""
        job = _Job(work, self._loop.create_future())
        job.timer = self._loop.call_later(self._limit_s, self._look, job)
        job.future.add_done_callback(lambda _: job.timer.cancel() if job.timer else None)
        self._jobs.put(job)
        return job.future

    def close(self) -> None:
        """What has not begun never does; nobody waits for what has."""
        self._closed = True
        for _ in range(self._count):
            self._jobs.put(None)

    def _begin(self) -> None:
        threading.Thread(target=self._serve, name=self._name, daemon=True).start()

    def _look(self, job: _Job[Any]) -> None:
        """Time in the queue does not count: there it is the others' fault."""
        if job.future.done():
            return
        spent = 0.0 if job.begun is None else self._loop.time() - job.begun
        if spent < self._limit_s:
            job.timer = self._loop.call_later(self._limit_s - spent, self._look, job)
            return
        job.future.set_exception(TooSlow(f"expected an end within {self._limit_s:g} s, got none"))
        job.given_up = True
        self._hung += 1
        log.warning("%s: work is over its time, %d threads hang", self._name, self._hung)
        if self._hung <= MOST_HUNG:
            job.replaced = True
            self._begin()

    # On a thread.

    def _serve(self) -> None:
        while (job := self._jobs.get()) is not None:
            if self._closed or job.future.cancelled():
                continue
            job.begun = self._loop.time()
            result, error = None, None
            try:
                result = job.work()
            except Exception as caught:  # it belongs to whoever waits
                error = caught
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._done, job, result, error)
            if job.replaced:
                return

    def _done(self, job: _Job[Any], result: object, error: Exception | None) -> None:
        if job.given_up:
            self._hung -= 1
        elif job.future.done():
            pass  # cancelled
        elif error is not None:
            job.future.set_exception(error)
        else:
            job.future.set_result(result)
