"""Costs derived from a model's sizes and a GPU's datasheet, so that planning needs no GPU.

A roofline (Williams et al., 2009) with the shares that real kernels reach (gpus.py). With tensor
parallelism every rank reads and multiplies its part of the weights; norms and residuals are done
by every rank in full; and each layer ends in two all-reduces (Megatron-LM, Shoeybi et al., 2019).

    step = host + layers * (kernels + 2 all-reduces' latency)
         + |weights / bandwidth, rows * (FLOPs / rate + activations / bandwidth + all-reduces)|_p
         + attention

`tests/scheduler/costs/test_measured.py` prints how far this is from measured steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .costs import Costs, LinkCost
from .encode import EncodeCost, PreprocessCost
from .gpus import Gpu, Link
from .spec import BYTES, Language, ModelSpec, Tower
from .text import TextCost, TextWork

# Reads and writes of a row, in widths of the hidden state: two norms and two residual sums take
# 11 to 13 in Vidur's profiles (the norms read twice), the product of gate and value 6 widths of the
# intermediate state, a plain activation 2.5.
HIDDEN_PASSES = 12.0
GATED_PASSES = 6.0
PLAIN_PASSES = 2.5
# Reading the weights and multiplying with them: about 64 to 512 tokens take 1.2 times the longer of
# the two in Vidur's profiles. Of 1.5, 2, 3, 4 and 8 this one is nearest.
OVERLAP = 2.0
# Of a step outside its kernels: scheduling, input tensors, sampling. An assumption, for an engine
# that replays captured graphs; one that launches every kernel from Python takes 20 ms and more.
HOST_S = 2e-3
# Decoding a JPEG, bicubic resizing to 896 px and turning into floats took 21, 32 and 80 ms of one
# server core with Pillow and numpy, for pictures of 500, 1,000 and 2,000 px squared.
PREPROCESS = PreprocessCost(fixed_s=16e-3, pixel_s=16e-9)
MEMORY_SHARE = 0.9  # of a GPU's memory for weights and KV; the rest is activations and buffers


def derive(
    spec: ModelSpec,
    gpu: Gpu,
    tp: int,
    *,
    encode_tp: int | None = None,
    link: Link = Link.NVLINK,
    host_s: float = HOST_S,
) -> Costs:
    """Of one replica on `tp` GPUs; its tower on `encode_tp`, or as many.

    Raises ValueError where the model does not divide, or does not fit, onto so many.
    """
    kv_tokens(spec, gpu, tp)
    return Costs(
        preprocess=PREPROCESS,
        encode=encode_cost(spec, gpu, tp if encode_tp is None else encode_tp, host_s),
        text=text_cost(spec.language, gpu, tp, host_s),
        link=link_cost(gpu, link),
    )


def text_cost(language: Language, gpu: Gpu, tp: int, host_s: float = HOST_S) -> TextCost:
    one = rank_cost(language, gpu, tp)
    said = Talk(gpu, tp, 2 * language.layers)
    return replace(
        one,
        fixed_s=host_s + one.fixed_s + said.fixed_s,
        row_s=one.row_s + said.row_s(language.hidden),
    )


def rank_cost(language: Language, gpu: Gpu, tp: int) -> TextCost:
    """One rank's own kernels: without host and all-reduces."""
    check_divides(language, tp)
    rate, memory = gpu.flops * gpu.reached.products, gpu.bandwidth * gpu.reached.memory
    passes = HIDDEN_PASSES * language.hidden + GATED_PASSES * language.intermediate / tp
    # Fewer KV heads than ranks: they are copied.
    kv_share = 1 / min(tp, language.kv_heads)
    return TextCost(
        fixed_s=language.layers * gpu.reached.layer_s,
        weights_s=language.read_parameters * BYTES / tp / memory,
        row_s=language.token_flops / tp / rate + language.layers * passes * BYTES / memory,
        pair_s=language.pair_flops / tp / (gpu.flops * gpu.reached.attention),
        context_s=language.kv_bytes * kv_share / memory,
        overlap=OVERLAP,
    )


