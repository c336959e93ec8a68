"""Workers as processes of this host."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence, Set
from functools import partial
from pathlib import Path
from typing import Any

from ...transport.launching import COMMAND, Launch, WorkerFailed
from ...transport.patience import Patience, TooSlow
from ...transport.state import StateFolder
from .invitation import Invitation, reachable
from .launcher import CannotLaunch, Launched, Order, WorkerEnded
from .options import LaunchOptions

MARGIN_S = 30.0  # by which a thread may be later than the launch that it serves


class Process:
    """One worker; `begin` and `end` block, and run on threads."""

    def __init__(
        self, options: dict[str, Any], log: Path, gpu: int | None, command: Sequence[str]
    ) -> None:
        self._options, self._log, self._command = options, log, command
        self.gpu = gpu
        self._launch: Launch | None = None
        self._ready = self._unwanted = False

    def begin(self, limit_s: float) -> int:
        """Its process id, once it is ready; raises WorkerFailed, and it has ended then."""
        if self._unwanted:
            raise WorkerFailed("expected a worker that is wanted, got an order to end it")
        self._launch = Launch(self._options, self._log, detached=True, command=self._command)
        if self._unwanted:  # `end` came just now, and found nothing to end
            self._launch.stop()
        joined = self._launch.joined(limit_s, lambda done, total: None)
        self._ready = True
        return joined.pid

    def end(self) -> None:
        self._unwanted = True
        if self._launch is not None:
            self._launch.stop()

    def ask(self) -> None:
        """To leave, without waiting for it."""
        if self._launch is not None and self._launch.process.poll() is None:
            self._launch.process.terminate()

    def last_words(self) -> str | None:
        """None while it runs, loads or is being ended, empty where it left as told."""
        if self._launch is None or self._unwanted or not self._ready:
            return None
        if self._launch.process.poll() is None:
            return None
        return self._launch.last_words() if self._launch.process.returncode else ""


class Local:
    """A worker outlives a controller that is killed, as those of `msctl add-worker` do, and joins
    the next one; whoever shuts the controller down ends it."""

    kind = "local"

    def __init__(
        self,
        options: LaunchOptions,
        invite: Callable[[], Invitation],
        busy_gpus: Callable[[], Set[int]],
        command: Sequence[str] = COMMAND,
    ) -> None:
        """`busy_gpus`: those of this host that workers have, whoever started them."""
        self._options, self._invite, self._busy_gpus = options, invite, busy_gpus
        self._command = command
        self._processes: dict[str, Process] = {}
        # a launch holds a thread until it is ready, and what ends one needs another
        self._threads = Patience(2 * options.at_once, options.launch_s + MARGIN_S, "launch")

    async def launch(self, order: Order) -> Launched:
        await self.stop(order.name)  # one that left under this name may take a while to end
        process = self._processes[order.name] = self._process(order)
        try:
            pid = await self._threads.run(partial(process.begin, self._options.launch_s))
        except (WorkerFailed, TooSlow, OSError) as error:
            raise CannotLaunch(str(error)) from error
        device = "the CPU" if process.gpu is None else f"GPU {process.gpu}"
        return Launched(order.name, f"pid {pid} of this host, on {device}")

    def _process(self, order: Order) -> Process:
        invitation, gpu = self._invite(), self._free_gpu()
        options = {
            "controller": reachable(invitation.controller, "127.0.0.1"),
            "stages": sorted(order.stages),
            "token": invitation.token,
            "name": order.name,
            "threads": self._options.threads,
            "device": "cpu" if gpu is None else f"cuda:{gpu}",
            "data_host": invitation.data_host,
            "keys": str(invitation.keys or ""),
        }
        folder = StateFolder.of(invitation.controller)
        log = folder.log(f"{order.name}-{secrets.token_hex(3)}")
        return Process(options, log, gpu, self._command)

    def _free_gpu(self) -> int | None:
        """The first of the configured ones that no worker has; None: the CPU."""
        taken = {one.gpu for one in self._processes.values()} | self._busy_gpus()
        return next((gpu for gpu in self._options.gpus if gpu not in taken), None)

    async def stop(self, name: str) -> None:
        process = self._processes.get(name)
        if process is not None:
            await self._threads.run(process.end)
            if self._processes.get(name) is process:  # until now its GPU was taken
                del self._processes[name]

    def ended(self) -> Sequence[WorkerEnded]:
        found = [
            WorkerEnded(name, words)
            for name, process in self._processes.items()
            if (words := process.last_words()) is not None
        ]
        for one in found:
            del self._processes[one.name]
        return found

    async def close(self) -> None:
        for process in self._processes.values():
            process.ask()
        async with asyncio.TaskGroup() as group:
            for name in list(self._processes):
                group.create_task(self.stop(name))
        self._threads.close()
