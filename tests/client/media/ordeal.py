"""A process that goes through everything hostile at once, with good pictures in between.

It prints what came of it as JSON, for `test_ordeal.py`. The servers have a thread of their own, so
that the processor time of the main one is the fetcher's.
"""

from __future__ import annotations

import asyncio
import json
import resource
import threading
import time
from dataclasses import replace
from queue import SimpleQueue

from modserve.client.media import BadMedia, Fetcher, Policy
from modserve.tests.client.media.files import HOSTILE, data_url, picture
from modserve.tests.client.media.servers import TRUST, Names, moved, ok, serving
from modserve.tests.client.media.test_servers import ANSWERS, LIMITS, REDIRECTS

GOOD = picture("JPEG", (300, 200))
EVERY = 5  # hostile ones to a good one
AT_ONCE = 24
LOOK_S = 0.005


def serve(told: SimpleQueue[tuple[int, int]]) -> None:
    """Every answer at one port, by number; tells the port, and how many there are."""

    async def served() -> None:
        async with serving({"/good": ok(GOOD)}) as server:
            answers = [answer for _, answer in ANSWERS.values()]
            answers += [moved(to.format(port=server.port)) for to in REDIRECTS.values()]
            server.answers |= {f"/{n}": answer for n, answer in enumerate(answers)}
            told.put((server.port, len(answers)))
            await asyncio.Event().wait()

    asyncio.run(served())


def resident_mb() -> float:
    """The most memory that this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


async def look(turns: list[float]) -> None:
    """Seconds of the processor that the loop's thread took between two looks."""
    while True:
        begun = time.thread_time()
        await asyncio.sleep(LOOK_S)
        turns.append(time.thread_time() - begun)


async def go_through(fetcher: Fetcher, urls: list[str]) -> list[tuple[int, float]]:
    """A status and the seconds of each."""
    turn = asyncio.Semaphore(AT_ONCE)

    async def came(url: str) -> tuple[int, float]:
        async with turn:
            begun = time.monotonic()
            try:
                status = 200 if await fetcher.fetch(url) == GOOD else 500
            except BadMedia as error:
                status = error.status
            return status, time.monotonic() - begun

    return list(await asyncio.gather(*map(came, urls)))


async def ordeal(port: int, answers: int) -> dict[str, object]:
    hostile = [f"http://127.0.0.1:{port}/{n}" for n in range(answers)]
    hostile += [data_url(data) for data in HOSTILE.values()]
    urls = []
    for at, url in enumerate(hostile):
        urls += [url] if at % EVERY else [url, f"http://127.0.0.1:{port}/good", data_url(GOOD)]
    policy = Policy.of(["127.0.0.1"], ports=[port])
    fetcher = Fetcher(
        replace(LIMITS, bytes=2**21, grace_s=5.0), policy, resolver=Names(), trust=TRUST
    )
    await go_through(fetcher, urls[1:3])  # a good one of each kind has loaded all that is needed
    before, turns = resident_mb(), list[float]()
    looking = asyncio.ensure_future(look(turns))
    came = await go_through(fetcher, urls)
    looking.cancel()
    await fetcher.close()
    return {
        "hostile": [one for url, one in zip(urls, came, strict=True) if url in hostile],
        "good": [one for url, one in zip(urls, came, strict=True) if url not in hostile],
        "grown_mb": resident_mb() - before,
        "longest_turn_s": max(turns),
    }


def main() -> None:
    told: SimpleQueue[tuple[int, int]] = SimpleQueue()
    threading.Thread(target=serve, args=(told,), daemon=True).start()
    print(json.dumps(asyncio.run(ordeal(*told.get(timeout=60)))))


if __name__ == "__main__":
    main()
