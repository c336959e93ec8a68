"""The least that a process between two others can do: pass each message on, unread.

It stands where the controller stands and speaks through the same socket, so that what is left of
a difference is the controller's own work.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence

import zmq
from msgspec import Struct

from modserve.transport.channels import Dealer, Router

from .between import Hear, cpu_s

PACE_S = 0.01
PATIENCE_S = 30.0


class Hop(Struct, frozen=True):
    latencies_s: list[float]
    cpu_s: float  # of the process between, per message


def passing() -> Hear:
    """What one of the last two peers says goes to the other."""
    peers: deque[bytes] = deque(maxlen=2)

    def hear(router: Router, identity: bytes, frames: list[zmq.Frame]) -> None:
        if identity not in peers:  # its first message says only that it is there
            peers.append(identity)
            router.send(identity, b"welcome")
        else:
            router.send(peers[1 - peers.index(identity)], *frames)

    return hear


async def hop(endpoint: str, pid: int, frames: Sequence[bytes], count: int) -> Hop:
    """Send one message `count` times at a steady pace from one peer to the other."""
    here, there = Peer(endpoint), Peer(endpoint)
    for peer in (here, there):
        peer.dealer.send(b"here")
        await peer.heard(1)
    before, sent = cpu_s(pid), []
    for _ in range(count):
        sent.append(time.perf_counter())
        here.dealer.send(*frames)
        await asyncio.sleep(PACE_S)
    await there.heard(1 + count)
    used = cpu_s(pid) - before
    here.dealer.close()
    there.dealer.close()
    took = [end - begin for begin, end in zip(sent, there.arrived[1:], strict=True)]
    return Hop(took, used / count)


class Peer:
    def __init__(self, endpoint: str) -> None:
        self.arrived: list[float] = []
        self._news = asyncio.Event()
        self.dealer = Dealer(endpoint, self._hear)

    async def heard(self, count: int) -> None:
        """Wait until so many messages have come."""
        async with asyncio.timeout(PATIENCE_S):
            while len(self.arrived) < count:
                self._news.clear()
                await self._news.wait()

    def _hear(self, frames: list[zmq.Frame]) -> None:
        self.arrived.append(time.perf_counter())
        self._news.set()
