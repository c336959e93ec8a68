"""What the controller's parts share: one thread owns all of it, so nothing here is locked."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from ..scheduler.core import Core
from ..scheduler.events import Event
from ..scheduler.scaling.demand import Demand
from ..transport.channels import Router
from ..transport.messages import TensorHandle
from .attaining import Attaining
from .chronicle import Chronicle
from .clients import Clients
from .crew import Crew
from .drafting import Draft
from .ended import Ended
from .journal import Journal
from .measures import Measures
from .options import ControllerOptions
from .stories import Stories
from .tickets import Ticket


@dataclass(slots=True)
class Tally:
    """Counts since the start, for `status`."""

    finished: int = 0
    failed: int = 0
    cancelled: int = 0
    rejected: int = 0
    tokens: int = 0


@dataclass(slots=True)
class Office:
    options: ControllerOptions
    fingerprint: str
    token: str
    core: Core
    router: Router
    clients: Clients
    crew: Crew
    pump: Callable[[Event], None]  # feed the core, carry out what it says
    journal: Journal
    attaining: Attaining
    tickets: dict[str, Ticket] = field(default_factory=dict)
    handles: dict[str, tuple[int, TensorHandle]] = field(default_factory=dict)  # by content key
    preparing: dict[str, Draft] = field(default_factory=dict)  # by request, not yet admitted
    ended: Ended = field(default_factory=Ended)
    held_bytes: int = 0  # image files of open requests
    tally: Tally = field(default_factory=Tally)
    measures: Measures = field(default_factory=Measures)
    stories: Stories = field(default_factory=Stories)
    chronicle: Chronicle = field(default_factory=Chronicle)
    demand: Demand = field(default_factory=Demand)
    promised: set[str] = field(default_factory=set)  # names of workers that are being launched
    started: float = field(default_factory=time.monotonic)
    dtype: str = ""  # settled by the first worker that is ready
    closing: bool = False  # no new request is admitted,
    keeping: bool = False  # or refused: the controller that follows is to hear of it

    fewer: asyncio.Event = field(default_factory=asyncio.Event)  # requests, or workers

    def now(self) -> float:
        return time.monotonic()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition that only the end of a request or of a worker can bring about."""
        while not condition():
            self.fewer.clear()
            await self.fewer.wait()
