"""Sliding counts against a recount of everything that happened."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from modserve.scheduler.slo.attainment import Attainment
from modserve.scheduler.slo.outcome import Modality, Outcome
from modserve.scheduler.slo.window import Counts, Window
from modserve.scheduler.stage import Stage

SPAN_S, BUCKETS = 30.0, 30
GAPS = st.floats(0, 10) | st.floats(0, 200)

OUTCOMES = st.builds(
    Outcome,
    slo=st.sampled_from(("interactive", "batch")),
    modality=st.sampled_from(Modality),
    met=st.booleans(),
    stages=st.dictionaries(st.sampled_from(Stage), st.booleans()),
)
Timed = list[tuple[float, Outcome]]
LIVES = st.lists(st.tuples(GAPS, OUTCOMES), max_size=60)


def at_times(life: Timed) -> Timed:
    """Gaps to times."""
    now, events = 0.0, []
    for gap, told in life:
        now += gap
        events.append((now, told))
    return events


def recount(events: Timed, window_s: float, now: float, pick: Callable[[Outcome], bool]) -> Timed:
    width = window_s / BUCKETS
    first = now // width - BUCKETS + 1
    return [(at, told) for at, told in events if at // width >= first and pick(told)]


@given(st.lists(st.tuples(GAPS, st.none() | st.booleans())), GAPS)
def test_a_window_is_a_recount(life: list[tuple[float, bool | None]], later: float) -> None:
    window, now, events = Window(SPAN_S, BUCKETS, 2), 0.0, []
    for gap, met in life:
        now += gap
        window.add((None, met), now)
        events.append((now, met))
    now += later
    width = SPAN_S / BUCKETS
    kept = [met for at, met in events if at // width > now // width - BUCKETS and met is not None]
    assert window.counts(0, now) == Counts()
    assert window.counts(1, now) == Counts(len(kept), sum(kept))


@given(LIVES, GAPS)
def test_every_count_is_a_recount(life: Timed, later: float) -> None:
    attainment, events = Attainment((SPAN_S, 300.0), BUCKETS), at_times(life)
    for at, told in events:
        attainment.count(told, at)
    now = (events[-1][0] if events else 0.0) + later
    for window_s in attainment.windows_s:
        for slo in (None, "interactive", "batch", "nobody's"):
            for modality in (None, *Modality):

                def of_row(
                    told: Outcome, slo: str | None = slo, modality: Modality | None = modality
                ) -> bool:
                    return slo in (None, told.slo) and modality in (None, told.modality)

                kept = [told for _, told in recount(events, window_s, now, of_row)]
                counts = attainment.counts(window_s, now, slo=slo, modality=modality)
                assert counts == Counts(len(kept), sum(told.met for told in kept))
                for stage in Stage:
                    needed = [told.stages[stage] for told in kept if stage in told.stages]
                    assert attainment.counts(
                        window_s, now, slo=slo, modality=modality, stage=stage
                    ) == Counts(len(needed), sum(needed))


def test_what_is_older_than_the_window_is_forgotten_and_nothing_younger() -> None:
    attainment = Attainment()
    told = Outcome("standard", Modality.TEXT, True, {})
    attainment.count(told, 1000.0)
    assert attainment.counts(30.0, 1028.9).sent == 1
    assert attainment.counts(30.0, 1030.0).sent == 0
    assert attainment.counts(300.0, 1030.0).sent == 1
    assert attainment.counts(30.0, 1e9).share is None


def test_memory_does_not_grow_with_requests() -> None:
    attainment = Attainment()
    for index in range(2000):
        attainment.count(Outcome("standard", Modality.TEXT, True, {Stage.DECODE: True}), index / 9)
    assert list(attainment.known()) == [("standard", Modality.TEXT)]
    window = Window(SPAN_S, BUCKETS, 1)
    for index in range(2000):
        window.add((True,), index / 9)
    assert len(window._sent) == len(window._met) == BUCKETS
