"""Sums by rank against a look at everything that waits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from modserve.scheduler.backlog import WIDTH_S, Backlog

RANKS = st.floats(-1e4, 1e7, allow_nan=False) | st.integers(0, 3000).map(lambda n: n * WIDTH_S)


@given(st.lists(st.tuples(RANKS, st.integers(1, 10**6)), max_size=60), st.data())
def test_what_stands_in_front_is_the_sum_of_the_lower_ranks(
    rows: list[tuple[float, int]], data: st.DataObject
) -> None:
    backlog = Backlog()
    for rank, tokens in rows:
        backlog.add(rank, tokens)
    gone = data.draw(st.integers(0, len(rows)))
    for rank, tokens in rows[:gone]:
        backlog.add(rank, -tokens)
    left = rows[gone:]
    assert backlog.total == sum(tokens for _, tokens in left)
    for rank in (data.draw(RANKS), *(rank for rank, _ in left)):
        place = rank // WIDTH_S
        expected = sum(tokens for its, tokens in left if its // WIDTH_S <= place)
        assert backlog.before(rank) == expected


@given(st.lists(st.tuples(RANKS, st.integers(1, 99)), max_size=30))
def test_what_has_gone_leaves_nothing_behind(rows: list[tuple[float, int]]) -> None:
    backlog = Backlog()
    for sign in (1, -1):
        for rank, tokens in rows:
            backlog.add(rank, sign * tokens)
    assert backlog.total == 0
    assert not any(backlog._levels)
