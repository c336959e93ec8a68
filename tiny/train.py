"""Trains the shipped checkpoint from nothing: `python -m modserve.tiny.train`.

Two courses at once, a process and a core for each: the tower learns to write what it sees in the
language of codes.py, and the text model to answer questions about images that are written so and
never drawn. Then both together learn to answer about drawn images.

Half an hour on two cores is the limit; progress, and with it the learning rate, is the larger
share of the steps and of the minutes that are used up. So a slow machine stops in time, with a
worse model, and a fast one always takes the same steps.
"""

import argparse
import math
import multiprocessing
import os
import random
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedTokenizerFast

from . import beginnings, layout, lessons, sight, tokenizing
from .accuracy import report
from .codes import Codes
from .muon import Muon
from .rows import BEND, Batch, Collator
from .student import Student

SEED = 7
GLIMPSES, ROWS = 128, 16  # images and lessons in a step
TOGETHER = 0.13  # of the minutes
SEEING = 0.6  # of the minutes before: less is left to learn for the tower than for the text model
WARM_UP = 0.04
SHOWN = 100  # steps between two lines of progress
RATE, MUON_RATE = 1.5e-3, 4e-3
READING, TOGETHER_RATE = 2.0, 0.2  # of these rates


B = TypeVar("B")  # a batch


@dataclass(frozen=True)
class Course(Generic[B]):
    name: str
    steps: int
    minutes: float
    draw: Callable[[random.Random], B]
    loss: Callable[[B, float], Tensor]  # of a batch, at this progress
    rate: float = 1.0  # of the learning rates


class Steps(Dataset[B]):
    """Step number -> its batch: the same whatever process draws it."""

    def __init__(self, course: str, steps: int, draw: Callable[[random.Random], B]) -> None:
        self._course, self._steps, self._draw = course, steps, draw

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, step: int) -> B:
        torch.set_num_threads(1)
        return self._draw(random.Random(f"{SEED} {self._course} {step}"))


class DrawLessons:
    def __init__(self, tokenizer: PreTrainedTokenizerFast, drawn: bool) -> None:
        self._collator = Collator(tokenizer, layout.make_image_processor())
        self._drawn = drawn

    def __call__(self, rng: random.Random) -> Batch:
        some = [lessons.draw_lesson(rng) for _ in range(ROWS)]
        collate = self._collator.drawn if self._drawn else self._collator.imagined
        return collate(some, rng)


def draw_glimpses(rng: random.Random) -> sight.Glimpses:
    return sight.draw_glimpses(rng, GLIMPSES, BEND)


def main() -> None:
    given = _arguments()
    student, tokenizer = make_student()
    weights = sum(weight.numel() for weight in student.model.parameters())
    print(f"{weights:,} weights, {len(tokenizer)} tokens in the vocabulary", flush=True)
    _learn_apart(student, tokenizer, given)
    torch.set_num_threads(given.threads)
    together = Course(
        "answer",
        given.answer_steps,
        given.minutes * TOGETHER,
        DrawLessons(tokenizer, drawn=True),
        student.answer,
        TOGETHER_RATE,
    )
    take(together, student.model)
    layout.save(student.model, tokenizer, given.folder)
    print(f"wrote {given.folder}")
    report(given.folder, given.tests)


