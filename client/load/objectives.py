"""What makes a request a good one: `ttft:1000 image.ttft:8000 tpot:150`, in milliseconds."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from .record import Record

METRICS = ("ttft", "tpot", "e2el")
KINDS = ("text", "image")


class BadObjective(ValueError):
    """One sentence."""


@dataclass(frozen=True, slots=True)
class Objectives:
    """The longest seconds by kind and metric; a metric without an entry may take any time."""

    most_s: Mapping[tuple[str, str], float]

    def met(self, record: Record) -> bool:
        """Whether it ended well and in time; fewer than two tokens have a TPOT of 0."""
        took = {"ttft": record.ttft_s, "tpot": record.tpot_s or 0.0, "e2el": record.e2el_s}
        return record.completed and all(
            took[metric] <= most_s
            for (kind, metric), most_s in self.most_s.items()
            if kind == record.kind
        )


def read_objectives(texts: Sequence[str]) -> Objectives | None:
    """None where there are none. An entry for a kind goes before one for both."""
    every: dict[tuple[str, str], float] = {}
    narrow: dict[tuple[str, str], float] = {}
    for text in texts:
        found = re.fullmatch(rf"(?:({'|'.join(KINDS)})\.)?({'|'.join(METRICS)}):(\d+\.?\d*)", text)
        if found is None:
            raise BadObjective(
                f"expected an objective like ttft:500 or image.ttft:8000, got {text}"
            )
        kinds, into = ((found[1],), narrow) if found[1] else (KINDS, every)
        into |= {(kind, found[2]): float(found[3]) / 1000 for kind in kinds}
    return Objectives(every | narrow) if texts else None
