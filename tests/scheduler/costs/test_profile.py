"""What a profile says, and which profiles go together."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modserve.scheduler.costs.costs import Costs
from modserve.scheduler.costs.profile import (
    BadProfile,
    BatchWork,
    Component,
    PictureWork,
    costs_from,
    seconds_of,
)
from modserve.scheduler.costs.text import TextWork

from .examples import DERIVED, ENCODE, PREPROCESS, TEXT


def test_costs_are_those_of_the_profiles() -> None:
    assert costs_from([TEXT, PREPROCESS, ENCODE]) == Costs(
        PREPROCESS.cost,  # type: ignore[arg-type]
        ENCODE.cost,  # type: ignore[arg-type]
        TEXT.cost,  # type: ignore[arg-type]
    )
    assert costs_from([TEXT]).encode is None
    assert costs_from([]) == Costs()


def test_two_profiles_of_one_component_are_refused() -> None:
    with pytest.raises(BadProfile, match="expected one profile of encode, got two"):
        costs_from([ENCODE, replace(ENCODE, model="other")])


def test_one_replica_computes_on_one_device() -> None:
    with pytest.raises(BadProfile, match="expected profiles of one device, got cpu and cuda"):
        costs_from([TEXT, DERIVED])
    assert costs_from([PREPROCESS, DERIVED]).encode == DERIVED.cost  # a GPU's pictures come so


def test_a_profile_of_another_model_or_device_is_refused() -> None:
    ENCODE.check("bb", "cpu")
    with pytest.raises(BadProfile, match="encode component ee, got one of bb, measured in one"):
        ENCODE.check("ee", "cpu")
    with pytest.raises(BadProfile, match="expected a profile of encode on cuda, got one on cpu"):
        ENCODE.check("bb", "cuda")


def test_the_error_is_that_of_the_points_that_were_held_out() -> None:
    error = PREPROCESS.error
    assert error is not None
    assert error.median == error.worst == pytest.approx(1 - (0.001 + 2e-8 * 40960) / 0.002)
    assert DERIVED.error is None


def test_a_cost_predicts_its_own_work_alone() -> None:
    assert seconds_of(ENCODE.cost, BatchWork(2, 240)) == pytest.approx(0.028)
    assert seconds_of(TEXT.cost, TextWork()) == 0
    for profile, work in (
        (ENCODE, PictureWork(1)),
        (PREPROCESS, TextWork()),
        (TEXT, BatchWork(1, 1)),
    ):
        with pytest.raises(BadProfile, match="expected a point that"):
            seconds_of(profile.cost, work)


def test_components_have_the_names_of_their_costs() -> None:
    assert {str(one) for one in Component} == {"preprocess", "encode", "text"}
