"""Output tokens per second: the engine alone, beside transformers' own `generate`.

Whole requests are timed, prompts included, and everybody gets the same prompts and must give the
same tokens. The three ways to serve eight take turns in every round.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from modserve.worker.assembly import Stages

from . import arithmetic
from .driving import generate, prompt_ids, run, stages, text_task, transformers_model
from .machine import matmul_rate, read_rate
from .options import Options
from .report import Figure, compared

AT_ONCE = (1, 8, 32)
PROMPT, TOKENS = 64, 64
ONE_BY_ONE_GOAL, STATIC_GOAL = 2.0, 1.1
CPU = torch.device("cpu")


def measure(options: Options) -> list[Figure]:
    made = stages(options.folder, threads=options.threads)
    model = transformers_model(options.folder)
    prompts = [prompt_ids(PROMPT, seed, made.facts.vocabulary) for seed in range(max(AT_ONCE))]
    tokens = 16 if options.quick else TOKENS
    rows = torch.tensor(prompts[:8])
    ways: dict[str, Callable[[], list[list[int]]]] = {
        f"{count} at a time": partial(_ours, made, prompts[:count], tokens) for count in AT_ONCE
    }
    ways["generate calls"] = partial(_one_by_one, model, rows, tokens)
    ways["static batch"] = partial(generate, model, rows, tokens)
    rates, same = _take_turns(ways, options.rounds(3), tokens)
    eight = rates["8 at a time"]
    return [
        *(_beside_floor(count, rates[f"{count} at a time"], made, tokens) for count in AT_ONCE),
        compared(
            "8 at a time",
            "tok/s",
            eight,
            "eight generate calls",
            rates["generate calls"],
            goal=ONE_BY_ONE_GOAL,
            note=f"{same['generate calls']} of 8 answers equal",
        ),
        compared(
            "8 at a time",
            "tok/s",
            eight,
            "one static batch of eight",
            rates["static batch"],
            goal=STATIC_GOAL,
            note=f"{same['static batch']} of 8 answers equal",
        ),
    ]


def _ours(made: Stages, prompts: Sequence[list[int]], tokens: int) -> list[list[int]]:
    assert made.text is not None
    tasks = [text_task(f"{i}", ids, tokens, order=i) for i, ids in enumerate(prompts)]
    return run(made.text, tasks)


def _one_by_one(model: object, prompts: Tensor, tokens: int) -> list[list[int]]:
    return [generate(model, row[None], tokens)[0] for row in prompts]


def _take_turns(
    ways: dict[str, Callable[[], list[list[int]]]], rounds: int, tokens: int
) -> tuple[dict[str, list[float]], dict[str, int]]:
    """Output tokens/s of each way in each round, and how many of eight answers equal ours."""
    rates: dict[str, list[float]] = {name: [] for name in ways}
    answers: dict[str, list[list[int]]] = {}
    for _ in range(rounds):
        for name, way in ways.items():
            begun = time.perf_counter()
            answers[name] = way()
            rates[name].append(len(answers[name]) * tokens / (time.perf_counter() - begun))
    ours = answers["8 at a time"]
    same = {
        name: sum(one == other for one, other in zip(ours, answer, strict=False))
        for name, answer in answers.items()
    }
    return rates, same


def _beside_floor(count: int, rates: list[float], made: Stages, tokens: int) -> Figure:
    floor = _floor(made, count, tokens)
    return compared(f"{count} at a time", "tok/s", rates, "floor", [floor] * len(rates))


def _floor(made: Stages, count: int, tokens: int) -> float:
    """Tokens/s if the prompts ran at the matrix product's rate and every step, too, or as fast as
    the weights can be read, whichever is slower."""
    stage = made.text
    assert stage is not None
    text, head = stage.half.text, stage.lm_head
    flops, reads = matmul_rate(CPU, torch.float32), read_rate(CPU)
    prompts = count * arithmetic.prefill_flops(text, PROMPT) / flops
    step = arithmetic.step_seconds(text, head, count, flops=flops, reads=reads)
    return count * tokens / (prompts + (tokens - 1) * step)
