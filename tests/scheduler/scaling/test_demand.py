"""What waits for whom: a pool hears of the work that it can do, and of no other."""

from __future__ import annotations

from modserve.scheduler.media import MediaItem
from modserve.scheduler.request import Phase, Request
from modserve.scheduler.scaling.demand import Demand
from modserve.scheduler.scaling.gathering import Measure
from modserve.scheduler.stage import ROLES


def backlogs(demand: Demand, now: float) -> dict[str, float]:
    measures = {"encode": Measure.IMAGE, "text": Measure.TOTAL, "all": Measure.TOTAL}
    return {
        role: demand.gathered(now, measure, ROLES[role]).backlog
        for role, measure in measures.items()
    }


def test_pictures_wait_for_encode_first_and_for_text_then() -> None:
    demand = Demand()
    text = Request("text", prompt_tokens=50, max_tokens=1, deadline=9.0)
    image = Request("image", 70, 1, 9.0, [MediaItem("key", rows=60, work=40)])
    for request in (text, image):
        request.advance(Phase.ADMITTED, 1.0)
        demand.admitted(request, 1.0)
    text.advance(Phase.QUEUED, 1.0)
    assert backlogs(demand, 2.0) == {"encode": 40, "text": 50, "all": 100}
    image.advance(Phase.QUEUED, 2.0)
    assert backlogs(demand, 3.0) == {"encode": 0, "text": 100, "all": 100}
    assert demand.gathered(3.0, Measure.IMAGE, ROLES["encode"]).traffic.over(1.0) >= 0
    for request in (text, image):
        demand.prefilled(request.id)
    assert backlogs(demand, 4.0) == {"encode": 0, "text": 0, "all": 0}
