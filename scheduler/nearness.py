"""What text replicas have of a request already: KV of prompts that began the same, and embeddings.

Nobody tells the core what a prefix cache holds. It knows where a beginning was last prefilled, and
takes it to be there still while no more tokens were bound to that replica since than its pool
holds. A guess that is wrong costs a prefill that would have been done anyway.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .media import Embedding
from .replica import Replica
from .replicas import Replicas
from .request import Request
from .stage import Stage

FIRST = 64  # tokens of the shortest beginning that is remembered; each next one is twice as long
MOST = 20_000  # beginnings


class Seen(NamedTuple):
    replica: str
    epoch: int
    bound_tokens: int  # there, until then


@dataclass(frozen=True, slots=True)
class Near:
    known_tokens: int = 0  # of the beginning
    stored_rows: int = 0  # of its embeddings


class Nearness:
    def __init__(self, replicas: Replicas, embeddings: Mapping[str, Embedding]) -> None:
        self._replicas, self._embeddings = replicas, embeddings
        self._seen: OrderedDict[int, Seen] = OrderedDict()

    def bound(self, request: Request, replica: Replica) -> None:
        """It is prefilled there."""
        replica.bound_tokens += request.tokens
        for _, beginning in request.beginnings:
            self._seen[beginning] = Seen(replica.name, replica.epoch, replica.bound_tokens)
            self._seen.move_to_end(beginning)
        while len(self._seen) > MOST:
            self._seen.popitem(last=False)

    def of(self, request: Request, block_size: int) -> dict[str, Near]:
        """By replica, those that have anything: mostly none, and few in any case."""
        near: dict[str, Near] = {}
        for item in request.media:
            embedding = self._embeddings.get(item.key)
            replica = self._replicas.get(embedding.replica) if embedding is not None else None
            if replica is not None and Stage.PREFILL in replica.stages:
                held = near.get(replica.name, Near())
                near[replica.name] = Near(0, held.stored_rows + item.rows)
        for tokens, beginning in reversed(request.beginnings):
            if (name := self._holder(beginning, block_size)) is not None:
                rows = near.get(name, Near()).stored_rows
                near[name] = Near(min(tokens, request.tokens - 1), rows)
                break
        return near

    def _holder(self, beginning: int, block_size: int) -> str | None:
        seen = self._seen.get(beginning)
        replica = self._replicas.get(seen.replica) if seen is not None else None
        if seen is None or replica is None or replica.epoch != seen.epoch:
            return None
        pool = replica.ledger.kv_blocks.capacity * block_size
        return seen.replica if replica.bound_tokens - seen.bound_tokens <= pool else None


def beginnings(
    token_ids: Sequence[int], images: Sequence[tuple[int, str]]
) -> tuple[tuple[int, int], ...]:
    """(tokens, hash) of the beginnings of a prompt, the shortest first; none of a short prompt.
    `images`: where each begins, and the key of its content, in order."""
    found: list[tuple[int, int]] = []
    chain, begin, end = 0, 0, FIRST
    while end <= len(token_ids):
        keys = tuple(key for start, key in images if begin <= start < end)
        chain = hash((chain, keys, tuple(token_ids[begin:end])))
        found.append((end, chain))
        begin, end = end, 2 * end
    return tuple(found)
