"""Overload in front of a real controller: who would be late hears it at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic

import pytest

from modserve.client import AsyncClient, Refused
from modserve.scheduler.costs.costs import Costs
from modserve.scheduler.costs.text import TextCost
from modserve.scheduler.slo.classes import CLASSES, SloClass
from modserve.tests.worker.emulated.crews import Crew, crew
from modserve.transport import messages as say
from modserve.worker.emulated.profile import Emulation

from .scripted import Worker, controller, conversation

pytestmark = pytest.mark.slow

SLOW = Emulation(Costs(text=TextCost(0.0, 0.0, 0.002, 0.0, 0.0)))  # 500 tokens a second
PROMPT = [7] * 200  # 0.4 s
HASTY = SloClass("hasty", 1.0, 10.0)
CALM = SloClass("calm", 1.0, 10.0, degrade_to="batch")
SLOS = {**CLASSES, "hasty": HASTY, "calm": CALM}
CROWD = 12


@dataclass
class Told:
    """Of one request: what it was refused with, if it was, and after how long its end came."""

    refused: Refused | None
    took_s: float


@asynccontextmanager
async def slow_worker() -> AsyncIterator[tuple[AsyncClient, Crew]]:
    """Behind a controller that admits by prediction."""
    async with (
        controller(admission="predicted", slo=SLOS) as scene,
        crew(scene, "text", emulation=SLOW) as made,
        AsyncClient(scene.endpoint) as client,
    ):
        yield client, made


async def asked(client: AsyncClient, slo: str) -> Told:
    began = monotonic()
    try:
        answer = await client.generate(token_ids=PROMPT, max_tokens=2, slo=slo)
    except Refused as error:
        return Told(error, monotonic() - began)
    assert len(answer.token_ids) == 2
    return Told(None, monotonic() - began)


async def speed(made: Crew) -> float:
    """What the only worker told."""
    workers = (await made.status())["workers"]
    assert isinstance(workers, list)
    return float(workers[0]["prompt_token_s"])


async def crowd(client: AsyncClient, made: Crew, slo: str) -> list[Told]:
    """So many at once, after one that tells how fast the worker is."""
    assert (await asked(client, slo)).refused is None
    while not await speed(made):
        pass  # its next beat tells
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(asked(client, slo)) for _ in range(CROWD)]
    return [one.result() for one in asking]


@conversation
async def test_whoever_would_be_late_is_refused_at_once_and_the_others_are_served() -> None:
    async with slow_worker() as (client, made):
        told = await crowd(client, made, "hasty")
        refused = [(one.refused, one.took_s) for one in told if one.refused is not None]
        served = [one.took_s for one in told if one.refused is None]
        assert served, "there is room for two"
        assert len(refused) >= CROWD // 2
        for error, took_s in refused:
            assert error.code == "busy"
            assert "where 1.00 s are promised (hasty); retry in" in error.reason
            assert error.retry_after_s is not None and error.retry_after_s > 0
            assert took_s < max(served), "it is not told behind the others"
        requests = (await made.status())["requests"]
        assert isinstance(requests, dict)
        assert (requests["rejected"], requests["degraded"]) == (len(refused), 0)
        assert requests["finished"] == len(served) + 1


@conversation
async def test_what_another_class_can_promise_is_served_as_that() -> None:
    async with slow_worker() as (client, made):
        assert all(one.refused is None for one in await crowd(client, made, "calm"))
        status = await made.status()
        requests, rows = status["requests"], status["attainment"]
        assert isinstance(requests, dict) and isinstance(rows, list)
        assert requests["degraded"] >= CROWD // 2
        sent = {row["slo"]: row["sent"] for row in rows if row["window_s"] == 300.0}
        assert sent == {"calm": CROWD + 1 - requests["degraded"], "batch": requests["degraded"]}


@conversation
async def test_without_the_policy_nobody_is_refused_for_being_late() -> None:
    async with controller(slo=SLOS) as scene:
        worker: Worker = scene.worker("text")
        client = scene.client()
        await worker.join()
        worker.say(say.Beat(prompt_token_s=10.0))
        for number in range(3):
            client.say(say.Submit(f"r{number}", say.Sampling(), token_ids=(7,) * 9, slo="hasty"))
        await worker.hear(say.Prefill, 3)
        assert not client.heard(say.Refused)
