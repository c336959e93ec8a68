"""Every way to divide GPUs that a plan looks at: which roles, on how many GPUs each, in which
portions. A shape is for any number of GPUs; `divide` makes a layout of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from ..scheduler.stage import Stage, stages_of
from .demand import TPS, Demand
from .layout import Layout, Part, Share, divide, gpus_of

SPLITS = (
    ("all",),
    ("text", "encode"),
    ("decode", "prefill", "encode"),
    ("decode", "encode+prefill"),
)
WITHOUT_IMAGES = (("all",), ("decode", "prefill"))
MIXES = (("all", "encode"), ("all", "text"))  # a specialist beside workers that do everything
PORTIONS = (0.25, 0.5)  # of the GPUs, for the specialist of a mix


@dataclass(frozen=True, slots=True)
class Shape:
    shares: tuple[Share, ...]

    @property
    def family(self) -> tuple[str, ...]:
        return tuple(one.role for one in self.shares)

    @property
    def least(self) -> int:
        """GPUs, for one worker of each part."""
        return sum(one.tp for one in self.shares)

    @property
    def whole(self) -> bool:
        return self.family == ("all",)

    def layout(self, gpus: int) -> Layout:
        """Raises BadLayout where there are too few."""
        return divide(gpus, self.shares)

    def layouts(self, first: int, most: int) -> Iterator[Layout]:
        """Those of `first` to `most` GPUs that leave none idle."""
        for gpus in range(max(first, self.least), most + 1):
            if gpus_of(layout := self.layout(gpus)) == gpus:
                yield layout


def shapes(demand: Demand) -> list[Shape]:
    """Empty where the model fits on no number of GPUs that is looked at."""
    if not demand.has_images:
        return [shape for roles in WITHOUT_IMAGES for shape in _split(roles, demand)]
    splits = [shape for roles in SPLITS for shape in _split(roles, demand)]
    return splits + [shape for roles in MIXES for shape in _mixes(roles, demand)]


def _split(roles: Sequence[str], demand: Demand) -> Iterator[Shape]:
    """Portions are as the demand: all parts are busy alike."""
    for parts in product(*(_parts(role, demand) for role in roles)):
        gpu_s = [part.tp * demand.seconds(part) for part in parts]
        if (whole := sum(gpu_s)) < float("inf"):
            portions = [one / whole if whole else 1 / len(parts) for one in gpu_s]
            yield _shape(roles, parts, portions)


def _mixes(roles: Sequence[str], demand: Demand) -> Iterator[Shape]:
    for parts, portion in product(product(*(_parts(role, demand) for role in roles)), PORTIONS):
        if all(demand.seconds(part) < float("inf") for part in parts):
            yield _shape(roles, parts, (1 - portion, portion))


def _shape(roles: Sequence[str], parts: Sequence[Part], portions: Sequence[float]) -> Shape:
    told = zip(roles, portions, parts, strict=True)
    return Shape(tuple(Share(role, share, part.tp, part.encode_tp) for role, share, part in told))


def _parts(role: str, demand: Demand) -> Iterator[Part]:
    """One worker on each number of GPUs that it fits on; a tower beside text also on one alone."""
    stages = stages_of(role.split("+"))
    beside = Stage.ENCODE in stages and len(stages) > 1 and demand.has_images
    for tp in TPS:
        if demand.fits(stages, tp):
            yield Part(stages, 1, tp)
            if beside and tp > 1:
                yield Part(stages, 1, tp, 1)
