"""Emulated workers on the loop of a test, joined to its controller."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import orjson

from modserve.tests.controller.scripted import TOKEN, Scene
from modserve.transport import messages as say
from modserve.worker.emulated.agent import Agent
from modserve.worker.emulated.options import EmulatedOptions
from modserve.worker.emulated.profile import Emulation


class Crew:
    def __init__(self, scene: Scene, emulation: Emulation) -> None:
        self._scene, self._emulation = scene, emulation
        self.agents: list[Agent] = []
        self.lives: list[asyncio.Task[None]] = []

    async def join(self, *stages: str) -> Agent:
        """One more, once it has joined."""
        ready = asyncio.Event()
        options = EmulatedOptions(self._scene.endpoint, stages, TOKEN)
        agent = Agent(options, self._emulation, lambda event, **fields: ready.set())
        self.agents.append(agent)
        self.lives.append(asyncio.create_task(agent.run()))
        await ready.wait()
        return agent

    def stranger(self, *stages: str) -> Agent:
        """One that does not know the token."""
        options = EmulatedOptions(self._scene.endpoint, stages, "guessed")
        return Agent(options, self._emulation, lambda event, **fields: None)

    async def status(self) -> dict[str, object]:
        client = self._scene.client()
        client.say(say.AskStatus(1))
        return dict(orjson.loads((await client.hear(say.Report)).body))


@asynccontextmanager
async def crew(
    scene: Scene, *roles: str, emulation: Emulation | None = None
) -> AsyncIterator[Crew]:
    """Workers of these roles; they end with the test."""
    made = Crew(scene, emulation or Emulation())
    try:
        for role in roles:
            await made.join(role)
        yield made
    finally:
        for life in made.lives:
            life.cancel()
        for life in made.lives:
            with suppress(asyncio.CancelledError):
                await life
