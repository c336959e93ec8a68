"""For all tests."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import settings

LONGEST = (  # a worker that is given such a file last ends long after the other one
    "scheduler/test_core_properties.py",
    "cluster/test_points.py",
    "cli/test_processes.py",
    "cluster/test_bursting.py",
    "cli/test_scaling.py",
    "cluster/test_seeing.py",
    "controller/launching/test_ray_cluster.py",
    "cluster/test_networks.py",
    "cluster/test_cancelling.py",
    "bench/test_engine.py",
    "cli/test_profiling.py",
    "cluster/test_restarting.py",
    "scheduler/scaling/test_limits_always.py",
    "cluster/test_killing.py",
    "worker/test_sampling.py",
    "bench/test_gpu_check.py",
)
RANKS = {Path(__file__).parent / name: rank for rank, name in enumerate(LONGEST)}


def pytest_configure() -> None:
    """A shell starts background jobs with ctrl-C ignored, and children inherit that: tests that
    press it must work however the suite was started."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.register_profile("shared machine", deadline=None)  # time is not what is tested
    settings.load_profile("shared machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first: `make test` keeps this order."""
    items.sort(key=lambda item: RANKS.get(item.path, len(RANKS)))
