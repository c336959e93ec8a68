"""Do engine and `generate` say the same tokens on this device? Small checkpoints, float32."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from modserve.tests.checkpoints import make_llava_onevision, make_mllama
from modserve.tests.worker.text_requests import IMAGE, REQUESTS, Checkpoint, Made, picture, words
from modserve.worker.assembly import Stages
from modserve.worker.encoding import EncodeTask

from .driving import run, stages, text_task
from .report import Figure

FAMILIES: dict[str, Callable[[Path], Path]] = {
    "llava_onevision": make_llava_onevision,
    "mllama": make_mllama,
}
SIZES = [(40, 90), (28, 28), (75, 31)]
TOKENS = 16


def measure(device: torch.device) -> list[Figure]:
    """How many of the tokens are transformers' own, by family; all requests run at once."""
    torch.backends.cudnn.allow_tf32 = False  # or the patch embedding would not be float32
    figures = []
    for family, make in FAMILIES.items():
        with tempfile.TemporaryDirectory(prefix="modserve-bench-") as home:
            same, of = _compare(family, make(Path(home)), device)
        name = f"tokens equal, {family}, float32"
        figures.append(Figure(name, same, "", "tokens in all", of, same / of, goal=1.0))
    return figures


def _compare(family: str, folder: Path, device: torch.device) -> tuple[int, int]:
    checkpoint = Checkpoint(folder)
    patterns: list[tuple[list[int], list[tuple[int, int]]]] = [
        (words(9), []),
        (words(700, seed=1), []),  # longer than one chunk
        ([*words(3), IMAGE, *words(5, seed=2)], SIZES[:1]),
        ([IMAGE, *words(4), IMAGE, IMAGE, *words(6, seed=3)], SIZES),
    ]
    made = [REQUESTS[family](checkpoint, pattern, sizes) for pattern, sizes in patterns]
    model = checkpoint.reference.to(device)
    expected = [_generate(model, one, device) for one in made]
    engine = stages(folder, threads=torch.get_num_threads(), device=device)
    answers = _ours(engine, made, [sizes for _, sizes in patterns])
    pairs = [
        pair
        for ours, theirs in zip(answers, expected, strict=True)
        for pair in zip(ours, theirs, strict=True)
    ]
    return sum(one == other for one, other in pairs), len(pairs)


def _generate(model: Any, made: Made, device: torch.device) -> list[int]:
    inputs: dict[str, Tensor] = {name: value.to(device) for name, value in made.inputs.items()}
    with torch.inference_mode():
        out = model.generate(
            **inputs,
            attention_mask=torch.ones_like(inputs["input_ids"]),
            max_new_tokens=TOKENS,
            min_new_tokens=TOKENS,
            eos_token_id=None,
            do_sample=False,
        )
    answer: list[int] = out[0, len(made.token_ids) :].tolist()
    return answer


def _ours(engine: Stages, made: list[Made], sizes: list[list[tuple[int, int]]]) -> list[list[int]]:
    """From pixels to tokens, in one batch."""
    assert engine.text is not None
    tasks = [
        text_task(f"{number}", one.token_ids, TOKENS, order=number, spans=one.spans)
        for number, one in enumerate(made)
    ]
    embeddings = {
        (f"{number}", index): embedding
        for number, shown in enumerate(sizes)
        for index, embedding in enumerate(_embeddings(engine, shown))
    }
    return run(engine.text, tasks, embeddings)


def _embeddings(engine: Stages, sizes: list[tuple[int, int]]) -> list[Tensor]:
    assert engine.encode is not None
    assert engine.vision is not None
    assert engine.geometry is not None
    for index, size in enumerate(sizes):
        shape = engine.geometry.image(*size, len(sizes))
        pixels = engine.vision.preprocess(picture(*size), shape.mode)
        engine.encode.add(EncodeTask(f"{index}", 0, pixels, shape.rows))
    rows: dict[str, Tensor] = {}
    while encodings := engine.encode.step():
        for encoding in encodings:
            if encoding.rows is None:
                raise RuntimeError(f"expected an embedding, got: {encoding.error}")
            rows[encoding.key] = encoding.rows
    return [rows[f"{index}"] for index in range(len(sizes))]
