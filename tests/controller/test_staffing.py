"""So many workers of each role, with a launcher that does what the test tells it."""

from __future__ import annotations

import asyncio

import pytest

from modserve.controller.launching.options import LaunchOptions
from modserve.transport import messages as say

from .launching.fake import Fake, Manner
from .scripted import PICTURE, TOKEN, Client, Scene, controller, conversation

QUICK = LaunchOptions(launch_s=0.1, stop_s=0.1, close_s=0.1, tries=2, first_pause_s=0.01)


async def steps(client: Client, **workers: int) -> tuple[str, ...]:
    """What the controller says it will do."""
    ask = 1 + client.heard(say.Scaled)
    client.say(say.Scale(ask, TOKEN, workers))
    return (await client.hear(say.Scaled, ask)).steps


async def told(client: Client, *kinds: str, count: int = 1) -> list[say.Event]:
    """The events of these kinds so far, once there is one of each and `count` in all."""
    while True:
        ask = 1 + client.heard(say.Events)
        client.say(say.AskEvents(ask))
        events = (await client.hear(say.Events, ask)).events
        found = [event for event in events if event.kind in kinds]
        if len(found) >= count and {event.kind for event in found} == set(kinds):
            return found
        await asyncio.sleep(0.01)


async def joined(scene: Scene, *names: str) -> None:
    for epoch, name in enumerate(names, 1):
        await scene.worker("text", name=name, epoch=epoch).join()


@conversation
async def test_what_is_missing_is_launched_and_what_is_there_counts() -> None:
    fake = Fake()
    async with controller(launcher=lambda: fake) as scene:
        client = scene.client()
        await joined(scene, "text-0")
        await told(client, "joined")
        assert await steps(client, text=2, encode=1) == (
            "launch text-1 (fake)",
            "launch encode-0 (fake)",
        )
        await told(client, "launched")
        assert sorted(fake.asked) == ["encode-0", "text-1"]
        (sentence,) = [e.sentence for e in await told(client, "joined")]
        assert sentence == "text-0 joined: pid 1 on cpu"
    assert fake.closed


@pytest.mark.parametrize("manner", list(Manner))
@conversation
async def test_whatever_the_launcher_does_the_controller_answers(manner: Manner) -> None:
    fake = Fake(manner)
    fake.stops = manner
    async with controller(launcher=lambda: fake, launching=QUICK) as scene:
        client = scene.client()
        await joined(scene, "text-0")
        await steps(client, text=9)
        worker = scene.worker("text", epoch=9)
        await worker.join()
        assert worker.heard(say.Welcome) == 1
        client.submit("a", "?", PICTURE)
        encode = scene.worker("encode", epoch=10)
        await encode.join()
        await encode.hear(say.Encode)
        if manner is not Manner.WORKS:
            failed = await told(client, "launch-failed", "given-up")
            assert {event.fields["worker"] for event in failed} <= set(fake.asked)
    fake.release()


@conversation
async def test_what_is_too_much_leaves_and_the_idle_one_first() -> None:
    async with controller(launcher=Fake) as scene:
        client = scene.client()
        busy = scene.worker("text", name="text-0", epoch=1)
        await busy.join()
        client.submit("a", max_tokens=2)
        task = await busy.hear(say.Prefill)
        busy.step(task, 1)
        idle = scene.worker("text", name="text-1", epoch=2)
        await idle.join()
        await told(client, "joined", count=2)
        assert await steps(client, text=1) == ("drain text-1",)
        await idle.hear(say.Stop)
        assert busy.heard(say.Stop) == 0
        assert await steps(client, text=0) == ("drain text-0, which is at work",)
        busy.step(task, 2, finish="length")
        await busy.hear(say.Stop)
        drained = [event.fields["worker"] for event in await told(client, "draining")]
        assert drained == ["text-1", "text-0"]


@conversation
async def test_launches_under_way_are_cancelled_before_anybody_leaves() -> None:
    fake = Fake(Manner.HANGS)
    async with controller(launcher=lambda: fake) as scene:
        client = scene.client()
        await joined(scene, "text-0")
        await told(client, "joined")
        await steps(client, text=3)
        assert await steps(client, text=3) == ("text: nothing to do, 3 are there or on their way",)
        assert await steps(client, text=2) == ("cancel the launch of text-2",)
        assert await steps(client, text=0) == ("cancel the launch of text-1", "drain text-0")
        fake.release()
        assert fake.running == set()


@conversation
async def test_a_name_that_is_promised_is_given_to_nobody_else() -> None:
    fake = Fake(Manner.HANGS)
    async with controller(launcher=lambda: fake) as scene:
        client = scene.client()
        await steps(client, text=1)
        other = scene.worker("text", epoch=2)
        assert (await other.join()).name == "text-1"
        mine = scene.worker("text", name="text-0", epoch=3)
        assert (await mine.join()).name == "text-0"
        fake.release()
        await told(client, "launched")


@conversation
async def test_by_default_a_person_is_told_what_to_type() -> None:
    async with controller() as scene:
        client = scene.client()
        assert await steps(client, encode=1) == ("launch encode-0 (manual)",)
        (event,) = await told(client, "advice")
        assert event.sentence == f"msctl add-worker --stage encode --controller {scene.endpoint}"


@pytest.mark.parametrize(
    ("workers", "sentence"),
    [
        ({"paint": 1}, "expected a role of encode, prefill, decode, text, all, got paint"),
        ({"text": -1}, "expected from 0 to 1024 workers of text, got -1"),
        ({"text": 10**6}, "expected from 0 to 1024 workers of text, got 1000000"),
        ({}, "expected a role of encode, prefill, decode, text, all and a number"),
    ],
)
@conversation
async def test_what_cannot_be_is_refused_in_one_sentence(
    workers: dict[str, int], sentence: str
) -> None:
    fake = Fake()
    async with controller(launcher=lambda: fake) as scene:
        client = scene.client()
        client.say(say.Scale(1, TOKEN, workers))
        assert (await client.hear(say.Denied)).reason.startswith(sentence)
        client.say(say.Scale(2, "guess", {"text": 1}))
        assert "expected this controller's token" in (await client.hear(say.Denied, 2)).reason
        assert fake.asked == []


@conversation
async def test_losses_and_the_ends_of_processes_are_told() -> None:
    fake = Fake()
    async with controller(launcher=lambda: fake) as scene:
        client = scene.client()
        await steps(client, text=1)
        await told(client, "launched")
        worker = scene.worker("text", name="text-0")
        await worker.join()
        await told(client, "joined")
        fake.die("text-0", "signal SIGKILL")
        worker.dealer.close()
        lost, ended = sorted(await told(client, "lost", "ended"), key=lambda one: one.kind)[::-1]
        assert lost.sentence == "text-0 is gone: its connection broke"
        assert ended.sentence == "the process of text-0 ended: signal SIGKILL"
        assert lost.fields == ended.fields == {"worker": "text-0"}
