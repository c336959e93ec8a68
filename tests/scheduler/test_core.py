"""The core by hand: one event, the commands that follow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from modserve.scheduler import events as on
from modserve.scheduler.commands import (
    Command,
    Decode,
    Drop,
    Encode,
    End,
    Forget,
    Prefill,
    Release,
    Stop,
    Supply,
)
from modserve.scheduler.core import Core
from modserve.scheduler.invariants import check
from modserve.scheduler.media import MediaItem
from modserve.scheduler.request import InvalidTransition, Phase, Request
from modserve.scheduler.stage import ROLES
from modserve.scheduler.terms import Terms

TERMS = Terms(block_size=4, row_bytes=10, staging_row_bytes=10)


def request(name: str, *images: str, prompt: int = 8, answer: int = 4, rows: int = 2) -> Request:
    media = [MediaItem(key, rows=rows, work=rows) for key in images]
    return Request(name, prompt_tokens=prompt, max_tokens=answer, deadline=100.0, media=media)


def joined(name: str, role: str, epoch: int = 1, blocks: int = 16, store: int = 100) -> on.Joined:
    return on.Joined(name, epoch, ROLES[role], blocks, store, 100)


class Hands:
    """Feeds a core and checks it after every event."""

    def __init__(self, core: Core) -> None:
        self.core, self.now = core, 0.0

    def __call__(self, *events: on.Event) -> list[Command]:
        commands: list[Command] = []
        for event in events:
            self.now += 0.01
            commands += self.core.handle(event, self.now)
            check(self.core)
        return commands


Make = Callable[..., Hands]


@pytest.fixture
def make() -> Make:
    return lambda terms=TERMS, bind="first": Hands(Core(terms, bind))


def test_text_waits_for_a_worker_and_goes_through(make: Make) -> None:
    core = make()
    assert core(on.Arrived(request("a"))) == []
    assert core(joined("t", "text")) == [Prefill("t", "a", 1, "t")]
    assert core(on.Prefilled("a", "t", 1, 1), on.Progressed("a", "t", 1, 2)) == []
    release, end = core(on.Finished("a", "t", 1, 4, "length"))
    assert release == Release("t", "a", 1)
    assert isinstance(end, End)
    assert (end.request.phase, end.request.emitted) == (Phase.DONE, 4)


def test_images_of_one_request_spread_over_encode_workers(make: Make) -> None:
    core = make()
    core(joined("e0", "encode"), joined("e1", "encode"), joined("t", "text"))
    commands = core(on.Arrived(request("a", "x", "y", "z")))
    assert [one.replica for one in commands if isinstance(one, Encode)] == ["e0", "e1", "e0"]


def test_the_same_image_is_encoded_once_within_and_among_requests(make: Make) -> None:
    core = make(bind="all")
    core(joined("e", "encode"), joined("t", "text"))
    assert core(on.Arrived(request("a", "x", "x"))) == [Encode("e", "x", 1, "a", 0)]
    assert core(on.Arrived(request("b", "x"))) == []
    commands = core(on.Encoded("x", "e", 1))
    assert [one for one in commands if isinstance(one, Supply)] == [
        Supply("t", "a", 1, 0, "x"),
        Supply("t", "a", 1, 1, "x"),
        Supply("t", "b", 2, 0, "x"),
    ]
    core(*(on.Pulled("a", "t", 1, index) for index in (0, 1)), on.Pulled("b", "t", 2, 0))
    assert core(on.Prefilled("a", "t", 1, 1)) == []
    assert core(on.Prefilled("b", "t", 2, 1)) == []


def served(core: Hands, name: str, key: str) -> list[Command]:
    """A request with one image, from its arrival to its end."""
    commands = core(on.Arrived(request(name, key)))
    run = core.core.requests[name].run
    if encodes := [one for one in commands if isinstance(one, Encode)]:
        commands += core(on.Encoded(key, encodes[0].replica, encodes[0].run))
        run = core.core.requests[name].run
    return commands + core(
        on.Pulled(name, "t", run, 0),
        on.Prefilled(name, "t", run, 1),
        on.Finished(name, "t", run, 4, "length"),
    )


def kinds(commands: list[Command], kind: type) -> list[Any]:
    return [one for one in commands if isinstance(one, kind)]


def test_an_image_that_was_seen_before_is_not_encoded_again(make: Make) -> None:
    core = make()
    core(joined("e", "encode"), joined("t", "text"))
    assert len(kinds(served(core, "a", "x"), Encode)) == 1
    again = served(core, "b", "x")
    assert kinds(again, Encode) == []
    assert [one.key for one in kinds(again, Supply)] == ["x"]
    assert (core.core.images.asked, core.core.images.found) == (2, 1)


def test_a_pull_that_nobody_needed_any_more_may_fail(make: Make) -> None:
    core = make()
    core(joined("e", "encode"), joined("t", "text"))
    core(on.Arrived(request("a", "x")), on.Encoded("x", "e", 1), on.Prefilled("a", "t", 1, 1))
    assert core(on.PullFailed("a", "t", 1, 0, gone=True)) == []
    assert core.core.requests["a"].phase is Phase.DECODING


def test_what_was_not_asked_for_longest_makes_way(make: Make) -> None:
    core = make()
    core(joined("e", "encode", store=40), joined("t", "text"))  # room for two
    for name, key in (("a", "x"), ("b", "y"), ("c", "x")):
        served(core, name, key)
    assert [one.key for one in kinds(served(core, "d", "z"), Forget)] == ["y"]
    assert core.core.replicas["e"].cached == {"x": 20, "z": 20}


def test_a_request_keeps_its_own_images_while_it_makes_room(make: Make) -> None:
    core = make()
    core(joined("e", "encode", store=40), joined("t", "text"))
    for name, key in (("a", "x"), ("b", "y")):
        served(core, name, key)
    commands = core(on.Arrived(request("c", "x", "z")))
    assert [one.key for one in kinds(commands, Forget)] == ["y"]
    assert [one.key for one in kinds(commands, Encode)] == ["z"]


@pytest.mark.parametrize(("most", "kept"), [(0, []), (20, ["y"]), (None, ["x", "y"])])
def test_the_cache_has_a_limit(make: Make, most: int | None, kept: list[str]) -> None:
    core = make(replace(TERMS, cache_bytes=most))
    core(joined("e", "encode"), joined("t", "text"))
    for name, key in (("a", "x"), ("b", "y")):
        served(core, name, key)
    assert list(core.core.replicas["e"].cached) == kept


def test_a_cache_holds_up_nobody_who_leaves(make: Make) -> None:
    core = make()
    core(joined("e", "encode"), joined("t", "text"))
    served(core, "a", "x")
    assert core(on.DrainAsked("e")) == [Forget("e", "x", 1), Stop("e")]


@pytest.mark.parametrize(("bind", "after"), [("arrival", 0), ("first", 1), ("all", 2)])
def test_binding_is_a_policy(make: Make, bind: str, after: int) -> None:
    core = make(bind=bind)
    core(joined("e", "encode"), joined("t", "text"))
    seen = [core(on.Arrived(request("a", "x", "y")))]
    seen += [core(on.Encoded("x", "e", 1)), core(on.Encoded("y", "e", 2))]
    bound = [any(isinstance(one, Prefill) for one in commands) for commands in seen]
    assert bound.index(True) == after


def test_cross_attention_waits_for_all_images(make: Make) -> None:
    core = make(Terms(block_size=4, row_bytes=10, staging_row_bytes=10, cross_attention=True))
    core(joined("e", "encode"), joined("t", "text"), on.Arrived(request("a", "x", "y")))
    assert core(on.Encoded("x", "e", 1)) == []
    assert Prefill("t", "a", 1, "t") in core(on.Encoded("y", "e", 2))
    core(on.Pulled("a", "t", 1, 0), on.Pulled("a", "t", 1, 1), on.Prefilled("a", "t", 1, 1))
    staging = core.core.replicas["t"].ledger.staging_bytes
    assert staging.booked == 40, "cross keys and values stay as long as the request decodes"


def test_decode_room_is_booked_before_prefill_begins(make: Make) -> None:
    core = make()
    core(joined("p", "prefill"), joined("d", "decode"))
    assert core(on.Arrived(request("a"))) == [Prefill("p", "a", 1, "d"), Decode("d", "a", 1, "p")]
    core(on.Prefilled("a", "p", 1, 1))
    assert core(on.HandedOver("a", "d", 1)) == [Release("p", "a", 1)]
    assert core(on.Lost("p")) == [Drop("p", 1, "its connection broke")]


def test_no_binding_without_a_decode_worker(make: Make) -> None:
    core = make()
    core(joined("p", "prefill"))
    assert core(on.Arrived(request("a"))) == []
    assert len(core(joined("d", "decode"))) == 2


def test_a_set_of_images_is_booked_whole_or_not_at_all(make: Make) -> None:
    core = make()
    core(joined("e", "encode", store=60), joined("t", "text"))
    assert len(core(on.Arrived(request("a", "u", "v")))) == 2
    assert core(on.Arrived(request("b", "x", "y"))) == []
    assert core(on.Arrived(request("c", "z"))) == [], "nobody overtakes the head of the line"
    commands = core(on.Cancelled("a", "client"))
    assert [one.key for one in commands if isinstance(one, Encode)] == ["x", "y", "z"]


def test_images_wait_in_one_queue_where_an_encoder_has_enough(make: Make) -> None:
    core = make(terms=replace(TERMS, ahead_images=1))
    core(joined("e", "encode"), joined("t", "text", blocks=300))
    first = core(on.Arrived(request("a", "u")), on.Arrived(request("b", "v", "w")))
    assert [one.key for one in first if isinstance(one, Encode)] == ["u", "v", "w"]
    assert core(on.Arrived(request("long", "x", prompt=900))) == []
    assert core(on.Arrived(request("short", "y", prompt=8))) == []
    (run,) = (one.run for one in first if isinstance(one, Encode) and one.key == "u")
    assert not any(isinstance(one, Encode) for one in core(on.Encoded("u", "e", run)))
    (run,) = (one.run for one in first if isinstance(one, Encode) and one.key == "v")
    freed = core(on.Encoded("v", "e", run))
    assert [one.key for one in freed if isinstance(one, Encode)] == ["y"], "the short one passes"


def test_what_can_never_fit_is_refused_with_the_number(make: Make) -> None:
    core = make()
    core(joined("e", "encode", store=30), joined("t", "text", blocks=4))
    (end,) = core(on.Arrived(request("a", prompt=14, answer=4)))
    assert isinstance(end, End)
    assert "need 5 KV blocks" in end.reason
    (end,) = core(on.Arrived(request("b", "x", "y")))
    assert isinstance(end, End)
    assert "need 40 embedding bytes" in end.reason


def test_a_lost_text_worker_sends_its_requests_through_again(make: Make) -> None:
    core = make()
    core(joined("t0", "text"), on.Arrived(request("a")))
    core(on.Prefilled("a", "t0", 1, 1), on.Progressed("a", "t0", 1, 3), joined("t1", "text"))
    assert core(on.Lost("t0")) == [
        Drop("t0", 1, "its connection broke"),
        Prefill("t1", "a", 2, "t1"),
    ]
    assert core(on.Finished("a", "t0", 1, 4, "length")) == [], "a word from the dead is ignored"


def test_a_lost_encode_worker_is_replaced_without_the_client_noticing(make: Make) -> None:
    core = make(bind="all")
    core(joined("e0", "encode"), joined("e1", "encode"), joined("t", "text"))
    core(on.Arrived(request("a", "x", "y")))
    commands = core(on.Lost("e0"))
    assert [(one.replica, one.key) for one in commands if isinstance(one, Encode)] == [("e1", "x")]
    assert not any(isinstance(one, Forget) for one in commands), "y is kept where it is"


def test_an_image_that_was_pulled_needs_no_second_encoding(make: Make) -> None:
    core = make()
    core(joined("e", "encode"), joined("t", "text"), on.Arrived(request("a", "x")))
    core(on.Encoded("x", "e", 1), on.Pulled("a", "t", 1, 0))
    assert core(on.Lost("e")) == [Drop("e", 1, "its connection broke")]
    assert core(on.Prefilled("a", "t", 1, 1)) == []


def test_a_bad_picture_fails_its_request_alone(make: Make) -> None:
    core = make()
    core(joined("e", "encode"), joined("t", "text"))
    core(on.Arrived(request("a", "x")), on.Arrived(request("b", "y")))
    commands = core(on.EncodeFailed("x", "e", 1, "not an image", fault=True))
    assert [one.request.id for one in commands if isinstance(one, End)] == ["a"]
    assert list(core.core.requests) == ["b"]


def test_a_preempted_request_goes_on_with_what_it_has_emitted(make: Make) -> None:
    core = make()
    core(joined("t", "text"), on.Arrived(request("a")), on.Prefilled("a", "t", 1, 2))
    assert core(on.Preempted("a", "t", 1)) == [Release("t", "a", 1), Prefill("t", "a", 2, "t")]
    assert core.core.requests["a"].tokens == 10


def test_a_silent_worker_is_late_then_lost(make: Make) -> None:
    core = make()
    core(joined("t", "text"))
    core.now = 2.0
    assert core(on.Ticked(), on.Arrived(request("a"))) == [], "a late worker gets no new work"
    assert core(on.Heard("t")) == [Prefill("t", "a", 1, "t")]
    core.now = 6.0
    assert any(isinstance(one, Drop) for one in core(on.Ticked()))


def test_a_restarted_worker_takes_over_its_own_name(make: Make) -> None:
    core = make()
    core(joined("t", "text"), on.Arrived(request("a")))
    drop, prefill = core(joined("t", "text", epoch=2))
    assert isinstance(drop, Drop)
    assert drop.epoch == 1
    assert prefill == Prefill("t", "a", 2, "t")


def test_a_drained_worker_stops_when_its_last_request_ends(make: Make) -> None:
    core = make()
    core(joined("t", "text"), on.Arrived(request("a")))
    assert core(on.DrainAsked("t"), on.Arrived(request("b"))) == []
    commands = core(on.Finished("a", "t", 1, 1, "stop"))
    assert Stop("t") in commands
    assert not any(isinstance(one, Prefill) for one in commands)


def test_a_deadline_ends_a_request_that_nobody_serves(make: Make) -> None:
    core = make()
    core(on.Arrived(request("a")))
    core.now = 100.0
    (end,) = core(on.Ticked())
    assert isinstance(end, End)
    assert end.request.phase is Phase.FAILED
    assert "deadline passed after 100.0 s admitted" not in end.reason, "it waits in the text queue"
    assert "queued" in end.reason


def test_a_full_house_refuses_at_once(make: Make) -> None:
    core = make(Terms(max_open=1))
    core(on.Arrived(request("a")))
    (end,) = core(on.Arrived(request("b")))
    assert isinstance(end, End)
    assert "busy" in end.reason


def test_a_finished_request_cannot_move() -> None:
    ended = request("a")
    for phase in (Phase.ADMITTED, Phase.CANCELLED):
        ended.advance(phase, now=0.0)
    with pytest.raises(InvalidTransition, match="PREFILLING after"):
        ended.advance(Phase.PREFILLING, now=1.0)


def test_nobody_waits_behind_a_request_that_no_worker_here_could_ever_take(make: Make) -> None:
    core = make()
    core(joined("large", "text", blocks=100), joined("small", "text", blocks=4))
    core(joined("e-large", "encode", store=100), joined("e-small", "encode", store=20))
    core(on.DrainAsked("small"), on.DrainAsked("e-small"))
    core(on.Arrived(request("big", prompt=80)), on.Arrived(request("many", "x", "y", "z")))
    core(on.Lost("large"), on.Lost("e-large"))
    core(joined("small", "text", epoch=2, blocks=4), joined("e-small", "encode", 2, store=20))
    assert core(on.Arrived(request("a"))) == [Prefill("small", "a", 2, "small")]
    (encode,) = core(on.Arrived(request("b", "w")))
    assert isinstance(encode, Encode)
    assert (encode.replica, encode.request) == ("e-small", "b")
    assert Prefill("large", "big", 3, "large") in core(joined("large", "text", 3, blocks=100))


def holding(name: str, role: str, *holds: on.Hold, blocks: int = 16) -> on.Joined:
    return on.Joined(name, 1, ROLES[role], blocks, 100, 100, holds)


def test_a_replica_goes_on_with_what_it_decodes_already(make: Make) -> None:
    core = make()
    one = request("a", "x", prompt=8, answer=4)
    one.emitted = 2
    assert core(holding("d", "decode", on.Hold(one, 77))) == []
    assert (one.phase, one.run, core.core.replicas["d"].ledger.kv_blocks.booked) == (
        Phase.DECODING,
        77,
        3,
    )
    core(on.Progressed("a", "d", 77, 3))
    release, end = core(on.Finished("a", "d", 77, 4, "length"))
    assert release == Release("d", "a", 77)
    assert isinstance(end, End)
    assert (end.request.phase, end.request.emitted) == (Phase.DONE, 4)


def test_what_a_replica_went_on_with_starts_over_when_it_is_lost(make: Make) -> None:
    core = make()
    one = request("a", "x")
    one.emitted = 2
    core(holding("t", "text", on.Hold(one, 77)), on.Lost("t"))
    assert (one.phase, one.emitted) == (Phase.ADMITTED, 2)
    (encode,) = core(joined("e", "encode"))
    assert isinstance(encode, Encode)


@pytest.mark.parametrize(("role", "blocks"), [("text", 2), ("prefill", 16), ("encode", 16)])
def test_what_a_replica_cannot_hold_by_our_books_starts_over(
    make: Make, role: str, blocks: int
) -> None:
    core = make()
    one = request("a", prompt=8, answer=4)
    one.emitted = 1
    commands = core(holding("r", role, on.Hold(one, 77), blocks=blocks))
    assert commands == [Release("r", "a", 77)]
    assert (one.phase, one.emitted) == (Phase.QUEUED, 1)


def test_a_run_of_a_request_that_goes_on_elsewhere_is_released(make: Make) -> None:
    core = make()
    core(joined("t", "text"), on.Arrived(request("a")))
    commands = core(holding("u", "text", on.Hold(request("a"), 77)))
    assert commands == [Release("u", "a", 77)]


def storing(name: str, *stores: on.Store, arrivals: tuple[Request, ...] = ()) -> on.Joined:
    return on.Joined(name, 1, ROLES["encode"], 0, 100, 0, (), stores, arrivals)


def test_what_a_replica_stores_already_is_not_encoded_again(make: Make) -> None:
    core = make()
    core(joined("t", "text"))
    one = request("a", "x", "y")
    commands = core(storing("e", on.Store("x", 2, 77), on.Store("z", 2, 78), arrivals=(one,)))
    (encode,) = [command for command in commands if isinstance(command, Encode)]
    assert encode.key == "y"
    assert core.core.replicas["e"].cached == {"z": 20}, "somebody may ask for it"
    assert Supply("t", "a", one.run, 0, "x") in commands


def test_of_two_that_store_the_same_one_forgets_it(make: Make) -> None:
    core = make()
    core(storing("e", on.Store("x", 2, 77), arrivals=(request("a", "x"),)))
    assert core(storing("f", on.Store("x", 2, 78))) == [Forget("f", "x", 78)]


def test_what_ended_unheard_needs_no_room(make: Make) -> None:
    core = make()
    one = request("a", prompt=8, answer=4)
    one.emitted = 2
    commands = core(
        holding("t", "text", on.Hold(one, 77, over=True), blocks=1),
        on.Finished("a", "t", 77, 2, "stop"),
    )
    release, end = commands
    assert release == Release("t", "a", 77)
    assert isinstance(end, End)
    assert end.request.phase is Phase.DONE


def test_what_was_accepted_once_is_not_refused(make: Make) -> None:
    core = make()
    core(joined("t", "text", blocks=1))
    assert core(on.Arrived(request("a"), accepted=True)) == []
    assert core.core.requests["a"].phase is Phase.QUEUED, "it waits for a larger worker"
