"""Thousands of random lives: nothing is lost, ended twice or owned twice, and nothing is stuck."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest

from modserve.scheduler import events as on
from modserve.scheduler.aging import ORDERS
from modserve.scheduler.core import Core
from modserve.scheduler.media import MediaItem
from modserve.scheduler.placing import PLACINGS
from modserve.scheduler.replica import Speed
from modserve.scheduler.request import Phase, Request
from modserve.scheduler.routing import ROUTINGS
from modserve.scheduler.slo.classes import SloClass
from modserve.scheduler.slo.slo import slo_of
from modserve.scheduler.stage import ROLES
from modserve.scheduler.terms import Terms

from .cluster import Cluster

LAYOUTS = [
    ["all"],
    ["encode", "text"],
    ["encode", "prefill", "decode"],
    ["encode", "encode", "text", "prefill", "decode", "all"],
]
MOST_PROMPT, MOST_ANSWER, MOST_IMAGES = 9, 6, 3
LEAST_BLOCKS = -(-(MOST_PROMPT + MOST_ANSWER) // 2)
HASTY = SloClass("hasty", 0.05, 1.0, image_token_s=0.01, degrade_to="calm")
CALM = SloClass("calm", 0.5, 1.0, image_token_s=0.05, degrade_to="slack")
SLACK = SloClass("slack", 60.0, 1.0)
STRICT = SloClass("strict", 0.2, 1.0, image_token_s=0.02)
CLASSES = {one.name: one for one in (HASTY, CALM, SLACK, STRICT)}


@dataclass(frozen=True)
class Policies:
    bind: str
    admission: str
    routing: str
    order: str
    placing: str

    def core(self, terms: Terms, runs: int = 0) -> Core:
        return Core(
            terms,
            self.bind,
            runs,
            admission=self.admission,
            routing=self.routing,
            order=self.order,
            placing=self.placing,
            classes=CLASSES,
        )


def terms(dice: Random) -> Terms:
    return Terms(
        block_size=2,
        row_bytes=1,
        cache_bytes=dice.choice([None, 0, 2]),
        staging_row_bytes=1,
        cross_attention=dice.random() < 0.3,
        ahead_images=dice.choice([None, 0, 1]),
        max_failures=10**6,
        late_s=1e9,
        lost_s=1e9,
    )


def joined(dice: Random, name: str, role: str, epoch: int, *, least: bool) -> on.Joined:
    spare = 0 if least else dice.randrange(30)
    store = MOST_IMAGES + (0 if least else dice.randrange(6))
    return on.Joined(name, epoch, ROLES[role], LEAST_BLOCKS + spare, store, store)


def request(dice: Random, number: int) -> Request:
    media = [MediaItem(f"k{dice.randrange(6)}", 1, 1) for _ in range(dice.choice([0, 0, 1, 2, 3]))]
    return Request(
        f"r{number}",
        prompt_tokens=dice.randint(1, MOST_PROMPT),
        max_tokens=dice.randint(1, MOST_ANSWER),
        deadline=1e6 + dice.random(),
        media=media,
        beginnings=((1, dice.randrange(3)), (2, dice.randrange(9))),
        slo=slo_of(dice.choice(list(CLASSES.values())), len(media)),
    )


def speed(dice: Random) -> Speed:
    """Of a worker that is good at some things; what it never did it does not know."""
    return Speed(*(dice.choice([0.0, 0.003, 0.004, 0.05, 0.3]) for _ in range(3)))


def live(
    seed: int, *, least: bool, faults: bool, switches: bool, admission: str = "limits"
) -> Cluster:
    """One random life of a cluster, then peace, after which every request must have ended."""
    dice = Random(seed)
    bind = dice.choice(["arrival", "first", "all"])
    policies = Policies(
        bind,
        admission,
        routing=dice.choice(sorted(ROUTINGS)),
        order=dice.choice(sorted(ORDERS)),
        placing=dice.choice(sorted(PLACINGS)),
    )
    core = policies.core(terms(dice))
    cluster = Cluster(core, dice)
    layout = dice.choice(LAYOUTS)
    roles = {f"{role}-{i}": role for i, role in enumerate(layout)}
    requests, cancelled, epoch = dice.randint(1, 12), set(), 0
    sent = lives = 0
    for _ in range(dice.randint(20, 120)):
        roll = dice.random()
        there = cluster.workers.keys() | cluster.switching.keys()
        missing = [name for name in roles if name not in there]
        if sent < requests and roll < 0.2:
            cluster.feed(on.Arrived(request(dice, sent)))
            sent += 1
        elif missing and roll < 0.4:
            epoch += 1
            name = dice.choice(missing)
            cluster.join(joined(dice, name, roles[name], epoch, least=least))
            if admission == "predicted":
                cluster.feed(on.Heard(name, speed(dice)))
        elif faults and roll < 0.43 and cluster.workers:
            cluster.kill(dice.choice(sorted(cluster.workers)))
        elif faults and roll < 0.46 and sent:
            victim = f"r{dice.randrange(sent)}"
            cancelled.add(victim)
            cluster.feed(on.Cancelled(victim, "client"))
        elif faults and roll < 0.48 and cluster.workers:
            cluster.feed(on.DrainAsked(dice.choice(sorted(cluster.workers))))
        elif faults and roll < 0.5 and cluster.stale:
            cluster.feed(cluster.stale.pop(dice.randrange(len(cluster.stale))))
        elif faults and roll < 0.51:
            lives += 1
            runs = 10**6 * lives  # of its own, as a controller's are
            cluster.succeed(policies.core(core.terms, runs))
        elif roll < 0.56 and there:
            cluster.feed(on.Heard(dice.choice(sorted(there)), speed(dice)))
        elif roll < 0.58:
            scale(cluster, roles, len(layout))
        elif switches and roll < 0.61 and there:
            stages = ROLES[dice.choice(sorted(ROLES))]
            cluster.feed(on.SwitchAsked(dice.choice(sorted(there)), stages))
        elif roll < 0.67 and cluster.switching:
            disturb_or_end_a_switch(cluster, faults=faults)
        else:
            cluster.step()
        cluster.settle()
    make_peace(cluster, roles, epoch, least=least)
    for number in range(sent):
        ends = cluster.ended.get(f"r{number}", [])
        assert len(ends) == 1, f"r{number} of seed {seed} ended {len(ends)} times"
        phase = ends[0].request.phase
        allowed = {Phase.DONE, Phase.CANCELLED} if f"r{number}" in cancelled else {Phase.DONE}
        if phase is Phase.REJECTED and admission == "predicted":
            assert len(ends[0].request.story) == 1, "accepted, and refused later"
            continue
        assert phase in allowed, (seed, ends[0])
        if phase is Phase.DONE:
            assert ends[0].request.emitted == ends[0].request.max_tokens
    for name, replica in cluster.core.replicas.items():
        worker, books = cluster.workers[name], replica.ledger
        assert worker.stored.keys() == replica.cached.keys(), f"leak in seed {seed}"
        assert not (worker.runs or worker.encoding), f"leak in seed {seed}"
        assert books.kv_blocks.booked == books.staging_bytes.booked == 0
        assert books.store_bytes.booked == replica.cached_bytes
    assert cluster.core.waiting.tokens == cluster.core.images.backlog.total == 0
    return cluster


def scale(cluster: Cluster, roles: dict[str, str], least: int) -> None:
    """Another worker is launched, which may come late or never; or one that was is taken away."""
    added = [name for name in roles if name not in list(roles)[:least]]
    if not added or cluster.dice.random() < 0.5:
        role = cluster.dice.choice(sorted(ROLES))
        roles[f"{role}-{cluster.now}"] = role
        return
    name = cluster.dice.choice(added)
    del roles[name]
    cluster.switching.pop(name, None)
    if name in cluster.workers:
        cluster.feed(on.DrainAsked(name))


def disturb_or_end_a_switch(cluster: Cluster, *, faults: bool) -> None:
    """A worker that is in no books serves again, or dies; whatever is asked of it is ignored."""
    name = cluster.dice.choice(sorted(cluster.switching))
    if not faults or cluster.dice.random() < 0.7:
        cluster.come_back(name)
        return
    ignored: list[on.Event] = [on.DrainAsked(name), on.Heard(name), on.Lost(name)]
    cluster.feed(cluster.dice.choice(ignored))
    if cluster.dice.random() < 0.3:
        del cluster.switching[name]


def wanting_its_role(cluster: Cluster, roles: dict[str, str]) -> list[str]:
    return [
        name
        for name, worker in cluster.workers.items()
        if name in roles and worker.joined.stages != ROLES[roles[name]]
    ]


def make_peace(cluster: Cluster, roles: dict[str, str], epoch: int, *, least: bool) -> None:
    """Every worker is there, in its role, and works until nobody has anything left to say."""
    for _ in range(50):
        for name in sorted(cluster.switching):
            cluster.come_back(name)
            cluster.settle()
        for name in wanting_its_role(cluster, roles):
            cluster.feed(on.SwitchAsked(name, ROLES[roles[name]]))
            cluster.settle()
        for name in sorted(cluster.workers.keys() - roles.keys()):
            cluster.feed(on.DrainAsked(name))
            cluster.settle()
        absent = [one for one in roles if one not in {*cluster.workers, *cluster.switching}]
        for name in absent:
            epoch += 1
            cluster.join(joined(cluster.dice, name, roles[name], epoch, least=least))
            cluster.settle()
        while cluster.step():
            cluster.settle()
        cluster.feed(on.Ticked())
        there = len(cluster.workers) == len(roles) and not wanting_its_role(cluster, roles)
        if there and not cluster.core.requests:
            return
    raise AssertionError(f"stuck with {cluster.core.requests}")


@pytest.mark.parametrize("least", [True, False], ids=["least memory", "some memory"])
@pytest.mark.parametrize("faults", [False, True], ids=["peace", "faults"])
@pytest.mark.parametrize("switches", [False, True], ids=["roles stay", "switches"])
def test_every_request_ends_once_and_nothing_is_left(
    least: bool, faults: bool, switches: bool
) -> None:
    for seed in range(1_000):
        live(seed, least=least, faults=faults, switches=switches)


@pytest.mark.parametrize("least", [True, False], ids=["least memory", "some memory"])
def test_whoever_was_admitted_by_prediction_ends_as_well(least: bool) -> None:
    refused = degraded = done = 0
    for seed in range(500):
        cluster = live(seed, least=least, faults=True, switches=True, admission="predicted")
        phases = [end.request.phase for ends in cluster.ended.values() for end in ends]
        refused += phases.count(Phase.REJECTED)
        done += phases.count(Phase.DONE)
        degraded += cluster.core.degraded
    assert min(refused, degraded) > 50
    assert done > 1_000
