"""Is the engine right and fast on a machine with CUDA? One command, for whenever one is at hand.

    python bench/gpu_check.py [--only parity,speed,links] [--json FILE]

parity: float32 tokens of the engine beside transformers' `generate`, small random checkpoints of
both families. speed: a random 7B LLaVA-OneVision in bfloat16 beside its memory and arithmetic
floors and beside transformers. links: tensors over NCCL between two processes, where there are
two GPUs. A part that fails is reported with its error and the next one goes on.

Never run on CUDA: no such machine was at hand when it was written; on a CPU it runs with
`--device cpu --tiny`. It needs no installation, torch, transformers, pillow, rich and msgspec
suffice:

    mkdir -p .typing && ln -sfn .. .typing/modserve
    PYTHONPATH=.typing python3 bench/gpu_check.py
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
import transformers
from rich.console import Console

from modserve.bench import big_model, big_speed, device_links, machine, parity
from modserve.bench.report import Figure, Part, Report, show
from modserve.worker.text import attention

STEP_TOKENS = 2048  # of prefill in a step: a GPU wants more than the CPU's 512
TITLES = {
    "parity": "The engine's tokens beside transformers' own",
    "speed": "A random 7B LLaVA-OneVision in bfloat16",
    "links": "Tensors between two processes",
}
FAILURES = (RuntimeError, TypeError, ValueError, AttributeError, ImportError, AssertionError)


def main() -> int:
    """0 where all goals are met, 1 where one is not or a part failed, 2 without CUDA."""
    options = _options()
    device = torch.device(options.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        print(f"expected a CUDA device, got none that torch {torch.__version__} can use")
        return 2
    transformers.utils.logging.disable_progress_bar()
    console = Console(width=None if sys.stdout.isatty() else 110)
    about = machine.describe()
    console.print(
        f"{about.gpu or about.cpu}, torch {about.torch}, CUDA {about.cuda or 'none'}, driver "
        f"{about.driver or 'none'}, transformers {about.transformers}; {paging()}"
    )
    parts: dict[str, Part] = {}
    errors: dict[str, str] = {}
    for name in options.only.split(","):
        _attempt(name, _measures(device, options.tiny)[name], console, parts, errors)
        settings = {"paged attention": paging(), "tiny": options.tiny, **_failed(errors)}
        Report(about, settings, parts).write(options.json)  # what there is, whatever comes next
    met = all(figure.met for part in parts.values() for figure in part.figures)
    return 0 if met and not errors else 1


def paging() -> str:
    """Which attention reads the paged KV on CUDA with this torch."""
    if attention.VARLEN is not None:
        return "paged attention by torch's varlen_attn with block tables"
    return "no paged attention in this torch: one scaled_dot_product_attention per request"


def _attempt(
    name: str,
    measure: Callable[[], Sequence[Figure]],
    console: Console,
    parts: dict[str, Part],
    errors: dict[str, str],
) -> None:
    begun = time.monotonic()
    try:
        figures = measure()
    except FAILURES as error:  # a machine like this is rare: the other parts still tell something
        traceback.print_exc()
        errors[name] = f"{type(error).__name__}: {error}"
        console.print(f"{name} failed: {errors[name]}", markup=False)
        return
    parts[name] = Part(TITLES[name], time.monotonic() - begun, figures)
    show(parts[name], console)


def _measures(device: torch.device, tiny: bool) -> dict[str, Callable[[], Sequence[Figure]]]:
    return {
        "parity": partial(parity.measure, device),
        "speed": partial(_speed, device, tiny),
        "links": partial(_links, device),
    }


def _speed(device: torch.device, tiny: bool) -> list[Figure]:
    sizes = big_speed.TINY if tiny else big_speed.Sizes()
    model = big_model.make(device, kv_tokens=sizes.kv_tokens, step_tokens=STEP_TOKENS, tiny=tiny)
    return big_speed.measure(model, device, sizes)


def _links(device: torch.device) -> list[Figure]:
    if device.type == "cpu":
        return device_links.measure(("cpu", "cpu"), device_links.SIZES[:1])
    if torch.cuda.device_count() < 2:
        return []  # NCCL refuses two ranks on one GPU
    return device_links.measure(("cuda:0", "cuda:1"))


def _failed(errors: dict[str, str]) -> dict[str, str]:
    return {f"{name} failed": error for name, error in errors.items()}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--only", metavar="PARTS", default=",".join(TITLES))
    results = Path(__file__).parent / "results" / "gpu_check.json"
    parser.add_argument("--json", type=Path, metavar="FILE", default=results)
    # to exercise the same code where there is no GPU; says nothing about speed
    parser.add_argument("--device", default="cuda", help=argparse.SUPPRESS)
    parser.add_argument("--tiny", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
