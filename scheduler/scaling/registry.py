"""The scaling policies by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .decisions import Policy
from .modserve import ModServe
from .off import Off
from .paper import Paper

POLICIES: Mapping[str, Callable[[], Policy]] = {"off": Off, "paper": Paper, "modserve": ModServe}


def policy_named(name: str) -> Policy:
    """A fresh one; raises ValueError for a name that is none."""
    if name not in POLICIES:
        raise ValueError(f"expected a scaling policy of {', '.join(POLICIES)}, got {name}")
    return POLICIES[name]()
