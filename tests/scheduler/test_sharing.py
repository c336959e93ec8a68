"""Threads and niceness of workers that share a host."""

from __future__ import annotations

import pytest

from modserve.scheduler.sharing import few_threads, niceness, threads
from modserve.scheduler.stage import ROLES


@pytest.mark.parametrize(
    ("role", "nice"), [("all", 0), ("text", 0), ("decode", 0), ("prefill", 5), ("encode", 10)]
)
def test_who_keeps_readers_waiting_goes_first(role: str, nice: int) -> None:
    assert niceness(ROLES[role]) == nice


@pytest.mark.parametrize(
    ("cores", "role", "others", "expected"),
    [
        (8, "text", [], 8),
        (8, "text", ["encode", "encode"], 8),
        (8, "encode", ["text", "encode"], 4),
        (8, "decode", ["text", "prefill", "encode"], 4),
        (2, "text", ["text", "text"], 1),
    ],
)
def test_workers_of_one_urgency_divide_the_cores(
    cores: int, role: str, others: list[str], expected: int
) -> None:
    assert threads(cores, ROLES[role], [ROLES[one] for one in others]) == expected


@pytest.mark.parametrize(("threads", "beside", "few"), [(8, False, 8), (8, True, 4), (1, True, 1)])
def test_a_decode_leaves_half_of_the_cores_to_those_who_yield(
    threads: int, beside: bool, few: int
) -> None:
    assert few_threads(threads, beside=beside) == few
