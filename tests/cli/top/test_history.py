"""Latencies out of counts of buckets."""

from __future__ import annotations

from typing import Any

import pytest

from modserve.cli.top.figures import count, seconds, share, size, uptime
from modserve.cli.top.glyphs import ASCII, bar, glyphs_for, spark
from modserve.cli.top.history import KEYS, TPOT, TTFT, WINDOW_S, History, Latency
from modserve.cli.top.quantiles import quantile

BOUNDS = (1.0, 2.0, 4.0)
TEXT = (TTFT, "text")


def report(uptime_s: float, *counts: int) -> dict[str, Any]:
    one = {"counts": [*counts, *[0] * (4 - len(counts))], "sum": 0.0}
    none = {"counts": [0] * 4, "sum": 0.0}
    return {
        "controller": {"uptime_s": uptime_s},
        "histograms": {
            TTFT: {"bounds": BOUNDS, "text": one, "image": none},
            TPOT: {"bounds": BOUNDS, "text": none, "image": none},
        },
    }


def test_values_lie_evenly_in_their_bucket() -> None:
    assert quantile(BOUNDS, [0, 10, 0, 0], 0.5) == 1.5
    assert quantile(BOUNDS, [5, 0, 5, 0], 0.75) == 3.0
    assert quantile(BOUNDS, [0, 0, 0, 3], 0.5) == 4.0
    assert quantile(BOUNDS, [0, 0, 0, 0], 0.5) is None


def test_the_first_report_tells_of_all_requests() -> None:
    told = History().add(report(10.0, 0, 10))
    assert told[TEXT].p99 == pytest.approx(1.99)
    assert (told[TEXT].p50, told[TEXT].medians) == (1.5, (1.5,))
    assert told.keys() == set(KEYS)
    assert told[TTFT, "image"] == Latency(None, None, (None,))


def test_later_reports_tell_of_the_window_alone() -> None:
    history = History()
    history.add(report(10.0, 100))
    assert history.add(report(11.0, 100, 2))[TEXT].p50 == 1.5
    history.add(report(10.0 + WINDOW_S, 100, 2, 8))
    told = history.add(report(11.0 + WINDOW_S, 100, 2, 8))[TEXT]
    assert told.p50 == 3.0
    assert told.medians == (0.5, 1.5, 2.75, 3.0)


def test_a_controller_that_was_started_anew_is_compared_with_nothing() -> None:
    history = History()
    history.add(report(100.0, 50))
    assert history.add(report(1.0, 0, 2))[TEXT].p50 == 1.5


def test_sparks_and_bars() -> None:
    assert spark([None, 0.0, 3.5, 7.0], 6, ASCII) == "   _=#"
    assert len(spark([1.0] * 9, 4, ASCII)) == 4
    assert bar(0.0, 4, ASCII) == "...."
    assert bar(0.01, 4, ASCII) == "#..."
    assert bar(2.0, 4, ASCII) == "####"
    assert glyphs_for("utf-8") is not ASCII
    assert glyphs_for("ANSI_X3.4-1968") is ASCII


def test_numbers_take_few_characters() -> None:
    assert [count(n) for n in (0, 7.4, 999, 1000, 9949, 12_345, 999_500, 3e12)] == [
        *("0", "7", "999", "1.0k", "9.9k", "12k", "1.0M", "3T")
    ]
    assert [size(n) for n in (0, 2**20, 1536 * 2**20, 2**40)] == ["0B", "1M", "1.5G", "1.0T"]
    assert [seconds(s) for s in (None, 0.0004, 0.0312, 1.26, 150)] == [
        *("-", "0.4 ms", "31 ms", "1.3 s", "150 s")
    ]
    assert [share(*of) for of in ((0, 0), (999, 1000), (5, 5))] == ["-", "99%", "100%"]
    assert [uptime(s) for s in (0, 59.9, 3600, 90061)] == ["0 s", "59 s", "1 h", "1 d 1 h"]
