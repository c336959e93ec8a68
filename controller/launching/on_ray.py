"""Workers on the nodes of a Ray cluster that is there already.

    controller ──JSON lines──> ray_agent, a process of this host
                                  └──Ray──> Keeper, an actor for each worker ──> worker process

Workers start on other hosts. So the controller must listen where those reach it, which needs keys
(docs/security.md) unless it was told to be insecure; each node must have this package and the model
at the controller's path. Token and keys travel through Ray's own connections: whoever reaches a Ray
cluster may run code on all of it, so it is trusted as a whole. Tensors travel between the nodes'
own addresses, neither encrypted nor authenticated.

A node that is lost is the ordinary loss of its workers, which the controller notices by itself, and
a report from here. Actors and workers end with the agent, and the agent with the controller.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import PIPE
from typing import Any

import orjson

from ...transport.state import StateFolder
from .invitation import Invitation
from .launcher import CannotLaunch, Launched, Order, WorkerEnded
from .options import LaunchOptions, Resources

COMMAND = (sys.executable, "-P", "-m", "modserve.controller.launching.ray_agent")
GRACE_S = 10.0  # for the agent to end the workers and itself

Word = dict[str, Any]


class Agent:
    """The agent's process, and what it says."""

    def __init__(self, process: Process, log: Path, hear: Callable[[Word], None]) -> None:
        """`hear` gets each word; the last one is `over`, with a reason."""
        self._process, self._log, self._hear = process, log, hear
        self._listening = asyncio.create_task(self._listen())
        self.up = self.over = False

    @classmethod
    async def start(
        cls, command: Sequence[str], address: str, log: Path, hear: Callable[[Word], None]
    ) -> Agent:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with log.open("ab") as stderr:
            process = await asyncio.create_subprocess_exec(
                *command, address, stdin=PIPE, stdout=PIPE, stderr=stderr, start_new_session=True
            )
        return cls(process, log, hear)

    def say(self, word: Word) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(orjson.dumps(word) + b"\n")

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()

    async def close(self) -> None:
        """Its stdin ends, and with it everything; killed after a while."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        await asyncio.wait({self._listening}, timeout=GRACE_S)
        self.kill()
        await self._listening

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        reason = ""
        async for line in self._process.stdout:
            word = orjson.loads(line)
            self.up = self.up or word["event"] == "up"
            if word["event"] == "error":
                reason = word["reason"]
            else:
                self._hear(word)
        code = await self._process.wait()
        self.over = True
        told = f"the process that speaks with Ray ended with {code}, see {self._log}"
        self._hear({"event": "over", "reason": reason or told})


class OnRay:
    kind = "ray"

    def __init__(
        self,
        options: LaunchOptions,
        invite: Callable[[], Invitation],
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._options, self._invite, self._command = options, invite, command
        self._starting: asyncio.Task[Agent] | None = None
        self._waiting: dict[tuple[str, str], asyncio.Future[Word]] = {}  # by verb and name
        self._launched: set[str] = set()
        self._ended: list[WorkerEnded] = []

    async def launch(self, order: Order) -> Launched:
        word = self._order(order)
        agent = await self._agent()
        told = await self._ask(agent, word)
        if told["event"] != "launched":
            raise CannotLaunch(told["reason"])
        self._launched.add(order.name)
        return Launched(order.name, f"pid {told['pid']} of {told['host']}, log {told['log']}")

    async def stop(self, name: str) -> None:
        """Where Ray has not even answered yet, by ending the agent, which has started nothing."""
        if (agent := self._running()) is None:
            return
        self._launched.discard(name)
        if not agent.up:
            agent.kill()
        else:
            await self._ask(agent, {"do": "stop", "name": name})

    def ended(self) -> Sequence[WorkerEnded]:
        found, self._ended = self._ended, []
        return found

    async def close(self) -> None:
        if (agent := self._running()) is not None:
            await agent.close()

    def _order(self, order: Order) -> Word:
        invitation, keys = self._invite(), ""
        if invitation.keys is not None:
            keys = invitation.keys.read_text()
        need = self._options.resources.get(order.role, Resources())
        return {
            "do": "launch",
            "name": order.name,
            "options": {
                "controller": invitation.controller,
                "stages": sorted(order.stages),
                "token": invitation.token,
                "name": order.name,
            },
            "keys": keys,
            "cpus": need.cpus,
            "gpus": need.gpus,
            "limit_s": self._options.launch_s,
        }

    async def _agent(self) -> Agent:
        """The one that runs, or a new one."""
        if self._starting is None or (self._starting.done() and self._running() is None):
            folder = StateFolder.of(self._invite().controller)
            log = folder.log(f"ray-{secrets.token_hex(3)}")
            self._starting = asyncio.create_task(
                Agent.start(self._command, self._options.ray_address, log, self._hear)
            )
        return await asyncio.shield(self._starting)

    def _running(self) -> Agent | None:
        started = self._starting
        if started is None or not started.done() or started.exception() is not None:
            return None
        return None if started.result().over else started.result()

    async def _ask(self, agent: Agent, word: Word) -> Word:
        key = (word["do"], word["name"])
        future: asyncio.Future[Word] = asyncio.get_running_loop().create_future()
        self._waiting[key] = future
        agent.say(word)
        try:
            return await future
        finally:
            if self._waiting.get(key) is future:
                del self._waiting[key]

    def _hear(self, word: Word) -> None:
        match word:
            case {"event": "launched" | "failed", "name": str(name)}:
                self._answer(("launch", name), word)
            case {"event": "stopped", "name": str(name)}:
                self._answer(("stop", name), word)
            case {"event": "ended", "name": str(name), "reason": str(reason)}:
                self._launched.discard(name)
                self._ended.append(WorkerEnded(name, reason))
            case {"event": "over", "reason": str(reason)}:
                for key in list(self._waiting):
                    self._answer(key, word)
                self._ended += [WorkerEnded(name, reason) for name in sorted(self._launched)]
                self._launched.clear()

    def _answer(self, key: tuple[str, str], word: Word) -> None:
        future = self._waiting.get(key)
        if future is not None and not future.done():
            future.set_result(word)
