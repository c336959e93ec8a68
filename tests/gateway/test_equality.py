"""Over HTTP come the very tokens that the client library gets from the same controller."""

from __future__ import annotations

import base64
import json
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx2
import openai
import pytest

from modserve.cli.cluster import Cluster
from modserve.client import Answer, Client

from .front import chat

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
SEVEN, SHAPES = EXAMPLES / "seven.png", EXAMPLES / "shapes.png"
Chat = list[dict[str, Any]]


def picture(file: Path) -> dict[str, Any]:
    url = f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}"
    return {"type": "image_url", "image_url": {"url": url}}


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


CHATS: dict[str, Chat] = {
    "text": [{"role": "user", "content": "Hello"}],
    "a system's word first": [
        {"role": "system", "content": "Be brief, naïve 🙂."},
        {"role": "user", "content": [text("Hello "), text("<image> you")]},
    ],
    "a picture": [{"role": "user", "content": [picture(SEVEN), text("What is this?")]}],
    "pictures over several turns": [
        {"role": "user", "content": [picture(SEVEN), text("What is this?")]},
        {"role": "assistant", "content": "This is the digit 7."},
        {"role": "user", "content": [picture(SHAPES), picture(SEVEN), text("And these?")]},
    ],
}
WAYS: dict[str, dict[str, Any]] = {
    "greedy": {"temperature": 0.0},
    "sampled": {"temperature": 1.5, "seed": 11, "top_p": 0.95},
    "penalized": {"temperature": 0.7, "seed": 3, "presence_penalty": 1.0, "stop": ["."]},
}


def asked_directly(cluster: Cluster, chat: Chat, **options: Any) -> Answer:
    def part(said: dict[str, Any]) -> dict[str, Any]:
        if said["type"] == "text":
            return said
        file = base64.b64decode(said["image_url"]["url"].partition(",")[2])
        return {"type": "image", "image": file}

    turns = [
        {**turn, "content": turn["content"] if isinstance(turn["content"], str)
         else [part(one) for one in turn["content"]]}
        for turn in chat
    ]  # fmt: skip
    with Client(cluster.endpoint) as client:
        return client.generate(turns, max_tokens=24, **options)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("said", CHATS)
def test_a_chat_gets_the_same_tokens(
    cluster: Cluster, client: openai.OpenAI, said: str, way: str
) -> None:
    expected = asked_directly(cluster, CHATS[said], **WAYS[way])
    asked: dict[str, Any] = {"model": "tiny", "messages": CHATS[said], "max_tokens": 24}
    whole = chat(client, **asked, **WAYS[way], logprobs=True)
    pieces = [piece.choices[0] for piece in chat(client, **asked, **WAYS[way], stream=True)]
    streamed = "".join(one.delta.content or "" for one in pieces)
    assert (whole.choices[0].message.content, streamed) == (expected.text, expected.text)
    assert whole.choices[0].finish_reason == expected.finish_reason == pieces[-1].finish_reason
    assert whole.usage.completion_tokens == len(expected.token_ids)
    spelled = b"".join(bytes(one.bytes) for one in whole.choices[0].logprobs.content)
    assert spelled.decode().startswith(expected.text)


def test_choices_are_those_of_seeds_in_a_row(cluster: Cluster, client: openai.OpenAI) -> None:
    said = CHATS["text"]
    answer = chat(client, model="tiny", messages=said, max_tokens=24, temperature=1.5, seed=20, n=3)
    for index, choice in enumerate(answer.choices):
        alone = asked_directly(cluster, said, temperature=1.5, seed=20 + index)
        assert choice.message.content == alone.text


