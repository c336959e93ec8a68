"""A decode of eight and an encoder on the same cores: what each keeps of its pace.

    python bench/beside.py [--checkpoint FOLDER] [--seconds 12]

Two processes, as a text and an encode worker are two, in the ways in which cores can be shared.
The figures behind scheduler/sharing.py and worker/apart.py.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import torch
from rich.console import Console
from rich.table import Table

from modserve.bench import checkpoint
from modserve.bench.computing import encoding
from modserve.bench.driving import prompt_ids, stages, text_task
from modserve.scheduler.sharing import LATER
from modserve.worker.priority import yield_to_others

SEQUENCES, PROMPT = 8, 64
LOAD_S = 120.0  # for a process to be ready
CORES = os.cpu_count() or 1
WAYS = {  # threads of the decode; of the encoder, and its niceness
    "the decode alone": (CORES, 0, 0),
    "the decode alone, on half of the cores": (max(1, CORES // 2), 0, 0),
    "a share of the cores each": (max(1, CORES // 2), max(1, CORES // 2), 0),
    "all cores for both": (CORES, CORES, 0),
    "all cores for both, the encoder yields": (CORES, CORES, LATER),
    "half for the decode, all for an encoder that yields": (max(1, CORES // 2), CORES, LATER),
}


def main() -> int:
    given = _arguments()
    if given.role:
        yield_to_others(given.nice)
        compute(given.role, given.checkpoint, given.threads, given.seconds)
        return 0
    table = Table("", "decode step p50", "p99", "images a second")
    with tempfile.TemporaryDirectory(prefix="modserve-bench-") as home:
        folder = given.checkpoint or checkpoint.make(Path(home))
        for name, (decode, encode, nice) in WAYS.items():
            begun = [_begin("decode", folder, decode, 0, given.seconds)]
            begun += [_begin("encode", folder, encode, nice, given.seconds)] if encode else []
            table.add_row(name, *" ".join(_figures(begun)).split())
    Console(width=None if sys.stdout.isatty() else 110).print(table)
    return 0


def compute(role: str, folder: Path, threads: int, seconds: float) -> None:
    """Say when it is ready, wait for the word, then print figures."""
    made = stages(folder, threads=threads)
    work = encoding(made, 1)
    stage = made.text
    assert stage is not None
    if role == "decode":
        for number in range(SEQUENCES):
            ids = prompt_ids(PROMPT, number, made.facts.vocabulary)
            stage.admit(text_task(f"{number}", ids, 10_000, order=number))
        while stage.step().decode_tokens < SEQUENCES:
            pass
        work = stage.step
    print("ready", flush=True)
    sys.stdin.readline()
    took: list[float] = []
    end = time.perf_counter() + seconds
    with torch.inference_mode():
        while (begun := time.perf_counter()) < end:
            work()
            took.append(time.perf_counter() - begun)
    if role == "encode":
        print(f"{len(took) / sum(took):.2f}")
    else:
        print(f"{1000 * median(took):.0f}ms {1000 * sorted(took)[len(took) * 99 // 100]:.0f}ms")


def _begin(
    role: str, folder: Path, threads: int, nice: int, seconds: float
) -> subprocess.Popen[str]:
    command = [sys.executable, __file__, "--role", role, "--checkpoint", str(folder)]
    command += ["--threads", str(threads), "--nice", str(nice), "--seconds", str(seconds)]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    if process.stdout.readline() != "ready\n":
        raise SystemExit(f"expected a process that is ready to {role}, got one that ended")
    return process


def _figures(processes: Sequence[subprocess.Popen[str]]) -> list[str]:
    """All begin now."""
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    return [process.communicate(timeout=LOAD_S)[0].strip() for process in processes]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--checkpoint", type=Path, metavar="FOLDER", help="do not make one")
    parser.add_argument("--seconds", type=float, default=12.0, help="of each way")
    parser.add_argument("--role", default="", help=argparse.SUPPRESS)
    parser.add_argument("--threads", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--nice", type=int, default=0, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
