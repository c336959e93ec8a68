"""The lines at the top: the controller, the requests by modality, and what they were promised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePath
from typing import Any

from rich.text import Text

from ..status import prefix_tokens
from .columns import Column, cut, lay_out
from .figures import NOTHING, count, seconds, share, uptime
from .glyphs import Glyphs, spark
from .history import MODALITIES, TPOT, TTFT
from .seen import Seen

GOOD = 0.99
WAITING = ("admitted", "queued")  # phases in which no text worker has a request
SHORT_S = 30.0  # the window of attainment that is shown
NARROW, MOST_SPARK = 80, 60


def heading(seen: Seen, width: int, glyphs: Glyphs, *, paused: bool) -> list[Text]:
    one = seen.report["controller"]
    dot = f" {glyphs.dot} "
    left = Text.assemble(
        ("modserve", "bold"),
        f" {one['endpoint']}{dot}{PurePath(one['model']).name}{dot}up {uptime(one['uptime_s'])}",
    )
    right = Text("PAUSED ", "yellow reverse") if paused else Text("")
    right += Text(seen.clock)
    lines = [_both_ends(left, right, width)]
    if seen.trouble:
        lines.append(cut(Text(seen.trouble, "red"), width))
    if error := seen.report["journal"]["error"]:
        lines.append(cut(Text(f"journal failing: {error}", "red"), width))
    return lines


def _both_ends(left: Text, right: Text, width: int) -> Text:
    gap = width - left.cell_len - right.cell_len
    if gap < 1:
        return cut(left, width)
    return left + Text(" " * gap) + right


def requests(seen: Seen, width: int) -> list[Text]:
    told, rates = seen.report["requests"], seen.report["rates"]
    ends = "  ".join(
        f"{count(told[end])} {end}" for end in ("finished", "failed", "cancelled", "rejected")
    )
    speed = (
        f"{count(rates['tokens_per_s'])} tokens/s  "
        f"{count(rates['image_tokens_per_s'])} image tokens/s  "
        f"{count(seen.report['waiting_tokens'])} prompt tokens wait"
    )
    return [
        cut(_titled("requests", f"{count(told['open'])} open  {ends}"), width),
        cut(_titled("rates", speed), width),
        cut(_titled("caches", caches(seen.report)), width),
    ]


def caches(report: Mapping[str, Any]) -> str:
    """Since the start of the workers, and of the controller."""
    asked, found = prefix_tokens(report)
    images = report["image_cache"]
    return (
        f"{share(found, asked)} of {count(asked)} prompt tokens found  "
        f"{share(images['found'], images['asked'])} of {count(images['asked'])} images found"
    )


def _titled(title: str, told: str) -> Text:
    return Text.assemble((f"{title:<9}", "bold"), " ", told)


def modalities(seen: Seen, width: int, glyphs: Glyphs) -> list[Text]:
    """A row each for text and images: queues, attainment, and latencies with their past."""
    room = min(MOST_SPARK, max(8, (width - NARROW) // 2 + 8))
    by_modality = seen.report["requests"]["by_modality"]
    phases = [by_modality[one] for one in MODALITIES]
    columns = [
        Column("", [Text(f"{one:<9}", "bold") for one in MODALITIES], right=False),
        Column("wait", [count(sum(told.get(p, 0) for p in WAITING)) for told in phases]),
        Column("run", [count(_running(told)) for told in phases]),
        Column("in time", [attained(seen.report["attainment"], one) for one in MODALITIES]),
    ]
    for title, name in (("TTFT", TTFT), ("TPOT", TPOT)):
        found = [seen.latencies[name, one] for one in MODALITIES]
        columns += [
            Column(f"{title} p50", [seconds(one.p50) for one in found]),
            Column("p99", [seconds(one.p99) for one in found]),
            Column("", [Text(spark(one.medians, room, glyphs), "cyan") for one in found], rank=1),
        ]
    return lay_out(columns, width)


def _running(phases: Mapping[str, int]) -> int:
    return sum(told for phase, told in phases.items() if phase not in WAITING)


def attained(rows: Sequence[Mapping[str, Any]], modality: str) -> Text:
    """Over all classes, of those sent in the short window."""
    mine = [one for one in rows if one["modality"] == modality and one["window_s"] == SHORT_S]
    sent, met = sum(one["sent"] for one in mine), sum(one["met"] for one in mine)
    if not sent:
        return Text(NOTHING)
    return Text(share(met, sent), "green" if met >= GOOD * sent else "red")
