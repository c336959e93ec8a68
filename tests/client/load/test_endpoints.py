"""What every endpoint does, the fake one too; then what an OpenAI server may do besides."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from modserve.client import AsyncClient
from modserve.client.load.asks import Ask
from modserve.client.load.endpoints import AskFailed, Endpoint, ModserveEndpoint
from modserve.client.load.objectives import read_objectives
from modserve.client.load.openai import BadUrl, OpenAiEndpoint
from modserve.transport import messages as say
from modserve.transport.messages import Usage

from ..scripted import Script, Scripted, deltas, ended, greeting_then, hello_world, scripted
from .fake import Answer, FakeEndpoint
from .web import Request, Web, chunk, serving, usage, whole

ASK = Ask(0.0, "Hi", 1, 3, (b"\x89PNG...", b"\xff\xd8..."))
DEADLINE_S = 20.0


@dataclass(frozen=True)
class Scene:
    """An endpoint, and how its server tells that it heard of the end of a request."""

    endpoint: Endpoint
    left: Callable[[], Awaitable[object]]


Making = Callable[[str], AbstractAsyncContextManager[Scene]]


@asynccontextmanager
async def fake(case: str) -> AsyncIterator[Scene]:
    answers = {
        "three": Answer(((0.0, 2), (0.0, 1)), usage=Usage(12, 0, 3)),
        "refusing": Answer(error="slow down"),
        "breaking": Answer(((0.0, 1),), error="gave up"),
        "hanging": Answer(((0.0, 1), (1000.0, 1))),
    }
    endpoint = FakeEndpoint({"Hi": answers[case]})

    async def left() -> None:
        assert endpoint.cancelled == 1

    yield Scene(endpoint, left)


def _refuse(controller: Scripted, identity: bytes, word: say.Submit) -> None:
    controller.say(identity, say.Refused(word.request_id, "busy", "slow down"))


def _break(controller: Scripted, identity: bytes, word: say.Submit) -> None:
    controller.say(identity, deltas(word.request_id, 0, [7], "Hel"))
    controller.say(identity, ended(word.request_id, 1, "error", "gave up"))


def _hang(controller: Scripted, identity: bytes, word: say.Submit) -> None:
    controller.say(identity, deltas(word.request_id, 0, [7], "Hel"))


@asynccontextmanager
async def modserve(case: str) -> AsyncIterator[Scene]:
    scripts: dict[str, Script] = {
        "three": greeting_then(hello_world),
        "refusing": greeting_then(_refuse),
        "breaking": greeting_then(_break),
        "hanging": greeting_then(_hang),
    }
    with scripted(scripts[case]) as controller:
        async with AsyncClient(controller.endpoint) as client:
            yield Scene(
                ModserveEndpoint(client, ignore_eos=True),
                lambda: asyncio.to_thread(controller.wait_for, say.Cancel),
            )


def _too_many(request: Request) -> None:
    request.begin(429, "application/json")
    request.wfile.write(b'{"error": {"message": "slow down"}}')


def _broken(request: Request) -> None:
    request.begin()
    request.say(chunk("Hel"))


def _hanging(request: Request) -> None:
    request.begin()
    request.say(chunk("Hel"))
    request.wait_until_left()


@asynccontextmanager
async def openai(case: str) -> AsyncIterator[Scene]:
    answers: dict[str, Callable[[Request], None]] = {
        "three": whole("a", "", "b"),  # a token may have no text
        "refusing": _too_many,
        "breaking": _broken,
        "hanging": _hanging,
    }
    with serving(answers[case]) as web:
        async with OpenAiEndpoint(web.url, "seven", ignore_eos=True) as endpoint:
            yield Scene(endpoint, lambda: asyncio.to_thread(web.left.wait, DEADLINE_S))


pytestmark = pytest.mark.filterwarnings("error")
every = pytest.mark.parametrize("making", [fake, modserve, openai])


def run(body: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await body

    asyncio.run(bounded())


@every
def test_tokens_are_told_as_they_come_and_counted_in_the_end(making: Making) -> None:
    async def body() -> None:
        heard: list[int] = []
        async with making("three") as scene:
            counted = await scene.endpoint.send(ASK, heard.append)
        assert sum(heard) == 3
        assert all(tokens > 0 for tokens in heard)
        assert counted is not None
        assert counted.completion_tokens == 3

    run(body())


@every
@pytest.mark.parametrize(("case", "tokens"), [("refusing", 0), ("breaking", 1)])
def test_a_refusal_and_a_broken_answer_are_failures(making: Making, case: str, tokens: int) -> None:
    async def body() -> None:
        heard: list[int] = []
        async with making(case) as scene:
            with pytest.raises(AskFailed) as failed:
                await scene.endpoint.send(ASK, heard.append)
        assert sum(heard) == tokens
        assert "slow down" in str(failed.value) or case == "breaking"
        assert "\n" not in str(failed.value)

    run(body())


@every
def test_cancelled_it_ends_the_request_at_its_server(making: Making) -> None:
    async def body() -> None:
        began = asyncio.Event()
        async with making("hanging") as scene:
            task = asyncio.create_task(scene.endpoint.send(ASK, lambda tokens: began.set()))
            await began.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await scene.left() is not False

    run(body())


@every
def test_many_at_once_do_not_mix(making: Making) -> None:
    async def body() -> None:
        async with making("three") as scene, asyncio.TaskGroup() as group:
            heard: list[list[int]] = [[] for _ in range(40)]
            for one in heard:
                group.create_task(scene.endpoint.send(ASK, one.append))
        assert [sum(one) for one in heard] == [3] * 40

    run(body())


# OpenAI's protocol.


def asked(
    answer: Callable[[Request], None], *, ignore_eos: bool = False, ask: Ask = ASK
) -> tuple[Usage | None, list[int], Web]:
    heard: list[int] = []
    counted: list[Usage | None] = []

    with serving(answer) as web:

        async def body() -> None:
            async with OpenAiEndpoint(web.url, "seven", ignore_eos=ignore_eos) as endpoint:
                counted.append(await endpoint.send(ask, heard.append))

        run(body())
    return counted[0], heard, web


def test_what_is_asked_is_what_vllm_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    _, _, web = asked(whole("a"), ignore_eos=True)
    ((path, headers, body),) = web.asked
    assert path == "/v1/chat/completions"
    assert headers["Authorization"] == "Bearer secret"
    *images, text = body.pop("messages")[0]["content"]
    assert text == {"type": "text", "text": "Hi"}
    urls = [image["image_url"]["url"].split(",") for image in images]
    assert [url[0] for url in urls] == ["data:image/png;base64", "data:image/jpeg;base64"]
    assert tuple(base64.b64decode(url[1]) for url in urls) == ASK.images
    assert body == {
        "model": "seven",
        "max_tokens": 3,
        "temperature": 0.0,
        "stream": True,
        "stream_options": {"include_usage": True},
        "ignore_eos": True,
        "min_tokens": 3,
    }


def test_text_alone_is_a_plain_message_and_nothing_is_asked_beyond_the_protocol(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    _, _, web = asked(whole("a"), ask=Ask(0.0, "Hi", 1, 3))
    ((_, headers, body),) = web.asked
    assert body["messages"] == [{"role": "user", "content": "Hi"}]
    assert {"ignore_eos", "min_tokens"}.isdisjoint(body)
    assert "Authorization" not in headers


def test_only_chunks_with_a_token_are_told() -> None:
    def answer(request: Request) -> None:
        request.begin()
        request.say(chunk("", role="assistant"), chunk(None, reasoning_content="hm"))
        request.say(chunk("a", role="assistant"), chunk(""), chunk(None, "stop"))
        request.say(usage(9, 5), "[DONE]")

    counted, heard, _ = asked(answer)
    assert heard == [1, 1, 1]
    assert counted == Usage(9, 0, 5)


def test_without_a_count_of_the_server_there_is_none() -> None:
    def answer(request: Request) -> None:
        request.begin()
        request.say(chunk("a"), chunk("b", "stop"))

    counted, heard, _ = asked(answer)
    assert (counted, heard) == (None, [1, 1])


@pytest.mark.parametrize(
    ("events", "told"),
    [
        (["{"], "expected a chunk of an answer, got another thing: "),
        ([{"choices": 5}], "expected a chunk of an answer, got another thing: "),
        ([{"error": {"message": "out of\nmemory"}}], "the server ended the stream: .*out of"),
        ([], "expected a stream with an end, got one that broke off"),
    ],
)
def test_a_stream_of_other_things_is_a_failure(events: list[Any], told: str) -> None:
    def answer(request: Request) -> None:
        request.begin()
        request.say(*events)

    with pytest.raises(AskFailed, match=told):
        asked(answer)


def test_a_connection_that_breaks_is_a_failure() -> None:
    def answer(request: Request) -> None:
        request.protocol_version = "HTTP/1.1"
        request.send_response(200)
        request.send_header("Content-Type", "text/event-stream")
        request.send_header("Content-Length", "1000")
        request.end_headers()
        request.say(chunk("a"))
        request.close_connection = True

    with pytest.raises(AskFailed, match=r"of http.*, got RemoteProtocolError"):
        asked(answer)


def test_an_answer_that_is_no_stream_is_a_failure() -> None:
    def answer(request: Request) -> None:
        request.begin(200, "application/json")
        request.wfile.write(b"{}")

    with pytest.raises(AskFailed, match="got SSEError Expected response with content type"):
        asked(answer)


def test_nobody_there_is_a_failure() -> None:
    with serving(whole("a")) as web:
        url = web.url

    async def body() -> None:
        async with OpenAiEndpoint(url, "seven", ignore_eos=False) as endpoint:
            with pytest.raises(AskFailed, match=r"of http.*, got ConnectError"):
                await endpoint.send(ASK, lambda tokens: None)

    run(body())


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8000/v1", "ftp://here/v1", "http://a:x/v1", "http:///v1"]
)
def test_a_url_that_is_none_is_a_sentence(url: str) -> None:
    with pytest.raises(BadUrl, match="expected a URL like http://127"):
        OpenAiEndpoint(url, "seven", ignore_eos=False)


def test_our_controller_is_told_what_the_load_is_judged_by() -> None:
    objectives = read_objectives(["ttft:1000", "image.ttft:8000", "tpot:150"])

    async def body() -> None:
        with scripted(greeting_then(hello_world)) as controller:
            async with AsyncClient(controller.endpoint) as client:
                endpoint = ModserveEndpoint(
                    client, ignore_eos=True, slo="interactive", objectives=objectives
                )
                for images in ((), ASK.images):
                    await endpoint.send(replace(ASK, images=images), lambda tokens: None)
            asked = [word for word in controller.heard if isinstance(word, say.Submit)]
        assert [(one.slo, one.ttft_ms, one.tpot_ms) for one in asked] == [
            ("interactive", 1000.0, 150.0),
            ("interactive", 8000.0, 150.0),
        ]

    run(body())
