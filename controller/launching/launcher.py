"""What every launcher does, and what comes of it.

A launcher may fail, hang or be slow: `launches.py` stands between it and the controller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from ...scheduler.stage import Stage, role_of


class CannotLaunch(Exception):
    """One sentence: the worker's own where it has said one."""


class BadLauncher(ValueError):
    """A launcher that is unknown, not installed, or cannot be used as told; one sentence."""


@dataclass(frozen=True, slots=True)
class Order:
    """A worker that is wanted; it is started under this name."""

    name: str
    stages: frozenset[Stage]

    @property
    def role(self) -> str:
        return role_of(self.stages)


@dataclass(frozen=True, slots=True)
class Launched:
    """It has joined, or is about to. `where`: `pid 7 on this host`, for people."""

    name: str
    where: str


@dataclass(frozen=True, slots=True)
class Advised:
    """Nothing was started: a person is to."""

    name: str
    advice: str


@dataclass(frozen=True, slots=True)
class LaunchFailed:
    name: str
    reason: str
    again_s: float | None  # until the next try; None: it was the last


@dataclass(frozen=True, slots=True)
class WorkerEnded:
    """A process that was launched is no more; `reason` is empty where it left as told."""

    name: str
    reason: str


Outcome = Launched | Advised
News = Launched | Advised | LaunchFailed | WorkerEnded


class Launcher(Protocol):
    """Belongs to the controller's loop, which it must never hold up: what blocks goes to a thread
    or a process. Every coroutine may be cancelled at any time, or be left alone."""

    @property
    def kind(self) -> str:
        """As users name it."""

    async def launch(self, order: Order) -> Outcome:
        """Start a worker and wait until it is ready; raises CannotLaunch."""

    async def stop(self, name: str) -> None:
        """End the process that was started under that name, ready or not, and nothing else.

        It is asked first and killed by its id after a while; an unknown name is ignored.
        """

    def ended(self) -> Sequence[WorkerEnded]:
        """Workers that were ready and have ended since this was asked last; does not wait."""

    async def close(self) -> None:
        """End every process that was started, as `stop` does."""
