"""The constants of the `modserve` policy, and why they are what they are."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tuning:
    period_s: float = 1.0  # between decisions
    step_s: float = 5.0  # of the forecast: long enough that chance is not taken for a trend
    drain_s: float = 10.0  # a backlog should be gone in, or in a cold start where that is longer
    burst_s: float = 300.0  # bursts are remembered for so long, at most what is gathered
    attainment: float = 0.99
    least_requests: int = 20  # before an attainment means anything
    up_s: float = 2.0  # a replica is launched when it was needed for so long
    starting: int = 8  # replicas, or as many as serve, may start at a time: a capacity that was
    # measured wrongly, or a backlog beyond all hope, must not launch thousands
    down_s: float = 120.0  # a replica leaves when it was not needed for so long, ...
    down_cold_starts: float = 2.0  # ... or for so many cold starts: leaving must not be regretted
    most_regret: int = 8  # times as long, for a pool whose replicas were wanted back before
    margin: float = 0.9  # of what the remaining replicas sustain may be needed when one leaves
    spare_s: float = 10.0  # not needed for so long: may be switched to a pool that starves
    gain: float = 0.8  # a switch between two pools that both starve must lower the worse so far
    switches: int = 4  # decisions to switch, at most, in ...
    switch_window_s: float = 60.0  # ... which no pool both gives and gets

    def __post_init__(self) -> None:
        shortest = min(self.period_s, self.step_s, self.drain_s, self.down_s, self.spare_s)
        shortest = min(shortest, self.burst_s, self.switch_window_s)
        if not shortest > 0:
            raise ValueError("expected every time of the scaling policy to be more than 0 s")
