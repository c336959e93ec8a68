"""The controller alone: how many requests and tokens it passes, how soon, and how that grows.

    python bench/controller.py [--only requests,tokens] [--quick] [--json FILE]

A controller process as `msctl` starts it, 128 emulated workers in another process, clients of the
real library in two more. All of them share this machine, so two rates are told: the one that was
seen, and the one at which the controller would fill a core, from the processor time that all of its
threads took. vllm-router's figure was measured on other hardware: 16,121 requests/s, answers in one
piece, before four nginx that answer from memory (wrk, 64 connections, two cores shared).
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.console import Console

from modserve.bench import machine
from modserve.bench.between import cpu_s
from modserve.bench.crowd import Task, Told, crowd
from modserve.bench.options import some_of
from modserve.bench.preparing import preparation
from modserve.bench.relaying import relayed_s
from modserve.bench.report import Figure, Part, Report, show
from modserve.bench.stand import Stand, stand

WORKERS, CLIENTS, PROCESSES = 128, 8, 2
OPEN_EACH = 32  # requests of a client: enough to keep the controller busy
REQUESTS_GOAL, DECISION_GOAL_S = 5_000.0, 2e-3
ROUTER = 16_121.0  # requests/s of vllm-router 0.1.17, elsewhere
STEP_S = 0.02  # of a decode, while tokens are fanned out
IDLE_S = 5.0
SHARE = 0.8  # of the highest rate, at which decisions are timed
LEAVE_S = 120.0


def main() -> int:
    given = _arguments()
    console = Console(width=None if sys.stdout.isatty() else 110)
    about = machine.describe()
    console.print(f"{about.cpu}, {about.cores} cores, Python {about.python}")
    parts: dict[str, Part] = {}
    for name in given.only:
        title, measure = PARTS[name]
        begun = time.monotonic()
        figures = measure(given.quick)
        parts[name] = Part(title, time.monotonic() - begun, figures)
        show(parts[name], console)
    settings = {"quick": given.quick, "loop_ns": loop_ns()}
    console.print(f"a turn of a plain loop took {settings['loop_ns']} ns of processor time")
    Report(about, settings, parts).write(given.json)
    return 0


def loop_ns() -> int:
    """How fast Python is here and now: on a machine that others use too, a third of its speed is
    nothing unusual, and then every figure above is three times what it would be alone."""
    begun, turns = time.process_time_ns(), 2_000_000
    for _ in range(turns):
        pass
    return (time.process_time_ns() - begun) // turns


# The parts.


def requests(quick: bool) -> list[Figure]:
    """Prompts of 64 token ids, answers of one token, 8 clients."""
    count, figures = 2_000 if quick else 40_000, []
    for journal in (True, False):
        note = "" if journal else "without a journal"
        with stand(journal=journal) as here:
            worker = here.add(WORKERS)
            _load(here, count // 10)
            floor = 1 / relayed_s(count, WORKERS, CLIENTS, OPEN_EACH)
            rate, core, others = _rates(here, count, worker)
            paced = _load(here, int(SHARE * rate) * (2 if quick else 10), rate=SHARE * rate)
        middle, slow = (max(one.decided_s[rank] for one in paced) for rank in (49, 98))
        figures += [
            _goal("requests/s, seen", rate, "/s", REQUESTS_GOAL, note),
            _goal("requests/s of a full core", core, "/s", REQUESTS_GOAL, note),
            Figure("", core, "/s", "the same words, unread", floor, core / floor, note=note),
            Figure("", core, "/s", "vllm-router, elsewhere", ROUTER, core / ROUTER, note=note),
            Figure("CPU of clients and workers", 1e6 * others, "µs a request", note=note),
            _most("decision p99 at 80 %", slow, DECISION_GOAL_S, note),
            Figure("decision p50", 1e3 * middle, "ms", note=note),
        ]
    return figures


def tokens(quick: bool) -> list[Figure]:
    """Answers of many tokens, from steps of 20 ms."""
    figures = []
    for clients, goal in ((8, 250_000.0), (1_000, 50_000.0)):
        streams, length = max(clients, int(goal * STEP_S)), 50 if quick else 250
        with stand() as here:
            here.add(WORKERS, step_s=STEP_S)
            used = here.cpu_s()
            told = _load(here, streams, clients, tokens=length, open_each=streams // clients)
            used = here.cpu_s() - used
        said = sum(one.tokens for one in told)
        figures += [
            _goal(f"tokens/s to {clients:,} clients, seen", said / _wall(told), "/s", goal),
            _goal(f"tokens/s of a full core, {clients:,} clients", said / used, "/s", goal),
        ]
    return figures


def crew(quick: bool) -> list[Figure]:
    """How long workers take to join, what they cost while they idle, how long they take to go."""
    figures = []
    for count in (128,) if quick else (128, 1_024):
        with stand() as here:
            begun = time.monotonic()
            worker = here.add(count)
            joined, used = time.monotonic() - begun, here.cpu_s()
            time.sleep(IDLE_S)
            idle = (here.cpu_s() - used) / IDLE_S
            figures += [
                Figure(f"{count:,} workers join", joined, "s", note="their process's start too"),
                Figure(f"{count:,} workers' heartbeats", 100 * idle, "% of a core"),
                Figure(f"{count:,} workers drain", _leave(worker), "s"),
            ]
    return figures


def growth(quick: bool) -> list[Figure]:
    """Processor time of a request, over workers and over requests that wait."""
    count, figures = 1_000 if quick else 20_000, []
    for workers in (8, 128, 1_024):
        with stand() as here:
            here.add(workers)
            _load(here, count // 10)
            figures.append(_cost(here, f"{workers:,} workers", count, CLIENTS * OPEN_EACH))
    for waiting in (100, 1_000) if quick else (100, 10_000, 100_000):
        with stand() as here:  # of 40 blocks six requests take all
            here.add(8, kv_blocks=40)
            _load(here, 100)
            figures.append(_cost(here, f"{waiting:,} queued", max(count, waiting), waiting))
    first = {True: figures[0].value, False: figures[3].value}
    return [
        Figure(one.name, one.value, one.unit, "the first", base, one.value / base)
        for number, one in enumerate(figures)
        for base in [first[number < 3]]
    ]


PARTS: dict[str, tuple[str, Callable[[bool], Sequence[Figure]]]] = {
    "requests": ("Requests of token ids, one token each, 128 emulated workers", requests),
    "tokens": ("Tokens fanned out, 128 emulated workers", tokens),
    "preparation": ("Preparation of a request, in its thread", preparation),
    "crew": ("Workers come and go", crew),
    "growth": ("The controller's processor time of a request", growth),
}


# Loads.


def _load(
    here: Stand,
    count: int,
    clients: int = CLIENTS,
    *,
    tokens: int = 1,
    open_each: int = OPEN_EACH,
    rate: float | None = None,
) -> list[Told]:
    task = Task(
        here.endpoint,
        clients // PROCESSES,
        count // PROCESSES,
        tokens,
        open_each,
        None if rate is None else rate / PROCESSES,
    )
    return crowd([task] * PROCESSES)


def _rates(here: Stand, count: int, worker: int) -> tuple[float, float, float]:
    """Requests/s seen, those of a full core, and what a request costs the others in seconds."""
    used, working = here.cpu_s(), cpu_s(worker)
    told = _load(here, count)
    used, working = here.cpu_s() - used, cpu_s(worker) - working
    answers = sum(one.answers for one in told)
    others = working + sum(one.cpu_s for one in told)
    return answers / _wall(told), answers / used, others / answers


def _cost(here: Stand, name: str, count: int, waiting: int) -> Figure:
    """Without what heartbeats take at the same time, with or without requests."""
    begun = here.cpu_s()
    time.sleep(IDLE_S)
    used = here.cpu_s()
    idle = (used - begun) / IDLE_S
    told = _load(here, count, open_each=max(1, waiting // CLIENTS))
    used = here.cpu_s() - used - idle * _wall(told)
    return Figure(name, 1e6 * used / sum(one.answers for one in told), "µs")


def _wall(told: Sequence[Told]) -> float:
    return max(one.ended for one in told) - min(one.began for one in told)


def _leave(pid: int) -> float:
    """Ask a process of workers to go; seconds until it has."""
    begun = time.monotonic()
    os.kill(pid, signal.SIGTERM)
    while Path(f"/proc/{pid}").exists() and time.monotonic() - begun < LEAVE_S:
        time.sleep(0.01)
    return time.monotonic() - begun


def _goal(name: str, value: float, unit: str, goal: float, note: str = "") -> Figure:
    return Figure(name, value, unit, "the goal", goal, value / goal, 1.0, note)


def _most(name: str, seconds: float, goal_s: float, note: str = "") -> Figure:
    """A time that is to stay below its goal: the ratio is of the speeds."""
    return Figure(name, 1e3 * seconds, "ms", "the goal", 1e3 * goal_s, goal_s / seconds, 1.0, note)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--only", metavar="PARTS", type=some_of(PARTS), default=list(PARTS), help=", ".join(PARTS)
    )
    parser.add_argument("--quick", action="store_true", help="short: its numbers are noise")
    results = Path(__file__).parent / "results" / "controller.json"
    parser.add_argument("--json", type=Path, metavar="FILE", default=results)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
