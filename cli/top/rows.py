"""A row for each worker; as many as there is room for, the selected one among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.text import Text

from ..status import STATES
from .columns import Column, cut, lay_out
from .figures import NOTHING, count, share, size
from .glyphs import Glyphs
from .pools import queued
from .seen import reads, role, sees
from .view import View, sorted_by

Worker = Mapping[str, Any]


def rows(
    workers: Sequence[Worker], view: View, width: int, height: int, glyphs: Glyphs
) -> list[Text]:
    """At most `height` lines, the headings and what was left out included."""
    if not workers:
        return [cut(Text("no workers yet: msctl add-worker --stage all"), width)][:height]
    ordered = sorted_by(view.sort, workers)
    room = height - 1
    if len(ordered) <= room:
        return _table(ordered, view, width, glyphs)
    room = max(1, room - 1)  # for the line that says how many are left out
    first = _first(ordered, view.selected, room)
    shown = ordered[first : first + room]
    told = f"  {first} above, {len(ordered) - first - len(shown)} below"
    return [*_table(shown, view, width, glyphs), cut(Text(told, "dim"), width)][:height]


def _first(ordered: Sequence[Worker], selected: str, room: int) -> int:
    """Of those that are shown: as far up as the selected one allows."""
    at = next((at for at, one in enumerate(ordered) if one["name"] == selected), 0)
    return min(max(0, at - room + 1), len(ordered) - room)


def _table(workers: Sequence[Worker], view: View, width: int, glyphs: Glyphs) -> list[Text]:
    chosen = view.selected
    names = [f"{glyphs.mark if one['name'] == chosen else ' '} {one['name']}" for one in workers]
    columns = [
        Column("  worker", names, right=False),
        Column("stage", [role(one) for one in workers], right=False, rank=4),
        Column("state", [_state(one) for one in workers], right=False),
        Column("busy", [f"{one['busy']:.0%}" for one in workers]),
        Column("run+wait", [_requests(one) for one in workers]),
        Column("queued", [queued([one]) for one in workers]),
        Column("KV", [_part(one, "kv_blocks") for one in workers]),
        Column("emb", [_part(one, "store_bytes") for one in workers]),
        Column("rate/s", [_rate(one) for one in workers], rank=2),
        Column("memory", [size(one["resident_bytes"]) for one in workers], rank=1),
        Column("device", [one["device"] for one in workers], right=False, rank=5),
        Column("host", [one["host"] for one in workers], right=False, rank=6),
    ]
    lines = lay_out(columns, width)
    for line, one in zip(lines[1:], workers, strict=True):
        if one["name"] == chosen:
            line.stylize("reverse")
    return lines


def _state(one: Worker) -> Text:
    told = f"loading {one['loaded']:.0%}" if one["state"] == "loading" else one["state"]
    return Text(told, STATES.get(one["state"], ""))


def _requests(one: Worker) -> str:
    return f"{one['running']}+{one['waiting']}" if reads(one) else str(one["waiting"])


def _part(one: Worker, what: str) -> str:
    return share(one[f"{what}_used"], one[what])


def _rate(one: Worker) -> str:
    told = [count(one["tokens_per_s"])] if reads(one) else []
    told += [f"{count(one['image_tokens_per_s'])} img"] if sees(one) else []
    return " ".join(told) or NOTHING
