"""The scaling policies by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from .decisions import Policy
from .modserve import ModServe
from .off import Off
from .paper import Paper
from .tuning import Tuning

POLICIES: Mapping[str, Callable[[], Policy]] = {"off": Off, "paper": Paper, "modserve": ModServe}


def policy_named(name: str, tuning: Tuning | None = None) -> Policy:
    """A fresh one; raises ValueError for a name that is none. `tuning`: of `modserve`, which alone
    has constants that somebody may want to be different."""
    if name not in POLICIES:
        raise ValueError(f"expected a scaling policy of {', '.join(POLICIES)}, got {name}")
    return ModServe(tuning) if name == "modserve" else POLICIES[name]()
