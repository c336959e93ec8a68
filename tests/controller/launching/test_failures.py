"""Launches that failed are counted by role: once each, until a worker comes."""

from __future__ import annotations

from math import inf

from modserve.controller.launching.failures import Failed, Failures


def test_one_that_is_tried_again_counts_once() -> None:
    failures = Failures()
    failures.begun("encode-0", "encode")
    assert failures.of("encode") == Failed(0, -inf)
    failures.failed("encode-0", 1.0)
    failures.failed("encode-0", 3.0)
    assert failures.of("encode") == Failed(1, 3.0)
    assert "encode-0" in failures
    assert failures.of("text") == Failed()


def test_who_is_not_waited_for_any_more_fails_no_more() -> None:
    failures = Failures()
    failures.begun("encode-0", "encode")
    failures.failed("encode-0", 1.0)
    failures.forget("encode-0")
    failures.failed("encode-0", 2.0)
    assert failures.of("encode") == Failed(1, 1.0)
    assert "encode-0" not in failures


def test_the_next_launch_adds_to_the_row_and_a_worker_that_came_ends_it() -> None:
    failures = Failures()
    for number in range(3):
        failures.begun("encode-0", "encode")
        failures.failed("encode-0", float(number))
        failures.forget("encode-0")
    assert failures.of("encode") == Failed(3, 2.0)
    failures.over("encode")
    assert failures.of("encode") == Failed()
