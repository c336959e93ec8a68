"""The emulated text stage by itself: what its steps take, and that its blocks add up."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from modserve.scheduler.costs.text import TextCost, TextWork
from modserve.scheduler.pacing import TextPace
from modserve.transport import codec
from modserve.transport.messages import Prefill, Sampling
from modserve.worker.emulated.answers import tokens
from modserve.worker.emulated.text import Stepped, TextStage

COST = TextCost(1e-3, 5e-3, 1e-5, 1e-8, 1e-7)


def stage(blocks: int, cost: TextCost | None = None) -> TextStage:
    return TextStage(cost, TextPace(32), blocks=blocks, block_size=4, cross=False)


def prefill(number: int, prompt: int, answer: int, emitted: tuple[int, ...] = ()) -> Prefill:
    return Prefill(
        request_id=f"r{number}",
        run=number,
        client=number % 2,
        order=number,
        rank=float(number),
        tpot_s=0.1,
        token_ids=(7,) * prompt + emitted,
        prompt_tokens=prompt,
        spans=(),
        sampling=Sampling(max_tokens=answer, seed=number),
        hand_over=False,
    )


def said(step: Stepped) -> dict[str, list[int]]:
    items = [item for frame in step.news.values() for item in codec.deltas(frame).items]
    return {item.request_id: list(item.token_ids) for item in items}


def test_a_step_takes_what_its_cost_says() -> None:
    text = stage(100, COST)
    text.open(prefill(1, prompt=10, answer=3))
    first = text.begin()
    assert first is not None
    assert first.seconds == COST.seconds(TextWork([(0, 10)]))
    text.told(first)
    text.open(prefill(2, prompt=40, answer=3))
    second = text.begin()
    assert second is not None
    assert second.seconds == COST.seconds(TextWork([(0, 40)], decodes=1, decode_context=11))


def test_a_request_without_room_is_not_taken() -> None:
    text = stage(2)
    assert text.open(prefill(1, prompt=8, answer=1))
    assert not text.open(prefill(2, prompt=1, answer=1))
    text.drop("r1", run=7)
    assert text.used == 2, "another run of it ended"
    text.drop("r1", run=1)
    assert text.used == 0


@given(
    asked=some.lists(some.tuples(some.integers(1, 20), some.integers(1, 12)), max_size=8),
    blocks=some.integers(8, 30),
)
def test_every_request_gets_its_tokens_and_gives_its_blocks_back(
    asked: list[tuple[int, int]], blocks: int
) -> None:
    """Those that had to make way come back behind what they have said."""
    text = stage(blocks)
    waiting = [(n, prompt, answer) for n, (prompt, answer) in enumerate(asked)]
    got: dict[str, list[int]] = {f"r{n}": [] for n, _, _ in waiting}
    while waiting or text.sequences:
        still = [
            (n, prompt, answer)
            for n, prompt, answer in waiting
            if not text.open(prefill(n, prompt, answer, tuple(got[f"r{n}"])))
        ]
        waiting = still
        step = text.begin()
        assert step is not None
        for one in step.preempted:
            number = int(one.id[1:])
            waiting.append((number, *asked[number]))
        for name, token_ids in said(text.told(step)).items():
            got[name] += token_ids
        assert text.used == sum(one.blocks for one in text.sequences.values()) <= blocks
    for n, (_, answer) in enumerate(asked):
        assert tuple(got[f"r{n}"]) == tokens(n, range(answer))
    assert text.used == 0
