"""The served system, each process as `msctl` starts it: start-up, and time to first token.

The first token's floor is the same work by the same stages in this process, with as many threads
as each worker of the layout has and no server around them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from io import BytesIO
from statistics import median

import torch
from PIL import Image

from modserve.cli.cluster import Cluster, wait_for
from modserve.client import Client
from modserve.client.answers import Answer
from modserve.worker.assembly import Stages
from modserve.worker.encoding import EncodeTask
from modserve.worker.text.text_work import Span

from .checkpoint import prose
from .driving import prompt_ids, stages, text_task
from .machine import seconds
from .options import Options
from .pictures import jpeg
from .report import Figure, compared

LAYOUTS = (("all",), ("encode", "prefill", "decode"))
LIBRARIES = "import torch, transformers.models.llava_onevision.modeling_llava_onevision"
QUESTION = prose(100)
TOKENS = 4
CPU = torch.device("cpu")


def measure(options: Options) -> list[Figure]:
    made = stages(options.folder, threads=options.threads)
    return [figure for layout in LAYOUTS for figure in _layout(layout, made, options)]


def _layout(layout: Sequence[str], made: Stages, options: Options) -> list[Figure]:
    figures: list[Figure] = []
    with ExitStack() as ending:
        begun = time.perf_counter()
        cluster = ending.enter_context(Cluster(str(options.folder)))
        figures.append(Figure("controller ready", time.perf_counter() - begun, "s"))
        figures += [_start(cluster, role) for role in layout]
        client = ending.enter_context(Client(cluster.endpoint))
        torch.set_num_threads(os.cpu_count() or 1)  # as the controller gives each of them
        figures += _first_tokens(" + ".join(layout), client, made, options.rounds(5))
        torch.set_num_threads(options.threads)
    return figures


def _start(cluster: Cluster, role: str) -> Figure:
    """Alone: nothing else starts meanwhile."""
    libraries = [sys.executable, "-P", "-c", LIBRARIES]
    importing = seconds(partial(subprocess.run, libraries, check=True), CPU)
    ready = seconds(lambda: wait_for(cluster.launch(role)), CPU)
    return compared(f"{role} worker ready", "s", [ready], "importing its libraries", [importing])


def _first_tokens(layout: str, client: Client, made: Stages, rounds: int) -> list[Figure]:
    served: dict[str, list[float]] = {"text": [], "image": []}
    direct: dict[str, list[float]] = {"text": [], "image": []}
    for number in range(-1, rounds):  # the first round does not count
        for kind in served:
            images = [jpeg(number + 1)] if kind == "image" else []
            took, answer = _ask(client, images)
            floor = seconds(partial(_direct, made, answer, images), CPU)
            if number >= 0:
                served[kind].append(1000 * took)
                direct[kind].append(1000 * floor)
    return [
        compared(
            f"first token, one {kind} request, {layout}",
            "ms",
            served[kind],
            "the stages alone",
            direct[kind],
            note=f"±{_spread(served[kind]):.0%}",
        )
        for kind in served
    ]


def _spread(values: Sequence[float]) -> float:
    """Half the range, as a share of the median."""
    return (max(values) - min(values)) / 2 / median(values)


def _ask(client: Client, images: Sequence[bytes]) -> tuple[float, Answer]:
    """Seconds to the first token, and the whole answer."""
    begun = time.perf_counter()
    stream = client.stream(QUESTION, images=images, max_tokens=TOKENS, ignore_eos=True)
    next(chunk for chunk in stream if chunk.token_ids)
    return time.perf_counter() - begun, stream.rest()


def _direct(made: Stages, answer: Answer, images: Sequence[bytes]) -> None:
    """The same request up to its first token: as many prompt tokens, the same pictures."""
    assert made.text is not None
    assert answer.usage is not None
    prompt = prompt_ids(answer.usage.prompt_tokens, 0, made.facts.vocabulary)
    rows = [_embedding(made, image) for image in images]
    spans = tuple(Span(0, len(each), index) for index, each in enumerate(rows))
    made.text.admit(text_task("one", prompt, 1, spans=spans))
    for index, each in enumerate(rows):
        made.text.land("one", index, each)
    while not made.text.step().idle:
        pass


def _embedding(made: Stages, image: bytes) -> torch.Tensor:
    assert made.encode is not None
    assert made.vision is not None
    assert made.geometry is not None
    upright = Image.open(BytesIO(image)).convert("RGB")
    shape = made.geometry.image(*upright.size, 1)
    pixels = made.vision.preprocess(upright, shape.mode)
    made.encode.add(EncodeTask("one", 0, pixels, shape.rows))
    (encoding,) = made.encode.step()
    if encoding.rows is None:
        raise RuntimeError(f"expected an embedding, got: {encoding.error}")
    return encoding.rows
