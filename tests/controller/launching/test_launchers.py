"""What holds for every launcher that starts something, the tests' own too."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import pytest

from modserve.controller.launching.invitation import Invitation
from modserve.controller.launching.launcher import (
    CannotLaunch,
    Launched,
    Launcher,
    Order,
    WorkerEnded,
)
from modserve.controller.launching.local import Local
from modserve.controller.launching.options import LaunchOptions
from modserve.scheduler.stage import ROLES

from ...transport.waiting import until
from ..scripted import conversation
from .fake import Fake, Manner

# A process that tells what a worker tells, and writes its pid where the test finds it.
HEAD = """
import json, os, pathlib, signal, sys, time
told = json.loads(sys.stdin.readline())
(pathlib.Path(told["log"]).parent / (told["name"] + ".pid")).write_text(str(os.getpid()))
"""
READY = f"""{HEAD}
print(json.dumps({{"event": "ready", "name": told["name"], "pid": os.getpid()}}), flush=True)
"""
WORKS = f"{READY}\ntime.sleep(600)"
STUBBORN = f"{READY}\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)"
SILENT = f"{HEAD}\ntime.sleep(600)"
FAILS = f"""{HEAD}
print(json.dumps({{"event": "error", "reason": "no room on any host"}}), flush=True)
"""


class Place(Protocol):
    """Where a launcher's processes run, as a test sees it."""

    launcher: Launcher

    async def begun(self, name: str) -> None:
        """Wait until it is being started."""

    def die(self, name: str) -> None:
        """A process that ends by itself."""

    def alive(self, name: str) -> bool: ...


class Nowhere:
    def __init__(self, manner: Manner) -> None:
        self._fake = Fake(manner)
        self.launcher: Launcher = self._fake

    async def begun(self, name: str) -> None:
        while name not in self._fake.asked:
            await self._fake.news.wait()

    def die(self, name: str) -> None:
        self._fake.die(name, "signal SIGKILL")

    def alive(self, name: str) -> bool:
        return name in self._fake.running


class Here:
    def __init__(self, home: Path, code: str, gpus: tuple[int, ...] = ()) -> None:
        self._home = home
        self.launcher: Launcher = Local(
            LaunchOptions(launch_s=60.0, gpus=gpus),
            lambda: Invitation("tcp://127.0.0.1:7", "secret"),
            lambda: {1},
            command=(sys.executable, "-c", code),
        )

    def _pid(self, name: str) -> int:
        found = next(self._home.rglob(f"{name}.pid"), None)
        text = found.read_text() if found is not None else ""
        return int(text) if text else 0

    async def begun(self, name: str) -> None:
        await until(lambda: self._pid(name) > 0)

    def die(self, name: str) -> None:
        os.kill(self._pid(name), 9)

    def alive(self, name: str) -> bool:
        """A child that has ended is one until somebody looks."""
        try:
            state = Path(f"/proc/{self._pid(name)}/stat").read_text().rpartition(")")[2].split()[0]
        except FileNotFoundError:
            return False
        return state != "Z"


KINDS: dict[str, tuple[Callable[[Path], Place], Callable[[Path], Place], Callable[[Path], Place]]]
KINDS = {
    "fake": (
        lambda home: Nowhere(Manner.WORKS),
        lambda home: Nowhere(Manner.FAILS),
        lambda home: Nowhere(Manner.HANGS),
    ),
    "local": (
        lambda home: Here(home, WORKS),
        lambda home: Here(home, FAILS),
        lambda home: Here(home, SILENT),
    ),
}
kinds = pytest.mark.parametrize("kind", ["fake", pytest.param("local", marks=pytest.mark.slow)])
ORDER = Order("text-0", ROLES["text"])


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path


@asynccontextmanager
async def place(made: Place) -> AsyncIterator[Place]:
    try:
        yield made
    finally:
        await made.launcher.close()


async def end_of_one(launcher: Launcher) -> WorkerEnded:
    found: list[WorkerEnded] = []

    def told() -> bool:
        found.extend(launcher.ended())
        return bool(found)

    await until(told)
    (one,) = found
    return one


