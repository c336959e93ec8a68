"""The stages of inference, and the roles that users name: sets of stages in one process."""

from __future__ import annotations

from enum import StrEnum


class Stage(StrEnum):
    ENCODE = "encode"
    PREFILL = "prefill"
    DECODE = "decode"

    __hash__ = str.__hash__  # Enum's own is written in Python


ROLES: dict[str, frozenset[Stage]] = {
    "encode": frozenset({Stage.ENCODE}),
    "prefill": frozenset({Stage.PREFILL}),
    "decode": frozenset({Stage.DECODE}),
    "text": frozenset({Stage.PREFILL, Stage.DECODE}),
    "all": frozenset(Stage),
}


def stages_of(names: list[str]) -> frozenset[Stage]:
    """The union of the named roles; raises ValueError for a name that is none."""
    unknown = [name for name in names if name not in ROLES]
    if unknown or not names:
        got = ", ".join(unknown) or "nothing"
        raise ValueError(f"expected a stage of {', '.join(ROLES)}, got {got}")
    return frozenset().union(*(ROLES[name] for name in names))


def role_of(stages: frozenset[Stage]) -> str:
    """The name of a set of stages, as `msctl status` shows it and worker names begin with."""
    for name, members in ROLES.items():
        if members == stages:
            return name
    return "+".join(stage.value for stage in Stage if stage in stages)
