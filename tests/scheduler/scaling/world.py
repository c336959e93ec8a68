"""A small world of queues for scaling policies: two pools, Poisson requests, replicas that take
their time to start. Tokens are a fluid; a replica serves `capacity` of them a second."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from random import Random

from modserve.scheduler.scaling.decisions import Abandon, Decision, Grow, Policy, Shrink, Switch
from modserve.scheduler.scaling.gathering import Gathering, Measure
from modserve.scheduler.scaling.limits import Limits
from modserve.scheduler.scaling.loads import Attainment, PoolLoad

STEP_S = 0.5
IMAGE_TOKENS, TEXT_TOKENS = 1000, 200  # of an image, of a request's text
PATIENCE_S = 2.0  # that a request may wait and meet its SLO
SHORT_S = 20.0

Rate = Callable[[float], float]  # requests/s at a time


def constant(rate: float) -> Rate:
    return lambda now: rate


def step(low: float, high: float, since_s: float, until_s: float) -> Rate:
    return lambda now: high if since_s <= now < until_s else low


@dataclass
class Pool:
    name: str
    measure: Measure
    capacity: float
    cold_start_s: float = 30.0
    switch_s: float = 2.0
    serving: int = 1
    backlog: float = 0.0
    starting: list[tuple[float, float]] = field(default_factory=list)  # (launched, serves from)
    draining: list[float] = field(default_factory=list)  # gone at
    ended: list[tuple[int, int]] = field(default_factory=lambda: [(0, 0)])  # by each step in all:
    # requests that met their SLO, and requests
    work: deque[float] = field(default_factory=lambda: deque(maxlen=20))  # share of each step
    late_steps: int = 0

    @property
    def replicas(self) -> int:
        return self.serving + len(self.starting) + len(self.draining)

    def serve(self, now: float, tokens: float, requests: int) -> None:
        arrived = [one for one in self.starting if one[1] <= now]
        self.starting = [one for one in self.starting if one[1] > now]
        self.draining = [until for until in self.draining if until > now]
        self.serving += len(arrived)
        could = self.serving * self.capacity * STEP_S
        self.backlog += tokens
        done = min(could, self.backlog)
        self.backlog -= done
        self.work.append(done / could if could else 0.0)
        late = self.backlog > PATIENCE_S * self.serving * self.capacity
        self.late_steps += late
        met, ended = self.ended[-1]
        self.ended.append((met + (0 if late else requests), ended + requests))

    def attained(self, window_s: float) -> Attainment | None:
        before = self.ended[-min(len(self.ended), 1 + round(window_s / STEP_S))]
        met, requests = (now - then for now, then in zip(self.ended[-1], before, strict=True))
        return Attainment(met / requests, requests, window_s) if requests else None


class World:
    def __init__(
        self, policy: Policy, limits: Limits, images: Rate, texts: Rate, seed: int = 1
    ) -> None:
        """`images`: requests with one image each; `texts`: those without."""
        self.policy, self.limits, self.images, self.texts = policy, limits, images, texts
        self.dice, self.now = Random(seed), 0.0
        self.gathering = Gathering()
        self.pools = [
            Pool("encode", Measure.IMAGE, 5000.0),
            Pool("text", Measure.TEXT, 4000.0),
        ]
        self.log: list[tuple[float, Decision]] = []
        self.counts: list[tuple[float, int, int]] = []  # (when, encode, text) serving
        self.replica_s = 0.0

    def run(self, seconds: float) -> World:
        for _ in range(ceil(seconds / STEP_S)):
            self._step()
        return self

    def pool(self, name: str) -> Pool:
        return next(pool for pool in self.pools if pool.name == name)

    def serving(self, name: str, at_s: float) -> int:
        place = 1 + [pool.name for pool in self.pools].index(name)
        return int(next(row[place] for row in self.counts if row[0] >= at_s))

    @property
    def late_share(self) -> float:
        """Of the time, in which one pool or the other could not meet its SLO."""
        steps = self.now / STEP_S
        return max(pool.late_steps for pool in self.pools) / steps

    def _step(self) -> None:
        self.now += STEP_S
        images, texts = self._draw(self.images), self._draw(self.texts)
        for _ in range(images):
            self.gathering.arrived(self.now, IMAGE_TOKENS, TEXT_TOKENS)
        for _ in range(texts):
            self.gathering.arrived(self.now, 0, TEXT_TOKENS)
        encode, text = self.pools
        encode.serve(self.now, images * IMAGE_TOKENS, images)
        text.serve(self.now, (images + texts) * TEXT_TOKENS, images + texts)
        if self.now % 1.0 == 0.0:
            self._decide()
        self.counts.append((self.now, encode.serving, text.serving))
        self.replica_s += STEP_S * sum(pool.replicas for pool in self.pools)

    def _decide(self) -> None:
        for one in self.policy.decide(self._loads(), self.limits, self.now):
            self.log.append((self.now, one))
            self._carry_out(one)

    def _draw(self, rate: Rate) -> int:
        """Poisson: exponential gaps until the step is over."""
        left_s, count, now_rate = STEP_S, 0, rate(self.now)
        while now_rate > 0 and (left_s := left_s - self.dice.expovariate(now_rate)) > 0:
            count += 1
        return count

    def _loads(self) -> list[PoolLoad]:
        return [self._load(pool) for pool in self.pools]

    def _load(self, pool: Pool) -> PoolLoad:
        return PoolLoad(
            name=pool.name,
            traffic=self.gathering.snapshot(self.now, pool.measure).traffic,
            backlog=pool.backlog,
            capacity=pool.capacity,
            serving=pool.serving,
            starting=tuple(launched for launched, _ in pool.starting),
            draining=len(pool.draining),
            busy=sum(pool.work) / len(pool.work),
            short=pool.attained(SHORT_S),
            long=pool.attained(120.0),
            cold_start_s=pool.cold_start_s,
            switch_s=pool.switch_s,
        )

    def _carry_out(self, decision: Decision) -> None:
        match decision:
            case Grow(name, replicas, _):
                pool = self.pool(name)
                ready = (self.now, self.now + pool.cold_start_s)
                pool.starting += [ready] * replicas
            case Shrink(name, replicas, _):
                pool = self.pool(name)
                pool.serving -= replicas
                pool.draining += [self.now + 2.0] * replicas
            case Switch(source, target, replicas, _):
                self.pool(source).serving -= replicas
                ready = (self.now, self.now + self.pool(target).switch_s)
                self.pool(target).starting += [ready] * replicas
            case Abandon(name, replicas, _):
                del self.pool(name).starting[:replicas]
