"""How workers are launched."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Resources:
    """What Ray sets apart for one worker; a GPU may be shared by parts (0.5)."""

    cpus: float = 1.0
    gpus: float = 0.0


@dataclass(frozen=True, slots=True)
class LaunchOptions:
    launcher: str = "manual"
    at_once: int = 4  # launches under way; the others wait
    launch_s: float = 300.0  # for a worker to load and join
    stop_s: float = 15.0  # for a launcher to end a process,
    close_s: float = 12.0  # and all of them
    orphan_s: float = 75.0  # until a launched process is ended that should have left by itself
    tries: int = 5  # of one order
    first_pause_s: float = 1.0  # after a failure; doubled with each that follows, up to
    longest_pause_s: float = 60.0
    gpus: tuple[int, ...] = ()  # of this host, for `local`: one worker each, then the CPU
    threads: int = 0  # of a `local` worker; 0: its share of this host's cores
    data_host: str = ""  # of this host, for `local` workers of a controller that is on a network
    ray_address: str = "auto"  # the cluster that RAY_ADDRESS or this host knows
    resources: Mapping[str, Resources] = field(default_factory=dict)  # by role, for `ray`
