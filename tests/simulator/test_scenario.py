"""A workload at a rate: what a run needs not remember changes nothing."""

from __future__ import annotations

import pytest

from modserve.scheduler.workload.arrivals import Arrival as Asked
from modserve.simulator.arrival import Arrival
from modserve.simulator.cluster import Scheduling
from modserve.simulator.scenario import Scenario
from modserve.simulator.simulation import simulate
from modserve.simulator.tally import Tally

from .clusters import LAYOUTS, arrivals, cluster


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_that_do_not_come_again_need_not_be_kept(layout: tuple[str, ...]) -> None:
    asked = arrivals(3, 40)
    one = cluster(layout, scheduling=Scheduling(image_cache_bytes=None))
    kept, forgotten = Tally(), Scenario(one, lambda: _asked(asked), lambda _: asked[0].slo).run()
    simulate(one, asked, watch=kept.watch)
    assert kept.body() == forgotten.tally.body()


def _asked(some: list[Arrival]) -> list[Asked]:
    return [one.asked for one in some]
