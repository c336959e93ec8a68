"""A cluster that may exist on paper only: its workers, the links between them, how it schedules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum, auto
from math import inf

from ..scheduler.costs.costs import Costs, LinkCost
from ..scheduler.costs.gpus import Gpu
from ..scheduler.costs.roofline import MEMORY_SHARE, PREPROCESS, encode_cost, text_cost
from ..scheduler.costs.spec import ModelSpec
from ..scheduler.scaling.limits import Limits
from ..scheduler.stage import Stage, role_of
from ..scheduler.terms import Terms


class Counted(Enum):
    """Which rows of an image `EncodeCost` counts."""

    COMPUTED = auto()  # by the tower, padding too: as derived costs do
    EMBEDDED = auto()  # of the embedding: as measured costs do, and a controller


TEXT = frozenset({Stage.PREFILL, Stage.DECODE})
STORE_SHARE = 0.1  # of what the weights leave of a worker's memory, where it has text, too
STAGING_SHARE = 0.1  # of a text worker's; with cross-attention images stay while text is decoded,
CROSS_STAGING_SHARE = 0.3  # and take more of it than the text does
THREADS = 12  # that preprocess, for each GPU: 96 cores and 8 GPUs in a DGX A100


@dataclass(frozen=True, slots=True)
class Group:
    """`count` workers that are alike; `pool`, a role, is the name under which they scale."""

    stages: frozenset[Stage]
    count: int
    costs: Costs
    gpus: int = 1  # of each worker
    threads: int = THREADS  # of each worker, for preprocessing
    kv_blocks: int = 0
    store_bytes: int = 0
    staging_bytes: int = 0

    @property
    def pool(self) -> str:
        return role_of(self.stages)


@dataclass(frozen=True, slots=True)
class Scheduling:
    """What the controller is configured with, under the same names."""

    bind: str = "first"  # first | all | arrival: scheduler/binding.py
    routing: str = "finish"  # finish | pending | round-robin: scheduler/routing.py
    order: str = "slack"  # slack | fifo, of prompts and image sets: scheduler/aging.py
    placing: str = "spread"  # spread | inline, of a request's images: scheduler/placing.py
    block_size: int = 16
    step_tokens: int = 512  # of a text step at most; a large number: prompts are not cut in chunks
    paced: bool = True  # chunks are cut by what decodes were promised, too, and encode batches by
    # how long they take: scheduler/pacing.py
    step_image_tokens: int = 8192  # of an encode batch
    image_cache_bytes: int | None = 0  # of each store, for images that nobody needs; None: all
    max_open: int = 1_000_000  # requests; one more is refused
    timeout_s: float = 600.0
    scaling: str = "off"  # scheduler/scaling/registry.py
    limits: Limits = field(default_factory=Limits)  # of scaling
    most_steps: int = 512  # of decodes that are simulated as one; 1: each by itself


@dataclass(frozen=True, slots=True)
class Cluster:
    spec: ModelSpec
    groups: tuple[Group, ...]
    link: LinkCost  # between any two workers, one tensor after another
    scheduling: Scheduling = field(default_factory=Scheduling)
    cold_start_s: float = 60.0  # of a worker that is launched
    switch_s: float = 1.0  # of one that changes its stages
    loss_every_s: float = inf  # a worker is lost so often on average; another is launched
    counted: Counted = Counted.COMPUTED

    def __post_init__(self) -> None:
        served = frozenset().union(*(group.stages for group in self.groups if group.count))
        if missing := TEXT - served:
            lacking = role_of(missing)
            raise ValueError(f"expected workers for every text stage, got none for {lacking}")

    @property
    def gpus(self) -> int:
        return sum(group.count * group.gpus for group in self.groups)

    @property
    def terms(self) -> Terms:
        """Sizes as the core reckons with; a simulated worker is never silent."""
        spec, scheduling = self.spec, self.scheduling
        row = spec.embedding_bytes(1)
        return Terms(
            block_size=scheduling.block_size,
            row_bytes=row,
            staging_row_bytes=row + spec.image_kv_bytes,
            cache_bytes=scheduling.image_cache_bytes,
            cross_attention=spec.geometry.cross_attention,
            late_s=inf,
            lost_s=inf,
            max_open=scheduling.max_open,
        )


def group(
    spec: ModelSpec,
    gpu: Gpu,
    stages: Iterable[Stage],
    count: int,
    tp: int = 1,
    *,
    encode_tp: int | None = None,
    block_size: int = 16,
    costs: Costs | None = None,
) -> Group:
    """Workers on `tp` GPUs each, with the memory that the weights leave there.

    `encode_tp`: the tower's, if another. `costs`: measured ones; else derived from the datasheet.
    ValueError where the model does not divide, or does not fit, onto so many GPUs.
    """
    has = frozenset(stages)
    text, encode = bool(has & TEXT), Stage.ENCODE in has
    weights = text * spec.text_bytes + encode * spec.image_bytes
    room = MEMORY_SHARE * gpu.memory_bytes * tp - weights
    if room <= 0:
        raise ValueError(
            f"expected weights of {spec.name} for {role_of(has)} that fit on {tp} {gpu.name}, "
            f"got {weights / 1e9:.0f} GB for {MEMORY_SHARE * gpu.memory_bytes * tp / 1e9:.0f} GB"
        )
    language = spec.language
    copies = max(1.0, tp / language.kv_heads)  # fewer KV heads than ranks: they are copied
    staged = CROSS_STAGING_SHARE if spec.geometry.cross_attention else STAGING_SHARE
    aside = room * staged if text else 0.0
    stored = room - aside if not text else room * STORE_SHARE
    kept = room - aside - (stored if encode else 0.0)
    return Group(
        stages=has,
        count=count,
        costs=costs or _derived(spec, gpu, has, tp, encode_tp or tp),
        gpus=tp,
        threads=THREADS * tp,
        kv_blocks=int(kept / (language.kv_bytes * copies * block_size)) if text else 0,
        store_bytes=int(stored) if encode else 0,
        staging_bytes=int(aside),
    )


def _derived(spec: ModelSpec, gpu: Gpu, stages: frozenset[Stage], tp: int, encode_tp: int) -> Costs:
    """Those of its stages alone: an encode worker need not hold the language model."""
    encode = Stage.ENCODE in stages
    return Costs(
        preprocess=PREPROCESS if encode else None,
        encode=encode_cost(spec, gpu, encode_tp) if encode else None,
        text=text_cost(spec.language, gpu, tp) if stages & TEXT else None,
    )