@kinds
@conversation
async def test_a_worker_runs_until_it_is_stopped(kind: str, home: Path) -> None:
    async with place(KINDS[kind][0](home)) as here:
        outcome = await here.launcher.launch(ORDER)
        assert isinstance(outcome, Launched)
        assert outcome.name == "text-0"
        assert here.alive("text-0")
        assert list(here.launcher.ended()) == []
        await here.launcher.stop("text-0")
        assert not here.alive("text-0")
        assert list(here.launcher.ended()) == [], "nobody is told of what he has done himself"


@kinds
@conversation
async def test_one_that_dies_is_told_once_and_its_name_is_free(kind: str, home: Path) -> None:
    async with place(KINDS[kind][0](home)) as here:
        await here.launcher.launch(ORDER)
        here.die("text-0")
        told = await end_of_one(here.launcher)
        assert told.name == "text-0"
        assert told.reason.startswith("signal SIGKILL")
        assert list(here.launcher.ended()) == []
        await here.launcher.launch(ORDER)
        assert here.alive("text-0")


@pytest.mark.slow
@conversation
async def test_one_that_is_ending_still_is_ended_before_its_name_is_used_again(home: Path) -> None:
    async with place(Here(home, WORKS)) as here:
        first, second = [await here.launcher.launch(ORDER) for _ in range(2)]
        assert isinstance(first, Launched)
        assert first != second
        with pytest.raises(ProcessLookupError):
            os.kill(int(first.where.split()[1]), 0)


@kinds
@conversation
async def test_why_one_does_not_start_is_said_in_its_own_words(kind: str, home: Path) -> None:
    async with place(KINDS[kind][1](home)) as here:
        with pytest.raises(CannotLaunch, match=r"^no room on any host$"):
            await here.launcher.launch(ORDER)
        assert not here.alive("text-0")


@kinds
@conversation
async def test_a_launch_that_hangs_can_be_given_up(kind: str, home: Path) -> None:
    async with place(KINDS[kind][2](home)) as here:
        launch = asyncio.create_task(here.launcher.launch(ORDER))
        await here.begun("text-0")
        launch.cancel()
        await asyncio.wait({launch})
        await here.launcher.stop("text-0")
        assert not here.alive("text-0")
        assert list(here.launcher.ended()) == []


@kinds
@conversation
async def test_stopping_what_is_not_there_does_nothing(kind: str, home: Path) -> None:
    async with place(KINDS[kind][0](home)) as here:
        await here.launcher.launch(ORDER)
        await here.launcher.stop("text-1")
        assert here.alive("text-0")


@kinds
@conversation
async def test_the_end_of_a_launcher_is_that_of_its_workers(kind: str, home: Path) -> None:
    names = [f"text-{number}" for number in range(3)]
    here = KINDS[kind][0](home)
    for name in names:
        await here.launcher.launch(Order(name, ROLES["text"]))
    await here.launcher.close()
    assert not any(here.alive(name) for name in names)


@pytest.mark.slow
@conversation
async def test_a_worker_that_does_not_leave_is_killed(home: Path) -> None:
    async with place(Here(home, STUBBORN)) as here:
        await here.launcher.launch(ORDER)
        await here.launcher.stop("text-0")
        assert not here.alive("text-0")


@pytest.mark.slow
@conversation
async def test_workers_get_the_gpus_that_nobody_has_and_then_the_cpu(home: Path) -> None:
    async with place(Here(home, WORKS, gpus=(0, 1, 2))) as here:
        outcomes = [
            await here.launcher.launch(Order(name, ROLES["text"])) for name in ("a", "b", "c")
        ]
        places = [one.where.rpartition("on ")[2] for one in outcomes if isinstance(one, Launched)]
        assert places == ["GPU 0", "GPU 2", "the CPU"]
        await here.launcher.stop("a")
        again = await here.launcher.launch(Order("d", ROLES["text"]))
        assert isinstance(again, Launched)
        assert again.where.endswith("on GPU 0")
