"""What Ray sets apart for a worker, as people write it: 4cpu+1gpu."""

from __future__ import annotations

import re

from ...scheduler.stage import ROLES
from .options import Resources

NEED = re.compile(r"(\d+(?:\.\d+)?)cpu(?:\+(\d+(?:\.\d+)?)gpu)?")


def need(role: str, text: str) -> Resources:
    """Raises ValueError with one sentence."""
    found = NEED.fullmatch(text)
    if found is None or role not in ROLES:
        roles = ", ".join(ROLES)
        raise ValueError(
            f"expected a role of {roles} with its need like text=4cpu+1gpu, got {role}={text}"
        )
    return Resources(float(found[1]), float(found[2] or 0.0))
