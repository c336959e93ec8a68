"""A policy's decisions become launches, drains and changes of stages, each told with its reason."""

from __future__ import annotations

import asyncio
from io import BytesIO
from random import Random

import msgspec
import pytest
from PIL import Image

from modserve.controller.config.tables import ScalingTable, StageTable
from modserve.controller.launching.options import LaunchOptions
from modserve.transport import messages as say

from .launching.fake import Fake, Manner
from .scripted import Client, Scene, Worker, controller, conversation
from .test_staffing import told

pytestmark = pytest.mark.slow

SLOW = say.Beat(image_token_s=0.01)  # 100 image tokens a second at most
SWIFT = say.Beat(prompt_token_s=0.0001, decode_s=0.001)
LAUNCHING = ScalingTable(policy="modserve", means=("launch",))


def picture(number: int) -> bytes:
    file = BytesIO()
    Image.frombytes("RGB", (16, 16), Random(number).randbytes(768)).save(file, "PNG")
    return file.getvalue()


async def joined(scene: Scene, role: str, name: str, beat: say.Beat, epoch: int) -> Worker:
    worker = scene.worker(
        *{"text": ("prefill", "decode")}.get(role, (role,)), name=name, epoch=epoch
    )
    await worker.join()
    worker.say(beat)
    return worker


async def flood(client: Client, stop: asyncio.Event, beating: dict[Worker, say.Beat]) -> None:
    """Pictures, each of them another one, that nobody ever encodes."""
    number = 0
    while not stop.is_set():
        for _ in range(5):
            number += 1
            client.submit(f"r{number}", "?", picture(number))
        for worker, beat in beating.items():
            worker.say(beat)
        await asyncio.sleep(0.2)  # the pace of the traffic, not a wait for anything


async def decided(scene: Scene, scaling: str, beating: dict[Worker, say.Beat]) -> str:
    """The first sentence of that decision under a flood of pictures."""
    client, stop = scene.client(), asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(flood(client, stop, beating))
        watching = scene.client()
        while True:
            events = await told(watching, "scaling")
            found = [e.sentence for e in events if e.fields.get("decision") == scaling]
            if found:
                stop.set()
                return found[0]


@conversation
async def test_a_pool_that_cannot_keep_up_is_given_a_worker_more() -> None:
    fake = Fake()
    async with controller(
        launcher=lambda: fake, scaling=LAUNCHING, stages={"encode": StageTable(max=2)}
    ) as scene:
        text = await joined(scene, "text", "text-0", SWIFT, 1)
        encode = await joined(scene, "encode", "encode-0", SLOW, 2)
        sentence = await decided(scene, "grow", {text: SWIFT, encode: SLOW})
        assert sentence.startswith("grow encode: ")
        assert "encode-1" in fake.asked


@conversation
async def test_where_nothing_may_be_launched_an_idle_worker_changes_its_stages() -> None:
    only_switches = msgspec.structs.replace(LAUNCHING, means=("switch",))
    async with controller(scaling=only_switches) as scene:
        idle = {
            await joined(scene, "text", f"text-{number}", SWIFT, number): SWIFT
            for number in (1, 2, 3)
        }
        encode = await joined(scene, "encode", "encode-0", SLOW, 9)
        sentence = await decided(scene, "switch", {**idle, encode: SLOW})
        assert sentence.startswith("switch text to encode: ")
        switched = [worker for worker in idle if worker.heard(say.Switch)]
        assert 1 <= len(switched) <= 2, "one keeps the text"
        assert (await switched[0].hear(say.Switch)).stages == ("encode",)


@conversation
async def test_as_many_as_the_configuration_starts_with_are_launched_at_once() -> None:
    fake = Fake()
    stages = {"encode": StageTable(start=2, max=3), "text": StageTable()}
    async with controller(launcher=lambda: fake, scaling=LAUNCHING, stages=stages) as scene:
        await told(scene.client(), "launched", count=3)
        assert sorted(fake.asked) == ["encode-0", "encode-1", "text-0"]


@conversation
async def test_without_a_policy_nothing_is_decided() -> None:
    fake = Fake()
    async with controller(launcher=lambda: fake, stages={"encode": StageTable(start=2)}) as scene:
        await joined(scene, "text", "text-0", SWIFT, 1)
        events = await told(scene.client(), "joined")
        assert [event.kind for event in events] == ["joined"]
        assert not fake.asked


@conversation
async def test_a_launch_that_failed_is_given_up_and_another_one_waits() -> None:
    fake = Fake(Manner.FAILS)
    slow = LaunchOptions(first_pause_s=60.0)
    async with controller(launcher=lambda: fake, launching=slow, scaling=LAUNCHING) as scene:
        text = await joined(scene, "text", "text-0", SWIFT, 1)
        encode = await joined(scene, "encode", "encode-0", SLOW, 2)
        sentence = await decided(scene, "abandon", {text: SWIFT, encode: SLOW})
        assert sentence.startswith("abandon encode: ")
        events = await told(scene.client(), "scaling", "launch-failed")
        grown = [one for one in events if one.fields.get("decision") == "grow"]
        assert len(grown) == 1, "the next one comes after a pause of a cold start"
        assert fake.asked.count("encode-1") == 1
