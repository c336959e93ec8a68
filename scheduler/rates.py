"""What all replicas of a stage that take work do in a second, kept as they come, go and tell."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .replica import Replica
from .stage import Stage

MILLION = 1_000_000  # whole numbers add up to the same in any order

SECONDS: Mapping[Stage, Callable[[Replica], float]] = {
    Stage.ENCODE: lambda one: one.speed.image_token_s,
    Stage.PREFILL: lambda one: one.speed.prompt_token_s,
}


@dataclass(slots=True)
class Rate:
    known: int = 0  # replicas that have told their speed
    unknown: int = 0
    millionths: int = 0  # of a token a second, of the known ones together

    @property
    def tokens_s(self) -> float:
        """0 where nobody has told. Who has not is taken to be as fast as the others are."""
        if not self.known:
            return 0.0
        return self.millionths / MILLION * (self.known + self.unknown) / self.known


class Rates:
    def __init__(self) -> None:
        self.of: dict[Stage, Rate] = {stage: Rate() for stage in SECONDS}
        self._counted: dict[str, dict[Stage, int]] = {}  # millionths, by replica; 0: unknown

    def follow(self, replica: Replica) -> None:
        """It joined, told another speed, or takes work no more, or again."""
        self.leave(replica.name)
        if replica.takes_work:
            counted = {
                stage: round(MILLION / token_s) if (token_s := seconds(replica)) else 0
                for stage, seconds in SECONDS.items()
                if stage in replica.stages
            }
            self._counted[replica.name] = counted
            self._add(counted, 1)

    def leave(self, name: str) -> None:
        self._add(self._counted.pop(name, {}), -1)

    def _add(self, counted: Mapping[Stage, int], count: int) -> None:
        for stage, millionths in counted.items():
            rate = self.of[stage]
            rate.millionths += count * millionths
            if millionths:
                rate.known += count
            else:
                rate.unknown += count
