"""Gloo peers that are killed or frozen in the middle of 256 MB, restarted, or met 200 times."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Iterator

import psutil
import pytest
import torch

from modserve.transport.gloo import GlooPort
from modserve.transport.messages import TensorHandle
from modserve.transport.tensors import HandleGone, PeerLost

from .peer_process import Counted, Spec, counted, digest, digest_of, make, resident_bytes
from .peers import Exchange, RemotePeer, exchange, gloo_in_one_process

MIB = 1 << 20
LARGE = Spec((256 * MIB,), seed=1)
SMALL = Spec((1000,), "float32", 2)
NOTICED_S = 3.0

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def warm() -> None:
    """What torch and gloo start once per process does not count as a leak."""

    async def run() -> None:
        async with gloo_in_one_process() as pair:
            await pair.here.fetch(await pair.there.offer(SMALL))

    asyncio.run(run())


class Scene:
    """The survivor `here`, the victim `there`, and what this process held before they met."""

    def __init__(self, made: Exchange, there: RemotePeer) -> None:
        self.lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.here = made.port("here", link_failed=lambda peer, *_: self.lost.set_result(peer))
        self.there = there
        self.before = counted()
        self.resident_before = resident_bytes()

    async def holds_nothing(self) -> None:
        stats = self.here.stats()
        assert (stats.links, stats.threads, stats.quarantined_bytes) == (0, 0, 0)
        assert stats.failed_links == 1
        assert resident_bytes() - self.resident_before < 64 * MIB
        await kernel_shows(self.before)

    async def seconds_since_it_faltered(self) -> float:
        return time.monotonic() - await self.there.faltered


async def kernel_shows(expected: Counted) -> None:
    """No more threads and descriptors of this process than expected. The kernel lists a thread
    for a moment after it was joined, and tells nobody when it no longer does."""
    async with asyncio.timeout(1.0):
        while beyond(counted(), expected):  # noqa: ASYNC110
            await asyncio.sleep(0)


def beyond(now: Counted, expected: Counted) -> bool:
    return now.threads > expected.threads or now.descriptors > expected.descriptors


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=lambda n: n.name)
def test_a_consumer_outlives_its_owner(number: signal.Signals) -> None:
    async def run() -> None:
        async with exchange() as made:
            scene = Scene(made, await made.process("there"))
            handle, small = await scene.there.offer(LARGE), await scene.there.offer(SMALL)
            await scene.there.falter(number, messages=100)
            await fetch_in_vain(scene, handle)
            async with asyncio.timeout(NOTICED_S):
                assert await scene.lost == "there"
            await scene.holds_nothing()
            if number == signal.SIGSTOP:
                scene.there.process.send_signal(signal.SIGCONT)
                (thawed,) = await scene.here.fetch(small)
                assert digest(thawed) == digest_of(SMALL)

    asyncio.run(run())


async def fetch_in_vain(scene: Scene, handle: TensorHandle) -> None:
    """What it lends must be gone afterwards, so it keeps no exception, whose frames would."""
    into = [torch.zeros(256 * MIB, dtype=torch.uint8)]
    quarantined = None
    try:
        await scene.here.fetch(handle, into)
    except PeerLost as error:
        quarantined = error.quarantined
    assert await scene.seconds_since_it_faltered() < NOTICED_S
    assert quarantined is False
    assert into[0][: 50 * MIB].any()
    assert not into[0][150 * MIB :].any()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=lambda n: n.name)
def test_an_owner_outlives_its_consumer(number: signal.Signals) -> None:
    async def run() -> None:
        async with exchange() as made:
            scene = Scene(made, await made.process("there"))
            handle = scene.here.offer([make(LARGE)])
            await scene.there.falter(number, messages=100)
            fetching = asyncio.create_task(scene.there.fetch(handle))
            async with asyncio.timeout(60):
                assert await scene.lost == "there"
            assert await scene.seconds_since_it_faltered() < NOTICED_S
            kept = scene.here.stats()
            scene.here.release(handle)
            await scene.holds_nothing()
            assert kept.offers == 1
            if number == signal.SIGSTOP:
                scene.there.process.send_signal(signal.SIGCONT)
                with pytest.raises(PeerLost):
                    await fetching
                thawed = await scene.there.fetch(scene.here.offer([make(SMALL)]))
                assert thawed == [digest_of(SMALL)]
            else:
                with pytest.raises(asyncio.CancelledError):
                    await fetching

    asyncio.run(run())


def test_a_peer_frozen_before_it_answers_is_lost_too() -> None:
    async def run() -> None:
        async with exchange() as made:
            scene = Scene(made, await made.process("there"))
            handle = await scene.there.offer(SMALL)
            scene.there.process.send_signal(signal.SIGSTOP)
            asked_at = time.monotonic()
            with pytest.raises(PeerLost, match="an answer"):
                await scene.here.fetch(handle)
            assert time.monotonic() - asked_at < NOTICED_S
            await scene.lost
            await scene.holds_nothing()

    asyncio.run(run())


def test_membership_that_loses_a_peer_ends_its_fetches_at_once() -> None:
    async def run() -> None:
        async with exchange() as made:
            scene = Scene(made, await made.process("there"))
            handle = await scene.there.offer(SMALL)
            await scene.here.fetch(handle)
            scene.there.process.send_signal(signal.SIGSTOP)
            asked_at = time.monotonic()
            fetching = asyncio.create_task(scene.here.fetch(handle))
            asyncio.get_running_loop().call_soon(scene.here.lost, "there", handle.epoch)
            with pytest.raises(PeerLost, match="membership"):
                await fetching
            assert time.monotonic() - asked_at < 1.0
            await scene.here.close()
            await kernel_shows(scene.before)

    asyncio.run(run())


def test_a_peer_restarted_under_its_name_is_another() -> None:
    async def run() -> None:
        async with exchange() as made:
            scene = Scene(made, await made.process("there"))
            old = await scene.there.offer(SMALL)
            mine = scene.here.offer([make(SMALL)])
            assert await scene.there.fetch(mine) == [digest_of(SMALL)]
            await scene.here.fetch(old)
            await scene.there.stop()
            again = await made.process("there")
            with pytest.raises(HandleGone, match="expected epoch"):
                await scene.here.fetch(old)
            new = await again.offer(SMALL)
            assert new.epoch != old.epoch
            assert [digest(each) for each in await scene.here.fetch(new)] == [digest_of(SMALL)]
            assert await again.fetch(mine) == [digest_of(SMALL)]
            assert scene.here.stats().links == 2

    asyncio.run(run())


def test_200_links_made_and_closed_leave_nothing() -> None:
    async def run() -> None:
        async with exchange() as made:
            there = await made.process("there")
            here = made.port("here")
            theirs, ours = await there.offer(SMALL), here.offer([make(SMALL)])
            await meet_and_part(here, there, theirs, ours, times=5)
            ours_now, theirs_now = counted(), await there.count()
            await meet_and_part(here, there, theirs, ours, times=100)
            await kernel_shows(ours_now)
            async with asyncio.timeout(1.0):
                while await there.count() != theirs_now:
                    pass
            assert here.stats().failed_links == 0

    asyncio.run(run())


async def meet_and_part(
    here: GlooPort, there: RemotePeer, theirs: TensorHandle, ours: TensorHandle, *, times: int
) -> None:
    """One link in each direction, made, used and closed so often."""
    for _ in range(times):
        await asyncio.gather(here.fetch(theirs), there.fetch(ours))
        here.lost("there", None)
        await there.lose("here")
    async with asyncio.timeout(5.0):
        while (await there.count()).threads_of_links or here.stats().threads:
            pass


def children() -> set[int]:
    return {child.pid for child in psutil.Process().children()}


@pytest.fixture(autouse=True)
def no_child_is_left() -> Iterator[None]:
    before = children()  # other tests of the session may keep some
    yield
    assert children() <= before
