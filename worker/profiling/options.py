"""What the process is told: one JSON line on its standard input."""

from __future__ import annotations

from msgspec import Struct


class ProfilingOptions(Struct, frozen=True, forbid_unknown_fields=True):
    model: str  # folder
    name: str = ""  # that the profiles call it by; "": the folder's
    device: str = "auto"  # auto, cpu, cuda:N
    threads: int = 0  # 0: as many as this process may use
    quick: bool = False
