"""How near the simulator comes to the real thing: the same load, told by both.

    python bench/fidelity.py [--only text,mixed,real] [--workers 16] [--slower 4] [--quick]
                             [--checkpoint FOLDER [--profiles FILE]] [--rate 4] [--json FILE]

`text` and `mixed`: a real controller with emulated workers that sleep (emulating.py); they and the
simulated ones have the same costs, so what differs is controller, client, messages and timers:
`--slower` makes that small against the costs where a machine is busy.

`real`: an encode worker and a text worker that compute a checkpoint on this CPU with one thread
each, and a cluster of the costs that profiling has measured here just before, so that their error
comes in, too.

What is no part of the costs is measured of requests that are alone, before each load (twice.py).
All requests are sent open loop, and the simulator is told when each of them was really sent.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec
import torch
from rich.console import Console

from modserve.bench import machine
from modserve.bench.agreement import Compared, show
from modserve.bench.emulating import Wanted, mixed, text
from modserve.bench.foretelling import Load
from modserve.bench.options import some_of
from modserve.bench.stand import MODEL
from modserve.bench.twice import System
from modserve.cli.cluster import Cluster as Processes
from modserve.cli.cluster import wait_for
from modserve.client import Client
from modserve.scheduler.costs.costs import Costs
from modserve.scheduler.costs.profile import Profile, costs_from
from modserve.scheduler.costs.written import read
from modserve.worker.profiling.measuring import profiles
from modserve.worker.profiling.options import ProfilingOptions

REAL = Load(
    0, 0.0, "32-256", "16-64", image_share=0.3, images="1", size="lognormal:300,600"
)  # of one text worker, which a rate of its own keeps busy a part of the time
TOLD = ("workers", "slower", "seconds", "rate", "seed")


class Part(msgspec.Struct, frozen=True):
    machine: machine.Machine
    settings: Mapping[str, int | float]
    compared: Compared


Parts = dict[str, Part]  # of the file


def main() -> int:
    given = _arguments()
    console = Console(width=None if sys.stdout.isatty() else 110)
    about = machine.describe()
    console.print(f"{about.cpu}, {about.cores} cores, Python {about.python}")
    settings = {name: getattr(given, name) for name in TOLD}
    for name, measure in _parts(given):
        part = Part(about, settings, measure())
        show(part.compared, console)
        _keep(given.json, name, part)
    return 0


# The parts.


def real(given: argparse.Namespace, folder: Path) -> Compared:
    rate = given.rate
    load = replace(REAL, requests=round(rate * given.seconds), rate=rate, seed=given.seed)
    costs = _measured(folder) if given.profiles is None else _read(given.profiles)
    title = f"{folder.name}, an encode and a text worker on this CPU"
    with Processes(str(folder)) as processes:
        for launch in [processes.launch(role, threads=1) for role in ("encode", "text")]:
            wait_for(launch)
        with Client(processes.endpoint) as client:
            blocks = max(one["kv_blocks"] for one in client.status()["workers"])
        system = System(folder, {"encode": 1, "text": 1}, costs, blocks)
        return system.told(processes.endpoint, load, title)


PARTS = ("text", "mixed", "real")


def _parts(given: argparse.Namespace) -> Iterator[tuple[str, Callable[[], Compared]]]:
    emulated = {"text": text, "mixed": mixed}
    for name in given.only:
        if name in emulated:
            yield name, partial(emulated[name], _wanted(given))
        else:
            yield f"real, {given.checkpoint.name}", partial(real, given, given.checkpoint)


def _keep(file: Path, name: str, part: Part) -> None:
    """What other runs have written of other parts stays."""
    kept = msgspec.json.decode(file.read_bytes(), type=Parts) if file.exists() else {}
    written = msgspec.json.encode(kept | {name: part})
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(msgspec.json.format(written, indent=2) + b"\n")


def _wanted(given: argparse.Namespace) -> Wanted:
    return Wanted(given.workers, given.seconds, given.slower, given.seed)


def _measured(folder: Path) -> Costs:
    """As a worker of one thread takes them."""
    options, before = ProfilingOptions(str(folder), threads=1, quick=True), torch.get_num_threads()
    found: Sequence[Profile] = [*profiles(options, torch.device("cpu"), _silent)]
    torch.set_num_threads(before)
    return costs_from(found)


def _read(file: Path) -> Costs:
    """As `msctl profile --quick --threads 1` has measured them; raises BadProfile."""
    return costs_from(read(file.read_bytes()))


def _silent(what: str, done: int, total: int) -> None:
    """How far profiling is."""


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--only", metavar="PARTS", type=some_of(PARTS), default=list(PARTS), help=", ".join(PARTS)
    )
    parser.add_argument("--workers", type=int, default=16, help="emulated ones, 2 at least")
    parser.add_argument(
        "--slower", type=float, default=1.0, help="emulated ones, for machines that are busy"
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="of each load")
    parser.add_argument("--quick", action="store_true", help="5 seconds: its numbers are noise")
    parser.add_argument("--rate", type=float, default=4.0, help="requests/s of `real`")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--checkpoint", type=Path, metavar="FOLDER", default=MODEL)
    parser.add_argument(
        "--profiles", type=Path, metavar="FILE", help="of `real`, just measured: else it measures"
    )
    results = Path(__file__).parent / "results" / "fidelity.json"
    parser.add_argument("--json", type=Path, metavar="FILE", default=results)
    given = parser.parse_args()
    given.seconds = 5.0 if given.quick else given.seconds
    return given


if __name__ == "__main__":
    sys.exit(main())
