"""Layouts under a workload: whether one holds at a rate, and up to which rate."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..scheduler.costs.gpus import Gpu
from ..scheduler.costs.spec import ModelSpec
from ..scheduler.workload.arrivals import Arrival as Asked
from .layout import Layout, gpus_of
from .promises import Promise
from .scenario import Result, Scenario, Watch
from .searching import HoldsNowhere, Probe, Search
from .systems import System, build

Told = Callable[[Layout, float], None]


@dataclass(frozen=True, slots=True)
class Trial:
    layout: Layout
    scale: float  # times the rate of the workload
    attainment: float  # where it does not hold: at most
    holds: bool = True

    @property
    def gpus(self) -> int:
        return gpus_of(self.layout)

    @property
    def splits(self) -> bool:
        """Whether workers differ in what they do."""
        return len(self.layout) > 1


@dataclass(frozen=True, slots=True)
class Trials:
    system: System
    spec: ModelSpec
    gpu: Gpu
    asked: Sequence[Asked]
    promise: Promise
    attainment: float
    tolerance: float  # of a highest rate: Search
    seed: int = 0
    told: Told = lambda layout, scale: None  # of each run, before it
    seen: dict[tuple[Layout, float], Trial] = field(default_factory=dict)

    def at(self, layout: Layout, scale: float) -> Trial:
        if (found := self.seen.get((layout, scale))) is None:
            probe = self._search(layout).at(scale)
            found = Trial(layout, scale, probe.attainment, probe.holds)
            self.seen[layout, scale] = found
        return found

    def highest(self, layout: Layout, start: float) -> Trial | None:
        """None: it holds at none."""
        try:
            found = self._search(layout).highest(start)
        except HoldsNowhere:
            return None
        best: Probe = max((one for one in found.probes if one.holds), key=lambda one: one.scale)
        return Trial(layout, best.scale, best.attainment)

    def _search(self, layout: Layout) -> Search:
        cluster = build(self.system, self.spec, self.gpu, layout, scales=False)
        scenario = Scenario(cluster, lambda: self.asked, self.promise, self.seed)

        def run(scale: float, watch: Watch) -> Result:
            self.told(layout, scale)
            return scenario.run(scale, watch)

        return Search(run, len(self.asked), self.attainment, tolerance=self.tolerance)
