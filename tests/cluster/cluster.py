"""A controller and its workers as real processes, and what a test asks of all of them."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from modserve.client import AsyncClient
from modserve.transport.state import StateFolder

from .processes import START_S, TAIL, Nursery, Process, wait_until

Status = dict[str, Any]
Layout = tuple[str, ...]  # for each worker its stages, with commas between them

MONOLITH: Layout = ("all",)
ENCODE_TEXT: Layout = ("encode", "text")
SPLIT: Layout = ("encode", "prefill", "decode")
TEXT: Layout = ("text",)
PREFILL_DECODE: Layout = ("prefill", "decode")

STEP_TOKENS = 40  # prompts of the tests are longer: they are computed in chunks
PARTS: dict[str, Any] = {
    "dtype": "float32",
    "kv_bytes": 16 << 20,
    "store_bytes": 16 << 20,
    "staging_bytes": 16 << 20,
    "step_tokens": STEP_TOKENS,
    "prefix_bytes": 0,  # asking the same again is to be the same work again
    "image_cache_bytes": 0,
    "beat_s": 0.1,
}
CACHES: dict[str, Any] = {"prefix_bytes": None, "image_cache_bytes": None}  # as by default
HELD = [
    f"{kind}_{how}"
    for kind in ("kv_blocks", "store_bytes", "staging_bytes")
    for how in ("used", "booked")
] + ["pending_tokens", "pending_image_tokens", "running", "waiting", "quarantined_bytes"]


class Cluster:
    """`workers` are those that were started here, by name."""

    def __init__(self, nursery: Nursery, model: Path, **options: Any) -> None:
        """`options` as in ControllerOptions; `parts` over those above."""
        self._nursery = nursery
        parts = PARTS | options.pop("parts", {})
        self._options = {**options, "parts": parts, "model": str(model)}
        self.workers: dict[str, Process] = {}
        self.endpoint = "tcp://127.0.0.1:0"
        self.controller = self.restart()
        self.endpoint = self.controller.out.split()[1]
        self.token = StateFolder.of(self.endpoint).token()

    def restart(self) -> Process:
        """Start a controller at the address of the one before, which has ended."""
        told = {**self._options, "endpoint": self.endpoint}
        process = self.controller = self._nursery.fork("controller", told, "controller")
        wait_until(
            lambda: "\n" in process.out or process.code is not None,
            "the ready line of the controller",
            START_S,
        )
        assert process.code is None, process.log
        return process

    def begin(self, stages: str, name: str = "", **options: Any) -> Process:
        """Start a worker and do not wait for it."""
        told = {
            "controller": self.endpoint,
            "stages": stages.split(","),
            "token": self.token,
            "name": name,
            "threads": 1,
            "device": "cpu",
            **options,
        }
        return self._nursery.fork("worker", told, f"worker {stages}")

    def add(self, *layout: str) -> list[str]:
        """Start workers at once and wait until all of them serve; their names."""
        begun = [self.begin(stages) for stages in layout]
        names = []
        for process in begun:
            told = process.event("ready", "error")
            assert told["event"] == "ready", told["reason"]
            self.workers[told["name"]] = process
            names.append(told["name"])
        return names

    def client(self) -> AsyncClient:
        return AsyncClient(self.endpoint)

    @property
    def processes(self) -> list[Process]:
        return [self.controller, *self.workers.values()]

    def close(self) -> None:
        """SIGTERM for the controller ends all; what has not ended in time is killed."""
        self.controller.send(signal.SIGTERM)
        end = time.monotonic() + 15.0
        for process in self.processes:
            process.send(signal.SIGCONT)
            try:
                process.ended(max(0.0, end - time.monotonic()))
            except AssertionError:
                process.kill()

    def tails(self) -> Iterator[tuple[str, str]]:
        for process in self.processes:
            yield process.path.name, "\n".join(process.log.splitlines()[-TAIL:])


async def until(
    condition: Callable[[], Awaitable[bool]], what: str, deadline_s: float = 20.0
) -> None:
    """Poll a condition that has to ask for its answer."""
    end = time.monotonic() + deadline_s
    while not await condition():
        if time.monotonic() > end:
            raise AssertionError(f"expected {what} within {deadline_s:g} s")
        await asyncio.sleep(0.02)


def held(status: Status) -> dict[str, Any]:
    """Everything that no open request would leave at zero; empty when nothing is held. What is
    cached is held by nobody."""
    found = {
        f"{worker['name']} {what}": amount
        for worker in status["workers"]
        for what in HELD
        if (amount := worker[what] - (worker["store_bytes_cached"] if "store" in what else 0))
    }
    found |= {f"queue {name}": length for name, length in status["queues"].items() if length}
    found |= {name: status[name] for name in ("held_image_bytes",) if status[name]}
    if status["requests"]["open"]:
        found["open requests"] = status["requests"]["open"]
    return found


async def settled(client: AsyncClient, deadline_s: float = 10.0) -> Status:
    """Wait until no worker holds or books anything; raises with what is still held."""
    end = time.monotonic() + deadline_s
    while left := held(status := await client.status()):
        if time.monotonic() > end:
            raise AssertionError(f"expected nothing to be held after {deadline_s:g} s, got {left}")
        await asyncio.sleep(0.02)
    return status


def worker_of(status: Status, name: str) -> dict[str, Any] | None:
    """What `status` says of one worker, None where it has left."""
    return next((one for one in status["workers"] if one["name"] == name), None)
