"""Where the time of a request went: its stages' shares as numbers and as a bar."""

from __future__ import annotations

from collections.abc import Iterable

from rich.table import Table
from rich.text import Text

from ..transport.messages import Timing

BAR = 24  # characters
WIDTH_WITH_BAR = 110  # of a terminal; the numbers alone fit into 80
STAGES = (  # heading, field of Timing, colour
    ("encode", "encode_s", "magenta"),
    ("prefill", "prefill_s", "blue"),
    ("hand-over", "transfer_s", "yellow"),
    ("decode", "decode_s", "green"),
    ("other", None, "bright_black"),  # preparing, and waiting for a replica
)


def shares_of(timing: Timing) -> list[float]:
    """One share per column; they add up to 1.

    Stages of one request overlap where prefill begins before the last image is encoded: then
    they are shares of their sum.
    """
    spent = [getattr(timing, field) for _, field, _ in STAGES if field is not None]
    whole = max(timing.total_s, sum(spent)) or 1.0
    return [part / whole for part in (*spent, whole - sum(spent))]


def table_of(rows: Iterable[tuple[str, Timing]], *, with_bar: bool) -> Table:
    """A row for each (name, timing)."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("request", no_wrap=True)
    table.add_column("time", justify="right", no_wrap=True)
    for heading, _, colour in STAGES:
        table.add_column(Text(heading, colour), justify="right", no_wrap=True)
    if with_bar:
        table.add_column("", no_wrap=True)
    for name, timing in rows:
        shares = shares_of(timing)
        numbers = [f"{timing.total_s * 1000:.0f} ms", *(f"{share:.0%}" for share in shares)]
        table.add_row(name, *numbers, *([_bar(shares)] if with_bar else []))
    return table


def _bar(shares: list[float]) -> Text:
    bar, done = Text(), 0.0
    for share, (_, _, colour) in zip(shares, STAGES, strict=True):
        begin, done = round(done * BAR), done + share
        bar.append("█" * (round(done * BAR) - begin), colour)
    return bar
