"""Admission by prediction: who is refused, who is promised less, and what is said of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from modserve.scheduler import events as on
from modserve.scheduler.commands import Command, End
from modserve.scheduler.core import Core
from modserve.scheduler.media import MediaItem
from modserve.scheduler.nearness import beginnings
from modserve.scheduler.replica import Speed
from modserve.scheduler.request import Phase, Request
from modserve.scheduler.slo.classes import BATCH, CLASSES, INTERACTIVE, STANDARD, SloClass
from modserve.scheduler.slo.slo import slo_of
from modserve.scheduler.terms import Terms

from .test_core import Hands, joined

TERMS = Terms(block_size=4, row_bytes=10, staging_row_bytes=0)
SPEED = Speed(image_token_s=0.001, prompt_token_s=0.001, decode_s=0.01)
NOBODY = SloClass("nobody", 0.5, 1.0)


def request(
    name: str, slo_class: SloClass, tokens: int, *images: tuple[str, int], **promised: float
) -> Request:
    media = [MediaItem(key, rows=1, work=work) for key, work in images]
    slo = slo_of(slo_class, sum(work for _, work in images), **promised)
    return Request(name, tokens, 4, deadline=1000.0, media=media, slo=slo)


def hands(*roles: str, terms: Terms = TERMS, told: bool = True) -> Hands:
    core = Hands(Core(terms, admission="predicted"))
    for number, role in enumerate(roles):
        name = f"{role}{number}"
        core(joined(name, role, blocks=10_000, store=10**6))
        if told:
            core(on.Heard(name, SPEED))
    return core


def is_refused(commands: list[Command]) -> bool:
    return any(isinstance(one, End) for one in commands)


def refused(commands: list[Command]) -> End:
    (end,) = commands
    assert isinstance(end, End)
    assert end.request.phase is Phase.REJECTED
    return end


def test_nobody_is_refused_while_no_speed_is_known() -> None:
    core = hands("text", "encode", told=False)
    for number in range(20):
        core(on.Arrived(request(f"r{number}", INTERACTIVE, 5000)))
    assert len(core.core.requests) == 20
    assert not hands().__call__(on.Arrived(request("a", INTERACTIVE, 5000)))


def test_who_would_be_late_is_refused_with_the_prediction_and_when_to_retry() -> None:
    core = hands("text")
    core(on.Arrived(request("a", INTERACTIVE, 400)))
    end = refused(core(on.Arrived(request("b", INTERACTIVE, 400))))
    expected = "busy: its first token would take 0.80 s where 0.50 s are promised (interactive); "
    assert end.reason == f"{expected}retry in 0.3 s"
    assert end.retry_after_s == pytest.approx(0.3)
    assert "b" not in core.core.requests
    assert not is_refused(core(on.Arrived(request("c", INTERACTIVE, 100)))), "short ones first"


def test_waiting_before_the_core_heard_of_it_counts() -> None:
    assert refused(hands("text")(on.Arrived(request("a", INTERACTIVE, 300), waited_s=0.3)))
    assert not is_refused(hands("text")(on.Arrived(request("a", INTERACTIVE, 300))))


def test_who_would_be_late_behind_nobody_need_not_try_again() -> None:
    end = refused(hands("text")(on.Arrived(request("a", INTERACTIVE, 3000))))
    assert end.reason == (
        "its first token would take 3.00 s where 0.50 s are promised (interactive), "
        "even if nothing were in front of it"
    )
    assert end.retry_after_s is None


def test_what_has_another_class_to_go_to_is_promised_that() -> None:
    core = hands("text")
    core(on.Arrived(request("a", STANDARD, 1900)))
    core(on.Arrived(request("b", STANDARD, 1900, ttft_s=2.5)))
    degraded = core.core.requests["b"]
    assert degraded.slo == slo_of(BATCH)
    assert degraded.rank > 60.0, "it stands where its class stands"
    assert core.core.degraded == 1
    assert core.core.requests["a"].slo == slo_of(STANDARD)


def test_a_refusal_tells_of_every_class_that_was_tried() -> None:
    core = hands("text")
    for number in range(59):
        core(on.Arrived(request(f"a{number}", BATCH, 1_000)))
    core(on.Arrived(request("b", STANDARD, 1_500)))
    end = refused(core(on.Arrived(request("c", STANDARD, 1_500))))
    assert "take 3.00 s where 2.00 s are promised (standard), and " in end.reason
    assert "and 62.00 s where 60.00 s are promised (batch); retry in 1.0 s" in end.reason


def test_those_who_may_wait_are_in_nobody_s_way() -> None:
    core = hands("text")
    for number in range(10):
        core(on.Arrived(request(f"b{number}", BATCH, 5000)))
    core(on.Arrived(request("a", INTERACTIVE, 300)))
    assert "a" in core.core.requests
    assert is_refused(core(on.Arrived(request("c", INTERACTIVE, 300))))


def test_encoding_counts_where_it_is_done_first() -> None:
    core = hands("encode", "encode", "text")
    core(on.Arrived(request("a", NOBODY, 10, ("x", 400), ("y", 300))))
    end = refused(core(on.Arrived(request("b", NOBODY, 10, ("z", 300)))))
    assert "take 0.61 s" in end.reason, "behind y, and its own tokens"
    assert not is_refused(core(on.Arrived(request("c", NOBODY, 10, ("w", 100)))))


def test_what_others_have_encoded_is_not_encoded_again() -> None:
    core = hands("encode", "text")
    core(on.Arrived(request("a", NOBODY, 10, ("x", 450))))
    assert not is_refused(core(on.Arrived(request("b", NOBODY, 10, ("x", 450)))))
    assert is_refused(core(on.Arrived(request("c", NOBODY, 10, ("y", 450)))))


def test_a_beginning_that_is_known_need_not_be_prefilled() -> None:
    core = hands("text")
    system = list(range(512))
    told = {name: request(name, INTERACTIVE, 600) for name in "ab"}
    for one in told.values():
        one.beginnings = beginnings(system, [])
    assert is_refused(core(on.Arrived(told["a"])))
    first = replace(told["a"], phase=Phase.NEW, story=[], slo=slo_of(BATCH))
    core(on.Arrived(first))
    core(on.Prefilled("a", "text0", first.run, 1))
    assert not is_refused(core(on.Arrived(told["b"])))


def test_a_text_is_not_behind_prompts_that_wait_for_their_images() -> None:
    core = hands("encode", "text")
    core(on.Arrived(request("a", STANDARD, 900, ("x", 400))))
    assert not is_refused(core(on.Arrived(request("b", INTERACTIVE, 300))))


def test_who_takes_no_work_is_not_reckoned_with() -> None:
    core = hands("text", "text")
    core(on.DrainAsked("text1"))
    core(on.Arrived(request("a", INTERACTIVE, 400)))
    assert is_refused(core(on.Arrived(request("b", INTERACTIVE, 400))))
    core(joined("text2", "text", blocks=10_000))
    assert not is_refused(core(on.Arrived(request("c", INTERACTIVE, 300))))


def test_a_queue_that_drains_more_slowly_than_the_speeds_say_is_seen() -> None:
    """The pool has room for two prompts at a time, so the third waits for an answer to end."""
    core = hands()
    core(joined("t", "text", blocks=30), on.Heard("t", SPEED))
    calm = SloClass("calm", 0.7, 1.0)
    for name in "abc":
        core(on.Arrived(request(name, calm, 50)))
    assert not is_refused(core(on.Arrived(request("d", calm, 50))))
    for _ in range(20):
        core.now += 0.1
        core(on.Heard("t"), on.Ticked())
    assert "where 0.70 s are promised" in refused(core(on.Arrived(request("e", calm, 50)))).reason
    core(*(on.Cancelled(name, "") for name in "abcd"), on.Ticked())
    assert not is_refused(core(on.Arrived(request("f", calm, 50))))


def test_tokens_that_wait_have_a_budget() -> None:
    core = Hands(Core(replace(TERMS, max_waiting_tokens=1000)))
    core(on.Arrived(request("a", BATCH, 700)))
    end = refused(core(on.Arrived(request("b", BATCH, 301))))
    assert end.reason == ("busy: 700 tokens of prompts wait, this one has 301, the limit is 1000")
    assert not core(on.Arrived(request("c", BATCH, 300)))


def test_the_classes_that_there_are_end_somewhere() -> None:
    assert CLASSES["standard"].degrade_to == "batch"
    assert CLASSES["batch"].degrade_to is None
