"""The launcher for Ray beside a process that speaks for Ray as the tests want it to."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from modserve.controller.launching.invitation import Invitation
from modserve.controller.launching.launcher import CannotLaunch, Launched, Order
from modserve.controller.launching.on_ray import OnRay
from modserve.controller.launching.options import LaunchOptions, Resources
from modserve.scheduler.stage import ROLES

from ..scripted import conversation
from .test_launchers import end_of_one

pytestmark = pytest.mark.slow

HEAD = """
import json, sys, time
def tell(**word): print(json.dumps(word), flush=True)
orders = (json.loads(line) for line in sys.stdin)
"""
UP = f"{HEAD}\ntell(event='up')"
LAUNCHES = f"""{UP}
for order in orders:
    name, do = order["name"], order["do"]
    if do == "stop":
        tell(event="stopped", name=name)
    elif order["gpus"]:
        tell(event="failed", name=name, reason="no room for " + order["options"]["name"])
    else:
        tell(event="launched", name=name, pid=7, host="10.0.0.6", log="/l")
"""
NO_CLUSTER = f"{HEAD}\ntell(event='error', reason='expected a Ray cluster at ' + sys.argv[1])"
HANGS = f"{HEAD}\ntime.sleep(600)"
DIES = f"{UP}\ntell(event='launched', name=next(orders)['name'], pid=7, host='h', log='/l')"
WANTED = Order("text-0", ROLES["text"])


@asynccontextmanager
async def on_ray(code: str, **resources: Resources) -> AsyncIterator[OnRay]:
    launcher = OnRay(
        LaunchOptions(ray_address="here", resources=resources),
        lambda: Invitation("tcp://127.0.0.1:7", "secret"),
        command=(sys.executable, "-c", code),
    )
    try:
        yield launcher
    finally:
        await launcher.close()


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))


@conversation
async def test_a_worker_is_launched_and_stopped() -> None:
    async with on_ray(LAUNCHES) as launcher:
        told = await launcher.launch(WANTED)
        assert told == Launched("text-0", "pid 7 of 10.0.0.6, log /l")
        await launcher.stop("text-0")
        await launcher.stop("text-9")
        assert list(launcher.ended()) == []


@conversation
async def test_why_one_is_not_launched_is_said_in_rays_words() -> None:
    async with on_ray(LAUNCHES, text=Resources(1.0, 0.5)) as launcher:
        with pytest.raises(CannotLaunch, match=r"^no room for text-0$"):
            await launcher.launch(WANTED)


@conversation
async def test_without_a_cluster_every_launch_says_so() -> None:
    async with on_ray(NO_CLUSTER) as launcher:
        for _ in range(2):
            with pytest.raises(CannotLaunch, match=r"^expected a Ray cluster at here$"):
                await launcher.launch(WANTED)


@conversation
async def test_a_ray_that_hangs_is_ended_with_the_launch_that_waits_for_it() -> None:
    async with on_ray(HANGS) as launcher:
        launch = asyncio.create_task(launcher.launch(WANTED))
        while not launch.done():
            await launcher.stop("text-0")
            await asyncio.sleep(0.01)
        assert "the process that speaks with Ray ended with -9" in str(launch.exception())


@conversation
async def test_the_end_of_what_speaks_with_ray_is_that_of_its_workers() -> None:
    async with on_ray(DIES) as launcher:
        await launcher.launch(WANTED)
        ended = await end_of_one(launcher)
        assert ended.name == "text-0"
        assert ended.reason.startswith("the process that speaks with Ray ended with 0")
