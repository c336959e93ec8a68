"""Whatever is not answered is told with OpenAI's statuses and shape, and never after a 200."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import httpx2
import openai
import pytest

from modserve.transport import messages as say

from ..client.scripted import Scripted, deltas, ended, greeting_then, scripted
from .front import Front, chat, events, front

USER = {"role": "user", "content": "Hello"}
CHAT: dict[str, Any] = {"model": "seven", "messages": [USER]}
REFUSALS = {  # by the user's name: what the controller says
    "busy": say.Refused("", "busy", "busy: 8 requests are open", 2.3),
    "busy, who knows": say.Refused("", "busy", "busy: 8 requests are open"),
    "closing": say.Refused("", "closing", "the controller is shutting down"),
    "long": say.Refused("", "too_long", "expected a prompt below 9, got 10 prompt tokens"),
    "large": say.Refused("", "too_large", "prompt and answer need 9 KV blocks"),
    "image": say.Refused("", "image", "image 0: expected a whole PNG file"),
    "parameter": say.Refused("", "parameter", "expected top_k from 0 to 9, got 10"),
    "slo": say.Refused("", "slo", "expected an SLO class of a, b, got c"),
    "bug": say.Refused("", "internal", "preparation failed"),
}
STATUSES = {
    "busy": 429,
    "busy, who knows": 429,
    "closing": 503,
    "long": 400,
    "large": 413,
    "image": 422,
    "parameter": 400,
    "slo": 400,
    "bug": 500,
    "late": 408,
    "broken": 500,
}


def answer(controller: Scripted, identity: bytes, word: say.Submit) -> None:
    """As the text asks for it."""
    (turn,) = word.turns
    wish = turn.content[0].text  # type: ignore[union-attr]
    if wish in REFUSALS:
        told = REFUSALS[wish]
        refused = say.Refused(word.request_id, told.code, told.reason, told.retry_after_s)
        controller.say(identity, refused)
        return
    if wish == "break in the middle":
        controller.say(identity, deltas(word.request_id, 0, [7], "Hel"))
    reason = "deadline passed after 600.0 s queued" if wish == "late" else "it was lost 9 times"
    tokens = 1 if wish == "break in the middle" else 0
    controller.say(identity, ended(word.request_id, tokens, "error", reason))


@pytest.fixture(scope="module")
def served() -> Iterator[Front]:
    with scripted(greeting_then(answer)) as controller, front(controller.endpoint) as opened:
        yield opened


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wish", STATUSES)
def test_a_refusal_is_a_status_before_anything_else(served: Front, wish: str, stream: bool) -> None:
    asked = {**CHAT, "messages": [{"role": "user", "content": wish}], "stream": stream}
    with served.http() as http:
        told = http.post("/v1/chat/completions", json=asked)
    assert told.status_code == STATUSES[wish]
    assert told.headers["content-type"] == "application/json"
    error = told.json()["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    if wish in REFUSALS:
        assert error["message"] == REFUSALS[wish].reason
    retry = {"busy": "3", "busy, who knows": "1", "closing": "1"}
    assert told.headers.get("retry-after") == retry.get(wish)


def test_the_official_client_knows_the_errors(served: Front) -> None:
    wishes = {
        "busy": openai.RateLimitError,
        "long": openai.BadRequestError,
        "image": openai.UnprocessableEntityError,
        "closing": openai.InternalServerError,
    }
    with served.openai() as client:
        for wish, error in wishes.items():
            with pytest.raises(error):
                chat(client, model="seven", messages=[{"role": "user", "content": wish}])
        with pytest.raises(openai.NotFoundError, match="expected the model seven, got gpt"):
            chat(client, model="gpt", messages=[USER])


def test_one_refused_choice_refuses_all(served: Front) -> None:
    asked = {**CHAT, "messages": [{"role": "user", "content": "busy"}], "n": 3, "stream": True}
    with served.http() as http:
        assert http.post("/v1/chat/completions", json=asked).status_code == 429


def test_what_breaks_in_the_middle_of_a_stream_is_its_last_event(served: Front) -> None:
    said = [{"role": "user", "content": "break in the middle"}]
    with served.http() as http:
        told = http.post("/v1/chat/completions", json={**CHAT, "messages": said, "stream": True})
    *_, last = events(told.text)
    assert told.status_code == 200
    assert last["error"]["message"] == "it was lost 9 times"
    with served.openai() as client, pytest.raises(openai.APIError, match="lost 9 times"):
        list(chat(client, model="seven", messages=said, stream=True))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/chat/completions", 405),
        ("POST", "/v1/models", 405),
        ("DELETE", "/health", 405),
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/models/gpt", 404),
        ("POST", "/v1/chat/completions/", 404),
    ],
)
def test_other_routes_and_methods(served: Front, method: str, path: str, status: int) -> None:
    with served.http() as http:
        told = http.request(method, path, follow_redirects=False)
    assert told.status_code == status
    assert told.json()["error"]["message"].startswith("expected ")
    assert ("allow" in told.headers) == (status == 405)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_is_json_and_says_so(served: Front, kind: str) -> None:
    """What a page elsewhere can have a browser send without asking is none of these."""
    with served.http() as http:
        told = http.post(
            "/v1/chat/completions", content=json.dumps(CHAT), headers={"content-type": kind}
        )
    assert told.status_code == 415


def test_a_body_over_the_limit_is_refused() -> None:
    with front(body_bytes=1000) as served, served.http() as http:
        told = http.post("/v1/chat/completions", json={**CHAT, "user": "x" * 2000})
        assert told.status_code == 413
        assert "at most 1000 bytes" in told.json()["error"]["message"]
        chunked = http.post(
            "/v1/chat/completions",
            content=iter([b"x" * 600] * 2),
            headers={"content-type": "application/json"},
        )
        assert chunked.status_code == 413


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    head = b"Host: x\r\nContent-Type: application/json\r\nContent-Length: 10"
    with front(body_s=0.2) as served, socket.create_connection(served.address) as asking:
        asking.settimeout(20)
        asking.sendall(b"POST /v1/completions HTTP/1.1\r\n" + head + b"\r\n\r\n{")
        assert asking.recv(100).startswith(b"HTTP/1.1 408 ")


def test_without_a_controller_there_is_no_answer_but_health() -> None:
    with front(silent_s=0.5) as served, served.http() as http:
        assert http.get("/health").status_code == 200
        told = http.post("/v1/chat/completions", json=CHAT)
        assert (told.status_code, told.headers["retry-after"]) == (503, "1")
        assert "127.0.0.1" not in told.text


def test_nobody_is_ready_without_workers(served: Front) -> None:
    with served.http() as http:
        told = http.get("/ready")
    assert told.status_code == 503
    assert told.json()["error"]["code"] == "not_ready"


def test_errors_are_no_pages_of_html(served: Front) -> None:
    with socket.create_connection(served.address) as asking:
        asking.settimeout(20)
        asking.sendall(b"NOT HTTP\r\n\r\n")
        assert asking.recv(100).startswith(b"HTTP/1.1 400 ")
    assert httpx2.get(f"{served.url}/health").status_code == 200
