"""The asynchronous client against a controller that follows a script."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from modserve.client import (
    AnswerBroken,
    AsyncClient,
    BadInput,
    ClientClosed,
    ControllerUnreachable,
    Denied,
    Misunderstood,
    Refused,
    RequestFailed,
)
from modserve.transport import messages as say
from modserve.transport.state import StateFolder

from .scripted import (
    GREETING,
    Scripted,
    deltas,
    ended,
    greeting_then,
    hello_world,
    scripted,
    silence,
)


def run(body: Coroutine[Any, Any, None]) -> None:
    async def within() -> None:
        async with asyncio.timeout(20):
            await body

    asyncio.run(within())


def test_a_whole_answer_with_usage_and_timing() -> None:
    async def body() -> None:
        with scripted(greeting_then(hello_world)) as controller:
            async with AsyncClient(controller.endpoint) as client:
                answer = await client.generate("Hi")
        assert (answer.text, answer.token_ids) == ("Hello world", (7, 8, 9))
        assert answer.finish_reason == "stop"
        assert answer.usage == say.Usage(5, 0, 3)
        assert answer.timing is not None
        assert answer.timing.decode_s == 0.5
        assert answer.logprobs is None

    run(body())


def test_a_stream_gives_chunks_in_order_and_then_its_answer() -> None:
    async def body() -> None:
        with scripted(greeting_then(hello_world)) as controller:
            async with AsyncClient(controller.endpoint) as client:
                stream = client.stream("Hi")
                chunks = [chunk async for chunk in stream]
        assert "".join(chunk.text for chunk in chunks) == "Hello world"
        assert [i for chunk in chunks for i in chunk.token_ids] == [7, 8, 9]
        assert stream.answer.text == "Hello world"

    run(body())


def test_the_answer_of_an_unfinished_stream_is_an_error() -> None:
    async def body() -> None:
        with scripted(greeting_then(silence)) as controller:
            async with AsyncClient(controller.endpoint) as client:
                stream = client.stream("Hi")
                with pytest.raises(RuntimeError, match="to have ended well"):
                    _ = stream.answer

    run(body())


def test_images_travel_as_frames_behind_the_submit(tmp_path: Path) -> None:
    seen: list[tuple[say.Submit, list[bytes]]] = []

    def script(controller: Scripted, identity: bytes, word: Any, frames: list[bytes]) -> None:
        if isinstance(word, say.Submit):
            seen.append((word, frames))
        greeting_then(hello_world)(controller, identity, word, frames)

    (tmp_path / "one.png").write_bytes(b"one" * 50_000)

    async def body() -> None:
        with scripted(script) as controller:
            async with AsyncClient(controller.endpoint) as client:
                await client.generate("What?", images=[tmp_path / "one.png", b"two"])
                await client.generate("Hi", max_tokens=3, stop="x", temperature=0.5, timeout_s=9)

    run(body())
    (submit, frames), (second, _) = seen
    assert frames == [b"one" * 50_000, b"two"]
    assert submit.turns == (
        say.Turn("user", (say.ImagePart(0), say.ImagePart(1), say.TextPart("What?"))),
    )
    assert submit.sampling == say.Sampling()
    assert second.sampling.seed is not None  # drawn: a repetition gives the same tokens
    assert (second.sampling.max_tokens, second.sampling.stop, second.timeout_s) == (3, ("x",), 9)


def test_logprobs_come_with_the_tokens() -> None:
    one = say.TokenLogprobs(-0.5, ((7, -0.5), (8, -1.5)))

    def answer(controller: Scripted, identity: bytes, word: say.Submit) -> None:
        delta = say.Delta(word.request_id, 0, (7,), "x", (one,))
        controller.say(identity, say.Deltas((delta,)), ended(word.request_id, 1))

    async def body() -> None:
        with scripted(greeting_then(answer)) as controller:
            async with AsyncClient(controller.endpoint) as client:
                assert (await client.generate("Hi", logprobs=2)).logprobs == (one,)

    run(body())


def test_many_requests_at_once_do_not_mix() -> None:
    def answer(controller: Scripted, identity: bytes, word: say.Submit) -> None:
        (text,) = word.turns[0].content
        assert isinstance(text, say.TextPart)
        parts = deltas(word.request_id, 0, [1], text.text)
        controller.say(identity, parts, ended(word.request_id, 1))

    async def body() -> None:
        with scripted(greeting_then(answer)) as controller:
            async with AsyncClient(controller.endpoint) as client:
                asked = [client.generate(f"question {i}") for i in range(200)]
                answers = await asyncio.gather(*asked)
        assert [answer.text for answer in answers] == [f"question {i}" for i in range(200)]

    run(body())


@pytest.mark.parametrize("way", ["break", "cancel the task", "leave the with", "generate"])
def test_leaving_early_cancels_the_request(way: str) -> None:
    def begin(controller: Scripted, identity: bytes, word: say.Submit) -> None:
        controller.say(identity, deltas(word.request_id, 0, [7], "H"))

    async def leave(client: AsyncClient, controller: Scripted) -> None:
        if way == "break":
            async for _ in client.stream("Hi"):
                break
        elif way == "leave the with":
            async with client.stream("Hi") as stream:
                await anext(stream)
        else:
            asked = client.generate("Hi") if way == "generate" else read(client)
            task = asyncio.ensure_future(asked)
            await asyncio.to_thread(controller.wait_for, say.Submit)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    async def read(client: AsyncClient) -> None:
        async for _ in client.stream("Hi"):
            pass

    async def body() -> None:
        with scripted(greeting_then(begin)) as controller:
            async with AsyncClient(controller.endpoint) as client:
                await leave(client, controller)
                await asyncio.to_thread(controller.wait_for, say.Cancel)

    run(body())


def test_a_finished_stream_cancels_nothing() -> None:
    async def body() -> None:
        with scripted(greeting_then(hello_world)) as controller:
            async with AsyncClient(controller.endpoint) as client:
                async with client.stream("Hi") as stream:
                    await stream.rest()
                await client.status()
            assert controller.count(say.Cancel) == 0

    run(body())


def test_cancel_ends_the_request_of_that_id() -> None:
    async def body() -> None:
        with scripted(greeting_then(silence)) as controller:
            async with AsyncClient(controller.endpoint) as client:
                task = asyncio.ensure_future(client.generate("Hi", request_id="mine"))
                await asyncio.to_thread(controller.wait_for, say.Submit)
                await client.cancel("mine")
                assert (await task).finish_reason == "cancelled"

    run(body())


def test_a_request_that_the_controller_cancelled_has_failed() -> None:
    def stop(controller: Scripted, identity: bytes, word: say.Submit) -> None:
        controller.say(identity, ended(word.request_id, 0, "cancelled", "it was stopped"))

    async def body() -> None:
        with scripted(greeting_then(stop)) as controller:
            async with AsyncClient(controller.endpoint) as client:
                with pytest.raises(RequestFailed, match="it was stopped"):
                    await client.generate("Hi")

    run(body())


def test_a_refusal_has_a_code_and_a_reason() -> None:
    def refuse(controller: Scripted, identity: bytes, word: say.Submit) -> None:
        controller.say(identity, say.Refused(word.request_id, "too_large", "a prompt of 9 tokens"))

    async def body() -> None:
        with scripted(greeting_then(refuse)) as controller:
            async with AsyncClient(controller.endpoint) as client:
                with pytest.raises(Refused, match="a prompt of 9 tokens") as caught:
                    await client.generate("Hi")
                assert caught.value.code == "too_large"

    run(body())


def test_a_failure_keeps_what_came_before_it() -> None:
    def fail(controller: Scripted, identity: bytes, word: say.Submit) -> None:
        parts = deltas(word.request_id, 0, [7], "Hel")
        controller.say(identity, parts, ended(word.request_id, 1, "error", "gave up"))

    async def body() -> None:
        with scripted(greeting_then(fail)) as controller:
            async with AsyncClient(controller.endpoint) as client:
                with pytest.raises(RequestFailed, match="gave up") as caught:
                    await client.generate("Hi")
                assert caught.value.answer.text == "Hel"

    run(body())


def test_a_lost_part_is_an_error_and_cancels_the_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modserve.client.connection.GAP_S", 0.5)

    def lose(controller: Scripted, identity: bytes, word: say.Submit) -> None:
        controller.say(
            identity, deltas(word.request_id, 0, [7], "a"), deltas(word.request_id, 2, [9], "c")
        )

    async def body() -> None:
        with scripted(greeting_then(lose)) as controller:
            async with AsyncClient(controller.endpoint) as client:
                with pytest.raises(AnswerBroken, match="expected token 1 next, got token 2"):
                    await client.generate("Hi")
                await asyncio.to_thread(controller.wait_for, say.Cancel)

    run(body())


def test_an_end_that_comes_too_early_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modserve.client.connection.GAP_S", 0.5)

    def lose(controller: Scripted, identity: bytes, word: say.Submit) -> None:
        controller.say(identity, deltas(word.request_id, 0, [7], "a"), ended(word.request_id, 2))

    async def body() -> None:
        with scripted(greeting_then(lose)) as controller:
            async with AsyncClient(controller.endpoint) as client:
                with pytest.raises(AnswerBroken, match="expected 2 tokens, got 1"):
                    await client.generate("Hi")

    run(body())


def test_a_ping_is_answered() -> None:
    def ping(controller: Scripted, identity: bytes, word: say.Submit) -> None:
        controller.say(identity, say.Ping())
        hello_world(controller, identity, word)

    async def body() -> None:
        with scripted(greeting_then(ping)) as controller:
            async with AsyncClient(controller.endpoint) as client:
                await client.generate("Hi")
                await asyncio.to_thread(controller.wait_for, say.Pong)

    run(body())


def test_nobody_there_is_told_after_the_deadline(free_endpoint: str) -> None:
    async def body() -> None:
        client = AsyncClient(free_endpoint, timeout_s=0.75)
        loop = asyncio.get_running_loop()
        begun = loop.time()
        with pytest.raises(
            ControllerUnreachable, match=r"expected a controller at tcp://.* 0\.75 s"
        ):
            await client.generate("Hi")
        with pytest.raises(ControllerUnreachable):
            async with client:
                pass
        assert loop.time() - begun < 10
        await client.close()

    run(body())


def test_a_controller_that_starts_later_is_found(free_endpoint: str) -> None:
    async def body() -> None:
        async with asyncio.TaskGroup() as group:
            client = AsyncClient(free_endpoint)
            asked = group.create_task(client.generate("Hi"))
            await asyncio.sleep(0)  # the request is under way before anybody is there
            with scripted(greeting_then(hello_world), free_endpoint):
                assert (await asked).text == "Hello world"
            await client.close()

    run(body())


@pytest.mark.slow
def test_a_restarted_controller_gets_the_open_request_again() -> None:
    """1. half an answer 2. the controller dies 3. another starts there 4. the answer goes on."""
    seeds: list[int | None] = []

    def half(controller: Scripted, identity: bytes, word: say.Submit) -> None:
        seeds.append(word.sampling.seed)
        controller.say(identity, deltas(word.request_id, 0, [7], "Hel"))

    def whole(controller: Scripted, identity: bytes, word: say.Submit) -> None:
        seeds.append(word.sampling.seed)
        hello_world(controller, identity, word)

    async def body() -> None:
        first = Scripted(greeting_then(half))
        client = AsyncClient(first.endpoint)
        stream = client.stream("Hi", temperature=1.0)
        assert (await anext(stream)).text == "Hel"
        await asyncio.to_thread(first.close)
        with scripted(greeting_then(whole), first.endpoint):
            answer = await stream.rest()
        await client.close()
        assert (answer.text, answer.token_ids) == ("Hello world", (7, 8, 9))

    run(body())
    assert seeds[0] == seeds[1] is not None


def test_greetings_that_piled_up_send_a_request_once() -> None:
    def several(controller: Scripted, identity: bytes, word: Any, frames: list[bytes]) -> None:
        if isinstance(word, say.Greet):
            controller.say(identity, *[GREETING] * 5)
        else:
            greeting_then(hello_world)(controller, identity, word, frames)

    async def body() -> None:
        with scripted(several) as controller:
            async with AsyncClient(controller.endpoint) as client:
                assert (await client.generate("Hi")).text == "Hello world"
                await client.status()
            assert controller.count(say.Submit) == 1

    run(body())


@pytest.mark.slow
def test_a_controller_that_vanishes_is_told_after_the_deadline() -> None:
    async def body() -> None:
        controller = Scripted(greeting_then(silence))
        client = AsyncClient(controller.endpoint, timeout_s=1.5)
        task = asyncio.ensure_future(client.generate("Hi"))
        await asyncio.to_thread(controller.wait_for, say.Submit)
        await asyncio.to_thread(controller.close)
        with pytest.raises(ControllerUnreachable):
            await task
        await client.close()

    run(body())


@pytest.mark.slow
def test_another_model_under_the_same_address_ends_the_open_requests() -> None:
    def other(controller: Scripted, identity: bytes, word: Any, frames: list[bytes]) -> None:
        if isinstance(word, say.Greet):
            controller.say(identity, say.Greeting("eight", "e" * 64, 4096, 8, 1 << 20, 1000))

    async def body() -> None:
        first = Scripted(greeting_then(silence))
        client = AsyncClient(first.endpoint)
        task = asyncio.ensure_future(client.generate("Hi"))
        await asyncio.to_thread(first.wait_for, say.Submit)
        await asyncio.to_thread(first.close)
        with scripted(other, first.endpoint):
            with pytest.raises(Refused, match="another model, eight"):
                await task
            await client.close()

    run(body())


def test_another_protocol_is_one_sentence() -> None:
    def refuse(controller: Scripted, identity: bytes, word: Any, frames: list[bytes]) -> None:
        controller.say(identity, say.Denied(-1, "expected protocol 2, got 1"))

    async def body() -> None:
        with scripted(refuse) as controller:
            client = AsyncClient(controller.endpoint)
            with pytest.raises(Misunderstood, match="expected protocol 2, got 1"):
                await client.greeting()
            await client.close()

    run(body())


def test_a_peer_that_speaks_something_else_is_not_believed() -> None:
    def babble(controller: Scripted, identity: bytes, word: say.Submit) -> None:
        controller.say_bytes(identity, b"\xff\x00 not ours")

    async def body() -> None:
        with scripted(greeting_then(babble)) as controller:
            async with AsyncClient(controller.endpoint) as client:
                with pytest.raises(Misunderstood, match="got what it does not know"):
                    await client.generate("Hi")

    run(body())


def test_an_image_over_the_limit_is_refused_without_being_sent() -> None:
    async def body() -> None:
        with scripted(greeting_then(hello_world)) as controller:
            async with AsyncClient(controller.endpoint) as client:
                with pytest.raises(Refused, match="at most 1048576 bytes, got 1048577") as caught:
                    await client.generate("Hi", images=[bytes(GREETING.max_image_bytes + 1)])
                assert caught.value.code == "image_too_large"
                assert (await client.generate("Hi")).text == "Hello world"
            assert controller.count(say.Submit) == 1

    run(body())


def test_one_id_cannot_be_open_twice() -> None:
    async def body() -> None:
        with scripted(greeting_then(silence)) as controller:
            async with AsyncClient(controller.endpoint) as client:
                first = client.stream("Hi", request_id="one")
                with pytest.raises(BadInput, match="got one, which is open"):
                    client.stream("Hi", request_id="one")
                first.leave()

    run(body())


def test_what_is_no_address_is_bad_input() -> None:
    async def body() -> None:
        with pytest.raises(BadInput, match="expected an address like"):
            await AsyncClient("127.0.0.1").generate("Hi")

    run(body())


def test_closing_ends_what_is_open_here_and_there() -> None:
    async def body() -> None:
        with scripted(greeting_then(silence)) as controller:
            client = AsyncClient(controller.endpoint)
            task = asyncio.ensure_future(client.generate("Hi"))
            await asyncio.to_thread(controller.wait_for, say.Submit)
            await client.close()
            with pytest.raises(ClientClosed):
                await task
            await asyncio.to_thread(controller.wait_for, say.Cancel)
            with pytest.raises(ClientClosed, match="got a closed one"):
                await client.status()

    run(body())


def test_status_is_the_report_as_a_dict() -> None:
    async def body() -> None:
        with scripted(greeting_then(silence)) as controller:
            async with AsyncClient(controller.endpoint) as client:
                assert await client.status() == {"workers": []}

    run(body())


def test_orders_carry_the_token_and_end_when_granted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def orders(controller: Scripted, identity: bytes, word: Any, frames: list[bytes]) -> None:
        token = StateFolder.of(controller.endpoint).token()
        match word:
            case say.Greet():
                controller.say(identity, GREETING)
            case say.Remove(name="nobody"):
                controller.say(identity, say.Denied(word.ask, "expected a worker, got nobody"))
            case say.Remove() | say.Shutdown() if word.token == token:
                controller.say(identity, say.Granted(word.ask))

    async def body() -> None:
        with scripted(orders) as controller:
            async with AsyncClient(controller.endpoint) as client:
                with pytest.raises(Denied, match="expected the token of"):
                    await client.shutdown()
                StateFolder.of(controller.endpoint).create()
                await client.remove_worker("encode-0", now=True)
                await client.shutdown(drain=True)
                with pytest.raises(Denied, match="expected a worker, got nobody"):
                    await client.remove_worker("nobody")
        remove, shutdown, _ = [
            word for word in controller.heard if isinstance(word, say.Remove | say.Shutdown)
        ]
        assert isinstance(remove, say.Remove)
        assert (remove.name, remove.now) == ("encode-0", True)
        assert isinstance(shutdown, say.Shutdown)
        assert shutdown.drain

    run(body())
