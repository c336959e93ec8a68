"""What a plan is for: the fewest GPUs for a rate, or the highest rate of a number of GPUs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from .demand import Demand
from .layout import BadLayout, Layout, gpus_of
from .shapes import Shape
from .trials import Trial, Trials

MOST_GPUS = 1024  # of a cluster that is looked at
PATIENCE = 3.0  # times the GPUs that the estimate names; a shape that needs more is given up
HEADROOM = 0.5  # of the estimated rate, where the search for the highest begins


@dataclass(frozen=True, slots=True)
class Guess:
    """A layout by the estimate alone."""

    shape: Shape
    layout: Layout
    cost: float  # less is better


class Goal(Protocol):
    def lacking(self, found: Sequence[Shape]) -> str:
        """One sentence, for when no shape is for this."""

    def guess(self, shape: Shape) -> Guess | None:
        """None: the shape is not for this."""

    def reach(self, trials: Trials, shape: Shape, near: Trial | Guess) -> Trial | None:
        """The best of a shape, looked for near what is known; None: it does not hold."""

    def order(self, trial: Trial) -> tuple[float, ...]:
        """Less is better."""

    def step(self, trials: Trials, best: Trial) -> Trial | None:
        """One that is better and differs by a worker or two; None: there is none."""

    def beside(self, trials: Trials, best: Trial, layout: Layout) -> Trial | None:
        """How another layout does at what the best one was found for; None: it never holds."""


@dataclass(frozen=True, slots=True)
class Cheapest:
    demand: Demand
    scale: float  # times the rate of the workload, which the cluster is for
    rate: float  # the same in requests a second

    def lacking(self, found: Sequence[Shape]) -> str:
        return (
            f"expected a rate that {MOST_GPUS} {self.demand.gpu.name} serve, "
            f"got {self.rate:,.4g} requests a second"
        )

    def guess(self, shape: Shape) -> Guess | None:
        enough = (
            layout
            for layout in shape.layouts(1, MOST_GPUS)
            if self.demand.rate(layout) >= self.rate
        )
        layout = next(enough, None)
        return None if layout is None else Guess(shape, layout, gpus_of(layout))

    def reach(self, trials: Trials, shape: Shape, near: Trial | Guess) -> Trial | None:
        known = gpus_of(near.layout)
        ladder = list(shape.layouts(1, min(MOST_GPUS, int(PATIENCE * known) + shape.least)))
        start = next(place for place, one in enumerate(ladder) if gpus_of(one) >= known)
        return first_that_holds(ladder, start, lambda layout: trials.at(layout, self.scale))

    def order(self, trial: Trial) -> tuple[float, ...]:
        return trial.gpus, -trial.attainment

    def step(self, trials: Trials, best: Trial) -> Trial | None:
        fewer = [*_one_less(best.layout), *_swapped(best.layout, best.gpus - 1)]
        tried = (trials.at(layout, self.scale) for layout in sorted(fewer, key=gpus_of))
        return next((trial for trial in tried if trial.holds), None)

    def beside(self, trials: Trials, best: Trial, layout: Layout) -> Trial | None:
        return trials.at(layout, self.scale)


@dataclass(frozen=True, slots=True)
class Fastest:
    demand: Demand
    gpus: int
    rate: float  # of the workload, requests a second

    def lacking(self, found: Sequence[Shape]) -> str:
        least = min(shape.least for shape in found)
        where = f"{self.demand.spec.name} on {self.demand.gpu.name}"
        return f"expected at least {least} GPUs for {where}, got {self.gpus}"

    def guess(self, shape: Shape) -> Guess | None:
        try:
            layout = shape.layout(self.gpus)
        except BadLayout:
            return None
        return Guess(shape, layout, -self.demand.rate(layout))

    def reach(self, trials: Trials, shape: Shape, near: Trial | Guess) -> Trial | None:
        scale = near.scale if isinstance(near, Trial) else HEADROOM * -near.cost / self.rate
        return trials.highest(near.layout, scale)

    def order(self, trial: Trial) -> tuple[float, ...]:
        return -trial.scale, trial.gpus

    def step(self, trials: Trials, best: Trial) -> Trial | None:
        more = best.scale * (1 + trials.tolerance)
        for layout in _swapped(best.layout, self.gpus):
            if trials.at(layout, more).holds:
                return trials.highest(layout, more)
        return None

    def beside(self, trials: Trials, best: Trial, layout: Layout) -> Trial | None:
        return trials.highest(layout, best.scale)


def first_that_holds(
    ladder: Sequence[Layout], start: int, tried: Callable[[Layout], Trial]
) -> Trial | None:
    """Of layouts that grow; nearby `start` at first, then the gap is halved."""
    stride = max(1, start // 4)
    low, high = -1, start
    best = tried(ladder[high])
    while not best.holds:
        if high == len(ladder) - 1:
            return None
        low, high = high, min(high + stride, len(ladder) - 1)
        best = tried(ladder[high])
    while low < 0 < high:  # it held at once
        if (less := tried(ladder[lower := max(0, high - stride)])).holds:
            best, high = less, lower
        else:
            low = lower
    while high - low > 1 and high > 0:
        middle = (low + high) // 2
        if (less := tried(ladder[middle])).holds:
            best, high = less, middle
        else:
            low = middle
    return best


def changed(layout: Layout, place: int, by: int) -> Layout | None:
    """With so many workers more of a part, or fewer; None where no one would be left."""
    count = layout[place].count + by
    if count < 1:
        return None
    return (*layout[:place], replace(layout[place], count=count), *layout[place + 1 :])


def _one_less(layout: Layout) -> Iterator[Layout]:
    for place in range(len(layout)):
        if (less := changed(layout, place, -1)) is not None:
            yield less


def _swapped(layout: Layout, most: int) -> Iterator[Layout]:
    """A worker of one part for as many of another as `most` GPUs have room for."""
    for place, less in enumerate(changed(layout, place, -1) for place in range(len(layout))):
        for other, part in enumerate(layout):
            if less is None or other == place:
                continue
            room = (most - gpus_of(less)) // part.tp
            if room > 0 and (more := changed(less, other, room)) is not None:
                yield more
