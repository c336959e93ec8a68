"""A running worker process, as the core sees it."""

from __future__ import annotations

from dataclasses import dataclass, field

from .ledger import Ledger
from .stage import Stage


@dataclass(frozen=True, slots=True)
class Speed:
    """What a replica measured of itself, at start-up and since; 0: not known."""

    image_token_s: float = 0.0  # to encode one
    prompt_token_s: float = 0.0  # to prefill one
    decode_s: float = 0.0  # a step that only decodes
    row_s: float = 0.0  # a prompt token's products, however many come in a step

    @property
    def compared_s(self) -> float:
        """Of a prompt token, in a comparison with other replicas: an idle one that has a prompt for
        itself needs more for each of its tokens than a busy one that adds it to its decodes."""
        return self.row_s or self.prompt_token_s


@dataclass(slots=True)
class Replica:
    """`images` and `bound` are what it works on; the two counters beside them are their sums."""

    name: str
    epoch: int  # the process: a restarted worker under the same name has another
    stages: frozenset[Stage]
    ledger: Ledger
    heard: float  # when it last gave a sign of life
    speed: Speed = Speed()
    shortest_step_s: float = 0.0  # that only decodes, of all that it told of; 0: none
    late: bool = False  # not heard for a while: gets no new work
    draining: bool = False  # asked to leave, or to switch: gets no new work
    becomes: frozenset[Stage] | None = None  # the stages to switch to when it is drained
    stopping: bool = False  # drained, and told to stop
    images: set[str] = field(default_factory=set)  # content keys that it encodes now
    bound: set[str] = field(default_factory=set)  # requests that it prefills or decodes
    turn: int = 0  # when it was last given work: how many pieces had been given to all until then
    pending_image_tokens: int = 0
    bound_tokens: int = 0  # of all requests that were ever bound to prefill here
    pending_tokens: int = 0  # of bound requests that it has not prefilled yet
    cached: dict[str, int] = field(default_factory=dict)  # embeddings that nobody needs now: bytes
    cached_bytes: int = 0  # their sum; booked, and given up when room is needed

    def tell(self, speed: Speed) -> bool:
        """It measured this; whether that is news."""
        if speed == self.speed:
            return False
        self.speed = speed
        if speed.decode_s:
            self.shortest_step_s = min(speed.decode_s, self.shortest_step_s or speed.decode_s)
        return True

    @property
    def takes_work(self) -> bool:
        return not (self.late or self.draining)

    @property
    def idle(self) -> bool:
        """Nothing runs here and nobody needs what it stores."""
        needed = self.ledger.store_bytes.booked - self.cached_bytes
        return not (self.images or self.bound or needed)
