"""`kill -9` of a worker while sixteen requests are in flight: all end, with the same tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest
import zmq

from modserve.transport import codec
from modserve.transport import messages as say
from modserve.transport.channels import Dealer

from .asking import run, text_asks
from .cluster import ENCODE_TEXT, MONOLITH, SPLIT, Cluster, Layout, until
from .conftest import Clusters
from .crowds import Crowd, busy, crowd, gone, undisturbed
from .references import Reference

pytestmark = pytest.mark.slow


async def _lose(cluster: Cluster, reference: Reference, stage: str, *, replace: bool) -> None:
    """1. Sixteen requests without trouble. 2. The same again. 3. The victim has work, and where it
    makes text somebody reads. 4. It is killed. 5. Perhaps another takes its place. 6. All end."""
    victim = f"{stage}-0"
    asks = crowd()
    async with cluster.client() as client:
        expected = await undisturbed(client, asks, reference)
        async with Crowd(client, asks, reference) as flight:
            if stage in ("decode", "text", "all"):
                await flight.streaming()
            await busy(client, victim)
            assert flight.open
            await asyncio.to_thread(cluster.workers[victim].kill)
            if replace:
                await gone(cluster, client, victim)
                await asyncio.to_thread(cluster.add, stage)
            answers = await flight.answers()
        assert [one.token_ids for one in answers] == expected
        assert {one.finish_reason for one in answers} == {"length"}
        if stage != "encode":
            assert any(one.timing and one.timing.runs > 1 for one in answers)
        if not replace:
            await gone(cluster, client, victim)
            await asyncio.to_thread(cluster.add, stage)


@pytest.mark.parametrize("stage", ["encode", "prefill", "decode"])
@pytest.mark.parametrize("checkpoint", ["llava", "mllama"])
def test_another_worker_of_the_stage_takes_over(
    clusters: Clusters, reference_of: Callable[[str], Reference], checkpoint: str, stage: str
) -> None:
    reference = reference_of(checkpoint)
    cluster = clusters.get(reference.folder, SPLIT + SPLIT)
    run(_lose(cluster, reference, stage, replace=False))


@pytest.mark.parametrize("stage", ["encode", "prefill", "decode"])
def test_a_worker_that_is_added_afterwards_takes_over_from_the_only_one(
    clusters: Clusters, reference_of: Callable[[str], Reference], stage: str
) -> None:
    reference = reference_of("llava")
    cluster = clusters.get(reference.folder, SPLIT)
    run(_lose(cluster, reference, stage, replace=True))


@pytest.mark.parametrize("replace", [False, True], ids=["another", "a new one"])
@pytest.mark.parametrize("layout", [ENCODE_TEXT, MONOLITH], ids="+".join)
def test_a_worker_of_several_stages_is_killed(
    clusters: Clusters, reference_of: Callable[[str], Reference], layout: Layout, replace: bool
) -> None:
    reference = reference_of("mllama")
    role = layout[-1]
    cluster = clusters.get(reference.folder, layout if replace else (*layout, role))
    run(_lose(cluster, reference, role, replace=replace))


def test_sixty_four_requests_outlive_a_worker_of_each_stage(
    clusters: Clusters, reference_of: Callable[[str], Reference]
) -> None:
    reference = reference_of("llava")
    cluster = clusters.fresh(reference.folder, SPLIT + SPLIT)
    asks = [ask for seed in (0, 2, 4, 6) for ask in crowd(seed=seed)]

    async def body() -> None:
        async with cluster.client() as client:
            expected = await undisturbed(client, asks, reference)
            async with Crowd(client, asks, reference) as flight:
                for victim in ("encode-0", "prefill-0", "decode-0"):
                    await busy(client, victim)
                    await asyncio.to_thread(cluster.workers[victim].kill)
                assert flight.open
                assert [one.token_ids for one in await flight.answers()] == expected
            for stage in SPLIT:  # whoever gets this cluster next finds it whole
                await gone(cluster, client, f"{stage}-0")
                await asyncio.to_thread(cluster.add, stage)

    run(body())


@pytest.mark.parametrize("stage", ["prefill", "decode"])
def test_no_token_is_sent_twice(
    clusters: Clusters, reference_of: Callable[[str], Reference], stage: str
) -> None:
    """The client would bear a repetition: this one listens to what really comes."""
    reference = reference_of("llava")
    cluster = clusters.get(reference.folder, SPLIT + SPLIT)

    async def body() -> None:
        listener = Listener(cluster.endpoint, [reference.prompt(ask) for ask in text_asks()], 96)
        async with cluster.client() as client:
            await until(listener.begun, "the first delta")
            await busy(client, f"{stage}-0")
            await asyncio.to_thread(cluster.workers[f"{stage}-0"].kill)
            await until(listener.ended, "the end of all requests")
            listener.dealer.close()
            for told in listener.told.values():
                assert told == list(range(96))
            await gone(cluster, client, f"{stage}-0")
            await asyncio.to_thread(cluster.add, stage)

    run(body())


class Listener:
    """A client that notes the position of every token as it comes in."""

    def __init__(self, endpoint: str, prompts: Sequence[Sequence[int]], tokens: int) -> None:
        self.told: dict[str, list[int]] = {str(number): [] for number in range(len(prompts))}
        self._ends: list[say.Ended] = []
        self.dealer = Dealer(endpoint, self._hear)
        sampling = say.Sampling(max_tokens=tokens, ignore_eos=True, seed=0)
        for name, prompt in zip(self.told, prompts, strict=True):
            self.dealer.send(codec.encode(say.Submit(name, sampling, token_ids=tuple(prompt))))

    def _hear(self, frames: list[zmq.Frame]) -> None:
        for word in codec.to_client(frames[0].bytes):
            self._take(word)

    def _take(self, word: say.ToClient) -> None:
        match word:
            case say.Ping():
                self.dealer.send(codec.encode(say.Pong()))
            case say.Ended():
                assert word.finish_reason == "length", word
                self._ends.append(word)
            case say.Deltas(items):
                for one in items:
                    self.told[one.request_id] += range(one.start, one.start + len(one.token_ids))

    async def begun(self) -> bool:
        return any(self.told.values())

    async def ended(self) -> bool:
        return len(self._ends) == len(self.told)
