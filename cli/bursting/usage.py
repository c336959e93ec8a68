"""Processor time that processes of this host take."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

PER_S = os.sysconf("SC_CLK_TCK")


class Usage:
    def __init__(self) -> None:
        self._at_s, self._spent_s = 0.0, dict[int, float]()

    def cores(self, pids: Iterable[int], at_s: float) -> float | None:
        """How many these were busy with since the last call, on average; None: not known."""
        found = {pid: spent_s for pid in pids if (spent_s := _spent_s(pid)) is not None}
        both = found.keys() & self._spent_s
        worked_s = sum(found[pid] - self._spent_s[pid] for pid in both)
        passed_s = at_s - self._at_s
        self._at_s, self._spent_s = at_s, found
        return worked_s / passed_s if both and passed_s > 0 else None


def _spent_s(pid: int) -> float | None:
    """As Linux counts it; None where it does not, or for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / PER_S
    except (OSError, ValueError, IndexError):
        return None
