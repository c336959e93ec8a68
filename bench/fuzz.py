"""Mutated inputs, guided by coverage, into everything that decodes what strangers sent.

    pip install -e '.[fuzz]'
    python bench/fuzz.py [--minutes 60] [--only words,pictures] [--at-once 2] [--corpus FOLDER]

The minutes are shared among the targets of tests/decoders.py, each in a process of its own. An
input that raises what it may not, takes longer than 20 s or more than 4 GiB ends its target and is
left in FOLDER; the code is 1 then. What found new ground is kept there too, for the next run.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

NAMES = ("words", "pictures", "prompts", "configs", "keys", "journals")
LIMITS = ("-timeout=20", "-rss_limit_mb=4096", "-max_len=65536", "-print_final_stats=1")


@dataclass(frozen=True)
class Outcome:
    target: str
    inputs: int
    seconds: float
    covered: int  # edges
    finding: str


def main() -> int:
    given = _arguments()
    if given.target:
        return fuzz(given.target, given.seconds, given.corpus)
    names = given.only.split(",") if given.only else list(NAMES)
    if unknown := sorted(set(names) - set(NAMES)):
        raise SystemExit(f"expected targets of {', '.join(NAMES)}, got {', '.join(unknown)}")
    corpus = given.corpus or Path(tempfile.mkdtemp(prefix="modserve-fuzz-"))
    seconds = max(5, int(given.minutes * 60 * given.at_once / len(names)))
    with ThreadPoolExecutor(given.at_once) as pool:
        outcomes = list(pool.map(partial(_outcome, seconds=seconds, corpus=corpus), names))
    _show(outcomes, corpus)
    return int(any(one.finding for one in outcomes))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Fuzz the decoders.")
    parser.add_argument("--minutes", type=float, default=60.0, help="in all")
    parser.add_argument("--only", default="", help=f"some of {','.join(NAMES)}")
    parser.add_argument("--at-once", type=int, default=1)
    parser.add_argument("--corpus", type=Path)
    parser.add_argument("--target", help=argparse.SUPPRESS)  # how it calls itself
    parser.add_argument("--seconds", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def fuzz(name: str, seconds: int, corpus: Path) -> int:
    """Does not return: libFuzzer ends the process."""
    import atheris

    with atheris.instrument_imports(include=["modserve", "PIL"]):
        from modserve.tests.decoders import TARGETS
    target = TARGETS[name]
    for number, seed in enumerate(target.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)
    findings = f"-artifact_prefix={corpus}/finding-"
    line = [sys.argv[0], *LIMITS, f"-max_total_time={seconds}", findings, str(corpus)]
    atheris.Setup(line, lambda data: target.run(bytes(data)))
    atheris.Fuzz()
    return 0


def _outcome(name: str, *, seconds: int, corpus: Path) -> Outcome:
    own = corpus / name
    own.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, __file__, "--target", name, "--seconds", str(seconds)]
    begun = time.monotonic()
    done = subprocess.run([*command, "--corpus", str(own)], capture_output=True, check=False)
    said = done.stderr.decode(errors="replace")
    took = time.monotonic() - begun
    finding = "" if done.returncode == 0 else _last_error(said)
    inputs = _number(r"stat::number_of_executed_units:\s*(\d+)", said)
    return Outcome(name, inputs, took, _number(r"cov: (\d+)", said), finding)


def _number(pattern: str, text: str) -> int:
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def _last_error(said: str) -> str:
    """The exception, or libFuzzer's own words for a hang or too much memory."""
    words = [
        line for line in said.splitlines() if re.match(r"\w+(\.\w+)*(Error|Exception)|==", line)
    ]
    return words[0].strip() if words else said.strip()[-300:]


def _show(outcomes: list[Outcome], corpus: Path) -> None:
    table = Table(title=f"corpus and findings in {corpus}", title_justify="left")
    for heading in ("target", "inputs", "a second", "edges covered", "finding"):
        right = heading in ("inputs", "a second", "edges covered")
        table.add_column(heading, justify="right" if right else "left")
    for one in outcomes:
        rate = f"{one.inputs / one.seconds:.0f}"
        found = one.finding or "none"
        table.add_row(one.target, f"{one.inputs:,}", rate, f"{one.covered:,}", found)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
