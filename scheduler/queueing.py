"""A queue ordered by a key that each member brings; one member per name, removable by name."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

Key = tuple[float, int]


class OrderedQueue:
    """A sorted list: the head is read most, insertion is one memmove of pointers."""

    def __init__(self) -> None:
        self._rows: list[tuple[Key, str]] = []
        self._keys: dict[str, Key] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, name: str) -> bool:
        return name in self._keys

    def __iter__(self) -> Iterator[str]:
        return (name for _, name in self._rows)

    def at(self, place: int) -> str:
        """The name that `place` others stand in front of."""
        return self._rows[place][1]

    def add(self, name: str, key: Key) -> None:
        """Raises ValueError for a name that is in already."""
        if name in self._keys:
            raise ValueError(f"{name} is queued already")
        self._keys[name] = key
        insort(self._rows, (key, name))

    def remove(self, name: str) -> None:
        """Take `name` out, if it is in."""
        key = self._keys.pop(name, None)
        if key is not None:
            del self._rows[bisect_left(self._rows, (key, name))]
