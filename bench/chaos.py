"""Random faults under a mixed load: does every request come to its one right end?

    python bench/chaos.py [--minutes 1] [--seed 0] [--users 14] [--json FILE] [--keep FOLDER]

Users send texts and images, one after another each; a quarter of them leave their stream halfway.
Meanwhile workers and the controller are killed, frozen, drained, removed and told to end, one fault
after another, and started again. All on loopback, on a small random model, with processes of the
tests' nursery. What every request should answer is asked before the first fault.

    lost       accepted, and never ended, or ended with an error
    doubled    ended twice by one controller
    differing  other tokens than undisturbed

Recovery is told per fault: the longest that a stream which was open then waited for its next token,
or for its end; once over the faults that struck alone, from which the system recovered before the
next one and after the last, and once over all. What waits longer than 10 s is told at once, with
the cluster's state. Ends with 1 if anything was lost, doubled or differing, or is still held at the
end.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from math import nan
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import psutil
import torch
from rich.console import Console
from rich.table import Table

from modserve.bench import machine
from modserve.client import AsyncClient, ModserveError
from modserve.tests.checkpoints import make_llava_onevision
from modserve.tests.cluster.asking import stream
from modserve.tests.cluster.cluster import Cluster, held, settled
from modserve.tests.cluster.crowds import crowd, undisturbed
from modserve.tests.cluster.processes import Nursery, Process
from modserve.tests.cluster.references import Ask, Reference

CACHES = {"prefix_bytes": 300_000, "image_cache_bytes": 8_000}  # too small for all that is asked
LAYOUT = ("encode", "encode", "prefill", "prefill", "decode", "decode")
TOKENS = 80
PAUSE_S = 1.0  # the most between two faults
LEFT_SHARE = 0.25  # of the requests
FROZEN_S = (0.3, 1.0, 4.0)  # a worker counts as lost after 2.5 s
SETTLE_S = 20.0
LONG_S = 10.0  # of waiting, which is told at once
ENDED = re.compile(r"(\S+) (?:done|failed|cancelled) after ")

Fault = Callable[[str], Coroutine[Any, Any, None]]


@dataclass
class Counts:
    done: int = 0
    left: int = 0  # by their users, halfway
    lost: list[str] = field(default_factory=list)  # what was said instead of an answer
    differing: int = 0
    doubled: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    alone_s: dict[str, list[float]] = field(default_factory=dict)  # recovery, by kind of fault
    mixed_s: dict[str, list[float]] = field(default_factory=dict)  # where others struck meanwhile

    @property
    def clean(self) -> bool:
        return not (self.lost or self.differing or self.doubled)


@dataclass
class Outage:
    """A fault, and the streams that were open then and have not moved since."""

    kind: str
    began: float
    waiting: set[int]
    alone: bool = True
    told: bool = False  # that it is long


class Users:
    def __init__(
        self,
        client: AsyncClient,
        asks: Sequence[Ask],
        expected: Sequence[tuple[int, ...]],
        reference: Reference,
        counts: Counts,
        end: float,
    ) -> None:
        self._client, self._asks, self._expected = client, asks, expected
        self._reference, self._counts, self._end = reference, counts, end
        self._open: dict[int, str] = {}  # streams, and their requests
        self._outages: list[Outage] = []
        self._streams = 0

    async def one(self, rng: random.Random) -> None:
        """Ask again and again."""
        while time.monotonic() < self._end:
            await self._ask(rng.randrange(len(self._asks)), rng)

    async def _ask(self, index: int, rng: random.Random) -> None:
        leaves = rng.randrange(1, TOKENS) if rng.random() < LEFT_SHARE else TOKENS + 1
        number, self._streams = self._streams, self._streams + 1
        got: list[int] = []
        try:
            async with stream(self._client, self._asks[index], self._reference) as chunks:
                self._open[number] = chunks.request_id
                async for chunk in chunks:
                    got += chunk.token_ids
                    self._moved(number)
                    if len(got) >= leaves:
                        break
            self._count(got, self._expected[index], left=len(got) >= leaves)
        except ModserveError as error:
            self._counts.lost.append(str(error))
        finally:
            self._open.pop(number, None)
            self._moved(number)

    def _count(self, got: list[int], expected: tuple[int, ...], *, left: bool) -> None:
        if tuple(got) != expected[: len(got)] or not (left or len(got) == len(expected)):
            self._counts.differing += 1
        elif left:
            self._counts.left += 1
        else:
            self._counts.done += 1

    def struck(self, kind: str) -> None:
        self._counts.faults[kind] += 1
        for outage in self._outages:
            outage.alone = False
        if self._open:
            outage = Outage(kind, time.monotonic(), set(self._open), alone=not self._outages)
            self._outages.append(outage)

    def _moved(self, number: int) -> None:
        for outage in self._outages:
            outage.waiting.discard(number)
            if not outage.waiting:
                took = time.monotonic() - outage.began
                kept = self._counts.alone_s if outage.alone else self._counts.mixed_s
                kept.setdefault(outage.kind, []).append(took)
        self._outages = [outage for outage in self._outages if outage.waiting]

    async def watch(self) -> None:
        """Tell what waits for long, once each."""
        while True:
            await asyncio.sleep(1.0)
            long = time.monotonic() - LONG_S
            for outage in [one for one in self._outages if one.began < long and not one.told]:
                outage.told = True
                requests = sorted(self._open[one] for one in outage.waiting if one in self._open)
                clock = time.strftime("%H:%M:%S")
                print(f"{clock} {LONG_S:g} s after {outage.kind}: {requests}", file=sys.stderr)
                with suppress(ModserveError):
                    print(json.dumps(await self._client.status()), file=sys.stderr)


class Faults:
    """One after another; each ends when what it hit serves again."""

    def __init__(
        self, cluster: Cluster, client: AsyncClient, users: Users, rng: random.Random
    ) -> None:
        self._cluster, self._client, self._users, self._rng = cluster, client, users, rng
        self.controllers = [cluster.controller]
        self._kinds: dict[str, Fault] = {
            "kill worker": self._kill,
            "freeze worker": self._freeze,
            "drain worker": self._drain,
            "remove worker now": self._remove,
            "SIGTERM worker": self._terminate,
            "kill controller": self._kill_controller,
            "freeze controller": self._freeze_controller,
        }

    async def until(self, end: float) -> None:
        while time.monotonic() < end:
            await asyncio.sleep(self._rng.random() * PAUSE_S)
            kind = self._rng.choice(list(self._kinds))
            victim = await self._victim()
            if victim is not None:
                await self._kinds[kind](victim)

    async def _victim(self) -> str | None:
        status = await self._client.status()
        ready = [one["name"] for one in status["workers"] if one["state"] == "ready"]
        known = [name for name in ready if name in self._cluster.workers]
        return self._rng.choice(known) if known else None

    async def _kill(self, victim: str) -> None:
        self._users.struck("kill worker")
        await asyncio.to_thread(self._cluster.workers[victim].kill)
        await self._replace(victim)

    async def _freeze(self, victim: str) -> None:
        await self._frozen(self._cluster.workers[victim], "freeze worker")

    async def _drain(self, victim: str) -> None:
        self._users.struck("drain worker")
        await self._client.remove_worker(victim, timeout_s=60)
        await self._replace(victim)

    async def _remove(self, victim: str) -> None:
        self._users.struck("remove worker now")
        await self._client.remove_worker(victim, now=True, timeout_s=60)
        await self._replace(victim)

    async def _terminate(self, victim: str) -> None:
        self._users.struck("SIGTERM worker")
        self._cluster.workers[victim].send(signal.SIGTERM)
        await self._replace(victim)

    async def _kill_controller(self, victim: str) -> None:
        self._users.struck("kill controller")
        await asyncio.to_thread(self._cluster.controller.kill)
        self.controllers.append(await asyncio.to_thread(self._cluster.restart))

    async def _freeze_controller(self, victim: str) -> None:
        await self._frozen(self._cluster.controller, "freeze controller")

    async def _frozen(self, process: Process, kind: str) -> None:
        seconds = self._rng.choice(FROZEN_S)
        process.send(signal.SIGSTOP)
        self._users.struck(f"{kind} {seconds:g} s")
        await asyncio.sleep(seconds)
        process.send(signal.SIGCONT)

    async def _replace(self, victim: str) -> None:
        process = self._cluster.workers.pop(victim)
        await asyncio.to_thread(process.ended, 60.0)
        stage = victim.rpartition("-")[0]
        await asyncio.to_thread(self._cluster.add, stage)


async def run(
    cluster: Cluster, reference: Reference, options: argparse.Namespace, counts: Counts
) -> dict[str, Any]:
    """What was held at the end, and the processes' sizes before and after."""
    asks = crowd(TOKENS)
    async with cluster.client() as client:
        expected = await undisturbed(client, asks, reference)
        await settled(client)
        before = sizes(cluster)
        end = time.monotonic() + 60 * options.minutes
        users = Users(client, asks, expected, reference, counts, end)
        faults = Faults(cluster, client, users, random.Random(f"{options.seed} faults"))
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(users.watch())
            asking = [
                group.create_task(users.one(random.Random(f"{options.seed} {number}")))
                for number in range(options.users)
            ]
            group.create_task(faults.until(end))
            await asyncio.gather(*asking)
            watching.cancel()
        with suppress(AssertionError):  # what is still held is told
            await settled(client, SETTLE_S)
        left = held(await client.status())
    counts.doubled = sum(ended_twice(one.log) for one in faults.controllers)
    return {"held": left, "before": before, "after": sizes(cluster)}


