"""Promises on the wire: what a Submit asks for, what status says became of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import orjson
import pytest

from modserve.controller.options import Limits
from modserve.controller.promising import promise
from modserve.controller.refusal import Refused
from modserve.scheduler.slo.classes import CLASSES, INTERACTIVE, SloClass
from modserve.scheduler.slo.slo import slo_of
from modserve.transport import codec
from modserve.transport import messages as say

from .scripted import PICTURE, Client, controller, conversation, handle

HELLO = (say.Turn("user", (say.TextPart("Hello"),)),)
SLOW = SloClass("slow", 100.0, 100.0)
HASTY = SloClass("hasty", 1e-6, 100.0, priority=-1)


def submit(request_id: str = "a", **promised: Any) -> say.Submit:
    return say.Submit(request_id, say.Sampling(max_tokens=2), turns=HELLO, **promised)


async def report(client: Client) -> dict[str, Any]:
    client.say(say.AskStatus(client.heard(say.Report)))
    told: dict[str, Any] = orjson.loads(
        (await client.hear(say.Report, client.heard(say.Report) + 1)).body
    )
    return told


def test_what_is_not_asked_for_is_the_class_s() -> None:
    assert promise(submit(), 0, CLASSES) == slo_of(CLASSES["standard"])
    asked = submit(slo="interactive", ttft_ms=700, tpot_ms=30.5)
    assert promise(asked, 9, CLASSES) == slo_of(INTERACTIVE, 9, 0.7, 0.0305)


@pytest.mark.parametrize(
    ("promised", "expected"),
    [
        (
            {"slo": "interactve"},
            "expected an SLO class of interactive, standard, batch, got interactve; "
            "did you mean interactive?",
        ),
        ({"slo": "x" * 999}, f"batch, got {'x' * 60}...$"),
        ({"slo": ""}, "standard, batch, got $"),
        ({"ttft_ms": 0}, "expected ttft_ms above 0, got 0$"),
        ({"ttft_ms": float("nan")}, "expected ttft_ms above 0, got nan$"),
        ({"tpot_ms": -3}, "expected tpot_ms above 0, got -3$"),
        ({"tpot_ms": float("inf")}, "expected tpot_ms above 0, got inf$"),
    ],
)
def test_a_promise_that_is_none_is_one_sentence(promised: dict[str, Any], expected: str) -> None:
    with pytest.raises(Refused, match=expected):
        promise(submit(**promised), 0, CLASSES)


def test_a_submit_that_says_nothing_of_it_is_as_short_as_before() -> None:
    assert b"slo" not in codec.encode(submit())
    assert b"ttft" not in codec.encode(submit())


@conversation
async def test_an_unknown_class_is_refused_and_counts_for_nobody() -> None:
    async with controller() as scene:
        client = scene.client()
        client.say(submit(slo="batsh"))
        refused = await client.hear(say.Refused)
        assert refused.code == "slo"
        assert refused.reason.endswith("did you mean batch?")
        assert (await report(client))["attainment"] == []


@conversation
async def test_status_tells_who_was_served_in_time() -> None:
    """One in time, one too late for its class, and one whose own time is enough."""
    async with controller(slo={**CLASSES, "slow": SLOW, "hasty": HASTY}) as scene:
        worker, client = scene.worker("text"), scene.client()
        await worker.join()
        words = (
            submit("a", slo="slow"),
            submit("b", slo="hasty"),
            submit("c", slo="hasty", ttft_ms=1e6),
        )
        for number, word in enumerate(words, start=1):
            client.say(word)
            task = await worker.hear(say.Prefill, number)
            worker.step(task, 1)
            worker.step(task, 2, finish="length")
            await client.hear(say.Ended, number)
        rows = (await report(client))["attainment"]
        assert [(row["slo"], row["window_s"], row["sent"], row["met"]) for row in rows] == [
            ("hasty", 30.0, 2, 1),
            ("hasty", 300.0, 2, 1),
            ("slow", 30.0, 1, 1),
            ("slow", 300.0, 1, 1),
        ]
        assert rows[0]["modality"] == "text"
        assert rows[0]["attainment"] == 0.5
        assert rows[0]["stages"] == {
            "prefill": {"sent": 2, "met": 1, "attainment": 0.5},
            "decode": {"sent": 2, "met": 2, "attainment": 1.0},
        }


@conversation
async def test_images_have_rows_and_time_of_their_own() -> None:
    async with controller(slo={**CLASSES, "slow": SLOW}) as scene:
        both, client = scene.worker("all"), scene.client()
        await both.join()
        parts = (say.ImagePart(0), say.TextPart("What is this?"))
        turns = (say.Turn("user", parts),)
        client.say(say.Submit("a", say.Sampling(max_tokens=1), turns=turns, slo="slow"), PICTURE)
        encode = await both.hear(say.Encode)
        both.say(say.EncodeDone(encode.key, encode.run, handle("all-0")))
        task = await both.hear(say.Prefill)
        both.say(say.Landed("a", task.run, 0))
        both.step(task, 1, finish="length")
        await client.hear(say.Ended)
        (row, _) = (await report(client))["attainment"]
        assert (row["slo"], row["modality"], row["attainment"]) == ("slow", "image", 1.0)
        assert list(row["stages"]) == ["encode", "prefill", "decode"]


@conversation
async def test_whoever_is_refused_for_want_of_room_was_not_served_in_time() -> None:
    async with controller(Limits(max_open=1)) as scene:
        client = scene.client()
        client.say(submit("a", slo="batch"))
        client.say(submit("b", slo="interactive"))
        assert (await client.hear(say.Refused)).code == "busy"
        (row, _) = (await report(client))["attainment"]
        assert (row["slo"], row["sent"], row["met"]) == ("interactive", 1, 0)


@conversation
async def test_a_cancelled_request_does_not_count() -> None:
    async with controller() as scene:
        worker, client = scene.worker("text"), scene.client()
        await worker.join()
        client.say(submit("a"))
        await worker.hear(say.Prefill)
        client.say(say.Cancel("a"))
        await client.hear(say.Ended)
        assert (await report(client))["attainment"] == []


@conversation
async def test_status_tells_what_the_classes_promise() -> None:
    async with controller(slo={**CLASSES, "hasty": HASTY}) as scene:
        classes = (await report(scene.client()))["slo_classes"]
        assert [one["name"] for one in classes] == ["hasty", "interactive", "standard", "batch"]
        assert classes[2] == {
            "name": "standard",
            "ttft_ms": 2000.0,
            "tpot_ms": 100.0,
            "image_token_ms": 2.0,
            "priority": 1,
            "degrade_to": "batch",
        }


@conversation
async def test_a_promise_outlives_the_controller(tmp_path: Path) -> None:
    async with controller(journal=tmp_path, slo={**CLASSES, "slow": SLOW}) as scene:
        worker, client = scene.worker("text"), scene.client()
        await worker.join()
        client.say(submit("a", slo="slow"))
        await worker.hear(say.Prefill)
        await scene.succeed()
        client.say(say.Greet(say.PROTOCOL))
        client.say(submit("a", slo="slow"))
        after = scene.worker("text", name="text-1", epoch=2)
        await after.join()
        task = await after.hear(say.Prefill)
        after.step(task, 1, finish="length")
        await client.hear(say.Ended)
        (row, _) = (await report(client))["attainment"]
        assert (row["slo"], row["met"]) == ("slow", 1)


@conversation
async def test_a_class_that_is_gone_after_a_restart_loses_no_request(tmp_path: Path) -> None:
    async with controller(journal=tmp_path, slo={**CLASSES, "slow": SLOW}) as scene:
        worker, client = scene.worker("text"), scene.client()
        await worker.join()
        client.say(submit("a", slo="slow"))
        await worker.hear(say.Prefill)
        scene.tell(slo=CLASSES)
        await scene.succeed()
        assert (await report(client))["requests"]["open"] == 1
