"""How 128 A100s are divided best, by system, model and workload: what bench/tuning.py found.

All were looked for in the same way, under a per-request SLO of five times what a request takes
alone, on the first 5 minutes of the Azure window or 1,000 requests of ServeGen from hour 2 on. A
system whose place is empty has the split that systems.py says, and so has every other GPU.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..scheduler.stage import role_of
from .layout import Share, gpus_of, read_layout

GPU = "a100"
AZURE, SERVEGEN = "Azure LMM 2025", "ServeGen"  # by the names of their formats
LLAMA, INTERN = "llama3.2-11b", "internvl-26b"

LAYOUTS: Mapping[tuple[str, str, str], str] = {}


def tuned(system: str, model: str, workload: str) -> tuple[Share, ...] | None:
    """For any number of GPUs; None: not tuned."""
    found = LAYOUTS.get((system, model, workload))
    if found is None:
        return None
    layout = read_layout(found)
    whole = gpus_of(layout)
    return tuple(
        Share(role_of(part.stages), part.gpus / whole, part.tp, part.encode_tp) for part in layout
    )
