"""Which machine this is, and the fastest that it does two plain things: the floors of the rest.

A rate without the machine's own rate beside it, measured in the same run, says nothing; on a
machine that others use too, both are taken again and again and compared pair by pair.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
import transformers
from msgspec import Struct

from modserve.worker.profiling.machine import cpu_name
from modserve.worker.profiling.timing import seconds as seconds
from modserve.worker.profiling.timing import wait_for as wait_for

SQUARES = (1024, 2048, 4096)
READ_BYTES = 2**28  # beyond any cache


class Machine(Struct, frozen=True):
    cpu: str
    cores: int
    threads: int  # that torch uses here
    memory_gb: float
    python: str
    torch: str
    transformers: str
    blas: str
    cuda: str = ""  # toolkit, and below the device and its driver; empty without
    gpu: str = ""
    driver: str = ""


def describe() -> Machine:
    cuda = torch.cuda.is_available()
    return Machine(
        cpu=cpu_name(),
        cores=os.cpu_count() or 1,
        threads=torch.get_num_threads(),
        memory_gb=os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9,
        python=platform.python_version(),
        torch=str(torch.__version__),
        transformers=transformers.__version__,
        blas=_blas(),
        cuda=(torch.version.cuda or "") if cuda else "",
        gpu=torch.cuda.get_device_name() if cuda else "",
        driver=_driver() if cuda else "",
    )


def matmul_rate(
    device: torch.device, dtype: torch.dtype, squares: Sequence[int] = SQUARES
) -> float:
    """FLOP/s of the best of some square products."""
    return max(_square_rate(side, device, dtype) for side in squares)


def read_rate(device: torch.device, size: int = READ_BYTES) -> float:
    """Bytes/s at which memory is read: a reduction on a CPU; on a GPU a copy, both ways counted."""
    numbers = torch.ones(size // 4, device=device)
    if device.type == "cuda":
        other = torch.empty_like(numbers)
        return 2 * size / best(partial(other.copy_, numbers), device, repeats=10)
    return size / best(numbers.sum, device, repeats=5)


def best(run: Callable[[], object], device: torch.device, *, repeats: int) -> float:
    """Seconds of the fastest of `repeats`, after one that does not count."""
    run()
    return min(seconds(run, device) for _ in range(repeats))


def _square_rate(side: int, device: torch.device, dtype: torch.dtype) -> float:
    left, right = torch.randn(2, side, side, device=device).to(dtype)
    out = torch.empty_like(left)
    repeats = max(2, 4096 // side)
    return float(
        2 * side**3 / best(partial(torch.mm, left, right, out=out), device, repeats=repeats)
    )


def _blas() -> str:
    """What torch was built with: MKL, OpenBLAS …, and oneDNN's version."""
    shown = torch.__config__.show()
    blas = re.search(r"BLAS_INFO=(\w+)", shown)
    onednn = re.search(r"Intel\(R\) MKL-DNN (v[\d.]+)", shown)
    return ", ".join([blas[1] if blas else "unknown", *([f"oneDNN {onednn[1]}"] if onednn else [])])


def _driver() -> str:
    try:
        found = re.search(
            r"Module\s+(?:for \S+\s+)?([\d.]+)", Path("/proc/driver/nvidia/version").read_text()
        )
    except OSError:
        found = None
    return found[1] if found else "unknown"
