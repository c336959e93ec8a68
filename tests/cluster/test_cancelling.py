"""Whoever stops reading sets everything free: blocks, embeddings, files, on every worker."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import replace

import pytest

from modserve.client import AsyncClient

from .asking import answer, image_asks, run, stream
from .cluster import ENCODE_TEXT, SPLIT, Layout, settled, until
from .conftest import Clusters
from .crowds import Crowd, crowd
from .processes import Nursery, wait_until
from .references import Reference

pytestmark = pytest.mark.slow

SOON_S = 3.0


@pytest.mark.parametrize("layout", [ENCODE_TEXT, SPLIT], ids="+".join)
@pytest.mark.parametrize("checkpoint", ["llava", "mllama"])
def test_a_stream_that_is_left_early_sets_everything_free(
    clusters: Clusters, reference_of: Callable[[str], Reference], checkpoint: str, layout: Layout
) -> None:
    reference = reference_of(checkpoint)
    cluster = clusters.get(reference.folder, layout)

    async def body() -> None:
        async with cluster.client() as client:
            before = (await client.status())["requests"]
            for ask in image_asks(tokens=2000):
                async with stream(client, ask, reference) as chunks:
                    async for _ in chunks:
                        break
            left = (await settled(client, SOON_S))["requests"]
            assert left["cancelled"] - before["cancelled"] == 6
            async with Crowd(client, crowd(2000), reference):
                pass  # most have not begun
            await settled(client, SOON_S)

    run(body())


def test_the_others_go_on_where_one_is_cancelled(
    clusters: Clusters, reference_of: Callable[[str], Reference]
) -> None:
    reference = reference_of("llava")
    cluster = clusters.get(reference.folder, SPLIT)

    async def body() -> None:
        kept, image = image_asks(64)[1], image_asks(64)[1].images
        same = replace(kept, tokens=2000)  # and the same embeddings
        async with cluster.client() as client:
            async with Crowd(client, [same] * 4, reference) as flight:
                await flight.streaming()
                async with Crowd(client, [kept] * 2, reference) as others:
                    await others.streaming(2)
                    await flight.__aexit__()
                    for got in await others.answers():
                        assert got.token_ids == reference.tokens(kept), image
            await settled(client, SOON_S)

    run(body())


@pytest.mark.parametrize("layout", [ENCODE_TEXT, SPLIT], ids="+".join)
def test_a_client_that_is_killed_sets_everything_free(
    clusters: Clusters,
    nursery: Nursery,
    reference_of: Callable[[str], Reference],
    layout: Layout,
) -> None:
    reference = reference_of("llava")
    cluster = clusters.get(reference.folder, layout)
    reader = nursery.fork("client", {"endpoint": cluster.endpoint, "tokens": 3000}, "client")
    wait_until(lambda: reader.out.count("streaming") == 4, "four streams of the client")

    async def body() -> None:
        async with cluster.client() as client:
            assert (await client.status())["requests"]["open"] == 4
            reader.kill()
            await settled(client, SOON_S)
            ask = image_asks()[1]
            assert (await answer(client, ask, reference)).token_ids == reference.tokens(ask)

    run(body())


def test_a_client_that_is_closed_sets_everything_free(
    clusters: Clusters, reference_of: Callable[[str], Reference]
) -> None:
    reference = reference_of("mllama")
    cluster = clusters.get(reference.folder, SPLIT)

    async def body() -> None:
        async with cluster.client() as client:
            async with cluster.client() as other:
                chunks = stream(other, image_asks(tokens=3000)[1], reference)
                await anext(chunks)

            async def ended() -> bool:
                return (await client.status())["requests"]["open"] == 0

            await until(ended, "the end of the other client's request", SOON_S)
            await settled(client, SOON_S)

    run(body())


@pytest.mark.parametrize("count", [2_000, pytest.param(10_000, marks=pytest.mark.wide)])
def test_thousands_that_are_left_at_random_moments_leave_nothing(
    clusters: Clusters, reference_of: Callable[[str], Reference], count: int
) -> None:
    """Before anything was prepared, while images are encoded, in mid-prefill, in mid-stream."""
    reference = reference_of("llava")
    cluster = clusters.get(reference.folder, SPLIT)
    rng, asks = random.Random(1), crowd(2000)

    async def body() -> None:
        slots = asyncio.Semaphore(64)

        async def leave(client: AsyncClient) -> None:
            async with slots, stream(client, rng.choice(asks), reference) as chunks:
                if rng.random() < 0.7:
                    await asyncio.sleep(rng.random() * 0.1)
                else:
                    await anext(chunks)

        async with cluster.client() as client:
            before = (await client.status())["requests"]
            async with asyncio.TaskGroup() as group:
                for _ in range(count):
                    group.create_task(leave(client))
            left = (await settled(client, SOON_S))["requests"]
            ended = {name: left[name] - before[name] for name in ("cancelled", "failed")}
            assert ended == {"cancelled": count, "failed": 0}

    run(body(), deadline_s=300)
