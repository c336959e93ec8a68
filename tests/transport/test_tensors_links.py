"""The links between two gloo ports: which one is used, closed, kept in step, or given up."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from threading import Event
from typing import cast

import pytest
import torch
from torch import Tensor
from torch.distributed.distributed_c10d import Store, Work

from modserve.transport.codec import between_ports
from modserve.transport.gloo import GlooPort
from modserve.transport.groups import Gloo, Group
from modserve.transport.messages import Grant, Part, TensorHandle
from modserve.transport.tensors import Corrupted, Deadline, HandleGone, PeerLost

from .peer_process import Faltering, Spec, digest, digest_of, make, resident_bytes
from .peers import Exchange, exchange
from .waiting import until

MIB = 1 << 20
SMALL = Spec((1000,), "float32", 1)
LARGE = Spec((64 * MIB,), seed=2)


def run(scenario: Callable[[Exchange], Awaitable[None]]) -> None:
    async def inside() -> None:
        async with exchange() as made:
            await scenario(made)

    asyncio.run(inside())


def counting() -> Faltering:
    return Faltering(Gloo("127.0.0.1", 2.0))


def unheard() -> TensorHandle:
    return TensorHandle("nobody", 1, 1, (Part((4,), "uint8", 4),))


async def small_from(here: GlooPort, owner: GlooPort) -> None:
    (landed,) = await here.fetch(owner.offer([make(SMALL)]))
    assert digest(landed) == digest_of(SMALL)


def test_one_link_serves_every_fetch_of_its_direction() -> None:
    async def scenario(made: Exchange) -> None:
        network = counting()
        here, there = made.port("here", network=network), made.port("there")
        for _ in range(10):
            await small_from(here, there)
        assert network.connects == 1
        await small_from(there, here)
        assert network.connects == 2

    run(scenario)


def test_the_least_recently_used_idle_link_makes_room() -> None:
    async def scenario(made: Exchange) -> None:
        network = counting()
        here = made.port("here", network=network, max_links=2)
        a, b, c = (made.port(name) for name in "abc")
        for owner in (a, b, a, c):
            await small_from(here, owner)
        assert (here.stats().links, network.connects) == (2, 3)
        await small_from(here, a)
        assert network.connects == 3
        await small_from(here, b)
        assert (here.stats().links, network.connects) == (2, 4)
        assert here.stats().failed_links == 0

    run(scenario)


def test_a_fetch_waits_for_room_while_every_link_is_busy() -> None:
    async def scenario(made: Exchange) -> None:
        here = made.port("here", max_links=1)
        owners = [made.port(name) for name in "abc"]
        await asyncio.gather(*(small_from(here, owner) for owner in owners))
        assert here.stats().links == 1

    run(scenario)


def test_an_idle_link_is_closed_at_both_ends_and_made_anew() -> None:
    async def scenario(made: Exchange) -> None:
        network = counting()
        here = made.port("here", network=network, idle_s=0.05)
        there = made.port("there")
        left = asyncio.Event()
        made.tap = lambda target, body: left.set() if b"Unlink" in body else None
        await small_from(here, there)
        async with asyncio.timeout(5):
            await left.wait()
        assert here.stats().links == 0
        await small_from(here, there)
        assert network.connects == 2
        assert here.stats().failed_links == there.stats().failed_links == 0

    run(scenario)


def test_a_fetch_on_a_link_that_its_owner_has_closed_asks_again() -> None:
    async def scenario(made: Exchange) -> None:
        network = counting()
        here, there = made.port("here", network=network), made.port("there")
        await small_from(here, there)
        made.broken = True  # the owner's word that it left is still on its way
        there.lost("here", None)
        made.broken = False
        await small_from(here, there)
        assert network.connects == 2

    run(scenario)


def test_a_cancelled_fetch_lets_go_of_its_buffers_and_keeps_the_link_in_step() -> None:
    async def scenario(made: Exchange) -> None:
        network = counting()
        here, there = made.port("here", network=network), made.port("there")
        await small_from(here, there)
        into = [torch.zeros(64 * MIB, dtype=torch.uint8)]
        fetching = asyncio.create_task(here.fetch(there.offer([make(LARGE)]), into))
        loop = asyncio.get_running_loop()

        def cancel() -> None:
            loop.call_soon_threadsafe(fetching.cancel)

        network.then = cancel
        network.left = 10
        with pytest.raises(asyncio.CancelledError):
            await fetching
        into[0].zero_()  # ours again: nothing may write here any more
        await small_from(here, there)
        assert not into[0].any()
        assert network.connects == 1
        assert here.stats().quarantined_bytes == 0

    run(scenario)


def test_a_deadline_in_the_middle_leaves_the_others_alone() -> None:
    async def scenario(made: Exchange) -> None:
        here, there = made.port("here"), made.port("there")
        await small_from(here, there)
        handle = there.offer([make(LARGE)])
        hurried = asyncio.create_task(here.fetch(handle, deadline_s=0.005))
        patient = asyncio.create_task(here.fetch(handle))
        with pytest.raises(Deadline, match=r"within 0\.005 s"):
            await hurried
        (landed,) = await patient
        assert digest(landed) == digest_of(LARGE)
        assert here.stats().failed_links == 0

    run(scenario)


def test_an_owner_that_never_answers_is_lost() -> None:
    async def scenario(made: Exchange) -> None:
        failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        here = made.port("here", stall_s=0.1, link_failed=lambda peer, *_: failed.set_result(peer))
        with pytest.raises(Deadline):
            await here.fetch(unheard(), deadline_s=0.01)
        with pytest.raises(PeerLost, match=r"nobody: expected an answer within 0\.1 s"):
            await here.fetch(unheard())
        assert await failed == "nobody"
        assert here.stats().links == here.stats().threads == 0

    run(scenario)


def test_a_closed_port_fails_what_waits_and_what_comes_later() -> None:
    async def scenario(made: Exchange) -> None:
        here = made.port("here")
        waiting = asyncio.create_task(here.fetch(unheard()))
        asyncio.get_running_loop().call_soon(lambda: asyncio.ensure_future(here.close()))
        with pytest.raises(PeerLost, match="this port was closed"):
            await waiting
        with pytest.raises(PeerLost, match="closed"):
            await here.fetch(unheard())

    run(scenario)


def test_a_handle_of_an_earlier_process_of_ones_own_name_is_gone() -> None:
    async def scenario(made: Exchange) -> None:
        here = made.port("here")
        with pytest.raises(HandleGone, match="of here"):
            await here.fetch(TensorHandle("here", here.epoch ^ 1, 1, ()))

    run(scenario)


def test_a_checksum_finds_a_byte_that_changed_on_the_way() -> None:
    async def scenario(made: Exchange) -> None:
        here = made.port("here", network=Noisy("127.0.0.1", 2.0))
        there = made.port("there", checksum=True)
        with pytest.raises(Corrupted, match="checksums"):
            await here.fetch(there.offer([make(Spec((3 * MIB,)))]))
        assert here.stats().links == 1

    run(scenario)


def test_an_idle_link_keeps_no_tensors() -> None:
    async def scenario(made: Exchange) -> None:
        here, there = made.port("here"), made.port("there")
        await small_from(here, there)
        before = resident_bytes()
        handle = there.offer([make(LARGE)])
        await here.fetch(handle)
        assert resident_bytes() - before > 32 * MIB
        there.release(handle)
        await until(lambda: resident_bytes() - before < 32 * MIB)  # the links' threads move on
        assert here.stats().links == there.stats().links == 1

    run(scenario)


def test_buffers_under_a_transfer_that_does_not_stop_are_quarantined() -> None:
    async def scenario(made: Exchange) -> None:
        network = Stuck("127.0.0.1", 2.0)
        here, there = made.port("here", stall_s=0.1, network=network), made.port("there")
        handle = there.offer([torch.ones(5)])
        asyncio.get_running_loop().call_later(0.2, here.lost, "there", None)
        with pytest.raises(PeerLost, match="membership") as caught:
            await here.fetch(handle, [torch.zeros(5)])
        assert caught.value.quarantined
        stats = here.stats()
        assert (stats.quarantined_bytes, stats.links, stats.threads) == (20, 0, 1)
        network.released.set()
        await here.close()
        stats = here.stats()
        assert (stats.quarantined_bytes, stats.links, stats.threads) == (0, 0, 0)

    run(scenario)


class Stuck(Gloo):
    """What a collective library without timeouts would do."""

    def __init__(self, host: str, stall_s: float) -> None:
        super().__init__(host, stall_s)
        self.released = Event()

    def connect(self, store: Store, rank: int) -> Group:
        return AlteredGroup(super().connect(store, rank), self._hang)

    def _hang(self, message: Tensor) -> None:
        if message.numel() > 1:  # the greeting passes
            self.released.wait()


class Noisy(Gloo):
    """Flips a byte of every message of 1 MiB."""

    def connect(self, store: Store, rank: int) -> Group:
        return AlteredGroup(super().connect(store, rank), flip)


def flip(message: Tensor) -> None:
    if message.numel() == MIB:
        message[17] ^= 1


class AlteredGroup:
    """Does something to each message received."""

    def __init__(self, group: Group, alter: Callable[[Tensor], None]) -> None:
        self._group = group
        self._alter = alter
        self.send, self.abort = group.send, group.abort

    def recv(self, tensors: list[Tensor], rank: int, tag: int) -> Work:
        work = self._group.recv(tensors, rank, tag)
        return cast(Work, AlteredWork(work, lambda: self._alter(tensors[0])))


class AlteredWork:
    def __init__(self, work: Work, alter: Callable[[], None]) -> None:
        self._work = work
        self._alter = alter

    def wait(self, timeout: timedelta) -> bool:
        done = self._work.wait(timeout)
        self._alter()
        return done


def test_a_fetch_behind_a_lost_grant_never_takes_the_bytes_of_the_one_before() -> None:
    """1. A link works. 2. The owner grants and sends, its word is lost on the control channel.
    3. Another fetch of the same size follows on the link. 4. Both fail. 5. A new link works."""

    async def scenario(made: Exchange) -> None:
        lost = asyncio.Event()
        lost.set()

        def forgetful(peer: str, body: bytes) -> None:
            if not lost.is_set() and isinstance(between_ports(body), Grant):
                lost.set()
            else:
                made.route("there", peer, body)

        here = made.port("here")
        there = made.ports["there"] = GlooPort("there", forgetful)
        await small_from(here, there)
        first, second = (there.offer([make(Spec((1000,), "float32", seed))]) for seed in (5, 6))
        lost.clear()
        fetching = asyncio.create_task(here.fetch(first))
        await lost.wait()
        for fetch in (here.fetch(second), fetching):
            with pytest.raises(PeerLost):
                await fetch
        await small_from(here, there)

    run(scenario)
