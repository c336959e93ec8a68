"""The text stage without tensors: the same batches as a real one, and what each of them takes.

Batches, preemption and pace are the scheduler's own functions, so an emulated worker gives way and
fills its steps as a real one does. There is no prefix cache.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...scheduler.batching import Grower, next_batch, preempt, tightest
from ...scheduler.costs.text import TextCost, TextWork
from ...scheduler.pacing import TextPace
from ...transport import codec
from ...transport.messages import Decode, Delta, Deltas, Prefill, Row
from .answers import TEXTS, finish, token
from .sequence import Doing, Sequence

MEASURED = 128  # tokens of a prompt


@dataclass(frozen=True, slots=True)
class Step:
    """Under way: (request, run, tokens) of each piece, and who had to give way before it."""

    pieces: list[tuple[str, int, int]]
    preempted: list[tuple[str, int]]
    prefills: int  # tokens
    decodes: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Export:
    """KV of positions [start, end) of a request that decodes elsewhere."""

    request_id: str
    run: int
    start: int
    end: int
    last: bool


@dataclass(frozen=True, slots=True)
class Stepped:
    rows: tuple[Row, ...]
    news: dict[int, bytes]  # an encoded Deltas for each client
    exported: list[Export]
    preempted: list[tuple[str, int]]


class TextStage:
    def __init__(
        self, cost: TextCost | None, pace: TextPace, *, blocks: int, block_size: int, cross: bool
    ) -> None:
        """`cross`: the model's images are looked at by every token."""
        self._cost, self.pace = cost, pace
        self._block_size, self._cross = block_size, cross
        self.blocks = blocks
        self.used = 0  # of the blocks
        self.tokens = 0  # emitted since the start
        self.sequences: dict[str, Sequence] = {}
        if cost is not None:  # as a real one has measured itself before it is ready
            pace.took(MEASURED, 0, cost.seconds(TextWork([(0, MEASURED)])))
            pace.took(0, 8, cost.seconds(TextWork(decodes=8)))

    def open(self, word: Prefill | Decode) -> bool:
        """Take a request, in the place of an older run of it; False where there is no room."""
        self.drop(word.request_id)
        blocks = self._blocks_for(len(word.token_ids))
        if blocks > self.blocks - self.used:
            return False
        sequence = Sequence.of(word, blocks, needs_all=self._cross)
        self.used += blocks
        self.sequences[sequence.id] = sequence
        return True

    def land(self, request_id: str, index: int) -> None:
        """An image is here; unknown requests have ended meanwhile."""
        if (sequence := self.sequences.get(request_id)) is not None:
            sequence.missing.discard(index)

    def receive(self, request_id: str, end: int, emitted: int | None) -> None:
        """KV up to `end` has come; with the last of it `emitted` tokens, behind which to go on."""
        if (sequence := self.sequences.get(request_id)) is not None:
            sequence.computed = end
            if emitted is not None:
                sequence.tokens = sequence.prompt_tokens + emitted
                sequence.doing = Doing.DECODING

    def drop(self, request_id: str, run: int | None = None) -> None:
        """Free everything of a request (if it is that run); harmless when it has ended already."""
        sequence = self.sequences.get(request_id)
        if sequence is not None and run in (None, sequence.run):
            del self.sequences[request_id]
            self.used -= sequence.blocks

    @property
    def stuck(self) -> int:
        """Requests that wait for an image, or for KV."""
        return sum(one.ready <= one.computed for one in self.sequences.values())

    # A step.

    def begin(self) -> Step | None:
        """The next step; None where nothing can be computed."""
        if not self.sequences:
            return None
        preempted = self._make_room()
        runnable = [sequence.runnable for sequence in self.sequences.values()]
        decodes = sum(one.decoding for one in runnable)
        batch = next_batch(runnable, self.pace.budget(decodes, tightest(runnable)))
        if not batch and not preempted:
            return None
        pieces = [(name, self.sequences[name].run, tokens) for name, tokens in batch]
        prefills = sum(tokens for _, tokens in batch) - decodes
        return Step(pieces, preempted, prefills, decodes, self._seconds(batch))

    def end(self, step: Step) -> Stepped:
        """What it has done; of requests that were dropped meanwhile, nothing."""
        self.pace.took(step.prefills, step.decodes, step.seconds)
        rows: list[Row] = []
        news: dict[int, list[Delta]] = {}
        exported: list[Export] = []
        for name, run, tokens in step.pieces:
            sequence = self.sequences.get(name)
            if sequence is None or sequence.run != run:
                continue
            prefilling = sequence.doing is Doing.PREFILLING
            sequence.computed += tokens
            if sequence.computed == sequence.tokens:
                row, delta = self._emit(sequence, prefilled=prefilling)
                rows.append(row)
                news.setdefault(sequence.client, []).append(delta)
            if sequence.hand_over and name in self.sequences:
                exported.append(_export(sequence))
        frames = {client: codec.encode(Deltas(tuple(items))) for client, items in news.items()}
        return Stepped(tuple(rows), frames, exported, step.preempted)

    def _emit(self, sequence: Sequence, *, prefilled: bool) -> tuple[Row, Delta]:
        before = sequence.emitted
        chosen = token(sequence.sampling.seed or 0, before)
        sequence.tokens += 1
        self.tokens += 1
        reason = finish(sequence.sampling, chosen, before + 1)
        if reason:
            self.drop(sequence.id)
        elif prefilled:
            sequence.doing = Doing.HANDING_OVER if sequence.hand_over else Doing.DECODING
        row = Row(sequence.id, sequence.run, before + 1, prefilled, reason)
        return row, Delta(sequence.id, before, (chosen,), TEXTS[chosen])

    def _make_room(self) -> list[tuple[str, int]]:
        """A slot for the next token of every decode; the youngest make way where blocks lack."""
        growers = [
            Grower(one.id, one.order, one.blocks, self._blocks_for(one.tokens) - one.blocks)
            for one in self.sequences.values()
            if one.doing is Doing.DECODING and one.tokens > one.blocks * self._block_size
        ]
        if sum(one.needed for one in growers) > self.blocks - self.used:
            growers = self._all_growers()
        victims = preempt(growers, self.blocks - self.used)
        preempted = [(name, self.sequences[name].run) for name in victims]
        for name in victims:
            self.drop(name)
        for grower in growers:
            if grower.request_id in self.sequences:
                self.sequences[grower.request_id].blocks += grower.needed
                self.used += grower.needed
        return preempted

    def _all_growers(self) -> list[Grower]:
        """Those that need no block in this step may have to give theirs up."""
        return [
            Grower(one.id, one.order, one.blocks, self._blocks_for(one.tokens) - one.blocks)
            for one in self.sequences.values()
            if one.doing is Doing.DECODING
        ]

    def _seconds(self, batch: list[tuple[str, int]]) -> float:
        if self._cost is None:
            return 0.0
        pieces = [(self.sequences[name], tokens) for name, tokens in batch]
        decodes = [one for one, _ in pieces if one.doing is Doing.DECODING]
        chunks = [(one.computed, n) for one, n in pieces if one.doing is not Doing.DECODING]
        context = sum(one.tokens for one in decodes)
        return self._cost.seconds(TextWork(chunks, len(decodes), context))

    def _blocks_for(self, tokens: int) -> int:
        return -(-tokens // self._block_size)


def _export(sequence: Sequence) -> Export:
    start, sequence.told = sequence.told, sequence.computed
    last = sequence.doing is Doing.HANDING_OVER
    return Export(sequence.id, sequence.run, start, sequence.computed, last)
