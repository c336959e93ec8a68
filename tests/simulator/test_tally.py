"""What is counted of outcomes, and by whom."""

from __future__ import annotations

import pytest

from modserve.scheduler.slo.classes import STANDARD
from modserve.scheduler.slo.slo import Slo
from modserve.simulator.outcome import Outcome
from modserve.simulator.spread import ERROR
from modserve.simulator.tally import Tally

SLO = Slo(STANDARD, ttft_s=1.0, tpot_s=0.1)


def outcome(
    arrival_s: float, ttft_s: float | None, tpot_s: float = 0.05, *, images: int = 0
) -> Outcome:
    """Of eleven tokens; `ttft_s` None: refused."""
    first = None if ttft_s is None else arrival_s + ttft_s
    last = None if first is None else first + 10 * tpot_s
    return Outcome(arrival_s, images, 100, 11, first, last, refused=first is None, slo=SLO)


def tally(*outcomes: Outcome) -> Tally:
    told = Tally()
    for one in outcomes:
        told.watch(one)
    return told


def test_attainment_is_of_requests_sent() -> None:
    found = tally(
        outcome(1, 0.5),
        outcome(2, 1.5),  # late
        outcome(3, 0.5, 0.2, images=1),  # slow
        outcome(4, 0.5, images=2),
        outcome(5, None, images=1),
    ).body()
    assert (found["requests"], found["finished"], found["refused"]) == (5, 4, 1)
    assert (found["attainment"], found["rate_req_s"]) == (0.4, 1.0)
    assert (found["text"]["requests"], found["text"]["attainment"]) == (2, 0.5)
    image = found["image"]
    assert (image["requests"], image["attainment"]) == (3, pytest.approx(1 / 3))
    assert found["text"]["ttft_ms"]["p50"] == pytest.approx(500, rel=ERROR)
    assert found["text"]["ttft_ms"]["p99"] == pytest.approx(500, rel=ERROR)
    assert found["image"]["tpot_ms"]["p90"] == pytest.approx(50, rel=ERROR)


def test_what_did_not_end_well_was_not_served() -> None:
    failed = Outcome(1.0, 0, 100, 3, 1.5, None, slo=SLO)
    found = tally(failed).body()
    assert (found["requests"], found["finished"], found["refused"]) == (1, 0, 0)
    assert found["attainment"] == 0
    assert found["ttft_ms"]["p50"] == pytest.approx(500, rel=ERROR)  # it was seen


def test_of_nothing_there_are_no_figures() -> None:
    found = tally().body()
    assert found["requests"] == 0
    assert found["attainment"] is found["rate_req_s"] is found["ttft_ms"]["p99"] is None


def test_minutes_are_those_of_the_arrivals() -> None:
    found = tally(outcome(130, 0.5), outcome(59, 0.5), outcome(1, 3.0))
    assert found.by_minute == {0.0: (2, 1), 120.0: (1, 1)}
    assert list(found.by_minute) == [0.0, 120.0]
