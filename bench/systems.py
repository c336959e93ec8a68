"""The systems beside each other on 128 A100s: the table of docs/results.md.

    python bench/systems.py FOLDER [--only main,factors,...] [--json bench/results/systems.json]

FOLDER has the two workloads. Every row is one `msctl simulate` command, run as it is printed, and
what it told; rows that the file has already are not run again, so it may be stopped at any time.
Layouts are those of simulator/tuned.py, and the windows here are none that they were tuned on.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import orjson

from modserve.bench.options import some_of
from modserve.cli.main import run

MODELS = ("llama3.2-11b", "internvl-26b")
COMPARED = ("modserve", "paper", "monolith-strong", "monolith-2024", "pd", "epd")
ABLATED = ("decoupling", "scheduling", "overlap", "caches")
WINDOWS: Mapping[str, str] = {  # not those of tuning.py
    "azure": "--trace {}/azure_lmm_dev_oct16.csv.gz --start 5m",
    "servegen": "--trace {}/servegen_mm_image_h00_12.csv.gz --start 4h --duration 6h",
}
GUESS: Mapping[tuple[str, str], float] = {  # where searches begin, times the window's rate
    ("llama3.2-11b", "azure"): 40.0,
    ("llama3.2-11b", "servegen"): 16.0,
    ("internvl-26b", "azure"): 12.0,
    ("internvl-26b", "servegen"): 5.0,
}
CALM = 0.25  # of GUESS: the load that scaling is compared at
SEARCH = "--search --tolerance 0.05 --num-prompts 1500 --repeats 3"


@dataclass(frozen=True, slots=True)
class Cell:
    system: str
    model: str
    window: str
    slo: str = "per-request"
    factor: float = 5.0
    attainment: float = 0.99
    autoscale: bool = False

    def command(self, folder: Path) -> str:
        scale = GUESS[self.model, self.window]
        parts = [
            f"simulate --system {self.system} --model {self.model} --gpu a100 --gpus 128",
            WINDOWS[self.window].format(folder),
            f"--slo {self.slo} --slo-factor {self.factor:g}",
        ]
        if self.autoscale:
            return " ".join([*parts, f"--autoscale --scale {CALM * scale:g} --num-prompts 20000"])
        return " ".join([*parts, f"--scale {scale:g} {SEARCH} --attainment {self.attainment:g}"])


class Row(msgspec.Struct, frozen=True):
    command: str
    cell: Mapping[str, str | float | bool]
    rate_req_s: Mapping[str, float | None]  # mean, and from where to where at 95 % confidence
    rates: Sequence[float]  # of each repeat
    attainment: float | None
    ceiling: float
    ttft_ms: Mapping[str, float | None]
    layout: str
    gpus_mean: float | None
    requests: int
    took_s: float
    failed: str = ""


def main() -> int:
    given = _arguments()
    known = _read(given.json)
    done = {row.command for row in known}
    for part in given.only:
        for cell in PARTS[part]():
            if (command := cell.command(Path("DATA"))) not in done:
                known.append(_row(cell, command, given.folder))
                done.add(command)
                _write(known, given.json)
                print(_told(known[-1]), file=sys.stderr, flush=True)
    return 0


def _row(cell: Cell, command: str, folder: Path) -> Row:
    began = time.monotonic()
    with TemporaryDirectory() as place:
        file = Path(place, "found.json")
        status = run([*cell.command(folder).split(), "--json", str(file)])
        found = orjson.loads(file.read_bytes()) if status == 0 else None
    told = {name: getattr(cell, name) for name in Cell.__slots__}
    took_s = time.monotonic() - began
    return _nothing(command, told, took_s) if found is None else _of(command, told, found, took_s)


def _of(command: str, told: Mapping[str, Any], found: Mapping[str, Any], took_s: float) -> Row:
    alone = dict.fromkeys(("mean", "low", "high")) | {"mean": found["rate_req_s"]}
    return Row(
        command,
        told,
        found["confidence"]["rate_req_s"] if "confidence" in found else alone,
        [one["rate_req_s"] for one in found.get("runs", [found])],
        *(found[name] for name in ("attainment", "ceiling", "ttft_ms", "layout", "gpus_mean")),
        requests=found["requests"],
        took_s=took_s,
    )


def _nothing(command: str, told: Mapping[str, Any], took_s: float) -> Row:
    """It holds at no rate: the command has said why."""
    zero = dict.fromkeys(("mean", "low", "high"), 0.0)
    return Row(command, told, zero, [], None, 0.0, {}, "", None, 0, took_s, "holds at no rate")


def _main() -> Iterator[Cell]:
    for model, window, name in product(MODELS, WINDOWS, COMPARED):
        yield Cell(name, model, window)


def _factors() -> Iterator[Cell]:
    for factor, cell in product((10.0, 2.0), _main()):
        yield replace(cell, factor=factor)


def _ninety() -> Iterator[Cell]:
    yield from (replace(cell, attainment=0.9) for cell in _main())


def _literal() -> Iterator[Cell]:
    names = ("monolith-2024", "paper", "modserve")
    for factor, model, window, name in product((5.0, 10.0), MODELS, WINDOWS, names):
        yield Cell(name, model, window, slo="literal", factor=factor)


def _ablations() -> Iterator[Cell]:
    for model, window, name in product(MODELS, WINDOWS, ABLATED):
        yield Cell(name, model, window)


def _scaling() -> Iterator[Cell]:
    names = ("monolith-2024", "monolith-strong", "paper", "modserve")
    for model, window, name in product(MODELS, WINDOWS, names):
        yield Cell(name, model, window, autoscale=True)


PARTS = {
    "main": _main,
    "factors": _factors,
    "ablations": _ablations,
    "ninety": _ninety,
    "literal": _literal,
    "scaling": _scaling,
}


def _told(row: Row) -> str:
    mean, low, high = (row.rate_req_s[name] for name in ("mean", "low", "high"))
    sure = "" if low is None or high is None else f" [{low:.1f}, {high:.1f}]"
    return f"{row.command}: {mean:.1f}{sure} req/s on {row.layout} in {row.took_s:.0f} s"


def _read(file: Path) -> list[Row]:
    return msgspec.json.decode(file.read_bytes(), type=list[Row]) if file.exists() else []


def _write(rows: Sequence[Row], file: Path) -> None:
    file.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=2) + b"\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", type=some_of(PARTS), default=list(PARTS))
    parser.add_argument("--json", type=Path, default=Path("bench/results/systems.json"))
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
