"""The core and its workers under a virtual clock: commands become work, and work becomes events."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from ..scheduler import commands as do
from ..scheduler import events as on
from ..scheduler.computing.encoding import Task
from ..scheduler.computing.sequence import Doing, Sequence
from ..scheduler.computing.text import Ended, Export, Step
from ..scheduler.core import Core
from .agenda import Agenda
from .arrival import Arrival
from .cluster import Cluster
from .counts import most_tokens
from .crew import Crew
from .links import Links
from .outcome import Outcome
from .scaling import Scaling
from .tickets import Ticket, Tickets
from .worker import Worker


class Serving:
    def __init__(self, cluster: Cluster, agenda: Agenda, watch: Callable[[Outcome], None]) -> None:
        scheduling = cluster.scheduling
        self.core = Core(
            cluster.terms,
            scheduling.bind,
            routing=scheduling.routing,
            order=scheduling.order,
            placing=scheduling.placing,
        )
        self.open: dict[str, Ticket] = {}
        self._spec, self._agenda, self._watch = cluster.spec, agenda, watch
        self._tickets = Tickets(cluster.spec, cluster.scheduling, cluster.counted)
        self._links = Links(agenda, cluster.link)
        self.crew = Crew(cluster, agenda, self.pump, self._stepped, self._encoded)
        self._most_tokens = most_tokens(cluster)
        self._scaling: Scaling | None = None
        if cluster.scheduling.scaling != "off":
            self._scaling = Scaling(cluster, agenda, self.crew, self.core.replicas)
        self._events: deque[on.Event] = deque()
        self._pumping = False
        self._do: dict[type, Callable[[Any], None]] = {
            do.Encode: self._encode,
            do.Forget: self._forget,
            do.Prefill: self._prefill,
            do.Decode: self._decode,
            do.Supply: self._supply,
            do.Release: self._release,
            do.Stop: lambda command: self.crew.stop(command.replica),
            do.SwitchStages: lambda command: self.crew.switch(command.replica, command.stages),
            do.Drop: self._drop,
            do.End: self._end,
        }

    def pump(self, event: on.Event) -> None:
        """Tell the core, and carry out what it says; what follows from that comes behind it."""
        self._events.append(event)
        if self._pumping:
            return
        self._pumping = True
        while self._events:
            for command in self.core.handle(self._events.popleft(), self._agenda.now):
                self._do[type(command)](command)
        self._pumping = False

    def arrive(self, arrival: Arrival) -> None:
        ticket = self._tickets.ticket(arrival)
        self.open[ticket.request.id] = ticket
        if ticket.request.prompt_tokens + ticket.request.max_tokens > self._most_tokens:
            self.crew.count_blocks()
        self.pump(on.Arrived(ticket.request))
        if self._scaling is not None:
            self._scaling.admitted(ticket.request)

    def _end(self, command: do.End) -> None:
        ticket = self.open.pop(command.request.id)
        if self._scaling is not None:
            self._scaling.ended(ticket.request, ticket.arrival_s, ticket.first_token_s)
        self._watch(ticket.outcome(self._agenda.now))

    # Images.

    def _encode(self, command: do.Encode) -> None:
        ticket = self.open[command.request]
        task = Task(command.key, command.run, ticket.request.media[command.index].work)
        self.crew[command.replica].preprocess(task, ticket.pixels[command.index])

    def _encoded(self, worker: Worker, task: Task) -> None:
        self.pump(on.Encoded(task.key, worker.name, task.run))

    def _forget(self, command: do.Forget) -> None:
        if (worker := self.crew.get(command.replica)) is not None:
            worker.forget(command.key, command.run)

    def _supply(self, command: do.Supply) -> None:
        embedding = self.core.images.embeddings[command.key]
        landed = partial(self._landed, command)
        self._links.send(embedding.replica, command.replica, embedding.bytes, landed)

    def _landed(self, command: do.Supply) -> None:
        worker = self._runs(command.replica, command.request, command.run)
        if worker is not None:
            worker.land(command.request, command.index)
            self.pump(on.Pulled(command.request, command.replica, command.run, command.index))

    # Text.

    def _prefill(self, command: do.Prefill) -> None:
        hand_over = command.decode != command.replica
        self._open(command, Doing.PREFILLING, hand_over=hand_over)

    def _decode(self, command: do.Decode) -> None:
        self._open(command, Doing.RECEIVING, hand_over=False)

    def _open(self, command: do.Prefill | do.Decode, doing: Doing, *, hand_over: bool) -> None:
        ticket = self.open[command.request]
        sequence = self._tickets.sequence(ticket, command.run, doing, hand_over=hand_over)
        if not self.crew[command.replica].open(sequence):
            self.pump(on.Preempted(command.request, command.replica, command.run))

    def _release(self, command: do.Release) -> None:
        if (worker := self.crew.get(command.replica)) is not None:
            emitted = worker.release(command.request, command.run)
            ticket = self.open[command.request]
            ticket.emitted = max(ticket.emitted, emitted)

    def _stepped(self, worker: Worker, step: Step, ended: Ended) -> None:
        """Room that was given up first, then news, then KV, as real workers and controllers do."""
        name, pump = worker.name, self.pump
        for one in step.preempted:
            pump(on.Progressed(one.id, name, one.run, _emitted(one)))
            pump(on.Preempted(one.id, name, one.run))
        for one in ended.over:
            pump(on.Finished(one.id, name, one.run, _emitted(one), "length"))
        for one in ended.first:
            self._first(worker, one)
        if ended.crossed and worker.text is not None:
            tokens_of = worker.text.tokens_of
            pump(
                on.Stepped(
                    name,
                    [
                        (one.id, one.run, tokens_of(one) - one.prompt_tokens)
                        for one in ended.crossed
                    ],
                )
            )
        for export in ended.exported:
            self._export(worker, export)

    def _first(self, worker: Worker, one: Sequence) -> None:
        ticket = self.open[one.id]
        if ticket.first_token_s is None:
            ticket.first_token_s = self._agenda.now
        if self._scaling is not None:
            self._scaling.prefilled(one.id)
        emitted = one.computed + 1 - one.prompt_tokens
        self.pump(on.Prefilled(one.id, worker.name, one.run, emitted))
        if one.computed + 1 >= one.ends_at:
            self.pump(on.Finished(one.id, worker.name, one.run, emitted, "length"))

    def _export(self, worker: Worker, export: Export) -> None:
        """To whoever decodes it, as it comes; a cross-attention model's images with the first."""
        request = self.core.bound(export.request_id, worker.name, export.run)
        if request is None or request.decode is None:
            return
        size = (export.end - export.start) * self._spec.language.kv_bytes
        if not export.start:
            size += self.open[request.id].rows * self._spec.image_kv_bytes
        received = partial(self._received, request.decode, export, request.emitted)
        self._links.send(worker.name, request.decode, size, received)

    def _received(self, target: str, export: Export, emitted: int) -> None:
        worker = self._runs(target, export.request_id, export.run)
        if worker is None:
            return
        worker.receive(export.request_id, export.end, emitted if export.last else None)
        if export.last:
            self.pump(on.HandedOver(export.request_id, target, export.run))

    # Workers.

    def _runs(self, name: str, request: str, run: int) -> Worker | None:
        """The worker, if it is there and this run of the request is on it."""
        worker = self.crew.get(name)
        if worker is None or worker.text is None:
            return None
        sequence = worker.text.sequences.get(request)
        return worker if sequence is not None and sequence.run == run else None

    def lose(self, name: str) -> None:
        """A worker dies; what it has said of its runs until now was heard."""
        self._tell_progress(self.crew[name])
        self.pump(on.Lost(name))

    def close(self) -> None:
        """The run is cut off: how far everybody is counts."""
        for worker in self.crew.values():
            self._tell_progress(worker)

    def _tell_progress(self, worker: Worker) -> None:
        if progress := worker.progress():
            self.pump(on.Stepped(worker.name, progress))

    def _drop(self, command: do.Drop) -> None:
        self._links.forget(command.replica)
        self.crew.remove(command.replica)


def _emitted(one: Sequence) -> int:
    """Of a sequence that is in no stage any more."""
    return one.tokens - one.prompt_tokens
