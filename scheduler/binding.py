"""When a request joins the text queue, and which replicas can take it.

A binding books everything that the request needs before it decodes: KV blocks for all of its
tokens and staging for its embeddings, on the prefill replica and, where decode lives elsewhere,
on the decode replica too. So a prefill never waits for room downstream, and decode waits for
nobody. Room for the decode's growth is not booked; a watermark is kept free for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from .media import ItemPhase
from .nearness import Near
from .replica import Replica
from .replicas import Done, Replicas, room
from .request import Request
from .routing import transfer_s
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


class Need(NamedTuple):
    """What a binding books: blocks now, blocks at the longest answer, staging bytes."""

    tokens: int  # to prefill
    blocks: int
    most_blocks: int
    row_bytes: int  # of staging, for a row of an embedding
    staging: int  # where it prefills
    kept: int  # of it, where it decodes: only cross-attention looks at images again
    waits: bool  # some image is still missing: the request may sit on its blocks for a while


def need_of(request: Request, terms: Terms) -> Need:
    rows = sum(item.rows for item in request.media) if request.media else 0
    return Need(
        tokens=request.tokens,
        blocks=terms.blocks(request.tokens),
        most_blocks=terms.blocks(request.prompt_tokens + request.max_tokens),
        row_bytes=terms.staging_row_bytes,
        staging=rows * terms.staging_row_bytes,
        kept=rows * terms.staging_row_bytes if terms.cross_attention else 0,
        waits=bool(request.media) and not at_all_images(request),
    )


def place(
    need: Need,
    replicas: Replicas,
    waiting_blocks: Callable[[Replica], int],
    near: Mapping[str, Near],
    home: str | None = None,
) -> tuple[Replica, Replica] | None:
    """The prefill and the decode replica for `need`, often the same one; None: no room now.
    `near`: what some replicas have of the request already; `home`: where alone it may prefill."""

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

    if home is None:
        prefill = replicas.least(Stage.PREFILL, need.blocks, prefills, need.tokens)
    else:
        prefill = replicas[home] if prefills(replicas[home]) else None
    if near and prefill is not None:
        others = [replicas[name] for name in near if Stage.PREFILL in replicas[name].stages]
        able = [prefill, *(one for one in others if prefills(one))]
        prefill = min(able, key=lambda one: _prefilled(one, need, replicas, near))
    if prefill is None or Stage.DECODE in prefill.stages:
        return None if prefill is None else (prefill, prefill)
    decode = replicas.least(Stage.DECODE, need.blocks, decodes, need.blocks)
    return None if decode is None else (prefill, decode)


def _prefilled(one: Replica, need: Need, replicas: Replicas, near: Mapping[str, Near]) -> Done:
    """When it would be: less what is known there, and behind the way of the other embeddings."""
    has = near.get(one.name, Near())
    missing = need.staging - has.stored_rows * need.row_bytes
    return replicas.done(
        Stage.PREFILL, one, need.tokens - has.known_tokens, transfer_s(max(0, missing))
    )


def can_hold(replica: Replica, need: Need) -> bool:
    """Whether a request that decodes there already fits beside what else is booked."""
    return (
        Stage.DECODE in replica.stages
        and need.blocks <= replica.ledger.kv_blocks.free
        and need.most_blocks <= replica.ledger.kv_blocks.capacity
        and need.kept <= replica.ledger.staging_bytes.free
    )


def fits_nowhere(need: Need, replicas: Mapping[str, Replica], home: str | None = None) -> bool:
    """Whether no replica that is here could take it even when empty: nobody waits behind it.
    `home`: where alone it may prefill."""
    everybody = list(replicas.values())
    able = everybody if home is None else [replicas[home]]
    return not (
        any(takes_empty(one, need, Stage.PREFILL) for one in able)
        and any(takes_empty(one, need, Stage.DECODE) for one in everybody)
    )


def takes_empty(one: Replica, need: Need, stage: Stage) -> bool:
    """Whether it takes work of the stage, and would have room if it had nothing else."""
    staging = need.staging if stage is Stage.PREFILL else need.kept
    return (
        stage in one.stages
        and one.takes_work
        and need.most_blocks <= one.ledger.kv_blocks.capacity
        and staging <= one.ledger.staging_bytes.capacity
    )


def _has_blocks(replica: Replica, need: Need) -> bool:
    return need.most_blocks <= replica.ledger.kv_blocks.capacity and need.blocks <= room(replica)


def _lets_wait(replica: Replica, need: Need, waiting_blocks: Callable[[Replica], int]) -> bool:
    """Requests with images missing hold at most a quarter of the blocks, or are all alone."""
    return (
        not replica.bound
        or (waiting_blocks(replica) + need.blocks) * 4 <= replica.ledger.kv_blocks.capacity
    )
