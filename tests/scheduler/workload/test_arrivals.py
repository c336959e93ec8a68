"""When requests come, and what they are made of."""

from __future__ import annotations

from itertools import pairwise
from math import inf
from random import Random
from statistics import mean, stdev

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from modserve.scheduler.workload.arrivals import Arrival, Mix, times
from modserve.scheduler.workload.draws import BadDraw, counts, lengths, sizes


@settings(deadline=None)  # the machine is shared
@given(
    count=some.integers(0, 300),
    rate=some.floats(0.01, 1000),
    burstiness=some.floats(0.001, 100),
    seed=some.integers(0, 2**32),
)
def test_times_are_in_order_and_have_the_rate(
    count: int, rate: float, burstiness: float, seed: int
) -> None:
    found = times(count, rate=rate, burstiness=burstiness, dice=Random(seed))
    assert len(found) == count
    assert found == sorted(found)
    assert all(at_s >= 0 for at_s in found)
    if found:
        assert found[-1] == pytest.approx(count / rate)
    assert found == times(count, rate=rate, burstiness=burstiness, dice=Random(seed))


@pytest.mark.parametrize(("burstiness", "cv"), [(1.0, 1.0), (0.25, 2.0), (4.0, 0.5), (inf, 0.0)])
def test_burstiness_is_the_shape_of_the_gaps(burstiness: float, cv: float) -> None:
    """A gamma distribution's coefficient of variation is 1 / sqrt(shape)."""
    found = times(20_000, rate=5.0, burstiness=burstiness, dice=Random(1))
    gaps = [after - before for before, after in pairwise(found)]
    assert mean(gaps) == pytest.approx(0.2, rel=0.02)
    assert stdev(gaps) / mean(gaps) == pytest.approx(cv, rel=0.05, abs=1e-6)


def test_at_an_infinite_rate_all_come_at_once() -> None:
    assert times(3, rate=inf, burstiness=1.0, dice=Random(0)) == [0.0, 0.0, 0.0]


def test_a_mix_is_drawn_as_it_is_described() -> None:
    mix = Mix(lengths("64-128"), lengths("7"), 0.4, counts("1:0.5,3:0.5"), sizes("448x336"))
    found = mix.draw([0.5] * 5000, Random(3))
    with_images = [one for one in found if one.images]
    assert len(with_images) == 2000  # a short run has the share that was asked for, too
    assert {len(one.images) for one in with_images} == {1, 3}
    assert {size for one in with_images for size in one.images} == {(448, 336)}
    assert {one.text_tokens for one in found} == set(range(64, 129))
    assert {(one.output_tokens, one.at_s) for one in found} == {(7, 0.5)}
    assert found == mix.draw([0.5] * 5000, Random(3)) != mix.draw([0.5] * 5000, Random(4))


def test_a_mix_without_images_has_none() -> None:
    mix = Mix(lengths("1"), lengths("1"), 0.0, counts("1"), sizes("1x1"))
    assert mix.draw([0.0, 1.0], Random(0)) == [Arrival(0.0, 1, 1), Arrival(1.0, 1, 1)]


def test_lognormal_sizes_have_their_median_and_percentile() -> None:
    draw, dice = sizes("lognormal:560,1148"), Random(5)
    sides = sorted(draw(dice)[0] for _ in range(20_000))
    assert sides[10_000] == pytest.approx(560, rel=0.03)
    assert sides[19_000] == pytest.approx(1148, rel=0.03)
    assert sides[-1] <= 4096


def test_weights_are_shares() -> None:
    draw, dice = sizes("10x20:0.75,30x40:0.25"), Random(6)
    found = [draw(dice) for _ in range(10_000)]
    assert found.count((10, 20)) / len(found) == pytest.approx(0.75, abs=0.02)


@pytest.mark.parametrize("text", ["", "0", "-3", "9-3", "3-", "1,2", "x", "1.5"])
def test_a_length_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadDraw, match="expected a length like 128 or 64-256, got "):
        lengths(text)


@pytest.mark.parametrize("text", ["", "0", "1:", "1:0", "1:-1", "1:x", "1;2", "2:0,3:0"])
def test_a_count_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadDraw, match="expected "):
        counts(text)


@pytest.mark.parametrize(
    "text", ["", "448", "0x4", "99999x4", "4x4,", "lognormal:5", "lognormal:9,8", "lognormal:0,1"]
)
def test_a_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(BadDraw, match="expected "):
        sizes(text)
