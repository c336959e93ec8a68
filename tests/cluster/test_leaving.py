"""Workers that drain, and controllers that shut down: nobody notices, everything ends well."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

import pytest

from modserve.client import Refused, RequestFailed

from .asking import answer, run, text_asks
from .cluster import SPLIT, Cluster, until
from .conftest import Clusters
from .crowds import Crowd, busy, crowd, undisturbed
from .processes import wait_until
from .references import Reference

pytestmark = pytest.mark.slow

BAD_WORDS = ("Traceback", "lost ", "afresh", "ERROR")


def ended_well(cluster: Cluster) -> None:
    for process in cluster.processes:
        assert process.ended() == 0, process.log
        assert not [word for word in BAD_WORDS if word in process.log], process.log


@pytest.mark.parametrize("how", ["remove", "SIGTERM"])
@pytest.mark.parametrize("stage", ["encode", "prefill", "decode", "text"])
def test_a_drained_worker_leaves_unnoticed(
    clusters: Clusters, reference_of: Callable[[str], Reference], stage: str, how: str
) -> None:
    reference = reference_of("llava")
    layout = SPLIT + SPLIT if stage != "text" else ("encode", "text", "text")
    cluster = clusters.get(reference.folder, layout)
    victim, asks = f"{stage}-0", crowd(64)
    process = cluster.workers[victim]

    async def body() -> None:
        async with cluster.client() as client:
            expected = await undisturbed(client, asks, reference)
            async with Crowd(client, asks, reference) as flight:
                await busy(client, victim)
                if how == "remove":
                    await client.remove_worker(victim)
                else:
                    process.send(signal.SIGTERM)
                answers = await flight.answers()
            assert [one.token_ids for one in answers] == expected
            assert {one.timing.runs for one in answers if one.timing} == {1}
            assert await asyncio.to_thread(process.ended) == 0
            assert not [word for word in BAD_WORDS if word in process.log], process.log
            await asyncio.to_thread(cluster.add, stage)

    run(body())


def test_a_worker_whose_controller_is_dead_leaves_when_it_is_told_again(
    clusters: Clusters, reference_of: Callable[[str], Reference]
) -> None:
    cluster = clusters.fresh(reference_of("llava").folder, ("text",))
    worker = cluster.workers["text-0"]
    cluster.controller.kill()

    def left() -> bool:
        worker.send(signal.SIGTERM)
        return worker.code is not None

    wait_until(left, "the end of the worker", 15.0)
    assert worker.code == 0, worker.log


def test_a_worker_removed_at_once_leaves_its_work_to_others(
    clusters: Clusters, reference_of: Callable[[str], Reference]
) -> None:
    reference = reference_of("llava")
    cluster = clusters.fresh(reference.folder, SPLIT + SPLIT)
    asks = crowd(64)

    async def body() -> None:
        async with cluster.client() as client:
            expected = await undisturbed(client, asks, reference)
            async with Crowd(client, asks, reference) as flight:
                await flight.streaming()
                await busy(client, "decode-0")
                await client.remove_worker("decode-0", now=True)
                assert [one.token_ids for one in await flight.answers()] == expected
            assert await asyncio.to_thread(cluster.workers["decode-0"].ended) == 0

    run(body())


def test_a_shutdown_with_drain_lets_requests_end(
    clusters: Clusters, reference_of: Callable[[str], Reference]
) -> None:
    reference = reference_of("llava")
    cluster = clusters.fresh(reference.folder, SPLIT)
    asks = crowd(64)

    async def body() -> None:
        async with cluster.client() as client:
            expected = await undisturbed(client, asks, reference)
            async with Crowd(client, asks, reference) as flight:
                await flight.streaming()
                stopping = asyncio.create_task(client.shutdown(drain=True))

                async def refused() -> bool:
                    try:
                        await answer(client, text_asks(1)[0], reference)
                    except Refused as error:
                        return error.code == "closing"
                    return False

                await until(refused, "new requests to be refused")
                assert [one.token_ids for one in await flight.answers()] == expected
                await stopping
        await asyncio.to_thread(ended_well, cluster)

    run(body())


@pytest.mark.parametrize("how", ["shutdown", "SIGTERM", "SIGINT"])
def test_a_shutdown_without_drain_tells_the_clients(
    clusters: Clusters, reference_of: Callable[[str], Reference], how: str
) -> None:
    reference = reference_of("mllama")
    cluster = clusters.fresh(reference.folder, SPLIT)

    async def body() -> None:
        async with cluster.client() as client, Crowd(client, crowd(2000), reference) as flight:
            await flight.streaming()
            if how == "shutdown":
                await client.shutdown()
            else:
                cluster.controller.send(signal.Signals[how])
            with pytest.raises((RequestFailed, Refused), match="stopped"):  # begun, or not yet
                await flight.answers()
        await asyncio.to_thread(ended_well, cluster)

    run(body())
