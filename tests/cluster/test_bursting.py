"""Bursts bring a second worker of the stage that they hit, which leaves when they are over; nothing
that is asked meanwhile fails. The small model that ships, one thread for each worker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from modserve.cli.bursting.asks import Asks
from modserve.cli.bursting.demo import CONFIG
from modserve.cli.bursting.phases import Due, Rates
from modserve.cli.bursting.running import measure
from modserve.cli.bursting.story import attainment, sample
from modserve.cli.cluster import Cluster
from modserve.cli.controlling import TINY
from modserve.client import AsyncClient
from modserve.client.load.driving import drive
from modserve.client.load.endpoints import ModserveEndpoint
from modserve.client.load.record import Record
from modserve.scheduler.slo.outcome import Modality

from .cluster import until

pytestmark = pytest.mark.slow

STEP_S = 240.0  # for anything that is waited for: a machine that others use is slow
CALM, BURST = 0.15, 1.5  # of what one worker said it can do, which others' load may have changed
GROWTH, PATIENCE_S = 1.5, 12.0  # of a burst that has brought nobody
LATELY = 20  # requests by which attainment is told
QUICK = (
    CONFIG.replace("down_s = 10", "down_s = 4")
    .replace("drain_s = 5", "drain_s = 3")
    .replace("burst_s = 15", "burst_s = 6")
)
LAUNCHING = f"{QUICK}\n[stages.encode]\nmax = 2\n[stages.text]\nmax = 2\n"
SWITCHING = QUICK.replace("[scaling]\n", '[scaling]\nmeans = ["switch"]\n')
SWITCHING += "\n[stages.encode]\nstart = 1\n[stages.text]\nstart = 2\n"

ONE = {"encode": 1, "text": 1}


class Traffic:
    """So many requests a second of either kind, until it ends."""

    def __init__(self, client: AsyncClient, asks: Asks) -> None:
        self._endpoint, self._asks = ModserveEndpoint(client, ignore_eos=True), asks
        self.rates = Rates(0.0, 0.0)
        self.records: list[Record] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Traffic:
        self._tasks = [asyncio.create_task(self._flow(modality)) for modality in Modality]
        return self

    async def __aexit__(self, *error: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _flow(self, modality: Modality) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                image = modality is Modality.IMAGE
                rate = self.rates.image if image else self.rates.text
                if rate:
                    group.create_task(self._one(modality))
                await asyncio.sleep(1 / rate if rate else 0.1)  # the pace of the traffic

    async def _one(self, modality: Modality) -> None:
        ask = self._asks.one(Due(0.0, modality))
        await drive(self._endpoint, [ask], self.records, max_concurrency=None, timeout_s=STEP_S)

    def in_time(self) -> float:
        """Of the last that have ended; 0 while they are few."""
        ended = [one for one in self.records if one.ended_s is not None][-LATELY:]
        return (attainment(ended) or 0.0) if len(ended) == LATELY else 0.0


class Scene:
    def __init__(self, client: AsyncClient, capable: Rates, traffic: Traffic) -> None:
        self._client, self.capable, self.traffic = client, capable, traffic

    def calm(self) -> None:
        self.traffic.rates = Rates(CALM * self.capable.image, CALM * self.capable.text)

    async def burst(self, modality: Modality, **workers: int) -> None:
        """Of one kind, until these serve; the other one goes on. It grows, since what a worker
        could do before is no more than it can do now, if others had the cores then."""
        self.calm()
        calm, times = self.traffic.rates, BURST
        serving = asyncio.create_task(self.serving(**workers))
        while not serving.done():
            if modality is Modality.IMAGE:
                self.traffic.rates = replace(calm, image=times * self.capable.image)
            else:
                self.traffic.rates = replace(calm, text=times * self.capable.text)
            times *= GROWTH
            await asyncio.wait({serving}, timeout=PATIENCE_S)
        await serving

    async def serving(self, **workers: int) -> None:
        """Until so many of each role serve, and nobody comes or goes."""

        async def reached() -> bool:
            now = sample(0.0, await self._client.status())
            return now.serving == workers and not now.coming

        await self._until(reached, f"{workers} to serve")

    async def recovered(self) -> None:
        async def reached() -> bool:
            return self.traffic.in_time() >= 0.95

        await self._until(reached, "requests to be in time again")

    async def _until(self, reached: Callable[[], Awaitable[bool]], what: str) -> None:
        try:
            await until(reached, what, STEP_S)
        except AssertionError as error:
            told = "\n".join(event.sentence for event in await self._client.events())
            raise AssertionError(f"{error}:\n{told}") from None


Play = Callable[[Scene], Coroutine[Any, Any, None]]
Stage = Callable[[str, Play], None]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Plays a scene before a cluster of that configuration; nothing that it asked may fail."""

    def play(config: str, scene: Play) -> None:
        file = tmp_path / "modserve.toml"
        file.write_text(config)
        with Cluster("tiny", "--config", str(file)) as cluster:
            asyncio.run(_play(cluster, scene))

    return play


