"""Prefill and encode as a share of what the same threads do in a plain matrix product."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch

from modserve.worker.assembly import Stages
from modserve.worker.encoding import EncodeTask
from modserve.worker.text.generation import TextStage

from . import arithmetic
from .driving import prompt_ids, run, stages, text_task
from .machine import matmul_rate, seconds
from .options import Options
from .pictures import TILES, picture
from .report import Figure, compared

GOAL = 0.70
PROMPTS = (512, 1390)
IMAGES = (1, 4)
CPU = torch.device("cpu")


def measure(options: Options) -> list[Figure]:
    """Rounds of a matrix product, then everything else once; ratios are within a round."""
    made = stages(options.folder, threads=options.threads)
    runs = {**_prefills(made), **_encodes(made)}
    rates: dict[str, list[float]] = {name: [] for name in runs}
    machine: list[float] = []
    for work, _ in runs.values():
        work()
    for _ in range(options.rounds(5)):
        machine.append(matmul_rate(CPU, torch.float32) / 1e9)
        for name, (work, flops) in runs.items():
            rates[name].append(flops / seconds(work, CPU) / 1e9)
    return [
        compared(name, "GFLOP/s", values, "matrix product", machine, goal=GOAL)
        for name, values in rates.items()
    ]


Work = tuple[Callable[[], object], float]  # what to time, its FLOPs


def _prefills(made: Stages) -> dict[str, Work]:
    stage = made.text
    assert stage is not None
    return {
        f"prefill of {tokens:,} tokens": (
            partial(_prefill, stage, tokens, made.facts.vocabulary),
            arithmetic.prefill_flops(stage.half.text, tokens),
        )
        for tokens in PROMPTS
    }


def _prefill(stage: TextStage, tokens: int, vocabulary: int) -> None:
    run(stage, [text_task("one", prompt_ids(tokens, 0, vocabulary), 1)])


def _encodes(made: Stages) -> dict[str, Work]:
    return {
        f"encode of {images} image{'s' * (images > 1)} of {TILES} tiles": (
            encoding(made, images),
            arithmetic.encode_flops(made.vision, images * TILES),
        )
        for images in IMAGES
    }


def encoding(made: Stages, images: int) -> Callable[[], object]:
    """What encodes so many pictures of seven tiles each time it is called."""
    stage, vision = made.encode, made.vision
    assert stage is not None
    assert vision is not None
    assert made.geometry is not None
    image = picture(0)
    shape = made.geometry.image(*image.size, 1)
    tasks = [
        EncodeTask(f"{number}", 0, vision.preprocess(image, shape.mode), shape.rows)
        for number in range(images)
    ]

    def encode() -> None:
        for task in tasks:
            stage.add(task)
        while stage.step():
            pass

    return encode
