"""Whom `bench` sends its load to, and the sending, with a bar on a terminal."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import cycle, islice
from pathlib import Path

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from ..client import AsyncClient, Client
from ..client.load.asks import Ask, Maker
from ..client.load.driving import drive
from ..client.load.endpoints import Endpoint, ModserveEndpoint
from ..client.load.objectives import Objectives
from ..client.load.record import Record
from ..scheduler.workload.arrivals import Arrival
from .printing import console
from .termination import interrupted_by_sigterm


class NotSent(Exception):
    """Nothing was measured; one sentence."""


@dataclass(frozen=True, slots=True)
class Target:
    kind: str
    model: str
    tokenizer: Path  # a file or its folder
    endpoint: AbstractAsyncContextManager[Endpoint]  # opened once


@dataclass(frozen=True, slots=True)
class Loop:
    max_concurrency: int | None
    timeout_s: float  # of a request
    warmups: int


def ours(
    controller: str,
    keys: Path | None,
    tokenizer: Path | None,
    *,
    ignore_eos: bool,
    slo: str | None,
    objectives: Objectives | None,
) -> Target:
    """Asks the controller for its model; raises ControllerUnreachable, or NotSent."""
    with Client(controller, keys=keys) as client:
        folder = Path(client.status()["controller"]["model"])
    if tokenizer is None and not folder.is_dir():
        raise NotSent(f"expected --tokenizer, since {folder} is not on this host, got none")

    @asynccontextmanager
    async def endpoint() -> AsyncIterator[Endpoint]:
        async with AsyncClient(controller, keys=keys) as client:
            yield ModserveEndpoint(client, ignore_eos=ignore_eos, slo=slo, objectives=objectives)

    return Target("modserve", folder.name, tokenizer or folder, endpoint())


def other(url: str, model: str | None, tokenizer: Path | None, *, ignore_eos: bool) -> Target:
    if model is None or tokenizer is None:
        lacking = "--tokenizer" if tokenizer is None else "--model"
        raise typer.BadParameter(f"expected {lacking} with --url, got none")
    try:
        from ..client.load.openai import BadUrl, OpenAiEndpoint  # of an extra
    except ModuleNotFoundError as error:
        told = f"expected {error.name} for --url, got none: pip install 'modserve[bench]'"
        raise NotSent(told) from error
    try:
        endpoint = OpenAiEndpoint(url, model, ignore_eos=ignore_eos)
    except BadUrl as error:
        raise typer.BadParameter(str(error)) from error
    return Target("openai-chat", model, tokenizer, endpoint)


def send(
    target: Target, maker: Maker, arrivals: Sequence[Arrival], loop: Loop, records: list[Record]
) -> bool:
    """Make the requests, then send them; whether all went. False: ctrl-C ended it before.

    Raises NotSent where a warm-up fails.
    """
    with interrupted_by_sigterm():
        first = [replace(one, at_s=0.0) for one in islice(cycle(arrivals), loop.warmups)]
        warm = list(_made(maker, first, "warm-up"))
        asks = list(_made(maker, arrivals, "request"))
        with suppress(KeyboardInterrupt):
            asyncio.run(_send(target, warm, asks, loop, records))
            return True
        return False


def _made(maker: Maker, arrivals: Sequence[Arrival], name: str) -> Iterator[Ask]:
    with _bar(f"making {name}s", len(arrivals)) as step:
        for number, arrival in enumerate(arrivals):
            yield maker.ask(
                f"{name} {number}",
                at_s=arrival.at_s,
                text_tokens=arrival.text_tokens,
                output_tokens=arrival.output_tokens,
                sizes=arrival.images,
            )
            step()


async def _send(
    target: Target, warm: Sequence[Ask], asks: Sequence[Ask], loop: Loop, records: list[Record]
) -> None:
    async with target.endpoint as endpoint:
        warmed: list[Record] = []
        await _drive(endpoint, warm, loop, warmed, "warming up")
        if failed := [record.error for record in warmed if record.error]:
            raise NotSent(f"{len(failed)} of {len(warm)} warm-ups failed, the first: {failed[0]}")
        await _drive(endpoint, asks, loop, records, "sending")


async def _drive(
    endpoint: Endpoint, asks: Sequence[Ask], loop: Loop, records: list[Record], what: str
) -> None:
    with _bar(what, len(asks)) as step:
        await drive(
            endpoint,
            asks,
            records,
            max_concurrency=loop.max_concurrency,
            timeout_s=loop.timeout_s,
            ended=lambda record: step(),
        )


@contextmanager
def _bar(what: str, total: int) -> Iterator[Callable[[], None]]:
    """A step for each request, drawn on a terminal alone."""
    if not sys.stderr.isatty() or not total:
        yield lambda: None
        return
    columns = TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda: bar.advance(task)
