"""What a worker process is told by whoever starts it: one JSON line on its standard input."""

from __future__ import annotations

from msgspec import Struct


class WorkerOptions(Struct, frozen=True, forbid_unknown_fields=True):
    """The token comes this way too: an argument list can be read by everybody on the host."""

    controller: str
    stages: tuple[str, ...]
    token: str
    device: str = "auto"  # auto, cpu, cuda:N
    threads: int = 0  # 0: the controller shares out the host's cores
    nice: int | None = None  # of the threads that compute; None: by its stages, on a CPU
    name: str = ""
    log: str = ""
    data_host: str = "127.0.0.1"
    dtype: str = "auto"
    keys: str = ""  # file
    leash: bool = False  # leave when standard input ends: whoever started us is gone
