"""The plan of the demo in bursts, and what its records are made into."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from modserve.cli.bursting.phases import Phase, Rates, due, phase_at, phases
from modserve.cli.bursting.plot import draw
from modserve.cli.bursting.story import Sample, Story, attainment, sample
from modserve.cli.bursting.usage import Usage
from modserve.client.load.record import Record
from modserve.scheduler.slo.outcome import Modality


def record(due_s: float, ttft_s: float, images: int = 0, error: str = "") -> Record:
    heard = [] if error else [(due_s + ttft_s, 1), (due_s + ttft_s + 0.1, 1)]
    ended_s = due_s + ttft_s + 0.1
    return Record(images, due_s, due_s, heard, ended_s, output_tokens=2, error=error)


def test_a_burst_is_more_than_twice_the_calm_and_hits_one_kind() -> None:
    calm, images, _, texts, last = phases(Rates(image=10, text=20), burst_s=30, calm_s=40)
    assert images.rates.image >= 2 * calm.rates.image
    assert texts.rates.text >= 2 * calm.rates.text
    assert images.rates.text == calm.rates.text
    assert texts.rates.image <= calm.rates.image
    assert calm.rates == last.rates
    assert calm.rates.image <= 5


def test_requests_are_due_in_order_and_within_their_phase() -> None:
    plan = [Phase("calm", 10, Rates(2.0, 0.0)), Phase("burst", 5, Rates(0.0, 8.0))]
    found = due(plan)
    assert [one.at_s for one in found] == sorted(one.at_s for one in found)
    assert [one.modality for one in found] == [Modality.IMAGE] * 20 + [Modality.TEXT] * 40
    assert all(one.at_s <= 10 for one in found[:20])
    assert all(10 <= one.at_s <= 15 for one in found[20:])
    assert found == due(plan)
    assert [phase_at(plan, at_s) for at_s in (0.0, 9.9, 10.0, 15.0, 99.0)] == [0, 0, 1, 1, 1]


def test_rows_count_who_was_due_in_a_phase() -> None:
    plan = [Phase("calm", 10, Rates(1.0, 0.0)), Phase("image burst", 10, Rates(2.0, 0.0))]
    story = Story(
        plan, [record(1, 0.5), record(9, 3.0, 1), record(12, 0.1), record(13, 0, 1, "no")]
    )
    story.samples += [Sample(2.0, {"encode": 1}, 0, 3), Sample(12.0, {"encode": 2}, 1, 4)]
    story.samples.append(Sample(14.0, {"encode": 1}, 0, 4))
    calm, burst = story.rows()
    assert (calm.sent, calm.failed, calm.attainment) == (2, 0, 0.5)
    assert calm.ttft_ms is not None
    assert list(calm.ttft_ms) == pytest.approx([1750, 2975])
    assert (burst.sent, burst.failed, burst.attainment) == (2, 1, 0.5)
    assert burst.workers == {"encode": (1, 2)}
    assert story.failed == 1
    assert story.over_time(attainment, "image") == ([7.5, 12.5], [0.0, 0.0])


def test_what_was_not_reached_has_no_figures() -> None:
    plan = phases(Rates(1.0, 1.0), 1.0, 1.0)
    story = Story(plan)
    assert [(one.sent, one.attainment, one.ttft_ms) for one in story.rows()] == [
        (0, None, None)
    ] * 5


def test_workers_that_come_or_go_serve_nobody() -> None:
    states = [("ready", ["encode"]), ("late", ["decode", "prefill"]), ("loading", ["encode"])]
    workers = [{"state": state, "stages": stages} for state, stages in states]
    seen = sample(1.0, {"workers": workers, "requests": {"open": 7}})
    assert (dict(seen.serving), seen.coming, seen.open) == ({"encode": 1, "text": 1}, 1, 7)


@pytest.mark.slow
def test_any_story_has_a_plot(tmp_path: Path) -> None:
    plan = phases(Rates(1.0, 1.0), 4.0, 4.0)
    story = Story(plan, [record(1, 0.5), record(3, 3.0, 1)], [Sample(2.0, {"encode": 1}, 1, 3)])
    for number, one in enumerate((story, Story(plan))):
        draw(one, tmp_path / f"{number}.png")
        assert (tmp_path / f"{number}.png").stat().st_size > 1000


def test_processor_time_is_that_of_the_processes_asked_for() -> None:
    usage = Usage()
    assert usage.cores([os.getpid()], 1.0) is None
    used = usage.cores([os.getpid(), 2**30], 1.0 + 1e6)
    assert used is not None and 0 <= used < 1
    assert usage.cores([2**30], 3e6) is None
