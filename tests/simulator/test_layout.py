"""Layouts as they are typed, and GPUs as they are divided."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from modserve.scheduler.stage import ROLES, Stage
from modserve.simulator.layout import BadLayout, Part, Share, divide, read_layout, write_layout
from modserve.simulator.systems import MONOLITHS, PAPERS_SPLIT

portions = some.tuples(some.floats(0, 1), some.sampled_from([1, 2, 4, 8]))


def test_a_layout_is_read_as_it_is_written() -> None:
    found = read_layout("encode=48@1,text=20@4")
    assert found == (Part(ROLES["encode"], 48, 1), Part(ROLES["text"], 20, 4))
    assert write_layout(found) == "encode=48@1,text=20@4"
    assert sum(part.gpus for part in found) == 128
    (mixed,) = read_layout("encode+prefill=3@8/4")
    assert mixed == Part(frozenset({Stage.ENCODE, Stage.PREFILL}), 3, 8, encode_tp=4)
    assert str(mixed) == "encode+prefill=3@8/4"
    assert str(read_layout("prefill+decode=1@1")[0]) == "text=1@1"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected a layout like encode=48@1,text=20@4 or all=32@4, got $"),
        ("encode=48", "expected a layout like .*, got encode=48"),
        ("encode=48@0", "expected a layout like .*, got encode=48@0"),
        ("vision=48@1", "expected a stage of encode, prefill, decode, text, all, got vision"),
        ("text=1@4,text=2@8", "expected each role once, got text=1@4,text=2@8"),
        ("all=1@4/8", "expected a tower on some of its worker's 4 GPUs, got all=1@4/8"),
        ("text=1@4/1", "expected a tower on some of its worker's 4 GPUs, got text=1@4/1"),
    ],
)
def test_a_layout_that_is_none_is_one_sentence(text: str, expected: str) -> None:
    with pytest.raises(BadLayout, match=expected):
        read_layout(text)


@pytest.mark.parametrize(
    ("gpus", "expected"),
    [
        (5, "text=1@4,encode=1@1"),
        (8, "text=1@4,encode=4@1"),
        (64, "text=10@4,encode=24@1"),
        (128, "text=20@4,encode=48@1"),  # as the paper has it
        (1024, "text=160@4,encode=384@1"),
    ],
)
def test_the_papers_split_for_any_number_of_gpus(gpus: int, expected: str) -> None:
    assert write_layout(divide(gpus, PAPERS_SPLIT)) == expected


def test_what_is_left_over_stays_idle() -> None:
    assert write_layout(divide(10, MONOLITHS)) == "all=2@4"


def test_too_few_gpus_are_one_sentence() -> None:
    with pytest.raises(BadLayout, match="at least 5 GPUs for text on 4 and encode on 1, got 4"):
        divide(4, PAPERS_SPLIT)


@settings(deadline=None)  # the machine is shared
@given(some.integers(1, 2000), some.lists(portions, min_size=1, max_size=3))
def test_no_more_gpus_than_there_are_and_nobody_goes_without(
    gpus: int, portions: list[tuple[float, int]]
) -> None:
    shares = [Share("text", share, tp) for share, tp in portions]
    if gpus < sum(tp for _, tp in portions):
        return
    layout = divide(gpus, shares)
    assert all(part.count >= 1 for part in layout)
    assert gpus - shares[-1].tp < sum(part.gpus for part in layout) <= gpus
