"""What a process of workers tells whoever started it: events on stdout, the log on stderr."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import suppress
from typing import Any

import orjson


def begin_log() -> None:
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )


def tell(event: str, **fields: Any) -> None:
    """One JSON line for whoever started us, who may have gone."""
    with suppress(OSError):
        os.write(sys.stdout.fileno(), orjson.dumps({"event": event, **fields}) + b"\n")
