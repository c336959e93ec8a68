"""Random worlds: policies, terms, workers and requests, small enough that all limits are met."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from modserve.scheduler import events as on
from modserve.scheduler.aging import ORDERS
from modserve.scheduler.core import Core
from modserve.scheduler.media import MediaItem
from modserve.scheduler.placing import PLACINGS
from modserve.scheduler.replica import Speed
from modserve.scheduler.request import Request
from modserve.scheduler.routing import ROUTINGS
from modserve.scheduler.slo.classes import SloClass
from modserve.scheduler.slo.slo import slo_of
from modserve.scheduler.stage import ROLES
from modserve.scheduler.terms import Terms

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
class World:
    """What a life may meet."""

    least: bool  # no more memory than the largest request needs
    faults: bool
    switches: bool
    admission: str = "limits"


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


def policies(dice: Random, admission: str) -> Policies:
    return Policies(
        dice.choice(["arrival", "first", "all"]),
        admission,
        routing=dice.choice(sorted(ROUTINGS)),
        order=dice.choice(sorted(ORDERS)),
        placing=dice.choice(sorted(PLACINGS)),
    )
