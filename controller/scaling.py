"""Autoscaling: what a policy is told of the pools, and what is done of what it decides.

The policies are scheduler/scaling/'s, and know no worker by name. Here pools become roles, loads
are read out of the core's books, and a decision becomes a launch, a drain or a change of stages,
each with its reason in the chronicle.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace
from math import inf
from statistics import median
from typing import Any

from ..scheduler import events as on
from ..scheduler.scaling.decisions import Abandon, Decision, Grow, Shrink, Switch
from ..scheduler.scaling.gathering import Measure, measure_of
from ..scheduler.scaling.limits import Limits, Means, PoolLimits
from ..scheduler.scaling.loads import Attainment, PoolLoad
from ..scheduler.scaling.registry import policy_named
from ..scheduler.scaling.tuning import Tuning
from ..scheduler.slo.window import Counts
from ..scheduler.stage import ROLES, Stage, role_of
from .config.tables import ScalingTable
from .crew import Member, Standing
from .office import Office
from .staffing import Staffing
from .switching import Switching

TICK_S = 1.0
COLD_START_S, SWITCH_S = 10.0, 1.0  # while none was seen
SEEN = 9  # launches whose time counts
SUSTAINED = (
    0.7  # of what a replica could do without a pause: queues grow without bound at all of it
)
TELLING = 0.2  # share of its time from which what a replica did says what it can do


class Scaling:
    def __init__(
        self, office: Office, staffing: Staffing, switching: Switching, *, cross_attention: bool
    ) -> None:
        self._office, self._staffing, self._switching = office, staffing, switching
        self._cross_attention = cross_attention
        table = office.options.scaling
        self._policy = policy_named(table.policy, tuning_of(table))
        self._on = table.policy != "off"
        self._launched: dict[str, float] = {}  # that do not serve yet: when
        self._serving: set[str] = set()  # at the last look
        self._took_s: deque[float] = deque([COLD_START_S], maxlen=SEEN)
        self._next_s = 0.0

    @property
    def pools(self) -> list[str]:
        """Roles that are configured, or that somebody has."""
        there = {role for role in ROLES if any(self._members(role))}
        return [role for role in ROLES if role in there or role in self._office.options.stages]

    # Time.

    def begin(self) -> None:
        """As many workers of each role as the configuration starts with."""
        start = {role: table.first for role, table in self._office.options.stages.items()}
        if self._on and start:
            self._staffing.scale(start)

    def tick(self) -> None:
        now = self._office.now()
        if not self._on or now < self._next_s or self._office.closing:
            return
        self._next_s = now + (self._office.options.scaling.period_s or TICK_S)
        self._watch_launches(now)
        loads = [self._load(pool, now) for pool in self.pools]
        for decision in self._policy.decide(loads, self._limits(), now):
            self._carry_out(decision)

    def _watch_launches(self, now: float) -> None:
        serving = {
            one.name: role_of(one.stages)
            for one in self._office.crew
            if one.standing is Standing.SERVING
        }
        for name in serving.keys() - self._serving:
            self._staffing.failures.over(serving[name])
        self._serving = set(serving)
        coming = {name for pool in self.pools for name in self._staffing.coming(pool)}
        for name in coming:
            self._launched.setdefault(name, now)
        for name in [name for name in self._launched if name not in coming]:
            launched = self._launched.pop(name)
            if name in serving:
                self._took_s.append(now - launched)

    # What the policy is told.

    def _load(self, pool: str, now: float) -> PoolLoad:
        members, stages = list(self._members(pool)), ROLES[pool]
        serving = [one for one in members if one.standing is Standing.SERVING]
        measure = measure_of(stages, cross_attention=self._cross_attention)
        gathered = self._office.demand.gathered(now, measure, stages)
        short, long = self._office.attaining.attainment.windows_s
        switched = [now for one in self._office.crew if _becomes(one) == stages]
        return PoolLoad(
            name=pool,
            traffic=gathered.traffic,
            backlog=gathered.backlog,
            capacity=self._capacity(serving, measure),
            serving=len(serving),
            starting=(*(self._since(one) for one in self._coming(pool)), *switched),
            draining=sum(one.standing is Standing.LEAVING for one in members),
            busy=_mean(one.busy for one in serving),
            short=self._attainment(stages, short, now),
            long=self._attainment(stages, long, now),
            cold_start_s=median(self._took_s),
            switch_s=SWITCH_S,
            failures=self._staffing.failures.of(pool).count,
            failed_s=self._staffing.failures.of(pool).last_s,
        )

    def _members(self, pool: str) -> Iterable[Member]:
        """A worker that changes its stages counts where it goes to."""
        return (
            one for one in self._office.crew if one.stages == ROLES[pool] and one.switch is None
        )

    def _coming(self, pool: str) -> list[str]:
        return [name for name in self._staffing.coming(pool) if name in self._launched]

    def _since(self, name: str) -> float:
        """When it was launched. One whose launch has failed is hoped for no more, although it is
        tried again until the policy gives it up: when the next one is due is the policy's part."""
        return -inf if name in self._staffing.failures else self._launched[name]

    def _capacity(self, serving: list[Member], measure: Measure) -> float:
        """Tokens a second that one of them sustains; the slowest speaks for all. 0: not known."""
        rates = []
        for one in serving:
            replica = self._office.core.replicas.get(one.name)
            if replica is None:
                continue
            image = measure is Measure.IMAGE
            token_s = replica.speed.image_token_s if image else replica.speed.prompt_token_s
            if token_s:
                rates.append(SUSTAINED / token_s * (1.0 if image else _left_by_decodes(one)))
        return min(rates, default=0.0)

    def _attainment(self, stages: frozenset[Stage], window_s: float, now: float) -> Attainment:
        attainment = self._office.attaining.attainment
        counts = [attainment.counts(window_s, now, stage=stage) for stage in stages]
        worst = min(counts, key=_share)
        return Attainment(_share(worst), worst.sent, window_s)

    def _limits(self) -> Limits:
        """A worker on a CPU takes no GPU, so the cores are the limit where none is configured."""
        options = self._office.options
        pools = {}
        for pool in self.pools:
            table = options.stages.get(pool)
            cores = max((one.hello.cores for one in self._office.crew), default=1)
            on_gpu = any(one.hello.device.startswith("cuda") for one in self._members(pool))
            most = table.max if table is not None else None
            pools[pool] = PoolLimits(
                least=table.min if table is not None else 1,
                most=most if on_gpu or most is not None else max(cores, 1),
                gpus=1.0 if on_gpu else 0.0,
            )
        means = frozenset(Means(one) for one in options.scaling.means)
        return Limits(pools, options.scaling.gpus, means)

    # What is done.

    def _carry_out(self, decision: Decision) -> None:
        match decision:
            case Grow(pool, replicas, reason):
                self._note("grow", pool, reason)
                self._staffing.grow(pool, replicas)
            case Shrink(pool, replicas, reason):
                self._note("shrink", pool, reason)
                self._staffing.shrink(pool, replicas)
            case Abandon(pool, replicas, reason):
                self._note("abandon", pool, reason)
                self._staffing.abandon(pool, replicas)
            case Switch(source, target, replicas, reason):
                self._note("switch", f"{source} to {target}", reason)
                self._switch(source, target, replicas)

    def _note(self, what: str, pool: str, reason: str) -> None:
        self._office.chronicle.note("scaling", f"{what} {pool}: {reason}", decision=what, pool=pool)

    def _switch(self, source: str, target: str, replicas: int) -> None:
        for member in self._staffing.idlest(source)[:replicas]:
            reason = self._switching.refusal(member, ROLES[target])
            if reason is not None:
                self._office.chronicle.note("scaling", f"not switched: {reason}")
                return
            self._office.pump(on.SwitchAsked(member.name, ROLES[target]))


def _becomes(member: Member) -> frozenset[Stage] | None:
    return member.switch.stages if member.switch is not None else None


def tuning_of(table: ScalingTable) -> Tuning:
    """The usual constants, but for those that are configured. Whoever says how long a worker stays
    that is not needed means it, however long launches take."""
    keys = ("up_s", "down_s", "drain_s", "burst_s", "switch_window_s")
    told: dict[str, Any] = {
        key: value for key in keys if (value := getattr(table, key)) is not None
    }
    if "down_s" in told:
        told["down_cold_starts"] = 0.0
    return replace(Tuning(), **told)


def _left_by_decodes(member: Member) -> float:
    """Of a text worker's time, for prefills: what its answers' tokens take is not to be had."""
    tokens_per_s = member.rate(lambda beat: beat.tokens)
    if tokens_per_s is None or (member.busy or 0.0) < TELLING:
        return 1.0
    decoding = tokens_per_s / max(1, member.beat.running) * member.beat.decode_s
    return max(0.2, 1.0 - min(1.0, decoding))


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _share(counts: Counts) -> float:
    return 1.0 if counts.share is None else counts.share
