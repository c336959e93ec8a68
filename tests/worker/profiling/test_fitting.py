"""Costs come back from the times that they predict, with a little noise too."""

from __future__ import annotations

from itertools import product
from statistics import median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modserve.scheduler.costs.encode import EncodeCost, PreprocessCost
from modserve.scheduler.costs.profile import (
    BatchWork,
    Component,
    Cost,
    PictureWork,
    Point,
    Work,
    seconds_of,
)
from modserve.scheduler.costs.text import TextCost
from modserve.worker.profiling.fitting import OVERLAPS, Unfit, fit
from modserve.worker.profiling.grids import FULL

TEXT_WORKS = [shape.work for shape in FULL.steps()]
BATCHES = [BatchWork(n, n * rows) for n, rows in product((1, 2, 4, 8), (24, 96, 729))]
PICTURES = [PictureWork(width * height) for width, height in FULL.pictures]


def points(cost: Cost, works: list[Work], noise: float = 0.0, seed: int = 0) -> list[Point]:
    """Every third one held out; `noise` is the relative standard deviation of what is seen."""
    dice = np.random.default_rng(seed)
    return [
        Point(work, seconds_of(cost, work) * float(np.exp(noise * dice.normal())), at % 3 == 2)
        for at, work in enumerate(works)
    ]


def off(found: Cost, real: Cost, works: list[Work]) -> list[float]:
    return [abs(seconds_of(found, one) / seconds_of(real, one) - 1) for one in works]


def typical(found: Cost, real: Cost, works: list[Work]) -> float:
    return median(off(found, real, works))


def some(low: float, high: float) -> st.SearchStrategy[float]:
    """Between the two, every order of magnitude as likely as any other."""
    return st.floats(np.log(low), np.log(high)).map(lambda power: float(np.exp(power)))


text_costs = st.builds(
    TextCost,
    fixed_s=some(1e-4, 1e-2),
    weights_s=some(1e-3, 3e-2),
    row_s=some(1e-5, 1e-3),
    pair_s=some(1e-9, 1e-7),
    context_s=some(1e-8, 1e-6),
    overlap=st.sampled_from(OVERLAPS),
    decode_s=some(1e-6, 1e-3),
)


@given(some(1e-5, 1e-2), some(1e-9, 1e-6), st.integers(0, 99))
def test_preprocessing_is_recovered(fixed_s: float, pixel_s: float, seed: int) -> None:
    real = PreprocessCost(fixed_s, pixel_s)
    found = fit(Component.PREPROCESS, points(real, [*PICTURES]))
    assert isinstance(found, PreprocessCost)
    assert found.pixel_s == pytest.approx(pixel_s, rel=1e-4)
    assert found.fixed_s == pytest.approx(fixed_s, rel=1e-2)
    noisy = fit(Component.PREPROCESS, points(real, [*PICTURES], 0.01, seed))
    assert typical(noisy, real, [*PICTURES]) < 0.08


@given(some(1e-4, 1e-1), some(1e-6, 1e-3), st.integers(0, 99))
def test_encoding_is_recovered(fixed_s: float, token_s: float, seed: int) -> None:
    real = EncodeCost(fixed_s, token_s)
    found = fit(Component.ENCODE, points(real, [*BATCHES]))
    assert isinstance(found, EncodeCost)
    assert max(off(found, real, [*BATCHES])) < 1e-6
    noisy = fit(Component.ENCODE, points(real, [*BATCHES], 0.01, seed))
    assert typical(noisy, real, [*BATCHES]) < 0.08


@settings(max_examples=15)
@given(text_costs, st.integers(0, 99))
def test_text_steps_are_predicted(real: TextCost, seed: int) -> None:
    found = fit(Component.TEXT, points(real, [*TEXT_WORKS], 0.03, seed))
    errors = off(found, real, [*TEXT_WORKS[2::3]])
    assert median(errors) < 0.04
    assert max(errors) < 0.3


@pytest.mark.parametrize("overlap", OVERLAPS)
def test_without_noise_the_parameters_are_recovered(overlap: float) -> None:
    crossing = 0.0 if overlap == 1 else 32.0  # with p = 1 weights and `fixed` cannot be told apart
    real = TextCost(2e-3, crossing * 1e-4, 1e-4, 1e-8, 1e-7, overlap, 1e-4)
    found = fit(Component.TEXT, points(real, [*TEXT_WORKS]))
    assert isinstance(found, TextCost)
    assert found.overlap == overlap
    for name in ("fixed_s", "weights_s", "row_s", "pair_s", "context_s", "decode_s"):
        assert getattr(found, name) == pytest.approx(getattr(real, name), rel=1e-3), name


def test_what_the_machine_held_up_hardly_counts() -> None:
    real = EncodeCost(0.01, 1e-4)
    seen = points(real, [*BATCHES], 0.01)
    seen[0] = Point(seen[0].work, 5 * seen[0].seconds, False)
    found = fit(Component.ENCODE, seen)
    assert typical(found, real, [*BATCHES]) < 0.03


def test_points_that_are_held_out_change_nothing() -> None:
    seen = points(EncodeCost(0.01, 1e-4), [*BATCHES], 0.05)
    changed = [Point(p.work, 9.0, True) if p.held_out else p for p in seen]
    assert fit(Component.ENCODE, seen) == fit(Component.ENCODE, changed)


def test_no_parameter_is_below_zero() -> None:
    falling = [Point(BatchWork(1, tokens), 1 / tokens, False) for tokens in (10, 20, 40, 80)]
    found = fit(Component.ENCODE, falling)
    assert isinstance(found, EncodeCost)
    assert found.fixed_s >= 0
    assert found.token_s > 0


def test_no_points_are_one_sentence() -> None:
    with pytest.raises(Unfit, match="expected points to fit, got none"):
        fit(Component.TEXT, [])
