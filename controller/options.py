"""What a controller is told when it starts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..scheduler.slo.classes import CLASSES, SloClass
from .config.tables import ScalingTable, StageTable
from .launching.options import LaunchOptions


@dataclass(frozen=True, slots=True)
class Limits:
    """Every buffer has one of these; what is over a limit is refused with the number."""

    max_open: int = 10_000  # requests
    max_images: int = 64  # per request
    max_image_bytes: int = 32 * 2**20  # per image file
    max_request_bytes: int = 256 * 2**20  # all image files of a request
    max_held_bytes: int = 2 * 2**30  # image files of all open requests
    max_prompt_bytes: int = 8 * 2**20  # text before tokenization
    timeout_s: float = (
        600.0  # a request's deadline where it names none, and the longest it may name
    )
    queue: int = 10_000  # messages to one peer that it has not read yet
    stalled_s: float = 10.0  # a client that reads nothing this long is cancelled,
    silent_s: float = 30.0  # and one that answers no ping


@dataclass(frozen=True, slots=True)
class Parts:
    """What each worker is given; 0 bytes means a share of the memory that it finds free."""

    dtype: str = "auto"
    block_size: int = 16
    kv_bytes: int = 0
    store_bytes: int = 512 * 2**20
    staging_bytes: int = 512 * 2**20
    step_tokens: int = 512  # at most; fewer where decodes would wait too long: scheduler/pacing.py
    step_image_tokens: int = 8192
    prefix_bytes: int | None = None  # of KV for the prefix cache; None: all that is free
    image_cache_bytes: int | None = None  # of a store, for embeddings nobody needs; None: all
    beat_s: float = 0.25
    rejoin_s: float = 60.0


@dataclass(frozen=True, slots=True)
class ControllerOptions:
    model: Path
    endpoint: str = "tcp://127.0.0.1:7700"
    insecure: bool = False  # a non-loopback bind without keys
    keys: Path | None = None  # folder, as `msctl keygen` makes it
    json: bool = False  # the ready line as an object
    bind: str = "first"  # when a request with images joins the text queue: scheduler/binding.py
    late_s: float = 1.0
    lost_s: float = 2.5
    journal: bool = True  # accepted requests outlive the controller,
    strict_journal: bool = False  # and are refused while that cannot be promised
    slo: Mapping[str, SloClass] = field(default_factory=lambda: CLASSES)
    stages: Mapping[str, StageTable] = field(default_factory=dict)  # by role
    scaling: ScalingTable = field(default_factory=ScalingTable)
    limits: Limits = Limits()
    parts: Parts = Parts()
    launching: LaunchOptions = field(default_factory=LaunchOptions)
