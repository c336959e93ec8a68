"""A real controller, and what may come between it and its client: the answer is the same."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator

import pytest

from modserve.cli.cluster import Cluster, wait_for
from modserve.client import Answer, AsyncClient, AsyncStream
from modserve.client.options import Options

pytestmark = pytest.mark.slow
LONG: Options = {"max_tokens": 60, "ignore_eos": True, "temperature": 1.0, "seed": 5}


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster("tiny") as cluster:
        wait_for(cluster.launch("all", threads=1))
        yield cluster


class Proxy:
    """A wire that can be cut; ZeroMQ then connects again, as another peer."""

    def __init__(self, endpoint: str) -> None:
        self._host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
        self._port = int(port)
        self._ends: list[asyncio.StreamWriter] = []

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.endpoint = f"tcp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        self.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._host, self._port)
        self._ends += [writer, back]
        await asyncio.gather(self._copy(reader, back), self._copy(there, writer))

    async def _copy(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        try:
            while body := await source.read(65536):
                target.write(body)
                await target.drain()
        except ConnectionError:
            pass
        target.close()

    def cut(self) -> None:
        for end in self._ends:
            end.transport.abort()
        self._ends.clear()


async def tokens(stream: AsyncStream, count: int) -> None:
    """Read until that many have come."""
    seen = 0
    async for chunk in stream:
        seen += len(chunk.token_ids)
        if seen >= count:
            return


async def undisturbed(cluster: Cluster) -> Answer:
    async with AsyncClient(cluster.endpoint) as client:
        return await client.generate("Tell me a story", **LONG)


@pytest.mark.parametrize("after", [1, 30])
def test_a_cut_connection_changes_nothing_in_the_answer(cluster: Cluster, after: int) -> None:
    async def body() -> None:
        expected = await undisturbed(cluster)
        async with Proxy(cluster.endpoint) as proxy, AsyncClient(proxy.endpoint) as client:
            stream = client.stream("Tell me a story", **LONG)
            await tokens(stream, after)
            proxy.cut()
            answer = await stream.rest()
        assert (answer.token_ids, answer.text) == (expected.token_ids, expected.text)

    asyncio.run(asyncio.wait_for(body(), 60))


def test_a_controller_that_was_frozen_goes_on_and_blames_no_worker(cluster: Cluster) -> None:
    """For longer than a worker may be silent before it counts as lost."""

    async def body() -> None:
        expected = await undisturbed(cluster)
        async with AsyncClient(cluster.endpoint) as client:
            stream = client.stream("Tell me a story", **LONG)
            await tokens(stream, 10)
            os.kill(cluster.pid, signal.SIGSTOP)
            asyncio.get_running_loop().call_later(4.0, os.kill, cluster.pid, signal.SIGCONT)
            answer = await stream.rest()
        assert (answer.token_ids, answer.text) == (expected.token_ids, expected.text)
        assert answer.timing is not None
        assert answer.timing.runs == 1

    asyncio.run(asyncio.wait_for(body(), 60))


def test_a_stream_that_was_left_is_open_no_more(cluster: Cluster) -> None:
    async def body() -> None:
        async with AsyncClient(cluster.endpoint) as client:
            before = (await client.status())["requests"]["cancelled"]
            stream = client.stream("Tell me a story", max_tokens=2000, ignore_eos=True)
            await tokens(stream, 1)
            stream.leave()
            requests = (await client.status())["requests"]  # behind the Cancel on the same wire
            assert (requests["open"], requests["cancelled"]) == (0, before + 1)

    asyncio.run(asyncio.wait_for(body(), 60))
