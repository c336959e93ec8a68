"""An event loop whose clock jumps over every wait: nothing takes time, all times are exact."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class Jumping(selectors.DefaultSelector):
    """Instead of waiting it moves the clock on, unless something is to be heard."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        heard = super().select(0)
        if not heard:
            assert timeout is not None, "expected something to happen, everybody waits"
            self.now_s += max(0.0, timeout)
        return heard


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s


def run(body: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(body)
