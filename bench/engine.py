"""How fast the engine and the server around it are, each figure beside its floor or its rival.

    python bench/engine.py [--only prefill,decode] [--quick] [--json FILE] [--trace]

Makes a random checkpoint of 164 M parameters (bench/checkpoint.py) unless --checkpoint names one.
Prints a table for each part and writes all of it as JSON.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
from pathlib import Path

import torch
import transformers
from rich.console import Console

from modserve.bench import (
    checkpoint,
    computing,
    machine,
    overhead,
    serving,
    throughput,
    tracing,
    transferring,
)
from modserve.bench.options import Options, some_of
from modserve.bench.report import Part, Report, show

PARTS = {  # in this order
    "compute": ("Prefill and encode", computing.measure),
    "decode": ("Output tokens per second of the engine", throughput.measure),
    "overhead": ("Controller overhead", overhead.measure),
    "transfer": ("Tensor transfer between two processes", transferring.measure),
    "serve": ("The served system: start-up, and time to first token", serving.measure),
}


def main() -> int:
    options = _options()
    transformers.utils.logging.disable_progress_bar()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory(prefix="modserve-bench-") as home:
        folder = options.checkpoint or checkpoint.make(Path(home), small=options.small)
        told = Options(folder, options.threads, options.quick)
        if options.trace:
            tracing.trace(told)
            return 0
        return _run(options, told)


def _run(options: argparse.Namespace, told: Options) -> int:
    console = Console(width=None if sys.stdout.isatty() else 110)
    about = machine.describe()
    console.print(
        f"{about.cpu}, {about.cores} cores, {about.threads} threads; torch {about.torch} "
        f"({about.blas}), transformers {about.transformers}"
    )
    parts: dict[str, Part] = {}
    for name in options.only:
        title, measure = PARTS[name]
        begun = time.monotonic()
        figures = measure(told)
        parts[name] = Part(title, time.monotonic() - begun, figures)
        show(parts[name], console)
        gc.collect()  # a part's models go before the next one's come
    settings = {"quick": told.quick, "threads": told.threads, "small": options.small}
    Report(about, settings, parts).write(options.json)
    missed = [figure.name for part in parts.values() for figure in part.figures if not figure.met]
    console.print(f"{len(missed)} goals missed{': ' * bool(missed)}{', '.join(missed)}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "--only", metavar="PARTS", type=some_of(PARTS), default=list(PARTS), help=", ".join(PARTS)
    )
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--checkpoint", type=Path, metavar="FOLDER", help="do not make one")
    parser.add_argument("--small", action="store_true", help="make one of no size at all")
    parser.add_argument("--quick", action="store_true", help="one short round of everything")
    parser.add_argument("--trace", action="store_true", help="only where a decode step's time goes")
    results = Path(__file__).parent / "results" / "engine.json"
    parser.add_argument("--json", type=Path, metavar="FILE", default=results)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
