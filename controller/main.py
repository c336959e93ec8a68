"""Starts a controller in this process and keeps it until it is told to stop."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import sys
from typing import Protocol

import orjson
import uvloop

from ..transport.channels import BadAddress, is_loopback
from ..transport.state import Description, StateFolder
from .controller import Controller
from .launching.choice import check
from .logs import Gathering, begin_log, flush_often
from .options import ControllerOptions

COLLECTIONS = 50_000, 20, 20
SWITCH_S = (
    0.0005  # after which a busy loop lets the journal's thread, and those that prepare, go on
)


class Beside(Protocol):
    """A process that serves beside the controller, and ends with it."""

    def start(self, endpoint: str) -> str:
        """Blocks until it serves; its address."""

    def stop(self) -> None: ...


def serve(options: ControllerOptions, beside: Beside | None = None) -> None:
    """Blocks until SIGTERM, ctrl-C or `msctl stop`.

    Prints one line to stdout when it is ready. Raises BadAddress, BadCheckpoint, BadKeys,
    BadLauncher or StateUnusable, each with one sentence.
    """
    log = begin_log()
    if not is_loopback(options.endpoint) and options.keys is None and not options.insecure:
        raise BadAddress(
            f"expected a loopback address, or --keys, or --insecure to have messages neither "
            f"encrypted nor authenticated: got {options.endpoint}"
        )
    closed = options.keys is not None or options.insecure
    check(options.launching, options.endpoint, closed=closed)
    _allow_descriptors()
    sys.setswitchinterval(SWITCH_S)
    uvloop.run(_serve(options, log, beside))


def _allow_descriptors() -> None:
    """One for every connection: as many as this process may have, where the shell asks for few."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


async def _serve(options: ControllerOptions, log: Gathering, beside: Beside | None) -> None:
    controller = Controller(options)
    folder = StateFolder.of(controller.endpoint)
    controller.trust(folder.create())
    if options.journal:
        controller.remember(folder.path / "journal")
    folder.describe(Description(controller.endpoint, os.getpid(), str(options.model)))
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, controller.close)
    gc.freeze()  # what is loaded now stays: collections need not look at it again,
    gc.set_threshold(*COLLECTIONS)  # and seldom at what is open
    http = None if beside is None else await asyncio.to_thread(beside.start, controller.endpoint)
    _announce(controller.endpoint, http, as_json=options.json)
    flushing = asyncio.create_task(flush_often(log))
    await controller.run()
    if beside is not None:
        await asyncio.to_thread(beside.stop)
    flushing.cancel()


def _announce(endpoint: str, http: str | None, *, as_json: bool) -> None:
    told = {"ready": endpoint} if http is None else {"ready": endpoint, "http": http}
    line = orjson.dumps(told).decode() if as_json else f"ready {' '.join(told.values())}"
    print(line, flush=True)
