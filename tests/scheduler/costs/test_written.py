"""Profile files: what was written comes back, what was damaged is one sentence."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modserve.scheduler.costs.encode import EncodeCost
from modserve.scheduler.costs.profile import BadProfile, BatchWork, Point, Profile
from modserve.scheduler.costs.text import TextCost, TextWork
from modserve.scheduler.costs.written import read, write

from .examples import DERIVED, ENCODE, PREPROCESS, TEXT

ALL = [PREPROCESS, ENCODE, TEXT, DERIVED]
seconds, parts = st.floats(1e-6, 100), st.floats(1e-9, 1e-3)
counts = st.integers(0, 10**4)
chunks = st.lists(st.tuples(counts, counts), max_size=3).map(tuple)
text_points = st.builds(
    Point,
    st.builds(TextWork, chunks, counts, counts),
    seconds,
    st.booleans(),
)
text_costs = st.builds(TextCost, *[parts] * 5, st.floats(1, 16), parts)


def test_profiles_come_back_as_they_were() -> None:
    assert read(write(ALL)) == ALL
    assert read(write([])) == []


@given(text_costs, st.lists(text_points, max_size=4))
def test_any_text_profile_comes_back(cost: TextCost, points: list[Point]) -> None:
    profile = replace(TEXT, cost=cost, points=tuple(points))
    assert read(write([profile])) == [profile]


def test_a_point_is_a_line() -> None:
    assert sum('"held_out"' in line for line in write([TEXT]).splitlines()) == len(TEXT.points)


def damaged(profile: Profile, change: Callable[[dict[str, Any]], object]) -> str:
    whole = json.loads(write([profile]))
    change(whole["profiles"][0])
    return json.dumps(whole)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected JSON, got Expecting value"),
        ("{", "expected JSON, got"),
        (b"\xff\x00", "expected JSON, got"),
        ("[" * 100_000, "expected JSON, got"),
        ("[]", "expected an object with modserve_profiles, got []"),
        ('{"machine": {}}', "expected an object with modserve_profiles, got {'machine': {}}"),
        ('{"modserve_profiles": 2, "profiles": []}', "expected format 1, got 2"),
        ('{"modserve_profiles": true}', "expected format 1, got True"),
        ('{"modserve_profiles": 1}', "expected profiles in the file, got none"),
        ('{"modserve_profiles": 1, "profiles": 3}', "expected a list of profiles, got 3"),
        ('{"modserve_profiles": 1, "profiles": [3]}', "expected an object for profile 0, got 3"),
        ('{"modserve_profiles": 1, "profiles": [], "x": 1}', "got x too"),
    ],
)
def test_what_is_no_profile_file_is_one_sentence(text: str | bytes, expected: str) -> None:
    with pytest.raises(BadProfile) as caught:
        read(text)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("profile", "change", "expected"),
    [
        (TEXT, lambda p: p.pop("tp"), "expected tp in profile 0, got none"),
        (TEXT, lambda p: p.update(tp=0), "expected a number from 1 up for tp of profile 0, got 0"),
        (TEXT, lambda p: p.update(tp=1.5), "expected a whole number for tp of profile 0, got 1.5"),
        (TEXT, lambda p: p.update(threads=True), "expected a whole number for threads"),
        (TEXT, lambda p: p.update(colour="red"), "in profile 0, got colour too"),
        (TEXT, lambda p: p.update(model=7), "expected text for model of profile 0, got 7"),
        (TEXT, lambda p: p.update(device=None), "expected text for device of profile 0, got None"),
        (TEXT, lambda p: p.update(component="video"), "preprocess, encode, text in profile 0, got"),
        (TEXT, lambda p: p.update(component=[]), "preprocess, encode, text in profile 0, got []"),
        (TEXT, lambda p: p.update(component="encode"), "expected token_s in cost of profile 0"),
        (TEXT, lambda p: p.update(machine=3), "expected an object for machine of profile 0, got 3"),
        (TEXT, lambda p: p["machine"].pop("cores"), "expected cores in machine of profile 0"),
        (TEXT, lambda p: p["cost"].update(row_s=-1), "from 0 up for row_s of cost of profile 0"),
        (TEXT, lambda p: p["cost"].update(row_s=float("nan")), "from 0 up for row_s"),
        (TEXT, lambda p: p["cost"].update(row_s=float("inf")), "from 0 up for row_s"),
        (TEXT, lambda p: p["cost"].update(row_s=10**400), "from 0 up for row_s"),
        (TEXT, lambda p: p["cost"].update(row_s="1"), "from 0 up for row_s of cost"),
        (TEXT, lambda p: p["cost"].update(overlap=0.5), "from 1 up for overlap of cost"),
        (TEXT, lambda p: p["cost"].update(overlap=1e9, row_s=9.0), "a cost that can be computed"),
        (TEXT, lambda p: p["points"].pop(0), "expected the error"),
        (TEXT, lambda p: p["points"].append(None), "expected an object for point 3 of profile 0"),
        (TEXT, lambda p: p["points"][0].update(seconds=0), "above 0 for seconds of point 0"),
        (
            TEXT,
            lambda p: p["points"][0].update(held_out=1),
            "true or false for held_out",
        ),
        (
            TEXT,
            lambda p: p["points"][0]["work"].update(chunks=4),
            "expected a list of chunks",
        ),
        (TEXT, lambda p: p["points"][0]["work"].update(chunks=[[1]]), "expected pairs for chunks"),
        (TEXT, lambda p: p["points"][0]["work"].update(chunks=[[1, -1]]), "from 0 up for chunks"),
        (TEXT, lambda p: p.update(error=None), "expected an object for error of profile 0"),
        (TEXT, lambda p: p["error"].update(median=0.0), "expected the error of profile 0 that"),
        (DERIVED, lambda p: p.update(error={"median": 0, "worst": 0}), "expected the error"),
        (ENCODE, lambda p: p["cost"].update(token_s=0), "above 0 for token_s of cost"),
        (ENCODE, lambda p: p["points"][0]["work"].update(images=0), "from 1 up for images"),
        (PREPROCESS, lambda p: p["points"][0]["work"].update(pixels=0), "from 1 up for pixels"),
    ],
)
def test_a_damaged_profile_is_one_sentence(
    profile: Profile, change: Callable[[dict[str, Any]], object], expected: str
) -> None:
    with pytest.raises(BadProfile) as caught:
        read(damaged(profile, change))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@given(st.data())
def test_a_file_that_was_cut_or_overwritten_never_raises_anything_else(data: st.DataObject) -> None:
    text = write(ALL)
    at = data.draw(st.integers(0, len(text)))
    with suppress(BadProfile):
        read(text[:at] + data.draw(st.text(max_size=3)) + text[at + data.draw(counts) :])


def test_every_field_is_told_apart() -> None:
    point = Point(BatchWork(1, 2), 3.0, True)
    profile = replace(ENCODE, cost=EncodeCost(4.0, 5.0), points=(point,))
    (back,) = read(write([profile]))
    assert (back.cost, back.points) == (EncodeCost(4.0, 5.0), (point,))
