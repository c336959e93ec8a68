"""What is answered, and in which shape, with a scripted controller behind the gateway."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from modserve.transport import messages as say

from ..client.scripted import Script, Scripted, deltas, ended, greeting_then, hello_world, scripted
from .front import Front, chat, events, front

PICTURE = Path(__file__).parents[2] / "examples" / "seven.png"
USER = {"role": "user", "content": "Hello"}
CHAT = {"model": "seven", "messages": [USER]}
FRAMES: list[bytes] = []  # of the last request that had some
WORDS = {7: b"Hel", 8: b"lo", 9: b" world", 5: b"\xf0\x9f"}


@pytest.fixture(scope="module")
def controller() -> Iterator[Scripted]:
    base = greeting_then(hello_world)

    def script(
        controller: Scripted, identity: bytes, word: say.FromClient, frames: list[bytes]
    ) -> None:
        match word:
            case say.Submit() if word.sampling.logprobs is not None:
                with_logprobs(controller, identity, word)
            case say.AskTokens():
                controller.say(identity, say.Tokens(word.ask, (3, 4)))
            case say.AskPieces():
                pieces = tuple(WORDS[id] for id in word.token_ids)
                controller.say(identity, say.Pieces(word.ask, pieces))
            case _:
                base(controller, identity, word, frames)
        FRAMES[:] = frames or FRAMES

    with scripted(script) as made:
        yield made


def with_logprobs(controller: Scripted, identity: bytes, word: say.Submit) -> None:
    first = say.TokenLogprobs(-0.5, ((7, -0.5), (5, float("-inf"))))
    told = say.Delta(word.request_id, 0, (7, 8), "Hello", (first, say.TokenLogprobs(-1.0)))
    controller.say(identity, say.Deltas((told,)), ended(word.request_id, 2))


@pytest.fixture(scope="module")
def served(controller: Scripted) -> Iterator[Front]:
    with front(controller.endpoint) as opened:
        yield opened


def submitted(controller: Scripted) -> say.Submit:
    return [word for word in controller.heard if isinstance(word, say.Submit)][-1]


def test_a_whole_chat_completion(served: Front) -> None:
    with served.openai() as client:
        answer = chat(client, model="seven", messages=[USER])
    assert answer.object == "chat.completion"
    assert answer.choices[0].message.content == "Hello world"
    assert (answer.choices[0].finish_reason, answer.choices[0].logprobs) == ("stop", None)
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + 3
    assert answer.id.startswith("chatcmpl-")


def test_a_stream_of_server_sent_events(served: Front) -> None:
    with served.http() as http:
        answer = http.post("/v1/chat/completions", json={**CHAT, "stream": True})
    assert answer.headers["content-type"].startswith("text/event-stream")
    *told, done = events(answer.text)
    assert done == "[DONE]"
    assert {one["object"] for one in told} == {"chat.completion.chunk"}
    assert len({one["id"] for one in told}) == 1
    deltas = [one["choices"][0]["delta"] for one in told]
    assert deltas[0]["role"] == "assistant"
    assert "".join(one.get("content", "") for one in deltas) == "Hello world"
    assert [one["choices"][0]["finish_reason"] for one in told][-2:] == [None, "stop"]
    assert not any("usage" in one for one in told)
    assert answer.headers["x-request-id"] in told[0]["id"]


def test_usage_ends_a_stream_that_asks_for_it(served: Front) -> None:
    with served.openai() as client:
        stream = chat(
            client,
            model="seven",
            messages=[USER],
            stream=True,
            stream_options={"include_usage": True},
        )
        *before, last = list(stream)
    assert all(one.usage is None for one in before)
    assert (last.choices, last.usage.completion_tokens) == ([], 3)


@pytest.mark.parametrize("stream", [False, True])
def test_several_choices(served: Front, stream: bool) -> None:
    with served.http() as http:
        asked = {**CHAT, "n": 3, "stream": stream, "seed": 5}
        answer = http.post("/v1/chat/completions", json=asked)
    if not stream:
        choices = answer.json()["choices"]
        assert [one["index"] for one in choices] == [0, 1, 2]
        assert answer.json()["usage"]["completion_tokens"] == 9
        return
    told = [one["choices"][0] for one in events(answer.text)[:-1]]
    for index in range(3):
        own = [one for one in told if one["index"] == index]
        assert own[-1]["finish_reason"] == "stop"
        assert "".join(one["delta"].get("content", "") for one in own) == "Hello world"


def test_log_probabilities_have_words_and_bytes(served: Front) -> None:
    asked = {**CHAT, "logprobs": True, "top_logprobs": 2}
    with served.http() as http:
        whole = http.post("/v1/chat/completions", json=asked).json()
        streamed = events(http.post("/v1/chat/completions", json={**asked, "stream": True}).text)
    content = whole["choices"][0]["logprobs"]["content"]
    assert [one["token"] for one in content] == ["Hel", "lo"]
    assert content[0]["top_logprobs"][1] == {
        "token": "�",
        "logprob": -9999.0,
        "bytes": [0xF0, 0x9F],
    }
    pieces = [one["choices"][0]["logprobs"] for one in streamed[:-1]]
    assert [one["content"] for one in pieces if one] == [content]


def test_a_completion_of_a_text_and_of_token_ids(served: Front, controller: Scripted) -> None:
    with served.openai() as client:
        answer = client.completions.create(model="seven", prompt="Hello", logprobs=1)
        assert submitted(controller).token_ids == (3, 4)
        ids = client.completions.create(model="seven", prompt=[5, 6, 7])
        assert submitted(controller).token_ids == (5, 6, 7)
        several = client.completions.create(model="seven", prompt=[[1], [2, 3]], n=2)
    assert answer.choices[0].text == "Hello"
    assert answer.choices[0].logprobs is not None
    assert answer.choices[0].logprobs.text_offset == [0, 3]
    assert ids.choices[0].text == "Hello world"
    assert [one.index for one in several.choices] == [0, 1, 2, 3]


def test_what_is_asked_reaches_the_controller(served: Front, controller: Scripted) -> None:
    asked = {
        **CHAT,
        "messages": [{"role": "developer", "content": "Be brief."}, USER],
        "temperature": 0.5,
        "top_p": 0.9,
        "top_k": -1,
        "min_p": 0.1,
        "max_completion_tokens": 7,
        "seed": 3,
        "stop": ["."],
        "presence_penalty": 0.25,
        "frequency_penalty": -0.25,
        "repetition_penalty": 1.5,
        "user": "alice",
    }
    slo = {"x-slo-ttft-ms": "250", "x-slo-tpot-ms": "20"}
    with served.http(**slo) as http:
        http.post("/v1/chat/completions", json=asked).raise_for_status()
    word = submitted(controller)
    assert word.sampling == say.Sampling(
        max_tokens=7,
        temperature=0.5,
        top_p=0.9,
        min_p=0.1,
        repetition_penalty=1.5,
        presence_penalty=0.25,
        frequency_penalty=-0.25,
        seed=3,
        stop=(".",),
    )
    assert [turn.role for turn in word.turns] == ["system", "user"]
    assert (word.ttft_ms, word.tpot_ms) == (250.0, 20.0)


def test_pictures_travel_with_their_turns(served: Front, controller: Scripted) -> None:
    file = PICTURE.read_bytes()
    url = f"data:image/png;base64,{base64.b64encode(file).decode()}"
    picture = {"type": "image_url", "image_url": {"url": url, "detail": "high"}}
    text = {"type": "text", "text": "What is this?"}
    turns = [
        {"role": "user", "content": [picture, text]},
        {"role": "assistant", "content": "A seven."},
        {"role": "user", "content": [picture, picture, text]},
    ]
    with served.http() as http:
        asked = {"model": "seven", "messages": turns}
        http.post("/v1/chat/completions", json=asked).raise_for_status()
    word = submitted(controller)
    shown = [part.index for turn in word.turns for part in turn.content if hasattr(part, "index")]
    assert shown == [0, 1, 2]
    assert [file] * 3 == FRAMES


def test_models_and_tokens(served: Front) -> None:
    with served.openai() as client:
        assert [one.id for one in client.models.list()] == ["seven"]
        assert client.models.retrieve("seven").owned_by == "modserve"
    with served.http() as http:
        told = http.post("/tokenize", json={"prompt": "Hello"}).json()
        assert told == {"count": 2, "max_model_len": 4096, "tokens": [3, 4]}
        assert http.post("/tokenize", json={"messages": [USER]}).json()["count"] == 2
        assert http.get("/health").json() == {"status": "ok"}


def test_the_model_may_have_other_names(controller: Scripted) -> None:
    with front(controller.endpoint, names=("gpt-4o", "a/b")) as served, served.openai() as client:
        assert [one.id for one in client.models.list()] == ["gpt-4o", "a/b"]
        assert client.models.retrieve("a/b").id == "a/b"
        answer = chat(client, model="gpt-4o", messages=[USER])
        assert answer.model == "gpt-4o"


def silent_after(text: str) -> Script:
    """One token at most, and never an end."""

    def answer(controller: Scripted, identity: bytes, word: say.Submit) -> None:
        if text:
            controller.say(identity, deltas(word.request_id, 0, [7], text))

    return greeting_then(answer)


def all_cancelled(controller: Scripted, count: int) -> None:
    controller.wait_for(say.Cancel, count)
    cancelled = {one.request_id for one in controller.heard if isinstance(one, say.Cancel)}
    assert cancelled == {one.request_id for one in controller.heard if isinstance(one, say.Submit)}


def test_whoever_leaves_a_stream_cancels_its_requests() -> None:
    with (
        scripted(silent_after("Hello")) as controller,
        front(controller.endpoint) as served,
        served.http() as http,
    ):
        asked = {**CHAT, "stream": True, "n": 2}
        with http.stream("POST", "/v1/chat/completions", json=asked) as answer:
            next(answer.iter_bytes())
        all_cancelled(controller, 2)


@pytest.mark.parametrize("stream", [False, True])
def test_whoever_leaves_before_the_first_token_cancels_its_request(stream: bool) -> None:
    with (
        scripted(silent_after("")) as controller,
        front(controller.endpoint) as served,
        socket.create_connection(served.address) as asking,
    ):
        body = json.dumps({**CHAT, "stream": stream}).encode()
        head = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        asking.sendall(f"POST /v1/chat/completions HTTP/1.1\r\n{head}\r\n\r\n".encode() + body)
        controller.wait_for(say.Submit)
        asking.close()
        all_cancelled(controller, 1)
