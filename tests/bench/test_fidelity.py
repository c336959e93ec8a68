"""What a controller with emulated workers does, and what the simulator says of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from modserve.bench.agreement import Answer, Served, agreements
from modserve.bench.emulating import LOAD, emulated

LOOSE = 1.5  # of means: whoever else uses the machine is in them


def served(*ttfts_s: float) -> Served:
    return Served([Answer(0, one, 0.01) for one in ttfts_s], span_s=2.0)


def test_a_ratio_may_be_off_to_both_sides() -> None:
    found = {one.name: one for one in agreements(served(1.0, 1.0), served(1.05, 1.2))}
    assert found["throughput"].met and found["throughput"].ratio == 1.0
    assert found["TTFT, text p50"].ratio == pytest.approx(1.125)
    assert not found["TTFT, text p50"].met
    fast = {one.name: one for one in agreements(served(1.0, 1.0), served(0.8, 0.8))}
    assert not fast["TTFT, text p90"].met
    assert not any("images" in name for name in found)  # there were none


@pytest.mark.slow
def test_the_simulator_foretells_emulated_workers() -> None:
    """Costs ten times an A100's, so that a machine with other work is no part of them."""
    load = replace(LOAD, requests=12, rate=6.0, output_tokens="4-8", image_share=0.5)
    told = emulated({"encode": 2, "text": 2}, load, slower=10.0)
    assert told.requests == 12
    by_kind = {"TTFT, text", "TTFT, images", "TPOT"}
    for kind in by_kind:
        ratios = [one.ratio for one in told.agreements if one.name.startswith(kind)]
        assert ratios and 1 / LOOSE < np.mean(ratios) < LOOSE, told
