"""When a request joins the text queue, and which replicas can take it.

A binding books everything that the request needs before it decodes: KV blocks for all of its
tokens and staging for its embeddings, on the prefill replica and, where decode lives elsewhere,
on the decode replica too. So a prefill never waits for room downstream, and decode waits for
nobody. Room for the decode's growth is not booked; a watermark is kept free for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from .media import ItemPhase
from .replica import Replica
from .replicas import Replicas, room
from .request import Request
from .stage import Stage
from .terms import Terms

HERE = frozenset({ItemPhase.READY, ItemPhase.PULLED})

Ready = Callable[[Request], bool]


def at_arrival(request: Request) -> bool:
    """As soon as store room for all images is booked, though none may be encoded yet."""
    return all(item.phase is not ItemPhase.WAITING for item in request.media)


def at_first_image(request: Request) -> bool:
    """When the first prefill chunk can run: the first image is ready, the others are on the way."""
    return at_arrival(request) and all(item.phase in HERE for item in request.media[:1])


def at_all_images(request: Request) -> bool:
    return all(item.phase in HERE for item in request.media)


BINDINGS: dict[str, Ready] = {"arrival": at_arrival, "first": at_first_image, "all": at_all_images}


@dataclass(frozen=True, slots=True)
class Need:
    """What a binding books: blocks now, blocks at the longest answer, staging bytes."""

    blocks: int
    most_blocks: int
    staging: int  # where it prefills
    kept: int  # of it, where it decodes: only cross-attention looks at images again
    waits: bool  # some image is still missing: the request may sit on its blocks for a while


def need_of(request: Request, terms: Terms) -> Need:
    rows = sum(item.rows for item in request.media) if request.media else 0
    return Need(
        blocks=terms.blocks(request.tokens),
        most_blocks=terms.blocks(request.prompt_tokens + request.max_tokens),
        staging=rows * terms.staging_row_bytes,
        kept=rows * terms.staging_row_bytes if terms.cross_attention else 0,
        waits=bool(request.media) and not at_all_images(request),
    )


def place(
    need: Need, replicas: Replicas, waiting_blocks: Callable[[Replica], int]
) -> tuple[Replica, Replica] | None:
    """The prefill and the decode replica for `need`, often the same one; None: no room now."""

    def prefills(one: Replica) -> bool:
        return (
            one.takes_work
            and _has_blocks(one, need)
            and need.staging <= one.ledger.staging_bytes.free
            and (not need.waits or _lets_wait(one, need, waiting_blocks))
        )

    def decodes(one: Replica) -> bool:
        return (
            one.takes_work and _has_blocks(one, need) and need.kept <= one.ledger.staging_bytes.free
        )

    prefill = replicas.least(Stage.PREFILL, need.blocks, prefills)
    if prefill is None or Stage.DECODE in prefill.stages:
        return None if prefill is None else (prefill, prefill)
    decode = replicas.least(Stage.DECODE, need.blocks, decodes)
    return None if decode is None else (prefill, decode)


def can_hold(replica: Replica, need: Need) -> bool:
    """Whether a request that decodes there already fits beside what else is booked."""
    return (
        Stage.DECODE in replica.stages
        and need.blocks <= replica.ledger.kv_blocks.free
        and need.most_blocks <= replica.ledger.kv_blocks.capacity
        and need.kept <= replica.ledger.staging_bytes.free
    )


def fits_nowhere(need: Need, replicas: Iterable[Replica]) -> bool:
    """Whether no replica that is here could take it even when empty: nobody waits behind it."""
    rooms = {Stage.PREFILL: need.staging, Stage.DECODE: need.kept}
    everybody = list(replicas)
    return not all(
        any(
            stage in one.stages
            and one.takes_work
            and need.most_blocks <= one.ledger.kv_blocks.capacity
            and size <= one.ledger.staging_bytes.capacity
            for one in everybody
        )
        for stage, size in rooms.items()
    )


def _has_blocks(replica: Replica, need: Need) -> bool:
    return need.most_blocks <= replica.ledger.kv_blocks.capacity and need.blocks <= room(replica)


def _lets_wait(replica: Replica, need: Need, waiting_blocks: Callable[[Replica], int]) -> bool:
    """Requests with images missing hold at most a quarter of the blocks, or are all alone."""
    return (
        not replica.bound
        or (waiting_blocks(replica) + need.blocks) * 4 <= replica.ledger.kv_blocks.capacity
    )
