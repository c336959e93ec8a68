"""When a request would have its first token, if it came now.

What is served in front of it, over what the replicas do in a second. Of the replicas those are
looked at that routing would choose from: few, however many there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .replica import Replica


@dataclass(frozen=True, slots=True)
class Ahead:
    """What goes first, in seconds of all replicas of the stage together."""

    image_s: float = 0.0  # images that no encode replica was given yet
    shared_s: float = 0.0  # until those of its own that are encoded for others are there
    prompt_s: float = 0.0
    unbound: bool = False  # some of the prompts wait for room, so no replica is free for this one


@dataclass(frozen=True, slots=True)
class FirstToken:
    """Seconds from now; they add up, since an image's tokens are prefilled behind its encoding."""

    encode_s: float  # until the last image is encoded and has arrived: the slowest one decides
    queue_s: float  # from then on, until its own prefill begins
    prefill_s: float
    alone_s: float  # all of it, if nothing were in front

    @property
    def total_s(self) -> float:
        return self.encode_s + self.queue_s + self.prefill_s


def first_token(
    images: Sequence[int],
    tokens: int,
    ahead: Ahead,
    encoders: Sequence[Replica],
    texts: Sequence[Replica],
    transfer_s: float = 0.0,
) -> FirstToken | None:
    """`images`: tokens of each that has to be encoded; `tokens` to prefill, theirs among them.
    `transfer_s`: of its embeddings, to the text replica.

    None where no replica of a stage that it needs has told its speed.
    """
    encode_s = _encoded(images, ahead.image_s, encoders, busy=True)
    encode_alone_s = _encoded(images, 0.0, encoders, busy=False)
    known = [one for one in texts if one.speed.prompt_token_s]
    if encode_s is None or encode_alone_s is None or not known:
        return None
    here_s = max(encode_s, ahead.shared_s) + transfer_s
    queue_s, prefill_s = min(
        (_prefilled(one, tokens, ahead, here_s) for one in known), key=lambda both: sum(both)
    )
    fastest_s = min(one.speed.prompt_token_s for one in known)
    alone_s = encode_alone_s + transfer_s + tokens * fastest_s
    return FirstToken(here_s, queue_s, prefill_s, alone_s)


def _prefilled(one: Replica, tokens: int, ahead: Ahead, here_s: float) -> tuple[float, float]:
    """Wait and prefill there; others are prefilled while it is encoded. What is bound there goes
    first or not, by rank: so neither all that is pending there, nor more than goes first."""
    token_s = one.speed.prompt_token_s
    waits_s = ahead.prompt_s
    if not ahead.unbound:
        waits_s = min(waits_s, one.pending_tokens * token_s)
    return max(0.0, waits_s - here_s), tokens * token_s


def _encoded(
    images: Sequence[int], behind_s: float, encoders: Sequence[Replica], *, busy: bool
) -> float | None:
    """As routing spreads them: each to the replica that would have it done first. They encode in
    the order in which they were given their images; not `busy`: as if they had none."""
    if not images:
        return 0.0
    free = [
        (behind_s + busy * one.pending_image_tokens * token_s, token_s)
        for one in encoders
        if (token_s := one.speed.image_token_s)
    ]
    if not free:
        return None
    done_s = 0.0
    for tokens in sorted(images, reverse=True):
        at_s, token_s = min(free, key=lambda one: one[0] + tokens * one[1])
        free.remove((at_s, token_s))
        free.append((at_s + tokens * token_s, token_s))
        done_s = max(done_s, at_s + tokens * token_s)
    return done_s
