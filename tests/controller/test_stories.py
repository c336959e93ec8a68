"""Stories on the wire: of an open request, of one that ended, and of one that nobody remembers."""

from __future__ import annotations

from typing import Any

import orjson

from modserve.controller.stories import MOST, Stories
from modserve.controller.tickets import Ticket
from modserve.scheduler.request import Request
from modserve.transport import messages as say

from .scripted import PICTURE, Client, controller, conversation, handle


async def story(client: Client, request_id: str) -> dict[str, Any]:
    client.say(say.AskTrace(client.heard(say.Report), request_id))
    told = await client.hear(say.Report, client.heard(say.Report) + 1)
    body: dict[str, Any] = orjson.loads(told.body)
    return body


@conversation
async def test_a_story_has_every_mark_and_who_worked() -> None:
    async with controller() as scene:
        both, client = scene.worker("all"), scene.client()
        await both.join()
        client.submit("a", "What?", PICTURE, max_tokens=2)
        encode = await both.hear(say.Encode)
        told = await story(client, "a")
        assert (told["phase"], told["images"][0]["worker"]) == ("admitted", "all-0")
        assert [phase for phase, _ in told["images"][0]["story"]] == ["encoding"]
        both.say(say.EncodeDone(encode.key, encode.run, handle("all-0")))
        task = await both.hear(say.Prefill)
        both.say(say.Landed("a", task.run, 0))
        both.step(task, 1)
        both.step(task, 2, finish="length")
        await client.hear(say.Ended)
        told = await story(client, "a")
        phases = [phase for phase, _ in told["story"]]
        assert phases[0] == "admitted"
        assert phases[-1] == told["phase"] == "done"
        assert told["runs"] == [{"prefill": "all-0", "decode": "all-0"}]
        marks = [at for _, at in told["story"]]
        assert marks[0] >= 0 and marks == sorted(marks)
        assert marks[-1] == told["until_s"] >= told["first_token_s"] > 0
        assert told["reason"] == "length"
        assert (await story(client, ""))["request_id"] == "a"


@conversation
async def test_a_request_that_nobody_remembers_is_one_sentence() -> None:
    async with controller() as scene:
        client = scene.client()
        client.say(say.AskTrace(1, "x" * 9999))
        denied = await client.hear(say.Denied)
        told = "expected a request that is open or among the last 2000 that ended, got x"
        assert denied.reason.startswith(told)
        assert len(denied.reason) < 300
        client.say(say.AskTrace(2, ""))
        assert (await client.hear(say.Denied, 2)).reason.endswith("got none yet")


def test_only_the_last_ones_are_kept() -> None:
    stories = Stories()
    for number in range(3 * MOST):
        request = Request(f"r{number}", 1, 1, 0.0)
        stories.keep(Ticket(request, 1, (), (), [], say.Sampling(), 0.0), "stop")
    assert len(stories) == MOST
    assert stories.of("r0") is None
    last = stories.of("")
    assert last is not None
    assert last.request.id == f"r{3 * MOST - 1}"
