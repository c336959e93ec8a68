"""A process of emulated workers: options on stdin, events on stdout, the log on stderr.

    python -P -m modserve.worker.emulated < options.json

`msctl add-worker --emulate` starts it.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
import uvloop
import zmq

from ...transport.channels import BadAddress
from ...transport.security import BadKeys, PeerKeys
from ..membership import Unwanted
from ..telling import begin_log, tell
from .agent import Agent
from .options import EmulatedOptions
from .profile import emulation_of

log = logging.getLogger(__name__)

SOCKETS = 3  # of ZeroMQ, for a worker: its own, and two ends of one that tells of reconnections
LINGER_S = 1.0


def main() -> int:
    """0 after a drain or a stop of all, 1 with an `error` event where one could not serve."""
    begin_log()
    try:
        options = msgspec.json.decode(sys.stdin.buffer.readline(), type=EmulatedOptions)
        return uvloop.run(serve(options))
    except (msgspec.DecodeError, BadAddress, BadKeys, ValueError) as error:
        log.error("%s", error)
        tell("error", reason=str(error))
        return 1


async def serve(options: EmulatedOptions) -> int:
    emulation = emulation_of(options.profile)
    keys = PeerKeys.read(Path(options.keys)) if options.keys else None
    context = _context(options.count)
    agents = [
        Agent(options, emulation, tell, name=_name(options, number), keys=keys, context=context)
        for number in range(options.count)
    ]
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, _leave, agents)
    gc.freeze()
    failed = await asyncio.gather(*map(_run, agents))
    context.destroy(linger=int(LINGER_S * 1000))
    return int(any(failed))


def _leave(agents: Sequence[Agent]) -> None:
    for agent in agents:
        agent.leave()


async def _run(agent: Agent) -> bool:
    """Whether it could not serve; the others go on."""
    try:
        await agent.run()
    except Unwanted as error:
        log.error("%s", error)
        tell("error", reason=str(error))
        return True
    return False


def _name(options: EmulatedOptions, number: int) -> str:
    return f"{options.name}-{number}" if options.name and options.count > 1 else options.name


def _context(workers: int) -> zmq.Context[zmq.Socket[bytes]]:
    """One for all of them: a context has threads of its own."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    context = zmq.Context()
    context.set(zmq.MAX_SOCKETS, SOCKETS * workers + 1)
    return context


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    os._exit(code)
