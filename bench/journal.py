"""What the journal costs a request.

    python bench/journal.py [--rate 1000] [--seconds 10] [--json FILE]

Requests arrive at a steady rate on a loop like the controller's, are kept, and end SPAN_S later.
Rounds take turns with the same loop and no journal; the difference of the process's CPU time, both
threads together, is what a request costs (goal: at most 150 us at 1,000 requests/s). Beside it
stands the wait from asking until a request is written. The folder is one of the system's temporary
ones: name another file system with TMPDIR.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import tempfile
import time
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles

import msgspec
import uvloop
from rich.console import Console
from rich.table import Table

from modserve.bench import machine
from modserve.controller.journal import Journal
from modserve.controller.store import Kept
from modserve.transport import codec
from modserve.transport import messages as say

ROUNDS = 3
SPAN_S = 0.5  # from a request's start to its end
TICK_S = 0.002
LOADS = {"text": 0, "1 image of 100 KB": 100_000}  # bytes of images; these at a tenth of the rate
GOAL_US = 150.0


@dataclass(frozen=True)
class Round:
    cpu_us: float  # of the process, per request
    waits_s: list[float]


@dataclass(frozen=True)
class Cost:
    load: str
    rate: float  # requests/s
    cpu_us: float  # per request, beyond the same loop without a journal
    wait_p50_ms: float
    wait_p99_ms: float
    goal_us: float | None = None


def main() -> None:
    given = _arguments()
    costs = [
        _cost(load, size, given.rate / (10 if size else 1), given.seconds)
        for load, size in LOADS.items()
    ]
    _show(costs)
    if given.json:
        found = {"machine": msgspec.to_builtins(machine.describe()), "costs": costs}
        given.json.write_text(json.dumps(found, indent=2, default=asdict) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What the journal costs a request.")
    parser.add_argument("--rate", type=float, default=1000.0, help="requests/s")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each round")
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def _cost(load: str, size: int, rate: float, seconds: float) -> Cost:
    extra: list[float] = []
    waits: list[float] = []
    for _ in range(ROUNDS):
        without = uvloop.run(_round(None, size, rate, seconds))
        with tempfile.TemporaryDirectory() as folder:
            kept = uvloop.run(_round(Path(folder), size, rate, seconds))
        extra.append(kept.cpu_us - without.cpu_us)
        waits += kept.waits_s
    cuts = quantiles(waits, n=100)
    goal = None if size else GOAL_US
    return Cost(load, rate, median(extra), 1e3 * cuts[49], 1e3 * cuts[98], goal)


async def _round(folder: Path | None, size: int, rate: float, seconds: float) -> Round:
    loop = asyncio.get_running_loop()
    journal = Journal(folder, "of a benchmark")
    journal.open()
    images = (random.Random(0).randbytes(size),) if size else ()
    waits: list[float] = []

    def written(asked: float, _: str) -> None:
        waits.append(time.perf_counter() - asked)

    count = 0
    began, cpu = loop.time(), time.process_time()
    next_tick = began
    while (now := loop.time()) - began < seconds:
        while count < (now - began) * rate:
            count += 1
            name = f"{count:032x}"
            journal.keep(_kept(name, images), partial(written, time.perf_counter()))
            loop.call_later(SPAN_S, journal.end, name)
        if loop.time() > next_tick:
            journal.tick()
            next_tick += 0.1
        await asyncio.sleep(TICK_S)
    used = time.process_time() - cpu
    await asyncio.sleep(SPAN_S)
    journal.close()
    return Round(1e6 * used / count, waits)


def _kept(name: str, images: tuple[bytes, ...]) -> Kept:
    turn = say.Turn("user", (say.TextPart("What may be said about a lighthouse? " * 12),))
    submit = codec.encode(say.Submit(name, say.Sampling(seed=1), turns=(turn,)))
    return Kept(name, b"\1" * 16, 2**40, time.time(), submit, images)


def _show(costs: list[Cost]) -> None:
    table = Table(title=f"the journal, on {machine.describe().cpu}", title_justify="left")
    for heading in ("", "requests/s", "CPU us/request", "goal", "written after p50 ms", "p99 ms"):
        table.add_column(heading, justify="right" if heading else "left")
    for cost in costs:
        goal = "" if cost.goal_us is None else f"<= {cost.goal_us:.0f}"
        cells = (f"{cost.rate:g}", f"{cost.cpu_us:.0f}", goal)
        table.add_row(cost.load, *cells, f"{cost.wait_p50_ms:.2f}", f"{cost.wait_p99_ms:.2f}")
    Console(width=100).print(table)


if __name__ == "__main__":
    main()
