"""A worker process: options on stdin, events on stdout, the log on stderr.

    python -m modserve.worker < options.json

`msctl add-worker` starts it; nothing stops anybody else from doing so.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
import threading

import msgspec
import torch
import uvloop

from .agent import Agent
from .membership import Unwanted
from .options import WorkerOptions
from .telling import begin_log, tell

log = logging.getLogger(__name__)


def main() -> int:
    """0 after a drain or a stop, 1 with one `error` event otherwise."""
    begin_log()
    try:
        options = msgspec.json.decode(sys.stdin.buffer.readline(), type=WorkerOptions)
        device = choose_device(options.device)
        if options.leash:
            threading.Thread(target=leave_when_alone, name="leash", daemon=True).start()
        uvloop.run(_serve(options, device))
    except (msgspec.DecodeError, Unwanted, ValueError) as error:
        log.error("%s", error)
        tell("error", reason=str(error))
        return 1
    return 0


async def _serve(options: WorkerOptions, device: torch.device) -> None:
    agent = Agent(options, device, tell)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, agent.leave)
    gc.freeze()
    await agent.run()


def leave_when_alone() -> None:
    """On a thread of its own: the end of standard input is as a SIGTERM."""
    # not sys.stdin: its lock, held by a waiting thread, breaks the interpreter's own end
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


def choose_device(name: str) -> torch.device:
    """Raises ValueError, in one sentence, for a device that this host does not have."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if name == "auto":
        return torch.device("cuda:0" if gpus else "cpu")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= gpus:
        raise ValueError(f"expected one of the {gpus} GPUs of this host, got {name}")
    return device
