"""What the controller holds of an open request beside the core's numbers: tokens, files, frames."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import takewhile

from ..scheduler.request import Request
from ..transport import codec
from ..transport.messages import Sampling, Span


@dataclass(slots=True)
class Image:
    """One image file of a request; `data` is the frame as it came, forwarded uncopied."""

    data: memoryview
    key: str
    mode: str
    rows: int
    tiles: int
    width: int  # pixels, as it is seen
    height: int
    worker: str = ""  # that encoded it last


@dataclass(slots=True)
class Ticket:
    request: Request
    client: int
    prompt_ids: tuple[int, ...]
    spans: tuple[Span, ...]
    images: list[Image]
    sampling: Sampling  # with a seed
    received: float  # clock of the controller
    first_token: float | None = None  # when it was reported, to this controller
    before: tuple[int, ...] = ()  # emitted under a controller that was before this one
    frames: list[bytes] = field(default_factory=list)  # Deltas as they were forwarded, undecoded
    runs: list[tuple[str, str]] = field(default_factory=list)  # who prefilled and decoded each

    @property
    def image_bytes(self) -> int:
        return sum(image.data.nbytes for image in self.images)

    def misses(self, had: int) -> bool:
        """Whether some of what a client that has had so many tokens lacks was said by nobody who is
        still there."""
        return had < len(self.before)

    def token_ids(self) -> tuple[int, ...]:
        """Prompt and emitted tokens, from which a new run goes on; decodes the frames. Only up to
        a frame that was lost with a connection: nobody else has the tokens behind it."""
        emitted = dict(enumerate(self.before))
        for frame in self.frames:
            for delta in codec.deltas(frame).items:
                if delta.request_id == self.request.id:
                    emitted.update(enumerate(delta.token_ids, delta.start))
        known = takewhile(emitted.__contains__, range(self.request.emitted))
        return self.prompt_ids + tuple(emitted[index] for index in known)
