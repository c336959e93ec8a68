"""A controller process of its own, as `msctl` starts it, with emulated workers in another one."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec

import modserve.tiny
from modserve.client import Client
from modserve.scheduler.costs.costs import Costs
from modserve.scheduler.costs.text import TextCost
from modserve.worker.emulated.profile import Emulation

from .between import cpu_s

MODEL = Path(modserve.tiny.__file__).parent / "checkpoint"
MOST_OPEN = 200_000  # requests; more than any load here has open
PATIENCE_S = 120.0
SERVE = """
import sys
from pathlib import Path
from modserve.controller.main import serve
from modserve.controller.options import ControllerOptions, Limits
limits = Limits(max_open=int(sys.argv[3]), queue=int(sys.argv[3]))
model, journal = Path(sys.argv[1]), sys.argv[2] == "journal"
serve(ControllerOptions(model, "tcp://127.0.0.1:0", journal=journal, limits=limits))
"""


@dataclass(frozen=True, slots=True)
class Stand:
    endpoint: str
    pid: int  # of the controller
    home: Path

    def cpu_s(self) -> float:
        """Seconds that the controller has computed, in all of its threads."""
        return cpu_s(self.pid)

    def add(self, count: int, *, step_s: float = 0.0, kv_blocks: int = 2**20) -> int:
        """Emulated text workers whose steps take so long; the id of their process."""
        text = TextCost(step_s, 0.0, 0.0, 0.0, 0.0) if step_s else None
        return self.emulate("text", count, Emulation(Costs(text=text), kv_blocks))

    def emulate(self, role: str, count: int, emulation: Emulation) -> int:
        """Workers of one role in one process; its id."""
        written = msgspec.json.encode(emulation)
        profile = self.home / f"{role}-{sha256(written).hexdigest()[:16]}.json"
        profile.write_bytes(written)
        out = self._msctl(
            "add-worker", "--stage", role, "--emulate", str(profile), "--count", str(count)
        )
        return int(out.split()[3])

    def _msctl(self, *line: str) -> str:
        command = (sys.executable, "-P", "-m", "modserve.cli.main", *line)
        told = (*command, "--controller", self.endpoint)
        return subprocess.run(told, check=True, capture_output=True, text=True).stdout


@contextmanager
def stand(*, journal: bool = True) -> Iterator[Stand]:
    """State and logs lie in a folder of its own, which leaves with it."""
    with tempfile.TemporaryDirectory(prefix="modserve-bench-") as home:
        before = os.environ.get("XDG_STATE_HOME")
        os.environ["XDG_STATE_HOME"] = home
        command = (sys.executable, "-P", "-c", SERVE)
        told = (str(MODEL), "journal" if journal else "none", str(MOST_OPEN))
        with (Path(home) / "controller.log").open("wb") as log:
            process = subprocess.Popen(
                (*command, *told), stdout=subprocess.PIPE, stderr=log, text=True
            )
        assert process.stdout is not None
        try:
            word, _, endpoint = process.stdout.readline().strip().partition(" ")
            if word != "ready":
                raise SystemExit((Path(home) / "controller.log").read_text())
            yield Stand(endpoint, process.pid, Path(home))
            with Client(endpoint) as client:
                client.shutdown(timeout_s=PATIENCE_S)
            process.wait(PATIENCE_S)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
            os.environ.pop("XDG_STATE_HOME")
            if before is not None:
                os.environ["XDG_STATE_HOME"] = before