async def _play(cluster: Cluster, play: Play) -> None:
    asks = Asks(TINY)
    async with AsyncClient(cluster.endpoint) as client:
        scene = Scene(client, Rates(0.0, 0.0), Traffic(client, asks))
        await scene._until(lambda: _ready(client), "the first workers")
        scene.capable = await measure(client, asks)
        async with scene.traffic:
            await play(scene)
            scene.traffic.rates = Rates(0.0, 0.0)
            await scene._until(lambda: _idle(client), "the end of what was asked")
        assert [one.error for one in scene.traffic.records if one.error] == []
        requests = (await client.status())["requests"]
        assert requests["failed"] == requests["rejected"] == requests["cancelled"] == 0


async def _ready(client: AsyncClient) -> bool:
    """All that the configuration starts with were launched at once."""
    workers = (await client.status())["workers"]
    launched = [event for event in await client.events() if event.kind == "scale"]
    return len(workers) == len(launched) > 0 and all(one["state"] == "ready" for one in workers)


async def _idle(client: AsyncClient) -> bool:
    return not (await client.status())["requests"]["open"]


def seen(modality: Modality, before: dict[str, int], during: dict[str, int]) -> Play:
    """Calm, a burst until its workers serve, calm until requests are in time again."""

    async def play(scene: Scene) -> None:
        scene.calm()
        await scene.serving(**before)
        await scene.burst(modality, **during)
        scene.calm()
        await scene.recovered()

    return play


def come_and_gone(modality: Modality, during: dict[str, int]) -> Play:
    """A burst that one worker of each kind meets with another one, which leaves afterwards."""

    async def play(scene: Scene) -> None:
        await seen(modality, ONE, during)(scene)
        await scene.serving(**ONE)

    return play


@pytest.mark.timeout(900)
def test_a_burst_of_pictures_brings_an_encoder_which_leaves_again(stage: Stage) -> None:
    alone = LAUNCHING.replace("[stages.text]\nmax = 2", "[stages.text]\nmax = 1")
    stage(alone, come_and_gone(Modality.IMAGE, {"encode": 2, "text": 1}))


@pytest.mark.wide
@pytest.mark.timeout(900)
def test_a_burst_of_texts_brings_a_text_worker_which_leaves_again(stage: Stage) -> None:
    stage(LAUNCHING, come_and_gone(Modality.TEXT, {"encode": 1, "text": 2}))


@pytest.mark.wide
@pytest.mark.timeout(900)
def test_without_launches_a_text_worker_encodes_and_comes_back_with_the_texts(
    stage: Stage,
) -> None:
    texts, pictures = {"encode": 1, "text": 2}, {"encode": 2, "text": 1}

    async def play(scene: Scene) -> None:
        await seen(Modality.IMAGE, texts, pictures)(scene)
        await scene.burst(Modality.TEXT, **texts)
        scene.calm()
        await scene.recovered()

    stage(SWITCHING, play)