def test_a_completion_goes_on_from_a_text_as_it_is(cluster: Cluster, client: openai.OpenAI) -> None:
    with Client(cluster.endpoint) as direct:
        ids = direct.tokens_of_text("Hello <|im_end|>")
        assert b"".join(direct.pieces(ids)) == b"Hello <|im_end|>"
        expected = direct.generate(token_ids=ids, max_tokens=9, ignore_eos=True)
    for prompt in ("Hello <|im_end|>", ids):
        answer = client.completions.create(
            model="tiny",
            prompt=prompt,
            max_tokens=9,
            temperature=0,
            extra_body={"ignore_eos": True},
        )
        assert answer.choices[0].text == expected.text


def test_a_chat_is_tokenized_as_it_is_prompted(cluster: Cluster, client: openai.OpenAI) -> None:
    said = CHATS["a system's word first"]
    told = httpx2.post(f"{cluster.http}/tokenize", json={"messages": said}, timeout=60).json()
    assert told["count"] == asked_directly(cluster, said).usage.prompt_tokens  # type: ignore[union-attr]
    asked = client.completions.create(
        model="tiny", prompt=told["tokens"], max_tokens=24, temperature=0
    )
    assert asked.choices[0].text == asked_directly(cluster, said).text


def test_an_answer_follows_its_schema(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"digit": {"type": "integer", "minimum": 0, "maximum": 9}},
        "required": ["digit"],
        "additionalProperties": False,
    }
    told = chat(
        client,
        model="tiny",
        messages=CHATS["a picture"],
        temperature=0,
        max_tokens=64,
        response_format={"type": "json_schema", "json_schema": {"name": "seen", "schema": schema}},
    )
    assert 0 <= json.loads(told.choices[0].message.content)["digit"] <= 9
    with pytest.raises(openai.BadRequestError):
        chat(
            client,
            model="tiny",
            messages=CHATS["text"],
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "odd", "schema": {"type": "colour"}},
            },
        )


def test_a_stop_string_is_not_in_the_answer(client: openai.OpenAI) -> None:
    answer = chat(client, model="tiny", messages=CHATS["a picture"], temperature=0, stop=[" 7"])
    assert answer.choices[0].message.content == "This is the digit"
    assert answer.choices[0].finish_reason == "stop"


def requests(cluster: Cluster) -> dict[str, Any]:
    with Client(cluster.endpoint) as direct:
        found: dict[str, Any] = direct.status()["requests"]
    return found


def test_whoever_leaves_is_seen_as_cancelled(cluster: Cluster, client: openai.OpenAI) -> None:
    before = requests(cluster)["cancelled"]
    stream = chat(
        client,
        model="tiny",
        messages=CHATS["text"],
        max_tokens=3000,
        stream=True,
        extra_body={"ignore_eos": True},
    )
    next(iter(stream))
    assert requests(cluster)["open"] == 1
    stream.close()
    end = time.monotonic() + 20
    while (seen := requests(cluster))["open"]:
        assert time.monotonic() < end, seen
        time.sleep(0.05)
    assert seen["cancelled"] == before + 1


def test_a_reader_of_a_byte_at_a_time_holds_up_nobody(
    cluster: Cluster, client: openai.OpenAI
) -> None:
    """Its answer is longer than what the system's buffers take."""
    asked = {
        "model": "tiny",
        "messages": CHATS["text"],
        "stream": True,
        "logprobs": True,
        "top_logprobs": 20,
        "max_tokens": 1500,
        "ignore_eos": True,
    }
    body = json.dumps(asked).encode()
    head = f"Host: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    where = urlsplit(cluster.http)
    with socket.socket() as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(60)
        slow.connect((where.hostname, where.port))
        slow.sendall(b"POST /v1/chat/completions HTTP/1.1\r\n" + head.encode() + body)
        assert slow.recv(1) == b"H"
        while requests(cluster)["open"]:
            answer = chat(
                client,
                model="tiny",
                messages=CHATS["a picture"],
                temperature=0,
            )
            assert answer.choices[0].message.content == "This is the digit 7."
            assert slow.recv(1)
        told = b""
        while b"data: [DONE]" not in told[-100:]:
            told = told[-100:] + slow.recv(1 << 16)
