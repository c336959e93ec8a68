"""SLO classes of a file beside, or in place of, those that are there by default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...scheduler.slo.classes import CLASSES, STANDARD, SloClass
from ..naming import unknown
from .reading import BadConfig, shown
from .tables import SloTable

NO_CLASS = "none"  # as degrade_to: whom it cannot be promised is refused
NAME = re.compile(r"[A-Za-z0-9_-]{1,16}")  # it has a column in `msctl status`


def check_name(name: str) -> None:
    if NAME.fullmatch(name) is None:
        most = "1 to 16 letters, digits, - and _"
        raise BadConfig(f"slo: expected a name of {most}, got {shown(name)}")
    if name == NO_CLASS:
        raise BadConfig(f"slo: expected a name that degrade_to has no use for, got {NO_CLASS}")


def slo_classes(tables: Mapping[str, SloTable]) -> dict[str, SloClass]:
    """Raises BadConfig for a class that promises nothing, or leads nowhere."""
    classes = dict(CLASSES)
    for name, table in tables.items():
        classes[name] = _changed(CLASSES.get(name), name, table)
    for one in classes.values():
        _check_degrading(one, classes)
    return classes


def _changed(usual: SloClass | None, name: str, table: SloTable) -> SloClass:
    changes: dict[str, Any] = {}
    for key in ("ttft_ms", "tpot_ms", "image_token_ms"):
        if (ms := getattr(table, key)) is not None:
            changes[key.replace("_ms", "_s")] = ms / 1000
    for key in ("priority", "degrade_to"):
        if (value := getattr(table, key)) is not None:
            changes[key] = value
    if changes.get("degrade_to") == NO_CLASS:
        changes["degrade_to"] = None
    if usual is not None:
        return replace(usual, **changes)
    for key in ("ttft", "tpot"):
        if f"{key}_s" not in changes:
            raise BadConfig(f"slo.{name}: expected {key}_ms for a class of your own, got none")
    return SloClass(**{"name": name, "priority": STANDARD.priority, **changes})


def _check_degrading(one: SloClass, classes: Mapping[str, SloClass]) -> None:
    """What cannot be kept goes to another class, and from there not back."""
    seen, at = [one.name], one
    while at.degrade_to is not None:
        if at.degrade_to not in classes:
            sentence = unknown("an SLO class", at.degrade_to, classes)
            raise BadConfig(f"slo.{at.name}.degrade_to: {sentence}")
        if at.degrade_to in seen:
            circle = " -> ".join([*seen, at.degrade_to])
            raise BadConfig(f"slo.{one.name}.degrade_to: expected a way that ends, got {circle}")
        at = classes[at.degrade_to]
        seen.append(at.name)
