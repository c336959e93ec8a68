"""Profiles that were never measured."""

from __future__ import annotations

from dataclasses import replace

from modserve.scheduler.costs.encode import EncodeCost, PreprocessCost
from modserve.scheduler.costs.profile import (
    BatchWork,
    Component,
    Machine,
    PictureWork,
    Point,
    Profile,
)
from modserve.scheduler.costs.text import TextCost, TextWork

HERE = Machine("a CPU", 2, "torch 2")
PREPROCESS = Profile(
    component=Component.PREPROCESS,
    model="one",
    fingerprint="aa",
    device="cpu",
    machine=HERE,
    tp=1,
    dtype="uint8",
    threads=1,
    cost=PreprocessCost(0.001, 2e-8),
    points=(Point(PictureWork(4096), 0.0011, False), Point(PictureWork(40960), 0.002, True)),
)
ENCODE = replace(
    PREPROCESS,
    component=Component.ENCODE,
    fingerprint="bb",
    dtype="float32",
    threads=2,
    cost=EncodeCost(0.004, 1e-4),
    points=(Point(BatchWork(2, 240), 0.03, True),),
)
TEXT = replace(
    ENCODE,
    component=Component.TEXT,
    model="two",
    fingerprint="cc",
    cost=TextCost(1e-3, 2e-3, 1e-5, 1e-9, 1e-8, 4.0, 1e-4),
    points=(
        Point(TextWork(((0, 512), (16, 64)), 3, 300), 0.02, True),
        Point(TextWork((), 8, 1024), 0.004, True),
        Point(TextWork(((0, 16),)), 0.003, False),
    ),
)
DERIVED = Profile(
    component=Component.ENCODE,
    model="three",
    fingerprint="dd",
    device="cuda",
    machine=Machine("a GPU", 1, ""),
    tp=2,
    dtype="bfloat16",
    threads=1,
    cost=EncodeCost(0.0, 1e-6),
)
