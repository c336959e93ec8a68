"""Threads that nobody waits for too long."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from modserve.transport.patience import MOST_HUNG, Patience, TooSlow

from .waiting import until


def test_results_and_errors_come_back() -> None:
    async def run() -> None:
        patience = Patience(2, 10.0, "test")
        squares = (patience.run(partial(pow, number, 2)) for number in range(50))
        assert await asyncio.gather(*squares) == [number**2 for number in range(50)]
        with pytest.raises(ZeroDivisionError):
            await patience.run(lambda: 1 // 0)
        patience.close()

    asyncio.run(run())


@pytest.mark.parametrize("count", [3, MOST_HUNG + 5])
def test_work_that_hangs_is_given_up_and_others_go_on(count: int) -> None:
    async def run() -> None:
        patience, end = Patience(2, 0.05, "test"), threading.Event()
        hanging = [patience.run(end.wait) for _ in range(count)]
        given_up = await asyncio.gather(*hanging[: MOST_HUNG + 2], return_exceptions=True)
        assert all(isinstance(error, TooSlow) for error in given_up)
        after = patience.run(lambda: "done")
        if count > MOST_HUNG:
            end.set()  # no more threads: it waits for one that comes back
        assert await after == "done"
        end.set()
        await until(lambda: _threads() == 2)
        assert await patience.run(lambda: "done") == "done"
        patience.close()
        await until(lambda: _threads() == 0)

    asyncio.run(run())


def _threads() -> int:
    return sum(thread.name == "test" for thread in threading.enumerate())


def test_time_in_the_queue_does_not_count() -> None:
    async def run() -> None:
        patience, never = Patience(1, 1.0, "test"), threading.Event()
        some = [patience.run(lambda: never.wait(0.3)) for _ in range(5)]
        assert await asyncio.gather(*some) == [False] * 5
        patience.close()

    asyncio.run(run())


def test_what_was_cancelled_is_never_begun() -> None:
    async def run() -> None:
        patience, end = Patience(1, 5.0, "test"), threading.Event()
        begun: list[int] = []
        first = patience.run(end.wait)
        patience.run(lambda: begun.append(1)).cancel()
        end.set()
        assert await first
        await patience.run(lambda: begun.append(2))
        assert begun == [2]
        patience.close()

    asyncio.run(run())
