"""Leases on a clock that the test turns, and the loopback's ways of losing a peer."""

from __future__ import annotations

import asyncio

import pytest
import torch

from modserve.transport.codec import BadFrame
from modserve.transport.loopback import Loopback, LoopbackPort
from modserve.transport.offers import Offers
from modserve.transport.tensors import Deadline, HandleGone, PeerLost

LARGE = 8 << 20  # bytes: eight messages


class Hand:
    """A clock that the test turns."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_lease_ends_unless_a_heartbeat_renews_it() -> None:
    clock = Hand()
    offers = Offers("a", 1, lease_s=30.0, clock=clock)
    first, second, third = (offers.add([torch.zeros(10)]) for _ in range(3))
    clock.now = 20.0
    offers.renew([first.id, 999])
    clock.now = 40.0
    offers.renew(None)
    with pytest.raises(HandleGone, match="expired"):
        offers.find(second.id)
    clock.now = 69.0
    assert offers.find(first.id)[0].shape == (10,)
    assert (len(offers), offers.bytes) == (1, 40)
    clock.now = 71.0
    offers.expire()
    assert (len(offers), offers.bytes) == (0, 0)
    assert third.id != second.id != first.id


def run_while_fetching(lose: str) -> None:
    async def run() -> None:
        air = Loopback()
        here, there = (LoopbackPort(name, air, stall_s=0.01) for name in ("here", "there"))
        fetching = asyncio.create_task(here.fetch(there.offer([torch.ones(LARGE).byte()])))
        for _ in range(4):  # messages
            await asyncio.sleep(0)
        match lose:
            case "kill":
                air.kill("there")
            case "freeze":
                air.freeze("there")
            case "lost":
                here.lost("there", there.epoch)
            case "close":
                await there.close()
        with pytest.raises(PeerLost, match="there: expected"):
            await fetching
        assert here.stats().received_bytes == 0

    asyncio.run(run())


@pytest.mark.parametrize("how", ["kill", "freeze", "lost", "close"])
def test_a_loopback_owner_can_be_lost_in_the_middle(how: str) -> None:
    run_while_fetching(how)


def test_a_loopback_peer_restarted_under_its_name_is_another() -> None:
    async def run() -> None:
        air = Loopback()
        here, there = (LoopbackPort(name, air) for name in ("here", "there"))
        old = there.offer([torch.ones(3)])
        air.kill("there")
        with pytest.raises(PeerLost):
            await here.fetch(old)
        again = LoopbackPort("there", air)
        with pytest.raises(HandleGone, match="expected epoch"):
            await here.fetch(old)
        assert torch.equal((await here.fetch(again.offer([torch.ones(3)])))[0], torch.ones(3))

    asyncio.run(run())


def test_a_loopback_deadline_ends_the_wait_for_a_frozen_owner() -> None:
    async def run() -> None:
        air = Loopback()
        here, there = (LoopbackPort(name, air) for name in ("here", "there"))
        handle = there.offer([torch.ones(3)])
        air.freeze("there")
        with pytest.raises(Deadline):
            await here.fetch(handle, deadline_s=0.01)
        with pytest.raises(BadFrame, match="no word"):
            here.receive("there", b"x")

    asyncio.run(run())
