"""Whether a request may come in at all; what it cannot be promised is refused at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .replicas import Replicas
from .request import Request
from .stage import Stage
from .terms import Terms

if TYPE_CHECKING:
    from .images import Images


def refusal(
    request: Request,
    open_requests: int,
    waiting_tokens: int,
    images: Images,
    replicas: Replicas,
    terms: Terms,
) -> str | None:
    """Why `request` cannot be served, with the numbers; None admits it.

    Where no replica of a stage is there yet the request is admitted: it waits for one.
    """
    if open_requests >= terms.max_open:
        return f"busy: {open_requests} requests are open, the limit is {terms.max_open}"
    if waiting_tokens + request.tokens > terms.max_waiting_tokens:
        return (
            f"busy: {waiting_tokens} tokens of prompts wait, this one has {request.tokens}, "
            f"the limit is {terms.max_waiting_tokens}"
        )
    need = terms.blocks(request.prompt_tokens + request.max_tokens)
    for stage in (Stage.PREFILL, Stage.DECODE):
        if (most := _too_small(replicas, stage, "kv_blocks", need)) is not None:
            return (
                f"prompt and answer need {need} KV blocks of {terms.block_size} tokens, "
                f"the largest {stage} worker has {most}"
            )
    if not request.media:
        return None
    size = images.bytes_of(request)
    if (most := _too_small(replicas, Stage.ENCODE, "store_bytes", size)) is not None:
        return f"its images need {size} embedding bytes, the largest encode worker stores {most}"
    staging = sum(item.rows for item in request.media) * terms.staging_row_bytes
    stages = (Stage.PREFILL, Stage.DECODE) if terms.cross_attention else (Stage.PREFILL,)
    for stage in stages:
        if (most := _too_small(replicas, stage, "staging_bytes", staging)) is not None:
            return f"its images need {staging} staging bytes, the largest {stage} worker has {most}"
    return None


def _too_small(replicas: Replicas, stage: Stage, account: str, need: int) -> int | None:
    """The largest account, where there are some and none can ever hold `need`."""
    most = None
    for one in replicas.having(stage):
        capacity: int = getattr(one.ledger, account).capacity
        if capacity >= need:
            return None  # mostly the first one
        most = max(most or 0, capacity)
    return most
