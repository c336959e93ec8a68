"""The n answers to one HTTP request: n requests to the controller, that begin and end together."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from typing import Any, Self

from ..client import Answer, AsyncClient, AsyncStream, Chunk
from ..client.options import Options
from .dialect.sampling import for_choice


class Choices:
    """Leaving it cancels whatever still runs."""

    def __init__(self, streams: Sequence[AsyncStream], request_id: str) -> None:
        self.request_id = request_id
        self._streams = streams
        self._firsts: list[Chunk | None] = []

    @classmethod
    def asked(
        cls,
        client: AsyncClient,
        prompts: Sequence[dict[str, Any]],
        count: int,
        options: Options,
    ) -> Self:
        """`count` answers to each of the prompts: keywords of `AsyncClient.stream`."""
        request_id = secrets.token_hex(12)
        streams: list[AsyncStream] = []
        several = len(prompts) * count > 1
        for prompt in prompts:
            for index in range(count):
                name = f"{request_id}-{len(streams)}" if several else request_id
                told: Any = {**for_choice(options, index), **prompt, "request_id": name}
                streams.append(client.stream(**told))
        return cls(streams, request_id)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *error: object) -> None:
        for stream in self._streams:
            stream.leave()

    def __len__(self) -> int:
        return len(self._streams)

    async def begun(self) -> None:
        """Wait until each has said something; raises what the first that cannot begin does."""
        self._firsts = await _all([_next(stream) for stream in self._streams])

    async def chunks(self) -> AsyncIterator[tuple[int, Chunk | None]]:
        """After `begun`: what comes, of whichever choice; None for one that has ended."""
        for index, first in enumerate(self._firsts):
            if first is not None:
                yield index, first
        if len(self._streams) == 1:
            async for chunk in self._streams[0]:
                yield 0, chunk
            yield 0, None
            return
        async for one in _merged(self._streams):
            yield one

    async def answers(self) -> list[Answer]:
        """Wait for all ends."""
        return await _all([stream.rest() for stream in self._streams])

    def answer(self, index: int) -> Answer:
        """The whole of a choice that has ended."""
        return self._streams[index].answer


async def _next(stream: AsyncStream) -> Chunk | None:
    return await anext(stream, None)


async def _all(work: Sequence[Any]) -> list[Any]:
    """Everything at once; the first error cancels the others."""
    if len(work) == 1:
        return [await work[0]]
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


async def _merged(streams: Sequence[AsyncStream]) -> AsyncIterator[tuple[int, Chunk | None]]:
    tasks = {asyncio.ensure_future(_next(one)): index for index, one in enumerate(streams)}
    try:
        while tasks:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                index = tasks.pop(task)
                if (chunk := task.result()) is not None:
                    tasks[asyncio.ensure_future(_next(streams[index]))] = index
                yield index, chunk
    finally:
        for task in tasks:
            task.cancel()
