"""What the controller costs: a real one, in its own process, between peers that compute nothing.

Two ways are timed, on the clock of this process, which plays the worker and the clients: a
request from Submit to Prefill (template, tokenizer, admission, routing), and news of tokens from
Stepped to Deltas. Their floor is a message of the same size through a process that passes it on
unread. CPU time is the controller process's own, under a steady load of requests of one token
and then of many: the difference is what the tokens cost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from statistics import quantiles

import uvloop
from msgspec import Struct

from modserve.cli.cluster import Cluster
from modserve.transport import codec
from modserve.transport import messages as say
from modserve.transport.checkpoint import fingerprint
from modserve.transport.state import StateFolder
from modserve.worker.alone import BLOCK_SIZE

from .between import cpu_s, process
from .checkpoint import prose
from .options import Options
from .passing import Hop, hop, passing
from .report import Figure
from .scripted import Client, Worker

CLIENTS = 4
REQUESTS = 800
TOKENS = 64
RATE = 50.0  # requests/s: 32 are open at a time
STEP_S = 0.01
PATIENCE_S = 60.0
QUESTION = prose(100)


class Load(Struct, frozen=True):
    """What one load has shown."""

    submit_s: list[float]
    news_s: list[float]
    cpu_s: float  # of the controller, in all
    tokens: int
    tokens_per_frame: float


def measure(options: Options) -> list[Figure]:
    return uvloop.run(_measure(options.folder, 50 if options.quick else REQUESTS))


async def _measure(folder: Path, count: int) -> list[Figure]:
    submit = codec.encode(
        say.Submit("0" * 16, say.Sampling(), turns=(say.Turn("user", (say.TextPart(QUESTION),)),))
    )
    deltas = tuple(say.Delta(f"{n:016}", n, (7,), " word") for n in range(8))
    news = codec.encode(say.Deltas(deltas))
    with process(passing) as (endpoint, pid):
        floors = [await hop(endpoint, pid, [frame], count) for frame in (submit, news)]
    with Cluster(str(folder)) as cluster:
        print_of_model = fingerprint(folder, "any", BLOCK_SIZE)
        token = StateFolder.of(cluster.endpoint).token() or ""
        worker = Worker(cluster.endpoint, token, print_of_model, STEP_S)
        serving = asyncio.create_task(worker.serve())
        await _load(cluster, worker, "warm", 20, 2)
        short = await _load(cluster, worker, "short", count, 1)
        long = await _load(cluster, worker, "long", count, TOKENS)
        serving.cancel()
    return _figures(short, long, floors, count)


async def _load(cluster: Cluster, worker: Worker, name: str, count: int, tokens: int) -> Load:
    """`count` requests at a steady pace, from several clients in turn, to the end of the last."""
    ended: set[str] = set()
    news = asyncio.Event()

    def end(request_id: str) -> None:
        ended.add(request_id)
        news.set()

    clients = [Client(cluster.endpoint, end) for _ in range(CLIENTS)]
    frames, before = worker.frames, cpu_s(cluster.pid)
    for number in range(count):
        clients[number % CLIENTS].submit(f"{name}-{number}", QUESTION, tokens)
        await asyncio.sleep(1 / RATE)
    async with asyncio.timeout(PATIENCE_S):
        while len(ended) < count:
            news.clear()
            await news.wait()
    used = cpu_s(cluster.pid) - before
    for client in clients:
        client.close()
    sent = {key: at for client in clients for key, at in client.sent.items()}
    heard = {key: at for client in clients for key, at in client.heard.items()}
    return Load(
        submit_s=[worker.began[key] - at for key, at in sent.items()],
        news_s=[at - worker.stepped[key] for key, at in heard.items()],
        cpu_s=used,
        tokens=len(heard),
        tokens_per_frame=len(heard) / (worker.frames - frames),
    )


def _figures(short: Load, long: Load, floors: Sequence[Hop], count: int) -> list[Figure]:
    hops = (
        ("request, Submit to Prefill", long.submit_s, floors[0]),
        ("token, Stepped to Deltas", long.news_s, floors[1]),
    )
    per_request = short.cpu_s / count
    per_token = (long.cpu_s - short.cpu_s) / (long.tokens - short.tokens)
    passed = floors[1].cpu_s / long.tokens_per_frame
    return [
        *(
            _compared(f"{name}, p{rank}", "ms", 1e3 * one, 1e3 * other)
            for name, latencies, floor in hops
            for rank, one, other in _percentiles(latencies, floor.latencies_s)
        ),
        _compared("CPU per request", "µs", 1e6 * per_request, 1e6 * floors[0].cpu_s),
        _compared(
            "CPU per token",
            "µs",
            1e6 * per_token,
            1e6 * passed,
            note=f"{long.tokens_per_frame:.1f} tokens per step and client",
        ),
    ]


def _compared(name: str, unit: str, value: float, floor: float, note: str = "") -> Figure:
    ratio = value / floor if floor > 0 else None
    return Figure(name, value, unit, "passing on unread", floor, ratio, note=note)


def _percentiles(ours: Sequence[float], floor: Sequence[float]) -> list[tuple[int, float, float]]:
    """(rank, ours, the floor's) for the median and the 99th percentile."""
    cut, floor_cut = quantiles(ours, n=100), quantiles(floor, n=100)
    return [(rank, cut[rank - 1], floor_cut[rank - 1]) for rank in (50, 99)]
