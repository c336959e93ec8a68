"""The stories of requests that ended lately, for `msctl trace`."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from ..scheduler.media import MediaItem
from ..scheduler.request import Request
from .tickets import Ticket

MOST = 2_000  # what is older is forgotten
MOST_REASON = 200  # characters


@dataclass(frozen=True, slots=True)
class Story:
    """A request without its prompt, its files and its answer; marks on the controller's clock."""

    request: Request
    received: float
    first_token: float | None
    runs: Sequence[tuple[str, str]]  # who prefilled and who decoded, for each
    encoders: Sequence[str]  # who encoded, for each image; "" where nobody had to
    reason: str


class Stories:
    """A ring. Keeping one costs an append; finding one, a look at all."""

    def __init__(self, most: int = MOST) -> None:
        self._ended: deque[Story] = deque(maxlen=most)

    def __len__(self) -> int:
        return len(self._ended)

    def keep(self, ticket: Ticket, reason: str) -> None:
        self._ended.append(story_of(ticket, reason))

    def of(self, request_id: str) -> Story | None:
        """The last one of that name; "": the last one of all."""
        if not request_id:
            return self._ended[-1] if self._ended else None
        return next((one for one in reversed(self._ended) if one.request.id == request_id), None)


def story_of(ticket: Ticket, reason: str = "") -> Story:
    encoders = tuple(image.worker for image in ticket.images)
    return Story(ticket.request, ticket.received, ticket.first_token, ticket.runs, encoders, reason)


def told(story: Story, now: float, time: float) -> bytes:
    """As JSON, its marks in seconds since the Submit came in; `time`: seconds of Unix time, now."""
    request, begin = story.request, story.received
    first = story.first_token
    body = {
        "request_id": request.id,
        "phase": request.phase.name.lower(),
        "reason": story.reason[:MOST_REASON],
        "received": time - (now - begin),
        "until_s": (now if request.open else request.story[-1][1]) - begin,
        "first_token_s": None if first is None else first - begin,
        "prompt_tokens": request.prompt_tokens,
        "tokens": request.emitted,
        "slo": {
            "class": request.slo.slo_class.name,
            "ttft_s": request.slo.ttft_s,
            "tpot_s": request.slo.tpot_s,
        },
        "story": [(phase.name.lower(), at - begin) for phase, at in request.story],
        "runs": [{"prefill": prefill, "decode": decode} for prefill, decode in story.runs],
        "images": [
            _image(item, encoder, begin)
            for item, encoder in zip(request.media, story.encoders, strict=False)
        ],
    }
    return orjson.dumps(body)


def _image(item: MediaItem, encoder: str, begin: float) -> dict[str, Any]:
    return {
        "rows": item.rows,
        "worker": encoder,
        "story": [(phase.name.lower(), at - begin) for phase, at in item.story],
    }
