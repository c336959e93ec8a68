"""Between a controller that never waits and a launcher that does anything."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from modserve.controller.launching.launcher import (
    Launched,
    LaunchFailed,
    News,
    Order,
    WorkerEnded,
)
from modserve.controller.launching.launches import Launches
from modserve.controller.launching.options import LaunchOptions
from modserve.scheduler.stage import ROLES

from ..scripted import conversation
from .fake import Fake, Manner

QUICK = LaunchOptions(
    launch_s=0.05,
    stop_s=0.05,
    close_s=0.05,
    orphan_s=0.05,
    tries=4,
    first_pause_s=0.01,
    longest_pause_s=0.03,
)


class Heard:
    def __init__(self) -> None:
        self.all: list[News] = []
        self._news = asyncio.Event()

    def hear(self, news: News) -> None:
        self.all.append(news)
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            self._news.clear()
            await self._news.wait()


@asynccontextmanager
async def launches(
    fake: Fake, options: LaunchOptions = QUICK
) -> AsyncIterator[tuple[Launches, Heard]]:
    heard = Heard()
    made = Launches(fake, options, heard.hear)
    try:
        yield made, heard
    finally:
        await made.close()
        fake.release()  # a coroutine that ignores everything ends with the test


def order(name: str) -> Order:
    return Order(name, ROLES["encode"])


@conversation
async def test_a_launch_that_works_is_told_once() -> None:
    fake = Fake()
    async with launches(fake) as (made, heard):
        made.begin(order("encode-0"))
        assert [one.name for one in made.orders] == ["encode-0"]
        await heard.until(lambda: bool(heard.all))
        assert heard.all == [Launched("encode-0", "nowhere")]
        assert made.orders == ()
    assert fake.closed


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        (Manner.FAILS, "no room on any host"),
        (Manner.BREAKS, "'a bug of the launcher'"),
        (Manner.HANGS, "expected encode-0 to be ready in 0.05 s"),
        (Manner.IGNORES, "expected encode-0 to be ready in 0.05 s"),
    ],
)
@conversation
async def test_a_launcher_that_cannot_is_asked_again_ever_later_and_then_given_up(
    manner: Manner, reason: str
) -> None:
    fake = Fake(manner)
    async with launches(fake) as (made, heard):
        made.begin(order("encode-0"))
        await heard.until(lambda: len(heard.all) == 4)
        pauses = [one.again_s for one in heard.all if isinstance(one, LaunchFailed)]
        assert pauses == [pytest.approx(0.01), pytest.approx(0.02), pytest.approx(0.03), None]
        assert {one.reason for one in heard.all if isinstance(one, LaunchFailed)} == {reason}
        assert made.orders == ()
        while len(fake.stopped) < 4:
            fake.news.clear()
            await fake.news.wait()
        assert fake.stopped == ["encode-0"] * 4, "what it may have started is ended each time"


@conversation
async def test_after_a_failure_that_was_none_of_its_own_a_worker_is_launched() -> None:
    async with launches(Fake(Manner.HANGS, Manner.FAILS, Manner.WORKS)) as (made, heard):
        made.begin(order("encode-0"))
        await heard.until(lambda: len(heard.all) == 3)
        assert heard.all[-1] == Launched("encode-0", "nowhere")


@conversation
async def test_only_so_many_are_under_way_at_once() -> None:
    fake = Fake(Manner.HANGS)
    async with launches(fake, LaunchOptions(at_once=2)) as (made, heard):
        for number in range(5):
            made.begin(order(f"encode-{number}"))
        while fake.under_way < 2:
            fake.news.clear()
            await fake.news.wait()
        fake.release()
        await heard.until(lambda: len(heard.all) == 5)
        assert fake.most_under_way == 2


@conversation
async def test_those_that_ignore_everything_keep_no_turn() -> None:
    fake = Fake(Manner.IGNORES, Manner.IGNORES, Manner.WORKS)
    options = LaunchOptions(at_once=2, launch_s=0.05, tries=1, first_pause_s=0.01)
    async with launches(fake, options) as (made, heard):
        for number in range(3):
            made.begin(order(f"encode-{number}"))
        await heard.until(lambda: len(heard.all) == 3)
        assert heard.all[-1] == Launched("encode-2", "nowhere")


@conversation
async def test_one_that_is_not_wanted_any_more_is_ended_and_not_told() -> None:
    fake = Fake(Manner.HANGS)
    async with launches(fake, LaunchOptions()) as (made, heard):
        made.begin(order("encode-0"))
        while not fake.asked:
            await fake.news.wait()
        made.cancel("encode-0")
        made.cancel("encode-0")
        while not fake.stopped:
            fake.news.clear()
            await fake.news.wait()
        assert (fake.stopped, heard.all, made.orders) == (["encode-0"], [], ())
        assert fake.under_way == 0


@conversation
async def test_what_ends_by_itself_is_told() -> None:
    fake = Fake()
    async with launches(fake) as (made, heard):
        made.begin(order("encode-0"))
        await heard.until(lambda: bool(heard.all))
        fake.die("encode-0", "signal SIGKILL")
        made.tick({"encode-0"})
        assert heard.all[1:] == [WorkerEnded("encode-0", "signal SIGKILL")]


@conversation
async def test_a_launched_process_that_is_long_in_nobodys_crew_is_ended() -> None:
    fake = Fake()
    async with launches(fake) as (made, heard):
        made.begin(order("encode-0"))
        await heard.until(lambda: bool(heard.all))
        made.tick({"encode-0"})
        while not fake.stopped:
            made.tick(set())
            await asyncio.sleep(0)
        assert heard.all[1:] == [
            WorkerEnded("encode-0", "it was ended, 0.05 s after its last word")
        ]
        made.tick(set())
        assert len(heard.all) == 2


@conversation
async def test_a_launcher_that_ends_nothing_holds_up_no_end() -> None:
    fake = Fake()
    fake.stops = Manner.IGNORES
    async with launches(fake) as (made, heard):
        made.begin(order("encode-0"))
        await heard.until(lambda: bool(heard.all))
        await made.close()
        assert not fake.closed
