"""Numbers in five characters or so, since eighty have to do for a row."""

from __future__ import annotations

from math import floor

NOTHING = "-"


def count(value: float) -> str:
    """`999`, `1.2k`, `34k`, `5.6M`."""
    for unit in ("", "k", "M", "G"):
        if value < 999.5:
            return f"{value:.1f}{unit}" if unit and value < 9.95 else f"{value:.0f}{unit}"
        value /= 1000
    return f"{value:.0f}T"


def size(value: float) -> str:
    """Bytes in binary units: `512M`, `1.5G`."""
    for unit in ("B", "K", "M", "G"):
        if value < 1023.5:
            return f"{value:.1f}{unit}" if unit == "G" and value < 9.95 else f"{value:.0f}{unit}"
        value /= 1024
    return f"{value:.1f}T"


def seconds(value: float | None) -> str:
    """A latency: `0.8 ms`, `35 ms`, `1.2 s`."""
    if value is None:
        return NOTHING
    if value < 0.00095:
        return f"{value * 1e3:.1f} ms"
    if value < 0.9995:
        return f"{value * 1e3:.0f} ms"
    return f"{value:.1f} s" if value < 99.95 else f"{value:.0f} s"


def share(part: float, whole: float) -> str:
    """Per cent; 100 is for all of it."""
    return f"{floor(part / whole * 100)}%" if whole else NOTHING


def uptime(total_s: float) -> str:
    """The two largest units: `3 d 4 h`, `5 min 2 s`."""
    rest = int(total_s)
    parts: list[str] = []
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)):
        value, rest = divmod(rest, length)
        if value or (unit == "s" and not parts):
            parts.append(f"{value} {unit}")
    return " ".join(parts[:2])
