"""Reads a Hugging Face checkpoint folder as far as controller and worker must agree on it: facts,
geometry, fingerprint. No weights are loaded here, and no torch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from typing import Any

from ..scheduler.geometry.choosing import geometry_for
from ..scheduler.geometry.fields import BadConfig
from ..scheduler.geometry.shape import Geometry
from ..scheduler.model import ModelFacts, facts_of

INDEX = "model.safetensors.index.json"
SINGLE = "model.safetensors"
# What changes tokens or embeddings without changing a weight.
DESCRIBING = (
    "config.json",
    "tokenizer.json",
    "preprocessor_config.json",
    "processor_config.json",
)
_SAMPLES, _SAMPLE_BYTES = 64, 4096  # of each weight file: a whole 15 GB takes a minute to read
_MOST_HEADER_BYTES = 100_000_000  # safetensors' own limit


class BadCheckpoint(ValueError):
    """The model folder cannot be served; the text is one sentence for the person who named it."""


def read_facts(folder: Path) -> ModelFacts:
    try:
        return facts_of(read_config(folder), read_optional(folder / "generation_config.json") or {})
    except BadConfig as error:
        raise BadCheckpoint(f"{error} in {folder}") from error


def read_geometry(folder: Path) -> Geometry | None:
    """None where the family takes no images."""
    try:
        return geometry_for(read_config(folder), image_processor(folder))
    except BadConfig as error:
        raise BadCheckpoint(f"{error} in {folder}") from error


def fingerprint(folder: Path, dtype: str, block_size: int) -> str:
    """Equal for two processes that may exchange tensors and tokens of one model.

    Of each weight file: name, size, the safetensors header (names, shapes, dtypes) and samples
    spread over the data, so that another revision of the same shapes differs too.
    """
    read_config(folder)
    digest = blake2b(digest_size=16)
    digest.update(f"{dtype} {block_size}\n".encode())
    for name in DESCRIBING:
        path = folder / name
        if path.is_file():
            content = path.read_bytes()
            digest.update(f"{name} {len(content)}\n".encode() + content)
    for path in weight_files(folder):
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
        for piece in _samples(path):
            digest.update(piece)
    return digest.hexdigest()


def weight_files(folder: Path) -> list[Path]:
    """The checkpoint's safetensors files, sorted by name; BadCheckpoint if one is missing."""
    index = folder / INDEX
    if not index.is_file():
        if not (folder / SINGLE).is_file():
            other = next((path.name for path in sorted(folder.glob("*.bin"))), "none")
            raise BadCheckpoint(f"expected weights in {SINGLE} or {INDEX} in {folder}, got {other}")
        return [folder / SINGLE]
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not weight_map:
        raise BadCheckpoint(f"expected a weight_map in {index}, got none")
    names = sorted({Path(str(name)).name for name in weight_map.values()})
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise BadCheckpoint(
            f"expected the {len(names)} weight files that {index} names, "
            f"got {len(names) - len(missing)}: {', '.join(missing[:3])} missing"
        )
    return [folder / name for name in names]


def read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError as error:
        raise BadCheckpoint(f"expected a file at {path}, got none") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise BadCheckpoint(f"expected JSON in {path}, got {error}") from error
    if not isinstance(content, dict):
        raise BadCheckpoint(f"expected a JSON object in {path}, got {type(content).__name__}")
    return content


def read_optional(path: Path) -> dict[str, Any] | None:
    return read_json(path) if path.is_file() else None


def read_config(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise BadCheckpoint(f"expected a model folder at {folder}, got none")
    return read_json(folder / "config.json")


def image_processor(folder: Path) -> dict[str, Any] | None:
    """Newer checkpoints keep it as a part of the processor's own file."""
    if (own := read_optional(folder / "preprocessor_config.json")) is not None:
        return own
    part = (read_optional(folder / "processor_config.json") or {}).get("image_processor")
    return part if isinstance(part, dict) else None


def _samples(path: Path) -> Iterator[bytes]:
    """The header, then the data at even distances; BadCheckpoint for a file half written."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(size - 8, _MOST_HEADER_BYTES):
            raise BadCheckpoint(f"expected a safetensors file at {path}, got {size} other bytes")
        header = file.read(length)
        start = 8 + length
        expected = start + _data_bytes(header, path)
        if size != expected:
            raise BadCheckpoint(f"expected {expected} bytes in {path}, got {size}: half written?")
        yield header
        step = max(_SAMPLE_BYTES, (size - start) // _SAMPLES)
        for offset in range(start, size, step):
            file.seek(offset)
            yield file.read(_SAMPLE_BYTES)


def _data_bytes(header: bytes, path: Path) -> int:
    try:
        tensors = json.loads(header)
        parts = (part for name, part in tensors.items() if name != "__metadata__")
        return max((int(part["data_offsets"][1]) for part in parts), default=0)
    except (ValueError, AttributeError, TypeError, LookupError) as error:
        raise BadCheckpoint(f"expected a safetensors header in {path}, got {error!r}") from error
