"""Sends a load: each request at its time, or as soon as fewer than so many are under way.

An open loop has times and no limit; a closed loop has a limit, and all its times are 0. One
request that fails is counted and stops nobody.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager, nullcontext

from .asks import Ask
from .endpoints import AskFailed, Endpoint
from .record import Record


async def drive(
    endpoint: Endpoint,
    asks: Iterable[Ask],
    records: list[Record],
    *,
    max_concurrency: int | None,
    timeout_s: float,
    ended: Callable[[Record], None] = lambda record: None,
) -> None:
    """In the order of their times; `asks` may make each one when it is due. Each has its record
    in `records` from the moment that it is sent: a drive that is cancelled leaves there what it
    has seen. `timeout_s` bounds every request."""
    clock = asyncio.get_running_loop().time
    limit: AbstractAsyncContextManager[object] = (
        asyncio.Semaphore(max_concurrency) if max_concurrency else nullcontext()
    )
    begun = clock()

    async def one(ask: Ask) -> None:
        async with limit:
            record = Record(len(ask.images), ask.at_s, clock() - begun)
            records.append(record)
            record.error = await _send(endpoint, ask, record, lambda: clock() - begun, timeout_s)
            record.ended_s = clock() - begun
        ended(record)

    async with asyncio.TaskGroup() as group:
        for ask in asks:
            if (wait_s := begun + ask.at_s - clock()) > 0:
                await asyncio.sleep(wait_s)
            group.create_task(one(ask))


async def _send(
    endpoint: Endpoint, ask: Ask, record: Record, now: Callable[[], float], timeout_s: float
) -> str:
    """What went wrong, or nothing."""

    def hear(tokens: int) -> None:
        record.heard.append((now(), tokens))
        record.output_tokens += tokens

    record.prompt_tokens = ask.text_tokens
    try:
        async with asyncio.timeout(timeout_s):
            usage = await endpoint.send(ask, hear)
    except AskFailed as error:
        return str(error)
    except TimeoutError:
        return f"expected an end within {timeout_s:g} s"
    if usage is not None:
        record.prompt_tokens = usage.prompt_tokens
        record.output_tokens = usage.completion_tokens
        record.counted = True
    return "" if record.heard else "expected at least one token, got an end"
