"""The text stage: prefill and decode of many requests at once, one `step()` at a time.

    admit ──> PREFILLING ──> DECODING ──> finished | preempted | dropped
                   └───────> HANDING_OVER ──> dropped when the other side has pulled
    adopt ──> RECEIVING  ──> DECODING

One thread drives it. A step is one forward pass: every decode takes a token, and what is left of
the step's budget goes to prefill chunks. Its limits are checks: whoever sends work has reserved
the room for it, and `NoRoom` says that this went wrong.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from collections.abc import Sequence as Rows
from contextlib import ExitStack, contextmanager
from copy import deepcopy

import torch
from tokenizers import Tokenizer
from torch import Tensor, nn

from ...scheduler.batching import Grower, Runnable, next_batch, preempt, tightest
from ...scheduler.pacing import TextPace, gap_of
from ...scheduler.sharing import few_threads
from ...transport.messages import Sampling
from ..families.text import TextHalf
from ..tokens.emission import Emission
from ..tokens.grammars import Grammars
from ..tokens.sampling import Sampled, SamplingRow, sample
from .blocks import NoRoom
from .kv import KvPool
from .packing import pack
from .prefixes import Key, Prefixes, keys_of
from .sequence import Doing, Sequence
from .step import Piece, Step, lay_out
from .text_work import Progress, StepResult, TextStats, TextTask

MEASURED = 128  # tokens of the prompts by which steps are timed at start-up


class AlreadyOver(ValueError):
    """The tokens that were emitted before end the answer: nothing can follow them."""


class TextStage:
    def __init__(
        self,
        half: TextHalf,
        lm_head: nn.Module,
        pool: KvPool,
        tokenizer: Tokenizer,
        *,
        eos_ids: frozenset[int],
        step_tokens: int = 512,
        decodes: bool = True,
        cached_blocks: int = 0,
    ) -> None:
        """`decodes`: False on a worker that only prefills, which then keeps no packed weights.
        `cached_blocks`: the most that ended requests may leave to the prefix cache."""
        if decodes:
            pack(half.text)
        self.half = half
        self.lm_head = pack(lm_head) if decodes else lm_head
        self.pool = pool
        self.prefixes = Prefixes(pool, cached_blocks)
        self.tokenizer = tokenizer
        self.eos_ids = eos_ids
        assert isinstance(lm_head.weight, Tensor)
        self._grammars = Grammars(tokenizer, eos_ids, lm_head.weight.shape[0])
        self._paces = {beside: TextPace(step_tokens) for beside in (False, True)}
        self.beside = False  # somebody who yields to this worker has work
        self._begun = 0.0  # the last step
        self.sequences: dict[str, Sequence] = {}

    def admit(self, task: TextTask) -> None:
        """Take a request to prefill (and, unless `hand_over`, to decode); raises NoRoom."""
        self._open(task, Doing.PREFILLING)

    def adopt(self, task: TextTask) -> None:
        """Make room for a request whose KV comes from a prefill worker; raises NoRoom."""
        self._open(task, Doing.RECEIVING)

    def land(self, request_id: str, image_index: int, embedding: Tensor) -> None:
        """An image's embedding [rows, hidden] is here; unknown requests have ended meanwhile."""
        if (sequence := self.sequences.get(request_id)) is not None:
            if image_index in sequence.missing:
                with torch.inference_mode():
                    self.half.land(sequence, image_index, embedding)
            sequence.missing.discard(image_index)

    def export_kv(self, request_id: str, start: int, end: int) -> list[Tensor]:
        """Contiguous copies for the decode side: the KV of tokens start..end [layers, 2, kv_heads,
        tokens, head_dim]; with token 0, for cross-attention, the images' K and V behind it."""
        sequence = self.sequences[request_id]
        tensors = [self.pool.export(request_id, start, end)]
        if start == 0 and sequence.cross is not None:
            tensors.append(sequence.cross.kv)
        return tensors

    def import_kv(self, request_id: str, start: int, tensors: Rows[Tensor]) -> None:
        """What `export_kv` gave, chunk by chunk in order; unknown requests have ended meanwhile."""
        if (sequence := self.sequences.get(request_id)) is None:
            return
        if start != sequence.computed:
            raise ValueError(f"{request_id}: expected KV from {sequence.computed} on, got {start}")
        self.pool.load(request_id, start, tensors[0])
        sequence.computed += tensors[0].shape[3]
        if start == 0 and sequence.cross is not None:
            sequence.cross.kv.copy_(tensors[1])

    def begin(self, request_id: str, emitted: Rows[int]) -> None:
        """Decode an adopted request; `emitted`: all its tokens so far, the prefill side's too."""
        if (sequence := self.sequences.get(request_id)) is None:
            return
        task = sequence.task
        sequence.tokens = [*task.prompt, *emitted]
        if sequence.computed != len(sequence.tokens) - 1:
            raise ValueError(
                f"{request_id}: expected KV of {len(sequence.tokens) - 1} tokens before decoding, "
                f"got {sequence.computed}"
            )
        sequence.emission = self._emission(task, emitted)
        sequence.row = self._row(task, emitted)
        sequence.begin_to_decode(time.perf_counter())

    def drop(self, request_id: str, *, sound: bool = True) -> None:
        """Free everything of a request; harmless when it has ended already. Its KV may stay in
        the prefix cache, unless it is not `sound`: a step failed with it."""
        sequence = self.sequences.pop(request_id, None)
        if sequence is None:
            return
        if sound:
            self.prefixes.leave(request_id, self._keys(sequence, sequence.computed))
        else:
            self.prefixes.drop(request_id)

    def _keys(self, sequence: Sequence, tokens: int) -> list[Key]:
        """Of the first `tokens`; those of the prompt were made once."""
        if not self.prefixes.on:
            return []
        size = self.pool.block_size
        return keys_of(
            sequence.tokens[:tokens],
            sequence.task.spans,
            size,
            seeing_all=sequence.cross is not None,
            after=sequence.keys[: tokens // size],
        )

    def step(self) -> StepResult:
        self._begun = begun = time.perf_counter()
        preempted = self._make_room()
        with torch.inference_mode():
            progress, prefills, decodes = self._forward()
        if progress:
            self.pace.took(prefills, decodes, time.perf_counter() - begun)
        return StepResult(tuple(progress), tuple(preempted), prefills, decodes)

    def rest_s(self) -> float:
        """Seconds for which the next step can wait, so that others have the cores."""
        if not self.beside or any(
            s.computed < s.ready for s in self.sequences.values() if s.doing is not Doing.DECODING
        ):
            return 0.0
        now = time.perf_counter()
        decoding = [s for s in self.sequences.values() if s.doing is Doing.DECODING]
        left_s = min((sequence.due_s for sequence in decoding), default=now) - now
        return self.pace.rest_s(now - self._begun, tightest(self._runnable()), left_s)

    @contextmanager
    def _threads(self) -> Iterator[None]:
        every = torch.get_num_threads()
        few = few_threads(every, beside=self.beside)
        if few < every:
            torch.set_num_threads(few)
        try:
            yield
        finally:
            if few < every:
                torch.set_num_threads(every)

    @property
    def pace(self) -> TextPace:
        """Of steps as they are now: with somebody beside, they take longer."""
        return self._paces[self.beside]

    def warm_up(self) -> None:
        """Pay once, before the first request, for what first runs of each shape cost; then see
        how long steps take."""
        for requests, tokens in ((1, self.pace.most_tokens), (2, 16), (8, 16)):
            self._try(requests, tokens)
        self._time(beside=False)
        if self._gives_up_threads():
            self._time(beside=True)
            self.beside = False
        else:
            self._paces[True] = deepcopy(self._paces[False])

    def _gives_up_threads(self) -> bool:
        """Whether steps are other ones with somebody beside: not on a GPU, nor on one thread."""
        every = torch.get_num_threads()
        return self.pool.device.type == "cpu" and few_threads(every, beside=True) < every

    def _time(self, *, beside: bool) -> None:
        self.beside = beside
        self.pace.forget()
        for _ in range(3):
            self._try(1, min(MEASURED, self.pace.most_tokens))
            self._try(8, 4)

    def _try(self, requests: int, tokens: int) -> None:
        for number in range(requests):
            task = _warm_up_task(number, tokens)
            if self.pool.blocks_for(task.longest) <= self.pool.tables.free:
                self.admit(task)
        while not self.step().idle:
            pass
        self.prefixes.clear()

    def stats(self) -> TextStats:
        doing = [sequence.doing for sequence in self.sequences.values()]
        stuck = sum(s.ready <= s.computed for s in self.sequences.values())
        return TextStats(
            blocks_used=self.pool.tables.used,
            blocks=self.pool.tables.blocks,
            cross_bytes=sum(s.cross.kv.nbytes for s in self.sequences.values() if s.cross),
            decoding=doing.count(Doing.DECODING),
            prefilling=len(doing) - doing.count(Doing.DECODING) - stuck,
            waiting=stuck,
            blocks_cached=self.pool.tables.spared,
            prefix_tokens=self.prefixes.asked_tokens,
            prefix_hit_tokens=self.prefixes.found_tokens,
        )

    def _open(self, task: TextTask, doing: Doing) -> None:
        whole = self.pool.blocks_for(task.longest)
        if whole > self.pool.tables.blocks:
            raise NoRoom(
                f"{task.request_id}: expected at most {self.pool.tables.blocks} KV blocks for "
                f"{task.longest} tokens, got {whole}"
            )
        sequence = Sequence(
            task=task,
            doing=doing,
            emission=self._emission(task, task.emitted),
            row=self._row(task, task.emitted),
            tokens=list(task.token_ids),
            missing=set(task.images),
            cross=self.half.open(task),
        )
        if doing is Doing.PREFILLING:
            sequence.keys = self._keys(sequence, len(task.token_ids))
            self.prefixes.touch(sequence.keys)
        self.pool.open(task.request_id, len(task.token_ids), task.longest)
        self.sequences[task.request_id] = sequence
        if doing is Doing.PREFILLING:
            with ExitStack() as undoing:  # where the copy fails nobody knows of the sequence yet
                undoing.callback(self.drop, sequence.id, sound=False)
                self._begin_behind_what_is_known(sequence)
                undoing.pop_all()

    def _begin_behind_what_is_known(self, sequence: Sequence) -> None:
        """Its last token is computed in any case: the next one is chosen from it."""
        sequence.computed = self.prefixes.take(sequence.id, sequence.keys, len(sequence.tokens) - 1)
        if sequence.cross is None:
            ahead = (s for s in sequence.task.spans if not s.ends_by(sequence.computed))
            sequence.missing = {span.image_index for span in ahead}

    def _emission(self, task: TextTask, emitted: Rows[int]) -> Emission:
        emission = Emission(self.tokenizer, task.sampling, self.eos_ids, emitted)
        if emission.finish_reason is not None:
            reason = emission.finish_reason
            raise AlreadyOver(
                f"expected tokens to go on behind, got an answer that ended: {reason}"
            )
        return emission

    def _row(self, task: TextTask, emitted: Rows[int]) -> SamplingRow:
        seed = task.sampling.seed
        if seed is None:
            raise ValueError(f"{task.request_id}: expected a seed drawn at admission, got none")
        schema = task.sampling.json_schema
        grammar = None if schema is None else self._grammars.following(schema, emitted)
        return SamplingRow.after(task.sampling, seed, task.prompt, emitted, grammar)

    def _make_room(self) -> list[str]:
        """A slot for the next token of every decode; the youngest make way where blocks lack."""
        growers = [
            Grower(
                sequence.id,
                sequence.task.order,
                held=len(self.pool.block_ids(sequence.id)),
                needed=self.pool.missing_blocks(sequence.id, sequence.computed + 1),
            )
            for sequence in self.sequences.values()
            if sequence.doing is Doing.DECODING
        ]
        victims = preempt(growers, self.pool.tables.free)
        for request_id in victims:
            self.drop(request_id)
        for grower in growers:
            if grower.needed and grower.request_id not in victims:
                tokens = self.sequences[grower.request_id].computed + 1
                self.pool.extend(grower.request_id, tokens)
        return victims

    def _forward(self) -> tuple[list[Progress], int, int]:
        runnable = self._runnable()
        decodes = sum(one.decoding for one in runnable)
        batch = next_batch(runnable, self.pace.budget(decodes, tightest(runnable)))
        if not batch:
            return [], 0, 0
        step = lay_out([(self.sequences[name], tokens) for name, tokens in batch], self.pool)
        with self._threads():
            chosen = self._choose(step)
        progress = [self._progress(piece, chosen.get(piece.sequence.id)) for piece in step.pieces]
        return progress, len(step.ids) - step.decodes, step.decodes

    def _runnable(self) -> list[Runnable]:
        return [
            Runnable(
                one.id,
                one.task.rank,
                one.computed,
                one.ready,
                decoding=one.doing is Doing.DECODING,
                gap_s=gap_of(one.task.tpot_s),
            )
            for one in self.sequences.values()
        ]

    def _choose(self, step: Step) -> dict[str, Sampled]:
        """Compute the step; the next token of each request that has come to its end."""
        hidden = self.half.forward(step)
        if not step.sampled:
            return {}
        logits = self.lm_head(self.half.finish(hidden[step.sampled_rows]))
        tokens = sample(logits, [piece.sequence.row for piece in step.sampled])
        return dict(zip((piece.sequence.id for piece in step.sampled), tokens, strict=True))

    def _progress(self, piece: Piece, sampled: Sampled | None) -> Progress:
        sequence = piece.sequence
        chunk = None if sequence.doing is Doing.DECODING else (sequence.told, piece.end)
        sequence.advance(piece.end - piece.start)
        sequence.told = piece.end
        if sampled is None:
            return Progress(sequence.id, chunk)
        sequence.tokens.append(sampled.token_id)
        sequence.row.push(sampled.token_id)
        emitted = sequence.emission.push(sampled.token_id)
        if chunk is not None:
            self.prefixes.know(sequence.id, sequence.keys)
            if sequence.task.hand_over:
                sequence.doing = Doing.HANDING_OVER
            else:
                sequence.begin_to_decode(time.perf_counter())
        if emitted.finish_reason is not None:
            self.drop(sequence.id)
        return Progress(
            request_id=sequence.id,
            chunk=chunk,
            prefilled=chunk is not None,
            token_id=sampled.token_id,
            text=emitted.text,
            logprobs=sampled.logprobs,
            finish_reason=emitted.finish_reason,
        )


def _warm_up_task(number: int, tokens: int) -> TextTask:
    sampling = Sampling(max_tokens=3, ignore_eos=True, seed=0)
    return TextTask(f"warm-up {number}", (0,) * tokens, tokens, sampling, order=number)
