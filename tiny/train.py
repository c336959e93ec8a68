"""Trains the shipped checkpoint from nothing: `python -m modserve.tiny.train`.

First the vision tower learns to see, then the whole model learns to answer. Half an hour on two
cores is the limit; progress, and with it the learning rate, is the larger share of the steps and
of the minutes that are used up. So a slow machine stops in time, with a worse model, and a fast
one always takes the same steps.
"""

import argparse
import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedTokenizerFast

from . import layout, lessons, sight, tokenizing
from .accuracy import report
from .muon import Muon
from .rows import Batch, Collator
from .student import Student

SEED = 7
GLIMPSES, ROWS = 96, 16  # images and lessons in a step
WARM_UP = 0.04
SHOWN = 50  # steps between two lines of progress
RATE, MUON_RATE = 1.5e-3, 2e-3
SEEING = 0.28  # of the minutes


B = TypeVar("B")  # a batch


@dataclass(frozen=True)
class Course(Generic[B]):
    name: str
    steps: int
    minutes: float
    draw: Callable[[random.Random], B]
    loss: Callable[[B, float], Tensor]  # of a batch, at this progress


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
    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._collate = Collator(tokenizer, layout.make_image_processor())

    def __call__(self, rng: random.Random) -> Batch:
        return self._collate([lessons.draw_lesson(rng) for _ in range(ROWS)], rng)


def draw_glimpses(rng: random.Random) -> sight.Glimpses:
    return sight.draw_glimpses(rng, GLIMPSES, lessons.BEND)


def main() -> None:
    given = _arguments()
    torch.set_num_threads(given.threads)
    torch.manual_seed(SEED)
    tokenizer = tokenizing.train_tokenizer(lessons.texts(3000))
    student = Student(layout.make_model(tokenizer))
    weights = sum(weight.numel() for weight in student.model.parameters())
    print(f"{weights:,} weights, {len(tokenizer)} tokens in the vocabulary")
    see_minutes = given.minutes * SEEING
    take(
        Course("see", given.see_steps, see_minutes, draw_glimpses, lambda b, _: student.see(b)),
        student,
    )
    seen = student.share_of_digits(sight.held_out_digits())
    print(f"the vision tower by itself reads {seen:.1%} of the held-out scans", flush=True)
    draw = DrawLessons(tokenizer)
    take(Course("answer", given.steps, given.minutes - see_minutes, draw, student.loss), student)
    layout.save(student.model, tokenizer, given.folder)
    print(f"wrote {given.folder}")
    report(given.folder, given.tests)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Trains the shipped checkpoint.")
    parser.add_argument("--folder", type=Path, default=layout.FOLDER)
    parser.add_argument("--see-steps", type=int, default=1500)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--minutes", type=float, default=27.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tests", type=int, default=400, help="held-out samples of each sort")
    return parser.parse_args()


def take(course: Course[B], student: Student) -> None:
    optimizer = Optimizer(student)
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
        student.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step(_slope(progress))
        mean += (loss.item() - mean) / min(step + 1, SHOWN)
        if step % SHOWN == 0:
            shown = f"{course.name} {step:5d} of {course.steps}  {minutes:5.1f} min"
            print(f"{shown}  loss {mean:.4f}", flush=True)


class Optimizer:
    """Muon for the matrices inside the layers, AdamW for all else."""

    def __init__(self, student: Student) -> None:
        named = list(student.named_parameters())
        inner = [w for name, w in named if ".layers." in name and w.ndim == 2]
        outer = [w for name, w in named if ".layers." not in name and w.ndim > 1]
        vectors = [w for _, w in named if w.ndim < 2]
        groups = [
            {"params": outer, "weight_decay": 0.05},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self._weights = [w for _, w in named]
        self._muon = Muon(inner)
        self._adam = torch.optim.AdamW(groups, lr=RATE, betas=(0.9, 0.98), fused=True)

    def step(self, slope: float) -> None:
        nn.utils.clip_grad_norm_(self._weights, 1.0)
        for group in self._adam.param_groups:
            group["lr"] = RATE * slope
        self._adam.step()
        self._muon.step(MUON_RATE * slope)


def _slope(progress: float) -> float:
    """Up in a straight line, then down along a cosine."""
    if progress < WARM_UP:
        return 0.02 + progress / WARM_UP
    rest = (progress - WARM_UP) / (1 - WARM_UP)
    return 0.01 + 0.5 * (1 + math.cos(math.pi * rest))


if __name__ == "__main__":
    main()
