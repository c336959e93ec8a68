"""Which requests count for attainment, and what `status` says of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..scheduler.request import Request
from ..scheduler.slo.attainment import Attainment
from ..scheduler.slo.classes import SloClass
from ..scheduler.slo.outcome import Modality, missed, outcome
from ..scheduler.slo.window import Counts
from ..scheduler.stage import Stage
from ..transport.messages import Submit

OURS = frozenset({"busy", "closing", "internal", "journal", "too_slow"})  # the others asked wrongly


class Attaining:
    def __init__(self, classes: Mapping[str, SloClass]) -> None:
        self.classes = classes
        self.attainment = Attainment()

    def ended(self, request: Request, received: float, first_token: float | None) -> None:
        told = outcome(request, received, first_token)
        if told is not None:
            self.attainment.count(told, request.story[-1][1])

    def refused(self, submit: Submit, images: int, code: str, now: float) -> None:
        """Before the core heard of it. A class that is none has no row."""
        if code in OURS and submit.slo in self.classes:
            modality = Modality.IMAGE if images else Modality.TEXT
            self.attainment.count(missed(submit.slo, modality), now)

    def report(self, now: float) -> list[dict[str, Any]]:
        """A row for each class, modality and window that a request was sent in."""
        ranks = {name: (one.priority, name) for name, one in self.classes.items()}
        known = sorted(self.attainment.known(), key=lambda row: (ranks[row[0]], row[1] == "image"))
        rows = (
            self._row(slo, modality, window_s, now)
            for slo, modality in known
            for window_s in self.attainment.windows_s
        )
        return [row for row in rows if row["sent"]]

    def _row(self, slo: str, modality: Modality, window_s: float, now: float) -> dict[str, Any]:
        def counts(stage: Stage | None) -> Counts:
            return self.attainment.counts(window_s, now, slo=slo, modality=modality, stage=stage)

        return {
            "slo": slo,
            "modality": modality.value,
            "window_s": window_s,
            **_told(counts(None)),
            "stages": {stage.value: _told(told) for stage in Stage if (told := counts(stage)).sent},
        }

    def promises(self) -> Iterator[dict[str, Any]]:
        """The classes as `status` shows them, the most urgent first."""
        for one in sorted(self.classes.values(), key=lambda one: (one.priority, one.name)):
            yield {
                "name": one.name,
                "ttft_ms": round(one.ttft_s * 1000, 3),
                "tpot_ms": round(one.tpot_s * 1000, 3),
                "image_token_ms": round(one.image_token_s * 1000, 3),
                "priority": one.priority,
                "degrade_to": one.degrade_to,
            }


def _told(counts: Counts) -> dict[str, Any]:
    share = counts.share
    return {
        "sent": counts.sent,
        "met": counts.met,
        "attainment": None if share is None else round(share, 4),
    }
