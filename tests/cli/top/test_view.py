"""Keys, and what they do."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modserve.cli.top.keys import Key, keys_in
from modserve.cli.top.view import Drain, Quit, Sort, View, pressed

NAMES = ["encode-0", "text-0", "text-1"]


def after(view: View, *keys: Key) -> View:
    for key in keys:
        view, _ = pressed(view, key, NAMES)
    return view


def test_sorting_goes_round() -> None:
    view, seen = View(), []
    for _ in Sort:
        view = after(view, Key.SORT)
        seen.append(view.sort)
    assert sorted(seen) == sorted(Sort)
    assert view.sort is View().sort


def test_pausing_and_going_on() -> None:
    assert after(View(), Key.PAUSE).paused
    assert not after(View(), Key.PAUSE, Key.PAUSE).paused


@pytest.mark.parametrize(
    ("keys", "selected"),
    [
        ([Key.DOWN], "encode-0"),
        ([Key.DOWN, Key.DOWN], "text-0"),
        ([Key.UP], "text-1"),
        ([Key.UP, Key.DOWN], ""),
        ([Key.UP, Key.DOWN, Key.DOWN], "encode-0"),
    ],
)
def test_selecting_goes_past_the_ends(keys: list[Key], selected: str) -> None:
    assert after(View(), *keys).selected == selected


def test_a_worker_that_has_gone_is_selected_no_more() -> None:
    assert after(View(selected="gone-0"), Key.DOWN).selected == "encode-0"
    assert "select a worker" in after(View(selected="gone-0"), Key.DRAIN).notice


def test_a_drain_needs_a_yes() -> None:
    asking = after(View(selected="text-0"), Key.DRAIN)
    assert asking.asking == "text-0"
    assert pressed(asking, Key.YES, NAMES)[1] == Drain("text-0")
    view, order = pressed(asking, Key.QUIT, NAMES)
    assert (order, view.asking, view.notice) == (None, "", "text-0 was not drained")


def test_q_leaves() -> None:
    assert pressed(View(), Key.QUIT, NAMES)[1] == Quit()


def test_keys_and_arrows_are_told_apart() -> None:
    typed = b"sS jk\x1b[A\x1bOB\x1b[1;5Aqz\x1bd"
    assert keys_in(typed) == (
        [
            *(Key.SORT, Key.SORT, Key.PAUSE, Key.DOWN, Key.UP, Key.UP, Key.DOWN, Key.UP, Key.QUIT),
            *(Key.OTHER, Key.OTHER, Key.DRAIN),
        ],
        b"",
    )


@given(st.binary(), st.integers(0, 50))
def test_keys_may_arrive_in_pieces(typed: bytes, at: int) -> None:
    whole, rest = keys_in(typed)
    first, left = keys_in(typed[:at])
    second, end = keys_in(left + typed[at:])
    assert (first + second, end) == (whole, rest)
