"""A line for each role: how many workers, how busy, how full."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from ...scheduler.stage import ROLES
from .columns import Column, lay_out
from .figures import NOTHING, count, share, size
from .glyphs import Glyphs, bar
from .seen import reads, role, sees

BAR = 8
HIGH = 0.9

Workers = Sequence[Mapping[str, Any]]


def pools(workers: Workers, width: int, glyphs: Glyphs) -> list[Text]:
    """In the order that a request takes them."""
    there = {role(one) for one in workers}
    names = [*(name for name in ROLES if name in there), *sorted(there - ROLES.keys())]
    members = [[one for one in workers if role(one) == name] for name in names]
    columns = [
        Column("stage", [Text(f"{name:<9}", "bold") for name in names], right=False),
        Column("workers", [_states(some) for some in members], right=False),
        Column("busy", [_busy(some, glyphs) for some in members], right=False),
        Column("queued", [queued(some) for some in members]),
        Column("KV", [_kv(some, glyphs) for some in members], right=False),
        Column("embeddings", [_store(some, glyphs) for some in members], right=False),
        Column("memory", [size(_sum(some, "resident_bytes")) for some in members], rank=1),
    ]
    return lay_out(columns, width)


def _sum(workers: Workers, what: str) -> int:
    return sum(one[what] for one in workers)


def _states(workers: Workers) -> str:
    states = Counter(one["state"] for one in workers)
    return ", ".join(f"{states[state]} {state}" for state in sorted(states, key=_calm))


def _calm(state: str) -> tuple[bool, str]:
    return state != "ready", state


def _busy(workers: Workers, glyphs: Glyphs) -> Text:
    return gauge(sum(one["busy"] for one in workers), len(workers), glyphs)


def gauge(part: float, whole: float, glyphs: Glyphs) -> Text:
    """A bar and the number beside it, so that colour is not needed."""
    if not whole:
        return Text(NOTHING)
    told = part / whole
    return Text(f"{bar(told, BAR, glyphs)} {share(part, whole):>4}", "red" if told > HIGH else "")


def queued(workers: Workers) -> str:
    """Tokens of prompts, and of images, that workers have to compute."""
    parts = []
    if any(reads(one) for one in workers):
        parts.append(f"{count(_sum(workers, 'pending_tokens'))} tok")
    if any(sees(one) for one in workers):
        parts.append(f"{count(_sum(workers, 'pending_image_tokens'))} img")
    return " ".join(parts)


def _kv(workers: Workers, glyphs: Glyphs) -> Text:
    return gauge(_sum(workers, "kv_blocks_used"), _sum(workers, "kv_blocks"), glyphs)


def _store(workers: Workers, glyphs: Glyphs) -> Text:
    return gauge(_sum(workers, "store_bytes_used"), _sum(workers, "store_bytes"), glyphs)
