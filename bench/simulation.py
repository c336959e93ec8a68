"""How long the simulator takes, and how much memory: by requests, and by GPUs.

    python bench/simulation.py TRACE [--requests 10000,50000,200000] [--gpus 8,…,1024] [--json FILE]

ServeGen's requests (a file of that format) on Llama-3.2-11B, A100s and the split of `modserve`, at
a rate that grows with the GPUs. Seconds are the processor's, since others may want the cores, and
memory is the most that the process ever had. Each run has a process of its own, one after another.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from modserve.bench import machine
from modserve.bench.simulating import Took

GPUS, SCALE = 128, 20.0  # where requests grow: all are served as promised
AT_ONCE = 10_000  # requests, where GPUs grow


class Speed(msgspec.Struct, frozen=True):
    machine: machine.Machine
    by_requests: Sequence[Took]
    by_gpus: Sequence[Took]


def main() -> int:
    given = _arguments()
    console = Console(width=None if sys.stdout.isatty() else 110)
    about = machine.describe()
    console.print(f"{about.cpu}, {about.cores} cores, Python {about.python}")
    by_requests = [_took(given.trace, count, GPUS) for count in given.requests]
    console.print(_table(f"On {GPUS} GPUs", by_requests))
    by_gpus = [_took(given.trace, AT_ONCE, gpus) for gpus in given.gpus]
    console.print(_table(f"{AT_ONCE:,} requests", by_gpus))
    given.json.parent.mkdir(parents=True, exist_ok=True)
    text = msgspec.json.encode(Speed(about, by_requests, by_gpus))
    given.json.write_bytes(msgspec.json.format(text, indent=2) + b"\n")
    return 0


def _took(trace: Path, requests: int, gpus: int) -> Took:
    scale = SCALE * gpus / GPUS
    command = [sys.executable, "-m", "modserve.bench.simulating"]
    asked = [str(trace), str(requests), str(gpus), str(scale)]
    done = subprocess.run([*command, *asked], stdout=subprocess.PIPE, check=True)
    return msgspec.json.decode(done.stdout, type=Took)


def _table(title: str, rows: Sequence[Took]) -> Table:
    table = Table(title=title, title_justify="left")
    for heading in ("requests", "GPUs", "s", "ms a request", "MiB", "events a request", "kept"):
        table.add_column(heading, justify="right")
    for one in rows:
        table.add_row(
            f"{one.requests:,}",
            f"{one.gpus:,}",
            f"{one.cpu_s:.1f}",
            f"{one.request_ms:.3f}",
            f"{one.peak_mib:.0f}",
            f"{one.events / one.requests:.1f}",
            f"{100 * one.attainment:.1f} %",
        )
    return table


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("trace", type=Path)
    parser.add_argument("--requests", type=_counts, default=[10_000, 50_000, 200_000])
    parser.add_argument("--gpus", type=_counts, default=[8, 16, 32, 64, 128, 256, 512, 1024])
    parser.add_argument("--json", type=Path, default=Path("bench/results/simulation.json"))
    return parser.parse_args()


def _counts(text: str) -> list[int]:
    return [int(count) for count in text.split(",")]


if __name__ == "__main__":
    raise SystemExit(main())
