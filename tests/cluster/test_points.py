"""A worker is killed, or stopped, at one word of its work after another: before, during and after
every transfer, in mid-prefill and in mid-stream. All requests end with the same tokens."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Iterator

import pytest

from .asking import run
from .cluster import ENCODE_TEXT, MONOLITH, SPLIT, Cluster, Layout, settled, until, worker_of
from .conftest import Clusters
from .crowds import Crowd, crowd, gone, undisturbed, when
from .references import Reference
from .wires import DOWN, UP, Tap

pytestmark = pytest.mark.slow

POINTS: dict[str, tuple[tuple[str, str], ...]] = {
    "encode": (
        (DOWN, "Encode"),
        (UP, "EncodeDone"),
        (DOWN, "Relay Want"),
        (UP, "Relay Meet"),
        (UP, "Relay Grant"),
    ),
    "prefill": (
        (DOWN, "Prefill"),
        (DOWN, "Supply"),
        (UP, "Relay Want"),
        (DOWN, "Relay Grant"),
        (UP, "Landed"),
        (UP, "KvOffer"),
        (UP, "Stepped prefilled"),
        (UP, "Relay Grant"),
        (DOWN, "KvTaken"),
    ),
    "decode": (
        (DOWN, "Decode"),
        (DOWN, "KvOffer"),
        (UP, "Relay Want"),
        (DOWN, "Relay Grant"),
        (UP, "KvTaken"),
        (UP, "KvTaken last"),
        (UP, "Stepped"),
    ),
    "text": ((DOWN, "Prefill"), (UP, "Landed"), (UP, "Stepped prefilled"), (UP, "Stepped")),
    "all": ((DOWN, "Encode"), (UP, "EncodeDone"), (UP, "Stepped prefilled"), (UP, "Stepped")),
}
LAYOUTS: dict[str, Layout] = {"text": (*ENCODE_TEXT, "text"), "all": MONOLITH + MONOLITH}
FROZEN = {"Relay Grant", "Landed", "KvOffer", "KvTaken last", "Stepped"}
ALWAYS = {"Encode", "Relay Grant", "KvOffer", "Stepped prefilled", "Stepped"}  # the others: wide
CASES = [
    pytest.param(
        signal_,
        stage,
        way,
        word,
        id=f"{signal_.name}-{stage}-{way}-{word}",
        marks=() if word in ALWAYS and signal_ is signal.SIGKILL else pytest.mark.wide,
    )
    for stage, points in POINTS.items()
    for way, word in points
    for signal_ in (signal.SIGKILL, signal.SIGSTOP)
    if signal_ is signal.SIGKILL or word in FROZEN
]


class House:
    """A cluster behind a tap, kept from case to case; what was killed is replaced."""

    def __init__(self, clusters: Clusters, reference: Reference) -> None:
        self._clusters, self.reference = clusters, reference
        self._stage = ""
        self.tap: Tap | None = None
        self.expected: list[tuple[int, ...]] = []
        self.cluster: Cluster | None = None

    def get(self, stage: str) -> tuple[Cluster, Tap]:
        layout = LAYOUTS.get(stage, SPLIT + SPLIT)
        if self.cluster is None or layout != LAYOUTS.get(self._stage, SPLIT + SPLIT):
            self.close()
            self.cluster = self._clusters.fresh(self.reference.folder, ())
            self.tap = Tap(self.cluster.endpoint)
            for one in layout:
                self.add(one)
            run(self._ask())
        self._stage = stage
        assert self.tap is not None
        return self.cluster, self.tap

    def add(self, stages: str) -> None:
        assert self.cluster is not None
        assert self.tap is not None
        process = self.cluster.begin(stages, controller=self.tap.endpoint)
        told = process.event("ready", "error")
        assert told["event"] == "ready", told["reason"]
        self.cluster.workers[told["name"]] = process

    async def _ask(self) -> None:
        assert self.cluster is not None
        async with self.cluster.client() as client:
            self.expected = await undisturbed(client, crowd(), self.reference)

    def close(self) -> None:
        self._clusters.close()
        if self.tap is not None:
            self.tap.close()
        self.tap = self.cluster = None


@pytest.fixture(scope="module")
def tapped(house: Clusters, reference_of: Callable[[str], Reference]) -> Iterator[House]:
    made = House(house, reference_of("llava"))
    yield made
    made.close()


@pytest.mark.parametrize(("blow", "stage", "way", "word"), CASES)
def test_all_requests_end_with_the_same_tokens(
    tapped: House, blow: signal.Signals, stage: str, way: str, word: str
) -> None:
    cluster, tap = tapped.get(stage)

    async def body() -> None:
        async with cluster.client() as client:
            number = 1 if word == "Relay Meet" else 3  # they meet once
            tap.at(way, word, stage, number, lambda name: cluster.workers[name].send(blow))
            async with Crowd(client, crowd(), tapped.reference) as flight:
                assert [one.token_ids for one in await flight.answers()] == tapped.expected
            assert tap.struck, f"no {word} came by"
            if blow is signal.SIGKILL:
                await gone(cluster, client, tap.struck)
                await asyncio.to_thread(tapped.add, stage)
            else:

                async def dropped() -> bool:
                    return worker_of(await client.status(), tap.struck or "") is None

                await until(dropped, f"{tap.struck} to be dropped")
                cluster.workers[tap.struck].send(signal.SIGCONT)
                await when(client, tap.struck, lambda one: one["state"] == "ready", "serve again")
            await settled(client)

    run(body())
