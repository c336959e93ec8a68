"""Sends the load and looks at the cluster once a second."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

from ...client import AsyncClient
from ...client.load.driving import drive
from ...client.load.endpoints import ModserveEndpoint
from ...client.load.record import Record
from ...scheduler.slo.outcome import Modality
from .asks import OUTPUT_TOKENS, TEXT_TOKENS, Asks
from .phases import Due, Rates, due
from .story import Sample, Story, Told, sample
from .usage import Usage

LOOK_S = 1.0
TIMEOUT_S = 120.0  # of a request
TRIES = 12  # requests of either kind, from which it is seen what a worker can do
DECODED_TOGETHER = 3.0  # requests in a step, about

Look = Callable[[Story, Sample], None]


async def measure(client: AsyncClient, asks: Asks) -> Rates:
    """What one worker of each stage can do, by what they say after a few requests."""
    tokens: dict[Modality, int] = {}
    for modality in Modality:
        records: list[Record] = []
        tries = asks.each(Due(0.0, modality) for _ in range(TRIES))
        endpoint = ModserveEndpoint(client, ignore_eos=True)
        await drive(endpoint, tries, records, max_concurrency=2, timeout_s=TIMEOUT_S)
        tokens[modality] = max(one.prompt_tokens for one in records)
    await asyncio.sleep(2 * LOOK_S)  # for the next heartbeats
    workers = (await client.status())["workers"]
    image_token_s, prompt_token_s, decode_s = (
        max(one[key] for one in workers) for key in ("image_token_s", "prompt_token_s", "decode_s")
    )
    decoding_s = OUTPUT_TOKENS[Modality.TEXT] * decode_s / DECODED_TOGETHER
    template = tokens[Modality.TEXT] - TEXT_TOKENS[Modality.TEXT]
    image_tokens = tokens[Modality.IMAGE] - TEXT_TOKENS[Modality.IMAGE] - template
    return Rates(
        image=1 / (image_tokens * image_token_s),
        text=1 / (tokens[Modality.TEXT] * prompt_token_s + decoding_s),
    )


async def run(client: AsyncClient, asks: Asks, story: Story, look: Look) -> None:
    """The whole plan. Cancelled, it leaves in `story` what it has seen."""
    newest = max((event.number for event in await client.events()), default=0)
    watching = asyncio.create_task(_watch(client, story, look, newest))
    try:
        await drive(
            ModserveEndpoint(client, ignore_eos=True),
            asks.each(due(story.plan)),
            story.records,
            max_concurrency=None,
            timeout_s=TIMEOUT_S,
        )
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


async def _watch(client: AsyncClient, story: Story, look: Look, newest: int) -> None:
    clock = asyncio.get_running_loop().time
    begun, began = clock(), time.time()
    usage = Usage()
    while True:
        report = await client.status()
        pids = [
            os.getpid(),
            report["controller"]["pid"],
            *(one["pid"] for one in report["workers"]),
        ]
        now = clock() - begun
        story.samples.append(sample(now, report, usage.cores(pids, now)))
        for event in await client.events(after=newest):
            newest = event.number
            story.told.append(Told(event.time - began, event))
        look(story, story.samples[-1])
        await asyncio.sleep(LOOK_S)
