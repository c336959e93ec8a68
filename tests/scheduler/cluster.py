"""Workers made of dice: they obey the core's commands and keep their own count of memory."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from random import Random

from modserve.scheduler import events as on
from modserve.scheduler.commands import (
    Command,
    Decode,
    Drop,
    Encode,
    End,
    Forget,
    Prefill,
    Release,
    Stop,
    Supply,
    SwitchStages,
)
from modserve.scheduler.core import Core
from modserve.scheduler.invariants import check
from modserve.scheduler.media import MediaItem
from modserve.scheduler.request import Phase, Request
from modserve.scheduler.stage import Stage
from modserve.scheduler.terms import Terms


@dataclass
class Run:
    """One request on one worker."""

    request: str
    run: int
    prompt: int
    most: int
    emitted: int
    computes: bool
    decodes: bool
    started: int
    blocks: int = 0
    needs: int = 0  # images
    landed: set[int] = field(default_factory=set)
    decoding: bool = False


class Worker:
    def __init__(self, joined: on.Joined, terms: Terms) -> None:
        self.joined, self.terms = joined, terms
        self.encoding: dict[str, int] = {}
        self.stored: dict[str, int] = {}
        self.runs: dict[str, Run] = {}
        self.supplies: list[Supply] = []

    @property
    def free_blocks(self) -> int:
        return self.joined.kv_blocks - sum(run.blocks for run in self.runs.values())


def _anew(request: Request) -> Request:
    """As it is prepared again; its client tells how far it was."""
    media = [MediaItem(item.key, item.rows, item.work) for item in request.media]
    return replace(
        request, media=media, run=0, prefill=None, decode=None, phase=Phase.NEW, story=[]
    )


class Cluster:
    """Drives a core and its dice workers; `ended` collects every `End`."""

    def __init__(self, core: Core, dice: Random) -> None:
        self.core, self.dice, self.now = core, dice, 0.0
        self.workers: dict[str, Worker] = {}
        self.switching: dict[str, on.Joined] = {}  # how each will come back
        self.ended: dict[str, list[End]] = {}
        self.stale: list[on.Event] = []
        self._starts = 0
        self._soon: list[on.Event] = []

    def feed(self, event: on.Event) -> None:
        self.now += self.dice.random() * 0.01
        commands = self.core.handle(event, self.now)
        check(self.core)
        for command in commands:
            self._obey(command)

    def join(self, joined: on.Joined, worker: Worker | None = None) -> None:
        self.workers[joined.replica] = worker or Worker(joined, self.core.terms)
        self.feed(joined)

    def kill(self, name: str) -> None:
        worker = self.workers.pop(name)
        self.stale += self.choices(name, worker)
        self.feed(on.Lost(name))

    def come_back(self, name: str) -> None:
        """A worker that was drained for it serves its other stages."""
        self.join(self.switching.pop(name))

    def succeed(self, core: Core) -> None:
        """The core dies with its process; another takes its place. Workers come back, or not, with
        what they decode; requests that nobody holds arrive once more."""
        lost = {name: _anew(request) for name, request in self.core.requests.items()}
        workers, self.core = dict(self.workers), core
        self.workers.clear()
        for name in self.dice.sample(sorted(workers), len(workers)):
            worker = workers[name]
            if self.dice.random() < 0.2:
                self.stale += self.choices(name, worker)
                continue
            worker.encoding.clear()
            worker.supplies.clear()
            needed = {item.key for request in lost.values() for item in request.media}
            worker.stored = {key: run for key, run in worker.stored.items() if key in needed}
            stores = tuple(on.Store(key, 1, run) for key, run in worker.stored.items())
            runs = {one.request: one for one in worker.runs.values() if one.decoding}
            worker.runs = {one: run for one, run in runs.items() if one in lost}
            holds = []
            for one, run in worker.runs.items():
                request = lost.pop(one)
                request.emitted = run.emitted
                holds.append(on.Hold(request, run.run))
            wanting = [
                name
                for name, request in lost.items()
                if any(item.key in worker.stored for item in request.media)
            ]
            arrivals = tuple(lost.pop(name) for name in wanting)
            told = replace(worker.joined, holds=tuple(holds), stores=stores, arrivals=arrivals)
            self.join(told, worker)
            self.step()
            self.settle()
        for request in lost.values():
            self.feed(on.Arrived(request, accepted=True))

    def step(self) -> bool:
        """Let one random worker say one random thing; False when nobody has anything to say."""
        spoken = [
            one for name, worker in self.workers.items() for one in self.choices(name, worker)
        ]
        if not spoken:
            return False
        event = self.dice.choice(spoken)
        event = self._act(event)
        self.feed(event)
        return True

    def choices(self, name: str, worker: Worker) -> list[on.Event]:
        events: list[on.Event] = [
            on.Encoded(key, name, run) for key, run in worker.encoding.items()
        ]
        events += [on.Pulled(one.request, name, one.run, one.index) for one in worker.supplies]
        for run in worker.runs.values():
            if run.computes and not run.decoding and len(run.landed) == run.needs:
                if run.emitted + 1 >= run.most:
                    events.append(on.Finished(run.request, name, run.run, run.most, "length"))
                else:
                    events.append(on.Prefilled(run.request, name, run.run, run.emitted + 1))
            elif run.decoding and run.emitted + 1 >= run.most:
                events.append(on.Finished(run.request, name, run.run, run.most, "length"))
            elif run.decoding:
                events.append(on.Progressed(run.request, name, run.run, run.emitted + 1))
        return events

    def _act(self, event: on.Event) -> on.Event:
        """Do what the event says happened; a worker without a block to grow preempts."""
        match event:
            case on.Encoded(key, name, run):
                worker = self.workers[name]
                worker.stored[key] = worker.encoding.pop(key)
            case on.Pulled(request, name, run, index):
                worker = self.workers[name]
                worker.supplies = [
                    one for one in worker.supplies if (one.request, one.index) != (request, index)
                ]
                worker.runs[request].landed.add(index)
            case on.Prefilled(request, name, run, emitted):
                mine = self.workers[name].runs[request]
                mine.emitted, mine.computes = emitted, False
                if mine.decodes:
                    mine.decoding = True
                else:
                    self._hand_over(request, run, emitted)
            case on.Progressed(request, name, run, emitted):
                return self._grow(name, request, emitted) or event
            case on.Finished(request, name, run, _, _):
                del self.workers[name].runs[request]
            case _:
                raise AssertionError(event)
        return event

    def _hand_over(self, request: str, run: int, emitted: int) -> None:
        for name, worker in self.workers.items():
            mine = worker.runs.get(request)
            if mine is not None and mine.run == run and mine.decodes:
                mine.emitted, mine.decoding = emitted, True
                self._soon.append(on.HandedOver(request, name, run))

    def _grow(self, name: str, request: str, emitted: int) -> on.Event | None:
        worker = self.workers[name]
        run = worker.runs[request]
        need = self.core.terms.blocks(run.prompt + emitted)
        while need > run.blocks and worker.free_blocks < need - run.blocks:
            youngest = max(
                (one for one in worker.runs.values() if one.decodes), key=lambda one: one.started
            )
            del worker.runs[youngest.request]
            worker.supplies = [one for one in worker.supplies if one.request != youngest.request]
            return on.Preempted(youngest.request, name, youngest.run)
        run.blocks, run.emitted = need, emitted
        return None

    def _obey(self, command: Command) -> None:
        match command:
            case Encode(replica, key, run, _, _):
                worker = self.workers[replica]
                assert key not in worker.stored, "encoded twice on one worker"
                worker.encoding[key] = run
                held = len(worker.encoding) + len(worker.stored)
                assert held * self.core.terms.row_bytes <= worker.joined.store_bytes
            case Forget(replica, key, _):
                if replica in self.workers:
                    self.workers[replica].encoding.pop(key, None)
                    self.workers[replica].stored.pop(key, None)
            case Prefill(replica, request, run, decode):
                self._take(replica, request, run, computes=True, decodes=replica == decode)
            case Decode(replica, request, run, _):
                self._take(replica, request, run, computes=False, decodes=True)
            case Supply(replica, request, run, _, key):
                holder = [one for one in self.workers.values() if key in one.stored]
                assert holder, "told to pull what nobody has"
                if request in self.workers[replica].runs:
                    self.workers[replica].supplies.append(command)
            case Release(replica, request, run):
                worker = self.workers[replica]
                if request in worker.runs and worker.runs[request].run == run:
                    del worker.runs[request]
                worker.supplies = [one for one in worker.supplies if one.request != request]
            case Stop(replica):
                worker = self.workers.pop(replica)
                assert not (worker.runs or worker.stored or worker.encoding), "stopped at work"
                self.feed(on.Lost(replica))
            case SwitchStages(replica, stages):
                worker = self.workers.pop(replica)
                assert not (worker.runs or worker.stored or worker.encoding), "switched at work"
                assert stages != worker.joined.stages
                self.switching[replica] = replace(
                    worker.joined, stages=stages, holds=(), stores=(), arrivals=()
                )
            case End(ended, _):
                self.ended.setdefault(ended.id, []).append(command)
            case Drop():
                pass

    def _take(self, replica: str, name: str, run: int, *, computes: bool, decodes: bool) -> None:
        request: Request = self.core.requests[name]
        worker = self.workers[replica]
        self._starts += 1
        mine = Run(
            name,
            run,
            request.prompt_tokens,
            request.max_tokens,
            request.emitted,
            computes,
            decodes,
            self._starts,
            blocks=self.core.terms.blocks(request.tokens),
            needs=len(request.media) if computes else 0,
        )
        assert request.prefill in self.workers
        assert request.decode in self.workers
        stages = worker.joined.stages
        assert Stage.PREFILL in stages or not computes
        if mine.blocks > worker.free_blocks:  # growth that the core had not heard of yet
            self._soon.append(on.Preempted(name, replica, run))
            return
        worker.runs[name] = mine

    def settle(self) -> None:
        """Say what follows at once from what was said: hand-overs and refused bindings."""
        while self._soon:
            self.feed(self._soon.pop(0))
