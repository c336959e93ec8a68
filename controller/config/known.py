"""The policies and launchers that a file may name."""

from __future__ import annotations

from collections.abc import Collection

from ...scheduler.binding import BINDINGS

KNOWN: dict[str, Collection[str]] = {
    "policies.bind": BINDINGS,
    "policies.admission": ("room",),  # what fits nowhere is refused: scheduler/admission.py
    "policies.routing": ("pending",),  # to whom the least is pending: scheduler/routing.py
    "scaling.policy": ("off", "paper", "modserve"),
    "scaling.launcher": ("manual", "local", "ray"),
}
