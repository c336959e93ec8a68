"""From a checkpoint folder to the modules that a worker's stages need, and nothing else.

The modules are transformers' own. They are made without memory for their parameters and then
filled from the files: a prefill worker never holds the vision tower, an encode worker never the
language model.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import AutoConfig, AutoModel
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import (
    LlavaOnevisionImageProcessorPil,
)
from transformers.models.mllama.image_processing_pil_mllama import MllamaImageProcessorPil
from transformers.models.mllama.modeling_mllama import MllamaTextModel

from ..scheduler.geometry.choosing import TEXT_ONLY
from ..transport.checkpoint import BadCheckpoint, read_json
from .families.llava_onevision_vision import LlavaOnevisionVision
from .families.mllama_vision import MllamaVision
from .families.vision import VisionHalf
from .weights import Progress, fill, locate

VISION: dict[str, tuple[Any, Any]] = {  # family: (vision half, image processor)
    "llava_onevision": (LlavaOnevisionVision, LlavaOnevisionImageProcessorPil),
    "mllama": (MllamaVision, MllamaImageProcessorPil),
}
TEXT_STAGES = frozenset({"prefill", "decode"})
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the stages asked for; a half that no stage needs is None."""

    family: str  # config.json's model_type
    config: Any  # transformers' config of the whole model
    device: torch.device
    dtype: torch.dtype
    vision: VisionHalf | None
    text: nn.Module | None  # Qwen2Model, LlamaModel, MllamaTextModel …
    lm_head: nn.Module | None  # a Linear


def load(
    folder: str | Path,
    stages: frozenset[str],
    *,
    device: str | torch.device = "cpu",
    dtype: str = "auto",
    progress: Progress = lambda done, total: None,
) -> Loaded:
    """Raises BadCheckpoint where the folder is not one whole checkpoint of a known family."""
    folder, device = Path(folder), torch.device(device)
    config = read_config(folder)
    family = config.model_type
    if stages == {"encode"} and family in TEXT_ONLY:
        raise BadCheckpoint(f"expected a model with images for an encode worker, got {family}")
    chosen = choose_dtype(dtype, config, device)
    sources = locate(folder, text_only=family in TEXT_ONLY)
    with weightless():
        vision = vision_half(folder, config) if "encode" in stages else None
        text, lm_head = text_half(config) if stages & TEXT_STAGES else (None, None)
    modules = {"": vision, "language_model.": text, "lm_head.": lm_head}
    # the checkpoint wins, as in transformers: a head that was saved is used though tied by config
    tied = lm_head is not None and ties(config) and "lm_head.weight" not in sources
    if tied:
        del modules["lm_head."]
    wanted = {prefix: module for prefix, module in modules.items() if module is not None}
    fill(wanted, sources, device=device, dtype=chosen, progress=progress)
    if tied and lm_head is not None and text is not None:
        lm_head.weight = text.get_input_embeddings().weight
    for module in (vision, text, lm_head):
        if module is not None:
            module.to(device).eval().requires_grad_(False)  # buffers only: the rest is there
    return Loaded(
        family=family,
        config=config,
        device=device,
        dtype=chosen,
        vision=vision,
        text=text,
        lm_head=lm_head,
    )


def read_config(folder: Path) -> Any:
    if not folder.is_dir():
        raise BadCheckpoint(f"expected a model folder at {folder}, got none")
    family = read_json(folder / "config.json").get("model_type")
    known = sorted(TEXT_ONLY | VISION.keys())
    if family not in known:
        raise BadCheckpoint(
            f"expected a model of a known family ({', '.join(known)}) in {folder}, "
            f"got model_type {family!r}"
        )
    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True)
    except (OSError, TypeError, ValueError, KeyError, StrictDataclassError) as error:
        reason = str(error).splitlines()[0]
        raise BadCheckpoint(f"expected a {family} config.json in {folder}, got {reason}") from error


def choose_dtype(dtype: str, config: Any, device: torch.device) -> torch.dtype:
    """`auto` keeps the checkpoint's own type where the device multiplies it fast."""
    if dtype != "auto":
        if dtype not in DTYPES:
            raise ValueError(f"expected a dtype of auto, {', '.join(DTYPES)}, got {dtype!r}")
        return DTYPES[dtype]
    named = config.dtype or config.get_text_config().dtype
    own = named if isinstance(named, torch.dtype) else torch.float32
    if device.type != "cpu":
        return own
    # without AMX a CPU multiplies bfloat16 slower than float32
    return own if own is torch.bfloat16 and has_amx() else torch.float32


def has_amx() -> bool:
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "amx_bf16" in flags


def vision_half(folder: Path, config: Any) -> Any:
    if config.model_type in TEXT_ONLY:
        return None  # the monolith of a text-only model has nothing to encode
    half, processor = VISION[config.model_type]
    try:
        return half(config, processor.from_pretrained(folder, local_files_only=True))
    except (OSError, TypeError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise BadCheckpoint(
            f"expected a {config.model_type} image processor in {folder}, got {reason}"
        ) from error


def ties(config: Any) -> bool:
    """mllama's flag means nothing: its embedding has rows that its head has not."""
    return config.model_type != "mllama" and bool(config.tie_word_embeddings)


def text_half(config: Any) -> tuple[Any, nn.Linear]:
    text_config = config.get_text_config()
    make = MllamaTextModel if config.model_type == "mllama" else AutoModel.from_config
    head = nn.Linear(text_config.hidden_size, text_config.vocab_size, bias=False)
    return make(text_config), head


@contextmanager
def weightless() -> Iterator[None]:
    """Modules made inside have their parameters on the meta device but real buffers.

    `torch.device("meta")` would take the buffers too, and those that no checkpoint holds (rotary
    frequencies, position ids) could not be brought back.
    """
    register = nn.Module.register_parameter

    def on_meta(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        if parameter is not None:
            parameter = nn.Parameter(parameter.to("meta"), requires_grad=False)
        register(module, name, parameter)

    nn.Module.register_parameter = on_meta  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]
