"""A replica that is asked for other stages: what it does first, and who may be asked at all."""

from __future__ import annotations

import pytest

from modserve.scheduler import events as on
from modserve.scheduler.commands import Command, Encode, Forget, Prefill, Stop, SwitchStages
from modserve.scheduler.core import Core
from modserve.scheduler.invariants import check
from modserve.scheduler.media import MediaItem
from modserve.scheduler.request import Request
from modserve.scheduler.stage import ROLES, Stage
from modserve.scheduler.switching import missed, needed
from modserve.scheduler.terms import Terms

ENCODE, TEXT, ALL = ROLES["encode"], ROLES["text"], ROLES["all"]


def request(name: str, *images: str) -> Request:
    media = [MediaItem(key, rows=1, work=1) for key in images]
    return Request(name, prompt_tokens=8, max_tokens=4, deadline=100.0, media=media)


def joined(name: str, role: str) -> on.Joined:
    return on.Joined(name, 1, ROLES[role], 16, 100, 100)


def feed(core: Core, *events: on.Event) -> list[Command]:
    commands: list[Command] = []
    for event in events:
        commands += core.handle(event, 1.0)
        check(core)
    return commands


def test_an_idle_replica_switches_at_once_and_comes_back() -> None:
    core = Core(Terms())
    feed(core, joined("t", "text"))
    assert feed(core, on.SwitchAsked("t", ENCODE)) == [SwitchStages("t", ENCODE)]
    assert not core.replicas
    feed(core, joined("t", "encode"))
    assert core.replicas["t"].stages == ENCODE
    assert core.replicas["t"].takes_work


def test_it_ends_what_it_has_and_gets_no_more() -> None:
    core = Core(Terms())
    feed(core, joined("t", "text"), on.Arrived(request("a")))
    assert feed(core, on.SwitchAsked("t", ENCODE), on.Arrived(request("b"))) == []
    commands = feed(core, on.Finished("a", "t", 1, 1, "stop"))
    assert SwitchStages("t", ENCODE) in commands
    assert not any(isinstance(one, Prefill | Stop) for one in commands)


def test_cached_embeddings_are_forgotten_first() -> None:
    core = Core(Terms())
    feed(core, joined("e", "encode"), joined("t", "text"), on.Arrived(request("a", "x")))
    feed(core, on.Encoded("x", "e", 1), on.Prefilled("a", "t", 1, 1))
    assert core.replicas["e"].cached
    assert feed(core, on.SwitchAsked("e", TEXT)) == [
        Forget("e", "x", 1),
        SwitchStages("e", TEXT),
    ]


def test_the_stages_asked_for_last_count_and_its_own_call_the_switch_off() -> None:
    core = Core(Terms())
    feed(core, joined("t", "text"), on.Arrived(request("a")))
    feed(core, on.SwitchAsked("t", ENCODE), on.SwitchAsked("t", ALL))
    assert core.replicas["t"].becomes == ALL
    commands = feed(core, on.SwitchAsked("t", TEXT), on.Arrived(request("b")))
    assert any(isinstance(one, Prefill) for one in commands)
    assert SwitchStages("t", ALL) not in feed(core, on.Finished("a", "t", 1, 1, "stop"))


def test_who_is_asked_to_leave_leaves_whatever_else_is_asked() -> None:
    core = Core(Terms())
    feed(core, joined("t", "text"), on.Arrived(request("a")))
    feed(core, on.SwitchAsked("t", ENCODE), on.DrainAsked("t"), on.SwitchAsked("t", ALL))
    assert Stop("t") in feed(core, on.Finished("a", "t", 1, 1, "stop"))


def test_who_is_away_is_not_asked_again() -> None:
    core = Core(Terms())
    feed(core, joined("t", "text"), on.SwitchAsked("t", ENCODE))
    away = (on.SwitchAsked("t", ALL), on.DrainAsked("t"), on.Heard("t"), on.Lost("t"))
    assert feed(core, *away) == []


def test_an_encoder_gives_up_what_only_itself_could_have_prefilled() -> None:
    """It would wait for a text replica, and the requests for the text replica that it becomes."""
    core = Core(Terms())
    feed(core, joined("e", "encode"), joined("p", "prefill"), on.Arrived(request("a", "x")))
    feed(core, on.Encoded("x", "e", 1))
    assert feed(core, on.SwitchAsked("e", ROLES["decode"]))[-1] == SwitchStages(
        "e", ROLES["decode"]
    )
    commands = feed(core, joined("e", "decode"), joined("e2", "encode"))
    assert any(isinstance(one, Encode) for one in commands)


@pytest.mark.parametrize(
    ("had", "becomes", "others", "images", "expected"),
    [
        ("text", "encode", [], False, ["prefill", "decode"]),
        ("text", "encode", ["text"], False, []),
        ("text", "encode", ["prefill", "encode"], False, ["decode"]),
        ("all", "text", [], False, []),
        ("all", "text", [], True, ["encode"]),
        ("encode", "text", ["all"], True, []),
    ],
)
def test_what_open_requests_would_miss(
    had: str, becomes: str, others: list[str], images: bool, expected: list[str]
) -> None:
    needs = needed([request("a", *(["x"] if images else []))])
    found = missed(ROLES[had], ROLES[becomes], [ROLES[one] for one in others], needs)
    assert found == [Stage(one) for one in expected]


def test_without_open_requests_nothing_is_missed() -> None:
    assert missed(ALL, ENCODE, [], needed([])) == []
