"""A tensor from one process to another, each on its own device: NCCL on two GPUs, gloo on CPUs.

Never run with NCCL: no machine with two GPUs was at hand when it was written.
"""

from __future__ import annotations

import asyncio
import multiprocessing
from multiprocessing.connection import Connection

import msgspec
import torch
from msgspec import Struct

from modserve.transport.gloo import GlooPort
from modserve.transport.messages import TensorHandle

from .machine import wait_for
from .report import Figure

MB = 1000 * 1000
SIZES = (MB, 16 * MB, 256 * MB)
REPEATS = 8
STALL_S = 20.0  # a first NCCL transfer sets up much
PATIENCE_S = 60.0


class Fetched(Struct, frozen=True):
    bytes: int
    seconds: float  # of the fastest
    right: bool


def measure(devices: tuple[str, str], sizes: tuple[int, ...] = SIZES) -> list[Figure]:
    """`devices`: the owner's and the consumer's."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_own, args=(theirs, devices[0], sizes))
    child.start()
    theirs.close()
    try:
        fetched = asyncio.run(_consume(ours, devices[1]))
    finally:
        ours.close()
        child.join(PATIENCE_S)
        child.kill()
    return [
        Figure(
            f"{one.bytes / MB:,.3g} MB, {devices[0]} to {devices[1]}",
            one.bytes / one.seconds / 1e9,
            "GB/s",
            note="" if one.right else "WRONG BYTES",
        )
        for one in fetched
    ]


def _own(pipe: Connection, device: str, sizes: tuple[int, ...]) -> None:
    asyncio.run(_serve(pipe, device, sizes))


async def _serve(pipe: Connection, device: str, sizes: tuple[int, ...]) -> None:
    """Offer a tensor of each size until the pipe is closed."""
    port = _port(pipe, "owner", device)
    offered = [port.offer([_pattern(size, device)]) for size in sizes]
    wait_for(torch.device(device))
    pipe.send_bytes(msgspec.msgpack.encode(offered))
    closed = asyncio.Event()
    _listen(pipe, port, "consumer", closed)
    await closed.wait()
    await port.close()


async def _consume(pipe: Connection, device: str) -> list[Fetched]:
    if not pipe.poll(PATIENCE_S):
        raise RuntimeError(f"expected an offer within {PATIENCE_S:g} s, got none")
    handles = msgspec.msgpack.decode(pipe.recv_bytes(), type=list[TensorHandle])
    port = _port(pipe, "consumer", device)
    _listen(pipe, port, "owner", asyncio.Event())
    fetched = [await _fetch(port, handle, device) for handle in handles]
    await port.close()
    asyncio.get_running_loop().remove_reader(pipe.fileno())
    return fetched


async def _fetch(port: GlooPort, handle: TensorHandle, device: str) -> Fetched:
    size, loop, took = handle.parts[0].bytes, asyncio.get_running_loop(), []
    target = torch.zeros(size, dtype=torch.uint8, device=device)
    for _ in range(REPEATS):
        begun = loop.time()
        await port.fetch(handle, [target], deadline_s=PATIENCE_S)
        wait_for(torch.device(device))
        took.append(loop.time() - begun)
    return Fetched(size, min(took), torch.equal(target, _pattern(size, device)))


def _port(pipe: Connection, name: str, device: str) -> GlooPort:
    return GlooPort(name, lambda peer, body: pipe.send_bytes(body), device=device, stall_s=STALL_S)


def _listen(pipe: Connection, port: GlooPort, peer: str, closed: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()

    def hear() -> None:
        try:
            port.receive(peer, pipe.recv_bytes())
        except EOFError:
            loop.remove_reader(pipe.fileno())
            closed.set()

    loop.add_reader(pipe.fileno(), hear)


def _pattern(size: int, device: str) -> torch.Tensor:
    return (torch.arange(size, device=device) % 251).to(torch.uint8)
