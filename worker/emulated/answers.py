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


def length(sampling: Sampling, emitted: int) -> int:
    """Tokens of the whole answer, of which so many are there and did not end it."""
    most = max(sampling.max_tokens, emitted + 1)
    if not sampling.stop_token_ids:
        return most
    seed, stops = sampling.seed or 0, set(sampling.stop_token_ids)
    soon = range(emitted, min(most, emitted + VOCABULARY))  # then the same ids come again
    return next((index + 1 for index in soon if token(seed, index) in stops), most)
