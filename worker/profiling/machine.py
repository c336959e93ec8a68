"""Which machine a profile is of."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

import torch

from ...scheduler.costs.profile import Machine


def describe(device: torch.device) -> Machine:
    cuda = device.type == "cuda"
    return Machine(
        processor=torch.cuda.get_device_name(device) if cuda else cpu_name(),
        cores=cores(),
        software=f"torch {torch.__version__}",
    )


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_name() -> str:
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()
