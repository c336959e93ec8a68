"""What every TensorPort promises, asked of each: the fake, gloo in one process and in two."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack

import pytest
import torch
from msgspec.structs import replace

from modserve.transport.messages import TensorHandle
from modserve.transport.tensors import HandleGone, SizeMismatch

from .peer_process import Spec, digest, digest_of, make
from .peers import IMPLEMENTATIONS, Pair

MIB = 1 << 20
DTYPES = ["float32", "float16", "bfloat16", "int64", "int32", "uint8", "bool"]


@pytest.fixture(scope="module")
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="module", params=IMPLEMENTATIONS)
def pair(request: pytest.FixtureRequest, runner: asyncio.Runner) -> Iterator[Pair]:
    """One pair for all tests of an implementation: its links are used again, as in service."""
    stack = AsyncExitStack()
    yield runner.run(stack.enter_async_context(IMPLEMENTATIONS[request.param]()))
    runner.run(stack.aclose())


async def there_and_back(pair: Pair, *specs: Spec) -> None:
    expected = [digest_of(spec) for spec in specs]
    theirs = await pair.there.offer(*specs)
    assert [digest(tensor) for tensor in await pair.here.fetch(theirs)] == expected
    ours = pair.here.offer([make(spec) for spec in specs])
    assert await pair.there.fetch(ours) == expected
    await pair.there.release(theirs)
    pair.here.release(ours)


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_arrives_as_it_was(runner: asyncio.Runner, pair: Pair, dtype: str) -> None:
    runner.run(there_and_back(pair, Spec((3, 5, 7), dtype, 1)))


@pytest.mark.parametrize("size", [1, 2, MIB - 1, MIB, MIB + 1, 5 * MIB + 3])
def test_any_number_of_bytes_arrives(runner: asyncio.Runner, pair: Pair, size: int) -> None:
    runner.run(there_and_back(pair, Spec((size,), seed=2)))


@pytest.mark.slow
def test_256_megabytes_arrive(runner: asyncio.Runner, pair: Pair) -> None:
    runner.run(there_and_back(pair, Spec((256 * MIB,), seed=3)))


def test_many_parts_arrive_in_order(runner: asyncio.Runner, pair: Pair) -> None:
    shapes = [(), (0,), (4, 0, 2), (1,), (300_000,), (2, 3, 4, 5), (7,)]
    specs = [Spec(shape, DTYPES[number], number) for number, shape in enumerate(shapes)]
    runner.run(there_and_back(pair, *specs))


def test_a_handle_without_parts_or_bytes_is_fetched(runner: asyncio.Runner, pair: Pair) -> None:
    runner.run(there_and_back(pair))
    runner.run(there_and_back(pair, Spec((0, 3), "float32")))


def test_what_is_offered_in_strides_arrives(runner: asyncio.Runner, pair: Pair) -> None:
    async def run() -> None:
        tensor = make(Spec((30, 40), "float32", 4)).t()
        assert await pair.there.fetch(pair.here.offer([tensor])) == [digest(tensor)]

    runner.run(run())


def test_buffers_that_are_lent_are_filled_strided_ones_too(
    runner: asyncio.Runner, pair: Pair
) -> None:
    async def run() -> None:
        specs = Spec((2 * MIB,), "uint8", 5), Spec((40, 30), "float32", 6)
        room = torch.zeros(30, 40), torch.zeros(40, 50)
        into = [torch.empty(2 * MIB, dtype=torch.uint8), room[1][:, 10:40]]
        handle = await pair.there.offer(*specs)
        landed = await pair.here.fetch(handle, into)
        assert [id(tensor) for tensor in landed] == [id(tensor) for tensor in into]
        assert [digest(tensor) for tensor in into] == [digest_of(spec) for spec in specs]
        assert not room[1][:, :10].any()
        assert not room[1][:, 40:].any()

    runner.run(run())


def test_ones_own_handle_gives_the_tensors_themselves(runner: asyncio.Runner, pair: Pair) -> None:
    async def run() -> None:
        tensor = torch.arange(10)
        handle = pair.here.offer([tensor])
        (mine,) = await pair.here.fetch(handle)
        assert mine.data_ptr() == tensor.data_ptr()
        copy = torch.empty_like(tensor)
        await pair.here.fetch(handle, [copy])
        assert torch.equal(copy, tensor)

    runner.run(run())


def test_fifty_fetches_at_once_in_both_directions(runner: asyncio.Runner, pair: Pair) -> None:
    async def run() -> None:
        specs = [Spec((1 + 20_011 * (number % 7),), "int32", number) for number in range(50)]
        expected = [[digest_of(spec)] for spec in specs]
        ours = [pair.here.offer([make(spec)]) for spec in specs]
        theirs = [await pair.there.offer(spec) for spec in specs]
        async with asyncio.TaskGroup() as fetches:
            there = [fetches.create_task(pair.there.fetch(handle)) for handle in ours]
            here = [fetches.create_task(pair.here.fetch(handle)) for handle in theirs]
        assert [task.result() for task in there] == expected
        assert [[digest(each) for each in task.result()] for task in here] == expected

    runner.run(run())


def test_two_fetches_of_one_handle_both_land(runner: asyncio.Runner, pair: Pair) -> None:
    async def run() -> None:
        handle = await pair.there.offer(Spec((3 * MIB,), seed=7))
        twice = await asyncio.gather(pair.here.fetch(handle), pair.here.fetch(handle))
        assert torch.equal(twice[0][0], twice[1][0])
        assert twice[0][0].data_ptr() != twice[1][0].data_ptr()

    runner.run(run())


def test_a_released_handle_is_gone_and_the_next_one_is_not(
    runner: asyncio.Runner, pair: Pair
) -> None:
    async def run() -> None:
        handle = await pair.there.offer(Spec((10,)))
        await pair.there.release(handle)
        await pair.there.release(handle)
        with pytest.raises(HandleGone, match="released or expired"):
            await pair.here.fetch(handle)
        mine = pair.here.offer([torch.zeros(3)])
        pair.here.release(mine)
        with pytest.raises(HandleGone):
            await pair.there.fetch(mine)
        with pytest.raises(HandleGone):
            await pair.here.fetch(mine)
        await there_and_back(pair, Spec((10,)))

    runner.run(run())


def test_a_handle_of_another_process_of_that_name_is_gone(
    runner: asyncio.Runner, pair: Pair
) -> None:
    async def run() -> None:
        for handle in [await pair.there.offer(Spec((10,))), pair.here.offer([torch.zeros(3)])]:
            with pytest.raises(HandleGone, match="expected epoch"):
                await pair.here.fetch(replace(handle, epoch=handle.epoch ^ 1))
        await there_and_back(pair, Spec((10,)))

    runner.run(run())


def test_a_handle_that_lies_about_bytes_is_refused_by_the_owner(
    runner: asyncio.Runner, pair: Pair
) -> None:
    async def run() -> None:
        handle = await pair.there.offer(Spec((10,)), Spec((20,)))
        for parts in [handle.parts[:1], handle.parts[::-1]]:
            with pytest.raises(SizeMismatch, match="expected parts of"):
                await pair.here.fetch(replace(handle, parts=parts))
        await there_and_back(pair, Spec((10,)))

    runner.run(run())


@pytest.mark.parametrize(
    "into",
    [
        [],
        [torch.empty(11, dtype=torch.uint8)],
        [torch.empty(10, dtype=torch.bool)],
        [torch.empty(10, dtype=torch.uint8)] * 2,
    ],
)
def test_buffers_that_do_not_fit_are_refused_here(
    runner: asyncio.Runner, pair: Pair, into: list[torch.Tensor]
) -> None:
    async def run() -> None:
        handle = await pair.there.offer(Spec((10,)))
        with pytest.raises(SizeMismatch, match="expected 1"):
            await pair.here.fetch(handle, into)

    runner.run(run())


def test_stats_tell_what_is_offered(runner: asyncio.Runner, pair: Pair) -> None:
    async def run() -> None:
        before = pair.here.stats()
        handles: list[TensorHandle] = [pair.here.offer([torch.zeros(1000)]) for _ in range(3)]
        now = pair.here.stats()
        assert now.offers - before.offers == 3
        assert now.offered_bytes - before.offered_bytes == 12_000
        for handle in handles:
            pair.here.release(handle)
        assert pair.here.stats().offered_bytes == before.offered_bytes
        assert now.quarantined_bytes == 0

    runner.run(run())
