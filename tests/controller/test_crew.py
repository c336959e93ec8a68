"""Workers that join, are refused, and leave; the end of the controller."""

from __future__ import annotations

import msgspec
import pytest

from modserve.transport import messages as say

from .scripted import PICTURE, TOKEN, controller, conversation, handle


@conversation
async def test_a_hello_that_is_said_again_is_welcomed_again_and_counts_once() -> None:
    async with controller() as scene:
        worker, client = scene.worker("text"), scene.client()
        worker.say(worker.hello)
        worker.say(worker.hello)
        first, second = await worker.hear(say.Welcome), await worker.hear(say.Welcome, 2)
        assert first == second
        worker.say(worker.ready())
        client.submit("a", max_tokens=1)
        task = await worker.hear(say.Prefill)
        worker.say(worker.ready())
        worker.step(task, 1, finish="length")
        ended = await client.hear(say.Ended)
        assert ended.timing.runs == 1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"protocol": 99}, f"expected protocol {say.PROTOCOL}, got 99"),
        ({"token": "guess"}, "expected this controller's token"),
        ({"stages": ("paint",)}, "expected a stage of .* got paint"),
        ({"stages": ()}, "expected a stage of .* got nothing"),
    ],
)
@conversation
async def test_a_worker_that_does_not_belong_is_told_why(
    change: dict[str, object], sentence: str
) -> None:
    async with controller() as scene:
        worker = scene.worker("text")
        worker.say(msgspec.structs.replace(worker.hello, **change))
        denied = await worker.hear(say.Denied)
        assert not denied.again
        with pytest.raises(AssertionError, match=sentence):
            raise AssertionError(denied.reason)


@pytest.mark.parametrize("field", ["fingerprint", "dtype"])
@conversation
async def test_a_worker_of_another_model_or_dtype_is_told_why(field: str) -> None:
    async with controller() as scene:
        good, bad, client = scene.worker("text"), scene.worker("text", epoch=2), scene.client()
        await good.join()
        client.submit("a")
        await good.hear(say.Prefill)  # by now it has settled the dtype
        bad.say(bad.hello)
        await bad.hear(say.Welcome)
        bad.say(msgspec.structs.replace(bad.ready(), **{field: "other"}))
        denied = await bad.hear(say.Denied)
        assert field in denied.reason


@conversation
async def test_a_name_that_is_taken_is_refused_while_its_worker_answers() -> None:
    async with controller() as scene:
        first, second = (
            scene.worker("text", name="t"),
            scene.worker("text", name="t", epoch=2),
        )
        await first.join()
        second.say(second.hello)
        denied = await second.hear(say.Denied)
        assert "expected a free name, got t" in denied.reason


@conversation
async def test_a_drained_worker_first_finishes_what_it_has() -> None:
    async with controller() as scene:
        worker, client = scene.worker("text"), scene.client()
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


@conversation
async def test_removal_and_shutdown_need_the_token() -> None:
    async with controller() as scene:
        worker, client = scene.worker("text"), scene.client()
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


@conversation
async def test_a_shutdown_that_drains_is_cut_short_by_one_that_does_not() -> None:
    async with controller() as scene:
        worker, client = scene.worker("text"), scene.client()
        await worker.join()
        client.submit("a")
        await worker.hear(say.Prefill)
        client.say(say.Shutdown(1, TOKEN, drain=True))
        client.say(say.AskStatus(2))
        await client.hear(say.Report)
        assert worker.heard(say.Stop) == 0
        client.say(say.Shutdown(3, TOKEN, drain=False))
        await worker.hear(say.Stop)
        assert (await client.hear(say.Ended)).finish_reason == "cancelled"


@conversation
async def test_a_worker_is_told_whether_somebody_who_yields_to_it_has_work() -> None:
    async with controller() as scene:
        text, encode, client = scene.worker("text"), scene.worker("encode"), scene.client()
        for worker in (text, encode):
            worker.hello = msgspec.structs.replace(worker.hello, threads=0)
            await worker.join()
        client.submit("a", "?", PICTURE)
        task = await encode.hear(say.Encode)
        shared = [await text.hear(say.Share, number) for number in (1, 2)]
        encode.say(say.EncodeDone(task.key, task.run, handle("encode-0")))
        shared.append(await text.hear(say.Share, 3))
        assert shared == [say.Share(4, beside=beside) for beside in (False, True, False)]
        assert encode.heard(say.Share) == 1
