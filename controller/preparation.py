"""A chat, or token ids, and the sizes of its images become what the workers understand: token ids
with a span for each image. Pixels are not looked at, and nothing here needs torch."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..scheduler.geometry.shape import Geometry, ImageShape
from ..transport.checkpoint import read_facts
from ..transport.messages import ImagePart, TextPart, Turn
from .chat import Chat
from .refusal import Refused
from .tokenization import Tokenization, Typed

_ROLE = re.compile(r"[A-Za-z0-9_.-]{1,64}")  # a template prints it between its own special tokens


@dataclass(frozen=True, slots=True)
class Span:
    """Positions of the prompt that one image takes."""

    start: int
    length: int
    image: int  # index of the image frame


@dataclass(frozen=True, slots=True)
class Prepared:
    token_ids: Sequence[int]
    spans: tuple[Span, ...]  # in the order of the prompt
    shapes: tuple[ImageShape, ...]  # in the order of the frames


def user_turn(prompt: str, images: int = 0) -> Turn:
    """A string prompt is one user message, its images first."""
    return Turn("user", (*(ImagePart(i) for i in range(images)), TextPart(prompt)))


class Preparer:
    """Reads the folder once; `prepare` may then be called from several threads."""

    def __init__(self, folder: Path, geometry: Geometry | None) -> None:
        self.facts = read_facts(folder)
        self._geometry = geometry
        self._image = self.facts.image_token_id
        self._tokenization = Tokenization(folder, () if self._image is None else (self._image,))
        image_word = None if self._image is None else self._tokenization.word(self._image)
        self._chat = Chat(folder, image_token=image_word)

    def prepare(self, turns: Sequence[Turn], sizes: Sequence[tuple[int, int]]) -> Prepared:
        """`sizes` are (width, height) of the image frames as they will be seen, after EXIF."""
        order = _checked(turns, len(sizes))
        shapes = self._shapes(sizes)
        typed = Typed(self._tokenization.literals)
        rendered = self._chat.render(typed.hide(turns))
        ids = self._tokenization.encode(rendered, typed)
        # as transformers' processors do; its text-only tokenizers leave it to the template
        if self._image is not None and not self._begins(rendered):
            ids = self._tokenization.front + ids
        return self._expanded(ids, order, shapes)

    def prepare_ids(self, token_ids: Sequence[int], sizes: Sequence[tuple[int, int]]) -> Prepared:
        """Ids with one image token per image, in the order of the frames."""
        shapes = self._shapes(sizes)
        most = self.facts.vocabulary - 1
        if token_ids and not 0 <= min(token_ids) <= max(token_ids) <= most:
            known = {*range(most + 1), self._image}
            if odd := [one for one in token_ids if one not in known]:
                raise Refused("token_ids", f"expected token ids from 0 to {most}, got {odd[0]}")
        return self._expanded(token_ids, range(len(sizes)), shapes)

    def tokens_of_text(self, text: str) -> list[int]:
        """Of a text as it is; a special token that is spelled out in it stays text."""
        return self._tokenization.front + self._tokenization.as_text(text)

    def piece(self, token_id: int) -> bytes | None:
        """How a token is spelled; None where there is no such token."""
        return self._tokenization.piece(token_id)

    def _begins(self, rendered: str) -> bool:
        bos = self._chat.bos_token
        return bool(bos) and rendered.startswith(bos)

    def _shapes(self, sizes: Sequence[tuple[int, int]]) -> tuple[ImageShape, ...]:
        if not sizes:
            return ()
        if self._geometry is None:
            raise Refused(
                "no_images", f"expected text alone for this model, got {_count(len(sizes))}"
            )
        return tuple(self._geometry.image(w, h, len(sizes)) for w, h in sizes)

    def _expanded(
        self, ids: Sequence[int], order: Sequence[int], shapes: tuple[ImageShape, ...]
    ) -> Prepared:
        if not ids:
            raise Refused("empty_prompt", "expected a prompt, got an empty one")
        if not order and self._image not in ids:
            return Prepared(ids, (), shapes)
        places = [at for at, token in enumerate(ids) if token == self._image]
        if len(places) != len(order):
            raise Refused(
                "images",
                f"expected {_count(len(order))} in the prompt, got {len(places)} image tokens",
            )
        unified: list[int] = []
        spans: list[Span] = []
        done = 0
        for at, image in zip(places, order, strict=True):
            unified += ids[done:at]
            spans.append(Span(len(unified), shapes[image].span, image))
            unified += [ids[at]] * shapes[image].span
            done = at + 1
        unified += ids[done:]
        return Prepared(unified, tuple(spans), shapes)


def _checked(turns: Sequence[Turn], frames: int) -> list[int]:
    """The image frames in the order in which the turns show them."""
    if not any(isinstance(p, ImagePart) or p.text for turn in turns for p in turn.content):
        raise Refused("empty_prompt", "expected a prompt, got an empty one")
    for turn in turns:
        if not _ROLE.fullmatch(turn.role):
            raise Refused("role", f"expected a role such as user or assistant, got {turn.role!r}")
    order = [part.index for turn in turns for part in turn.content if isinstance(part, ImagePart)]
    if sorted(order) != list(range(frames)):
        raise Refused(
            "images",
            f"expected each of {_count(frames)} once in the messages, got {_named(order)}",
        )
    return order


def _count(images: int) -> str:
    return f"{images} image{'' if images == 1 else 's'}"


def _named(order: Sequence[int]) -> str:
    return "image " + ", ".join(map(str, order)) if order else "none"
