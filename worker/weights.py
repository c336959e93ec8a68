"""The weights of a Hugging Face checkpoint folder: which file holds what, and filling modules.

Only what a module asks for is read, one tensor at a time, so that an encode worker never holds
the language model, nor the reverse. Nothing is unpickled: safetensors only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..transport.checkpoint import INDEX, SINGLE, BadCheckpoint, read_json

Progress = Callable[[int, int], None]  # (bytes done, bytes in all)
Source = tuple[Path, str]  # the file and the name in it

# Layouts differ by the transformers that saved them:
#   the hub      language_model.model.…  vision_tower.vision_model.…        language_model.lm_head.…
#   4.5x         model.language_model.…  model.vision_tower.vision_model.…  lm_head.…
#   5.2x         language_model.model.…  vision_tower.…                     language_model.lm_head.…
#   its modules  model.language_model.…  model.vision_tower.…               lm_head.…
# The rules, applied in turn, take each to one name: language_model.…, vision_tower.…, lm_head.…
RENAMES = (
    (re.compile(r"^model\."), ""),
    (re.compile(r"^language_model\.lm_head\."), "lm_head."),
    (re.compile(r"^language_model\.model\."), "language_model."),
    (re.compile(r"^vision_tower\.vision_model\."), "vision_tower."),
)


def locate(folder: Path, *, text_only: bool) -> dict[str, Source]:
    """Where each weight lies, by its one name; text-only checkpoints join `language_model.`."""
    index = folder / INDEX
    sources = indexed(index) if index.is_file() else single(folder)
    return {one_name(key, text_only): (path, key) for key, path in sources.items()}


def indexed(index: Path) -> dict[str, Path]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict):
        raise BadCheckpoint(f"expected a weight_map in {index}, got none")
    shards = sorted({str(name) for name in weight_map.values()})
    absent = [name for name in shards if not (index.parent / name).is_file()]
    if absent:
        raise BadCheckpoint(
            f"expected the {len(shards)} weight files that {index} names, "
            f"got {len(shards) - len(absent)}: {', '.join(absent[:3])} missing"
        )
    return {key: index.parent / str(name) for key, name in weight_map.items()}


def single(folder: Path) -> dict[str, Path]:
    path = folder / SINGLE
    if not path.is_file():
        others = sorted(p.name for p in folder.glob("*.bin")) or ["none"]
        raise BadCheckpoint(f"expected weights in {path} or {INDEX} beside it, got {others[0]}")
    with opened(path, "cpu") as file:
        return dict.fromkeys(file.keys(), path)


def one_name(key: str, text_only: bool = False) -> str:
    for pattern, replacement in RENAMES:
        key = pattern.sub(replacement, key)
    outside = not text_only or key.startswith(("lm_head.", "language_model."))
    return key if outside else f"language_model.{key}"


def fill(
    modules: Mapping[str, nn.Module],
    sources: Mapping[str, Source],
    *,
    device: torch.device,
    dtype: torch.dtype,
    progress: Progress,
) -> None:
    """Read the weights of `modules` (by their prefix) from `sources`, in the order of the files."""
    wanted = {
        one_name(prefix + name): (module, name, blank)
        for prefix, module in modules.items()
        for name, blank in module.state_dict().items()
    }
    missing = [name for name in wanted if name not in sources]
    if missing:
        raise BadCheckpoint(
            f"expected {len(wanted)} weights in the checkpoint, got {len(wanted) - len(missing)}: "
            f"{missing[0]} missing"
        )
    filled: dict[nn.Module, dict[str, Tensor]] = {module: {} for module in modules.values()}
    total = sum(blank.numel() * dtype.itemsize for _, _, blank in wanted.values())
    done = 0
    progress(done, total)
    for name, tensor in read({name: sources[name] for name in wanted}, device):
        module, inner, blank = wanted[name]
        if tensor.shape != blank.shape:
            raise BadCheckpoint(
                f"expected {name} of shape {list(blank.shape)} as config.json says, "
                f"got {list(tensor.shape)}"
            )
        # a copy: the reader's tensor may be a view of a file that somebody could rewrite
        filled[module][inner] = tensor.to(device, dtype, copy=True)
        done += tensor.numel() * dtype.itemsize
        progress(done, total)
    for module, tensors in filled.items():
        module.load_state_dict(tensors, assign=True)


def read(sources: Mapping[str, Source], device: torch.device) -> Iterator[tuple[str, Tensor]]:
    by_file: dict[Path, list[tuple[str, str]]] = {}
    for name, (path, key) in sources.items():
        by_file.setdefault(path, []).append((name, key))
    for path, names in by_file.items():
        with opened(path, str(device)) as file:
            for name, key in names:
                yield name, tensor_of(file, path, key)


def opened(path: Path, device: str) -> Any:
    try:
        return safe_open(path, framework="pt", device=device)
    except (SafetensorError, OSError) as error:
        raise BadCheckpoint(
            f"expected a whole safetensors file at {path}, got {path.stat().st_size} bytes that "
            f"do not parse ({error})"
        ) from error


def tensor_of(file: Any, path: Path, key: str) -> Tensor:
    try:
        tensor: Tensor = file.get_tensor(key)
    except SafetensorError as error:
        raise BadCheckpoint(f"expected {key} in {path}, got {error}") from error
    return tensor
