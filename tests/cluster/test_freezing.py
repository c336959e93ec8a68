"""A worker that is stopped (SIGSTOP) is noticed; when it goes on again it does no harm."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from .asking import run
from .cluster import ENCODE_TEXT, MONOLITH, SPLIT, settled, until, worker_of
from .conftest import Clusters
from .crowds import Crowd, busy, crowd, undisturbed, when
from .references import Reference

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("stage", ["encode", "prefill", "decode", "text", "all"])
def test_work_goes_on_elsewhere_and_the_worker_comes_back(
    clusters: Clusters, reference_of: Callable[[str], Reference], stage: str
) -> None:
    """1. The worker stops amid its work. 2. It is dropped, others end what it had. 3. It goes on,
    with words of the past on its lips. 4. It joins again and gets work. 5. Same tokens as ever."""
    reference = reference_of("llava")
    layouts = {"text": (*ENCODE_TEXT, "text"), "all": MONOLITH + MONOLITH}
    cluster = clusters.get(reference.folder, layouts.get(stage, SPLIT + SPLIT))
    victim, asks = f"{stage}-0", crowd()

    async def body() -> None:
        async with cluster.client() as client:
            expected = await undisturbed(client, asks, reference)
            async with Crowd(client, asks, reference) as flight:
                if stage in ("decode", "text", "all"):
                    await flight.streaming()
                await busy(client, victim)
                cluster.workers[victim].send(signal.SIGSTOP)

                async def dropped() -> bool:
                    return worker_of(await client.status(), victim) is None

                await until(dropped, f"{victim} to be dropped", 10.0)
                assert [one.token_ids for one in await flight.answers()] == expected
            cluster.workers[victim].send(signal.SIGCONT)
            await when(client, victim, lambda one: one["state"] == "ready", "serve again")
            await settled(client)
            async with Crowd(client, asks, reference) as flight:
                await busy(client, victim)
                answers = await flight.answers()
            assert [one.token_ids for one in answers] == expected
            assert {one.timing.runs for one in answers if one.timing} == {1}

    run(body())
