"""The queue beside a list that is sorted anew after every change."""

from __future__ import annotations

from random import Random

import pytest

from modserve.scheduler.queueing import MOST, OrderedQueue


@pytest.mark.parametrize("seed", range(4))
def test_it_is_a_sorted_list_whatever_its_length(seed: int) -> None:
    dice, queue = Random(seed), OrderedQueue()
    known: dict[str, tuple[float, int]] = {}
    most = dice.choice([1, 10, 4 * MOST])
    for number in range(3 * most + 100):
        if len(known) < most and dice.random() < 0.6:
            known[f"r{number}"] = (dice.choice([dice.random(), 0.5, number]), number)
            queue.add(f"r{number}", known[f"r{number}"])
        elif known:
            name = dice.choice(list(known))
            del known[name]
            queue.remove(name)
            queue.remove(name)
        assert len(queue) == len(known)
        if number % 50 == 0:
            order = sorted(known, key=lambda name: (known[name], name))
            assert list(queue) == order == [queue.at(place) for place in range(len(order))]
    for name in list(queue):
        assert name in queue
        queue.remove(name)
    assert list(queue) == []
    with pytest.raises(IndexError, match="expected a place among 0"):
        queue.at(0)


def test_a_name_is_in_once() -> None:
    queue = OrderedQueue()
    queue.add("a", (1.0, 1))
    with pytest.raises(ValueError, match="queued already"):
        queue.add("a", (2.0, 2))
