"""Figures of records whose times were added up by hand."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from modserve.client.load.measures import measure
from modserve.client.load.objectives import BadObjective, read_objectives
from modserve.client.load.record import Record

# sent at 1: tokens at 1.1, 1.2 and two at 1.4; sent at 2: one token; sent at 3: fails after a token
TEXT = Record(0, 1.0, 1.0, [(1.1, 1), (1.2, 1), (1.4, 2)], 1.5, 10, 4)
IMAGE = Record(2, 1.5, 2.0, [(4.0, 1)], 4.0, 700, 1)
FAILED = Record(1, 3.0, 3.0, [(3.5, 1)], 5.0, 5, 1, error="it broke")
OPEN = Record(0, 3.0, 3.0, [(3.5, 1)])
PERCENTILES = (50, 90, 99.9)


def figures(*records: Record, goodput: str = "") -> dict[str, Any]:
    return measure(records, read_objectives(goodput.split()), PERCENTILES)


def test_counts_and_rates_are_of_those_that_completed() -> None:
    result = figures(TEXT, IMAGE, FAILED, OPEN)
    assert (result["completed"], result["failed"], result["interrupted"]) == (2, 1, 1)
    assert result["duration"] == 4.0  # from 1, the first sent, to 5, the last end
    assert (result["total_input_tokens"], result["total_output_tokens"]) == (710, 5)
    assert result["request_throughput"] == 0.5
    assert result["output_throughput"] == 1.25
    assert result["total_token_throughput"] == 178.75
    assert result["max_output_tokens_per_s"] == 4.0  # in the second from 1 on
    assert result["max_concurrent_requests"] == 2  # 2 to 4 and 3 to 5


def test_latencies_follow_the_formulas() -> None:
    result = figures(TEXT, IMAGE, FAILED)
    assert result["mean_ttft_ms"] == pytest.approx((100 + 2000) / 2)
    assert result["median_ttft_ms"] == result["p50_ttft_ms"] == pytest.approx(1050)
    assert result["std_ttft_ms"] == pytest.approx(950)
    assert result["p90_ttft_ms"] == pytest.approx(100 + 0.9 * 1900)
    assert result["p99.9_ttft_ms"] == pytest.approx(100 + 0.999 * 1900)
    assert result["mean_tpot_ms"] == pytest.approx((1.4 - 1.1) / 3 * 1000)  # one token has none
    assert result["mean_itl_ms"] == pytest.approx((100 + 200 + 0) / 3)
    assert result["median_itl_ms"] == pytest.approx(100)
    assert result["mean_e2el_ms"] == pytest.approx((400 + 2000) / 2)
    assert result["p50_max_itl_ms"] == pytest.approx(200)
    assert result["mean_client_queue_time_ms"] == pytest.approx(250)


def test_each_kind_has_the_same_figures_of_its_own() -> None:
    result = figures(TEXT, IMAGE, FAILED, goodput="ttft:500")
    text, image = result["text"], result["image"]
    assert text.keys() == image.keys() < result.keys()
    assert (text["completed"], text["failed"]) == (1, 0)
    assert (image["completed"], image["failed"]) == (1, 1)
    assert text["mean_ttft_ms"] == pytest.approx(100)
    assert image["mean_ttft_ms"] == pytest.approx(2000)
    assert text["duration"] == image["duration"] == result["duration"]


def test_goodput_is_per_second_and_attainment_per_request_sent() -> None:
    result = figures(TEXT, IMAGE, FAILED, goodput="ttft:3000 tpot:100.1 e2el:2001")
    assert result["request_goodput"] == pytest.approx(2 / 4)
    assert result["attainment"] == pytest.approx(2 / 3)  # the failed one was sent, too
    assert (result["text"]["attainment"], result["image"]["attainment"]) == (1.0, 0.5)


@pytest.mark.parametrize(
    ("goodput", "good"),
    [
        ("ttft:500", 1),
        ("ttft:500 image.ttft:2001", 2),
        ("image.ttft:2001 ttft:500", 2),
        ("ttft:2001 text.ttft:50", 1),
        ("text.tpot:99", 1),
        ("tpot:0.1", 1),  # a lone token has no TPOT to miss
        ("e2el:399", 0),
        ("text.e2el:399", 1),
    ],
)
def test_objectives_may_differ_by_kind(goodput: str, good: int) -> None:
    assert figures(TEXT, IMAGE, goodput=goodput)["attainment"] == good / 2


def test_without_objectives_there_is_no_goodput() -> None:
    result = figures(TEXT)
    assert result["request_goodput"] is result["attainment"] is None


@pytest.mark.parametrize("text", ["ttft", "ttft:", "ttft:-1", "itl:5", "video.ttft:5", "ttft:x"])
def test_an_objective_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadObjective, match="expected an objective like ttft:500 or "):
        read_objectives([text])


def test_lists_have_an_entry_for_each_request() -> None:
    result = figures(TEXT, FAILED, OPEN)
    assert result["ttfts"] == pytest.approx([0.1, 0.5])
    assert result["latencies"] == pytest.approx([0.4, 0.5])
    assert result["itls"] == [pytest.approx([0.1, 0.2, 0.0]), []]
    assert result["errors"] == ["", "it broke"]
    assert (result["input_lens"], result["output_lens"]) == ([10, 5], [4, 0])
    assert (result["start_times"], result["queue_times"]) == ([1.0, 3.0], [0.0, 0.0])
    assert result["images"] == [0, 1]


@pytest.mark.parametrize("records", [[], [OPEN]])
def test_of_nothing_there_are_no_figures(records: list[Record]) -> None:
    result = figures(*records, goodput="ttft:1")
    assert (result["completed"], result["failed"], result["duration"]) == (0, 0, 0.0)
    assert result["request_throughput"] == 0.0
    assert result["mean_ttft_ms"] is result["p50_itl_ms"] is result["attainment"] is None


def test_tokens_that_only_the_server_counted_came_with_others() -> None:
    """A chunk of text may hold several tokens: the sum of all gaps is the whole time still."""
    record = Record(0, 0.0, 0.0, [(1.0, 1), (1.5, 1)], 1.5, 5, 4)
    assert record.gaps_s == [0.5, 0.0, 0.0]
    assert record.tpot_s == pytest.approx(0.5 / 3)


times = some.lists(some.tuples(some.floats(0, 10), some.integers(1, 4)), max_size=6)


@pytest.mark.slow
@settings(deadline=None)  # the machine is shared
@given(some.lists(some.tuples(some.booleans(), some.floats(0, 9), times, some.booleans())))
def test_everything_sent_is_counted_once(
    drawn: list[tuple[bool, float, list[tuple[float, int]], bool]],
) -> None:
    records = []
    for with_image, sent_s, waits, fails in drawn:
        heard = sorted((sent_s + wait_s, tokens) for wait_s, tokens in waits)
        tokens = sum(tokens for _, tokens in heard)
        error = "failed" if fails or not heard else ""
        end_s = heard[-1][0] if heard else sent_s
        images = int(with_image)
        records.append(Record(images, sent_s, sent_s, heard, end_s, 3, tokens, error=error))
    result = figures(*records, goodput="ttft:5000")
    assert result["completed"] + result["failed"] == len(records)
    for key in ("completed", "failed", "total_output_tokens", "total_input_tokens"):
        assert result["text"][key] + result["image"][key] == result[key]
    assert len(result["ttfts"]) == len(result["errors"]) == len(records)
    assert 0.0 <= (result["attainment"] or 0.0) <= 1.0
    for record in records:
        if record.completed and record.output_tokens > 1:
            mean_gap = sum(record.gaps_s) / len(record.gaps_s)
            assert mean_gap == pytest.approx(record.tpot_s, abs=1e-9)
