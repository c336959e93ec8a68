"""The tables of modserve.toml. A key that is left out means what its default says."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

MOST = 2**31 - 1  # what is shown as JSON, or multiplied to bytes, stays within 64 bits

One = Annotated[int, Meta(ge=1, le=MOST)]
Zero = Annotated[int, Meta(ge=0, le=MOST)]
Rank = Annotated[int, Meta(ge=-MOST, le=MOST)]
Above = Annotated[float, Meta(gt=0)]


class Table(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Fields are the keys, by their names."""


class ControllerTable(Table, frozen=True, kw_only=True):
    """The options of `start-controller`; paths as there."""

    model: str | None = None  # the small one that ships
    bind: str = "tcp://127.0.0.1:7700"
    insecure: bool = False
    keys: str | None = None
    journal: bool = True
    strict_journal: bool = False
    prefix_cache_mb: Zero | None = None
    image_cache_mb: Zero | None = None


class SloTable(Table, frozen=True, kw_only=True):
    """A class that is there by default keeps what is left out; a new one needs both times."""

    ttft_ms: Above | None = None
    tpot_ms: Above | None = None
    image_token_ms: Annotated[float, Meta(ge=0)] | None = None
    priority: Rank | None = None
    degrade_to: str | None = None


class StageTable(Table, frozen=True, kw_only=True):
    """How many workers of a role there are to be."""

    min: One = 1
    max: One | None = None  # as many as the GPUs, or the cores, allow
    start: One | None = None  # min

    @property
    def first(self) -> int:
        """How many there are to be at the start."""
        return self.min if self.start is None else self.start


class ScalingTable(Table, frozen=True, kw_only=True):
    policy: str = "off"
    launcher: str = "manual"
    gpus: One | None = None  # that all workers together may have; None: all that there are
    period_s: Above | None = None  # between two looks at the load; None: a second
    up_s: Above | None = None  # constants of the policy modserve: scheduler/scaling/tuning.py
    down_s: Above | None = None
    drain_s: Above | None = None
    burst_s: Above | None = None
    switch_window_s: Above | None = None
    means: tuple[str, ...] = ("launch", "switch")


class AdmissionTable(Table, frozen=True, kw_only=True):
    """What is refused at once; the numbers are of all open requests together."""

    policy: str = "limits"
    max_requests: One = 10_000
    max_tokens: One = 2**25  # of prompts that are not prefilled
    max_image_mb: One = 2048  # of image files


class LaunchingTable(Table, frozen=True, kw_only=True):
    """What the options of `start-controller` say of `local` and `ray`, and threads."""

    gpus: tuple[Zero, ...] = ()  # of this host, for `local`: one worker each, then the CPU
    threads: Zero = 0  # of a `local` worker; 0: its share of this host's cores
    data_host: str = ""
    ray_address: str = "auto"
    ray_resources: dict[str, str] = {}  # by role: "4cpu+1gpu"


class PoliciesTable(Table, frozen=True, kw_only=True):
    bind: str = "first"
    routing: str = "finish"
