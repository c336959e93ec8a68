"""What was measured of one component on one device, and the cost that was fitted to it.

A component is measured by itself, so that models which share one share its profile (ModServe,
SoCC 2025, section 4.1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from .costs import Costs
from .encode import EncodeCost, PreprocessCost
from .text import TextCost, TextWork


class BadProfile(ValueError):
    """The profile cannot be used; one sentence."""


class Component(StrEnum):
    PREPROCESS = "preprocess"
    ENCODE = "encode"
    TEXT = "text"  # prefill and decode


@dataclass(frozen=True, slots=True)
class PictureWork:
    pixels: int  # of one file, preprocessed on one CPU thread


@dataclass(frozen=True, slots=True)
class BatchWork:
    images: int
    image_tokens: int  # of all of them


Work = PictureWork | BatchWork | TextWork
Cost = PreprocessCost | EncodeCost | TextCost


@dataclass(frozen=True, slots=True)
class Point:
    work: Work
    seconds: float  # the median of its runs
    held_out: bool  # the fit did not see it


@dataclass(frozen=True, slots=True)
class Machine:
    processor: str  # the GPU's name where a GPU computes
    cores: int
    software: str


@dataclass(frozen=True, slots=True)
class HeldOutError:
    """Of predictions, relative to what was measured."""

    median: float
    worst: float


@dataclass(frozen=True, slots=True)
class Profile:
    component: Component
    model: str  # where it was measured; others may have the same component
    fingerprint: str  # of the component alone
    device: str  # cpu or cuda
    machine: Machine
    tp: int  # devices that share the component
    dtype: str
    threads: int
    cost: Cost
    points: Sequence[Point] = ()  # none: derived, not measured

    @property
    def error(self) -> HeldOutError | None:
        """None where nothing was held out."""
        errors = [self.error_of(point) for point in self.points if point.held_out]
        return HeldOutError(median(errors), max(errors)) if errors else None

    def error_of(self, point: Point) -> float:
        return abs(seconds_of(self.cost, point.work) - point.seconds) / point.seconds

    def check(self, fingerprint: str, device: str) -> None:
        """Raises BadProfile unless it is one of this component on this kind of device."""
        if self.fingerprint != fingerprint:
            raise BadProfile(
                f"expected a profile of the {self.component} component {fingerprint}, "
                f"got one of {self.fingerprint}, measured in {self.model}"
            )
        if self.device != device:
            raise BadProfile(
                f"expected a profile of {self.component} on {device}, got one on {self.device}"
            )


def seconds_of(cost: Cost, work: Work) -> float:
    """What `cost` predicts; raises BadProfile for the work of another component."""
    match cost, work:
        case PreprocessCost(), PictureWork():
            return cost.seconds(work.pixels)
        case EncodeCost(), BatchWork():
            return cost.seconds(work.image_tokens)
        case TextCost(), TextWork():
            return cost.seconds(work)
    kinds = type(cost).__name__, type(work).__name__
    raise BadProfile(f"expected a point that {kinds[0]} can predict, got a {kinds[1]}")


def costs_from(profiles: Iterable[Profile]) -> Costs:
    """Of one replica; raises BadProfile for two profiles of a component, or of two devices."""
    found: dict[Component, Profile] = {}
    for profile in profiles:
        if profile.component in found:
            raise BadProfile(f"expected one profile of {profile.component}, got two")
        found[profile.component] = profile
    computing = [one for name, one in found.items() if name is not Component.PREPROCESS]
    if len(devices := sorted({one.device for one in computing})) > 1:
        raise BadProfile(f"expected profiles of one device, got {' and '.join(devices)}")
    costs = {str(name): profile.cost for name, profile in found.items()}
    return Costs(**costs)  # type: ignore[arg-type]
