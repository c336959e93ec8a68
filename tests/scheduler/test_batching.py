from __future__ import annotations

from dataclasses import replace
from math import inf

from hypothesis import given
from hypothesis import strategies as st

from modserve.scheduler.aging import AGING, rank
from modserve.scheduler.batching import Grower, Runnable, next_batch, preempt, tightest


def decoding(name: str, order: int) -> Runnable:
    return Runnable(name, order, computed=10, ready=11, decoding=True)


def prefilling(name: str, order: int, computed: int, ready: int) -> Runnable:
    return Runnable(name, order, computed, ready, decoding=False)


def came(name: str, at_s: float, tokens: int, computed: int = 0) -> Runnable:
    return Runnable(name, rank(at_s, tokens), computed, ready=tokens, decoding=False)


def test_decodes_come_first_then_prefills_under_way_then_new_ones() -> None:
    runnable = [
        came("new", 0.01, tokens=100),
        came("under way", 0.0, tokens=100, computed=88),
        decoding("decoding", 2),
    ]
    assert next_batch(runnable, 32) == [("decoding", 1), ("under way", 12), ("new", 19)]


def test_the_gap_of_a_step_is_that_of_its_most_hurried_decode() -> None:
    hurried, prompt = replace(decoding("a", 1), gap_s=0.1), replace(came("b", 0.0, 9), gap_s=0.05)
    assert tightest([hurried, replace(decoding("c", 2), gap_s=2.5), prompt]) == 0.1
    assert tightest([prompt]) == inf


def test_of_prompts_as_long_the_first_one_goes_first() -> None:
    runnable = [came("second", 0.01, 8), came("first", 0.0, 8)]
    assert next_batch(runnable, 12) == [("first", 8), ("second", 4)]


def test_a_short_prompt_overtakes_a_long_one_that_has_not_waited_for_long() -> None:
    long, bound_s = came("long", 0.0, 1010, computed=200), 800 / AGING
    assert next_batch([long, came("short", 0.99 * bound_s, 10)], 10) == [("short", 10)]
    assert next_batch([long, came("late", 1.01 * bound_s, 800)], 10) == [("long", 3), ("late", 7)]


def test_a_long_prompt_that_age_put_first_shares_with_shorter_ones_alone() -> None:
    old = came("old", 0.0, 1000)
    later = [came("longer", 60.0, 1100), came("short", 61.0, 3), came("shorter", 62.0, 2)]
    assert next_batch([old, *later], 20) == [("old", 15), ("shorter", 2), ("short", 3)]
    assert next_batch([old, later[0]], 20) == [("old", 20)]


@given(
    st.lists(st.tuples(st.floats(0, 60), st.integers(1, 5000)), min_size=1, max_size=30),
    st.integers(1, 64),
)
def test_whoever_is_first_goes_on_by_a_quarter_of_a_step_at_least(
    prompts: list[tuple[float, int]], budget: int
) -> None:
    runnable = [came(str(i), at_s, tokens) for i, (at_s, tokens) in enumerate(prompts)]
    first = min(runnable, key=lambda one: one.rank)
    batch = dict(next_batch(runnable, budget))
    assert batch[first.request_id] >= min(first.ready, budget / 4)
    assert sum(batch.values()) == min(budget, sum(one.ready for one in runnable))


@given(
    st.lists(st.tuples(st.floats(0, 60), st.integers(1, 5000)), min_size=2, max_size=30),
    st.integers(1, 64),
)
def test_nobody_is_put_off_for_longer_than_its_length_says(
    prompts: list[tuple[float, int]], budget: int
) -> None:
    """Those who go first came at most tokens / AGING seconds later."""
    runnable = [came(str(i), at_s, tokens) for i, (at_s, tokens) in enumerate(prompts)]
    first = int(next_batch(runnable, budget)[0][0])
    for at_s, tokens in prompts:
        assert prompts[first][0] <= at_s + tokens / AGING + 1e-9


