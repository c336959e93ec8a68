"""The share of requests whose promise was kept, over the last while, by class, modality and stage.

Of requests SENT: refused and failed ones were not served in time. No request is remembered, only
counted, so this takes as much memory in the millionth hour as in the first.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..stage import Stage
from .outcome import Modality, Outcome
from .window import Counts, Window

WINDOWS_S = (30.0, 300.0)
BUCKETS = 30  # of a window: by a thirtieth of it the oldest requests go at once


STAGES = tuple(Stage)  # a column each, behind the one of whole requests


class Attainment:
    """Fed with every request that ended or was refused; `now` is never less than before."""

    def __init__(self, windows_s: tuple[float, ...] = WINDOWS_S, buckets: int = BUCKETS) -> None:
        self.windows_s = windows_s
        self._buckets = buckets
        self._rows: dict[tuple[str, Modality], dict[float, Window]] = {}

    def count(self, outcome: Outcome, now: float) -> None:
        windows = self._rows.get((outcome.slo, outcome.modality))
        if windows is None:
            windows = self._rows[outcome.slo, outcome.modality] = {
                span_s: Window(span_s, self._buckets, 1 + len(STAGES)) for span_s in self.windows_s
            }
        told = (outcome.met, *map(outcome.stages.get, STAGES))
        for window in windows.values():
            window.add(told, now)

    def counts(
        self,
        window_s: float,
        now: float,
        *,
        slo: str | None = None,
        modality: Modality | None = None,
        stage: Stage | None = None,
    ) -> Counts:
        """Of one of the windows; `slo` or `modality` None: of all of them, `stage` None: of whole
        requests."""
        column = 0 if stage is None else 1 + STAGES.index(stage)
        total = Counts()
        for (its_slo, its_modality), windows in self._rows.items():
            if slo in (None, its_slo) and modality in (None, its_modality):
                total += windows[window_s].counts(column, now)
        return total

    def known(self) -> Iterator[tuple[str, Modality]]:
        """The classes and modalities of the requests so far, in the order of their first ones."""
        return iter(self._rows)
