"""The engine without a server: stages made as a worker makes them, driven from here."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoModelForImageTextToText

from modserve.transport.messages import Sampling
from modserve.worker.alone import stages_alone
from modserve.worker.assembly import Stages
from modserve.worker.text.generation import TextStage
from modserve.worker.text.text_work import Span, TextTask


def stages(
    folder: Path, *, threads: int, device: torch.device | None = None, dtype: str = "float32"
) -> Stages:
    """Both stages in one place, warm."""
    return stages_alone(
        folder,
        device or torch.device("cpu"),
        lambda done, total: None,
        threads=threads,
        dtype=dtype,
    )


def transformers_model(folder: Path, device: torch.device | None = None) -> Any:
    """The rival; it ends only when all tokens are there."""
    automatic: Any = AutoModelForImageTextToText
    model = automatic.from_pretrained(folder, dtype=torch.float32).eval()
    model.generation_config.eos_token_id = None
    return model.to(device or "cpu")


def generate(model: Any, prompts: Tensor, tokens: int) -> list[list[int]]:
    """Greedy tokens of prompts [n, length] of one length, by transformers itself."""
    with torch.inference_mode():
        out = model.generate(
            input_ids=prompts,
            attention_mask=torch.ones_like(prompts),
            max_new_tokens=tokens,
            do_sample=False,
        )
    answers: list[list[int]] = out[:, prompts.shape[1] :].tolist()
    return answers


def text_task(
    name: str,
    prompt: Sequence[int],
    tokens: int,
    *,
    order: int = 0,
    spans: tuple[Span, ...] = (),
) -> TextTask:
    sampling = Sampling(max_tokens=tokens, ignore_eos=True, seed=0)
    return TextTask(name, tuple(prompt), len(prompt), sampling, order, spans=spans)


def prompt_ids(length: int, seed: int, vocabulary: int) -> list[int]:
    """Ids from the lower part of the vocabulary: special tokens lie at its end."""
    dice = random.Random(seed)
    return [dice.randrange(vocabulary * 9 // 10) for _ in range(length)]


def run(
    stage: TextStage,
    tasks: Sequence[TextTask],
    embeddings: Mapping[tuple[str, int], Tensor] | None = None,
) -> list[list[int]]:
    """Admit all at once, step to the end; the tokens of each task.

    `embeddings`: by request and index of the image.
    """
    answers: dict[str, list[int]] = {task.request_id: [] for task in tasks}
    for task in tasks:
        stage.admit(task)
    for (request_id, index), rows in (embeddings or {}).items():
        stage.land(request_id, index, rows)
    while not (result := stage.step()).idle:
        for progress in result.progress:
            if progress.token_id is not None:
                answers[progress.request_id].append(progress.token_id)
    return list(answers.values())
