"""A process that has imported a worker once and forks one wherever it is asked to.

    {"kind": "worker", "options": {...}, "name": PATH} ──stdin──> fork ──stdout──> {"born": PID}
                                   whenever a child ends ──stdout──> {"dead": PID, "code": N}

A worker spends seconds on importing torch and transformers, the same ones every time. A forked one
is a process like any other: it has its own pid, files and signals, and runs the very functions that
`msctl` and `python -m modserve.worker` run. PATH gets three suffixes: .in is its stdin, .out
its stdout, .log its stderr. When stdin closes, every child that is left is killed.
"""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import modserve.worker.main
from modserve.client import AsyncClient
from modserve.controller.main import serve
from modserve.controller.options import ControllerOptions, Limits, Parts

PICTURE = Path(__file__).parents[2] / "examples" / "seven.png"


def controller(options: dict[str, Any]) -> int:
    """`options` as in ControllerOptions, `parts` and `limits` as dicts of their own."""
    parts, limits = Parts(**options.pop("parts", {})), Limits(**options.pop("limits", {}))
    told = ControllerOptions(model=Path(options.pop("model")), parts=parts, limits=limits)
    serve(replace(told, **options))
    return 0


def worker(options: dict[str, Any]) -> int:
    """The options come in through stdin, as from `msctl`."""
    return modserve.worker.main.main()


def client(options: dict[str, Any]) -> int:
    """Four long streams, one line of stdout for the first chunk of each, until it is killed."""

    async def read(connection: AsyncClient) -> None:
        async with connection.stream("Go on.", [PICTURE], max_tokens=options["tokens"]) as chunks:
            await anext(chunks)
            print("streaming", flush=True)
            await chunks.rest()

    async def body() -> None:
        async with AsyncClient(options["endpoint"]) as connection, asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(read(connection))

    asyncio.run(body())
    return 0


KINDS: dict[str, Callable[[dict[str, Any]], int]] = {
    "controller": controller,
    "worker": worker,
    "client": client,
}


def be_born(kind: str, options: dict[str, Any], name: str) -> NoReturn:
    """In the child: its own three files, then its main, then the end."""
    signal.set_wakeup_fd(-1)
    for heard in (signal.SIGINT, signal.SIGCHLD):
        signal.signal(heard, signal.SIG_DFL)
    Path(f"{name}.in").write_text(json.dumps(options) + "\n")
    for number, suffix, mode in ((0, "in", "r"), (1, "out", "a"), (2, "log", "a")):
        with open(f"{name}.{suffix}", mode) as file:
            os.dup2(file.fileno(), number)
    code = 99
    try:
        code = KINDS[kind](options)
    except BaseException:
        traceback.print_exc()
    logging.shutdown()
    os._exit(code)


def tell(**word: int) -> None:
    os.write(1, json.dumps(word).encode() + b"\n")


def bury(children: set[int]) -> None:
    for pid in list(children):
        found, status = os.waitpid(pid, os.WNOHANG)
        if found:
            children.remove(pid)
            tell(dead=pid, code=os.waitstatus_to_exitcode(status))


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C is for the one who asked for the children
    heard, bell = socket.socketpair()
    bell.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(bell.fileno())
    children: set[int] = set()
    gc.freeze()
    tell(ready=os.getpid())
    while True:
        ready, _, _ = select.select([sys.stdin, heard], [], [])
        if heard in ready:
            heard.recv(4096)
            bury(children)
        if sys.stdin in ready:
            line = os.read(0, 1 << 16)  # one order at a time: the next one waits for the answer
            if not line:
                break
            if (pid := os.fork()) == 0:
                be_born(**json.loads(line))
            children.add(pid)
            tell(born=pid)
    signal.set_wakeup_fd(-1)
    for pid in children:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
