"""How much a thread yields to others of the host."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path
from threading import get_native_id

log = logging.getLogger(__name__)


def yield_to_others(nice: int, before: int = 0) -> None:
    """For this thread and those that it starts from now on: on Linux, niceness is a thread's.
    `before`: of the thread whose place this one takes. A thread can only become nicer, its session
    may become less so."""
    if nice == before == 0:
        return
    if sys.platform != "linux":
        log.warning("expected Linux for a niceness of %d, got %s: ignored", nice, sys.platform)
        return
    try:
        os.setpriority(os.PRIO_PROCESS, get_native_id(), nice)
        if os.getsid(0) == os.getpid():
            _session(nice)
    except OSError as error:
        log.warning("expected to be allowed a niceness of %d: %s", nice, error)


def _session(nice: int) -> None:
    """Where Linux groups tasks by session, theirs counts against other sessions' and not their own
    niceness does: a worker that leads one tells the group, too."""
    group = Path("/proc/self/autogroup")
    if group.exists():
        group.write_text(f"{nice}\n")
