"""The controller is killed and starts again at its address: workers and clients find it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from .asking import run
from .cluster import SPLIT
from .conftest import Clusters
from .crowds import Crowd, crowd, undisturbed
from .references import Reference

pytestmark = pytest.mark.slow


def test_open_requests_end_with_the_same_tokens_at_the_controller_that_follows(
    clusters: Clusters, reference_of: Callable[[str], Reference]
) -> None:
    reference = reference_of("llava")
    cluster = clusters.fresh(reference.folder, SPLIT)
    asks = crowd()

    async def body() -> None:
        async with cluster.client() as client:
            expected = await undisturbed(client, asks, reference)
            async with Crowd(client, asks, reference) as flight:
                await flight.streaming()
                await asyncio.to_thread(cluster.controller.kill)
                assert flight.open
                had = sum(flight.chunks)  # of one token at least
                await asyncio.to_thread(cluster.restart)
                assert [one.token_ids for one in await flight.answers()] == expected
            made = (await client.status())["requests"]["tokens"]
            assert made <= sum(map(len, expected)) - had + len(asks), "all else goes on"
            assert {one.code for one in cluster.workers.values()} == {None}

    run(body())
