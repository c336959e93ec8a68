"""What servers did in 2024, as policies of the core: in turn, in order, and inline."""

from __future__ import annotations

import pytest

from modserve.scheduler import events as on
from modserve.scheduler.batching import Runnable, next_batch
from modserve.scheduler.commands import Command, Encode, Prefill
from modserve.scheduler.core import Core
from modserve.scheduler.media import MediaItem
from modserve.scheduler.request import Request
from modserve.scheduler.stage import ROLES
from modserve.scheduler.terms import Terms

from .test_core import Hands

TERMS = Terms(block_size=4, row_bytes=1, staging_row_bytes=1)


def hands(*names: str, **policies: str) -> Hands:
    """Workers by their names: the role before the hyphen."""
    core = Hands(Core(TERMS, **policies))  # type: ignore[arg-type]
    core(*(on.Joined(one, 1, ROLES[one.partition("-")[0]], 100, 100, 100) for one in names))
    return core


def request(name: str, tokens: int = 8, *images: str) -> Request:
    media = [MediaItem(key, rows=1, work=1) for key in images]
    return Request(name, tokens, 4, deadline=100.0, media=media)


def prefills(commands: list[Command]) -> dict[str, str]:
    return {one.request: one.replica for one in commands if isinstance(one, Prefill)}


def encodes(commands: list[Command]) -> dict[str, str]:
    return {one.key: one.replica for one in commands if isinstance(one, Encode)}


def test_in_turn_nobody_looks_at_what_is_pending() -> None:
    core = hands("text-a", "text-b", routing="round-robin")
    went = prefills(core(*(on.Arrived(request(f"r{i}", 40 - 36 * (i % 2))) for i in range(6))))
    assert list(went.values()) == ["text-a", "text-b"] * 3


def test_in_turn_who_joins_late_gets_no_more_than_the_others() -> None:
    core = hands("text-a", routing="round-robin")
    core(*(on.Arrived(request(f"r{i}")) for i in range(5)))
    core(on.Joined("text-b", 1, ROLES["text"], 100, 100, 100))
    went = prefills(core(*(on.Arrived(request(f"s{i}")) for i in range(4))))
    assert list(went.values()) == ["text-b", "text-a"] * 2


def test_in_turn_images_are_spread_one_by_one() -> None:
    core = hands("encode-a", "encode-b", "text-t", routing="round-robin")
    went = encodes(core(on.Arrived(request("r", 8, *"wxyz"))))
    assert sorted(went.values()) == ["encode-a"] * 2 + ["encode-b"] * 2


@pytest.mark.parametrize(("order", "first"), [("slack", "short"), ("fifo", "long")])
def test_who_came_first_is_served_first_however_long(order: str, first: str) -> None:
    core = hands(order=order)
    core(on.Arrived(request("long", 300)), on.Arrived(request("short", 4)))
    assert next(iter(prefills(core(on.Joined("text-t", 1, ROLES["text"], 100, 100, 100))))) == first


@pytest.mark.parametrize(
    ("order", "expected"), [("slack", {"old": 10, "new": 20, "other": 10}), ("fifo", {"old": 40})]
)
def test_a_step_in_order_gives_the_first_all_that_it_can_take(
    order: str, expected: dict[str, int]
) -> None:
    waiting = [
        Runnable(name, rank, 0, ready=tokens, decoding=False)
        for name, rank, tokens in (("old", 0.0, 500), ("new", 1.0, 20), ("other", 2.0, 50))
    ]
    assert dict(next_batch(waiting, 40, order)) == expected


def test_inline_the_worker_that_encodes_all_images_prefills_the_request() -> None:
    core = hands("all-a", "all-b", placing="inline")
    at = {
        name: encodes(core(on.Arrived(request(name, 8, f"{name}1", f"{name}2")))) for name in "rs"
    }
    homes = {name: where[f"{name}1"] for name, where in at.items()}
    assert homes == {"r": "all-a", "s": "all-b"}
    assert all(len(set(where.values())) == 1 for where in at.values())
    core(on.Arrived(request("text", 100)))  # a is where most waits now
    went: dict[str, str] = {}
    for name, home in homes.items():
        went |= prefills(
            core(*(on.Encoded(f"{name}{i}", home, i + 2 * (name == "s")) for i in (1, 2)))
        )
    assert went == homes


def test_inline_a_request_waits_for_its_own_worker_and_leaves_one_that_drains() -> None:
    core = hands("all-a", "all-b", placing="inline")
    core(on.Arrived(request("r", 8, "x")))
    assert core.core.requests["r"].home == "all-a"
    commands = core(on.DrainAsked("all-a"))
    assert encodes(commands) == {"x": "all-b"}
    assert core.core.requests["r"].home == "all-b"


def test_inline_images_are_spread_where_nobody_prefills_what_it_encodes() -> None:
    core = hands("encode-a", "encode-b", "text-t", placing="inline")
    assert set(encodes(core(on.Arrived(request("r", 8, "x", "y")))).values()) == {
        "encode-a",
        "encode-b",
    }
    assert core.core.requests["r"].home is None
