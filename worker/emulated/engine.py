"""Where a real worker has a thread that computes: a text step, then an encode batch, and again.

Results are told when the time of a step is over. A worker without work has no timer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from ...scheduler.computing.encoding import Batch, EncodeStage, Task
from ...scheduler.computing.text import Step
from .text import Stepped, TextStage
from .waiting import at

MOST_BEHIND_S = 0.05  # of steps that follow one another: a late timer does not delay the next ones

Result = Stepped | Task


@dataclass(slots=True)
class Engine:
    """A stage that the worker lacks is None."""

    text: TextStage | None
    encode: EncodeStage | None
    report: Callable[[Result], None]
    loop: asyncio.AbstractEventLoop
    busy_s: float = 0.0  # spent in steps
    _ends_at: float = 0.0  # the step under way
    _going: bool = False

    def wake(self) -> None:
        """Somebody has brought work, or what work waited for."""
        if not self._going:
            self._going = True
            self._ends_at = self.loop.time()
            self.loop.call_soon(self._text)

    def stop(self) -> None:
        """Report nothing more."""
        self.text = self.encode = None

    def _text(self) -> None:
        step = self.text.begin() if self.text is not None else None
        if step is None:
            self._encode(worked=False)
        else:
            self._take(step.seconds, partial(self._stepped, step))

    def _stepped(self, step: Step) -> None:
        if self.text is not None:
            self.report(self.text.told(step))
        self._encode(worked=True)

    def _encode(self, *, worked: bool) -> None:
        batch = self.encode.begin() if self.encode is not None else None
        if batch is not None:
            self._take(batch.seconds, partial(self._encoded, batch))
        elif worked:
            self.loop.call_soon(self._text)  # what came meanwhile is heard first
        else:
            self._going = False

    def _encoded(self, batch: Batch) -> None:
        if self.encode is not None:
            for task in self.encode.end(batch):
                self.report(task)
        self.loop.call_soon(self._text)

    def _take(self, seconds: float, then: Callable[[], None]) -> None:
        self.busy_s += seconds
        self._ends_at = max(self._ends_at, self.loop.time() - MOST_BEHIND_S) + seconds
        at(self.loop, self._ends_at, then)
