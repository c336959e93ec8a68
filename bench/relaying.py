"""The floor of a request's words: a process of Python that passes them on, and reads none of them.

It stands where the controller stands, behind the same socket: a Submit goes to a worker as a
Prefill, a Stepped with its news comes back, news and the last word go to the client in one message,
and the worker is told to release. Words have the sizes of the controller's.
"""

from __future__ import annotations

import asyncio
from itertools import count, cycle

import uvloop
import zmq

from modserve.transport.channels import Dealer, Router

from .between import PATIENCE_S, Hear, cpu_s, process

SUBMIT, PREFILL, STEPPED, NEWS, LAST, RELEASE = 220, 420, 80, 90, 420, 60  # bytes
IDENTITY = 16  # bytes


def relayed_s(requests: int, workers: int, clients: int, open_each: int) -> float:
    """Processor time of the process between, for a request."""
    with process(relaying) as (endpoint, pid):
        return uvloop.run(_ask(endpoint, pid, requests, workers, clients, open_each))


def relaying() -> Hear:
    workers: list[bytes] = []
    turns = count()

    def hear(router: Router, identity: bytes, frames: list[zmq.Frame]) -> None:
        word = frames[0].bytes
        if len(frames) == 2:
            router.send(word[-IDENTITY:], frames[1].bytes + bytes(LAST))
            router.send(identity, bytes(RELEASE))
        elif len(word) == SUBMIT:
            worker = workers[next(turns) % len(workers)]
            router.send(worker, bytes(PREFILL - IDENTITY) + identity)
        else:
            if word == b"worker":
                workers.append(identity)
            router.send(identity, b"welcome")

    return hear


async def _ask(
    endpoint: str, pid: int, requests: int, workers: int, clients: int, open_each: int
) -> float:
    peers = Peers(endpoint, requests, workers, clients)
    try:
        async with asyncio.timeout(PATIENCE_S):
            await peers.welcomed.wait()
            used = cpu_s(pid)
            peers.begin(open_each)
            await peers.answered.wait()
        return (cpu_s(pid) - used) / requests
    finally:
        peers.close()


class Peers:
    """All workers and clients; they compute nothing."""

    def __init__(self, endpoint: str, requests: int, workers: int, clients: int) -> None:
        self.welcomed, self.answered = asyncio.Event(), asyncio.Event()
        self._left, self._open, self._strangers = requests, requests, workers + clients
        context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._context = context
        self._clients = [self._peer(endpoint, b"client") for _ in range(clients)]
        self._workers = [self._peer(endpoint, b"worker") for _ in range(workers)]

    def _peer(self, endpoint: str, kind: bytes) -> Dealer:
        peer = Dealer(endpoint, lambda frames: self._hear(peer, frames[0]), context=self._context)
        peer.send(kind)
        return peer

    def begin(self, open_each: int) -> None:
        for _, client in zip(range(open_each * len(self._clients)), cycle(self._clients)):
            self._submit(client)

    def close(self) -> None:
        for peer in (*self._clients, *self._workers):
            peer.close()
        self._context.term()

    def _submit(self, client: Dealer) -> None:
        if self._left > 0:
            self._left -= 1
            client.send(bytes(SUBMIT))

    def _hear(self, peer: Dealer, frame: zmq.Frame) -> None:
        match len(frame.buffer):
            case size if size == PREFILL:
                peer.send(bytes(STEPPED - IDENTITY) + frame.bytes[-IDENTITY:], bytes(NEWS))
            case size if size == NEWS + LAST:
                self._open -= 1
                self._submit(peer)
                if not self._open:
                    self.answered.set()
            case size if size == len(b"welcome"):
                self._strangers -= 1
                if not self._strangers:
                    self.welcomed.set()
