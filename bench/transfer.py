"""How fast a tensor is fetched from another process, as a share of raw gloo in the same run.

    python bench/transfer.py [--rounds 7] [--json FILE]

Raw gloo is one `send` and one `recv` of the whole tensor, one after another, on a process group
of the same two processes. `one` is one fetch after another, each with its question and answer on
the control channel (here a pipe), all into one buffer; `eight` has eight fetches under way, each
into its own: raw gloo takes turns with the same buffers then, since memory that no cache holds is
slower. Medians of rounds that alternate between the four, and of their ratios. Goal: 80 % from 1 MB
up.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Iterator
from datetime import timedelta
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median

import msgspec
import torch
import uvloop
from rich.console import Console
from rich.table import Table
from torch import Tensor
from torch.distributed import FileStore  # type: ignore[attr-defined]  # its stubs forget it

from modserve.transport.gloo import GlooPort
from modserve.transport.groups import Gloo, Group
from modserve.transport.messages import TensorHandle

KB, MB = 1000, 1000 * 1000
SIZES = {"64 KB": 64 * KB, "1 MB": MB, "16 MB": 16 * MB, "64 MB": 64 * MB, "256 MB": 256 * MB}
ROUND_BYTES = 512 * MB  # moved in a round, but in no fewer and no more transfers than these:
ROUND_TRANSFERS = (4, 200)
PATIENCE = timedelta(seconds=30)


class Result(msgspec.Struct, frozen=True):
    """MB/s of each round."""

    bytes: int
    raw_mb_s: list[float]  # into one buffer
    one_mb_s: list[float]
    raw_eight_mb_s: list[float]  # into eight buffers in turn
    eight_mb_s: list[float]


# On the pipe, the first byte tells a port's word from a request for raw sends.
WORD, SEND = b"w", b"s"


def transfers(size: int) -> int:
    fewest, most = ROUND_TRANSFERS
    return min(most, max(fewest, ROUND_BYTES // size))


def port_on(pipe: Connection, name: str) -> GlooPort:
    return GlooPort(name, lambda peer, body: pipe.send_bytes(WORD + body))


def owner(pipe: Connection, store: str) -> None:
    torch.set_num_threads(1)
    uvloop.run(serve(pipe, store))


async def serve(pipe: Connection, store: str) -> None:
    """Offers a tensor of each size; answers until the pipe is closed."""
    loop, closed = asyncio.get_running_loop(), asyncio.Event()
    port = port_on(pipe, "owner")
    tensors = [torch.ones(size, dtype=torch.uint8) for size in SIZES.values()]
    pipe.send_bytes(msgspec.msgpack.encode([port.offer([tensor]) for tensor in tensors]))
    raw = await asyncio.to_thread(Gloo("127.0.0.1", 30.0).connect, FileStore(store, 2), 0)

    def hear() -> None:
        try:
            frame = pipe.recv_bytes()
        except EOFError:
            loop.remove_reader(pipe.fileno())
            closed.set()
            return
        if frame[:1] == WORD:
            port.receive("consumer", frame[1:])
        else:
            loop.run_in_executor(None, send_raw, raw, tensors[frame[1]])

    renewing = asyncio.create_task(renew(port))
    loop.add_reader(pipe.fileno(), hear)
    await closed.wait()
    renewing.cancel()
    await port.close()


async def renew(port: GlooPort) -> None:
    while True:
        await asyncio.sleep(5)
        port.renew()


def send_raw(group: Group, tensor: Tensor) -> None:
    for _ in range(transfers(tensor.nbytes)):
        group.send([tensor], 1, 0).wait(PATIENCE)


class Consumer:
    def __init__(self, pipe: Connection, raw: Group) -> None:
        self._pipe = pipe
        self._raw = raw
        self._port = port_on(pipe, "consumer")
        asyncio.get_running_loop().add_reader(pipe.fileno(), self._hear)

    async def measure(self, index: int, handle: TensorHandle, rounds: int) -> Result:
        size = handle.parts[0].bytes
        buffers = [torch.zeros(size, dtype=torch.uint8) for _ in range(min(8, transfers(size)))]
        moved = transfers(size) * size / MB
        rates: dict[str, list[float]] = {"raw": [], "one": [], "raw eight": [], "eight": []}
        for _ in range(rounds):
            for name, seen in rates.items():
                into = buffers if name.endswith("eight") else buffers[:1]
                begun = time.perf_counter()
                if name.startswith("raw"):
                    await asyncio.to_thread(self._receive_raw, index, into)
                else:
                    await self._fetch(handle, into)
                seen.append(moved / (time.perf_counter() - begun))
        return Result(size, *rates.values())

    async def close(self) -> None:
        await self._port.close()
        asyncio.get_running_loop().remove_reader(self._pipe.fileno())
        self._pipe.close()

    def _hear(self) -> None:
        self._port.receive("owner", self._pipe.recv_bytes()[1:])

    def _receive_raw(self, index: int, into: list[Tensor]) -> None:
        self._pipe.send_bytes(SEND + bytes([index]))
        for number in range(transfers(into[0].nbytes)):
            self._raw.recv([into[number % len(into)]], 0, 0).wait(PATIENCE)

    async def _fetch(self, handle: TensorHandle, buffers: list[Tensor]) -> None:
        left = iter(range(transfers(handle.parts[0].bytes)))
        async with asyncio.TaskGroup() as fetches:
            for buffer in buffers:
                fetches.create_task(self._fetch_some(handle, left, buffer))

    async def _fetch_some(self, handle: TensorHandle, left: Iterator[int], buffer: Tensor) -> None:
        for _ in left:
            await self._port.fetch(handle, [buffer])


async def consume(pipe: Connection, store: str, rounds: int) -> list[Result]:
    handles = msgspec.msgpack.decode(pipe.recv_bytes(), type=list[TensorHandle])
    raw = await asyncio.to_thread(Gloo("127.0.0.1", 30.0).connect, FileStore(store, 2), 1)
    consumer = Consumer(pipe, raw)
    results = [
        await consumer.measure(index, handle, rounds) for index, handle in enumerate(handles)
    ]
    await consumer.close()
    return results


def show(results: list[Result]) -> None:
    headings = ("raw gloo MB/s", "one MB/s", "share", "raw, eight buffers", "eight MB/s", "share")
    table = Table("size", *headings)
    for name, result in zip(SIZES, results, strict=True):
        cells = [name]
        for raw, ours in (
            (result.raw_mb_s, result.one_mb_s),
            (result.raw_eight_mb_s, result.eight_mb_s),
        ):
            share = median(mine / theirs for mine, theirs in zip(ours, raw, strict=True))
            cells += [f"{median(raw):,.0f}", f"{median(ours):,.0f}", f"{share:.0%}"]
        table.add_row(*cells)
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path, metavar="FILE")
    options = parser.parse_args()
    torch.set_num_threads(1)
    ours, theirs = multiprocessing.get_context("spawn").Pipe()
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(folder) / "rendezvous")
        child = multiprocessing.get_context("spawn").Process(target=owner, args=(theirs, store))
        child.start()
        theirs.close()
        results = uvloop.run(consume(ours, store, options.rounds))
        child.join()
    show(results)
    if options.json:
        sizes = {
            name: msgspec.to_builtins(result) for name, result in zip(SIZES, results, strict=True)
        }
        report = {"torch": torch.__version__, "cores": os.cpu_count(), "sizes": sizes}
        options.json.write_text(json.dumps(report, indent=2) + "\n")


if __name__ == "__main__":
    main()