def ended_twice(log: str) -> int:
    ends = Counter(found[1] for line in log.splitlines() if (found := ENDED.search(line)))
    return sum(count - 1 for count in ends.values())


def sizes(cluster: Cluster) -> dict[str, dict[str, int]]:
    """The largest of each kind of process: megabytes, descriptors, threads."""
    kinds: dict[str, dict[str, int]] = {}
    named = {"controller": cluster.controller, **cluster.workers}
    for name, process in named.items():
        seen = psutil.Process(process.pid)
        now = {
            "MB": seen.memory_info().rss // 2**20,
            "descriptors": seen.num_fds(),
            "threads": seen.num_threads(),
        }
        kind = name.rpartition("-")[0] or name
        largest = kinds.get(kind, now)
        kinds[kind] = {key: max(largest[key], now[key]) for key in now}
    return kinds


def show(counts: Counts, found: Mapping[str, Any], console: Console) -> None:
    told = Table("requests", "done", "left", "lost", "doubled", "differing", title_justify="left")
    asked = counts.done + counts.left + len(counts.lost) + counts.differing
    ends = (asked, counts.done, counts.left, len(counts.lost), counts.doubled, counts.differing)
    told.add_row(*map(str, ends))
    console.print(told)
    for reason, times in Counter(counts.lost).most_common(5):
        console.print(f"  lost, {times} times: {reason}", markup=False)
    recovery = Table("fault", "times", "alone", "recovery p50", "p99", "all p50", "p99", "longest")
    rows = {kind: [kind] for kind in sorted(counts.faults)}
    rows["any"] = list(rows)
    for name, kinds in rows.items():
        times = sum(counts.faults[kind] for kind in kinds)
        alone = [value for kind in kinds for value in counts.alone_s.get(kind, [])]
        mixed = [value for kind in kinds for value in counts.mixed_s.get(kind, [])]
        cells = [*spread(alone)[:2], *spread(alone + mixed)]
        recovery.add_row(name, str(times), str(len(alone)), *(f"{value:.2f} s" for value in cells))
    console.print(recovery)
    grown = Table("process", "MB before", "after", "descriptors", "after", "threads", "after")
    for kind, before in found["before"].items():
        after = found["after"].get(kind, {})
        pairs = [(before[key], after.get(key)) for key in before]
        grown.add_row(kind, *(str(value) for pair in pairs for value in pair))
    console.print(grown)
    console.print(f"held at the end: {found['held'] or 'nothing'}")


