"""From a Submit and its image files to a request that the core can take; runs in threads."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from ..scheduler.geometry.shape import ImageShape
from ..scheduler.media import MediaItem
from ..scheduler.nearness import beginnings
from ..scheduler.request import Request
from ..scheduler.slo.classes import SloClass
from ..transport import pictures
from ..transport.checkpoint import read_geometry
from ..transport.complaints import complaint
from ..transport.messages import Span, Submit
from .options import Limits
from .preparation import Preparer
from .preparation import Span as Positions
from .promising import promise
from .refusal import Refused
from .schemas import complaint_about_schema
from .tickets import Image, Ticket


@dataclass(slots=True)
class Draft:
    """Who sent it, and when; `received` is on the controller's clock."""

    submit: Submit
    frames: list[memoryview]
    client: int
    received: float

    @property
    def image_bytes(self) -> int:
        return sum(frame.nbytes for frame in self.frames)


class Drafting:
    """Reads the model folder once. `ticket` may be called from several threads."""

    def __init__(
        self, folder: Path, fingerprint: str, limits: Limits, classes: Mapping[str, SloClass]
    ) -> None:
        self.preparer = Preparer(folder, read_geometry(folder))
        self.facts = self.preparer.facts
        self._fingerprint = fingerprint
        self._limits, self._classes = limits, classes
        self._picture = pictures.Limits(bytes=limits.max_image_bytes)

    def ticket(self, draft: Draft) -> Ticket:
        """Limits by bytes first, then tokens and image headers; raises Refused."""
        self._check(draft)
        submit = draft.submit
        sizes = [self._measure(index, draft.frames) for index in range(len(draft.frames))]
        if submit.token_ids:
            prepared = self.preparer.prepare_ids(submit.token_ids, sizes)
        else:
            prepared = self.preparer.prepare(submit.turns, sizes)
        room = self.facts.context - len(prepared.token_ids)
        if room < 1:
            raise self._too_long(len(prepared.token_ids))
        self.check_emitted(submit, min(submit.sampling.max_tokens, room))
        images = [
            self._image(frame, shape, size)
            for frame, shape, size in zip(draft.frames, prepared.shapes, sizes, strict=True)
        ]
        request = Request(
            id=submit.request_id,
            prompt_tokens=len(prepared.token_ids),
            max_tokens=min(submit.sampling.max_tokens, room),
            emitted=len(submit.emitted),
            deadline=draft.received + min(submit.timeout_s or 1e9, self._limits.timeout_s),
            media=[MediaItem(image.key, image.rows, image.rows) for image in images],
            beginnings=beginnings(
                prepared.token_ids, [(one.start, images[one.image].key) for one in prepared.spans]
            ),
            slo=promise(submit, sum(image.rows for image in images), self._classes),
        )
        seed = submit.sampling.seed
        return Ticket(
            request=request,
            client=draft.client,
            prompt_ids=tuple(prepared.token_ids),
            spans=_spans(prepared.spans, images) if images else (),
            images=images,
            sampling=msgspec.structs.replace(
                submit.sampling,
                seed=secrets.randbits(63) if seed is None else seed,
                max_tokens=request.max_tokens,
            ),
            received=draft.received,
            before=submit.emitted,
        )

    def _check(self, draft: Draft) -> None:
        submit, limits = draft.submit, self._limits
        if wrong := complaint(submit.sampling):
            raise Refused("parameter", wrong)
        schema = submit.sampling.json_schema
        if schema is not None and (wrong := complaint_about_schema(schema)):
            raise Refused("parameter", wrong)
        if submit.timeout_s is not None and not 0 < submit.timeout_s <= limits.timeout_s:
            most = f"above 0 and at most {limits.timeout_s:g}"
            raise Refused("parameter", f"expected timeout_s {most}, got {submit.timeout_s}")
        if bool(submit.turns) == bool(submit.token_ids):
            raise Refused("empty_prompt", "expected either turns or token_ids, got both or none")
        if len(draft.frames) > limits.max_images:
            got = len(draft.frames)
            raise Refused("images", f"expected at most {limits.max_images} images, got {got}")
        size = sum(frame.nbytes for frame in draft.frames)
        if size > limits.max_request_bytes:
            allowed = limits.max_request_bytes
            raise Refused("images", f"expected at most {allowed} bytes of images, got {size}")
        if len(submit.token_ids) >= self.facts.context:  # images make it longer still
            raise self._too_long(len(submit.token_ids))
        text = sum(len(getattr(part, "text", "")) for turn in submit.turns for part in turn.content)
        if text > limits.max_prompt_bytes:
            allowed = limits.max_prompt_bytes
            raise Refused("too_long", f"expected at most {allowed} characters, got {text}")

    def _image(self, frame: memoryview, shape: ImageShape, size: tuple[int, int]) -> Image:
        key = pictures.content_key(frame, shape.mode, self._fingerprint)
        return Image(frame, key, shape.mode, shape.rows, shape.used_tiles, *size)

    def _too_long(self, tokens: int) -> Refused:
        most = self.facts.context
        return Refused("too_long", f"expected a prompt below {most}, got {tokens} prompt tokens")

    def check_emitted(self, submit: Submit, most: int) -> None:
        """Raises Refused where the tokens cannot be the beginning of an answer of `most`."""
        if len(submit.emitted) >= most:
            got = len(submit.emitted)
            raise Refused("parameter", f"expected fewer than {most} emitted tokens, got {got}")
        if odd := [token for token in submit.emitted if not 0 <= token < self.facts.vocabulary]:
            most = self.facts.vocabulary - 1
            raise Refused("token_ids", f"expected emitted tokens from 0 to {most}, got {odd[0]}")

    def _measure(self, index: int, frames: Sequence[memoryview]) -> tuple[int, int]:
        try:
            picture = pictures.measure(frames[index], self._picture)
            if len(frames) > 1:
                pictures.check_square(picture, self._picture)
        except pictures.BadImage as error:
            raise Refused("image", f"image {index}: {error}") from error
        return picture.width, picture.height


def _spans(positions: Sequence[Positions], images: Sequence[Image]) -> tuple[Span, ...]:
    shown = ((one, images[one.image]) for one in positions)
    return tuple(
        Span(one.start, one.length, one.image, image.rows, image.tiles, image.key)
        for one, image in shown
    )
