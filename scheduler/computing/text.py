"""A text stage without tensors: the same batches as a real one, and what each of them takes.

Batches, preemption and pace are the functions that a real worker calls. Decodes all advance by one
token in every step, so nobody looks at each of them: a sequence is due at the step after which it
ends or needs a further block, and is left alone until then. Where there is room for all that
anybody may still need, blocks need not be counted either. There is no prefix cache.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from ..batching import Grower, next_batch, preempt
from ..costs.text import TextCost, TextWork
from ..pacing import REMEMBERED, TextPace
from .sequence import Doing, Sequence

MEASURED = 128  # tokens of a prompt


@dataclass(slots=True)  # not frozen: that makes each of millions three times as dear
class Step:
    """Under way; where nobody prefills, several steps that nobody is due between."""

    chunks: list[tuple[Sequence, int]]  # of prompts, in tokens
    preempted: list[Sequence]  # who had to give way before it
    prefills: int  # tokens
    decodes: int
    times_s: list[float]  # of each step

    @property
    def seconds(self) -> float:
        return sum(self.times_s)


@dataclass(frozen=True, slots=True)
class Export:
    """KV of positions [start, end) of a request that decodes elsewhere."""

    request_id: str
    run: int
    start: int
    end: int
    last: bool


@dataclass(slots=True)
class Ended:
    """What came of a step, beside one token of every decode."""

    first: list[Sequence]  # prefilled, and one token emitted
    crossed: list[Sequence]  # decodes whose tokens are one more than their blocks hold
    over: list[Sequence]  # decodes whose answer has ended
    exported: list[Export]


class TextStage:
    def __init__(
        self,
        cost: TextCost | None,
        pace: TextPace,
        *,
        blocks: int,
        block_size: int,
        order: str = "slack",
        ample: int | None = None,
    ) -> None:
        """`order`: of prompts, by its name in aging.py. `ample`: blocks are counted again when
        fewer than that would stay free if every answer became as long as it may; None: always."""
        self._cost, self.pace, self._order = cost, pace, order
        self._block_size = block_size
        self.blocks = blocks
        self.used = 0  # of the blocks; by decodes, as of when they were counted last
        self.counts = True
        self._ample = ample
        self._promised = 0  # blocks of everybody's longest answer
        self.tokens = 0  # emitted since the start
        self.steps = 0  # since the start
        self.sequences: dict[str, Sequence] = {}
        self.decoding: dict[str, Sequence] = {}
        self._prefilling: dict[str, Sequence] = {}
        self._received: list[Sequence] = []  # decode from the next step on
        self._crossed: list[Sequence] = []  # need a block before the next step
        self._due: dict[int, list[Sequence]] = {}  # by the step after which to look at them
        self._context = 0  # tokens that the decodes of the next step read
        self._gap_s: float | None = None
        self._going = False
        if cost is not None:  # as a real one has measured itself before it is ready
            pace.took(MEASURED, 0, cost.seconds(TextWork([(0, MEASURED)])))
            pace.took(0, 8, cost.seconds(TextWork(decodes=8)))

    def add(self, sequence: Sequence) -> bool:
        """Take a request, in the place of an older run of it; False where there is no room."""
        self.drop(sequence.id)
        blocks, most = self._blocks_for(sequence.tokens), self._most(sequence)
        if self._ample is not None and self._promised + most + self._ample > self.blocks:
            self.count()
        if blocks > self.blocks - self.used:
            return False
        sequence.blocks = blocks
        self.used += blocks
        self._promised += most
        self.sequences[sequence.id] = sequence
        if sequence.doing is Doing.PREFILLING:
            self._prefilling[sequence.id] = sequence
        return True

    def land(self, request_id: str, index: int) -> None:
        """An image is here; unknown requests have ended meanwhile."""
        if (sequence := self.sequences.get(request_id)) is not None:
            sequence.missing.pop(index, None)

    def receive(self, request_id: str, end: int, emitted: int | None) -> None:
        """KV up to `end` has come; with the last of it `emitted` tokens, behind which to go on."""
        if (sequence := self.sequences.get(request_id)) is not None:
            sequence.computed = end
            if emitted is not None:
                sequence.tokens = sequence.prompt_tokens + emitted
                self._received.append(sequence)

    def drop(self, request_id: str, run: int | None = None) -> None:
        """Free everything of a request (if it is that run); harmless when it has ended already."""
        sequence = self.sequences.get(request_id)
        if sequence is None or run not in (None, sequence.run):
            return
        del self.sequences[request_id]
        self.used -= sequence.blocks
        self._promised -= self._most(sequence)
        self._prefilling.pop(request_id, None)
        if request_id in self.decoding:
            sequence.tokens = self.tokens_of(sequence)
            del self.decoding[request_id]
            self._gap_s = None
            self._context -= sequence.tokens + sequence.beside

    def tokens_of(self, sequence: Sequence) -> int:
        """Its prompt and what it has emitted by now."""
        if sequence.id in self.decoding:
            return sequence.tokens + self.steps - sequence.since
        return sequence.tokens

    def count(self) -> None:
        """From now on, what decodes have by now and each block that they take."""
        if self.counts:
            return
        self.counts = True
        for one in self.decoding.values():
            tokens = self.tokens_of(one)  # the last one has no KV before its step begins
            blocks = self._blocks_for(tokens if self._going else tokens - 1)
            self.used += blocks - one.blocks
            one.blocks = blocks
            self._watch(one, tokens)

    def count_always(self) -> None:
        self._ample = None
        self.count()

    @property
    def stuck(self) -> int:
        """Requests that wait for an image, or for KV."""
        going = sum(one.ready > one.computed for one in self._prefilling.values())
        return len(self.sequences) - len(self.decoding) - going

    # A step.

    def begin(self, most: int = 1) -> Step | None:
        """The next step, or up to `most` of them; None where nothing can be computed."""
        if not self.sequences:
            return None
        self._join()
        preempted = self._make_room() if self._crossed else []
        if self.counts and self._ample is not None:  # half of what would have it count again
            self.counts = 2 * self._promised > self.blocks - self._ample
        decodes = len(self.decoding)
        chunks = self._chunks(decodes) if self._prefilling else []
        self._going = bool(chunks or decodes)
        if chunks:
            prefills = sum(tokens for _, tokens in chunks)
            return Step(chunks, preempted, prefills, decodes, [self._seconds(chunks)])
        if decodes:
            steps = 1 if preempted else self._until_due(most)  # they are told of at its end
            return Step([], preempted, 0, decodes, self._times(steps))
        return Step([], preempted, 0, 0, [0.0]) if preempted else None

    def end(self, step: Step, done: int | None = None) -> Ended:
        """`done`: so many of its steps, where fewer than all. Of requests that were dropped
        meanwhile nothing is told."""
        times_s = step.times_s if done is None else step.times_s[:done]
        self._going = done is not None
        for seconds in times_s[-REMEMBERED:]:
            self.pace.took(step.prefills, step.decodes, seconds)
        self.steps += len(times_s)
        emitted = len(self.decoding) * len(times_s)
        self.tokens += emitted
        self._context += emitted
        ended = Ended([], [], [], [])
        due = self._due.pop(self.steps, ())
        for sequence in sorted(due, key=_order) if len(due) > 1 else due:
            if self.decoding.get(sequence.id) is sequence:
                self._decoded(sequence, ended)
        for sequence, tokens in step.chunks:
            if self.sequences.get(sequence.id) is sequence:
                self._computed(sequence, tokens, ended)
        return ended

    def _join(self) -> None:
        for sequence in self._received:
            if self.sequences.get(sequence.id) is sequence:
                self._decode(sequence)
        self._received.clear()

    def _chunks(self, decodes: int) -> list[tuple[Sequence, int]]:
        """Of prompts, beside so many decodes, each of which takes its token in any case."""
        runnable = [sequence.runnable for sequence in self._prefilling.values()]
        budget = self.pace.budget(decodes, self._gap()) - decodes
        batch = next_batch(runnable, budget, self._order)
        return [(self._prefilling[name], tokens) for name, tokens in batch]

    def _gap(self) -> float:
        """Of the most hurried decode: looked for only when another one may be that."""
        if self._gap_s is None:
            self._gap_s = min((one.gap_s for one in self.decoding.values()), default=inf)
        return self._gap_s

    def _until_due(self, most: int) -> int:
        """How many steps go by before somebody is looked at, at most."""
        times = 1
        while times < most and self.steps + times not in self._due:
            times += 1
        return times

    def _times(self, steps: int) -> list[float]:
        if self._cost is None:
            return [0.0] * steps
        return self._cost.decode_times(len(self.decoding), self._context, steps)

    def _seconds(self, chunks: list[tuple[Sequence, int]]) -> float:
        if self._cost is None:
            return 0.0
        work = [
            (one.beside + one.computed, tokens + (0 if one.computed else one.extra))
            for one, tokens in chunks
        ]
        return self._cost.seconds(TextWork(work, len(self.decoding), self._context))

    # A sequence.

    def _computed(self, sequence: Sequence, tokens: int, ended: Ended) -> None:
        """A part of its prompt; with the last one a token is emitted."""
        sequence.computed += tokens
        if sequence.computed == sequence.tokens:
            sequence.tokens += 1
            self.tokens += 1
            ended.first.append(sequence)
            if sequence.tokens >= sequence.ends_at:
                self.drop(sequence.id)
                return
            del self._prefilling[sequence.id]
            if sequence.hand_over:
                sequence.doing = Doing.HANDING_OVER
            else:
                self._decode(sequence)
        if sequence.hand_over:
            start, sequence.told = sequence.told, sequence.computed
            last = sequence.doing is Doing.HANDING_OVER
            ended.exported.append(Export(sequence.id, sequence.run, start, sequence.computed, last))

    def _decode(self, sequence: Sequence) -> None:
        """It takes part in every step from the next one on."""
        sequence.doing, sequence.since = Doing.DECODING, self.steps
        self.decoding[sequence.id] = sequence
        self._gap_s = None
        self._context += sequence.tokens + sequence.beside
        self._watch(sequence, sequence.tokens)

    def _decoded(self, sequence: Sequence, ended: Ended) -> None:
        tokens = self.tokens_of(sequence)
        if tokens >= sequence.ends_at:
            self.drop(sequence.id)
            ended.over.append(sequence)
        elif self.counts:
            ended.crossed.append(sequence)
            self._crossed.append(sequence)
        else:
            self._watch(sequence, tokens)

    def _watch(self, sequence: Sequence, tokens: int) -> None:
        """Look at it when it has ended, or has more tokens than its blocks hold."""
        until = sequence.ends_at
        if self.counts:
            room = sequence.blocks * self._block_size
            if tokens > room:
                self._crossed.append(sequence)
                return
            until = min(room + 1, until)
        self._due.setdefault(self.steps + until - tokens, []).append(sequence)

    def _make_room(self) -> list[Sequence]:
        """A slot for the next token of every decode; the youngest make way where blocks lack."""
        crossed = [one for one in self._crossed if self.decoding.get(one.id) is one]
        self._crossed.clear()
        growers = [self._grower(one) for one in crossed]
        if sum(one.needed for one in growers) > self.blocks - self.used:
            # Those that need no block in this step may have to give theirs up.
            growers = [self._grower(one) for one in self.decoding.values()]
        victims = preempt(growers, self.blocks - self.used)
        preempted = [self.sequences[name] for name in victims]
        for name in victims:
            self.drop(name)
        for sequence in crossed:
            if sequence.id in self.decoding:
                tokens = self.tokens_of(sequence)
                self.used += self._blocks_for(tokens) - sequence.blocks
                sequence.blocks = self._blocks_for(tokens)
                self._watch(sequence, tokens)
        return preempted

    def _grower(self, one: Sequence) -> Grower:
        needed = self._blocks_for(self.tokens_of(one)) - one.blocks
        return Grower(one.id, one.order, one.blocks, needed)

    def _most(self, one: Sequence) -> int:
        """With the one that the core keeps free for it (`replicas.room`)."""
        return self._blocks_for(one.ends_at) + 1

    def _blocks_for(self, tokens: int) -> int:
        return -(-tokens // self._block_size)


def _order(sequence: Sequence) -> int:
    """Whoever came first is told of first, whenever it was put down."""
    return sequence.order
