"""How much of what a worker counts it does a second."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modserve.controller.crew import Member
from modserve.scheduler.stage import ROLES
from modserve.transport import messages as say

HELLO = say.Hello(say.PROTOCOL, "", 1, "a", ("encode",), "here", 1, "cpu", "auto", 2, 1, "")


def member() -> Member:
    return Member("a", b"a", HELLO, ROLES["encode"], joined=0.0, heard=0.0)


def beats(one: Member, at_s: float, tokens: int, busy_s: float) -> None:
    one.heard = at_s
    one.beats(say.Beat(tokens=tokens, busy_s=busy_s))


def rates(one: Member) -> tuple[float | None, float | None]:
    return one.rate(lambda beat: beat.tokens), one.busy


def test_nothing_is_known_before_two_beats() -> None:
    one = member()
    assert rates(one) == (None, None)
    beats(one, 1.0, 5, 0.5)
    assert rates(one) == (None, None)
    beats(one, 1.5, 10, 0.75)
    assert rates(one) == (10.0, 0.5)


@given(st.lists(st.floats(0.05, 3.0), min_size=2, max_size=60), st.floats(0.0, 1.0))
def test_whoever_works_evenly_has_one_rate_whenever_it_beats(
    pauses_s: list[float], share: float
) -> None:
    one, now = member(), 0.0
    for pause_s in pauses_s:
        now += pause_s
        beats(one, now, 0, share * now)
    one.heard = now + 0.2  # another word came since
    assert one.busy == pytest.approx(share, abs=1e-6)


def test_a_change_is_seen_within_seconds() -> None:
    one = member()
    for at in range(100):
        beats(one, 0.25 * at, 0, 0.25 * at)
    for at in range(100, 120):
        beats(one, 0.25 * at, 0, 24.75)
    assert one.busy == 0.0


def test_whoever_counts_anew_has_done_nothing_yet() -> None:
    one = member()
    beats(one, 1.0, 500, 9.0)
    beats(one, 2.0, 500, 9.5)
    beats(one, 3.0, 0, 0.0)
    assert rates(one) == (None, None)
    beats(one, 4.0, 8, 0.25)
    assert rates(one) == (8.0, 0.25)
