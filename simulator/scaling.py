"""Autoscaling of a simulated cluster: the policy is the controller's, and so is what it is told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ..scheduler import events as on
from ..scheduler.replica import Replica
from ..scheduler.request import Request
from ..scheduler.scaling.decisions import Abandon, Decision, Grow, Shrink, Switch
from ..scheduler.scaling.demand import Demand
from ..scheduler.scaling.gathering import Measure, measure_of
from ..scheduler.scaling.limits import Limits, PoolLimits
from ..scheduler.scaling.loads import Attainment as Attained
from ..scheduler.scaling.loads import PoolLoad
from ..scheduler.scaling.registry import policy_named
from ..scheduler.slo.attainment import Attainment
from ..scheduler.slo.outcome import outcome
from ..scheduler.slo.window import Counts
from ..scheduler.stage import Stage
from .agenda import PASSING, Agenda
from .cluster import Cluster, Group
from .crew import Crew
from .worker import Worker

TICK_S = 1.0
SUSTAINED = 0.7  # of what a replica could do without a pause, as in the controller
LEAST_LEFT = 0.2  # of a text worker's time, for prefills, however much it decodes


@dataclass(frozen=True, slots=True)
class Pulse:
    """What a worker has done by then."""

    at_s: float
    busy_s: float
    steps: int


@dataclass(frozen=True, slots=True)
class Lately:
    """Shares of a worker's time since the tick before."""

    busy: float
    decoding: float  # steps, if none of them had had a prompt


class Scaling:
    def __init__(
        self,
        cluster: Cluster,
        agenda: Agenda,
        crew: Crew,
        replicas: dict[str, Replica],
    ) -> None:
        self._cluster, self._agenda, self._crew, self._replicas = cluster, agenda, crew, replicas
        self._policy = policy_named(cluster.scheduling.scaling)
        self._demand, self._attainment = Demand(), Attainment()
        self._groups: dict[str, Group] = {}
        for group in cluster.groups:
            self._groups.setdefault(group.pool, group)
        self._pulses: dict[str, Pulse] = {}
        agenda.at(TICK_S, PASSING, self._tick)

    # What happens.

    def admitted(self, request: Request) -> None:
        self._demand.admitted(request, self._agenda.now)

    def prefilled(self, name: str) -> None:
        self._demand.prefilled(name)

    def ended(self, request: Request, arrival_s: float, first_token_s: float | None) -> None:
        self._demand.prefilled(request.id)
        told = outcome(request, arrival_s, first_token_s)
        if told is not None:
            self._attainment.count(told, self._agenda.now)

    def _tick(self) -> None:
        now = self._agenda.now
        lately = {name: self._beat(worker) for name, worker in self._crew.items()}
        self._pulses = {name: self._pulses[name] for name in lately}
        loads = [self._load(pool, group, lately) for pool, group in self._groups.items()]
        for decision in self._policy.decide(loads, self._limits(), now):
            self._carry_out(decision)
        self._agenda.at(now + TICK_S, PASSING, self._tick)

    # What the policy is told.

    def _beat(self, worker: Worker) -> Lately:
        worker.settle()
        now, text = self._agenda.now, worker.text
        steps = text.steps if text is not None else 0
        before = self._pulses.get(worker.name, Pulse(worker.joined_s, 0.0, 0))
        self._pulses[worker.name] = Pulse(now, worker.busy_s, steps)
        seconds = now - before.at_s
        if seconds <= 0.0:
            return Lately(0.0, 0.0)
        decode_s = text.pace.decode_s if text is not None else 0.0
        busy = min(1.0, (worker.busy_s - before.busy_s) / seconds)
        return Lately(busy, min(1.0, (steps - before.steps) * decode_s / seconds))

    def _load(self, pool: str, group: Group, lately: dict[str, Lately]) -> PoolLoad:
        now, cluster = self._agenda.now, self._cluster
        measure = measure_of(group.stages, cross_attention=cluster.spec.geometry.cross_attention)
        gathered = self._demand.gathered(now, measure, group.stages)
        serving, leaving = self._members(group, draining=False), self._members(group, draining=True)
        becoming = (one for one in self._replicas.values() if one.becomes == group.stages)
        starting = [start for start in self._crew.starting.values() if start.group.pool == pool]
        short_s, long_s = self._attainment.windows_s
        return PoolLoad(
            name=pool,
            traffic=gathered.traffic,
            backlog=gathered.backlog,
            capacity=self._capacity(serving, measure, lately),
            serving=len(serving),
            starting=(*(start.at_s for start in starting), *(now for _ in becoming)),
            draining=len(leaving),
            busy=_mean(lately[one.name].busy for one in serving),
            short=self._attained(group.stages, short_s),
            long=self._attained(group.stages, long_s),
            cold_start_s=cluster.cold_start_s,
            switch_s=cluster.switch_s,
        )

    def _members(self, group: Group, *, draining: bool) -> list[Replica]:
        """Whoever is to leave first in front."""
        found = (one for one in self._replicas.values() if one.stages == group.stages)
        chosen = [one for one in found if one.draining is draining and one.becomes is None]
        return sorted(chosen, key=_leaving_order)

    def _capacity(
        self, serving: list[Replica], measure: Measure, lately: dict[str, Lately]
    ) -> float:
        """Tokens a second that one of them sustains; the slowest speaks for all. 0: not known."""
        rates = []
        for one in serving:
            worker = self._crew[one.name]
            if measure is Measure.IMAGE:
                token_s, left = _image_token_s(worker), 1.0
            else:
                token_s = worker.text.pace.token_s if worker.text is not None else 0.0
                left = max(LEAST_LEFT, 1.0 - lately[one.name].decoding)
            if token_s:
                rates.append(SUSTAINED * left / token_s)
        return min(rates, default=0.0)

    def _attained(self, stages: frozenset[Stage], window_s: float) -> Attained:
        now = self._agenda.now
        counts = [self._attainment.counts(window_s, now, stage=one) for one in sorted(stages)]
        worst = min(counts, key=_share)
        return Attained(_share(worst), worst.sent, window_s)

    def _limits(self) -> Limits:
        asked = self._cluster.scheduling.limits
        own = {pool: PoolLimits(gpus=group.gpus) for pool, group in self._groups.items()}
        return Limits({**own, **asked.pools}, asked.gpus, asked.means)

    # What is done.

    def _carry_out(self, decision: Decision) -> None:
        match decision:
            case Grow(pool, replicas):
                for _ in range(replicas):
                    self._crew.launch(self._groups[pool])
            case Shrink(pool, replicas):
                for one in self._members(self._groups[pool], draining=False)[:replicas]:
                    self._crew.pump(on.DrainAsked(one.name))
            case Switch(source, target, replicas):
                stages = self._groups[target].stages
                for one in self._members(self._groups[source], draining=False)[:replicas]:
                    self._crew.pump(on.SwitchAsked(one.name, stages))
            case Abandon(pool, replicas):
                starting = self._crew.starting.items()
                late = [name for name, start in starting if start.group.pool == pool]
                for name in late[:replicas]:
                    self._crew.abandon(name)


def _leaving_order(one: Replica) -> tuple[bool, int, str]:
    return bool(one.bound or one.images), len(one.bound) + len(one.images), one.name


def _image_token_s(worker: Worker) -> float:
    return worker.encode.pace.token_s if worker.encode is not None else 0.0


def _mean(values: Iterable[float]) -> float | None:
    known = list(values)
    return sum(known) / len(known) if known else None


def _share(counts: Counts) -> float:
    return 1.0 if counts.share is None else counts.share
