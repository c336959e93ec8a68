"""When requests are sent and what is kept of them, on a clock that jumps: times are exact."""

from __future__ import annotations

import asyncio

import pytest

from modserve.client.load.asks import Ask
from modserve.client.load.driving import drive
from modserve.client.load.record import Record
from modserve.transport.messages import Usage

from .fake import Answer, FakeEndpoint
from .virtual import run

TWO_TOKENS = Answer(((1.0, 1), (0.5, 1)))


def ask(prompt: str, at_s: float = 0.0, images: int = 0) -> Ask:
    return Ask(at_s, prompt, 7, 4, (b"png",) * images)


def driven(
    endpoint: FakeEndpoint,
    *asks: Ask,
    max_concurrency: int | None = None,
    timeout_s: float = 100.0,
) -> list[Record]:
    records: list[Record] = []
    run(drive(endpoint, asks, records, max_concurrency=max_concurrency, timeout_s=timeout_s))
    return records


def test_an_open_loop_sends_on_time_whatever_is_under_way() -> None:
    endpoint = FakeEndpoint({"slow": Answer(((10.0, 1),)), "fast": TWO_TOKENS})
    records = driven(endpoint, ask("slow"), ask("fast", 2.0), ask("slow", 2.0), ask("fast", 9.0))
    assert [record.sent_s for record in records] == [0.0, 2.0, 2.0, 9.0]
    assert [record.ended_s for record in records] == [10.0, 3.5, 12.0, 10.5]
    assert [record.queued_s for record in records] == [0.0] * 4
    assert endpoint.most_under_way == 3


def test_a_closed_loop_keeps_so_many_under_way() -> None:
    endpoint = FakeEndpoint({"a": TWO_TOKENS})
    records = driven(endpoint, *[ask("a")] * 5, max_concurrency=2)
    assert [record.sent_s for record in records] == [0.0, 0.0, 1.5, 1.5, 3.0]
    assert endpoint.most_under_way == 2


def test_a_limit_holds_back_an_open_loop_and_this_is_seen() -> None:
    endpoint = FakeEndpoint({"a": TWO_TOKENS})
    records = driven(endpoint, ask("a"), ask("a", 1.0), max_concurrency=1)
    assert [record.sent_s for record in records] == [0.0, 1.5]
    assert [record.queued_s for record in records] == [0.0, 0.5]
    assert [record.ttft_s for record in records] == [1.0, 1.0]  # since it was sent


def test_what_was_heard_is_kept_with_its_time() -> None:
    answer = Answer(((1.0, 1), (0.25, 3)))
    (record,) = driven(FakeEndpoint({"a": answer}), ask("a", 2.0, images=2))
    assert record == Record(2, 2.0, 2.0, [(3.0, 1), (3.25, 3)], 3.25, 7, 4)
    assert (record.kind, record.completed) == ("image", True)


def test_the_count_of_the_server_goes_before_ours() -> None:
    answer = Answer(((1.0, 1),), usage=Usage(1390, 1300, 48))
    (record,) = driven(FakeEndpoint({"a": answer}), ask("a"))
    assert (record.prompt_tokens, record.output_tokens, record.counted) == (1390, 48, True)


def test_one_that_fails_stops_nobody() -> None:
    endpoint = FakeEndpoint({"bad": Answer(((0.5, 1),), error="it broke"), "a": TWO_TOKENS})
    records = driven(endpoint, ask("bad"), ask("a"), ask("bad", 3.0), ask("a", 4.0))
    assert [record.error for record in records] == ["it broke", "", "it broke", ""]
    assert [record.completed for record in records] == [False, True, False, True]


def test_one_that_takes_too_long_is_ended_and_has_failed() -> None:
    endpoint = FakeEndpoint({"slow": Answer(((1.0, 1), (99.0, 1))), "a": TWO_TOKENS})
    records = driven(endpoint, ask("slow"), ask("a"), timeout_s=5.0)
    assert records[0].error == "expected an end within 5 s"
    assert records[0].ended_s == 5.0
    assert records[1].completed
    assert endpoint.cancelled == 1


def test_an_end_without_a_token_is_a_failure() -> None:
    (record,) = driven(FakeEndpoint({"a": Answer()}), ask("a"))
    assert record.error == "expected at least one token, got an end"


def test_every_end_is_told_once() -> None:
    told: list[Record] = []
    records: list[Record] = []
    endpoint = FakeEndpoint({"bad": Answer(error="no"), "a": TWO_TOKENS})
    asks = [ask("a"), ask("bad"), ask("a", 1.0)]
    body = drive(endpoint, asks, records, max_concurrency=None, timeout_s=9.0, ended=told.append)
    run(body)
    assert sorted(map(id, told)) == sorted(map(id, records))


def test_a_drive_that_is_cancelled_leaves_what_it_saw() -> None:
    """1. Two requests are sent, one ends. 2. The drive is cancelled. 3. The other one has no end,
    its endpoint was told, and the third was never sent."""
    endpoint = FakeEndpoint({"slow": Answer(((9.0, 1),)), "a": TWO_TOKENS})
    records: list[Record] = []

    async def body() -> None:
        async with asyncio.timeout(2.0):
            asks = [ask("a"), ask("slow"), ask("a", 50.0)]
            await drive(endpoint, asks, records, max_concurrency=None, timeout_s=100.0)

    with pytest.raises(TimeoutError):
        run(body())
    assert [record.ended_s for record in records] == [1.5, None]
    assert endpoint.cancelled == 1
