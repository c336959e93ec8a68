"""One load, served by a system that runs and foretold by the simulator.

What a request takes beside the work that costs tell of (controller, client, messages, threads) has
no model: three figures stand for it, seen while nobody else is served, just before the load.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median

from modserve.client.load.record import Record
from modserve.scheduler.costs.costs import Costs
from modserve.scheduler.workload.arrivals import Arrival as Asked
from modserve.simulator.outcome import Outcome

from .agreement import Compared, compared
from .foretelling import Load, foretell, replica, send

TEXT, PICTURED = Asked(0.0, 160, 12), Asked(0.0, 160, 12, ((480, 360),))
TIMES = 8  # of each, one after another
SEED = 1_000_000  # no load has these texts: nothing of them is in a cache


@dataclass(frozen=True, slots=True)
class Alone:
    """Seconds beyond the costs; below 0 where these were measured on a slower machine."""

    request_s: float = 0.0  # of a request, until its first token
    step_s: float = 0.0  # of each step
    image_s: float = 0.0  # of a picture

    def added(self, costs: Costs) -> Costs:
        """The step's to each step, the picture's to its way to the text worker."""
        text, link = costs.text, costs.link
        if text is not None:
            text = replace(text, fixed_s=max(0.0, text.fixed_s + self.step_s))
        link = replace(link, latency_s=max(0.0, link.latency_s + self.image_s))
        return replace(costs, text=text, link=link)


@dataclass(frozen=True, slots=True)
class System:
    """`crew`: how many workers of which role."""

    model: Path
    crew: Mapping[str, int]
    costs: Costs
    kv_blocks: int

    def told(self, endpoint: str, load: Load, title: str) -> Compared:
        """By the one at `endpoint`, and by the simulator. Raises ValueError as `compared` does."""
        alone, asked = self._alone(endpoint, images=load.image_share > 0), load.drawn()
        begun = time.monotonic()
        records = send(endpoint, self.model, asked, load.seed)
        took_s = time.monotonic() - begun
        beside_ms = {name[:-2]: 1e3 * seconds for name, seconds in asdict(alone).items()}
        return compared(title, records, self._foretold(asked, records, alone), took_s, beside_ms)

    def _foretold(
        self, asked: Sequence[Asked], records: Sequence[Record], alone: Alone
    ) -> list[Outcome]:
        costs = alone.added(self.costs)
        groups = [replica(role, count, costs, self.kv_blocks) for role, count in self.crew.items()]
        overhead_s = max(0.0, alone.request_s)
        return foretell(self.model, groups, costs.link, asked, records, overhead_s=overhead_s)

    def _alone(self, endpoint: str, *, images: bool) -> Alone:
        ttft_s, step_s = self._beyond(endpoint, TEXT)
        if not images:
            return Alone(ttft_s - step_s, step_s)
        pictured_s, _ = self._beyond(endpoint, PICTURED)
        return Alone(ttft_s - step_s, step_s, pictured_s - ttft_s)

    def _beyond(self, endpoint: str, asked: Asked) -> tuple[float, float]:
        """What TTFT and TPOT of this request have that is not foretold: medians."""
        load = [asked] * TIMES
        records = send(endpoint, self.model, load, SEED, at_once=1)
        outcomes = [self._foretold([asked], [record], Alone())[0] for record in records]
        pairs = list(zip(records, outcomes, strict=True))
        ttfts_s = [real.ttft_s - (told.ttft_s or 0.0) for real, told in pairs]
        tpots_s = [(real.tpot_s or 0.0) - (told.tpot_s or 0.0) for real, told in pairs]
        return median(ttfts_s), median(tpots_s)
