"""Attainment in `msctl status`: how many of those who asked lately were served in time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor
from typing import Any

from rich.table import Table
from rich.text import Text

from ..scheduler.stage import Stage

GOOD = 0.99  # what the paper's autoscaling holds attainment against


def attainment(rows: Sequence[Mapping[str, Any]]) -> Table:
    """One row for each class, modality and window; at most 80 columns."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("class", "requests"):
        table.add_column(heading, no_wrap=True)
    for heading in ("within", "sent", "in time", *Stage):
        table.add_column(heading, no_wrap=True, justify="right")
    for row in rows:
        shares = (row["stages"].get(stage, {}).get("attainment") for stage in Stage)
        table.add_row(
            row["slo"],
            row["modality"],
            f"{row['window_s']:g} s",
            str(row["sent"]),
            *(_share(share) for share in (row["attainment"], *shares)),
        )
    return table


def _share(share: float | None) -> Text:
    if share is None:
        return Text("-")
    shown = floor(share * 1000) / 10  # 100 % is for all of them
    return Text(f"{shown:.1f}%", "" if share >= GOOD else "red")
