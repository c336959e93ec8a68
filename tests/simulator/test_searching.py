"""The search alone, on something whose attainment is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from modserve.scheduler.slo.classes import STANDARD
from modserve.scheduler.slo.slo import Slo
from modserve.simulator.outcome import Outcome
from modserve.simulator.scenario import Result, Watch
from modserve.simulator.searching import HoldsNowhere, Probe, Search
from modserve.simulator.simulation import Ran
from modserve.simulator.tally import Tally

SLO = Slo(STANDARD, 1.0, 1.0)
REQUESTS = 200


def known(most: float) -> Callable[[float, Watch], Result]:
    """Serves all but one in a hundred as promised up to a rate, and fewer above it."""

    def run(scale: float, watch: Watch) -> Result:
        tally, late = Tally(), 2 if scale <= most else 3
        for number in range(REQUESTS):
            ttft_s = 2.0 if number < late else 0.5
            tally.watch(outcome := Outcome(number, 0, 9, 1, number + ttft_s, number + 2, slo=SLO))
            watch(outcome)
        return Result(tally, Ran(1.0, 1.0, (), {}, 0))

    return run


@settings(deadline=None)  # the machine is shared
@given(some.floats(0.001, 1e5), some.floats(0.01, 100), some.floats(0.001, 0.5))
def test_what_is_found_holds_and_a_little_more_does_not(
    most: float, start: float, tolerance: float
) -> None:
    found = Search(known(most), REQUESTS, 0.99, tolerance=tolerance).highest(start)
    assert found.scale <= most <= found.scale * (1 + tolerance) * (1 + 1e-9)
    assert found.result.tally.all.attainment == 0.99
    assert len(found.probes) < 60
    held = [probe.scale for probe in found.probes if probe.holds]
    assert found.scale == max(held)


def test_every_rate_that_was_tried_is_told() -> None:
    told: list[Probe] = []
    found = Search(known(3.0), REQUESTS, 0.99, tolerance=0.02, told=told.append).highest()
    assert told == found.probes
    assert [probe.scale for probe in told[:3]] == [1.0, 2.0, 4.0]
    assert all(probe.holds is (probe.scale <= 3.0) for probe in told)
    assert all(probe.attainment >= 0.99 for probe in told if probe.holds)
    assert all(probe.attainment < 0.99 for probe in told if not probe.holds)


def test_what_holds_at_no_rate_is_one_sentence() -> None:
    with pytest.raises(HoldsNowhere, match=r"expected a rate at which 99\.0% are served"):
        Search(known(0.0), REQUESTS, 0.99, tolerance=0.02).highest()
