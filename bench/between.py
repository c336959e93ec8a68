"""A process between two others, behind the controller's socket: what it hears is a benchmark's."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeAlias

import uvloop
import zmq

from modserve.transport.channels import Router

PATIENCE_S = 120.0

Hear: TypeAlias = Callable[[Router, bytes, list[zmq.Frame]], None]


@contextmanager
def process(begin: Callable[[], Hear]) -> Iterator[tuple[str, int]]:
    """The endpoint and the process id of one that is running; `begin`, which it can import, is
    called there."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=_serve, args=(theirs, begin))
    child.start()
    theirs.close()
    try:
        yield ours.recv(), child.pid or 0
    finally:
        ours.close()
        child.join(PATIENCE_S)


def _serve(pipe: Connection, begin: Callable[[], Hear]) -> None:
    uvloop.run(_stand(pipe, begin()))


async def _stand(pipe: Connection, hear: Hear) -> None:
    """Ends when the pipe is closed."""
    router = Router(
        "tcp://127.0.0.1:*",
        lambda identity, frames: hear(router, identity, frames),
        max_frame_bytes=2**20,
    )
    pipe.send(router.endpoint)
    closed = asyncio.Event()
    asyncio.get_running_loop().add_reader(pipe.fileno(), closed.set)
    await closed.wait()
    router.close()


def cpu_s(pid: int) -> float:
    """Seconds that all threads of a process have computed, as Linux counts them."""
    behind_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = behind_name[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")
