"""Everything hostile at once, in a process of its own: refused in bounded time and memory, while
good pictures come through."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from .files import HOSTILE
from .test_servers import ANSWERS, REDIRECTS

pytestmark = pytest.mark.slow

MOST_MB = 150  # two threads decode, 24 files come in
MOST_TURN_S = 0.5  # of the processor, for all that wait; measured: 0.06
MOST_S = 30.0  # the deadline of a picture, and a thread's


def test_everything_hostile_at_once_disturbs_nothing() -> None:
    done = subprocess.run(
        (sys.executable, "-P", "-m", "modserve.tests.client.media.ordeal"),
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    came = json.loads(done.stdout)
    statuses, seconds = zip(*came["hostile"], strict=True)
    assert len(statuses) == len(ANSWERS) + len(REDIRECTS) + len(HOSTILE) > 60
    assert set(statuses) <= {400, 408, 413, 422}
    assert max(seconds) < MOST_S
    assert [status for status, _ in came["good"] if status != 200] == []
    assert came["grown_mb"] < MOST_MB
    assert came["longest_turn_s"] < MOST_TURN_S