def make_student() -> tuple[Student, PreTrainedTokenizerFast]:
    """The same one in every process."""
    torch.manual_seed(SEED)
    tokenizer = tokenizing.train_tokenizer(lessons.texts(3000))
    model = layout.make_model(tokenizer)
    codes = Codes(layout.WIDTH)
    codes.give(model.model.language_model.embed_tokens, tokenizer)
    beginnings.begin(model.model.language_model)
    return Student(model, codes), tokenizer


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Trains the shipped checkpoint.")
    parser.add_argument("--folder", type=Path, default=layout.FOLDER)
    parser.add_argument("--see-steps", type=int, default=3000)
    parser.add_argument("--read-steps", type=int, default=3600)
    parser.add_argument("--answer-steps", type=int, default=1500)
    parser.add_argument("--minutes", type=float, default=28.5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tests", type=int, default=400, help="held-out samples of each sort")
    return parser.parse_args()


def _learn_apart(
    student: Student, tokenizer: PreTrainedTokenizerFast, given: argparse.Namespace
) -> None:
    minutes = given.minutes * (1 - TOGETHER)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "tower.safetensors"
        other = multiprocessing.get_context("spawn").Process(
            target=learn_to_see, args=(given.see_steps, minutes * SEEING, file)
        )
        other.start()

        def loss(batch: Batch, _: float) -> Tensor:
            threads = given.threads // 2 if other.is_alive() else given.threads
            torch.set_num_threads(max(1, threads))
            return student.read(batch)

        draw = DrawLessons(tokenizer, drawn=False)
        reading = Course("read", given.read_steps, minutes, draw, loss, READING)
        take(reading, student.readers())
        other.join()
        if other.exitcode:
            raise SystemExit(f"the process that learns to see ended with {other.exitcode}")
        student.seers().load_state_dict(load_file(file))


def learn_to_see(steps: int, minutes: float, file: Path) -> None:
    """In a process of its own that ends with its parent; leaves the weights in `file`."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    student, _ = make_student()
    seers = student.seers()
    take(Course("see", steps, minutes, draw_glimpses, lambda b, _: student.see(b)), seers)
    seen = student.share_of_digits(sight.held_out_digits())
    print(f"the tower by itself reads {seen:.1%} of the held-out scans", flush=True)
    save_file(seers.state_dict(), file)


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def take(course: Course[B], model: nn.Module) -> None:
    optimizer = Optimizer(model, course.rate)
    steps = Steps(course.name, course.steps, course.draw)
    batches = DataLoader(steps, batch_size=None, num_workers=1, prefetch_factor=8)
    started = time.monotonic()
    mean = 0.0
    for step, batch in enumerate(batches):
        minutes = (time.monotonic() - started) / 60
        progress = max(step / course.steps, minutes / course.minutes)
        if progress >= 1:
            break
        loss = course.loss(batch, progress)
        model.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step(_slope(progress))
        mean += (loss.item() - mean) / min(step + 1, SHOWN)
        if step % SHOWN == 0:
            shown = f"{course.name:6s} {step:5d} of {course.steps}  {minutes:5.1f} min"
            print(f"{shown}  loss {mean:.4f}", flush=True)


class Optimizer:
    """Muon for the matrices inside the layers, AdamW for all else."""

    def __init__(self, model: nn.Module, rate: float) -> None:
        named = list(model.named_parameters())
        inner = [w for name, w in named if ".layers." in name and w.ndim == 2]
        rest = [(name, w) for name, w in named if not (".layers." in name and w.ndim == 2)]
        kept = [w for name, w in rest if w.ndim < 2 or "embed_tokens" in name]
        outer = [w for name, w in rest if w.ndim > 1 and "embed_tokens" not in name]
        groups = [
            {"params": outer, "weight_decay": 0.05},
            {"params": kept, "weight_decay": 0.0},
        ]
        self._rate = rate
        self._weights = [w for _, w in named]
        self._muon = Muon(inner)
        self._adam = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98), fused=True)

    def step(self, slope: float) -> None:
        nn.utils.clip_grad_norm_(self._weights, 1.0)
        for group in self._adam.param_groups:
            group["lr"] = RATE * self._rate * slope
        self._adam.step()
        self._muon.step(MUON_RATE * self._rate * slope)


def _slope(progress: float) -> float:
    """Up in a straight line, then down along a cosine."""
    if progress < WARM_UP:
        return 0.02 + progress / WARM_UP
    rest = (progress - WARM_UP) / (1 - WARM_UP)
    return 0.01 + 0.5 * (1 + math.cos(math.pi * rest))


if __name__ == "__main__":
    main()
