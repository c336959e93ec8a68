"""Reports and events of real controllers, as they were recorded under load."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import orjson

from modserve.cli.top.history import History
from modserve.cli.top.seen import Decisions, Seen
from modserve.transport.messages import Event

FOLDER = Path(__file__).parent / "recorded"
NAMES = sorted(file.stem for file in FOLDER.glob("*.json"))


def recorded(name: str) -> tuple[dict[str, Any], list[Event]]:
    body = orjson.loads((FOLDER / f"{name}.json").read_bytes())
    return body["report"], msgspec.convert(body["events"], list[Event])


def seen(name: str) -> Seen:
    report, events = recorded(name)
    decisions = Decisions()
    decisions.add(events)
    return Seen(report, History().add(report), tuple(decisions.kept), "12:34:56")
