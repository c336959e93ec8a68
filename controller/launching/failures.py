"""Launches that came to nothing, role by role: what a scaling policy lets its pauses grow by."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class Failed:
    """Launches in a row, and when the last of them failed."""

    count: int = 0
    last_s: float = -inf


class Failures:
    def __init__(self) -> None:
        self._roles: dict[str, str] = {}  # of the launches under way, by name
        self._failing: set[str] = set()  # those of them that failed, and are tried again
        self._rows: dict[str, Failed] = {}

    def of(self, role: str) -> Failed:
        return self._rows.get(role, Failed())

    def __contains__(self, name: str) -> bool:
        """Whether it is tried again after a failure."""
        return name in self._failing

    def begun(self, name: str, role: str) -> None:
        self._roles[name] = role

    def failed(self, name: str, now: float) -> None:
        """One that fails again on another try counts once; who is waited for no more, not."""
        role = self._roles.get(name)
        if role is not None:
            count = self.of(role).count + (name not in self._failing)
            self._rows[role] = Failed(count, now)
            self._failing.add(name)

    def forget(self, name: str) -> None:
        """It came about, or is not tried again."""
        self._roles.pop(name, None)
        self._failing.discard(name)

    def over(self, role: str) -> None:
        """A worker of that role came, whoever started it."""
        self._rows.pop(role, None)