def spread(values: Sequence[float]) -> tuple[float, float, float]:
    """Median, 99th percentile and longest; nan where there is none."""
    if not values:
        return (nan, nan, nan)
    cuts = statistics.quantiles(values, n=100, method="inclusive") if len(values) > 1 else []
    return statistics.median(values), cuts[98] if cuts else values[0], max(values)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--users", type=int, default=14)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="for the logs")
    options = parser.parse_args()
    torch.set_num_threads(1)
    counts = Counts()
    with ExitStack() as stack:
        home = options.keep or stack.enter_context(TemporaryDirectory(prefix="modserve-chaos-"))
        Path(home).mkdir(parents=True, exist_ok=True)
        os.environ["XDG_STATE_HOME"] = str(home)
        reference = Reference(make_llava_onevision(Path(home) / "model", seed=1))
        nursery = Nursery(Path(home))
        try:
            cluster = Cluster(nursery, reference.folder, parts=CACHES)
            cluster.add(*LAYOUT)
            found = asyncio.run(run(cluster, reference, options, counts))
            cluster.close()
            bugs = [one.path.name for one in nursery.processes if "Traceback" in one.log]
        finally:
            nursery.close()
    console = Console(width=None if sys.stdout.isatty() else 110)
    show(counts, found, console)
    if bugs:
        console.print(f"tracebacks in the logs of {', '.join(bugs)}")
    if options.json:
        report = {
            "machine": msgspec.to_builtins(machine.describe()),
            "minutes": options.minutes,
            "seed": options.seed,
            "users": options.users,
            **asdict(counts),
            "faults": dict(counts.faults),
            **found,
        }
        options.json.write_text(json.dumps(report, indent=2) + "\n")
    return 0 if counts.clean and not found["held"] and not bugs else 1


if __name__ == "__main__":
    sys.exit(main())
