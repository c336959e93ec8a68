"""The runs of an emulated text worker, and the pulls for them: each takes a link's time and moves
nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ...scheduler.computing.text import Export
from ...scheduler.costs.costs import LinkCost
from ...transport import messages as say
from .answers import text, tokens
from .engine import Engine
from .sizes import Sizes, bytes_of
from .text import Stepped
from .waiting import Lane, at


@dataclass(slots=True)
class Run:
    """Kept until the controller ends it: one that takes the controller's place asks for it."""

    number: int
    client: int
    seed: int
    before: int  # tokens that earlier runs emitted
    hand_over: bool
    lane: Lane  # in which its KV comes
    emitted: int = 0  # over all runs
    finish: str = ""
    offered: int = 0  # positions of KV that the other side has offered
    supplied: set[tuple[int, int]] = field(default_factory=set)  # images: index, offer
    pulls: list[asyncio.Handle] = field(default_factory=list)


class Runs:
    def __init__(
        self, send: Callable[..., Any], engine: Engine, sizes: Sizes, link: LinkCost
    ) -> None:
        self._send, self._engine, self._sizes, self._link = send, engine, sizes, link
        self._loop = asyncio.get_running_loop()
        self._runs: dict[str, Run] = {}

    def _run(self, request_id: str, number: int) -> Run | None:
        run = self._runs.get(request_id)
        return run if run is not None and run.number == number else None

    # Runs begin and end.

    def start(self, word: say.Prefill | say.Decode) -> None:
        """Words may come twice: a run begins once."""
        stage = self._engine.text
        if stage is None or self._run(word.request_id, word.run) is not None:
            return
        self._forget(word.request_id)
        if not stage.open(word):
            self._send(say.GaveUp(word.request_id, word.run))
            return
        before = len(word.token_ids) - word.prompt_tokens
        self._runs[word.request_id] = Run(
            number=word.run,
            client=word.client,
            seed=word.sampling.seed or 0,
            before=before,
            hand_over=isinstance(word, say.Prefill) and word.hand_over,
            lane=Lane(self._loop),
            emitted=before,
        )
        self._engine.wake()

    def release(self, word: say.Release) -> None:
        """The controller ends a run: free everything of it."""
        if self._run(word.request_id, word.run) is not None:
            self._forget(word.request_id)

    def clear(self) -> None:
        for request_id in list(self._runs):
            self._forget(request_id)

    def _forget(self, request_id: str) -> None:
        run = self._runs.pop(request_id, None)
        if run is None:
            return
        for pull in run.pulls:
            pull.cancel()
        if self._engine.text is not None:
            self._engine.text.drop(request_id, run.number)

    def held(self) -> tuple[say.Held, ...]:
        """What a controller that never heard of it can go on with; everything else ends."""
        held: list[say.Held] = []
        for request_id, run in list(self._runs.items()):
            if run.emitted == run.before or (run.hand_over and not run.finish):
                self._forget(request_id)
                continue
            before = tokens(run.seed, range(run.before))
            news = tokens(run.seed, range(run.before, run.emitted))
            delta = say.Delta(request_id, run.before, news, text(news))
            held.append(say.Held(request_id, run.number, run.client, before, (delta,), run.finish))
        return tuple(held)

    # Steps.

    def stepped(self, step: Stepped) -> None:
        """Room that was given up first, then news, then KV: the controller counts in this order."""
        for request_id, number in step.preempted:
            if self._run(request_id, number) is not None:
                self._forget(request_id)
                self._send(say.GaveUp(request_id, number))
        if step.rows:
            self._send(say.Stepped(step.rows, tuple(step.news)), *step.news.values())
        for row in step.rows:
            run = self._run(row.request_id, row.run)
            if run is not None:
                run.emitted, run.finish = row.emitted, row.finish
        for export in step.exported:
            self._offer(export)

    # Embeddings.

    def supply(self, word: say.Supply) -> None:
        run, offer = self._run(word.request_id, word.run), (word.index, word.handle.id)
        if run is None or offer in run.supplied:
            return
        run.supplied.add(offer)
        lands_at = self._loop.time() + self._link.seconds(bytes_of(word.handle))
        run.pulls.append(at(self._loop, lands_at, partial(self._landed, word)))

    def _landed(self, word: say.Supply) -> None:
        if self._run(word.request_id, word.run) is None or self._engine.text is None:
            return
        self._engine.text.land(word.request_id, word.index)
        self._send(say.Landed(word.request_id, word.run, word.index))
        self._engine.wake()

    # KV.

    def _offer(self, export: Export) -> None:
        """Prefill side: a chunk is there to be pulled."""
        run = self._run(export.request_id, export.run)
        if run is None:
            return
        self._send(
            say.KvOffer(
                request_id=export.request_id,
                run=export.run,
                start=export.start,
                end=export.end,
                handle=self._sizes.kv(export.end - export.start),
                emitted=tokens(run.seed, range(run.emitted)) if export.last else None,
            )
        )

    def take_kv(self, word: say.KvOffer) -> None:
        """Decode side: chunks are pulled in order."""
        run = self._run(word.request_id, word.run)
        if run is None or word.end <= run.offered:
            return
        run.offered = word.end
        seconds = self._link.seconds(bytes_of(word.handle))
        run.pulls.append(run.lane.take(seconds, partial(self._taken, word)))

    def _taken(self, word: say.KvOffer) -> None:
        run, stage = self._run(word.request_id, word.run), self._engine.text
        if run is None or stage is None:
            return
        emitted = None if word.emitted is None else len(word.emitted)
        stage.receive(word.request_id, word.end, emitted)
        if emitted is not None:
            run.before = run.emitted = emitted
        last = emitted is not None
        self._send(say.KvTaken(word.request_id, word.run, word.handle, last=last))
        self._engine.wake()
