"""A queue ordered by a key that each member brings; one member per name, removable by name."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

Key = tuple[float, int]
Row = tuple[Key, str]

MOST = 512  # rows of a chunk; a list of a hundred thousand takes long to move


class OrderedQueue:
    """Sorted chunks, none of them empty: the head is read most, and what changes one chunk leaves
    the others where they are."""

    def __init__(self) -> None:
        self._chunks: list[list[Row]] = []
        self._keys: dict[str, Key] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, name: str) -> bool:
        return name in self._keys

    def __iter__(self) -> Iterator[str]:
        return (name for chunk in self._chunks for _, name in chunk)

    def at(self, place: int) -> str:
        """The name that `place` others stand in front of."""
        for chunk in self._chunks:
            if place < len(chunk):
                return chunk[place][1]
            place -= len(chunk)
        raise IndexError(f"expected a place among {len(self)}, got one {place} behind the last")

    def add(self, name: str, key: Key) -> None:
        """Raises ValueError for a name that is in already."""
        if name in self._keys:
            raise ValueError(f"{name} is queued already")
        self._keys[name] = key
        if not self._chunks:
            self._chunks.append([(key, name)])
            return
        place = self._chunk_of((key, name))
        chunk = self._chunks[place]
        insort(chunk, (key, name))
        if len(chunk) > MOST:
            self._chunks[place : place + 1] = [chunk[: MOST // 2], chunk[MOST // 2 :]]

    def remove(self, name: str) -> None:
        """Take `name` out, if it is in."""
        key = self._keys.pop(name, None)
        if key is None:
            return
        place = self._chunk_of((key, name))
        chunk = self._chunks[place]
        del chunk[bisect_left(chunk, (key, name))]
        if not chunk:
            del self._chunks[place]

    def move(self, name: str, key: Key) -> None:
        """Give it this key, whether it is in or not."""
        if self._keys.get(name) != key:
            self.remove(name)
            self.add(name, key)

    def _chunk_of(self, row: Row) -> int:
        """Where it is, or belongs: the first chunk that ends with no smaller one, or the last."""
        if len(self._chunks) == 1:
            return 0
        place = bisect_left(self._chunks, row, key=lambda chunk: chunk[-1])
        return min(place, len(self._chunks) - 1)
