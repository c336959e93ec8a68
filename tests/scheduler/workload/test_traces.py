"""Rows of the two published formats, as they are in shared/data, and rows that are wrong."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from modserve.scheduler.workload.arrivals import Arrival
from modserve.scheduler.workload.draws import sizes
from modserve.scheduler.workload.traces import SERVEGEN_SIZES, BadTrace, Format, read

AZURE = """\
arrival_s,num_images,context_tokens,generated_tokens,num_images_raw,trace_offset_s,source_row
0.0,1,3324,170,1,74192.709,150629
0.06,0,852,54,0,74192.769,150630
0.076,2,247,338,4,74192.785,150631
"""
SERVEGEN = """\
arrival_s,client,num_images,text_tokens,generated_tokens,image_tokens_each
2.55,12,2,2179,45,175|6
2.55,14,0,50,19,
4.156,13,1,0,0,252
"""
SQUARE = sizes("448x448")


def arrivals(text: str | Sequence[str], seed: int = 0) -> tuple[Format, list[Arrival]]:
    lines = text.splitlines(keepends=True) if isinstance(text, str) else text
    form, found = read(lines, SQUARE, Random(seed))
    return form, list(found)


def test_azure_rows_lose_the_tokens_of_their_images_and_get_sizes() -> None:
    form, found = arrivals(AZURE)
    assert (form.name, form.has_sizes) == ("Azure LMM 2025", False)
    assert found == [
        Arrival(0.0, 3324 - 1105, 170, ((448, 448),)),
        Arrival(0.06, 852, 54),
        Arrival(0.076, 247 - 2 * 85, 338, ((448, 448), (448, 448))),  # two small ones
    ]


def test_servegen_rows_tell_the_tokens_of_each_image() -> None:
    form, found = arrivals(SERVEGEN)
    assert (form.name, form.has_sizes) == ("ServeGen", True)
    assert found == [
        Arrival(0.0, 2179, 45, ((370, 370), (69, 69))),  # 28 × 28 pixels for each token
        Arrival(0.0, 50, 19),
        Arrival(pytest.approx(1.606), 1, 1, ((444, 444),)),  # type: ignore[arg-type]
    ]


def test_sizes_are_drawn_as_servegen_has_them() -> None:
    dice = Random(0)
    tokens = sorted((SERVEGEN_SIZES(dice)[0] / 28) ** 2 for _ in range(20_000))
    assert tokens[10_000] == pytest.approx(400, rel=0.05)
    assert tokens[18_000] == pytest.approx(1224, rel=0.05)


def test_rows_are_read_when_they_are_asked_for() -> None:
    lines = [*AZURE.splitlines(), "0.05,not,a,row,,,"]
    _, found = read(lines, SQUARE, Random(0))
    assert [next(found).at_s for _ in range(3)] == [0.0, 0.06, 0.076]
    with pytest.raises(BadTrace):
        next(found)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("context_tokens,", "tokens,", "line 1: expected a column context_tokens, got arrival_s, "),
        ("0.06,", "-1,", "line 3, column arrival_s: expected a number of seconds, 0 or more, got "),
        ("0.076,", "0.01,", "line 4, column arrival_s: expected a number of seconds, 0.06 or more"),
        ("0.06,", "soon,", "line 3, column arrival_s: expected a number of seconds"),
        ("0.06,", "nan,", "line 3, column arrival_s: .*, got nan"),
        ("852", "8.5", "line 3, column context_tokens: expected a whole number .* digits, got 8.5"),
        ("852", "9" * 5000, "column context_tokens: expected a whole number of at most 9 digits"),
        ("852", "", "line 3, column context_tokens: .*, got nothing"),
        ("170,", "-170,", "line 2, column generated_tokens: .*, got -170"),
        (",150630", "", "line 3: expected 7 columns, got 6"),
        ("852", '"8"52', "line 3: expected comma-separated values: "),
    ],
)
def test_a_wrong_azure_row_is_named(old: str, new: str, expected: str) -> None:
    assert old in AZURE
    with pytest.raises(BadTrace, match=expected):
        arrivals(AZURE.replace(old, new, 1))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "175|6",
            "175",
            "line 2, column image_tokens_each: expected as many numbers as ",
        ),
        ("175|6", "175|x", r"line 2, column image_tokens_each: .*, got 175\|x"),
        ("175|6", "175|", "line 2, column image_tokens_each: "),
        ("text_tokens", "texts", "line 1: expected a column text_tokens, got "),
    ],
)
def test_a_wrong_servegen_row_is_named(old: str, new: str, expected: str) -> None:
    with pytest.raises(BadTrace, match=expected):
        arrivals(SERVEGEN.replace(old, new, 1))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "expected a line that names the columns, got an empty trace"),
        ("\n\n", "got an empty trace"),
        (AZURE.splitlines()[0], "expected rows under the names of the columns, got none"),
        ("a,b\n1,2\n", "line 1: expected a column arrival_s, got a, b"),
    ],
)
def test_a_trace_without_rows_is_none(text: str, expected: str) -> None:
    with pytest.raises(BadTrace, match=expected):
        arrivals(text)


fields = some.text(some.sampled_from('0123456789.|,"-e\n x'), max_size=12)


@settings(deadline=None)  # the machine is shared
@given(some.lists(some.lists(fields, min_size=7, max_size=7), max_size=5))
def test_whatever_stands_there_is_a_row_or_a_sentence(rows: list[list[str]]) -> None:
    text = AZURE + "\n".join(",".join(row) for row in rows)
    found: list[Arrival] = []
    told = ""
    try:
        _, found = arrivals(text)
    except BadTrace as error:
        told = str(error)
    assert "\n" not in told
    assert [one.at_s for one in found] == sorted(one.at_s for one in found)
    assert all(one.text_tokens >= 1 and one.output_tokens >= 1 for one in found)


@settings(deadline=None)
@given(some.lists(some.tuples(some.floats(0, 1e6), some.integers(0, 9), some.integers(0, 10**6))))
def test_every_well_formed_row_is_an_arrival(rows: list[tuple[float, int, int]]) -> None:
    head = AZURE.splitlines()[0]
    lines = [f"{at_s!r},{images},{tokens},{tokens},0,0,0" for at_s, images, tokens in sorted(rows)]
    if not lines:
        return
    _, found = arrivals([head, *lines])
    assert len(found) == len(lines)
    assert found[0].at_s == 0.0
    assert [len(one.images) for one in found] == [images for _, images, _ in sorted(rows)]
