"""What a story tells about a promise, and which stage owes what was missed."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from modserve.scheduler.media import ItemPhase, MediaItem
from modserve.scheduler.request import Phase, Request
from modserve.scheduler.slo.classes import INTERACTIVE
from modserve.scheduler.slo.outcome import Modality, Outcome, missed, outcome
from modserve.scheduler.slo.slo import Slo, slo_of
from modserve.scheduler.stage import Stage

TEXT = slo_of(INTERACTIVE)  # 0.5 s, 0.05 s
IMAGE = Slo(INTERACTIVE, ttft_s=2.0, tpot_s=0.25, image_s=1.25)
AT = st.integers(0, 64).map(lambda number: number / 8)  # sums of eighths are exact


def ended(
    phase: Phase, end: float, *, slo: Slo = TEXT, emitted: int = 5, ready: float | None = None
) -> Request:
    """Admitted at 0; with an image if it is ready some time."""
    request = Request("a", prompt_tokens=9, max_tokens=9, deadline=99.0, slo=slo, emitted=emitted)
    request.advance(Phase.ADMITTED, 0.0)
    if ready is not None:
        item = MediaItem("key", 4, 4)
        item.advance(ItemPhase.ENCODING, 0.0)
        item.advance(ItemPhase.READY, ready)
        request.media.append(item)
    for passed in (Phase.QUEUED, Phase.PREFILLING):
        request.advance(passed, 0.0)
    request.advance(phase, end)
    return request


def told(request: Request, first_token: float | None) -> Outcome:
    made = outcome(request, 0.0, first_token)
    assert made is not None
    return made


def test_a_text_in_time() -> None:
    made = told(ended(Phase.DONE, end=0.6), first_token=0.4)
    assert made == Outcome(
        "interactive", Modality.TEXT, True, {Stage.PREFILL: True, Stage.DECODE: True}
    )


@pytest.mark.parametrize(
    ("first_token", "end", "late"), [(0.51, 0.6, Stage.PREFILL), (0.4, 0.61, Stage.DECODE)]
)
def test_a_text_that_was_late_somewhere(first_token: float, end: float, late: Stage) -> None:
    made = told(ended(Phase.DONE, end=end), first_token)
    assert not made.met
    assert [stage for stage, met in made.stages.items() if not met] == [late]


@pytest.mark.parametrize(
    ("ready", "first_token", "late"),
    [
        (1.5, 1.9, []),  # it took longer than its part, and the other one made up for it
        (1.5, 2.1, [Stage.ENCODE]),
        (1.0, 2.1, [Stage.PREFILL]),
        (1.5, 3.0, [Stage.ENCODE, Stage.PREFILL]),
        (9.0, 1.5, []),  # encoded again for a run behind the first token
    ],
)
def test_who_owes_a_late_first_token(ready: float, first_token: float, late: list[Stage]) -> None:
    request = ended(Phase.DONE, end=first_token, slo=IMAGE, emitted=1, ready=ready)
    made = told(request, first_token)
    assert made.modality is Modality.IMAGE
    assert [stage for stage, met in made.stages.items() if not met] == late
    assert made.met == (not late)


def test_the_end_that_came_too_soon() -> None:
    """Its deadline passed between its image and its first token."""
    made = told(ended(Phase.FAILED, end=9.0, slo=IMAGE, emitted=0, ready=1.0), None)
    assert not made.met
    assert made.stages == {Stage.ENCODE: True, Stage.PREFILL: False, Stage.DECODE: False}


def test_an_image_that_was_never_encoded() -> None:
    request = ended(Phase.FAILED, end=9.0, slo=IMAGE, emitted=0)
    request.media.append(MediaItem("key", 4, 4))
    assert set(told(request, None).stages.values()) == {False}
    known = ended(Phase.DONE, end=1.0, slo=IMAGE, emitted=1)
    known.media.append(MediaItem("key", 4, 4))
    assert told(known, 1.0).met, "the text replica knew that beginning"


def test_a_failure_behind_good_tokens_is_decode_s() -> None:
    made = told(ended(Phase.FAILED, end=0.5), first_token=0.4)
    assert (made.met, made.stages) == (False, {Stage.PREFILL: True, Stage.DECODE: False})


def test_one_token_has_no_tpot() -> None:
    assert told(ended(Phase.DONE, end=9.0, emitted=1), first_token=0.4).met


def test_a_cancelled_request_does_not_count() -> None:
    assert outcome(ended(Phase.CANCELLED, end=0.1), 0.0, 0.05) is None


def test_a_refused_request_has_missed_what_it_needed() -> None:
    request = Request("a", 9, 9, deadline=99.0, slo=TEXT)
    request.advance(Phase.REJECTED, 0.0)
    assert told(request, None) == missed("interactive", Modality.TEXT)
    assert list(missed("interactive", Modality.TEXT).stages) == [Stage.PREFILL, Stage.DECODE]
    assert list(missed("interactive", Modality.IMAGE).stages) == list(Stage)


@given(AT, AT, AT, st.integers(1, 9), AT, AT)
def test_a_late_first_token_is_owed_by_somebody_and_no_other_one_is(
    ready: float, first: float, end: float, emitted: int, ttft_s: float, image_s: float
) -> None:
    assume(image_s <= ttft_s)
    slo = replace(IMAGE, ttft_s=ttft_s, image_s=image_s)
    made = told(ended(Phase.DONE, end=first + end, slo=slo, emitted=emitted, ready=ready), first)
    in_time = made.stages[Stage.ENCODE] and made.stages[Stage.PREFILL]
    assert in_time == (first <= ttft_s)
    assert made.met == (in_time and made.stages[Stage.DECODE])
