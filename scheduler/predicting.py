"""When a request would have its first token, if it came now.

What waits in front of it, over what the replicas do in a second: an estimate from sums that are
there anyway, so that admission costs no look at the queue. Replicas tell their own speed; while
none has, nothing is predicted and nobody is refused for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from .replica import Replica
from .stage import Stage


@dataclass(frozen=True, slots=True)
class Ahead:
    """What waits for a replica and would be served first."""

    image_tokens: int = 0
    prompt_tokens: int = 0


@dataclass(frozen=True, slots=True)
class FirstToken:
    """Seconds from now; they add up, since an image's tokens are prefilled behind its encoding."""

    encode_s: float  # until the last image is encoded: the slowest one decides
    queue_s: float  # from then on, until its own prefill begins
    prefill_s: float

    @property
    def total_s(self) -> float:
        return self.encode_s + self.queue_s + self.prefill_s


def first_token(
    images: Sequence[int], tokens: int, ahead: Ahead, replicas: Iterable[Replica]
) -> FirstToken | None:
    """`images`: tokens of each that has to be encoded; `tokens` to prefill, theirs among them.

    None where no replica of a stage that it needs is there or knows its speed.
    """
    able = [one for one in replicas if one.takes_work]
    encode_s = _encoded(images, ahead.image_tokens, able)
    prefill = [one for one in able if Stage.PREFILL in one.stages and one.speed.prompt_token_s]
    if encode_s is None or not prefill:
        return None
    rate = sum(1 / one.speed.prompt_token_s for one in prefill)
    started = min(one.pending_tokens * one.speed.prompt_token_s for one in prefill)
    waits = max(started, ahead.prompt_tokens / rate)  # others are prefilled while it is encoded
    fastest = min(one.speed.prompt_token_s for one in prefill)
    return FirstToken(encode_s, max(0.0, waits - encode_s), tokens * fastest)


def _encoded(images: Sequence[int], ahead: int, replicas: Iterable[Replica]) -> float | None:
    """As routing spreads them: each to the replica that would have it done first."""
    if not images:
        return 0.0
    able = [one for one in replicas if Stage.ENCODE in one.stages and one.speed.image_token_s]
    if not able:
        return None
    behind_s = ahead / sum(1 / one.speed.image_token_s for one in able)
    free = [
        (behind_s + one.pending_image_tokens * one.speed.image_token_s, one.speed.image_token_s)
        for one in able
    ]
    done_s = 0.0
    for tokens in sorted(images, reverse=True):
        at_s, token_s = min(free, key=lambda one: one[0] + tokens * one[1])
        free.remove((at_s, token_s))
        free.append((at_s + tokens * token_s, token_s))
        done_s = max(done_s, at_s + tokens * token_s)
    return done_s
