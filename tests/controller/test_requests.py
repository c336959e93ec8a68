"""The life of a request as messages, between scripted peers."""

from __future__ import annotations

import asyncio

import msgspec
import orjson

from modserve.controller.options import Parts
from modserve.transport import codec
from modserve.transport import messages as say

from .scripted import MODEL, PICTURE, controller, conversation, handle


@conversation
async def test_a_text_request_from_submit_to_the_last_word() -> None:
    async with controller() as scene:
        worker, client = scene.worker("text"), scene.client()
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
        assert await worker.hear(say.Release) == say.Release("a", task.run)


@conversation
async def test_an_image_goes_to_the_encoder_and_its_handle_to_the_text_worker() -> None:
    async with controller(parts=Parts(image_cache_bytes=0)) as scene:
        encoder, text, client = (
            scene.worker("encode"),
            scene.worker("text"),
            scene.client(),
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


@conversation
async def test_kv_offers_pass_from_prefill_to_decode_and_back() -> None:
    async with controller() as scene:
        prefill, decode, client = (
            scene.worker("prefill"),
            scene.worker("decode"),
            scene.client(),
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


@conversation
async def test_a_lost_worker_costs_the_client_nothing() -> None:
    async with controller() as scene:
        first, second, client = (
            scene.worker("text"),
            scene.worker("text", epoch=2),
            scene.client(),
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


@conversation
async def test_what_is_left_of_a_run_that_is_over_reaches_nobody() -> None:
    """Such as the token of a prefill step that was under way when the decode worker was lost."""
    async with controller() as scene:
        prefill, decode = scene.worker("prefill"), scene.worker("decode", epoch=2)
        other, client = scene.worker("decode", epoch=3), scene.client()
        await prefill.join()
        await decode.join()
        client.submit("a", max_tokens=4)
        task = await prefill.hear(say.Prefill)
        decode.dealer.close(0)
        await prefill.hear(say.Release)
        await other.join()
        again = await prefill.hear(say.Prefill, 2)
        late = say.Delta("a", 0, (11,), "late")
        frame = codec.encode(say.Deltas((late,)))
        prefill.say(say.Stepped((say.Row("a", task.run, 1, True),), (task.client,)), frame)
        prefill.step(again, 1, token=11, finish="stop")
        await client.hear(say.Ended)
        (news,) = [word for word in client.words if isinstance(word, say.Deltas)]
        assert [item.text for item in news.items] == ["<11>"]


@conversation
async def test_a_request_that_another_controller_began_goes_on_where_it_was() -> None:
    async with controller() as scene:
        worker, client = scene.worker("text"), scene.client()
        await worker.join()
        sampling = say.Sampling(max_tokens=4)
        client.say(say.Submit("a", sampling, token_ids=(5, 6), emitted=(11, 12)))
        task = await worker.hear(say.Prefill)
        assert (task.token_ids, task.prompt_tokens) == ((5, 6, 11, 12), 2)
        worker.step(task, 3, token=13, finish="stop")
        assert (await client.hear(say.Ended)).usage.completion_tokens == 3
        client.say(say.Submit("b", sampling, token_ids=(5, 6), emitted=(1, 2, 3, 4)))
        assert "fewer than 4 emitted tokens" in (await client.hear(say.Refused)).reason
        client.say(say.Submit("c", sampling, token_ids=(5, 6), emitted=(-1,)))
        assert "emitted tokens from 0" in (await client.hear(say.Refused, 2)).reason


def test_no_two_controllers_number_their_runs_alike() -> None:
    async def life() -> int:
        async with controller() as scene:
            worker, client = scene.worker("text"), scene.client()
            await worker.join()
            client.submit("a")
            number = (await worker.hear(say.Prefill)).run
        return number

    assert asyncio.run(life()) != asyncio.run(life())


@conversation
async def test_status_counts_what_happened() -> None:
    async with controller() as scene:
        worker, client = scene.worker("text"), scene.client()
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


@conversation
async def test_what_was_lost_with_a_connection_is_made_again() -> None:
    """The second of three steps never came; then its worker said hello again."""
    async with controller() as scene:
        worker, client = scene.worker("text"), scene.client()
        await worker.join()
        client.submit("a", max_tokens=8)
        task = await worker.hear(say.Prefill)
        worker.step(task, 1)
        worker.step(task, 3)
        await client.hear(say.Deltas, 2)
        worker.say(msgspec.structs.replace(worker.hello, name="text-0"))
        await worker.hear(say.Welcome, 2)
        worker.say(worker.ready())
        again = await worker.hear(say.Prefill, 2)
        assert again.token_ids == (*task.token_ids, 7), "behind the first, which is known"


@conversation
async def test_an_id_that_was_cancelled_in_preparation_may_be_used_again() -> None:
    async with controller() as scene:
        worker, client = scene.worker("text"), scene.client()
        await worker.join()
        client.submit("a", "Hello " * 2000, max_tokens=4)
        client.say(say.Cancel("a"))
        client.submit("a", "Hello", max_tokens=4)
        assert (await client.hear(say.Refused)).code == "cancelled"
        task = await worker.hear(say.Prefill)
        assert len(task.token_ids) < 100
        worker.step(task, 1, finish="stop")
        assert (await client.hear(say.Ended)).finish_reason == "stop"
