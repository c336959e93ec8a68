"""What a text stage is asked to do and what it answers; nothing here touches a tensor."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf

from ...transport.messages import Sampling, TokenLogprobs


@dataclass(frozen=True, slots=True)
class Span:
    """Where an image stands in the prompt."""

    start: int
    length: int  # its rows of embedding; 1 where text attends to images across (mllama)
    image_index: int
    tiles: int = 0  # mllama: tiles that show the picture, padding tiles left out
    key: str = ""  # of the image's content; "": nobody named it

    def ends_by(self, position: int) -> bool:
        return self.start + self.length <= position


@dataclass(frozen=True, slots=True)
class TextTask:
    """One request's text half. A re-run brings the tokens that its client already has."""

    request_id: str
    token_ids: tuple[int, ...]  # the prompt, placeholders expanded, then what was emitted
    prompt_length: int
    sampling: Sampling
    order: int  # of arrival: the youngest gives way when blocks run out
    rank: float = 0.0  # among prompts that wait: lower goes first
    tpot_s: float = inf  # promised
    spans: tuple[Span, ...] = ()
    hand_over: bool = False  # prefill here, decode elsewhere

    @property
    def prompt(self) -> tuple[int, ...]:
        return self.token_ids[: self.prompt_length]

    @property
    def emitted(self) -> tuple[int, ...]:
        return self.token_ids[self.prompt_length :]

    @property
    def images(self) -> frozenset[int]:
        return frozenset(span.image_index for span in self.spans)

    @property
    def longest(self) -> int:
        """Tokens whose KV it may come to hold; the last token emitted is never computed."""
        if self.hand_over:
            return len(self.token_ids)
        return max(len(self.token_ids), self.prompt_length + self.sampling.max_tokens - 1)


@dataclass(frozen=True, slots=True)
class Progress:
    """What one step did for one request."""

    request_id: str
    chunk: tuple[int, int] | None = None  # prompt tokens computed: KV that may be exported
    prefilled: bool = False  # `chunk` was the last one
    token_id: int | None = None
    text: str = ""
    logprobs: TokenLogprobs | None = None
    finish_reason: str | None = None  # everything of the request is free again


@dataclass(frozen=True, slots=True)
class StepResult:
    progress: tuple[Progress, ...] = ()
    preempted: tuple[str, ...] = ()  # gave up everything; to be run again, emitted tokens and all
    prefill_tokens: int = 0
    decode_tokens: int = 0

    @property
    def idle(self) -> bool:
        return not self.progress and not self.preempted


@dataclass(frozen=True, slots=True)
class TextStats:
    blocks_used: int
    blocks: int
    cross_bytes: int  # keys and values of images that text attends to, outside the blocks
    decoding: int
    prefilling: int
    waiting: int  # held up by an image, by KV on its way here, or by whoever pulls it from here
    blocks_cached: int  # of requests that ended; they count as free
    prefix_tokens: int  # of the prompts that were looked up in the cache, since the start
    prefix_hit_tokens: int  # of them, those that were found
