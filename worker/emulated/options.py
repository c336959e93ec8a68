"""What a process of emulated workers is told: one JSON line on its standard input."""

from __future__ import annotations

from ..options import WorkerOptions


class EmulatedOptions(WorkerOptions, frozen=True, forbid_unknown_fields=True):
    """As for a real worker; `profile`: see profile.py."""

    profile: str = "instant"
    count: int = 1
