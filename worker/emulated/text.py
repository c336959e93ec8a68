"""An emulated text stage: what scheduler/computing does in numbers, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass

from ...scheduler.computing import text
from ...scheduler.computing.sequence import Doing, Sequence
from ...scheduler.computing.text import Export, Step
from ...scheduler.costs.text import TextCost
from ...scheduler.pacing import TextPace, gap_of
from ...transport import codec
from ...transport.messages import Decode, Delta, Deltas, Prefill, Row, Sampling
from .answers import TEXTS, finish, length, token


@dataclass(frozen=True, slots=True)
class Answer:
    client: int
    sampling: Sampling


@dataclass(frozen=True, slots=True)
class Stepped:
    rows: tuple[Row, ...]
    news: dict[int, bytes]  # an encoded Deltas for each client
    exported: list[Export]
    preempted: list[tuple[str, int]]


class TextStage(text.TextStage):
    """Knows in advance when an answer ends, as a model does not; nobody else asks."""

    def __init__(
        self, cost: TextCost | None, pace: TextPace, *, blocks: int, block_size: int, cross: bool
    ) -> None:
        """`cross`: the model's images are looked at by every token."""
        super().__init__(cost, pace, blocks=blocks, block_size=block_size)
        self._cross = cross
        self._answers: dict[str, Answer] = {}

    def open(self, word: Prefill | Decode) -> bool:
        """Take a request, in the place of an older run of it; False where there is no room."""
        if not self.add(_sequence(word, needs_all=self._cross)):
            return False
        self._answers[word.request_id] = Answer(word.client, word.sampling)
        return True

    def drop(self, request_id: str, run: int | None = None) -> None:
        super().drop(request_id, run)
        if request_id not in self.sequences:
            self._answers.pop(request_id, None)

    def told(self, step: Step) -> Stepped:
        """End the step, and say what it has done."""
        answers = dict(self._answers)
        decoded = list(self.decoding.values()) if step.decodes else []
        ended = self.end(step)
        rows: list[Row] = []
        news: dict[int, list[Delta]] = {}
        for one in (*decoded, *ended.first):
            answer, emitted = answers[one.id], self.tokens_of(one) - one.prompt_tokens
            chosen = token(answer.sampling.seed or 0, emitted - 1)
            reason = finish(answer.sampling, chosen, emitted)
            rows.append(Row(one.id, one.run, emitted, one in ended.first, reason))
            delta = Delta(one.id, emitted - 1, (chosen,), TEXTS[chosen])
            news.setdefault(answer.client, []).append(delta)
        frames = {client: codec.encode(Deltas(tuple(items))) for client, items in news.items()}
        preempted = [(one.id, one.run) for one in step.preempted]
        return Stepped(tuple(rows), frames, ended.exported, preempted)


def _sequence(word: Prefill | Decode, *, needs_all: bool) -> Sequence:
    adopted = isinstance(word, Decode)
    emitted = len(word.token_ids) - word.prompt_tokens
    return Sequence(
        id=word.request_id,
        run=word.run,
        order=word.order,
        rank=0.0 if isinstance(word, Decode) else word.rank,
        gap_s=gap_of(word.tpot_s),
        prompt_tokens=word.prompt_tokens,
        tokens=len(word.token_ids),
        ends_at=word.prompt_tokens + length(word.sampling, emitted),
        doing=Doing.RECEIVING if adopted else Doing.PREFILLING,
        hand_over=isinstance(word, Prefill) and word.hand_over,
        needs_all=needs_all,
        missing={} if adopted else _missing(word),
    )


def _missing(word: Prefill | Decode) -> dict[int, int]:
    """Where each image begins."""
    starts: dict[int, int] = {}
    for span in word.spans:
        starts[span.image] = min(span.start, starts.get(span.image, span.start))
    return starts
