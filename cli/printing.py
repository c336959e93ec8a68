"""What goes to the two streams: colour and width belong to terminals only."""

from __future__ import annotations

import sys
from typing import Any

import orjson
from rich.console import Console

WIDE = 1000  # off a terminal nothing is wrapped or cut


def console(*, stderr: bool = False) -> Console:
    """For tables and progress; sentences are printed plainly."""
    stream = sys.stderr if stderr else sys.stdout
    return Console(
        file=stream,
        highlight=False,
        width=None if stream.isatty() else WIDE,
        force_terminal=None if stream.isatty() else False,
    )


def complain(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def print_json(body: Any) -> None:
    """One object on one line, its keys in the order that they were given."""
    print(orjson.dumps(body).decode(), flush=True)
