"""What `msctl top` sees: reports and events asked for again and again, put together."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Protocol

from ...client import ModserveError
from ...transport.messages import Event
from .history import History
from .seen import Decisions, Seen


class Source(Protocol):
    """What of a client is asked here."""

    async def status(self) -> dict[str, Any]: ...

    async def events(self, *, after: int = 0, since: float = 0.0) -> list[Event]: ...


class Watching:
    """A controller that does not answer, or is started anew, is asked further."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._history, self._decisions = History(), Decisions()
        self.seen: Seen | None = None

    async def look(self) -> Seen:
        """What there is now; or the last that was seen, with the trouble since. Raises
        ModserveError where nothing was ever seen."""
        try:
            report = await self._source.status()
            self._forget_another(report)
            self._decisions.add(await self._source.events(after=self._decisions.newest))
        except ModserveError as error:
            if self.seen is None:
                raise
            self.seen = replace(self.seen, trouble=" ".join(str(error).split()))
            return self.seen
        self.seen = Seen(report, self._history.add(report), tuple(self._decisions.kept), _clock())
        return self.seen

    def _forget_another(self, report: Mapping[str, Any]) -> None:
        """Events of a controller that was started anew have numbers of their own."""
        if self.seen is None:
            return
        before = self.seen.report["controller"]["uptime_s"]
        if report["controller"]["uptime_s"] < before:
            self._decisions.newest = 0


def _clock() -> str:
    return f"{datetime.fromtimestamp(time.time()).astimezone():%H:%M:%S}"
