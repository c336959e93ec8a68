"""The controller ends and starts again at its address: workers and clients find it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import pytest

from modserve.client import AsyncClient

from .asking import answer, image_asks, run, stream
from .cluster import CACHES, SPLIT, TEXT, Cluster, settled, until, worker_of
from .conftest import Clusters
from .crowds import Crowd, busy, crowd, undisturbed
from .processes import Nursery, wait_until
from .references import Reference

pytestmark = pytest.mark.slow


async def killed(cluster: Cluster, client: AsyncClient) -> None:
    await asyncio.to_thread(cluster.controller.kill)


async def stopped(cluster: Cluster, client: AsyncClient) -> None:
    """As by `msctl stop --keep`."""
    await client.shutdown(keep=True)
    assert await asyncio.to_thread(cluster.controller.ended) == 0


@pytest.mark.parametrize(
    ("end", "journal"),
    [(killed, True), (killed, False), (stopped, True)],
    ids=["killed", "killed without a journal", "stopped with --keep"],
)
def test_open_requests_end_with_the_same_tokens_at_the_controller_that_follows(
    clusters: Clusters,
    reference_of: Callable[[str], Reference],
    end: Callable[..., object],
    journal: bool,
) -> None:
    reference = reference_of("llava")
    cluster = clusters.fresh(reference.folder, SPLIT, journal=journal)
    asks = crowd()

    async def body() -> None:
        async with cluster.client() as client:
            expected = await undisturbed(client, asks, reference)
            async with Crowd(client, asks, reference) as flight:
                await flight.streaming()
                await end(cluster, client)  # type: ignore[misc]
                assert flight.open
                had = sum(flight.chunks)  # of one token at least
                await asyncio.to_thread(cluster.restart)
                assert [one.token_ids for one in await flight.answers()] == expected
            made = (await client.status())["requests"]["tokens"]
            assert made <= sum(map(len, expected)) - had + len(asks), "all else goes on"
            assert {one.code for one in cluster.workers.values()} == {None}

    run(body())


def test_what_decodes_goes_on_as_if_nothing_had_happened(
    clusters: Clusters, reference_of: Callable[[str], Reference]
) -> None:
    reference = reference_of("llava")
    cluster = clusters.fresh(reference.folder, TEXT)
    asks = crowd(images=False)

    async def body() -> None:
        async with cluster.client() as client:
            expected = await undisturbed(client, asks, reference)
            async with Crowd(client, asks, reference) as flight:
                await flight.streaming(len(asks))
                await asyncio.to_thread(cluster.controller.kill)
                assert flight.open
                await asyncio.to_thread(cluster.restart)
                assert [one.token_ids for one in await flight.answers()] == expected
            await settled(client)
            (worker,) = (await client.status())["workers"]
            assert worker["tokens"] == 2 * sum(map(len, expected)), "no token was made twice"

    run(body())


def test_embeddings_outlive_the_controller(
    clusters: Clusters, reference_of: Callable[[str], Reference]
) -> None:
    reference = reference_of("llava")
    cluster = clusters.fresh(reference.folder, SPLIT, parts=CACHES)
    ask = image_asks(tokens=4)[1]

    async def body() -> None:
        async with cluster.client() as client:
            assert (await answer(client, ask, reference)).token_ids == reference.tokens(ask)
            before = await settled(client)
            await asyncio.to_thread(cluster.controller.kill)
            await asyncio.to_thread(cluster.restart)
            assert (await answer(client, ask, reference)).token_ids == reference.tokens(ask)
            after = await settled(client)
        assert after["image_cache"]["asked"] == after["image_cache"]["found"] > 0
        encoded = [one["workers"][1]["image_tokens"] for one in (before, after)]
        assert encoded[0] == encoded[1] > 0

    run(body())


def test_the_requests_of_a_client_that_died_with_the_controller_end(
    clusters: Clusters, nursery: Nursery, reference_of: Callable[[str], Reference]
) -> None:
    reference = reference_of("llava")
    cluster = clusters.fresh(reference.folder, SPLIT, limits={"silent_s": 3.0})
    asker = nursery.fork(
        "client", {"endpoint": cluster.endpoint, "tokens": 2000}, "client of a dying controller"
    )
    wait_until(lambda: asker.out.count("streaming") == 4, "four streams")
    cluster.controller.kill()
    asker.kill()
    cluster.restart()

    async def body() -> None:
        async with cluster.client() as client:

            async def kept() -> bool:
                return bool((await client.status())["requests"]["open"] == 4)

            await until(kept, "the four to be known from the journal")
            await settled(client)

    run(body())


def test_a_rolling_restart_of_everybody_loses_nothing(
    clusters: Clusters, reference_of: Callable[[str], Reference]
) -> None:
    reference = reference_of("llava")
    cluster = clusters.fresh(reference.folder, SPLIT)
    asks = crowd()
    expected: list[tuple[int, ...]] = []
    answered = 0

    async def user(client: AsyncClient, number: int, over: asyncio.Event) -> None:
        """Asks one thing again and again."""
        nonlocal answered
        while not over.is_set():
            async with stream(client, asks[number], reference) as chunks:
                got = [token async for chunk in chunks for token in chunk.token_ids]
            assert tuple(got) == expected[number]
            answered += 1

    async def restarts(client: AsyncClient) -> None:
        for name, worker in list(cluster.workers.items()):
            await asyncio.to_thread(cluster.add, name.partition("-")[0])
            worker.send(signal.SIGTERM)
            assert await asyncio.to_thread(worker.ended) == 0
        before = answered
        await stopped(cluster, client)
        await asyncio.to_thread(cluster.restart)

        async def goes_on() -> bool:
            return answered >= before + len(asks)

        await until(goes_on, "answers of the controller that follows")

    async def body() -> None:
        async with cluster.client() as client:
            expected.extend(await undisturbed(client, asks, reference))
            over = asyncio.Event()
            async with asyncio.TaskGroup() as group:
                for number in range(len(asks)):
                    group.create_task(user(client, number, over))
                await restarts(client)
                over.set()
            status = await settled(client)
            assert status["requests"]["failed"] == status["requests"]["rejected"] == 0

    run(body())


@pytest.mark.parametrize("end", [killed, stopped], ids=["killed", "stopped with --keep"])
def test_a_change_of_stages_that_is_under_way_goes_on_at_the_controller_that_follows(
    clusters: Clusters, reference_of: Callable[[str], Reference], end: Callable[..., object]
) -> None:
    reference = reference_of("llava")
    cluster = clusters.fresh(reference.folder, ("encode", "text", "text"))
    asks = crowd(400)

    async def body() -> None:
        async with cluster.client() as client, cluster.client() as other:
            async with Crowd(client, asks, reference) as flight:
                await flight.streaming(len(asks))
                await busy(client, "text-1")
                async with asyncio.TaskGroup() as group:
                    switching = group.create_task(other.set_stages("text-1", ["encode"]))

                    async def drains() -> bool:
                        worker = worker_of(await client.status(), "text-1")
                        return worker is not None and worker["state"] == "switching"

                    await until(drains, "text-1 to drain")
                    await end(cluster, client)  # type: ignore[misc]
                    assert not switching.done()
                    await asyncio.to_thread(cluster.restart)
                await flight.answers()
            status = await settled(client)
            worker = worker_of(status, "text-1")
            assert worker is not None
            assert (worker["stages"], worker["state"]) == (["encode"], "ready")
            assert {one.code for one in cluster.workers.values()} == {None}

    run(body())
