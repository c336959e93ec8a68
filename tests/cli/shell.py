"""msctl in a shell of its own, with real processes behind it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

MSCTL = (sys.executable, "-m", "modserve.cli.main")
DEADLINE_S = 120.0


class Shell:
    """A user's shell: one state folder, one controller."""

    def __init__(self, home: Path) -> None:
        self.env = {**os.environ, "XDG_STATE_HOME": str(home), "OMP_NUM_THREADS": "1"}
        self.env.pop("MODSERVE_CONTROLLER", None)

    def start(self, *line: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            (*MSCTL, *line),
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *line: str) -> tuple[int, str, str]:
        done = subprocess.run(
            (*MSCTL, *line), env=self.env, capture_output=True, text=True, timeout=DEADLINE_S
        )
        return done.returncode, done.stdout, done.stderr

    def fails(self, *line: str) -> str:
        code, out, complaint = self.run(*line)
        assert (code, out) == (1, ""), complaint
        assert "Traceback" not in complaint
        return complaint.splitlines()[-1]

    def controller(self, *options: str) -> subprocess.Popen[str]:
        """Started, and meant by the commands that follow."""
        line = ("start-controller", "--model", "tiny", "--bind", "tcp://127.0.0.1:0", *options)
        process = self.start(*line)
        assert process.stdout is not None
        word, endpoint = process.stdout.readline().split()
        assert word == "ready"
        self.env["MODSERVE_CONTROLLER"] = endpoint
        return process

    def worker(self, *line: str) -> tuple[str, int, Path]:
        code, out, complaint = self.run("add-worker", "--threads", "1", *line)
        assert code == 0, complaint
        told = re.fullmatch(r"worker (\S+) pid (\d+) log (\S+)\n", out)
        assert told is not None, out
        return told[1], int(told[2]), Path(told[3])


def finished(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=30)
    return process.returncode


def gone(pid: int) -> bool:
    """Within the deadline: a detached worker is nobody's child here, so it cannot be waited for."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False
