"""Where the time of a decode step goes: in torch's operations, and in Python between them."""

from __future__ import annotations

import cProfile
import pstats
import time

import torch
from torch.profiler import ProfilerActivity, profile

from modserve.worker.text.generation import TextStage

from .driving import prompt_ids, stages, text_task
from .options import Options

SEQUENCES, PROMPT, STEPS = 8, 64, 24


def trace(options: Options) -> None:
    """Three runs of the same steps: bare, under torch's profiler, under Python's."""
    made = stages(options.folder, threads=options.threads)
    assert made.text is not None
    stage, vocabulary = made.text, made.facts.vocabulary
    _fill(stage, vocabulary)
    begun = time.perf_counter()
    _step(stage)
    step_ms = 1000 * (time.perf_counter() - begun) / STEPS
    with profile(activities=[ProfilerActivity.CPU]) as operations:
        _step(stage)
    averages = operations.key_averages()
    in_torch_ms = sum(each.self_cpu_time_total for each in averages) / 1000 / STEPS
    print(f"decode of {SEQUENCES} at a time: {step_ms:.2f} ms a step, of {STEPS} steps")
    print(f"in torch's operations {in_torch_ms:.2f} ms (the profiler's own cost included)")
    print(averages.table(sort_by="self_cpu_time_total", row_limit=15, max_name_column_width=40))
    python = cProfile.Profile()
    with python:
        _step(stage)
    pstats.Stats(python).strip_dirs().sort_stats("tottime").print_stats(25)


def _fill(stage: TextStage, vocabulary: int) -> None:
    for number in range(SEQUENCES):
        prompt = prompt_ids(PROMPT, number, vocabulary)
        stage.admit(text_task(f"{number}", prompt, 4 * STEPS, order=number))
    while stage.step().decode_tokens < SEQUENCES:
        pass


def _step(stage: TextStage) -> None:
    with torch.inference_mode():
        for _ in range(STEPS):
            stage.step()
