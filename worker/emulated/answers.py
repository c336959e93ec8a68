"""What an emulated model says: as much as it may, the same for a seed whatever was lost between."""

from __future__ import annotations

from collections.abc import Iterable

from ...transport.messages import Sampling

VOCABULARY = 64  # ids that every model has
STEP = 37  # has no factor in common with it: neighbours differ


def token(seed: int, index: int) -> int:
    """Number `index` of the answer."""
    return (seed + STEP * index) % VOCABULARY


def tokens(seed: int, indices: Iterable[int]) -> tuple[int, ...]:
    return tuple(token(seed, index) for index in indices)


TEXTS = tuple(f"w{one} " for one in range(VOCABULARY))


def text(token_ids: Iterable[int]) -> str:
    return "".join(TEXTS[one] for one in token_ids)


def finish(sampling: Sampling, token_id: int, emitted: int) -> str:
    """Why the answer ends with this token, the `emitted`-th; "" where it goes on."""
    if token_id in sampling.stop_token_ids:
        return "stop"
    return "length" if emitted >= sampling.max_tokens else ""
