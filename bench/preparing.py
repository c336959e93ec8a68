"""What it takes to prepare one request, beside everything else that the controller does with it."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import modserve.tiny
from modserve.controller.drafting import Draft, Drafting
from modserve.controller.options import Limits
from modserve.scheduler.slo.classes import CLASSES
from modserve.transport import messages as say
from modserve.transport.checkpoint import fingerprint

from .checkpoint import prose
from .pictures import jpeg
from .report import Figure

MODEL = Path(modserve.tiny.__file__).parent / "checkpoint"
ROUNDS = 400
WORDS = 100


def preparation(quick: bool) -> list[Figure]:
    drafting = Drafting(MODEL, fingerprint(MODEL, "any", 16), Limits(), CLASSES)
    picture = jpeg(0)
    text = say.TextPart(prose(WORDS))
    ids = say.Submit("a", say.Sampling(), token_ids=tuple(7 + n % 50 for n in range(64)))
    chat = say.Submit("a", say.Sampling(), turns=(say.Turn("user", (text,)),))
    seen = say.Submit("a", say.Sampling(), turns=(say.Turn("user", (say.ImagePart(0), text)),))
    rounds = 20 if quick else ROUNDS
    return [
        _figure(drafting, "64 token ids", ids, [], rounds),
        _figure(drafting, f"a chat of {WORDS} words: template, tokens", chat, [], rounds),
        _figure(
            drafting,
            f"and an image of {len(picture) / 1e3:.0f} kB: header, hash",
            seen,
            [memoryview(picture)],
            rounds,
        ),
    ]


def _figure(
    drafting: Drafting, name: str, submit: say.Submit, frames: list[memoryview], rounds: int
) -> Figure:
    make = partial(drafting.ticket, Draft(submit, frames, 1, 0.0))
    make()
    begun = time.perf_counter()
    for _ in range(rounds):
        make()
    return Figure(name, 1e6 * (time.perf_counter() - begun) / rounds, "µs")
