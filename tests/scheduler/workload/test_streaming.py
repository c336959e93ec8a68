"""Arrivals one at a time: endless ones, windows, other rates, and traces that begin again."""

from __future__ import annotations

from itertools import count, islice, pairwise
from math import inf
from random import Random
from statistics import mean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from modserve.scheduler.workload.arrivals import Arrival, Mix
from modserve.scheduler.workload.draws import counts, lengths, sizes
from modserve.scheduler.workload.streaming import cycled, endless, scaled, window

times_s = some.lists(some.floats(0, 1e5), max_size=30).map(sorted)


def at(*times: float) -> list[Arrival]:
    return [Arrival(time, number + 1, 1) for number, time in enumerate(times)]


@pytest.mark.parametrize(("burstiness", "cv"), [(1.0, 1.0), (0.25, 2.0), (4.0, 0.5), (inf, 0.0)])
def test_burstiness_is_the_shape_of_the_gaps(burstiness: float, cv: float) -> None:
    """A gamma distribution's coefficient of variation is 1 / sqrt(shape)."""
    found = list(islice(endless(rate=5.0, burstiness=burstiness, dice=Random(1)), 20_000))
    gaps = [after - before for before, after in pairwise(found)]
    assert min(gaps) >= 0
    assert mean(gaps) == pytest.approx(0.2, rel=0.05)
    assert stdev(gaps) / mean(gaps) == pytest.approx(cv, rel=0.05, abs=1e-6)


def test_at_an_infinite_rate_all_come_at_once() -> None:
    assert list(islice(endless(rate=inf, burstiness=1.0, dice=Random(0)), 3)) == [0.0] * 3


def test_a_mix_is_drawn_for_times_without_end() -> None:
    mix = Mix(lengths("64-128"), lengths("7"), 0.4, counts("1:0.5,3:0.5"), sizes("448x336"))
    found = list(islice(mix.stream(map(float, count()), Random(3)), 5000))
    with_images = [one for one in found if one.images]
    assert len(with_images) == pytest.approx(2000, rel=0.05)
    assert {len(one.images) for one in with_images} == {1, 3}
    assert [one.at_s for one in found] == list(range(5000))
    assert found == list(islice(mix.stream(map(float, count()), Random(3)), 5000))


@settings(deadline=None)  # the machine is shared
@given(times_s, some.floats(0, 1e5), some.floats(0, 1e5))
def test_a_window_is_what_comes_within_it(times: list[float], from_s: float, to_s: float) -> None:
    found = list(window(at(*times), from_s, to_s))
    assert [one.at_s for one in found] == [time - from_s for time in times if from_s <= time < to_s]


def test_a_window_is_read_no_further_than_its_end() -> None:
    assert [one.at_s for one in window((Arrival(s, 1, 1) for s in count()), 3, 5)] == [0, 1]


@settings(deadline=None)  # the machine is shared
@given(times_s, some.floats(0.01, 100))
def test_a_scale_multiplies_the_rate(times: list[float], factor: float) -> None:
    found = list(scaled(at(*times), factor))
    assert [one.at_s for one in found] == [time / factor for time in times]
    assert [one.text_tokens for one in found] == [one.text_tokens for one in at(*times)]


@settings(deadline=None)  # the machine is shared
@given(times_s, some.integers(0, 100))
def test_a_workload_begins_again_until_there_are_enough(times: list[float], wanted: int) -> None:
    found = list(cycled(lambda: at(*times), wanted))
    assert len(found) == (wanted if times else 0)
    assert [one.at_s for one in found] == sorted(one.at_s for one in found)
    texts = [one.text_tokens for one in at(*times)]
    assert [one.text_tokens for one in found] == (texts * wanted)[:wanted]


def test_one_that_begins_again_keeps_its_rate() -> None:
    found = [one.at_s for one in cycled(lambda: at(0, 1, 2, 3), 10)]
    assert found == list(range(10))
