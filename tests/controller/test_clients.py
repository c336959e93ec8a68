"""Clients that vanish, stop reading, repeat themselves, or send what makes no sense."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import msgspec
import pytest
from PIL import Image

from modserve.controller.options import Limits
from modserve.transport import messages as say

from .scripted import PICTURE, controller, conversation


def png(width: int, height: int) -> bytes:
    file = BytesIO()
    Image.new("RGB", (width, height)).save(file, "PNG")
    return file.getvalue()


THIN = png(20_000, 10)


@conversation
async def test_a_client_that_vanished_is_cancelled_everywhere() -> None:
    async with controller() as scene:
        worker, client = scene.worker("text"), scene.client()
        await worker.join()
        client.submit("a")
        task = await worker.hear(say.Prefill)
        client.dealer.close(0)
        assert await worker.hear(say.Release) == say.Release("a", task.run)


@conversation
async def test_a_client_that_stopped_reading_is_cancelled_and_others_go_on() -> None:
    limits = Limits(stalled_s=0.5, queue=5)
    async with controller(limits) as scene:
        worker, client, other = (
            scene.worker("text"),
            scene.client(queue=1),
            scene.client(),
        )
        await worker.join(kv_blocks=1000)
        client.submit("a", max_tokens=100_000)
        task = await worker.hear(say.Prefill)
        client.dealer.closed = True  # it drains its socket no more
        flood = say.Delta("a", 0, (1,), "x" * 60_000)
        frame = msgspec.msgpack.encode(say.Deltas((flood,)))
        for number in range(1, 600):
            row = say.Row("a", task.run, number, number == 1)
            worker.say(say.Stepped((row,), (task.client,)), frame)
        other.submit("b", max_tokens=1)
        second = await worker.hear(say.Prefill, 2)
        worker.step(second, 1, finish="length")
        await other.hear(say.Ended)
        released = {(await worker.hear(say.Release, count)).request_id for count in (1, 2)}
        assert released == {"a", "b"}
        client.dealer.closed = False


@conversation
async def test_a_client_that_answers_no_ping_is_cancelled() -> None:
    async with controller(Limits(silent_s=1.0)) as scene:
        worker, client = scene.worker("text"), scene.client()
        await worker.join()
        client.submit("a")  # it reads what comes, and says nothing more
        task = await worker.hear(say.Prefill)
        assert await worker.hear(say.Release) == say.Release("a", task.run)
        ended = await client.hear(say.Ended)
        assert ended.error == "the client answered no ping for 1 s"


@conversation
async def test_a_submit_repeated_after_the_end_gets_the_same_answer_and_no_second_run() -> None:
    async with controller() as scene:
        worker, client, other = scene.worker("text"), scene.client(), scene.client()
        await worker.join()
        client.submit("a", max_tokens=1)
        worker.step(await worker.hear(say.Prefill), 1, finish="stop")
        first = await client.hear(say.Ended)
        client.submit("a", max_tokens=1)
        assert await client.hear(say.Ended, 2) == first
        assert client.heard(say.Deltas) == 2
        assert worker.heard(say.Prefill) == 1
        other.submit("a", max_tokens=1)  # another client's own request of that name
        worker.step(await worker.hear(say.Prefill, 2), 1, finish="stop")
        assert (await other.hear(say.Ended)).usage.completion_tokens == 1


@conversation
async def test_a_request_id_that_another_client_has_open_is_refused() -> None:
    async with controller() as scene:
        worker, client, other = scene.worker("text"), scene.client(), scene.client()
        await worker.join()
        client.submit("a")
        task = await worker.hear(say.Prefill)
        other.submit("a")
        refused = await other.hear(say.Refused)
        assert "another client has open" in refused.reason
        worker.step(task, 1, finish="stop")
        await client.hear(say.Ended)
        assert not other.heard(say.Deltas)


@conversation
async def test_a_request_id_that_would_break_a_log_is_refused() -> None:
    async with controller() as scene:
        client = scene.client()
        client.submit("a\nb")
        assert "printable characters of request_id" in (await client.hear(say.Refused)).reason


@conversation
async def test_a_cancel_reaches_the_worker_and_answers_the_client() -> None:
    async with controller() as scene:
        worker, client = scene.worker("text"), scene.client()
        await worker.join()
        client.submit("a")
        task = await worker.hear(say.Prefill)
        client.say(say.Cancel("a"))
        assert await worker.hear(say.Release) == say.Release("a", task.run)
        ended = await client.hear(say.Ended)
        assert ended.finish_reason == "cancelled"


@conversation
async def test_a_stranger_cannot_cancel_what_another_client_asked() -> None:
    async with controller() as scene:
        worker, client, stranger = scene.worker("text"), scene.client(), scene.client()
        await worker.join()
        client.submit("a", max_tokens=1)
        task = await worker.hear(say.Prefill)
        stranger.say(say.Cancel("a"))
        stranger.say(say.AskStatus(1))
        await stranger.hear(say.Report)  # so the cancel was heard
        worker.step(task, 1, finish="stop")
        ended = await client.hear(say.Ended)
        assert ended.finish_reason == "stop"


@pytest.mark.parametrize(
    ("submit", "code", "sentence"),
    [
        ({"max_tokens": 0}, "parameter", "max_tokens from 1 to 2147483647, got 0"),
        ({"temperature": float("nan")}, "parameter", "temperature from 0 to 100, got nan"),
        ({"top_p": float("inf")}, "parameter", "top_p from 0 to 1, got inf"),
        ({"text": "x " * 9000}, "too_long", "expected a prompt below"),
        ({"images": (b"not an image",)}, "image", "image 0: expected a picture file"),
        ({"images": (b"",)}, "image", "image 0: expected a picture file, got zero bytes"),
        ({"images": (PICTURE[:30],)}, "image", "image 0: expected a whole PNG file"),
        ({"images": (PICTURE, THIN)}, "image", "sides of at most 8000 pixels beside other images"),
        ({"images": (PICTURE,) * 65}, "images", "expected at most 64 images, got 65"),
    ],
)
@conversation
async def test_bad_input_is_one_sentence(submit: dict[str, Any], code: str, sentence: str) -> None:
    async with controller() as scene:
        client = scene.client()
        images, text = submit.pop("images", ()), submit.pop("text", "Hello")
        client.submit("a", text, *images, **submit)
        refused = await client.hear(say.Refused)
        assert refused.code == code
        assert sentence in refused.reason


@pytest.mark.parametrize(
    "frame",
    [
        b"",
        b"\xc1",
        b"\x80",
        b"random bytes",
        b"\x81\xa4type\xa3Nix",
        b"\x82\xa4type\xa6Cancel\xaarequest_id\xa1\xff",  # a string that is not UTF-8
        b"\x81\xa1x" + b"\x91" * 5000,  # arrays in arrays
    ],
)
@conversation
async def test_what_is_no_word_is_refused_and_harms_nobody(frame: bytes) -> None:
    async with controller() as scene:
        client = scene.client()
        client.dealer.send(frame)
        denied = await client.hear(say.Denied)
        assert denied.reason.startswith("not understood")
        client.say(say.AskStatus(3))
        report = await client.hear(say.Report)
        assert report.ask == 3
