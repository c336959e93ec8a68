"""The controller against scripted peers: the life of a request as messages."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec
import orjson
import pytest

from modserve.controller.options import Limits
from modserve.transport import messages as say
from modserve.transport.messages import TensorHandle

from .scripted import DEADLINE_S, MODEL, TOKEN, Client, Worker, controller

PICTURE = (Path(MODEL).parent.parent / "examples" / "seven.png").read_bytes()


def run(test: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(3 * DEADLINE_S):
            await test

    asyncio.run(bounded())


def end(*peers: Client | Worker) -> None:
    for peer in peers:
        if isinstance(peer, Worker):
            peer.say(say.Bye())
        peer.dealer.close()


def handle(owner: str, size: int = 64) -> TensorHandle:
    return TensorHandle(owner, 1, 5, (say.Part((size,), "uint8", size),))


def test_a_text_request_from_submit_to_the_last_word() -> None:
    async def life() -> None:
        async with controller() as (_, endpoint):
            worker, client = Worker(endpoint, "text"), Client(endpoint)
            welcome = await worker.join()
            assert (welcome.name, welcome.model) == ("text-0", str(MODEL))
            client.submit("a", max_tokens=3, seed=5)
            task = await worker.hear(say.Prefill)
            assert task.sampling.seed == 5
            assert task.prompt_tokens == len(task.token_ids)
            for number in (1, 2, 3):
                worker.step(task, number, token=number, finish="length" if number == 3 else "")
            ended = await client.hear(say.Ended)
            said = [word.items[0] for word in client.words if isinstance(word, say.Deltas)]
            assert [(one.start, one.token_ids) for one in said] == [(0, (1,)), (1, (2,)), (2, (3,))]
            assert (ended.finish_reason, ended.usage.completion_tokens) == ("length", 3)
            assert ended.timing.ttft_s is not None
            assert 0 < ended.timing.ttft_s <= ended.timing.total_s
            assert await worker.hear(say.Release) == say.Release("a", 1)
            end(client, worker)

    run(life())


def test_an_image_goes_to_the_encoder_and_its_handle_to_the_text_worker() -> None:
    async def life() -> None:
        async with controller() as (_, endpoint):
            encoder, text, client = (
                Worker(endpoint, "encode"),
                Worker(endpoint, "text"),
                Client(endpoint),
            )
            await encoder.join()
            await text.join()
            client.submit("a", "What is this?", PICTURE, max_tokens=1)
            encode = await encoder.hear(say.Encode)
            assert encoder.frames[encoder.words.index(encode)] == [PICTURE]
            encoder.say(say.EncodeDone(encode.key, encode.run, handle("encode-0")))
            task = await text.hear(say.Prefill)
            supply = await text.hear(say.Supply)
            assert supply.handle == handle("encode-0")
            assert task.spans[0].length == task.spans[0].rows
            text.say(say.Landed("a", task.run, 0))
            text.step(task, 1, finish="length")
            assert await encoder.hear(say.Forget) == say.Forget(encode.key, encode.run)
            ended = await client.hear(say.Ended)
            assert ended.timing.encode_s > 0
            assert ended.usage.image_tokens == task.spans[0].rows
            end(client, encoder, text)

    run(life())


def test_kv_offers_pass_from_prefill_to_decode_and_back() -> None:
    async def life() -> None:
        async with controller() as (_, endpoint):
            prefill, decode, client = (
                Worker(endpoint, "prefill"),
                Worker(endpoint, "decode"),
                Client(endpoint),
            )
            await prefill.join()
            await decode.join()
            client.submit("a", max_tokens=2)
            task, adopted = await prefill.hear(say.Prefill), await decode.hear(say.Decode)
            assert task.hand_over
            prefill.step(task, 1)
            offer = say.KvOffer("a", task.run, 0, task.prompt_tokens, handle("prefill-0"), (7,))
            prefill.say(offer)
            assert await decode.hear(say.KvOffer) == offer
            decode.say(say.KvTaken("a", task.run, offer.handle, last=True))
            assert await prefill.hear(say.Release) == say.Release("a", task.run)
            decode.step(adopted, 2, finish="length")
            ended = await client.hear(say.Ended)
            assert ended.usage.completion_tokens == 2
            end(client, prefill, decode)

    run(life())


def test_a_lost_worker_costs_the_client_nothing() -> None:
    async def life() -> None:
        async with controller() as (_, endpoint):
            first, second, client = (
                Worker(endpoint, "text"),
                Worker(endpoint, "text", epoch=2),
                Client(endpoint),
            )
            await first.join()
            client.submit("a", max_tokens=4)
            task = await first.hear(say.Prefill)
            first.step(task, 1, token=11)
            first.step(task, 2, token=12)
            await client.hear(say.Deltas, 2)
            await second.join()
            first.dealer.close(0)  # as after kill -9: no goodbye
            again = await second.hear(say.Prefill)
            assert again.run == task.run + 1
            assert again.token_ids == (*task.token_ids, 11, 12)
            assert again.prompt_tokens == task.prompt_tokens
            row = say.Row("a", again.run, 3, True, "stop")
            second.say(say.Stepped((row,), ()))
            ended = await client.hear(say.Ended)
            assert ended.timing.runs == 2
            end(client, second)

    run(life())


def test_a_client_that_vanished_is_cancelled_everywhere() -> None:
    async def life() -> None:
        async with controller() as (_, endpoint):
            worker, client = Worker(endpoint, "text"), Client(endpoint)
            await worker.join()
            client.submit("a")
            task = await worker.hear(say.Prefill)
            client.dealer.close(0)
            assert await worker.hear(say.Release) == say.Release("a", task.run)
            end(worker)

    run(life())


def test_a_client_that_stopped_reading_is_cancelled_and_others_go_on() -> None:
    async def life() -> None:
        limits = Limits(stalled_s=0.5, queue=5)
        async with controller(limits) as (_, endpoint):
            worker, client, other = (
                Worker(endpoint, "text"),
                Client(endpoint, queue=1),
                Client(endpoint),
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
            assert await worker.hear(say.Release) in (say.Release("a", 1), say.Release("b", 1))
            await worker.hear(say.Release, 2)
            client.dealer.closed = False
            end(client, other, worker)

    run(life())


def test_a_submit_repeated_after_the_end_gets_the_same_answer_and_no_second_run() -> None:
    async def life() -> None:
        async with controller() as (_, endpoint):
            worker, client, other = Worker(endpoint, "text"), Client(endpoint), Client(endpoint)
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
            end(client, other, worker)

    run(life())


def test_a_cancel_reaches_the_worker_and_answers_the_client() -> None:
    async def life() -> None:
        async with controller() as (_, endpoint):
            worker, client = Worker(endpoint, "text"), Client(endpoint)
            await worker.join()
            client.submit("a")
            task = await worker.hear(say.Prefill)
            client.say(say.Cancel("a"))
            assert await worker.hear(say.Release) == say.Release("a", task.run)
            ended = await client.hear(say.Ended)
            assert ended.finish_reason == "cancelled"
            end(client, worker)

    run(life())


def test_a_stranger_cannot_cancel_what_another_client_asked() -> None:
    async def life() -> None:
        async with controller() as (_, endpoint):
            worker, client, stranger = Worker(endpoint, "text"), Client(endpoint), Client(endpoint)
            await worker.join()
            client.submit("a", max_tokens=1)
            task = await worker.hear(say.Prefill)
            stranger.say(say.Cancel("a"))
            stranger.say(say.AskStatus(1))
            await stranger.hear(say.Report)  # so the cancel was heard
            worker.step(task, 1, finish="stop")
            ended = await client.hear(say.Ended)
            assert ended.finish_reason == "stop"
            end(client, stranger, worker)

    run(life())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"protocol": 99}, "expected protocol 1, got 99"),
        ({"token": "guess"}, "expected this controller's token"),
        ({"stages": ("paint",)}, "expected a stage of .* got paint"),
        ({"stages": ()}, "expected a stage of .* got nothing"),
    ],
)
def test_a_worker_that_does_not_belong_is_told_why(
    change: dict[str, object], sentence: str
) -> None:
    async def life() -> None:
        async with controller() as (_, endpoint):
            worker = Worker(endpoint, "text")
            worker.say(msgspec.structs.replace(worker.hello, **change))
            denied = await worker.hear(say.Denied)
            assert not denied.again
            with pytest.raises(AssertionError, match=sentence):
                raise AssertionError(denied.reason)
            end(worker)

    run(life())


@pytest.mark.parametrize("field", ["fingerprint", "dtype"])
def test_a_worker_of_another_model_or_dtype_is_told_why(field: str) -> None:
    async def life() -> None:
        async with controller() as (_, endpoint):
            good, bad = Worker(endpoint, "text"), Worker(endpoint, "text", epoch=2)
            await good.join()
            bad.say(bad.hello)
            await bad.hear(say.Welcome)
            bad.say(msgspec.structs.replace(bad.ready(), **{field: "other"}))
            denied = await bad.hear(say.Denied)
            assert field in denied.reason
            end(good, bad)

    run(life())


def test_a_name_that_is_taken_is_refused_while_its_worker_answers() -> None:
    async def life() -> None:
        async with controller() as (_, endpoint):
            first, second = (
                Worker(endpoint, "text", name="t"),
                Worker(endpoint, "text", name="t", epoch=2),
            )
            await first.join()
            second.say(second.hello)
            denied = await second.hear(say.Denied)
            assert "expected a free name, got t" in denied.reason
            end(first, second)

    run(life())


@pytest.mark.parametrize(
    ("submit", "code", "sentence"),
    [
        ({"max_tokens": 0}, "parameter", "max_tokens of at least 1, got 0"),
        ({"temperature": float("nan")}, "parameter", "temperature from 0 to 100, got nan"),
        ({"top_p": float("inf")}, "parameter", "top_p from 0 to 1, got inf"),
        ({"text": "x " * 9000}, "too_long", "expected a prompt below"),
        ({"images": (b"not an image",)}, "image", "image 0: expected a picture file"),
        ({"images": (b"",)}, "image", "image 0: expected a picture file, got zero bytes"),
        ({"images": (PICTURE[:30],)}, "image", "image 0: expected a whole PNG file"),
        ({"images": (PICTURE,) * 65}, "images", "expected at most 64 images, got 65"),
    ],
)
def test_bad_input_is_one_sentence(submit: dict[str, Any], code: str, sentence: str) -> None:
    async def life() -> None:
        async with controller() as (_, endpoint):
            client = Client(endpoint)
            images, text = submit.pop("images", ()), submit.pop("text", "Hello")
            client.submit("a", text, *images, **submit)
            refused = await client.hear(say.Refused)
            assert refused.code == code
            assert sentence in refused.reason
            end(client)

    run(life())


@pytest.mark.parametrize("frame", [b"", b"\xc1", b"\x80", b"random bytes", b"\x81\xa4type\xa3Nix"])
def test_what_is_no_word_is_refused_and_harms_nobody(frame: bytes) -> None:
    async def life() -> None:
        async with controller() as (_, endpoint):
            client = Client(endpoint)
            client.dealer.send(frame)
            denied = await client.hear(say.Denied)
            assert denied.reason.startswith("not understood")
            client.say(say.AskStatus(3))
            report = await client.hear(say.Report)
            assert report.ask == 3
            end(client)

    run(life())


def test_removal_and_shutdown_need_the_token() -> None:
    async def life() -> None:
        async with controller() as (_, endpoint):
            worker, client = Worker(endpoint, "text"), Client(endpoint)
            await worker.join()
            client.say(say.Remove(1, "guess", "text-0"))
            client.say(say.Shutdown(2, "guess"))
            assert "token" in (await client.hear(say.Denied, 2)).reason
            client.say(say.Remove(3, TOKEN, "nobody"))
            assert "(text-0), got nobody" in (await client.hear(say.Denied, 3)).reason
            client.say(say.Remove(4, TOKEN, "text-0"))
            await worker.hear(say.Stop)
            assert client.heard(say.Granted) == 0, "not before it has left"
            worker.say(say.Bye())
            assert (await client.hear(say.Granted)).ask == 4
            end(client, worker)

    run(life())


def test_a_drained_worker_first_finishes_what_it_has() -> None:
    async def life() -> None:
        async with controller() as (_, endpoint):
            worker, client = Worker(endpoint, "text"), Client(endpoint)
            await worker.join()
            client.submit("a", max_tokens=1)
            task = await worker.hear(say.Prefill)
            worker.say(say.Leave())
            client.submit("b", max_tokens=1)
            client.say(say.AskStatus(1))
            await client.hear(say.Report)
            assert worker.heard(say.Stop) == 0
            worker.step(task, 1, finish="stop")
            await worker.hear(say.Stop)
            assert worker.heard(say.Prefill) == 1, "no new work for a worker that leaves"
            end(client, worker)

    run(life())


def test_status_counts_what_happened() -> None:
    async def life() -> None:
        async with controller() as (_, endpoint):
            worker, client = Worker(endpoint, "text"), Client(endpoint)
            await worker.join()
            client.submit("a", max_tokens=1)
            worker.step(await worker.hear(say.Prefill), 1, finish="stop")
            await client.hear(say.Ended)
            client.say(say.AskStatus(1))
            status = orjson.loads((await client.hear(say.Report)).body)
            assert status["requests"]["finished"] == 1
            assert status["requests"]["open"] == 0
            assert [one["name"] for one in status["workers"]] == ["text-0"]
            assert status["workers"][0]["kv_blocks_booked"] == 0
            end(client, worker)

    run(life())
