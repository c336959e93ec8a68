"""The last events, by number and by time."""

from __future__ import annotations

import pytest

from modserve.controller import chronicle
from modserve.controller.chronicle import Chronicle


def filled(count: int, most: int = 100) -> Chronicle:
    """An event a second, from second 1 on, whose sentence is its number."""
    clock = iter(range(1, count + 1))
    made = Chronicle(most, lambda: float(next(clock)))
    for number in range(1, count + 1):
        made.note("joined", str(number), worker=f"w{number}")
    return made


def numbers(made: Chronicle, after: int = 0, since: float = 0.0) -> list[int]:
    return [event.number for event in made.told(after, since)]


def test_events_are_told_in_order_with_their_fields() -> None:
    one, two = filled(2).told()
    assert (one.number, one.time, one.kind, one.sentence) == (1, 1.0, "joined", "1")
    assert two.fields == {"worker": "w2"}


def test_only_those_behind_a_number_or_since_a_time_are_told() -> None:
    made = filled(5)
    assert numbers(made, after=3) == [4, 5]
    assert numbers(made, since=4.0) == [4, 5]
    assert numbers(made, after=4, since=2.0) == [5]
    assert numbers(made, after=5) == []


def test_the_oldest_are_forgotten() -> None:
    made = filled(250)
    assert (numbers(made), made.newest) == (list(range(151, 251)), 250)
    assert numbers(made, after=200) == list(range(201, 251))


def test_a_number_of_the_controller_before_tells_all() -> None:
    assert numbers(filled(3), after=900) == [1, 2, 3]


def test_an_answer_has_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chronicle, "MOST_TOLD", 2)
    made = filled(5)
    assert [numbers(made, after) for after in (0, 2, 4)] == [[1, 2], [3, 4], [5]]
