"""One run: what happens next, and next, until every request has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import inf
from random import Random

from ..scheduler import events as on
from .agenda import ARRIVAL, PASSING, Agenda
from .arrival import Arrival
from .cluster import Cluster
from .outcome import Outcome
from .serving import Serving

TICK_S = 1.0  # between looks at deadlines, and a worker's words of its speed


@dataclass(frozen=True, slots=True)
class Ran:
    """What a run took. Outcomes are told one by one, and not kept."""

    virtual_s: float  # until the last request ended, or the run was cut off
    gpu_s: float  # of all workers, from their launch until they had left
    workers: tuple[tuple[float, str, int], ...]  # from when on so many of a pool served
    utilisation: Mapping[str, float]  # of a pool's time, the share that was spent computing
    events: int  # that the virtual clock went through


def simulate(
    cluster: Cluster,
    arrivals: Iterable[Arrival],
    *,
    seed: int = 0,
    watch: Callable[[Outcome], None],
    until_s: float = inf,
) -> Ran:
    """Serve `arrivals` and tell `watch` of each when it has ended; the same seed gives the same.

    `until_s` cuts the run off: what is open then is told of as it is, neither refused nor
    finished. Raises ValueError for arrivals that are not in the order of their times.
    """
    run = Simulation(cluster, arrivals, seed=seed, watch=watch)
    while run.step(until_s):
        pass
    return run.close()


class Simulation:
    """A run that can be looked at on its way: `serving.core` is the core itself."""

    def __init__(
        self,
        cluster: Cluster,
        arrivals: Iterable[Arrival],
        *,
        seed: int = 0,
        watch: Callable[[Outcome], None],
    ) -> None:
        self._cluster, self._watch = cluster, watch
        self.agenda = Agenda()
        self.serving = Serving(cluster, self.agenda, watch)
        self._dice = Random(seed)
        self._arrivals: Iterator[Arrival] = iter(arrivals)
        self._next: Arrival | None = None
        self.serving.crew.begin()
        self._tell_speeds()
        self._await_next()
        self._await_loss()
        self.agenda.at(TICK_S, PASSING, self._tick)

    def step(self, until_s: float = inf) -> bool:
        """The next thing happens; False where all requests have ended, or it is later than that."""
        if self._next is None and not self.serving.open:
            return False
        return self.agenda.step(until_s)

    def close(self) -> Ran:
        """What is open is told of as it is."""
        self.serving.close()
        for ticket in self.serving.open.values():
            self._watch(ticket.outcome(self.agenda.now))
        crew = self.serving.crew
        crew.close()
        return Ran(
            virtual_s=self.agenda.now,
            gpu_s=crew.gpu_s,
            workers=tuple(crew.history),
            utilisation=crew.utilisation,
            events=self.agenda.happened,
        )

    def _await_next(self) -> None:
        self._next = next(self._arrivals, None)
        if self._next is None:
            return
        at_s = self._next.asked.at_s
        if at_s < self.agenda.now:
            raise ValueError(
                f"expected arrivals in the order of their times, "
                f"got one at {at_s:g} s behind one at {self.agenda.now:g} s"
            )
        self.agenda.at(at_s, ARRIVAL, self._arrive)

    def _arrive(self) -> None:
        assert self._next is not None
        self.serving.arrive(self._next)
        self._await_next()

    def _tell_speeds(self) -> None:
        """Routing goes by them: workers tell them with their heartbeats, here all at once."""
        for name, worker in self.serving.crew.items():
            if (speed := worker.news()) is not None:
                self.serving.pump(on.Heard(name, speed))

    def _tick(self) -> None:
        self._tell_speeds()
        self.serving.pump(on.Ticked())
        self.agenda.at(self.agenda.now + TICK_S, PASSING, self._tick)

    def _await_loss(self) -> None:
        if self._cluster.loss_every_s < inf:
            gap_s = self._dice.expovariate(1 / self._cluster.loss_every_s)
            self.agenda.at(self.agenda.now + gap_s, PASSING, self._lose)

    def _lose(self) -> None:
        """One of those that serve, all alike; another is launched in its place."""
        crew = self.serving.crew
        if crew:
            name = self._dice.choice(list(crew))
            group = crew[name].group
            self.serving.lose(name)
            crew.launch(group)
        self._await_loss()