@dataclass(frozen=True, slots=True)
class Talk:
    """What the ranks of a replica say to each other in one step: ring all-reduces."""

    gpu: Gpu
    tp: int
    times: int

    @property
    def fixed_s(self) -> float:
        return self.times * self.gpu.reached.all_reduce_s if self.tp > 1 else 0.0

    def row_s(self, hidden: int) -> float:
        """A ring sends each byte 2 (n - 1) / n times through every link."""
        sent = 2 * (self.tp - 1) / self.tp * hidden * BYTES
        return self.times * sent / (self.gpu.nvlink * self.gpu.reached.all_reduce)


def encode_cost(spec: ModelSpec, gpu: Gpu, tp: int, host_s: float = HOST_S) -> EncodeCost:
    """By image tokens as `ModelSpec.encode_tokens` counts them.

    What every rank does in full and what they tell each other stays, while the products shrink: a
    tower of 400 to 900 million parameters is little faster on 8 GPUs than on 4.
    """
    check_ranks(tp)
    tower = spec.tower
    said = Talk(gpu, tp, 2 * tower.layers)
    rows = tower.patches / tower.tile_tokens
    return EncodeCost(
        fixed_s=host_s + tower.layers * gpu.reached.layer_s + said.fixed_s,
        token_s=tile_s(spec, gpu, tp) / tower.tile_tokens + rows * said.row_s(tower.hidden),
    )


def tile_s(spec: ModelSpec, gpu: Gpu, tp: int) -> float:
    """One rank's own part of a tile. Heads that do not divide are filled up, as NVLM-D does."""
    tower, reached = spec.tower, gpu.reached
    filled = -(-tower.heads // tp) / tower.heads
    products = spec.tile_flops - tower.attention_flops
    computed = products / tp / reached.products + tower.attention_flops * filled / reached.attention
    return computed / gpu.flops + tower_bytes(tower, tp) / (gpu.bandwidth * reached.memory)


def tower_bytes(tower: Tower, tp: int) -> float:
    """Activations of a tile that are read and written between the products."""
    passes = HIDDEN_PASSES * tower.hidden + PLAIN_PASSES * tower.intermediate / tp
    return BYTES * passes * tower.patches * tower.layers


def link_cost(gpu: Gpu, link: Link) -> LinkCost:
    return LinkCost(gpu.reached.copy_s, 1 / gpu.copy_rate(link))


def kv_tokens(spec: ModelSpec, gpu: Gpu, tp: int) -> int:
    """Tokens whose KV fits beside a text replica's weights; ValueError where none does."""
    check_divides(spec.language, tp)
    room = MEMORY_SHARE * gpu.memory_bytes - spec.text_bytes / tp
    if room <= 0:
        raise ValueError(
            f"expected weights of {spec.name} that fit on {tp} {gpu.name}, "
            f"got {spec.text_bytes / tp / 1e9:.0f} GB for each GPU of "
            f"{gpu.memory_bytes / 1e9:.0f} GB"
        )
    return int(room / (spec.language.kv_bytes / min(tp, spec.language.kv_heads)))


def prompt_work(spec: ModelSpec, text_tokens: int, image_rows: int = 0) -> TextWork:
    """A whole prompt in one prefill step.

    A cross-attention family's image is told in text that takes as long: its rows' keys and values
    as further tokens, and what the text sees of it as tokens before.
    """
    language = spec.language
    if not spec.geometry.cross_attention:
        return TextWork([(0, text_tokens + image_rows)])
    seen = image_rows * language.cross_layers / language.self_layers
    alike = image_rows * language.image_row_flops / language.token_flops
    return TextWork([(round(seen), text_tokens + round(alike))])


def check_ranks(tp: int) -> None:
    if tp < 1:
        raise ValueError(f"expected at least 1 GPU for a replica, got {tp}")


def check_divides(language: Language, tp: int) -> None:
    check_ranks(tp)
    if language.heads % tp:
        raise ValueError(f"expected a number of GPUs that divides {language.heads} heads, got {tp}")
