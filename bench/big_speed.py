"""Speed of the 7B model beside its floors and beside transformers, on the device where it runs.

A decode step's floor is the slower of reading all weights and KV once, at the rate of a plain
copy, and of its products at the rate of a plain matrix product. Prefill and encode have the
latter alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from msgspec import Struct

from modserve.worker.families.vision import Pixels

from . import arithmetic
from .big_model import DTYPE, BigModel
from .driving import generate, prompt_ids, run, text_task
from .machine import best, matmul_rate, read_rate, seconds
from .report import Figure, compared


class Sizes(Struct, frozen=True):
    at_once: tuple[int, ...] = (1, 8, 32, 128)
    rivals: tuple[int, ...] = (1, 8)  # beside transformers' static batches
    prompt: int = 512
    steps: int = 32
    prefill: int = 2048
    images: tuple[int, ...] = (1, 8)
    tiles: tuple[int, int] = (2, 3)  # of an image: rows, columns; and one of the whole
    squares: tuple[int, ...] = (4096, 8192)
    read_bytes: int = 2**30
    repeats: int = 3

    @property
    def kv_tokens(self) -> int:
        return max(self.at_once) * (self.prompt + 4 * self.steps) + self.prefill


TINY = Sizes((1, 2), (1, 2), 8, 2, 16, (1, 2), (1, 2), (128,), 2**16, 1)


def measure(model: BigModel, device: torch.device, sizes: Sizes) -> list[Figure]:
    flops = matmul_rate(device, DTYPE, sizes.squares)
    reads = read_rate(device, sizes.read_bytes)
    with torch.inference_mode():
        return [
            Figure("matrix product, bfloat16", flops / 1e12, "TFLOP/s"),
            Figure("memory, read", reads / 1e12, "TB/s"),
            *(_decode(model, count, sizes, flops, reads) for count in sizes.at_once),
            _prefill(model, device, sizes, flops),
            *(_encode(model, device, count, sizes, flops) for count in sizes.images),
            *(_rival(model, device, count, sizes) for count in sizes.rivals),
        ]


def _prompts(model: BigModel, count: int, length: int) -> list[list[int]]:
    vocabulary: int = model.reference.config.text_config.vocab_size
    return [prompt_ids(length, seed, vocabulary) for seed in range(count)]


def _decode(model: BigModel, count: int, sizes: Sizes, flops: float, reads: float) -> Figure:
    """Milliseconds of one step in the middle of `count` answers."""
    stage, device = model.text, model.text.pool.device
    for number, prompt in enumerate(_prompts(model, count, sizes.prompt)):
        stage.admit(text_task(f"{number}", prompt, 4 * sizes.steps, order=number))
    while stage.step().decode_tokens < count:
        pass

    def steps() -> None:
        for _ in range(sizes.steps):
            stage.step()

    took = seconds(steps, device) / sizes.steps
    tokens = sum(sequence.computed for sequence in stage.sequences.values())
    for name in list(stage.sequences):
        stage.drop(name)
    text, head = stage.half.text, stage.lm_head
    kv_bytes = tokens * stage.half.kv_shape.token_bytes(DTYPE)
    by_bytes = (arithmetic.decode_bytes(text, head) + kv_bytes) / reads
    by_flops = arithmetic.decode_flops(text, head, count) / flops
    against = "memory floor" if by_bytes > by_flops else "arithmetic floor"
    floor = max(by_bytes, by_flops)
    note = f"{count / took:,.0f} tok/s"
    return Figure(
        f"decode step of {count}", 1e3 * took, "ms", against, 1e3 * floor, took / floor, note=note
    )


def _prefill(model: BigModel, device: torch.device, sizes: Sizes, flops: float) -> Figure:
    (prompt,) = _prompts(model, 1, sizes.prefill)
    took = best(
        lambda: run(model.text, [text_task("one", prompt, 1)]), device, repeats=sizes.repeats
    )
    work = arithmetic.prefill_flops(model.text.half.text, len(prompt))
    name = f"prefill of {len(prompt):,} tokens"
    return compared(name, "TFLOP/s", [work / took / 1e12], "matrix product", [flops / 1e12])


def _encode(
    model: BigModel, device: torch.device, images: int, sizes: Sizes, flops: float
) -> Figure:
    rows, columns = sizes.tiles
    side = model.vision.config.vision_config.image_size
    tiles = torch.randn(1 + rows * columns, 3, side, side)
    pixels = Pixels(tiles, rows * side, columns * side, mode="single")
    took = best(partial(model.vision.encode, [pixels] * images), device, repeats=sizes.repeats)
    work = arithmetic.encode_flops(model.vision, images * len(tiles))
    return compared(
        f"encode of {images} image{'s' * (images > 1)} of {len(tiles)} tiles",
        "TFLOP/s",
        [work / took / 1e12],
        "matrix product",
        [flops / 1e12],
        note=f"{1e3 * took:,.1f} ms",
    )


def _rival(model: BigModel, device: torch.device, count: int, sizes: Sizes) -> Figure:
    """Whole requests: the same prompts of one length, the same number of tokens."""
    prompts = _prompts(model, count, sizes.prompt)
    rows = torch.tensor(prompts, device=device)
    tasks = [
        text_task(f"{number}", prompt, sizes.steps, order=number)
        for number, prompt in enumerate(prompts)
    ]
    ours: Callable[[], object] = partial(run, model.text, tasks)
    theirs: Callable[[], object] = partial(generate, model.reference, rows, sizes.steps)
    rates: tuple[list[float], list[float]] = [], []
    for way in (ours, theirs):
        way()
    for _ in range(sizes.repeats):
        for way, told in zip((ours, theirs), rates, strict=True):
            told.append(count * sizes.steps / seconds(way, device))
    return compared(f"{count} at a time", "tok/s", rates[0], "transformers, static", rates[1])
