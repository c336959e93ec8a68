"""python -m modserve.worker.profiling < options.json

`msctl profile` starts it. It tells how far it is, and each profile, as JSON lines on stdout.
"""

from __future__ import annotations

import logging
import os
import sys

import msgspec

from ...scheduler.costs.written import write
from ..main import choose_device
from ..telling import tell
from .measuring import profiles
from .options import ProfilingOptions


def main() -> int:
    """0, or 1 with one `error` event."""
    logging.basicConfig(stream=sys.stderr, level=logging.INFO)
    try:
        options = msgspec.json.decode(sys.stdin.buffer.readline(), type=ProfilingOptions)
        device = choose_device(options.device)
        for profile in profiles(options, device, _tell_how_far):
            tell("profile", text=write([profile]))
    except (msgspec.DecodeError, ValueError) as error:
        tell("error", reason=str(error))
        return 1
    tell("done")
    return 0


def _tell_how_far(what: str, done: int, total: int) -> None:
    tell("measuring", what=what, done=done, total=total)


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    os._exit(code)  # torch's threads may still be in the middle of something
