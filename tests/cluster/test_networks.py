"""Words between workers and controller come late, twice, one way only, or break off."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from .asking import run
from .cluster import SPLIT, Cluster, settled, until
from .conftest import Clusters
from .crowds import Crowd, crowd, undisturbed
from .references import Reference
from .wires import DOWN, UP, Wire, echo, wires

pytestmark = pytest.mark.slow
LONG_S = 4.0  # a worker counts as lost after 2.5 s
Disturb = Callable[[list[Wire], Crowd], object]


def _behind(cluster: Cluster, endpoints: list[str], layout: tuple[str, ...] = SPLIT) -> None:
    """Workers that reach the controller through a proxy each."""
    begun = [
        cluster.begin(stages, controller=endpoint)
        for stages, endpoint in zip(layout, endpoints, strict=True)
    ]
    for process in begun:
        told = process.event("ready", "error")
        assert told["event"] == "ready", told["reason"]
        cluster.workers[told["name"]] = process


async def _late(wires: list[Wire], flight: Crowd) -> None:
    """All words take two seconds, for a while."""
    for wire in wires:
        wire.delay_s = 2.0
    await asyncio.sleep(8.0)
    for wire in wires:
        wire.heal()


async def _cut_up(wires: list[Wire], flight: Crowd) -> None:
    await _cut(wires, UP)


async def _cut_down(wires: list[Wire], flight: Crowd) -> None:
    await _cut(wires, DOWN)


async def _cut(wires: list[Wire], way: str) -> None:
    for wire in wires:
        wire.cut(way)
        await asyncio.sleep(LONG_S)
        wire.heal()


async def _torn(wires: list[Wire], flight: Crowd) -> None:
    """Each connection breaks in mid-message, one way and then the other."""
    for way in (UP, DOWN):
        for wire in wires:
            wire.break_next(way)
            await until(partial(_broken, wire, wire.broken, flight), "a chunk to break")


async def _broken(wire: Wire, before: int, flight: Crowd) -> bool:
    return wire.broken > before or not flight.open


FAULTS = {
    "two seconds late": _late,
    "cut one way": _cut_up,
    "cut the other way": _cut_down,
    "torn in mid-message": _torn,
}


WIDE = {"two seconds late", "cut the other way"}


@pytest.mark.parametrize(
    "disturb",
    [
        pytest.param(fault, id=name, marks=pytest.mark.wide if name in WIDE else ())
        for name, fault in FAULTS.items()
    ],
)
def test_requests_end_with_the_same_tokens(
    clusters: Clusters, reference_of: Callable[[str], Reference], disturb: Disturb
) -> None:
    reference = reference_of("llava")
    cluster = clusters.fresh(reference.folder, ())
    asks = crowd(tokens=400)

    async def body(between: list[Wire]) -> None:
        async with cluster.client() as client:
            expected = await undisturbed(client, asks, reference)
            async with Crowd(client, asks, reference) as flight:
                await flight.streaming()
                await disturb(between, flight)  # type: ignore[misc]
                assert [one.token_ids for one in await flight.answers()] == expected
            await settled(client)

    with wires(cluster.endpoint, len(SPLIT)) as between:
        _behind(cluster, [wire.endpoint for wire in between])
        run(body(between))
        cluster.close()


def test_messages_that_come_twice_do_nothing_twice(
    clusters: Clusters, reference_of: Callable[[str], Reference]
) -> None:
    reference = reference_of("llava")
    cluster = clusters.fresh(reference.folder, SPLIT)
    asks = crowd()

    expected: list[tuple[int, ...]] = []

    async def undoubled() -> None:
        async with cluster.client() as client:
            expected.extend(await undisturbed(client, asks, reference))

    run(undoubled())
    again = clusters.fresh(reference.folder, ())

    async def body(endpoint: str) -> None:
        async with type(again.client())(endpoint) as client:
            async with Crowd(client, asks, reference) as flight:
                assert [one.token_ids for one in await flight.answers()] == expected
            await settled(client)

    with echo(again.endpoint) as doubling:
        _behind(again, [doubling.endpoint] * len(SPLIT))
        run(body(doubling.endpoint))
        assert doubling.twice > 100
        again.close()
