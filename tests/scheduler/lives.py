"""Random lives of a cluster: what may happen to it, and what must be true in the end."""

from __future__ import annotations

from random import Random

from modserve.scheduler import events as on
from modserve.scheduler.commands import End
from modserve.scheduler.request import Phase
from modserve.scheduler.stage import ROLES

from .cluster import Cluster
from .worlds import LAYOUTS, World, joined, policies, request, speed, terms


class Life:
    """From a seed: random events, then peace, after which every request must have ended."""

    def __init__(self, seed: int, world: World) -> None:
        self.seed, self.world, self.dice = seed, world, Random(seed)
        self.policies = policies(self.dice, world.admission)
        self.cluster = Cluster(self.policies.core(terms(self.dice)), self.dice)
        layout = self.dice.choice(LAYOUTS)
        self.roles = {f"{role}-{i}": role for i, role in enumerate(layout)}
        self.first = list(self.roles)  # they are never taken away
        self.requests = self.dice.randint(1, 12)
        self.sent = self.epoch = self.controllers = 0
        self.cancelled: set[str] = set()

    @property
    def there(self) -> list[str]:
        return sorted({*self.cluster.workers, *self.cluster.switching})

    @property
    def absent(self) -> list[str]:
        return [name for name in self.roles if name not in self.there]

    def live(self) -> Cluster:
        for _ in range(self.dice.randint(20, 120)):
            roll = self.dice.random()
            if not (self.grow(roll) or self.fail(roll) or self.change(roll)):
                self.cluster.step()
            self.cluster.settle()
        self.make_peace()
        self.check_ends()
        self.check_books()
        return self.cluster

    def grow(self, roll: float) -> bool:
        """A request arrives, or a worker."""
        if self.sent < self.requests and roll < 0.2:
            self.cluster.feed(on.Arrived(request(self.dice, self.sent)))
            self.sent += 1
        elif roll < 0.4 and (absent := self.absent):
            self.join(name := self.dice.choice(absent))
            if self.world.admission == "predicted":
                self.cluster.feed(on.Heard(name, speed(self.dice)))
        else:
            return False
        return True

    def join(self, name: str) -> None:
        self.epoch += 1
        told = joined(self.dice, name, self.roles[name], self.epoch, least=self.world.least)
        self.cluster.join(told)

    def fail(self, roll: float) -> bool:
        """A worker dies or is drained, a client or the controller goes, an old word comes late."""
        cluster, dice = self.cluster, self.dice
        if not self.world.faults:
            return False
        if roll < 0.43 and cluster.workers:
            cluster.kill(dice.choice(sorted(cluster.workers)))
        elif roll < 0.46 and self.sent:
            self.cancelled.add(victim := f"r{dice.randrange(self.sent)}")
            cluster.feed(on.Cancelled(victim, "client"))
        elif roll < 0.48 and cluster.workers:
            cluster.feed(on.DrainAsked(dice.choice(sorted(cluster.workers))))
        elif roll < 0.5 and cluster.stale:
            cluster.feed(cluster.stale.pop(dice.randrange(len(cluster.stale))))
        elif roll < 0.51:
            self.controllers += 1
            runs = 10**6 * self.controllers  # of its own, as a controller's are
            cluster.succeed(self.policies.core(cluster.core.terms, runs))
        else:
            return False
        return True

    def change(self, roll: float) -> bool:
        """A worker is faster or slower, is launched or taken away, or serves other stages."""
        cluster, dice = self.cluster, self.dice
        if roll < 0.56 and (there := self.there):
            cluster.feed(on.Heard(dice.choice(there), speed(dice)))
        elif roll < 0.58:
            self.scale()
        elif self.world.switches and roll < 0.61 and (there := self.there):
            stages = ROLES[dice.choice(sorted(ROLES))]
            cluster.feed(on.SwitchAsked(dice.choice(there), stages))
        elif roll < 0.67 and cluster.switching:
            self.disturb_or_end_a_switch()
        else:
            return False
        return True

    def scale(self) -> None:
        """Another worker is launched, which may come late or never; or one that was is taken
        away."""
        added = [name for name in self.roles if name not in self.first]
        if not added or self.dice.random() < 0.5:
            role = self.dice.choice(sorted(ROLES))
            self.roles[f"{role}-{self.cluster.now}"] = role
            return
        name = self.dice.choice(added)
        del self.roles[name]
        self.cluster.switching.pop(name, None)
        if name in self.cluster.workers:
            self.cluster.feed(on.DrainAsked(name))

    def disturb_or_end_a_switch(self) -> None:
        """A worker that is in no books serves again, or dies; whatever is asked of it is
        ignored."""
        name = self.dice.choice(sorted(self.cluster.switching))
        if not self.world.faults or self.dice.random() < 0.7:
            self.cluster.come_back(name)
            return
        ignored: list[on.Event] = [on.DrainAsked(name), on.Heard(name), on.Lost(name)]
        self.cluster.feed(self.dice.choice(ignored))
        if self.dice.random() < 0.3:
            del self.cluster.switching[name]

    def make_peace(self) -> None:
        """Every worker is there, in its role, and works until nobody has anything left to say."""
        for _ in range(50):
            self.restore()
            while self.cluster.step():
                self.cluster.settle()
            self.cluster.feed(on.Ticked())
            complete = len(self.cluster.workers) == len(self.roles) and not self.in_other_roles()
            if complete and not self.cluster.core.requests:
                return
        raise AssertionError(f"stuck with {self.cluster.core.requests}")

    def restore(self) -> None:
        """Ask of everybody to be there, in its role."""
        cluster = self.cluster
        for name in sorted(cluster.switching):
            cluster.come_back(name)
            cluster.settle()
        for name in self.in_other_roles():
            cluster.feed(on.SwitchAsked(name, ROLES[self.roles[name]]))
            cluster.settle()
        for name in sorted(cluster.workers.keys() - self.roles.keys()):
            cluster.feed(on.DrainAsked(name))
            cluster.settle()
        for name in self.absent:
            self.join(name)
            cluster.settle()

    def in_other_roles(self) -> list[str]:
        return [
            name
            for name, worker in self.cluster.workers.items()
            if name in self.roles and worker.joined.stages != ROLES[self.roles[name]]
        ]

    def check_ends(self) -> None:
        for number in range(self.sent):
            ends = self.cluster.ended.get(f"r{number}", [])
            assert len(ends) == 1, f"r{number} of seed {self.seed} ended {len(ends)} times"
            self.check_end(ends[0])

    def check_end(self, end: End) -> None:
        ended = end.request
        if ended.phase is Phase.REJECTED and self.world.admission == "predicted":
            assert len(ended.story) == 1, "accepted, and refused later"
        elif ended.phase is Phase.DONE:
            assert ended.emitted == ended.max_tokens
        else:
            left = ended.phase is Phase.CANCELLED and ended.id in self.cancelled
            assert left, (self.seed, end)

    def check_books(self) -> None:
        """Nobody holds anything, but what is cached."""
        cluster = self.cluster
        for name, replica in cluster.core.replicas.items():
            worker, books = cluster.workers[name], replica.ledger
            assert worker.stored.keys() == replica.cached.keys(), f"leak in seed {self.seed}"
            assert not (worker.runs or worker.encoding), f"leak in seed {self.seed}"
            assert books.kv_blocks.booked == books.staging_bytes.booked == 0
            assert books.store_bytes.booked == replica.cached_bytes
        assert cluster.core.waiting.tokens == cluster.core.images.backlog.total == 0
