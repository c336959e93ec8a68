"""One run of the simulator in a process of its own, so that its memory is nobody else's.

    python -m modserve.bench.simulating TRACE REQUESTS GPUS SCALE

prints what it took as JSON.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import msgspec

from modserve.cli.sources import traced
from modserve.scheduler.costs.gpus import gpu
from modserve.scheduler.costs.models import model
from modserve.scheduler.workload.streaming import cycled
from modserve.simulator.layout import divide
from modserve.simulator.promises import Monolith, per_request
from modserve.simulator.scenario import Scenario
from modserve.simulator.systems import build, system

SYSTEM, MODEL, GPU = "modserve", "llama3.2-11b", "a100"
FACTOR = 5.0  # of the SLO
KIB = 1024


class Took(msgspec.Struct, frozen=True):
    requests: int
    gpus: int
    scale: float
    cpu_s: float
    wall_s: float
    peak_mib: float  # of resident memory
    attainment: float
    events: int  # of the virtual clock

    @property
    def request_ms(self) -> float:
        return 1000 * self.cpu_s / self.requests


def run(trace: Path, requests: int, gpus: int, scale: float) -> Took:
    which, spec, card = system(SYSTEM), model(MODEL), gpu(GPU)
    cluster = build(which, spec, card, divide(gpus, which.shares), scales=False)
    source = traced(trace, 0, None, None, None)
    scenario = Scenario(
        cluster,
        lambda: cycled(source.begin, requests),
        per_request(Monolith(spec, card), FACTOR),
    )
    cpu_s, wall_s = time.process_time(), time.monotonic()
    found = scenario.run(scale)
    return Took(
        requests=requests,
        gpus=gpus,
        scale=scale,
        cpu_s=time.process_time() - cpu_s,
        wall_s=time.monotonic() - wall_s,
        peak_mib=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIB,
        attainment=found.tally.all.attainment or 0.0,
        events=found.ran.events,
    )


if __name__ == "__main__":
    trace, requests, gpus, scale = sys.argv[1:]
    took = run(Path(trace), int(requests), int(gpus), float(scale))
    print(msgspec.json.encode(took).decode())