def test_a_prefill_stops_in_front_of_a_span_that_has_not_landed() -> None:
    runnable = [prefilling("waiting", 0, computed=5, ready=5), prefilling("text", 1, 0, 9)]
    assert next_batch(runnable, 32) == [("text", 9)]


def test_decodes_run_even_when_they_alone_exceed_the_budget() -> None:
    runnable = [decoding(str(number), number) for number in range(4)]
    runnable.append(prefilling("late", 4, 0, 9))
    assert next_batch(runnable, 2) == [("0", 1), ("1", 1), ("2", 1), ("3", 1)]


def test_nobody_gives_way_while_blocks_are_free() -> None:
    assert preempt([Grower("a", 0, held=3, needed=1), Grower("b", 1, held=3, needed=0)], 1) == []


def test_the_youngest_decoding_request_gives_way() -> None:
    growers = [Grower("young", 9, held=2, needed=0), Grower("old", 1, held=2, needed=1)]
    assert preempt(growers, 0) == ["young"]


def test_a_lone_request_that_outgrew_the_replica_gives_way_itself() -> None:
    assert preempt([Grower("alone", 0, held=4, needed=1)], 0) == ["alone"]


GROWERS = st.lists(st.tuples(st.integers(1, 9), st.integers(0, 1)), max_size=12).map(
    lambda rows: [Grower(str(i), i, held, needed) for i, (held, needed) in enumerate(rows)]
)


@given(GROWERS, st.integers(0, 5))
def test_those_who_stay_can_grow_and_the_oldest_are_those_who_stay(
    growers: list[Grower], free: int
) -> None:
    victims = set(preempt(growers, free))
    kept = [grower for grower in growers if grower.request_id not in victims]
    gone = [grower for grower in growers if grower.request_id in victims]
    assert sum(g.needed for g in kept) <= free + sum(g.held for g in gone)
    assert all(k.order < g.order for k in kept for g in gone)
    if gone:  # one victim fewer would not have been enough
        last = min(gone, key=lambda grower: grower.order)
        spared = [*kept, last]
        assert sum(g.needed for g in spared) > free + sum(g.held for g in gone if g is not last)


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40), st.booleans()), max_size=10),
    st.integers(1, 64),
)
def test_a_step_keeps_its_budget_and_never_passes_what_is_ready(
    rows: list[tuple[int, int, bool]], budget: int
) -> None:
    runnable = [
        Runnable(str(i), i, computed, computed + (1 if decode else more), decode)
        for i, (computed, more, decode) in enumerate(rows)
    ]
    batch = dict(next_batch(runnable, budget))
    decodes = sum(request.decoding for request in runnable)
    assert sum(batch.values()) <= max(budget, decodes)
    for request in runnable:
        taken = batch.get(request.request_id, 0)
        assert request.computed + taken <= request.ready
        assert not request.decoding or taken == 1


def test_what_was_promised_sooner_goes_first_for_as_long_as_the_promise_is_longer() -> None:
    batch = Runnable("batch", rank(0.0, 100, ttft_s=60.0), 0, ready=100, decoding=False)
    for at_s, expected in ((59.0, "urgent"), (60.0, "batch")):
        urgent = Runnable("urgent", rank(at_s, 100, ttft_s=0.5), 0, ready=100, decoding=False)
        assert next_batch([batch, urgent], 10) == [(expected, 10)]


@given(
    st.lists(
        st.tuples(st.floats(0, 60), st.integers(1, 5000), st.floats(0, 60)), min_size=2, max_size=30
    )
)
def test_nobody_is_put_off_by_those_who_come_after_its_promise_and_its_length(
    prompts: list[tuple[float, int, float]],
) -> None:
    ranks = [rank(at_s, tokens, ttft_s) for at_s, tokens, ttft_s in prompts]
    for (at_s, tokens, ttft_s), own in zip(prompts, ranks, strict=True):
        overtaking = [other[0] for other, its in zip(prompts, ranks, strict=True) if its < own]
        assert all(later <= at_s + ttft_s + tokens / AGING + 1e-6 for later in overtaking)
