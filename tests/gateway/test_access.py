"""API keys: hashed in the file, compared whole, limited by name, and in no log."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from modserve.cli.main import run
from modserve.gateway.access import Access
from modserve.gateway.errors import Problem
from modserve.gateway.keys import ApiKey, ApiKeys, BadApiKeys, make_key, read_keys
from modserve.transport import messages as say

from ..client.scripted import Scripted, deltas, greeting_then, hello_world, scripted
from .front import front

CHAT = {"model": "seven", "messages": [{"role": "user", "content": "Hello"}]}


class Watch:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_file_has_a_hash_and_never_the_secret(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "api.jsonl"
    secret = make_key(path, "alice", requests_per_minute=60)
    other = make_key(path, "bob")
    text = path.read_text()
    assert secret not in text
    assert path.stat().st_mode & 0o077 == 0
    keys = ApiKeys(path)
    assert keys.holder(secret) == read_keys(path)[0]
    assert getattr(keys.holder(other), "name", None) == "bob"
    assert keys.holder(f"{secret}x") is None
    assert keys.holder("") is None


@pytest.mark.parametrize("name", ["", "a b", "../x", "ä", "x" * 65])
def test_a_name_is_one(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadApiKeys, match="expected a name"):
        make_key(tmp_path / "keys", name)


def test_a_name_has_one_key(tmp_path: Path) -> None:
    make_key(tmp_path / "keys", "alice")
    with pytest.raises(BadApiKeys, match="expected a new name, got alice"):
        make_key(tmp_path / "keys", "alice")


@pytest.mark.parametrize("line", ["{", "[]", '{"name": "a"}', '{"name": "a", "sha256": "b"}'])
def test_a_file_of_something_else_is_refused_unquoted(tmp_path: Path, line: str) -> None:
    path = tmp_path / "keys"
    make_key(path, "alice")
    with path.open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(BadApiKeys, match="got line 2 of") as caught:
        read_keys(path)
    assert line not in str(caught.value)


def test_a_minutes_requests_may_come_at_once_and_then_one_by_one() -> None:
    watch = Watch()
    access, key = Access(None, watch), ApiKey(name="a", sha256="0" * 64, requests_per_minute=3)

    def refused() -> float:
        with pytest.raises(Problem) as caught, access.admitted(key):
            pass
        assert caught.value.retry_after_s is not None
        return caught.value.retry_after_s

    for _ in range(3):
        with access.admitted(key):
            pass
    assert refused() == pytest.approx(20.0)
    watch.now += 15.0
    assert refused() == pytest.approx(5.0)
    watch.now += 5.0
    with access.admitted(key):
        pass
    assert refused() == pytest.approx(20.0)
    watch.now += 1e6
    for _ in range(3):
        with access.admitted(key):
            pass
    refused()


def test_requests_at_the_same_time_are_counted_by_name() -> None:
    access, key = Access(None), ApiKey(name="a", sha256="0" * 64, concurrent=1)
    other = ApiKey(name="b", sha256="1" * 64, concurrent=1)
    with access.admitted(key):
        with access.admitted(other):
            pass
        with pytest.raises(Problem, match="at most 1 requests at a time"), access.admitted(key):
            pass
    with access.admitted(key):
        pass


def test_every_route_but_health_asks_for_a_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "keys"
    secret = make_key(path, "alice")
    with (
        caplog.at_level(logging.DEBUG),
        scripted(greeting_then(hello_world)) as controller,
        front(controller.endpoint, api_keys=path) as served,
        served.http() as http,
    ):
        assert http.get("/health").status_code == 200
        assert http.get("/ready").status_code == 503
        for headers in ({}, {"authorization": secret}, {"authorization": f"Bearer {secret}x"}):
            for route in ("/v1/models", "/v1/models/seven", "/openapi.json", "/metrics"):
                assert http.get(route, headers=headers).status_code == 401
            for route in ("/v1/chat/completions", "/v1/completions", "/tokenize"):
                told = http.post(route, headers=headers, json={})
                assert told.status_code == 401
                assert told.headers["www-authenticate"] == "Bearer"
        with served.openai(secret) as client:
            assert client.models.list().data[0].id == "seven"
    assert "for alice: 200" in caplog.text
    assert secret not in caplog.text
    assert secret.removeprefix("msk-") not in caplog.text


def test_a_key_over_its_limits_is_told_when_to_ask_again(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    busy = {"authorization": f"Bearer {make_key(path, 'alice', concurrent=1)}"}
    rare = {"authorization": f"Bearer {make_key(path, 'bob', requests_per_minute=1)}"}
    with (
        scripted(greeting_then(one_token)) as controller,
        front(controller.endpoint, api_keys=path) as served,
        served.http() as http,
    ):
        assert http.get("/v1/models", headers=rare).status_code == 200
        told = http.get("/v1/models", headers=rare)
        assert told.status_code == 429
        assert 50 < int(told.headers["retry-after"]) <= 60
        asked = {**CHAT, "stream": True}
        with http.stream("POST", "/v1/chat/completions", json=asked, headers=busy):
            told = http.get("/v1/models", headers=busy)
        assert (told.status_code, told.headers["retry-after"]) == (429, "1")


def one_token(controller: Scripted, identity: bytes, word: say.Submit) -> None:
    controller.say(identity, deltas(word.request_id, 0, [7], "Hello"))


def test_a_key_that_is_removed_is_shut_out(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    secret = make_key(path, "alice")
    keys = ApiKeys(path)
    assert keys.holder(secret) is not None
    path.write_text("")
    keys._looked -= 2.0  # as if that time had passed
    assert keys.holder(secret) is None
    path.unlink()
    keys._looked -= 2.0
    assert keys.holder(secret) is None


def test_make_api_key_prints_the_secret_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "keys.jsonl"
    options = ["--api-keys", str(path), "--requests-per-minute", "60", "--concurrent", "4"]
    assert run(["make-api-key", "alice", *options]) == 0
    told = capsys.readouterr()
    secret = told.out.strip()
    assert ApiKeys(path).holder(secret) is not None
    assert secret not in told.err
    line = json.loads(path.read_text())
    assert (line["requests_per_minute"], line["concurrent"]) == (60, 4)
    assert run(["make-api-key", "alice", *options]) == 1
