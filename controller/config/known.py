"""The policies and launchers that a file may name."""

from __future__ import annotations

from collections.abc import Collection

from ...scheduler.binding import BINDINGS
from ...scheduler.degrading import ADMISSIONS
from ...scheduler.routing import ROUTINGS
from ...scheduler.scaling.limits import Means

KNOWN: dict[str, Collection[str]] = {
    "admission.policy": ADMISSIONS,
    "policies.bind": BINDINGS,
    "policies.routing": ROUTINGS,
    "scaling.policy": ("off", "paper", "modserve"),
    "scaling.launcher": ("manual", "local", "ray"),
}

MEANS = tuple(one.value for one in Means)
