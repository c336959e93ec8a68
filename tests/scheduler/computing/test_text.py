"""The text stage in numbers: several steps at once are what they are one by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from modserve.scheduler.computing.sequence import Doing, Sequence
from modserve.scheduler.computing.text import TextStage
from modserve.scheduler.costs.text import TextCost, TextWork
from modserve.scheduler.pacing import TextPace

COST = TextCost(1e-3, 5e-3, 1e-5, 1e-8, 1e-7, overlap=2.0, decode_s=1e-5)


def sequence(number: int, prompt: int, answer: int) -> Sequence:
    return Sequence(
        id=f"r{number}",
        run=number,
        order=number,
        rank=float(number),
        prompt_tokens=prompt,
        tokens=prompt,
        ends_at=prompt + answer,
        doing=Doing.PREFILLING,
        hand_over=False,
    )


@given(
    power=some.sampled_from((1.0, 2.0, 4.0)),
    decodes=some.integers(1, 100),
    context=some.integers(1, 10**6),
    steps=some.integers(1, 40),
)
def test_steps_in_a_row_take_what_each_takes(
    power: float, decodes: int, context: int, steps: int
) -> None:
    cost = TextCost(1e-3, 5e-3, 1e-5, 1e-8, 1e-7, overlap=power, decode_s=1e-5)
    works = [TextWork((), decodes, context + done * decodes) for done in range(steps)]
    assert cost.decode_times(decodes, context, steps) == [cost.seconds(work) for work in works]


@given(
    asked=some.lists(some.tuples(some.integers(1, 40), some.integers(1, 30)), max_size=6),
    blocks=some.integers(18, 60),
    most=some.integers(1, 50),
)
def test_whoever_ends_does_so_at_the_same_moment(
    asked: list[tuple[int, int]], blocks: int, most: int
) -> None:
    assert story(asked, blocks, most) == story(asked, blocks, 1)


@given(
    asked=some.lists(some.tuples(some.integers(1, 40), some.integers(1, 30)), max_size=6),
    blocks=some.integers(18, 160),
    ample=some.integers(0, 40),
)
def test_blocks_that_nobody_counts_change_nothing(
    asked: list[tuple[int, int]], blocks: int, ample: int
) -> None:
    counted, ended = story(asked, blocks, 8), story(asked, blocks, 8, ample)
    assert _without_blocks(counted) == _without_blocks(ended)


def _without_blocks(told: list[tuple[float, str, int]]) -> list[tuple[float, str, int]]:
    """The first time and the last that somebody was told of, and with how many tokens."""
    names = {name for _, name, _ in told}
    own = [[one for one in told if one[1] == name] for name in sorted(names)]
    return [one for some_of in own for one in (some_of[0], some_of[-1])]


def story(
    asked: list[tuple[int, int]], blocks: int, most: int, ample: int | None = None
) -> list[tuple[float, str, int]]:
    """When who emitted the first token, needed a block, made way or ended, and with how many."""
    text = TextStage(COST, TextPace(32), blocks=blocks, block_size=4, ample=ample)
    for number, (prompt, answer) in enumerate(asked):
        text.add(sequence(number, prompt, answer))
    now, told = 0.0, []
    while (step := text.begin(most)) is not None:
        for seconds in step.times_s:
            now += seconds
        ended = text.end(step)
        for one in (*step.preempted, *ended.first, *ended.crossed, *ended.over):
            told.append((now, one.id, text.tokens_of(one)))
        assert text.used == sum(one.blocks for one in text.sequences.values()) <= blocks
    assert not text.decoding
    return told
