"""A prompt and its images become turns that point to image files; the files are read here."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..transport.messages import ImagePart, TextPart, Turn
from .errors import BadInput

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

    Image = str | os.PathLike[str] | bytes | bytearray | memoryview | Picture

Prompt = str | Sequence[Mapping[str, Any]]
_AS_PNG = frozenset({"1", "L", "LA", "I", "I;16", "P", "RGB", "RGBA"})  # modes that PNG can hold


@dataclass(frozen=True, slots=True)
class Files:
    """Image files in the order of the frames."""

    frames: list[bytes | memoryview] = field(default_factory=list)

    def part(self, image: Any) -> ImagePart:
        self.frames.append(_bytes_of(image))
        return ImagePart(len(self.frames) - 1)


def turns_of(prompt: Prompt, images: Sequence[Image], files: Files) -> tuple[Turn, ...]:
    """A string is one user message, its images first; a chat names its images in its contents.

    Reads the files into `files`; raises BadInput.
    """
    if isinstance(images, str | bytes | os.PathLike) or not isinstance(images, Sequence):
        raise BadInput(f"expected a list of images, got {type(images).__name__}")
    if isinstance(prompt, str):
        return (Turn("user", (*map(files.part, images), TextPart(prompt))),)
    if not isinstance(prompt, Sequence) or not prompt:
        raise BadInput(f"expected a string or a list of messages, got {_kind(prompt)}")
    if images:
        return (_only_message(prompt, images, files),)
    return tuple(_turn(message, files) for message in prompt)


def _only_message(chat: Sequence[Any], images: Sequence[Any], files: Files) -> Turn:
    """`images` beside a chat are clear only where one plain message can mean them."""
    message = chat[0]
    if len(chat) == 1 and isinstance(message, Mapping) and isinstance(message.get("content"), str):
        parts = [{"type": "image", "image": image} for image in images]
        text = {"type": "text", "text": message["content"]}
        return _turn({**message, "content": [*parts, text]}, files)
    raise BadInput("expected the images of a chat inside its messages, got them beside it")


def _turn(message: Any, files: Files) -> Turn:
    if not isinstance(message, Mapping) or set(message) != {"role", "content"}:
        raise BadInput(f"expected messages with a role and a content, got {_kind(message)}")
    role, content = message["role"], message["content"]
    if not isinstance(role, str) or not role:
        raise BadInput(f"expected a role such as user or assistant, got {role!r}")
    if isinstance(content, str):
        return Turn(role, (TextPart(content),))
    if not isinstance(content, Sequence) or not content:
        raise BadInput(f"expected a content of text and images, got {_kind(content)}")
    return Turn(role, tuple(_part(part, files) for part in content))


def _part(part: Any, files: Files) -> TextPart | ImagePart:
    match part:
        case {"type": "text", "text": str(text), **rest} if not rest:
            return TextPart(text)
        case {"type": "image", "image": image, **rest} if not rest:
            return files.part(image)
    raise BadInput(
        'expected {"type": "text", "text": ...} or {"type": "image", "image": ...}, '
        f"got {_kind(part)}"
    )


def _bytes_of(image: Any) -> bytes | memoryview:
    if isinstance(image, bytes | bytearray | memoryview):
        body: bytes | memoryview = image if isinstance(image, bytes) else bytes(image)
    elif isinstance(image, str | os.PathLike):
        body = _read(Path(image))
    elif "PIL.Image" in sys.modules and isinstance(image, sys.modules["PIL.Image"].Image):
        body = _png(image)
    else:
        raise BadInput(f"expected an image as a path, bytes or a PIL image, got {_kind(image)}")
    if not body:
        raise BadInput("expected an image, got no bytes")
    return body


def _read(path: Path) -> bytes:
    try:
        body = path.read_bytes()
    except OSError as error:
        raise BadInput(f"cannot read image {path}: {error.strerror or error}") from error
    if not body:
        raise BadInput(f"expected an image in {path}, got an empty file")
    return body


def _png(picture: Picture) -> bytes:
    """Lossless, so that the server sees the very pixels, and which way up they are."""
    buffer = io.BytesIO()
    fitting = picture if picture.mode in _AS_PNG else picture.convert("RGB")
    fitting.save(buffer, "PNG", compress_level=1, exif=picture.getexif())
    return buffer.getvalue()


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return f"a dict of {', '.join(map(str, value)) or 'nothing'}"
    if isinstance(value, str | list | tuple) and not value:
        return f"an empty {type(value).__name__}"
    return type(value).__name__
