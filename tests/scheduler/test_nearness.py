"""Prompts go where their beginning was prefilled, or their images lie, unless others are sooner."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modserve.scheduler import events as on
from modserve.scheduler.commands import Prefill
from modserve.scheduler.core import Core
from modserve.scheduler.media import MediaItem
from modserve.scheduler.nearness import beginnings
from modserve.scheduler.replica import Speed
from modserve.scheduler.request import Request
from modserve.scheduler.stage import ROLES

from .test_core import Hands
from .test_routing import TERMS, hands

SYSTEM = list(range(128))
SPEED = Speed(0.001, 0.001, 0.01)


def request(name: str, token_ids: list[int]) -> Request:
    return Request(name, len(token_ids), 4, 100.0, beginnings=beginnings(token_ids, []))


def where(core: Hands, one: Request) -> str:
    (prefill,) = (done for done in core(on.Arrived(one)) if isinstance(done, Prefill))
    return prefill.replica


def ended(core: Hands, *names: str) -> None:
    for name in names:
        one = core.core.requests[name]
        where = one.prefill or ""
        core(on.Prefilled(name, where, one.run, 1), on.Finished(name, where, one.run, 4, "length"))


def test_a_beginning_that_was_seen_attracts_until_others_are_sooner() -> None:
    core = hands(text_a=SPEED, text_b=SPEED)
    assert where(core, request("r0", [*SYSTEM, 1])) == "text_a"
    ended(core, "r0")
    assert where(core, request("other", list(range(500, 600)))) == "text_a"
    assert where(core, request("r1", [*SYSTEM, 2])) == "text_a", "100 to wait for, 128 saved"
    assert where(core, request("r2", [*SYSTEM, 3])) == "text_b"


def test_what_was_prefilled_long_ago_is_not_reckoned_with() -> None:
    core = Hands(Core(TERMS))
    for name in ("a", "b"):
        core(on.Joined(name, 1, ROLES["text"], 100, 0, 0), on.Heard(name, SPEED))
    assert where(core, request("r0", [*SYSTEM, 1])) == "a"
    core(on.Lost("b"))
    for number in range(5):
        assert where(core, request(f"x{number}", [number] * 100)) == "a"
        ended(core, *(["r0"] if not number else []), f"x{number}")
    core(on.Joined("A", 1, ROLES["text"], 100, 0, 0), on.Heard("A", SPEED))
    assert where(core, request("r1", [*SYSTEM, 2])) == "A", "in order of names: nobody knows it"


def test_another_process_under_the_name_knows_nothing() -> None:
    core = hands(text_b=SPEED)
    assert where(core, request("r0", [*SYSTEM, 1])) == "text_b"
    ended(core, "r0")
    core(on.Joined("text_b", 2, ROLES["text"], 10_000, 0, 0), on.Heard("text_b", SPEED))
    core(on.Joined("text_a", 1, ROLES["text"], 10_000, 0, 0), on.Heard("text_a", SPEED))
    assert where(core, request("r1", [*SYSTEM, 2])) == "text_a"


@pytest.mark.parametrize("kept", [False, True], ids=["no prefix cache", "a prefix cache"])
def test_without_a_prefix_cache_no_beginning_is_remembered(kept: bool) -> None:
    core = Hands(Core(replace(TERMS, prefix_cache=kept)))
    for name in ("a", "b"):
        core(on.Joined(name, 1, ROLES["text"], 10_000, 0, 0), on.Heard(name, SPEED))
    where(core, request("r0", [*SYSTEM, 1]))
    ended(core, "r0")
    assert where(core, request("other", list(range(50)))) == "a"
    assert where(core, request("r1", [*SYSTEM, 2])) == ("a" if kept else "b")


def test_who_stores_the_embedding_prefills_it_where_that_is_as_soon() -> None:
    core = hands(all_b=SPEED, text_a=SPEED)
    core(on.Arrived(Request("r", 9, 4, deadline=100.0, media=[MediaItem("x", 3, 3)])))
    (prefill,) = (one for one in core(on.Encoded("x", "all_b", 1)) if isinstance(one, Prefill))
    assert prefill.replica == "all_b"


def test_a_beginning_is_its_tokens_and_its_images() -> None:
    ids = list(range(300))
    plain = beginnings(ids, [])
    assert [tokens for tokens, _ in plain] == [64, 128, 256]
    assert beginnings(ids[:63], []) == ()
    assert beginnings([*ids[:200], 7, *ids[201:]], [])[:2] == plain[:2]
    assert beginnings([*ids[:200], 7, *ids[201:]], [])[2] != plain[2]
    late, other = beginnings(ids, [(100, "x")]), beginnings(ids, [(100, "y")])
    assert late[0] == other[0] == plain[0]
    assert len({late[1], other[1], plain[1]}) == 3
