"""One cluster, one workload, one promise: run as often as somebody likes, at any rate."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from ..scheduler.workload.arrivals import Arrival as Asked
from ..scheduler.workload.streaming import scaled
from .arrival import Arrival
from .cluster import Cluster
from .outcome import Outcome
from .promises import Monolith, Promise, kept_alone
from .simulation import Ran, simulate
from .tally import Tally

Watch = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True)
class Offered:
    """What a workload is, told by one look at all of it."""

    requests: int
    with_images: int
    images: int
    span_s: float  # from the beginning to the last arrival
    kept_alone: int  # whose promise can be kept at all


@dataclass(frozen=True, slots=True)
class Result:
    tally: Tally
    ran: Ran

    @property
    def gpus_mean(self) -> float | None:
        """Held at a time; None where no time went by."""
        return self.ran.gpu_s / self.ran.virtual_s if self.ran.virtual_s else None


@dataclass(frozen=True, slots=True)
class Scenario:
    cluster: Cluster
    begin: Callable[[], Iterable[Asked]]  # the workload, from its beginning each time
    promise: Promise
    seed: int = 0

    def run(self, scale: float = 1.0, watch: Watch | None = None) -> Result:
        """At `scale` times the rate of the workload. What `watch` raises ends the run."""
        tally = Tally()
        watching = tally.watch if watch is None else _both(tally.watch, watch)
        ran = simulate(
            _forgetful(self.cluster), self._arrivals(scale), seed=self.seed, watch=watching
        )
        return Result(tally, ran)

    def _arrivals(self, scale: float) -> Iterator[Arrival]:
        promise = self.promise
        return (Arrival(asked, promise(asked)) for asked in scaled(self.begin(), scale))


def offered(begin: Callable[[], Iterable[Asked]], promise: Promise, monolith: Monolith) -> Offered:
    requests = with_images = images = kept = 0
    span_s = 0.0
    for asked in begin():
        requests += 1
        with_images += bool(asked.images)
        images += len(asked.images)
        kept += kept_alone(asked, promise(asked), monolith)
        span_s = asked.at_s
    return Offered(requests, with_images, images, span_s, kept)


def _forgetful(cluster: Cluster) -> Cluster:
    """No image of a workload comes again, so a store that keeps those that nobody needs serves
    nobody, and gives them up to whoever needs the room: only the simulation's own memory grows."""
    return replace(cluster, scheduling=replace(cluster.scheduling, image_cache_bytes=0))


def _both(first: Watch, second: Watch) -> Watch:
    def watch(outcome: Outcome) -> None:
        first(outcome)
        second(outcome)

    return watch
