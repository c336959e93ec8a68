"""Workers that change their stages under load: nobody notices, and nothing is loaded twice."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from modserve.client import Denied, Switched

from .asking import answers, image_asks, run
from .cluster import ENCODE_TEXT, Cluster
from .conftest import Clusters
from .crowds import Crowd, busy, crowd, undisturbed
from .references import Reference

pytestmark = pytest.mark.slow

SWITCH_S = 1.0


def told(what: str, switched: Switched) -> Switched:
    print(
        f"{what}: {switched.drain_s:.3f} s to drain, {switched.switch_s:.3f} s to switch, "
        f"{switched.loaded_bytes} bytes loaded"
    )
    return switched


@pytest.mark.parametrize("family", ["llava", "mllama"])
def test_a_worker_that_switches_there_and_back_under_load_is_not_noticed(
    clusters: Clusters, reference_of: Callable[[str], Reference], family: str
) -> None:
    reference = reference_of(family)
    cluster = clusters.fresh(reference.folder, ("encode", "text", "text"))
    asks, over = crowd(48), asyncio.Event()

    async def body() -> None:
        async with cluster.client() as client:
            expected = await undisturbed(client, asks, reference)

            async def load() -> int:
                rounds = 0
                while not over.is_set():
                    async with Crowd(client, asks, reference) as flight:
                        found = await flight.answers()
                    assert [one.token_ids for one in found] == expected
                    assert {one.timing.runs for one in found if one.timing} == {1}
                    rounds += 1
                return rounds

            async with asyncio.TaskGroup() as group:
                loading = group.create_task(load())
                switched = []
                for role in ("encode", "text", "encode", "all", "text"):
                    await busy(client, "text-1")
                    switched.append(told(role, await client.set_stages("text-1", [role])))
                over.set()
            assert loading.result() > 0
            assert switched[0].loaded_bytes > 0, "the vision half"
            assert [one.loaded_bytes for one in switched[1:]] == [0] * 4
            assert min(one.switch_s for one in switched) < SWITCH_S
            status = await client.status()
            assert (status["requests"]["failed"], status["requests"]["cancelled"]) == (0, 0)

    run(body())
    assert "Traceback" not in cluster.workers["text-1"].log


def test_one_worker_alone_may_change_when_nobody_waits(
    clusters: Clusters, reference_of: Callable[[str], Reference]
) -> None:
    """What it encodes at first goes to itself later: neither links nor offers outlive a switch."""
    reference = reference_of("llava")
    cluster = clusters.fresh(reference.folder, ("all",))
    asks = image_asks(8)

    async def body() -> None:
        async with cluster.client() as client:
            expected = [one.token_ids for one in await answers(client, asks, reference)]
            for role in ("encode", "decode", "all"):
                assert told(role, await client.set_stages("all-0", [role])).loaded_bytes == 0
            found = [one.token_ids for one in await answers(client, asks, reference)]
            assert found == expected

    run(body())


def test_a_switch_that_requests_would_wait_for_is_refused(
    clusters: Clusters, reference_of: Callable[[str], Reference]
) -> None:
    reference = reference_of("llava")
    cluster = clusters.get(reference.folder, ENCODE_TEXT)

    async def body() -> None:
        async with cluster.client() as client, Crowd(client, crowd(32), reference) as flight:
            await busy(client, "encode-0")
            with pytest.raises(Denied, match="expected another worker with encode before encode-0"):
                await client.set_stages("encode-0", ["text"])
            await flight.answers()

    run(body())


def test_a_checkpoint_that_was_rewritten_ends_the_worker_that_needs_more_of_it(
    clusters: Clusters, reference_of: Callable[[str], Reference]
) -> None:
    reference = reference_of("llava")
    cluster = clusters.fresh(reference.folder, ("text", "all"))
    weights = reference.folder / "model.safetensors"
    kept = weights.read_bytes()
    try:
        weights.write_bytes(kept[:-5000])
        refused(cluster)
    finally:
        weights.write_bytes(kept)
    process = cluster.workers["text-0"]
    assert process.ended() == 1
    assert "Traceback" not in process.log


def refused(cluster: Cluster) -> None:
    async def body() -> None:
        async with cluster.client() as client:
            with pytest.raises(Denied, match=r"left instead of switching: .*model\.safetensors"):
                await client.set_stages("text-0", ["all"])

    run(body())
