"""Names that are chosen from a list, and the sentence about one that is not on it."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches

MOST_SHOWN = 60  # characters of a name that somebody else chose


def unknown(what: str, name: str, known: Collection[str]) -> str:
    """`what`: "a key", "an SLO class"; the nearest known name is offered, if one is near."""
    shown = name if name.isprintable() else repr(name)
    if len(shown) > MOST_SHOWN:
        shown = f"{shown[:MOST_SHOWN]}..."
    near = get_close_matches(shown, known, n=1, cutoff=0.5)
    question = f"; did you mean {near[0]}?" if near else ""
    return f"expected {what} of {', '.join(known)}, got {shown}{question}"
