"""Links: what one tensor takes, and what waits for which."""

from __future__ import annotations

from modserve.scheduler.costs.costs import LinkCost
from modserve.simulator.agenda import Agenda
from modserve.simulator.links import Links


def test_tensors_between_two_workers_follow_each_other_and_others_do_not_wait() -> None:
    agenda = Agenda()
    links = Links(agenda, LinkCost(latency_s=1.0, byte_s=0.5))
    came: list[tuple[str, float]] = []
    for source, target in (("a", "b"), ("a", "b"), ("b", "a"), ("a", "c"), ("a", "a")):
        name = source + target
        links.send(source, target, 4, lambda name=name: came.append((name, agenda.now)))  # type: ignore[misc]
    while agenda.step():
        pass
    assert came == [("aa", 0.0), ("ab", 3.0), ("ba", 3.0), ("ac", 3.0), ("ab", 6.0)]


def test_at_one_moment_ranks_decide_and_then_who_was_put_down_first() -> None:
    agenda = Agenda()
    came: list[str] = []
    for name, when, rank in (
        ("d", 1.0, 7),
        ("b", 1.0, 1),
        ("c", 1.0, 1),
        ("a", 0.5, 9),
    ):
        agenda.at(when, rank, lambda name=name: came.append(name))  # type: ignore[misc]
    assert agenda.step(0.7) and not agenda.step(0.7)
    while agenda.step():
        pass
    assert came == ["a", "b", "c", "d"]
