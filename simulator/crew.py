"""The workers: who is launched, joins, changes stages and leaves; and what they cost."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from ..scheduler import events as on
from ..scheduler.computing.encoding import Task
from ..scheduler.computing.text import Ended, Step
from ..scheduler.stage import Stage
from .agenda import PASSING, Agenda
from .cluster import Cluster, Group
from .counts import Counts, counts_of
from .worker import Worker


@dataclass(frozen=True, slots=True)
class Start:
    """A worker that was launched, or changes its stages, and does not serve yet."""

    group: Group
    at_s: float


class Crew(dict[str, Worker]):
    """Those that serve, by name."""

    def __init__(
        self,
        cluster: Cluster,
        agenda: Agenda,
        pump: Callable[[on.Event], None],
        stepped: Callable[[Worker, Step, Ended], None],
        encoded: Callable[[Worker, Task], None],
    ) -> None:
        super().__init__()
        self._cluster, self._agenda, self.pump = cluster, agenda, pump
        self._stepped, self._encoded = stepped, encoded
        self._counts = counts_of(cluster)
        self.starting: dict[str, Start] = {}
        self.history: list[tuple[float, str, int]] = []  # how many serve in a pool, from when on
        self._serving: defaultdict[str, int] = defaultdict(int)  # of each pool
        self._made = 0
        self._gpu_s = 0.0  # of those that are no more
        self._served_s: defaultdict[str, float] = defaultdict(float)  # by pool
        self._busy_s: defaultdict[str, float] = defaultdict(float)

    # They come.

    def begin(self) -> None:
        """All that the cluster has serve at once."""
        for group in self._cluster.groups:
            for _ in range(group.count):
                self._join(self._name(group), group)

    def launch(self, group: Group) -> str:
        """One more, which serves when it has started; returns its name."""
        name = self._name(group)
        self._start(name, group, self._cluster.cold_start_s)
        return name

    def abandon(self, name: str) -> None:
        """Nobody waits for it any more."""
        start = self.starting.pop(name)
        self._gpu_s += start.group.gpus * (self._agenda.now - start.at_s)

    def _name(self, group: Group) -> str:
        self._made += 1
        return f"{group.pool}-{self._made}"

    def _start(self, name: str, group: Group, seconds: float) -> None:
        self.starting[name] = Start(group, self._agenda.now)
        self._agenda.at(self._agenda.now + seconds, PASSING, partial(self._started, name))

    def _started(self, name: str) -> None:
        if name in self.starting:
            group = self.starting[name].group
            self.abandon(name)
            self._join(name, group)

    def _join(self, name: str, group: Group) -> None:
        self._made += 1
        worker = Worker(
            name,
            self._made,
            group,
            self._cluster.scheduling,
            self._agenda,
            self._counts,
            self._stepped,
            self._encoded,
        )
        self[name] = worker
        self._note(group.pool, +1)
        self.pump(
            on.Joined(
                replica=name,
                epoch=self._made,
                stages=group.stages,
                kv_blocks=group.kv_blocks,
                store_bytes=group.store_bytes,
                staging_bytes=group.staging_bytes,
            )
        )

    def count_blocks(self) -> None:
        """All of them, and those that join later."""
        if self._counts is not Counts.ALWAYS:
            self._counts = Counts.ALWAYS
            for worker in self.values():
                worker.count_blocks()

    # They go.

    def stop(self, name: str) -> None:
        """The core has drained it."""
        self.pump(on.Lost(name, "it has left"))

    def switch(self, name: str, stages: frozenset[Stage]) -> None:
        """The core has it in no books any more; it comes back with other stages."""
        group = self[name].group
        self.remove(name)
        alike = (one for one in self._cluster.groups if one.stages == stages)
        becomes = replace(next(alike, replace(group, stages=stages)), gpus=group.gpus)
        self._start(name, becomes, self._cluster.switch_s)

    def remove(self, name: str) -> None:
        worker = self.pop(name, None)
        if worker is not None:
            worker.leave()
            self._bill(worker)
            self._note(worker.group.pool, -1)

    def close(self) -> None:
        """The run is over: all of them count until now."""
        for name in list(self.starting):
            self.abandon(name)
        for worker in self.values():
            self._bill(worker)

    def _bill(self, worker: Worker) -> None:
        served_s, pool = self._agenda.now - worker.joined_s, worker.group.pool
        self._gpu_s += worker.group.gpus * served_s
        self._served_s[pool] += served_s
        self._busy_s[pool] += worker.busy_s

    def _note(self, pool: str, more: int) -> None:
        self._serving[pool] += more
        self.history.append((self._agenda.now, pool, self._serving[pool]))

    # What it was, once closed.

    @property
    def gpu_s(self) -> float:
        return self._gpu_s

    @property
    def utilisation(self) -> Mapping[str, float]:
        return {
            pool: self._busy_s[pool] / seconds
            for pool, seconds in self._served_s.items()
            if seconds
        }
