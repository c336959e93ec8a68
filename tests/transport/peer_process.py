"""A process with one tensor port, told what to do over a socket; run as a script by the tests.

The test relays the ports' words, as the controller would: nothing here knows that it is a test
that asks, except `Faltering`, which kills or stops the process in the middle of a transfer.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
import zlib
from collections.abc import Callable
from functools import cache
from typing import TypeVar

import msgspec
import torch
from msgspec import Struct
from torch import Tensor
from torch.distributed.distributed_c10d import Store, Work

from modserve.transport.gloo import GlooPort
from modserve.transport.groups import Gloo, Group, Network
from modserve.transport.messages import TensorHandle
from modserve.transport.tensors import TransferError


class Spec(Struct, frozen=True):
    """A tensor that both ends can make; equal bytes for equal specs."""

    shape: tuple[int, ...]
    dtype: str = "uint8"
    seed: int = 0


class Digest(Struct, frozen=True):
    shape: tuple[int, ...]
    dtype: str
    crc: int


class Word(Struct, frozen=True, tag=True):
    call: int = 0  # which question an answer is to


class Relay(Word, frozen=True, kw_only=True):
    peer: str
    body: bytes


class Offer(Word, frozen=True, kw_only=True):
    specs: tuple[Spec, ...]


class Fetch(Word, frozen=True, kw_only=True):
    handle: TensorHandle
    deadline_s: float


class Release(Word, frozen=True, kw_only=True):
    handle: TensorHandle


class Lose(Word, frozen=True, kw_only=True):
    peer: str


class Count(Word, frozen=True):
    pass


class Falter(Word, frozen=True, kw_only=True):
    messages: int  # to post before it happens
    signal: int


Told = Relay | Offer | Fetch | Release | Lose | Count | Falter


class Offered(Word, frozen=True, kw_only=True):
    handle: TensorHandle


class Landed(Word, frozen=True, kw_only=True):
    digests: tuple[Digest, ...]


class Failed(Word, frozen=True, kw_only=True):
    error: str
    detail: str


class Counted(Word, frozen=True, kw_only=True):
    threads: int
    descriptors: int
    threads_of_links: int = 0


class Done(Word, frozen=True):
    pass


class Faltered(Word, frozen=True, kw_only=True):
    at: float  # time.monotonic, the same clock in every process of a machine


Said = Relay | Offered | Landed | Failed | Counted | Done | Faltered

AnyWord = TypeVar("AnyWord", bound=Word)


def make(spec: Spec) -> Tensor:
    """A prime number of random bytes, repeated: no two messages of a transfer are alike."""
    dtype = getattr(torch, spec.dtype)
    elements = torch.Size(spec.shape).numel()
    generator = torch.Generator().manual_seed(spec.seed)
    count = elements * dtype.itemsize
    block = torch.randint(0, 256, (min(count, 1_000_003),), dtype=torch.uint8, generator=generator)
    raw = block.repeat(count // max(1, block.numel()) + 1)[:count].clone()
    return (raw & 1 if dtype is torch.bool else raw).view(dtype).reshape(spec.shape)


def digest(tensor: Tensor) -> Digest:
    raw = tensor.contiguous().reshape(-1).view(torch.uint8)
    name = str(tensor.dtype).removeprefix("torch.")
    return Digest(tuple(tensor.shape), name, zlib.crc32(raw.numpy().data))


@cache
def digest_of(spec: Spec) -> Digest:
    return digest(make(spec))


def counted() -> Counted:
    """What this process holds."""
    threads, descriptors = (len(os.listdir(f"/proc/self/{what}")) for what in ("task", "fd"))
    return Counted(threads=threads, descriptors=descriptors)


def resident_bytes() -> int:
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def framed(word: Word) -> bytes:
    body = msgspec.msgpack.encode(word)
    return len(body).to_bytes(4, "big") + body


async def heard(reader: asyncio.StreamReader, decoder: msgspec.msgpack.Decoder[AnyWord]) -> AnyWord:
    """Raises IncompleteReadError when the other end is gone."""
    length = int.from_bytes(await reader.readexactly(4), "big")
    return decoder.decode(await reader.readexactly(length))


class Faltering:
    """A network on which something happens when so many more messages have been posted."""

    def __init__(self, network: Network) -> None:
        self.device = network.device
        self.left: int | None = None
        self.then: Callable[[], None] = lambda: None
        self._network = network
        self.connects = 0

    def connect(self, store: Store, rank: int) -> Group:
        self.connects += 1
        return CountingGroup(self._network.connect(store, rank), self)

    def dispose(self, group: Group, broken: bool) -> None:
        pass

    def posted(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left == 0:
                self.then()


class CountingGroup:
    def __init__(self, group: Group, network: Faltering) -> None:
        self._group = group
        self._network = network

    def send(self, tensors: list[Tensor], rank: int, tag: int) -> Work:
        self._network.posted()
        return self._group.send(tensors, rank, tag)

    def recv(self, tensors: list[Tensor], rank: int, tag: int) -> Work:
        self._network.posted()
        return self._group.recv(tensors, rank, tag)

    def abort(self) -> None:
        self._group.abort()


class Process:
    def __init__(self, name: str, descriptor: int, writer: asyncio.StreamWriter) -> None:
        self._descriptor = descriptor
        self._writer = writer
        self._network = Faltering(Gloo("127.0.0.1", 2.0))
        self._port = GlooPort(name, self._relay, network=self._network)

    async def obey(self, word: Told) -> None:
        self._writer.write(framed(await self._answer(word)))

    def relay(self, word: Relay) -> None:
        self._port.receive(word.peer, word.body)

    async def _answer(self, word: Told) -> Said:
        call = word.call
        match word:
            case Offer(specs=specs):
                return Offered(call, handle=self._port.offer([make(spec) for spec in specs]))
            case Fetch(handle=handle, deadline_s=deadline_s):
                try:
                    tensors = await self._port.fetch(handle, deadline_s=deadline_s)
                except TransferError as error:
                    return Failed(call, error=type(error).__name__, detail=str(error))
                return Landed(call, digests=tuple(map(digest, tensors)))
            case Release(handle=handle):
                self._port.release(handle)
            case Lose(peer=peer):
                self._port.lost(peer, None)
            case Count():
                threads = self._port.stats().threads
                return msgspec.structs.replace(counted(), call=call, threads_of_links=threads)
            case Falter(messages=messages, signal=number):
                self._network.left = messages
                self._network.then = lambda: self._falter(number)
        return Done(call)

    def _falter(self, number: int) -> None:
        """On a link's thread: the loop may be in the middle of anything but a write to us."""
        os.write(self._descriptor, framed(Faltered(at=time.monotonic())))
        os.kill(os.getpid(), number)

    def _relay(self, peer: str, body: bytes) -> None:
        self._writer.write(framed(Relay(peer=peer, body=body)))


async def main(name: str, descriptor: int) -> None:
    connection = socket.socket(fileno=descriptor)
    reader, writer = await asyncio.open_connection(sock=connection)
    process = Process(name, descriptor, writer)
    decoder = msgspec.msgpack.Decoder(Told)
    writer.write(framed(Done()))
    async with asyncio.TaskGroup() as answers:
        while True:
            try:
                word = await heard(reader, decoder)
            except (asyncio.IncompleteReadError, ConnectionError):
                os._exit(0)  # the test is over: nobody is left to close a port for
            if isinstance(word, Relay):
                process.relay(word)  # in order, before anything that is said later
            else:
                answers.create_task(process.obey(word))


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    asyncio.run(main(sys.argv[1], int(sys.argv[2])))
