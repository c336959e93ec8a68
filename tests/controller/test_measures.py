"""What becomes of the stories of requests: counts in buckets, in the status."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from modserve.controller.histograms import SECONDS, Histogram
from modserve.controller.measures import GAPS, TPOT
from modserve.transport import messages as say

from .scripted import PICTURE, controller, conversation, handle
from .test_attaining import report

TTFT = "time_to_first_token_seconds"


@given(st.lists(st.floats(0, 1e4)))
def test_every_value_is_in_the_bucket_of_its_bound(values: list[float]) -> None:
    histogram = Histogram(SECONDS)
    for value in values:
        histogram.add(value)
    for at, bound in enumerate(SECONDS):
        assert sum(histogram.counts[: at + 1]) == sum(value <= bound for value in values)
    assert sum(histogram.counts) == len(values)


def found(report: dict[str, Any], name: str, modality: str) -> int:
    return sum(report["histograms"][name][modality]["counts"])


@conversation
async def test_a_finished_request_is_counted_once_under_its_modality() -> None:
    async with controller() as scene:
        both, client = scene.worker("all"), scene.client()
        await both.join()
        client.submit("a", "Hello", max_tokens=3)
        task = await both.hear(say.Prefill)
        both.step(task, 1)
        both.step(task, 2)
        both.step(task, 3, finish="length")
        await client.hear(say.Ended)
        told = await report(client)
        assert told["requests"]["ends"] == {"length": 1}
        assert found(told, TTFT, "text") == found(told, TPOT, "text") == 1
        assert found(told, GAPS, "text") == 2
        assert found(told, TTFT, "image") == 0
        assert told["histograms"]["request_generation_tokens"]["text"]["sum"] == 3


@conversation
async def test_images_are_counted_one_by_one() -> None:
    async with controller() as scene:
        both, client = scene.worker("all"), scene.client()
        await both.join()
        client.submit("a", "What?", PICTURE, max_tokens=1)
        encode = await both.hear(say.Encode)
        assert (await report(client))["requests"]["by_modality"] == {
            "text": {},
            "image": {"admitted": 1},
        }
        both.say(say.EncodeDone(encode.key, encode.run, handle("all-0")))
        task = await both.hear(say.Prefill)
        both.say(say.Landed("a", task.run, 0))
        both.step(task, 1, finish="stop")
        await client.hear(say.Ended)
        told = await report(client)
        assert found(told, TTFT, "image") == found(told, "encoder_request_seconds", "image") == 1
        assert found(told, GAPS, "image") == 0


@conversation
async def test_what_did_not_finish_is_in_no_histogram() -> None:
    async with controller() as scene:
        worker, client = scene.worker("text"), scene.client()
        await worker.join()
        client.submit("a")
        worker.step(await worker.hear(say.Prefill), 1)
        await client.hear(say.Deltas)
        client.say(say.Cancel("a"))
        await client.hear(say.Ended)
        told = await report(client)
        assert told["requests"]["ends"] == {"cancelled": 1}
        assert found(told, TTFT, "text") == 0
