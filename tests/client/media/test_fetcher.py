"""Several pictures of one request, and several requests: limits for all of them together."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from modserve.client.media import BadMedia, Fetcher, Limits, Policy

from .files import data_url, picture
from .servers import ENDLESS, TRUST, Names, Server, ok, serving, silence, without_end

A, B = picture(), picture("JPEG")
PATIENT = Limits(grace_s=60.0, item_s=60.0)


def _fetcher(server: Server, limits: Limits = PATIENT) -> Fetcher:
    policy = Policy.of(["127.0.0.1"], ports=[server.port])
    return Fetcher(limits, policy, resolver=Names(), trust=TRUST)


def _all(urls: Sequence[str], limits: Limits = PATIENT) -> tuple[list[bytes], Server]:
    """Of a server whose own are /a and /b; a URL that begins with a slash is its."""

    async def fetched() -> tuple[list[bytes], Server]:
        async with serving({"/a": ok(A), "/b": ok(B), "/never": silence}) as server:
            own = [server.url(url) if url.startswith("/") else url for url in urls]
            fetcher = _fetcher(server, limits)
            try:
                return await asyncio.wait_for(fetcher.fetch_all(own), 60), server
            finally:
                await fetcher.close()

    return asyncio.run(fetched())


def test_pictures_come_in_the_order_of_their_urls_and_each_url_once() -> None:
    files, server = _all(["/a", "/b", data_url(B), "/a", "/a"])
    assert files == [A, B, B, A, A]
    assert server.met == 2


def test_no_urls_are_no_pictures() -> None:
    assert _all([])[0] == []


@pytest.mark.parametrize(
    ("urls", "limits", "status", "told"),
    [
        (["/a", "/b", "/a"], Limits(items=2), 413, "at most 2 pictures in a request, got 3"),
        (["/a", "/b"], Limits(request_bytes=len(A) + len(B) - 1), 413, "bytes in a request"),
        ([data_url(A), data_url(B)], Limits(request_bytes=len(A)), 413, "bytes in a request"),
        (["/a", "/b"], Limits(request_pixels=2 * 90 * 60 - 1), 413, "pixels in a request"),
        (["/a", "/never"], Limits(request_s=1.0), 408, "arrives in time"),
        (["/a", "/never"], Limits(item_s=1.0), 408, "arrives in time"),
        (["/never", "ftp://good.test/"], PATIENT, 400, "expected an http, https or data URL"),
        (["/never"] * 3 + ["/nowhere"], PATIENT, 400, "a URL that can be fetched"),
    ],
)
def test_the_first_that_fails_ends_all(
    urls: Sequence[str], limits: Limits, status: int, told: str
) -> None:
    with pytest.raises(BadMedia, match=told) as caught:
        _all(urls, limits)
    assert caught.value.status == status


def test_limits_of_a_request_are_exact() -> None:
    limits = Limits(items=2, request_bytes=len(A) + len(B), request_pixels=2 * 90 * 60)
    assert _all(["/a", "/b"], limits)[0] == [A, B]


def test_one_request_takes_few_places_and_data_urls_take_none() -> None:
    limits = Limits(grace_s=60.0, item_s=60.0, request_s=60.0, fetches=3, at_once=2)

    async def fetched() -> None:
        async with serving({"/a": ok(A)}) as server:
            server.answers |= {f"/never/{n}": silence for n in range(9)}
            fetcher = _fetcher(server, limits)
            urls = [server.url(path) for path in server.answers if path != "/a"]
            slow = asyncio.ensure_future(fetcher.fetch_all(urls))
            for _ in range(limits.at_once):
                await server.heard.acquire()
            assert await fetcher.fetch(server.url("/a")) == A  # the third place
            others = asyncio.gather(*map(fetcher.fetch, urls), return_exceptions=True)
            assert await fetcher.fetch(data_url(B)) == B  # no place is left
            assert server.met <= limits.fetches + 1
            slow.cancel()
            others.cancel()
            await asyncio.gather(slow, others, return_exceptions=True)
            await fetcher.close()

    asyncio.run(asyncio.wait_for(fetched(), 60))


def test_a_closed_fetcher_fetches_no_more() -> None:
    async def fetched() -> None:
        fetcher = Fetcher(trust=TRUST)
        await fetcher.fetch(data_url(A))
        await fetcher.close()
        await fetcher.close()
        with pytest.raises(RuntimeError, match="expected an open fetcher"):
            await fetcher.fetch(data_url(A))

    asyncio.run(fetched())


def test_a_cancelled_fetch_leaves_no_connection() -> None:
    async def left() -> None:
        async with serving({"/never": without_end(ENDLESS, b"a", 0.01)}) as server:
            task = asyncio.ensure_future(_fetcher(server).fetch(server.url("/never")))
            await server.heard.acquire()
            task.cancel()
            await server.ended.wait()

    asyncio.run(asyncio.wait_for(left(), 60))
