"""Sixteen requests in flight, and waiting for the moment to disturb them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from modserve.client import Answer, AsyncClient

from .asking import image_asks, stream, text_asks
from .cluster import Cluster, Status, until, worker_of
from .references import Ask, Reference

SAMPLED = {"temperature": 0.9, "top_p": 0.95, "frequency_penalty": 0.3}


def crowd(tokens: int = 96, seed: int = 0, *, images: bool = True) -> list[Ask]:
    """Sixteen; every third one is sampled.

    The answers may be compared whatever batches the requests ran in, up to 400 tokens of seed 0 and
    96 of seeds 2, 4 and 6: no draw lies within 1e-6 of a bound, no best logit within 8e-5 of the
    next one.
    """
    some = image_asks(tokens, seed) + image_asks(tokens, seed + 1) if images else []
    asks = [*some, *text_asks(tokens, seed), *text_asks(tokens, seed + 1)][:16]
    return [
        replace(ask, options={**SAMPLED, "seed": number}) if number % 3 == 0 else ask
        for number, ask in enumerate(asks)
    ]


class Crowd:
    """All requests of a list under way; a stream itself refuses tokens out of order."""

    def __init__(self, client: AsyncClient, asks: Sequence[Ask], reference: Reference) -> None:
        self._client, self._asks, self._reference = client, asks, reference
        self._tasks: list[asyncio.Task[Answer]] = []
        self.chunks = [0] * len(asks)

    async def __aenter__(self) -> Crowd:
        self._tasks = [
            asyncio.create_task(self._read(number, ask)) for number, ask in enumerate(self._asks)
        ]
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _read(self, number: int, ask: Ask) -> Answer:
        async with stream(self._client, ask, self._reference) as chunks:
            async for _ in chunks:
                self.chunks[number] += 1
            return chunks.answer

    @property
    def open(self) -> int:
        return sum(not task.done() for task in self._tasks)

    async def streaming(self, count: int = 1) -> None:
        """Until `count` of the requests have had a first delta."""

        async def seen() -> bool:
            return sum(chunks > 0 for chunks in self.chunks) >= count

        await until(seen, f"first tokens of {count} requests")

    async def answers(self) -> list[Answer]:
        return list(await asyncio.gather(*self._tasks))


async def undisturbed(
    client: AsyncClient, asks: Sequence[Ask], reference: Reference
) -> list[tuple[int, ...]]:
    async with Crowd(client, asks, reference) as flight:
        return [one.token_ids for one in await flight.answers()]


async def when(
    client: AsyncClient, name: str, condition: Callable[[dict[str, Any]], bool], what: str
) -> None:
    """Until the status of a worker fulfils a condition."""

    async def fulfilled() -> bool:
        status: Status = await client.status()
        worker = worker_of(status, name)
        return worker is not None and condition(worker)

    await until(fulfilled, f"{name} to {what}")


async def busy(client: AsyncClient, name: str) -> None:
    """Until the controller counts on the worker for something."""
    held = ("kv_blocks_booked", "store_bytes_booked")
    await when(client, name, lambda one: any(one[what] for what in held), "be given work")


async def gone(cluster: Cluster, client: AsyncClient, name: str) -> None:
    async def left() -> bool:
        return worker_of(await client.status(), name) is None

    await until(left, f"{name} to be gone")
    cluster.workers.pop(name, None)
