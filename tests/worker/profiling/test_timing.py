"""Rounds over trials."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain, count, repeat

import pytest

from modserve.scheduler.costs.profile import PictureWork
from modserve.worker.profiling.timing import FEWEST, MOST, Run, Trial, measured, usual_s


def trials(number: int) -> tuple[list[Trial], list[int]]:
    """Each takes its number in seconds, the first time a hundred times that; and who ran."""
    ran: list[int] = []

    def trial(at: int) -> Trial:
        takes: Iterator[float] = (at * (100.0 if run == 0 else 1.0) for run in count())

        def run() -> Run:
            ran.append(at)
            return Run(next(takes), held_up=0)

        return Trial(PictureWork(at), run)

    return [trial(at) for at in range(1, number + 1)], ran


def test_the_first_run_of_each_does_not_count() -> None:
    some, _ = trials(9)
    points = measured(some, 0.0, lambda done, total: None)
    assert [point.seconds for point in points] == list(range(1, 10))


def test_a_third_is_held_out_but_not_the_fastest_nor_the_slowest() -> None:
    points = measured(trials(9)[0][::-1], 0.0, lambda done, total: None)
    assert [point.seconds for point in points if point.held_out] == [8, 5, 2]
    assert [point.held_out for point in measured(trials(2)[0], 0.0, lambda *_: None)] == [False] * 2


@pytest.mark.parametrize(("budget_s", "rounds"), [(0.0, FEWEST), (1e9, MOST)])
def test_rounds_follow_the_budget_and_each_has_all_in_another_order(
    budget_s: float, rounds: int
) -> None:
    some, ran = trials(5)
    told: list[tuple[int, int]] = []
    measured(some, budget_s, lambda done, total: told.append((done, total)))
    assert told == [(done, 5 * rounds) for done in range(1, 5 * rounds + 1)]
    orders = [tuple(ran[5 * at : 5 * at + 5]) for at in range(1, rounds + 1)]
    assert all(sorted(order) == [1, 2, 3, 4, 5] for order in orders)
    assert len(set(orders)) > 1


def test_what_somebody_else_held_up_does_not_count() -> None:
    assert usual_s([Run(9.0, 2), Run(3.0, 0), Run(8.0, 1), Run(5.0, 0)]) == 4
    assert usual_s([Run(9.0, 2), Run(3.0, 1), Run(8.0, 3)]) == 3


def test_who_was_always_held_up_gets_another_try() -> None:
    """MOST rounds and the one before them are over when the core is free."""
    held_up = chain([1] * (1 + MOST + 4), repeat(0))
    busy = Trial(PictureWork(1), lambda: Run(9.0, 1) if next(held_up) else Run(1.0, 0))
    (point,) = measured([busy], 60.0, lambda done, total: None)
    assert point.seconds == 1


def test_nobody_tries_for_ever() -> None:
    busy = Trial(PictureWork(1), lambda: Run(5.0, 1))
    (point,) = measured([busy], 0.01, lambda done, total: None)
    assert point.seconds == 5


def test_nothing_to_measure_is_nothing() -> None:
    assert measured([], 1.0, lambda done, total: None) == []
