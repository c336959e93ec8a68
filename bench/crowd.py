"""Client processes of the real client library: each is told what to ask, and tells how it went.

    python -m modserve.bench.crowd < task.json

Closed, every client has so many requests open all the time; with a rate the process asks at that
pace, whatever comes back.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from itertools import count
from statistics import quantiles

import msgspec
import uvloop

from modserve.client import Answer, AsyncClient

from .between import cpu_s

PATIENCE_S = 300.0


class Task(msgspec.Struct, frozen=True):
    endpoint: str
    clients: int
    requests: int  # in all
    tokens: int  # of an answer
    open_each: int = 1  # requests of a client
    rate: float | None = None  # requests/s of this process, in place of `open_each`
    prompt: int = 64  # token ids


class Told(msgspec.Struct, frozen=True):
    began: float  # on the host's monotonic clock
    ended: float
    cpu_s: float  # of this process
    answers: int
    tokens: int
    decided_s: list[float]  # percentiles 1 to 99, by the controller: from receipt until bound


def crowd(tasks: Sequence[Task]) -> list[Told]:
    """Carry out each in a process of its own, begun at the same moment."""
    command = (sys.executable, "-P", "-m", "modserve.bench.crowd")
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in tasks
    ]
    for process, task in zip(processes, tasks, strict=True):
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(msgspec.json.encode(task) + b"\n")
        process.stdin.flush()
        process.stdout.readline()  # it has connected
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    return [_told(process) for process in processes]


def _told(process: subprocess.Popen[bytes]) -> Told:
    assert process.stdin is not None and process.stdout is not None
    with process.stdin, process.stdout as out:
        said = out.read()
    if process.wait(PATIENCE_S) or not said:
        raise RuntimeError(f"expected a crowd that ends well, got code {process.returncode}")
    return msgspec.json.decode(said, type=Told)


def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    task = msgspec.json.decode(sys.stdin.buffer.readline(), type=Task)
    print(msgspec.json.encode(uvloop.run(_carry_out(task))).decode(), flush=True)


async def _carry_out(task: Task) -> Told:
    async with AsyncExitStack() as closing:
        clients = [
            await closing.enter_async_context(AsyncClient(task.endpoint, timeout_s=60.0))
            for _ in range(task.clients)
        ]
        print("connected", flush=True)
        sys.stdin.buffer.readline()
        gc.freeze()
        return await Asking(task, clients).all()


class Asking:
    def __init__(self, task: Task, clients: Sequence[AsyncClient]) -> None:
        self._task, self._clients = task, clients
        self._prompt = [7 + number % 50 for number in range(task.prompt)]
        self._answers: list[Answer] = []

    async def all(self) -> Told:
        used, began = cpu_s(os.getpid()), time.monotonic()
        if self._task.rate is None:
            left = count()
            await asyncio.gather(
                *(
                    self._one_after_another(client, left)
                    for client in self._clients
                    for _ in range(self._task.open_each)
                )
            )
        else:
            await self._at_a_pace(self._task.rate)
        ended, timings = time.monotonic(), [one.timing for one in self._answers]
        decided_s = [one.prepare_s + one.queue_s for one in timings if one is not None]
        return Told(
            began,
            ended,
            cpu_s(os.getpid()) - used,
            len(self._answers),
            sum(len(one.token_ids) for one in self._answers),
            quantiles(decided_s, n=100),
        )

    async def _one_after_another(self, client: AsyncClient, left: Iterator[int]) -> None:
        while next(left) < self._task.requests:
            await self._ask(client)

    async def _at_a_pace(self, rate: float) -> None:
        begun, asked = time.monotonic(), 0
        async with asyncio.TaskGroup() as group:
            while asked < self._task.requests:
                due = min(self._task.requests, int((time.monotonic() - begun) * rate) + 1)
                for number in range(asked, due):
                    group.create_task(self._ask(self._clients[number % len(self._clients)]))
                asked = due
                await asyncio.sleep(0.001)

    async def _ask(self, client: AsyncClient) -> None:
        answer = await client.generate(
            token_ids=self._prompt, max_tokens=self._task.tokens, ignore_eos=True, seed=1
        )
        self._answers.append(answer)


if __name__ == "__main__":
    main()
