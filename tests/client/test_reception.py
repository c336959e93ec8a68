"""Deltas become one answer, whatever of them is repeated; what is lost is told."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modserve.client.errors import AnswerBroken, ModserveError
from modserve.client.reception import Reception
from modserve.transport.messages import Delta, Sampling, Submit

from .scripted import ended


def reception(max_tokens: int = 100) -> Reception:
    return Reception(Submit("r", Sampling(max_tokens=max_tokens)), [b"pixels"], opened_at=0.0)


def failure(broken: Reception) -> ModserveError:
    with pytest.raises(AnswerBroken) as caught:
        asyncio.run(broken.ended())
    return caught.value


@st.composite
def answers(draw: st.DrawFn) -> tuple[list[str], list[int], list[int]]:
    """The text that each token adds, and two ways to cut the tokens into deltas."""
    words = draw(st.lists(st.text("abc", max_size=3), min_size=1, max_size=20))
    cuts = [
        sorted({0, len(words), *draw(st.lists(st.integers(0, len(words)), max_size=6))})
        for _ in range(2)
    ]
    return words, cuts[0], cuts[1]


def cut(words: list[str], cuts: list[int]) -> list[Delta]:
    return [
        Delta("r", a, tuple(range(a, b)), "".join(words[a:b])) for a, b in itertools.pairwise(cuts)
    ]


@given(answers(), st.integers(0, 20))
def test_an_answer_that_begins_again_in_other_parts_goes_on_where_it_was(
    answer: tuple[list[str], list[int], list[int]], heard: int
) -> None:
    words, first, again = answer
    got = reception()
    for delta in [*cut(words, first)[:heard], *cut(words, again)]:
        got.take(delta)
    got.end(ended("r", len(words)))
    assert got.answer().text == "".join(words)
    assert got.answer().token_ids == tuple(range(len(words)))


def test_text_that_was_held_back_to_the_end_is_not_doubled_by_a_repetition() -> None:
    parts = [Delta("r", 0, (1,), "a"), Delta("r", 1, (2,), ""), Delta("r", 2, (), "b")]
    got = reception()
    for delta in [*parts, *parts]:
        got.take(delta)
    got.end(ended("r", 2))
    assert got.answer().text == "ab"


@pytest.mark.parametrize(
    ("delta", "reason"),
    [
        (Delta("r", 3, (9,), "x"), "expected token 2 next, got token 3"),
        (Delta("r", 1, (9,), "x"), "expected a repetition to begin where a part did"),
        (Delta("r", 0, (1, 9), "ab"), "as before, got others"),
        (Delta("r", 0, (1, 2), "ax"), "as before, got others"),
        (Delta("r", 2, (3, 4, 5), "x"), "expected at most 4 tokens, got more"),
    ],
)
def test_what_cannot_follow_breaks_the_answer(delta: Delta, reason: str) -> None:
    got = reception(max_tokens=4)
    got.take(Delta("r", 0, (1, 2), "ab"))
    got.take(delta)
    assert reason in str(failure(got))


def test_an_unread_answer_comes_as_one_chunk_and_ends() -> None:
    async def read() -> None:
        got = reception()
        for at in range(50):
            got.take(Delta("r", at, (at,), "x"))
        got.end(ended("r", 50))
        chunk = await got.chunk()
        assert chunk is not None
        assert (chunk.text, chunk.token_ids) == ("x" * 50, tuple(range(50)))
        assert await got.chunk() is None

    asyncio.run(read())


def test_what_came_before_a_failure_is_still_read() -> None:
    async def read() -> None:
        got = reception()
        got.take(Delta("r", 0, (1,), "a"))
        got.take(Delta("r", 5, (6,), "f"))
        chunk = await got.chunk()
        assert chunk is not None
        assert chunk.text == "a"
        with pytest.raises(AnswerBroken):
            await got.chunk()

    asyncio.run(read())


def test_pixels_are_let_go_at_the_end() -> None:
    got = reception()
    got.end(ended("r", 0))
    assert not got.frames
