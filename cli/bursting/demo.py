"""demo --burst: a controller that scales its workers, and the traffic that makes it do so."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from ...client import AsyncClient
from ..cluster import Cluster, NotStarted
from ..controlling import TINY
from .asks import Asks
from .phases import Rates, phases
from .running import measure, run
from .shown import progress, summary
from .story import TPOT_S, TTFT_S, Story

SENTENCE = """\
You see one worker for pictures and one for text serve a calm load; a burst of pictures, later one
of texts, is more than one of them can do, so requests are late until a second worker has come, then
in time again, and the second worker leaves when the burst is over."""
SWITCHING = """\
You see one worker for pictures and two for text serve a calm load, and nothing may be launched: in
a burst of pictures one of the two changes its stages and encodes, in one of texts it comes back."""
SLOW = 2.0  # requests a second of one worker, where a core of its own does ten times as many
JOIN_S = 240.0  # for the first workers

CONFIG = f"""\
[controller]
journal = false
image_cache_mb = 0
prefix_cache_mb = 0

[slo.standard]
ttft_ms = {1000 * TTFT_S:g}
image_token_ms = 0
tpot_ms = {1000 * TPOT_S:g}
degrade_to = "batch"

[scaling]
policy = "modserve"
launcher = "local"
up_s = 2
down_s = 10
drain_s = 5
burst_s = 15
switch_window_s = 20

[launching]
threads = 1
"""


@dataclass(frozen=True, slots=True)
class Manner:
    """How the cluster may react, and how long it is given."""

    sentence: str
    config: str
    workers: int  # at the start
    burst_s: float
    calm_s: float


LAUNCHING = Manner(
    SENTENCE, f"{CONFIG}\n[stages.encode]\nmax = 2\n\n[stages.text]\nmax = 2\n", 2, 30.0, 35.0
)
SWITCHING_ONLY = Manner(
    SWITCHING,
    CONFIG.replace("[scaling]\n", '[scaling]\nmeans = ["switch"]\n')
    + "\n[stages.encode]\nmin = 1\n\n[stages.text]\nmin = 1\nstart = 2\n",
    3,
    30.0,
    35.0,
)


def show(manner: Manner, story: Story, out: Console) -> None:
    """Until the load is over or ctrl-C; every process has ended then. `story` has what was seen."""
    out.print(manner.sentence, "", sep="\n")
    with _config(manner) as file, Cluster("tiny", "--config", str(file)) as cluster:
        try:
            asyncio.run(_serve(cluster, manner, story, out))
        finally:
            out.print("[dim]ending the processes[/]")


@contextmanager
def _config(manner: Manner) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="modserve-burst-") as folder:
        file = Path(folder) / "modserve.toml"
        file.write_text(manner.config, encoding="utf-8")
        yield file


async def _serve(cluster: Cluster, manner: Manner, story: Story, out: Console) -> None:
    async with AsyncClient(cluster.endpoint) as client:
        with out.status("the workers load the model and warm up"):
            asks = await asyncio.to_thread(Asks, TINY)
            await _ready(client, manner.workers)
        with out.status("a few requests tell what one worker can do"):
            capable = await measure(client, asks)
        _tell(capable, out)
        story.plan = phases(capable, manner.burst_s, manner.calm_s)
        with progress(story, out) as look:
            await run(client, asks, story, look)


async def _ready(client: AsyncClient, workers: int) -> None:
    try:
        async with asyncio.timeout(JOIN_S):
            while True:
                seen = (await client.status())["workers"]
                if sum(one["state"] == "ready" for one in seen) >= workers:
                    return
                await asyncio.sleep(0.2)
    except TimeoutError as error:
        raise NotStarted(f"expected {workers} workers within {JOIN_S:g} s, got fewer") from error


def _tell(capable: Rates, out: Console) -> None:
    out.print(
        f"one worker can do about {capable.image:.2g} requests/s with pictures, "
        f"{capable.text:.2g} of text alone\n"
    )
    if min(capable.image, capable.text) < SLOW:
        out.print("[yellow]this host is busy with something else: the figures say little[/]\n")


def conclude(story: Story, plot: Path, out: Console) -> None:
    """The table, and the plot; raises OSError where it cannot be written."""
    from .plot import draw  # matplotlib takes a moment to import

    out.print("", summary(story), "", sep="\n")
    draw(story, plot)
    out.print(f"{story.failed} of {len(story.records)} requests failed; the plot: {plot}")
