"""Arrivals become requests of the core, and requests become sequences of a text stage."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from math import inf

from ..scheduler.computing.sequence import Doing, Sequence
from ..scheduler.costs.spec import ModelSpec
from ..scheduler.geometry.shape import ImageShape
from ..scheduler.media import MediaItem
from ..scheduler.pacing import gap_of
from ..scheduler.request import Phase, Request
from .arrival import Arrival
from .cluster import Counted, Scheduling
from .outcome import Outcome

SHAPES = 16_384  # of images that are remembered


@dataclass(slots=True)
class Ticket:
    """An open request, and what the core does not know of it."""

    request: Request
    arrival_s: float
    starts: tuple[int, ...]  # of its images in the prompt
    pixels: tuple[int, ...]
    rows: int  # of all its images
    first_token_s: float | None = None
    emitted: int = 0  # when its last run was released

    def outcome(self, now: float) -> Outcome:
        request = self.request
        return Outcome(
            arrival_s=self.arrival_s,
            images=len(request.media),
            prompt_tokens=request.prompt_tokens,
            output_tokens=max(self.emitted, request.emitted),
            first_token_s=self.first_token_s,
            last_token_s=now if request.phase is Phase.DONE else None,
            refused=request.phase is Phase.REJECTED,
            slo=request.slo,
        )


class Tickets:
    def __init__(self, spec: ModelSpec, scheduling: Scheduling, counted: Counted) -> None:
        self._spec, self._timeout_s = spec, scheduling.timeout_s
        self._counted = counted
        self._paced = scheduling.paced
        self._shape = lru_cache(SHAPES)(spec.image)
        language = spec.language
        self._seen = language.cross_layers / language.self_layers
        self._alike = language.image_row_flops / language.token_flops
        self._made = 0

    def ticket(self, arrival: Arrival) -> Ticket:
        """Its images stand in front of its text, as those of a string prompt do."""
        self._made += 1
        name, asked = f"r{self._made}", arrival.asked
        shapes = [self._shape(*size, len(asked.images)) for size in asked.images]
        ends = list(accumulate((shape.span for shape in shapes), initial=0))
        request = Request(
            id=name,
            prompt_tokens=ends[-1] + asked.text_tokens,
            max_tokens=asked.output_tokens,
            deadline=asked.at_s + self._timeout_s,
            media=[self._item(f"{name}.{index}", shape) for index, shape in enumerate(shapes)],
            slo=arrival.slo,
        )
        for item, content in zip(request.media, arrival.contents, strict=False):
            item.key = content
        pixels = tuple(width * height for width, height in asked.images)
        rows = sum(shape.rows for shape in shapes)
        return Ticket(request, asked.at_s, tuple(ends[:-1]), pixels, rows)

    def _item(self, key: str, shape: ImageShape) -> MediaItem:
        computed = self._counted is Counted.COMPUTED
        work = self._spec.encode_tokens(shape) if computed else shape.rows
        return MediaItem(key, shape.rows, work)

    def sequence(self, ticket: Ticket, run: int, doing: Doing, *, hand_over: bool) -> Sequence:
        """For the run that the request begins now."""
        request = ticket.request
        waits = doing is Doing.PREFILLING
        return Sequence(
            id=request.id,
            run=run,
            order=request.order,
            rank=request.rank,
            prompt_tokens=request.prompt_tokens,
            tokens=request.tokens,
            ends_at=request.prompt_tokens + request.max_tokens,
            doing=doing,
            hand_over=hand_over,
            gap_s=gap_of(request.slo.tpot_s) if self._paced else inf,
            needs_all=self._spec.geometry.cross_attention,
            missing=dict(enumerate(ticket.starts)) if waits else {},
            beside=round(ticket.rows * self._seen),
            extra=round(ticket.rows * self._alike),
        )
