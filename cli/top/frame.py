"""One frame: what was seen, on a screen of some size."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from rich.text import Text

from ...transport.messages import Event
from .columns import cut
from .glyphs import Glyphs
from .pools import pools
from .rows import rows
from .seen import Seen
from .totals import heading, modalities, requests
from .view import View

LEAST_ROWS = 4  # of workers, headings included, before others give way
SHOWN_DECISIONS = 3
KEYS = "q quit  s sort: {sort}  p {pause}  j k select  d drain"


def frame(seen: Seen, view: View, width: int, height: int, glyphs: Glyphs) -> list[Text]:
    """At most `height` lines of at most `width` cells."""
    head = [
        *heading(seen, width, glyphs, paused=view.paused),
        *requests(seen, width),
        Text(""),
        *modalities(seen, width, glyphs),
    ]
    middle = [Text(""), *pools(seen.workers, width, glyphs)] if seen.workers else []
    foot = [foot_line(view, width)]
    left = height - len(head) - len(foot)
    if left - len(middle) < LEAST_ROWS:
        middle = []
    left -= len(middle)
    spare = left - len(seen.workers) - 3  # what the table and two empty lines leave
    told = decisions(seen.decisions, width, max(spare, min(SHOWN_DECISIONS, left - LEAST_ROWS - 2)))
    below = [Text(""), *told] if told else []
    workers = rows(seen.workers, view, width, max(0, left - len(below) - 1), glyphs)
    if not workers:
        return [*head[: max(0, height - 1)], *foot][-height:]
    return [*head, *middle, Text(""), *workers, *below, *foot][:height]


def decisions(events: Sequence[Event], width: int, most: int) -> list[Text]:
    """The newest at the top."""
    if most < 1:
        return []
    if not events:
        return [cut(Text("no decisions about workers yet", "dim"), width)]
    return [_decision(event, width) for event in reversed(events[-most:])]


def _decision(event: Event, width: int) -> Text:
    when = datetime.fromtimestamp(event.time).astimezone()
    sentence = " ".join(event.sentence.split())
    return cut(Text.assemble((f"{when:%H:%M:%S} ", "dim"), sentence), width)


def foot_line(view: View, width: int) -> Text:
    if view.asking:
        line = Text(f"drain {view.asking}, so that it ends what it has and leaves? y/n", "bold")
    elif view.notice:
        line = Text(view.notice, "bold")
    else:
        line = Text(KEYS.format(sort=view.sort, pause="go on" if view.paused else "pause"), "dim")
    return cut(line, width)
