"""The six models of ModServe's Table 1 (SoCC 2025), by their public configurations.

Each has the `config.json` of the named repository on huggingface.co. Three points differ from the
table: Llama-3.2-11B-Vision has 8 cross-attention layers among its 40 (indices 3, 8, … 38), where
section 3.2 speaks of 4; its tower has 8 global layers after the 32 that make up the table's 630M;
and llava-hf's towers end one layer early (26 of SigLIP's 27), since only that one's output is used.
"""

from __future__ import annotations

from types import MappingProxyType

from ..geometry.dynamic_tiling import DynamicTiling
from ..geometry.llava_onevision import DEFAULT_PINPOINTS, LlavaOnevisionGeometry
from ..geometry.mllama import MllamaGeometry
from .spec import Language, ModelSpec, Tower

# Qwen/Qwen2-7B-Instruct and Qwen2-72B-Instruct, as llava-hf's configurations repeat them
QWEN2_7B = Language(28, 3584, 28, 4, 128, 18944, 152128)
QWEN2_72B = Language(80, 8192, 64, 8, 128, 29568, 152064)
INTERNLM_20B = Language(48, 6144, 48, 8, 128, 16384, 92553)  # internlm/internlm2_5-20b-chat

SIGLIP = Tower(26, 1152, 16, 4304, 384, 14, patches=729, tile_tokens=729)
# Of 1,601 rows, padded to a multiple of 8; its 4 tiles see each other, padding tiles included.
VIT_H = Tower(40, 1280, 16, 5120, 560, 14, patches=1608, tile_tokens=1601, joint_tiles=4)
# OpenGVLab/InternViT-6B-448px-V2_5 (and -V1-5); four patches become one token (pixel shuffle)
INTERN_VIT = Tower(45, 3200, 25, 12800, 448, 14, patches=1025, tile_tokens=256)

ANYRES_9 = LlavaOnevisionGeometry(DEFAULT_PINPOINTS, 384, 27, most_tiles=9, square_rows=730)
FOUR_TILES = MllamaGeometry(tiles=4, tile_rows=1601, side=560)

MODELS: MappingProxyType[str, ModelSpec] = MappingProxyType(
    {
        spec.name: spec
        for spec in (
            ModelSpec(  # meta-llama/Llama-3.2-11B-Vision-Instruct
                "llama3.2-11b",
                Language(40, 4096, 32, 8, 128, 14336, 128256, cross_layers=8),
                VIT_H,
                projector=7680 * 4096,
                geometry=FOUR_TILES,
            ),
            ModelSpec(  # meta-llama/Llama-3.2-90B-Vision-Instruct
                "llama3.2-90b",
                Language(100, 8192, 64, 8, 128, 28672, 128256, cross_layers=20),
                VIT_H,
                projector=7680 * 8192,
                geometry=FOUR_TILES,
            ),
            ModelSpec(  # llava-hf/llava-onevision-qwen2-7b-ov-hf
                "llava-ov-7b", QWEN2_7B, SIGLIP, 1152 * 3584 + 3584**2, ANYRES_9
            ),
            ModelSpec(  # llava-hf/llava-onevision-qwen2-72b-ov-hf
                "llava-ov-72b", QWEN2_72B, SIGLIP, 1152 * 8192 + 8192**2, ANYRES_9
            ),
            ModelSpec(  # OpenGVLab/InternVL2_5-26B
                "internvl-26b",
                INTERNLM_20B,
                INTERN_VIT,
                projector=12800 * 6144 + 6144**2,
                geometry=DynamicTiling(448, 256, most_tiles=12),
            ),
            ModelSpec(  # nvidia/NVLM-D-72B
                "nvlm-d-72b",
                QWEN2_72B,
                INTERN_VIT,
                projector=12800 * 29568 + 29568 * 8192,
                geometry=DynamicTiling(448, 256, most_tiles=6),
            ),
        )
    }
)


def model(name: str) -> ModelSpec:
    """ValueError, with one sentence, for a name that is none."""
    found = MODELS.get(name.lower())
    if found is None:
        raise ValueError(f"expected a model of {', '.join(MODELS)}, got {name!r}")
    return found
