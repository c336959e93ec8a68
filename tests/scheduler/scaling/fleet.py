"""A fleet that carries decisions out in their order while launches fail, hang and replicas die;
it refuses what breaks a limit."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from modserve.scheduler.scaling.decisions import Abandon, Decision, Grow, Policy, Shrink, Switch
from modserve.scheduler.scaling.limits import Limits, Means, PoolLimits
from modserve.scheduler.scaling.loads import Attainment, PoolLoad, Traffic

POOLS = ("encode", "prefill", "decode")


@dataclass
class Member:
    capacity: float
    cold_start_s: float
    switch_s: float
    serving: int
    starting: list[float] = field(default_factory=list)
    draining: int = 0
    failures: int = 0
    failed_s: float = 0.0
    rates: list[float] = field(default_factory=list)
    backlog: float = 0.0


class Fleet:
    def __init__(self, policy: Policy, seed: int) -> None:
        self.policy, self.dice, self.now = policy, Random(seed), 0.0
        self.limits = self._limits()
        self.members = {name: self._member(name) for name in POOLS}
        self.switches: list[tuple[float, Switch]] = []

    def _limits(self) -> Limits:
        dice = self.dice
        pools = {}
        for name in POOLS:
            least = dice.randrange(3)
            most = dice.choice([None, least, least + dice.randrange(5)])
            pools[name] = PoolLimits(least, most, dice.choice([0.0, 1.0, 1.0, 2.0, 0.5]))
        means = dice.choice([frozenset(Means), frozenset(Means), *(frozenset({m}) for m in Means)])
        return Limits(pools, dice.choice([None, 2.0, 4.0, 8.0]), means)

    def _member(self, name: str) -> Member:
        dice, of = self.dice, self.limits.of(name)
        serving = dice.randrange(of.least, of.clip(4) + 1)
        return Member(
            capacity=dice.choice([0.0, 100.0, 100.0, 1e4]),
            cold_start_s=dice.choice([0.5, 5.0, 60.0]),
            switch_s=dice.choice([0.2, 1.0, 100.0]),
            serving=serving,
        )

    def chaos(self) -> None:
        """A second or some in which anything may happen, then a round of decisions."""
        self.now += self.dice.choice([0.5, 1.0, 5.0, 40.0])
        for member in self.members.values():
            self._suffer(member)
        self.decide()

    def calm(self, rate: float) -> None:
        """A second in which what was launched serves and nothing waits."""
        self.now += 1.0
        for member in self.members.values():
            member.serving += sum(self.now - at >= member.cold_start_s for at in member.starting)
            member.starting = [at for at in member.starting if self.now - at < member.cold_start_s]
            member.draining, member.backlog = 0, 0.0
            member.rates = [*member.rates[-59:], rate]
        self.decide()

    def _suffer(self, member: Member) -> None:
        dice = self.dice
        for launched in list(member.starting):
            fate = dice.random()
            if fate < 0.4:
                member.starting.remove(launched)
                member.serving, member.failures = member.serving + 1, 0
            elif fate < 0.6:
                member.starting.remove(launched)
                member.failures, member.failed_s = member.failures + 1, self.now
        member.serving -= bool(member.serving and dice.random() < 0.05)
        member.draining -= bool(member.draining and dice.random() < 0.5)
        member.rates = [*member.rates[-59:], dice.choice([0.0, 10.0, 90.0, 500.0, 2e3])]
        member.backlog = dice.choice([0.0, 0.0, 50.0, 1e3, 1e5])

    def decide(self) -> list[Decision]:
        decisions = self.policy.decide(self.loads(), self.limits, self.now)
        for one in decisions:
            self._carry_out(one)
        grown = {one.pool for one in decisions if isinstance(one, Grow)}
        assert not grown & {one.pool for one in decisions if isinstance(one, Shrink)}
        return decisions

    def loads(self) -> list[PoolLoad]:
        return [self._load(name, member) for name, member in self.members.items()]

    def _load(self, name: str, member: Member) -> PoolLoad:
        dice = self.dice
        attained = Attainment(dice.choice([0.0, 0.9, 1.0]), dice.randrange(100), 20.0)
        return PoolLoad(
            name,
            Traffic(self.now, 1.0, tuple(member.rates)),
            member.backlog,
            member.capacity,
            member.serving,
            tuple(member.starting),
            member.draining,
            busy=dice.choice([None, 0.0, 0.7, 1.0]),
            short=dice.choice([None, attained]),
            long=dice.choice([None, attained]),
            cold_start_s=member.cold_start_s,
            switch_s=member.switch_s,
            failures=member.failures,
            failed_s=member.failed_s,
        )

    def _carry_out(self, decision: Decision) -> None:
        assert decision.replicas > 0 and decision.reason
        match decision:
            case Grow(name, replicas, _):
                assert Means.LAUNCH in self.limits.means
                self.members[name].starting += [self.now] * replicas
                self._within_most(name)
                self._within_budget(name)
            case Shrink(name, replicas, _):
                assert Means.LAUNCH in self.limits.means
                self._take(name, replicas)
                self.members[name].draining += replicas
            case Switch(source, target, replicas, _):
                assert Means.SWITCH in self.limits.means and source != target
                assert self.limits.of(source).gpus == self.limits.of(target).gpus
                self._take(source, replicas)
                self.members[target].starting += [self.now] * replicas
                self._within_most(target)
                self.switches.append((self.now, decision))
            case Abandon(name, replicas, _):
                member = self.members[name]
                patience_s = max(30.0, 3 * member.cold_start_s)
                assert all(self.now - at > patience_s for at in member.starting[:replicas])
                if self.dice.random() < 0.5:  # it may take time to stop them
                    del member.starting[:replicas]

    def _take(self, name: str, replicas: int) -> None:
        self.members[name].serving -= replicas
        assert self.members[name].serving >= self.limits.of(name).least

    def _within_most(self, name: str) -> None:
        member, most = self.members[name], self.limits.of(name).most
        assert most is None or member.serving + len(member.starting) <= most

    def _within_budget(self, grown: str) -> None:
        """It may have been spent already, but then not on this pool."""
        used = sum(
            (member.serving + len(member.starting) + member.draining) * self.limits.of(name).gpus
            for name, member in self.members.items()
        )
        budget, free_of_charge = self.limits.gpus, not self.limits.of(grown).gpus
        assert budget is None or free_of_charge or used <= budget + 1e-6
